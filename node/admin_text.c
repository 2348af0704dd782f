/* node/admin_text.c: see admin_text.h. */
#include "node/admin_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EDIT_BYTES = 32, EDIT_NUMBERS = 5 };

void admin_text_write(const struct admin_request *request, char out[ADMIN_TEXT_BYTES])
{
    int used = 0;

    static_assert(ADMIN_TEXT_BYTES >= 16 + ADMIN_EDITS_MAX * (EDIT_BYTES - 1), "all edits fit");
    if (request->kind == ADMIN_TRANSFER) {
        snprintf(out, ADMIN_TEXT_BYTES, "transfer %u", request->target);
        return;
    }
    if (request->kind == ADMIN_SNAPSHOT) {
        snprintf(out, ADMIN_TEXT_BYTES, "snapshot");
        return;
    }
    used = snprintf(out, ADMIN_TEXT_BYTES, "change %d", request->forced);
    for (uint32_t i = 0; i < request->edit_count; i++) {
        const struct admin_edit *e = &request->edit[i];
        used += snprintf(out + used, ADMIN_TEXT_BYTES - (size_t)used, " %u:%u:%u:%u:%u", e->kind,
                         e->node, e->replaces, e->priority, e->promote);
    }
}

/* A number of at most `most`, and what stands behind it; false: there is none. */
static bool take_number(const char **text, uint64_t most, uint64_t *out)
{
    char *end;

    if (**text < '0' || **text > '9')
        return false;
    *out = strtoull(*text, &end, 10);
    *text = end;
    return *out <= most;
}

static bool take_edit(const char **text, struct admin_edit *out)
{
    static const uint64_t most[EDIT_NUMBERS] = {ADMIN_PRIORITY, UINT16_MAX, UINT16_MAX, UINT8_MAX, 1};
    uint64_t number[EDIT_NUMBERS];

    for (uint32_t i = 0; i < EDIT_NUMBERS; i++) {
        if (*(*text)++ != (i == 0 ? ' ' : ':') || !take_number(text, most[i], &number[i]))
            return false;
    }
    *out = (struct admin_edit){
        .kind = (uint8_t)number[0],
        .node = (uint16_t)number[1],
        .replaces = (uint16_t)number[2],
        .priority = (uint8_t)number[3],
        .promote = number[4] != 0,
    };
    return true;
}

bool admin_text_read(const char *text, struct admin_request *out)
{
    uint64_t number;

    *out = (struct admin_request){.kind = ADMIN_TRANSFER};
    if (strncmp(text, "transfer ", 9) == 0) {
        text += 9;
        if (!take_number(&text, UINT16_MAX, &number) || *text != '\0')
            return false;
        out->target = (uint16_t)number;
        return true;
    }
    if (strcmp(text, "snapshot") == 0) {
        out->kind = ADMIN_SNAPSHOT;
        return true;
    }
    if (strncmp(text, "change ", 7) != 0)
        return false;
    text += 7;
    out->kind = ADMIN_CHANGE;
    if (!take_number(&text, 1, &number))
        return false;
    out->forced = number != 0;
    while (*text != '\0') {
        if (out->edit_count == ADMIN_EDITS_MAX || !take_edit(&text, &out->edit[out->edit_count]))
            return false;
        out->edit_count++;
    }
    return out->edit_count > 0;
}

void admin_text_write_answer(const struct answer *answer, char out[ADMIN_TEXT_BYTES])
{
    const char *word = "unknown";

    switch ((enum answer_status)answer->status) {
    case ANSWER_OK:
        snprintf(out, ADMIN_TEXT_BYTES, "ok %" PRIu64, answer->index);
        return;
    case ANSWER_NOT_LEADER:
        snprintf(out, ADMIN_TEXT_BYTES, "not_leader %" PRIu64, answer->leader);
        return;
    case ANSWER_REFUSED:
        snprintf(out, ADMIN_TEXT_BYTES, "refused %s",
                 admin_refusal_text((enum admin_refusal)answer->refusal));
        return;
    case ANSWER_BUSY:
    case ANSWER_TIMED_OUT:
    case ANSWER_NO_ROOM:
    case ANSWER_CORRUPT:
        word = "busy";
        break;
    case ANSWER_BAD:
        word = "bad";
        break;
    case ANSWER_UNKNOWN:
        break;
    }
    snprintf(out, ADMIN_TEXT_BYTES, "%s", word);
}
