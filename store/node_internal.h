/* store/node_internal.h: one node of the tree (store/tree_internal.h): 1 KiB.
 *
 * Keys are held as references to items. To keep the search within the node, each slot has the head
 * of its key: the 8 bytes after the prefix that all keys of the node share, as a number that orders
 * as the bytes do, zero where the key has ended. Only keys with equal heads are compared in full.
 *
 * A leaf has a slot for each key. An inner node has one for each child; its key is the smallest in
 * that child's subtree. The key of slot 0 is not kept (whatever is smaller than slot 1 goes there):
 * it has no head, does not take part in the prefix, and its reference must not be followed.
 *
 * The prefix is the longest common one only after node_reload(); later it may be shorter than it
 * could be, never longer. It is bounded so that prefix and head lie in an item's first block.
 */
#ifndef STORE_NODE_INTERNAL_H
#define STORE_NODE_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "store/item_internal.h"

enum {
    NODE_SHIFT = 10,
    NODE_PREFIX_MAX = 48,
    NODE_HEAD_BYTES = 8,
    LEAF_SLOTS = 80,
    INNER_SLOTS = 48,
    LEAF_SLOTS_MIN = LEAF_SLOTS / 4, /* but the root; below it neighbours merge or share */
    INNER_SLOTS_MIN = INNER_SLOTS / 4,
};

static_assert(NODE_PREFIX_MAX + NODE_HEAD_BYTES <= ITEM_FIRST_BYTES, "heads need no second block");

struct node_leaf {
    uint64_t head[LEAF_SLOTS];
    uint32_t item[LEAF_SLOTS];
};

struct node_inner {
    uint64_t head[INNER_SLOTS];
    uint32_t item[INNER_SLOTS];
    uint32_t child[INNER_SLOTS];
    uint32_t key_count[INNER_SLOTS]; /* keys below that child */
};

struct node {
    uint32_t count; /* slots in use */
    uint32_t next;  /* leaves only: neighbours in key order, 0 at the ends */
    uint32_t previous;
    bool inner;
    uint8_t prefix_bytes;
    uint8_t prefix[NODE_PREFIX_MAX + 2];
    union {
        struct node_leaf leaf;
        struct node_inner in;
    };
};

static_assert(sizeof(struct node) == 1 << NODE_SHIFT, "one block");

static inline uint32_t node_slots(const struct node *node)
{
    return node->inner ? INNER_SLOTS : LEAF_SLOTS;
}

static inline uint32_t node_slots_min(const struct node *node)
{
    return node->inner ? INNER_SLOTS_MIN : LEAF_SLOTS_MIN;
}

static inline uint32_t *node_items(struct node *node)
{
    return node->inner ? node->in.item : node->leaf.item;
}

/* A key to look for: its bytes; or those of an item, of which only the first block lies at `bytes`. */
struct node_key {
    const uint8_t *bytes;
    uint32_t length;
    uint32_t item; /* 0: none, and all the bytes are there */
};

void node_init(struct node *node, bool inner);

/* Asks for what a search in a leaf will read, in one go; load after load would take longer. */
void node_prefetch(const struct node *node);

/* First slot that has a key and whose key is not smaller; node->count if there is none. */
uint32_t node_lower_bound(const struct items *items, const struct node *node,
                          const struct node_key *key, bool *equal);

/* Makes `slot` a slot of `item`, whose key differs from all others' there; later slots move up. The
 * caller sets child and key_count. */
void node_insert(const struct items *items, struct node *node, uint32_t slot, uint32_t item);
void node_remove(struct node *node, uint32_t slot);
/* Another key for a slot, between its neighbours' keys. */
void node_set_key(const struct items *items, struct node *node, uint32_t slot, uint32_t item);

/* Moves `count` slots from the end of `left` to the beginning of `right`, or the other way; the
 * caller reloads both. */
void node_move_right(struct node *left, struct node *right, uint32_t count);
void node_move_left(struct node *left, struct node *right, uint32_t count);

/* Finds the longest prefix anew, and all heads. */
void node_reload(const struct items *items, struct node *node);

/* Keys in its subtree. */
uint64_t node_key_count(const struct node *node);

/* ASSERTs that prefix and heads are those of the keys, and the keys in order. */
void node_verify(const struct items *items, struct node *node);

#endif
