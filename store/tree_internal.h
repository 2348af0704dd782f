/* store/tree_internal.h: the ordered index: a B+tree of items that knows how many keys lie below.
 *
 * Order      By the bytes of the key (memcmp, the shorter first).
 * Counts     Inner nodes count the keys below each child, so the rank of a key and the key of a
 *            rank are found on one way down; a range is a pair of ranks.
 * Fill       A node but the root is at least a quarter full; height and memory are bounded by that.
 * Ownership  Items are the caller's; keys are looked up in them. An item in the tree must not be
 *            given back before it was removed or replaced.
 */
#ifndef STORE_TREE_INTERNAL_H
#define STORE_TREE_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "store/node_internal.h"

enum { TREE_HEIGHT_MAX = 10 }; /* 20 * 12^9 keys, more than item references can name */

struct tree {
    struct slab nodes;
    const struct items *items;
    uint32_t root;
    uint32_t height; /* levels, that of the leaves (0) included */
    uint64_t key_count;
};

/* The way down to a slot of a leaf. Any change of the tree makes it invalid. */
struct tree_path {
    uint32_t node[TREE_HEIGHT_MAX];
    uint32_t slot[TREE_HEIGHT_MAX];
};

/* A key in the order of keys; valid until the tree changes. */
struct tree_cursor {
    uint32_t leaf;
    uint32_t slot;
};

/* Most nodes that a tree of `keys` keys can have. */
uint64_t tree_node_count(uint64_t keys);
/* `nodes` is an empty slab of blocks of 1 << NODE_SHIFT. */
void tree_init(struct tree *tree, const struct slab *nodes, const struct items *items);

/* The item of `key`, or 0; `path` then leads to where it would stand. */
uint32_t tree_find(const struct tree *tree, const uint8_t *key, uint32_t length,
                   struct tree_path *path);
/* Where the key of `item` stands or would stand, which need not be in this tree; the item of that key
 * that is, or 0. */
uint32_t tree_find_item(const struct tree *tree, uint32_t item, struct tree_path *path);
/* Behind the last key. */
void tree_find_end(const struct tree *tree, struct tree_path *path);
/* How many keys stand in front of that place. */
uint64_t tree_rank(const struct tree *tree, const struct tree_path *path);
/* The key with `rank` smaller ones. */
uint32_t tree_select(const struct tree *tree, uint64_t rank, struct tree_path *path);

/* `path` is that of tree_find() for its key, which has no item yet. */
void tree_insert(struct tree *tree, struct tree_path *path, uint32_t item);
/* Another item with the same key. */
void tree_replace(struct tree *tree, const struct tree_path *path, uint32_t item);
void tree_remove(struct tree *tree, const struct tree_path *path);
/* Forgets all keys, at once. */
void tree_clear(struct tree *tree);

/* At the key that `path` leads to, or the next one if it leads to the end of a leaf. */
struct tree_cursor tree_cursor_of(const struct tree *tree, const struct tree_path *path);
struct tree_cursor tree_cursor_at(const struct tree *tree, uint64_t rank);
uint32_t tree_cursor_item(const struct tree *tree, struct tree_cursor cursor);
/* The item behind the one that `path` leads to; 0: that is the last. */
uint32_t tree_following(const struct tree *tree, const struct tree_path *path);
/* To the next key (or the one before). False: there is none, and the cursor stays. */
bool tree_cursor_next(const struct tree *tree, struct tree_cursor *cursor);
bool tree_cursor_previous(const struct tree *tree, struct tree_cursor *cursor);

/* ASSERTs all that this page promises; O(keys). */
void tree_verify(const struct tree *tree);

/* store/tree_balance.c, for tree.c: makes room for one more slot in the leaf of `path`, which then
 * leads to the same place. */
void tree_make_room(struct tree *tree, struct tree_path *path);
/* Restores the fill after a slot was taken out of the leaf of `path`. */
void tree_rebalance(struct tree *tree, const struct tree_path *path);

static inline struct node *tree_node(const struct tree *tree, uint32_t ref)
{
    return slab_at(&tree->nodes, ref);
}

#endif
