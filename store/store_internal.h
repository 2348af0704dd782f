/* store/store_internal.h: what the files of the store share: its state and the work under way.
 *
 *   IDLE --store_begin_apply()--> PUT | DELETE | REFUSED ---work---> IDLE
 *   IDLE --store_begin_read()---> DIGEST | RANGE | REFUSED --work--> IDLE
 *   IDLE, LOAD --store_load_begin()--> LOAD --store_load_end(): GOOD--> IDLE
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

#include "store/snapshot.h"
#include "store/tree_internal.h"

enum work_kind {
    WORK_IDLE,
    WORK_REFUSED,
    WORK_PUT,
    WORK_DELETE,
    WORK_DIGEST,
    WORK_RANGE,
    WORK_LOAD
};

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
    uint64_t gone_bytes;      /* charge of the items that it has taken out so far */
    uint64_t gone_digest;     /* and their hashes */
    struct tree_cursor first; /* the range's first key, if it has one */
    struct tree_cursor cursor;
};

/* References to items in a heap whose top is the one that comes last in the wanted order. */
struct selection {
    uint32_t *item; /* one for each key that there can be */
    uint64_t count;
    uint64_t unsorted; /* those from here on are in their place */
};

/* Of a snapshot (docs/formats.md, "Store content"); the structs are the format. */
enum { CONTENT_MAGIC = 0x43534b53, CONTENT_VERSION = 1 };

struct content_header {
    uint32_t magic;
    uint16_t version;
    uint16_t reserved;
    uint64_t index;
    int64_t revision;
    uint64_t quota_bytes;
    uint64_t logical_bytes;
    uint64_t key_count;
    uint64_t digest;
    uint64_t crc; /* CRC-64/XZ of the bytes in front of it */
};

struct content_item {
    int64_t mod_revision;
    int64_t create_revision;
    int64_t version;
    int64_t lease;
    uint32_t key_bytes;
    uint32_t value_bytes;
};

static_assert(sizeof(struct content_header) == 64, "docs/formats.md");
static_assert(sizeof(struct content_item) == 40, "docs/formats.md");
static_assert(sizeof(struct content_item) <= STORE_KEY_CHARGE_BYTES, "a quota bounds its content");

union content_fixed {
    struct content_header header;
    struct content_item item;
    uint8_t bytes[sizeof(struct content_header)];
};

enum pin_state { PIN_FREE, PIN_PINNED, PIN_RELEASING };

/* The pinned state is what of `tree` is not newer than the pin, from `next` on, and all of `kept`. No
 * key is in both. */
struct pin {
    enum pin_state state;
    struct content_header header; /* of the state that is pinned */
    struct tree kept;             /* items that were taken out of the tree */
    uint64_t kept_bytes;          /* their charge */
    uint32_t next;             /* item of the tree: those in front of it are emitted; 0: all are */
    uint32_t item;             /* being emitted, the next one of the tree or the first one kept */
    union content_fixed fixed; /* what goes in front of its text */
    uint32_t fixed_bytes;      /* 0: nothing is being emitted */
    uint32_t fixed_used;
    struct item_place text; /* of what is to be emitted of it */
    uint64_t emitted_count; /* items */
    uint64_t emitted_bytes;
    uint64_t released_count;    /* of those kept; RELEASING */
    struct tree_cursor release; /* the next of them */
};

enum load_step { LOAD_HEADER, LOAD_ITEM, LOAD_TEXT };

struct load {
    enum load_step step;
    enum store_load_verdict verdict;
    uint64_t index;
    struct content_header header;
    union content_fixed fixed; /* as far as it has come */
    uint32_t fixed_used;
    uint32_t item; /* in the making */
    struct item_making making;
    struct item_hashing hashing;
    uint32_t previous; /* item in front of it; 0: it is the first */
    uint64_t logical_bytes;
    uint64_t digest;
};

struct store {
    struct items items;
    struct tree tree;
    struct pin pin;
    struct load load;
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

/* store/pin.c. `item` is about to leave the tree, and `next` stands in its place then: the key's new
 * version, or the next key (0: none). True: it is kept, and must not be given back. */
bool pin_keep(struct store *s, uint32_t item, uint32_t next);
/* The pin and what it keeps is forgotten, for all items are. */
void pin_drop(struct store *s);
/* Adds the blocks of what is kept. */
void pin_verify(const struct store *s, struct item_blocks *blocks);

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
