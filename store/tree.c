/* store/tree.c: the ways down the tree, and the walk along its leaves. */
#include "store/tree_internal.h"

enum { PREFETCH_SLOTS = 16 }; /* a walk asks for items so far ahead: about one memory latency */

uint64_t tree_node_count(uint64_t keys)
{
    const uint64_t leaves = keys / LEAF_SLOTS_MIN + 1;
    /* Each level has at most a twelfth of the one below: together an eleventh. The root of each
     * height may be less full, and a split may be under way on each level. */
    return leaves + leaves / (INNER_SLOTS_MIN - 1) + 3 * (uint64_t)TREE_HEIGHT_MAX;
}

void tree_init(struct tree *tree, const struct slab *nodes, const struct items *items)
{
    ASSERT(nodes->used == 0);
    ASSERT(nodes->block_shift == NODE_SHIFT);
    *tree = (struct tree){.nodes = *nodes, .items = items};
    tree_clear(tree);
}

void tree_clear(struct tree *tree)
{
    slab_clear(&tree->nodes);
    tree->root = slab_take(&tree->nodes);
    tree->height = 1;
    tree->key_count = 0;
    node_init(tree_node(tree, tree->root), false);
}

static uint32_t find(const struct tree *tree, const struct node_key *key, struct tree_path *path)
{
    uint32_t ref = tree->root;
    bool equal = false;

    ASSERT(tree->height > 0);
    ASSERT(tree->height <= TREE_HEIGHT_MAX);
    for (uint32_t level = tree->height - 1; level > 0; level--) {
        const struct node *node = tree_node(tree, ref);
        const uint32_t bound = node_lower_bound(tree->items, node, key, &equal);
        ASSERT(bound > 0); /* slot 0 has no key */
        const uint32_t slot = equal ? bound : bound - 1;
        path->node[level] = ref;
        path->slot[level] = slot;
        ref = node->in.child[slot];
        node_prefetch(tree_node(tree, ref));
    }
    const struct node *leaf = tree_node(tree, ref);
    path->node[0] = ref;
    path->slot[0] = node_lower_bound(tree->items, leaf, key, &equal);
    return equal ? leaf->leaf.item[path->slot[0]] : 0;
}

uint32_t tree_find(const struct tree *tree, const uint8_t *key, uint32_t length,
                   struct tree_path *path)
{
    const struct node_key wanted = {.bytes = key, .length = length};

    return find(tree, &wanted, path);
}

uint32_t tree_find_item(const struct tree *tree, uint32_t item, struct tree_path *path)
{
    const struct item *of = item_at(tree->items, item);
    const struct node_key wanted = {.bytes = of->text, .length = of->key_bytes, .item = item};

    ASSERT(item != 0);
    return find(tree, &wanted, path);
}

void tree_find_end(const struct tree *tree, struct tree_path *path)
{
    uint32_t ref = tree->root;

    for (uint32_t level = tree->height - 1; level > 0; level--) {
        const struct node *node = tree_node(tree, ref);
        ASSERT(node->count > 0);
        path->node[level] = ref;
        path->slot[level] = node->count - 1;
        ref = node->in.child[node->count - 1];
    }
    path->node[0] = ref;
    path->slot[0] = tree_node(tree, ref)->count;
}

uint64_t tree_rank(const struct tree *tree, const struct tree_path *path)
{
    uint64_t rank = path->slot[0];

    for (uint32_t level = 1; level < tree->height; level++) {
        const struct node *node = tree_node(tree, path->node[level]);
        ASSERT(path->slot[level] < node->count);
        for (uint32_t i = 0; i < path->slot[level]; i++)
            rank += node->in.key_count[i];
    }
    ASSERT(rank <= tree->key_count);
    return rank;
}

uint32_t tree_select(const struct tree *tree, uint64_t rank, struct tree_path *path)
{
    uint32_t ref = tree->root;

    ASSERT(rank < tree->key_count);
    for (uint32_t level = tree->height - 1; level > 0; level--) {
        const struct node *node = tree_node(tree, ref);
        uint32_t slot = 0;
        while (rank >= node->in.key_count[slot]) {
            rank -= node->in.key_count[slot];
            slot++;
            ASSERT(slot < node->count);
        }
        path->node[level] = ref;
        path->slot[level] = slot;
        ref = node->in.child[slot];
    }
    const struct node *leaf = tree_node(tree, ref);
    ASSERT(!leaf->inner);
    ASSERT(rank < leaf->count);
    path->node[0] = ref;
    path->slot[0] = (uint32_t)rank;
    return leaf->leaf.item[rank];
}

void tree_insert(struct tree *tree, struct tree_path *path, uint32_t item)
{
    ASSERT(item != 0);
    tree_make_room(tree, path);
    ASSERT(tree_node(tree, path->node[0])->count < LEAF_SLOTS);
    node_insert(tree->items, tree_node(tree, path->node[0]), path->slot[0], item);
    for (uint32_t level = 1; level < tree->height; level++)
        tree_node(tree, path->node[level])->in.key_count[path->slot[level]]++;
    tree->key_count++;
}

/* The smallest key of a leaf is also that of all subtrees of which the leaf is the first: the inner
 * node that holds it is the lowest one that does not go down by its slot 0. */
static void set_smallest(struct tree *tree, const struct tree_path *path, uint32_t item)
{
    ASSERT(path->slot[0] == 0);
    for (uint32_t level = 1; level < tree->height; level++) {
        if (path->slot[level] == 0)
            continue;
        node_set_key(tree->items, tree_node(tree, path->node[level]), path->slot[level], item);
        return;
    }
}

void tree_replace(struct tree *tree, const struct tree_path *path, uint32_t item)
{
    struct node *leaf = tree_node(tree, path->node[0]);

    ASSERT(item != 0);
    ASSERT(path->slot[0] < leaf->count);
    ASSERT_SLOW(item_compare_keys(tree->items, leaf->leaf.item[path->slot[0]], item) == 0);
    leaf->leaf.item[path->slot[0]] = item; /* the head is that of the key: it stays */
    if (path->slot[0] == 0)
        set_smallest(tree, path, item);
}

void tree_remove(struct tree *tree, const struct tree_path *path)
{
    struct node *leaf = tree_node(tree, path->node[0]);

    ASSERT(tree->key_count > 0);
    ASSERT(!leaf->inner);
    node_remove(leaf, path->slot[0]);
    for (uint32_t level = 1; level < tree->height; level++)
        tree_node(tree, path->node[level])->in.key_count[path->slot[level]]--;
    tree->key_count--;
    if (path->slot[0] == 0 && leaf->count > 0)
        set_smallest(tree, path, leaf->leaf.item[0]);
    tree_rebalance(tree, path);
}

struct tree_cursor tree_cursor_of(const struct tree *tree, const struct tree_path *path)
{
    const struct node *leaf = tree_node(tree, path->node[0]);

    ASSERT(path->slot[0] <= leaf->count);
    if (path->slot[0] < leaf->count || leaf->next == 0)
        return (struct tree_cursor){.leaf = path->node[0], .slot = path->slot[0]};
    return (struct tree_cursor){.leaf = leaf->next, .slot = 0};
}

struct tree_cursor tree_cursor_at(const struct tree *tree, uint64_t rank)
{
    struct tree_path path;

    (void)tree_select(tree, rank, &path);
    return (struct tree_cursor){.leaf = path.node[0], .slot = path.slot[0]};
}

uint32_t tree_cursor_item(const struct tree *tree, struct tree_cursor cursor)
{
    const struct node *leaf = tree_node(tree, cursor.leaf);

    ASSERT(cursor.slot < leaf->count);
    return leaf->leaf.item[cursor.slot];
}

uint32_t tree_following(const struct tree *tree, const struct tree_path *path)
{
    const struct node *leaf = tree_node(tree, path->node[0]);

    ASSERT(path->slot[0] < leaf->count);
    if (path->slot[0] + 1 < leaf->count)
        return leaf->leaf.item[path->slot[0] + 1];
    return leaf->next != 0 ? tree_node(tree, leaf->next)->leaf.item[0] : 0;
}

static void prefetch_item(const struct tree *tree, const struct node *leaf, uint32_t slot)
{
    ASSERT_SLOW(slot < leaf->count);
    const struct item *item = item_at(tree->items, leaf->leaf.item[slot]);

    __builtin_prefetch(item);
    __builtin_prefetch(item->text + ITEM_FIRST_BYTES - 1);
}

bool tree_cursor_next(const struct tree *tree, struct tree_cursor *cursor)
{
    const struct node *leaf = tree_node(tree, cursor->leaf);

    ASSERT(cursor->slot < leaf->count);
    if (cursor->slot + PREFETCH_SLOTS < leaf->count)
        prefetch_item(tree, leaf, cursor->slot + PREFETCH_SLOTS);
    if (cursor->slot + 1 < leaf->count) {
        cursor->slot++;
        return true;
    }
    if (leaf->next == 0)
        return false;
    *cursor = (struct tree_cursor){.leaf = leaf->next};
    leaf = tree_node(tree, cursor->leaf);
    if (leaf->next != 0)
        __builtin_prefetch(tree_node(tree, leaf->next));
    for (uint32_t i = 0; i < PREFETCH_SLOTS && i < leaf->count; i++)
        prefetch_item(tree, leaf, i);
    return true;
}

bool tree_cursor_previous(const struct tree *tree, struct tree_cursor *cursor)
{
    const struct node *leaf = tree_node(tree, cursor->leaf);

    ASSERT(cursor->slot < leaf->count);
    if (cursor->slot >= PREFETCH_SLOTS)
        prefetch_item(tree, leaf, cursor->slot - PREFETCH_SLOTS);
    if (cursor->slot > 0) {
        cursor->slot--;
        return true;
    }
    if (leaf->previous == 0)
        return false;
    cursor->leaf = leaf->previous;
    leaf = tree_node(tree, cursor->leaf);
    cursor->slot = leaf->count - 1;
    if (leaf->previous != 0)
        __builtin_prefetch(tree_node(tree, leaf->previous));
    for (uint32_t i = 0; i < PREFETCH_SLOTS && i < leaf->count; i++)
        prefetch_item(tree, leaf, leaf->count - 1 - i);
    return true;
}

static void verify_node(const struct tree *tree, uint32_t level, uint32_t ref)
{
    struct node *node = tree_node(tree, ref);

    ASSERT(node->inner == (level > 0));
    if (ref != tree->root)
        ASSERT(node->count >= node_slots_min(node));
    node_verify(tree->items, node);
    if (level == 0)
        return;
    for (uint32_t i = 0; i < node->count; i++)
        ASSERT(node->in.key_count[i] == node_key_count(tree_node(tree, node->in.child[i])));
}

/* The key that `path` says is the smallest of its leaf must be it; the first leaf has none. */
static void verify_smallest(const struct tree *tree, const struct tree_path *path)
{
    const struct node *leaf = tree_node(tree, path->node[0]);

    for (uint32_t level = 1; level < tree->height; level++) {
        if (path->slot[level] == 0)
            continue;
        const struct node *node = tree_node(tree, path->node[level]);
        ASSERT(node->in.item[path->slot[level]] == leaf->leaf.item[0]);
        return;
    }
    ASSERT(leaf->previous == 0);
}

void tree_verify(const struct tree *tree)
{
    struct tree_path path;
    uint32_t previous = 0;

    for (uint64_t rank = 0; rank < tree->key_count;) {
        (void)tree_select(tree, rank, &path);
        const struct node *leaf = tree_node(tree, path.node[0]);
        ASSERT(path.slot[0] == 0);
        ASSERT(leaf->previous == previous);
        if (previous != 0)
            ASSERT(tree_node(tree, previous)->next == path.node[0]);
        for (uint32_t level = 0; level < tree->height; level++)
            verify_node(tree, level, path.node[level]);
        verify_smallest(tree, &path);
        previous = path.node[0];
        rank += leaf->count;
    }
    if (previous != 0)
        ASSERT(tree_node(tree, previous)->next == 0);
    ASSERT(node_key_count(tree_node(tree, tree->root)) == tree->key_count);
}
