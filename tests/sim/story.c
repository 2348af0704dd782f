#include "tests/sim/story.h"

#include "base/assert.h"
#include "sim/check_linear.h"

#include <string.h>

struct story_step *story_add(struct story *s, enum story_step_kind kind, uint32_t call)
{
    ASSERT(s->step_count < STORY_STEPS_MAX);
    struct story_step *step = &s->step[s->step_count++];

    *step = (struct story_step){.kind = (uint8_t)kind, .call = call};
    return step;
}

static struct history_answer answer_of(const struct story_step *step)
{
    struct history_answer answer = step->answer;

    answer.items = step->item;
    return answer;
}

static void tell_replay(const struct story *s, struct check_report *report)
{
    struct history_call call[STORY_CALLS_MAX];
    struct check_history *h = check_history_create();

    memcpy(call, s->call, sizeof call);
    check_history_reset(h, STORY_REVISION_FIRST, report);
    for (uint32_t i = 0; i < s->step_count && report->invariant == NULL; i++) {
        const struct story_step *step = &s->step[i];
        struct history_call *c = step->call < STORY_CALLS_MAX ? &call[step->call] : NULL;
        const struct history_answer answer = answer_of(step);
        if (step->kind == STORY_BEGIN)
            check_history_begin(h, c);
        else if (step->kind == STORY_COMMIT)
            check_history_commit(h, c);
        else
            check_history_end(h, c, &answer);
    }
    check_history_destroy(h);
}

static uint64_t tell_search(const struct story *s, struct check_report *report)
{
    uint64_t name[STORY_CALLS_MAX] = {0};
    struct check_linear *l = check_linear_create();

    check_linear_reset(l, STORY_REVISION_FIRST, report);
    for (uint32_t i = 0; i < s->step_count && report->invariant == NULL; i++) {
        const struct story_step *step = &s->step[i];
        const struct history_answer answer = answer_of(step);
        if (step->kind == STORY_BEGIN) {
            name[step->call] = check_linear_begin(l, &s->call[step->call]);
        } else if (step->kind == STORY_END) {
            check_linear_end(l, name[step->call], &answer);
            name[step->call] = 0;
        }
    }
    if (report->invariant == NULL)
        check_linear_finish(l);
    const uint64_t given_up = check_linear_count(l, LINEAR_ASIDE) +
                              check_linear_count(l, LINEAR_BLUR) +
                              check_linear_count(l, LINEAR_GAVE_UP);
    check_linear_destroy(l);
    return given_up;
}

void story_tell(const struct story *s, struct story_verdict *verdict)
{
    struct check_report replay = {0}, search = {0};

    tell_replay(s, &replay);
    verdict->given_up = tell_search(s, &search);
    verdict->replay = replay.invariant;
    verdict->search = search.invariant;
    memcpy(verdict->replay_detail, replay.detail, sizeof replay.detail);
    memcpy(verdict->search_detail, search.detail, sizeof search.detail);
}
