/* tests/sim/story.h: a history as a list of steps, told to both history checkers.
 *
 * A step is a beginning, a commit or an end, in the order in which they happen. The replay
 * (sim/check_history.h) is told all of them, the search (sim/check_linear.h) only beginnings and
 * ends. Each has a report of its own; what has failed is told nothing more.
 */
#ifndef TESTS_SIM_STORY_H
#define TESTS_SIM_STORY_H

#include "sim/check_history.h"

enum {
    STORY_CALLS_MAX = 128,
    STORY_STEPS_MAX = 3 * STORY_CALLS_MAX,
    STORY_REVISION_FIRST = 1,
    STORY_NAME_BYTES = 96,
    STORY_WHY_BYTES = 256,
};

enum story_step_kind { STORY_BEGIN, STORY_COMMIT, STORY_END };

struct story_step {
    uint8_t kind;
    uint32_t call;                /* number; STORY_CALLS_MAX: a commit of what is no command */
    struct history_answer answer; /* of an end; `items` is not used */
    struct history_item item[HISTORY_KEYS];
};

struct story {
    char name[STORY_NAME_BYTES];
    struct history_call call[STORY_CALLS_MAX];
    uint32_t call_count;
    struct story_step step[STORY_STEPS_MAX];
    uint32_t step_count;
};

/* Which invariant each checker names; NULL: it accepts. */
struct story_verdict {
    const char *replay;
    const char *search;
    char replay_detail[CHECK_DETAIL_BYTES];
    char search_detail[CHECK_DETAIL_BYTES];
    uint64_t given_up; /* windows, calls and writes that the search let go */
};

struct story_step *story_add(struct story *s, enum story_step_kind kind, uint32_t call);
void story_tell(const struct story *s, struct story_verdict *verdict);

#endif
