#include "sim/check_history.h"

#include "base/assert.h"
#include "sim/model.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct check_history {
    struct check_report *report;
    struct model model;
    uint64_t completed; /* newest index that a completed call was told */
    struct {
        uint32_t boot;
        uint64_t index; /* newest that a local read of that boot was told */
    } local[HISTORY_NODES_MAX];
};

struct check_history *check_history_create(void)
{
    struct check_history *h = calloc(1, sizeof *h);

    ASSERT(h != NULL);
    return h;
}

void check_history_destroy(struct check_history *h)
{
    model_free(&h->model);
    free(h);
}

void check_history_reset(struct check_history *h, int64_t revision_first,
                         struct check_report *report)
{
    h->report = report;
    h->completed = 0;
    memset(h->local, 0, sizeof h->local);
    model_reset(&h->model, revision_first);
}

uint64_t check_history_last(const struct check_history *h)
{
    return h->model.last;
}

const struct model *check_history_model(const struct check_history *h)
{
    return &h->model;
}

static bool is_write(const struct history_call *call)
{
    return call->kind == HISTORY_PUT || call->kind == HISTORY_DELETE;
}

void check_history_begin(struct check_history *h, struct history_call *call)
{
    ASSERT(call->key_first < call->key_end);
    ASSERT(call->key_end <= HISTORY_KEYS);
    ASSERT(call->node < HISTORY_NODES_MAX);
    call->fate = HISTORY_OPEN;
    call->floor = h->completed;
    call->index = 0;
}

bool check_history_commit(struct check_history *h, struct history_call *call)
{
    const uint64_t index = h->model.last + 1;

    if (call == NULL) {
        model_skip(&h->model);
        return true;
    }
    if (!is_write(call))
        return check_fail(h->report, "exact-fate", "a read stands in the log at %" PRIu64, index);
    if (call->index != 0)
        return check_fail(h->report, "exact-fate",
                          "one request of node %u is committed at %" PRIu64 " and at %" PRIu64,
                          call->node, call->index, index);
    if (call->fate == HISTORY_REFUSED || call->fate == HISTORY_PASSED)
        return check_fail(h->report, "exact-fate",
                          "a request that node %u %s is committed at %" PRIu64, call->node,
                          call->fate == HISTORY_REFUSED ? "refused" : "had in doubt no more", index);
    call->index = index;
    if (call->kind == HISTORY_PUT)
        model_put(&h->model, call->key_first, call->value);
    else
        model_delete(&h->model, call->key_first, call->key_end);
    return true;
}

/* The versions that an answer of `call` shows, at `revision`. */
static uint32_t expected_items(const struct check_history *h, const struct history_call *call,
                               int64_t revision, struct history_item *items)
{
    uint32_t count = 0;

    for (uint8_t k = call->key_first; k < call->key_end; k++) {
        const struct model_version *v = model_at(&h->model, k, revision);
        if (v == NULL)
            continue;
        items[count++] = (struct history_item){
            .key = k,
            .create_revision = v->create_revision,
            .mod_revision = v->mod_revision,
            .version = v->version,
            .value = call->keys_only ? 0 : v->value,
        };
    }
    return count;
}

static bool same_item(const struct history_item *a, const struct history_item *b)
{
    return a->key == b->key && a->create_revision == b->create_revision &&
           a->mod_revision == b->mod_revision && a->version == b->version && a->value == b->value;
}

static bool check_items(struct check_history *h, const struct history_answer *answer,
                        const struct history_item *expected, uint32_t expected_count)
{
    if (answer->item_count != expected_count)
        return check_fail(h->report, "linearizable",
                          "%u items at index %" PRIu64 " revision %" PRId64 ", expected %u",
                          answer->item_count, answer->index, answer->revision, expected_count);
    for (uint32_t i = 0; i < expected_count; i++) {
        const struct history_item *got = &answer->items[i];
        const struct history_item *want = &expected[i];
        if (same_item(got, want))
            continue;
        return check_fail(h->report, "linearizable",
                          "index %" PRIu64 ": key %u mod %" PRId64 " version %" PRId64
                          " value %" PRIu64 ", expected key %u mod %" PRId64 " version %" PRId64
                          " value %" PRIu64,
                          answer->index, got->key, got->mod_revision, got->version, got->value,
                          want->key, want->mod_revision, want->version, want->value);
    }
    return true;
}

static bool check_write(struct check_history *h, const struct history_call *call,
                        const struct history_answer *answer)
{
    struct history_item expected[HISTORY_KEYS];

    if (call->index == 0 || call->index != answer->index)
        return check_fail(h->report, "acknowledged-kept",
                          "an OK says index %" PRIu64 ", the request is committed at %" PRIu64,
                          answer->index, call->index);
    ASSERT(call->index > call->floor); /* it was committed after it began */
    const int64_t before = model_revision(&h->model, call->index - 1);
    const uint32_t replaced = expected_items(h, call, before, expected);
    if (call->kind == HISTORY_DELETE && answer->count != replaced)
        return check_fail(h->report, "linearizable",
                          "a delete at %" PRIu64 " says %" PRId64 " keys, expected %u",
                          answer->index, answer->count, replaced);
    return check_items(h, answer, expected, call->prev_kv ? replaced : 0);
}

static bool check_read(struct check_history *h, const struct history_call *call,
                       const struct history_answer *answer)
{
    struct history_item expected[HISTORY_KEYS];

    if (call->kind == HISTORY_READ && answer->index < call->floor)
        return check_fail(h->report, "linearizable",
                          "a read at %" PRIu64 " began after %" PRIu64 " was seen", answer->index,
                          call->floor);
    if (h->local[call->node].boot == call->boot && answer->index < h->local[call->node].index)
        return check_fail(h->report, "linearizable",
                          "node %u reads at %" PRIu64 " after it has read at %" PRIu64, call->node,
                          answer->index, h->local[call->node].index);
    h->local[call->node].boot = call->boot;
    h->local[call->node].index = answer->index;

    const uint32_t in_range = expected_items(h, call, answer->revision, expected);
    if (answer->count != in_range)
        return check_fail(h->report, "linearizable",
                          "a read at %" PRIu64 " counts %" PRId64 " keys, expected %u",
                          answer->index, answer->count, in_range);
    const bool cut = call->limit != 0 && call->limit < in_range;
    if (answer->more != cut)
        return check_fail(h->report, "linearizable", "a read at %" PRIu64 " has a wrong `more`",
                          answer->index);
    return check_items(h, answer, expected, cut ? call->limit : in_range);
}

static bool check_refused(struct check_history *h, struct history_call *call)
{
    if (call->index != 0)
        return check_fail(h->report, "exact-fate",
                          "node %u refuses a request that is committed at %" PRIu64, call->node,
                          call->index);
    call->fate = HISTORY_REFUSED;
    return true;
}

bool check_history_end(struct check_history *h, struct history_call *call,
                       const struct history_answer *answer)
{
    if (call->fate != HISTORY_OPEN)
        return check_fail(h->report, "exact-fate", "node %u answers one request twice", call->node);
    call->fate = answer->fate;
    if (answer->fate == HISTORY_REFUSED)
        return check_refused(h, call);
    if (answer->fate == HISTORY_PASSED && !is_write(call))
        return check_fail(h->report, "exact-fate", "the fate of a read is said to be unknown");
    if (answer->fate == HISTORY_UNKNOWN || answer->fate == HISTORY_PASSED)
        return true;

    if (answer->index > h->model.last)
        return check_fail(h->report, "linearizable",
                          "an answer at index %" PRIu64 ", committed is %" PRIu64, answer->index,
                          h->model.last);
    if (answer->revision != model_revision(&h->model, answer->index))
        return check_fail(h->report, "linearizable",
                          "index %" PRIu64 " has revision %" PRId64 ", an answer says %" PRId64,
                          answer->index, model_revision(&h->model, answer->index),
                          answer->revision);
    if (call->kind != HISTORY_READ_LOCAL && answer->index > h->completed)
        h->completed = answer->index;
    return is_write(call) ? check_write(h, call, answer) : check_read(h, call, answer);
}
