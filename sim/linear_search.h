/* sim/linear_search.h: the search itself: configurations, and how one leads to others.
 *
 * check_linear.c fills the table of calls and asks for one ended call at a time, in the order of
 * ends; what is left after each is every configuration that explains all answers so far.
 */
#ifndef SIM_LINEAR_SEARCH_H
#define SIM_LINEAR_SEARCH_H

#include "sim/check_linear.h"
#include "sim/linear_state.h"

enum {
    LINEAR_CALLS_MAX = 1024,  /* of three or five nodes cut off for long: none is set aside */
    LINEAR_CONFIGS_MAX = 512, /* of one search, those left from the last included */
    LINEAR_MEMORY_SLOTS = 2 * LINEAR_CONFIGS_MAX,
    LINEAR_BUCKETS = 1024,
    LINEAR_WORDS = LINEAR_CALLS_MAX / 64,
    LINEAR_NONE = UINT16_MAX,
};

struct linear_call {
    struct history_call call;
    struct history_answer answer; /* fate HISTORY_OPEN: none yet */
    struct history_item item[HISTORY_KEYS];
    uint64_t name;          /* 0: this place is free */
    uint64_t began, ended;  /* positions in the history */
    int64_t revision_floor; /* local reads: no older than this */
    uint16_t same_bucket;   /* next call whose answer has a revision of this bucket */
};

struct linear_config {
    struct linear_state state;
    uint64_t hash; /* of the set */
    uint64_t done[LINEAR_WORDS];
};

struct linear_search {
    struct linear_call call[LINEAR_CALLS_MAX];
    uint16_t bucket[LINEAR_BUCKETS]; /* answered calls by revision */
    uint16_t unknown[LINEAR_CALLS_MAX];
    uint32_t unknown_count;
    uint32_t blurred; /* keys that forgotten unknown writes may still change; a bit each */

    struct linear_config config[LINEAR_CONFIGS_MAX];
    uint32_t config_count;
    bool full; /* there was no room for another one */
    struct {
        uint32_t generation;
        uint32_t config;
    } memory[LINEAR_MEMORY_SLOTS];
    uint32_t generation;

    uint64_t count[LINEAR_COUNT_COUNT];
};

void linear_search_reset(struct linear_search *s, int64_t revision_first);
/* The answer of a call has come; its revision finds it from here on. */
void linear_search_add(struct linear_search *s, uint16_t call);
/* The call leaves the table. It is done in all configurations, or may be forgotten. */
void linear_search_drop(struct linear_search *s, uint16_t call);
/* False: no order explains the answer of `call`, whose turn it is. */
bool linear_search_explain(struct linear_search *s, uint16_t call);
bool linear_search_done_everywhere(const struct linear_search *s, uint16_t call);

#endif
