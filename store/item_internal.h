/* store/item_internal.h: one version of one key: its numbers, its key and its value.
 *
 * Shape      A first block of 128 bytes with the numbers and 80 bytes of text (the key, then the
 *            value). Longer text goes on in further blocks: large ones as long as more than
 *            ITEM_LARGE_FROM bytes remain, then small ones; so the shape follows from the lengths.
 *            A key of 16 and a value of 64 bytes fill the first block exactly.
 * Charge     An item counts for its text and STORE_KEY_CHARGE_BYTES towards the quota. It occupies
 *            at most, per charged byte: 128/49 bytes of small blocks (one-byte keys without a
 *            value) and 4096/3073 bytes of large ones (text that just needs one). Both are bounds
 *            of their own, for one load may follow the other; nothing else is ever lost, in any
 *            order of puts and deletes.
 * Ownership  The tree holds the newest item of a key; `older` will hold the versions before it.
 */
#ifndef STORE_ITEM_INTERNAL_H
#define STORE_ITEM_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "store/slab_internal.h"
#include "store/store.h"

enum {
    ITEM_SMALL_SHIFT = 7,
    ITEM_LARGE_SHIFT = 12,
    ITEM_FIRST_BYTES = 80,   /* text in the first block */
    ITEM_SMALL_BYTES = 120,  /* text in a further small block */
    ITEM_LARGE_BYTES = 4088, /* text in a large block */
    ITEM_LARGE_FROM = 3072,  /* more than this remains: the next block is a large one */
};

struct item {
    int64_t mod_revision;
    int64_t create_revision;
    int64_t version;
    int64_t lease;
    uint32_t older; /* the version before this one; none is kept yet: 0 */
    uint32_t next;  /* block with more of the text */
    uint32_t key_bytes;
    uint32_t value_bytes;
    uint8_t text[ITEM_FIRST_BYTES];
};

/* The beginning of a further block of either size; its text follows. */
struct item_block {
    uint32_t next;
    uint32_t zero;
    uint8_t text[];
};

static_assert(sizeof(struct item) == 1 << ITEM_SMALL_SHIFT, "one small block");
static_assert(sizeof(struct item_block) + ITEM_SMALL_BYTES == 1 << ITEM_SMALL_SHIFT, "likewise");
static_assert(sizeof(struct item_block) + ITEM_LARGE_BYTES == 1 << ITEM_LARGE_SHIFT, "large");

struct items {
    struct slab small;
    struct slab large;
};

/* A place in the text of an item: what lies in the block at hand, and what comes after it. It is good
 * as long as the item. */
struct item_place {
    uint8_t *bytes;
    uint32_t length;    /* of the text from here to the end of the block */
    uint32_t next;      /* block after this one */
    uint32_t remaining; /* text in the blocks after this one */
};

/* The end of the text of an item in the making, which takes its blocks as they are needed. */
struct item_making {
    uint32_t *link; /* that will name the next block */
    uint8_t *bytes;
    uint32_t room;      /* in the block at hand */
    uint32_t remaining; /* text for which there is no block yet */
};

/* The hash of an item whose text comes piece by piece. */
struct item_hashing {
    uint64_t lane, other_lane;
    uint64_t word; /* the bytes that do not fill a word yet, zeros behind them */
    uint32_t word_bytes;
};

struct item_blocks {
    uint64_t small, large;
};

/* Most blocks that items charged with `bytes` in all can occupy, one more item in flight. */
uint64_t items_small_count(uint64_t bytes);
uint64_t items_large_count(uint64_t bytes);

static inline struct item *item_at(const struct items *items, uint32_t ref)
{
    return slab_at(&items->small, ref);
}

static inline uint32_t item_text_bytes(const struct item *item)
{
    ASSERT_SLOW(item->value_bytes <= COMMAND_TEXT_BYTES_MAX);
    return item->key_bytes + item->value_bytes;
}

static inline uint64_t item_charge(uint32_t key_bytes, uint32_t value_bytes)
{
    return (uint64_t)key_bytes + value_bytes + STORE_KEY_CHARGE_BYTES;
}

/* A new item with its lengths; its numbers are the caller's to write, its text comes piece by piece. */
uint32_t item_make(struct items *items, uint32_t key_bytes, uint32_t value_bytes,
                   struct item_making *making);
void item_give(struct items *items, uint32_t ref);
/* The next of its text. */
void item_make_text(struct items *items, struct item_making *making, const uint8_t *bytes,
                    uint32_t length);
static inline uint32_t item_making_left(const struct item_making *making)
{
    return making->room + making->remaining;
}
/* The whole text of `from`, which has the same lengths. */
void item_make_same(struct items *items, struct item_making *making, uint32_t from);
/* Adds how many it has. */
void item_count_blocks(const struct item *item, struct item_blocks *blocks);

/* Copies the first `length` bytes of the text to `out`. */
void item_read(const struct items *items, uint32_t ref, uint8_t *out, uint32_t length);
/* Likewise, piece by piece: from a place on, which moves. */
struct item_place item_text(const struct items *items, uint32_t ref);
void item_read_on(const struct items *items, struct item_place *place, uint8_t *out,
                  uint32_t length);
static inline uint32_t item_text_left(const struct item_place *place)
{
    return place->length + place->remaining;
}

/* Orders as memcmp does, the shorter first: negative, 0 or positive. */
int item_compare_key(const struct items *items, uint32_t ref, const uint8_t *key, uint32_t length);
int item_compare_keys(const struct items *items, uint32_t a, uint32_t b);
int item_compare_values(const struct items *items, uint32_t a, uint32_t b);

/* Of the numbers and the text, not of where they lie. */
uint64_t item_hash(const struct items *items, uint32_t ref);
struct item_hashing item_hash_begin(const struct item *item);
void item_hash_text(struct item_hashing *hashing, const uint8_t *bytes, uint32_t length);
uint64_t item_hash_end(const struct item_hashing *hashing);

#endif
