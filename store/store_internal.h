/* store/store_internal.h: what the files of the store share: its state and the work under way.
 *
 *   IDLE --store_begin_apply()--> PUT | DELETE | REFUSED ---work---> IDLE
 *   IDLE --store_begin_read()---> DIGEST | RANGE | REFUSED --work--> IDLE
 *
 * A range goes through phases, each resumable after any key (store/range.c):
 *
 *   [MEASURE | SELECT -> ARRANGE] -> HEADER -> [EMIT]
 *
 * MEASURE counts what the filters let through; SELECT gathers the best `limit` items of a sort
 * order and ARRANGE puts them in order; a range in the order of keys without filters needs neither.
 * So count, items and more are known before the first byte leaves.
 */
#ifndef STORE_STORE_INTERNAL_H
#define STORE_STORE_INTERNAL_H

#include "store/store.h"
#include "store/tree_internal.h"

enum work_kind { WORK_IDLE, WORK_REFUSED, WORK_PUT, WORK_DELETE, WORK_DIGEST, WORK_RANGE };

enum range_phase { RANGE_MEASURE, RANGE_SELECT, RANGE_ARRANGE, RANGE_HEADER, RANGE_EMIT };

struct work {
    enum work_kind kind;
    enum range_phase phase;
    bool wanted;
    bool header_written;
    uint64_t index; /* of an apply; 0: a read */
    struct command command;
    struct store_outcome outcome;
    uint64_t rank;            /* keys in front of the range */
    uint64_t count;           /* keys in it */
    uint64_t items;           /* to emit */
    uint64_t visited;         /* keys of the range, in this phase */
    uint64_t matched;         /* of them, what the filters let through */
    uint64_t emitted;         /* or deleted */
    struct tree_cursor first; /* the range's first key, if it has one */
    struct tree_cursor cursor;
};

/* References to items in a heap whose top is the one that comes last in the wanted order. */
struct selection {
    uint32_t *item; /* one for each key that there can be */
    uint64_t count;
    uint64_t unsorted; /* those from here on are in their place */
};

struct store {
    struct items items;
    struct tree tree;
    struct selection selection;
    struct store_options options;
    uint64_t quota_bytes;
    uint64_t logical_bytes;
    uint64_t digest;
    uint64_t applied;
    int64_t revision;
    struct work work;
};

/* A budget of keys, of which a large item takes several: copying is work too. */
enum { WORK_KEY_BYTES = 4096 };

static inline void work_spend(uint32_t *budget, uint64_t text_bytes)
{
    const uint64_t cost = 1 + text_bytes / WORK_KEY_BYTES;
    *budget = cost < *budget ? *budget - (uint32_t)cost : 0;
}

/* store/apply.c. Each takes what the work says and goes on with it. */
void apply_begin_delete(struct store *s);
enum store_progress apply_put(struct store *s, struct store_sink *sink);
enum store_progress apply_delete(struct store *s, struct store_sink *sink, uint32_t budget);

/* store/range.c */
void range_begin(struct store *s);
enum store_progress range_work(struct store *s, struct store_sink *sink, uint32_t budget);
/* Finds the keys of the range that the command names: rank, count, first. */
void range_bounds(struct store *s);

/* store/selection.c. `limit` 0: all. */
void selection_clear(struct selection *selection);
void selection_offer(struct store *s, uint32_t item, uint64_t limit);
/* Puts at most *budget items into their place; true when all are. */
bool selection_arrange(struct store *s, uint32_t *budget);

/* store/result.c. False: the sink has no room, and nothing was written. */
bool result_header(struct store_sink *sink, const struct result_header *header);
bool result_item(const struct store *s, struct store_sink *sink, uint32_t item, bool with_value);
/* Whether `bytes` fit now. It must fit into an empty sink. */
bool result_fits(const struct store_sink *sink, uint64_t bytes);
uint64_t result_item_bytes(const struct store *s, uint32_t item, bool with_value);

#endif
