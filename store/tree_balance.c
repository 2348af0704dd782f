/* store/tree_balance.c: splits on the way in, merges on the way out.
 *
 * A split needs room in the parent, so full nodes of a path are split from the top. A merge takes a
 * slot out of the parent, so thin nodes are merged from the bottom.
 */
#include "store/tree_internal.h"

/* Two neighbours are merged when the result is at most three quarters full: then neither the next
 * insert splits it nor the next remove thins it again. */
static bool merge_pays(const struct node *left, const struct node *right)
{
    ASSERT(left->inner == right->inner);
    return left->count + right->count <= node_slots(left) / 4 * 3;
}

static void grow(struct tree *tree, struct tree_path *path)
{
    const uint32_t ref = slab_take(&tree->nodes);
    struct node *root = tree_node(tree, ref);

    ASSERT(tree->height < TREE_HEIGHT_MAX);
    node_init(root, true);
    root->count = 1;
    root->in.child[0] = tree->root;
    root->in.key_count[0] = (uint32_t)tree->key_count;
    path->node[tree->height] = ref;
    path->slot[tree->height] = 0;
    tree->root = ref;
    tree->height++;
}

static void link_right(struct tree *tree, uint32_t left_ref, uint32_t right_ref)
{
    struct node *left = tree_node(tree, left_ref);
    struct node *right = tree_node(tree, right_ref);

    ASSERT(!left->inner);
    ASSERT(!right->inner);
    right->next = left->next;
    right->previous = left_ref;
    left->next = right_ref;
    if (right->next != 0)
        tree_node(tree, right->next)->previous = right_ref;
}

/* Splits the node of `path` at `level`, whose parent has room. */
static void split(struct tree *tree, struct tree_path *path, uint32_t level)
{
    const uint32_t right_ref = slab_take(&tree->nodes);
    struct node *left = tree_node(tree, path->node[level]);
    struct node *right = tree_node(tree, right_ref);
    struct node *parent = tree_node(tree, path->node[level + 1]);
    const uint32_t parent_slot = path->slot[level + 1];
    /* Keys that arrive in order always split the last node at its end: leave it nearly full. */
    const bool at_end = path->slot[level] + (level > 0) == left->count;

    ASSERT(level + 1 < tree->height);
    ASSERT(left->count == node_slots(left));
    ASSERT(parent->count < node_slots(parent));
    node_init(right, left->inner);
    node_move_right(left, right, at_end ? node_slots_min(left) : left->count / 2);
    if (level == 0)
        link_right(tree, path->node[0], right_ref);
    const uint32_t smallest = node_items(right)[0];
    node_reload(tree->items, left);
    node_reload(tree->items, right);

    node_insert(tree->items, parent, parent_slot + 1, smallest);
    parent->in.child[parent_slot + 1] = right_ref;
    parent->in.key_count[parent_slot] = (uint32_t)node_key_count(left);
    parent->in.key_count[parent_slot + 1] = (uint32_t)node_key_count(right);

    /* A new key between the halves goes to the end of the left one: the key that the parent has for
     * the right one stays its smallest. */
    const uint32_t stays = left->count + (level == 0);
    if (path->slot[level] < stays)
        return;
    path->node[level] = right_ref;
    path->slot[level] -= left->count;
    path->slot[level + 1]++;
}

void tree_make_room(struct tree *tree, struct tree_path *path)
{
    uint32_t full = 0; /* levels, from the leaf, that have no room */

    while (full < tree->height) {
        const struct node *node = tree_node(tree, path->node[full]);
        if (node->count < node_slots(node))
            break;
        full++;
    }
    if (full == tree->height)
        grow(tree, path);
    while (full > 0)
        split(tree, path, --full);
}

/* Two neighbours below `parent`, at `slot` and `slot + 1`, become one. */
static void merge(struct tree *tree, struct node *parent, uint32_t slot)
{
    const uint32_t right_ref = parent->in.child[slot + 1];
    struct node *left = tree_node(tree, parent->in.child[slot]);
    struct node *right = tree_node(tree, right_ref);

    ASSERT(parent->inner);
    ASSERT(parent->count > 1);
    node_move_left(left, right, right->count);
    ASSERT(right->count == 0);
    left->next = right->next;
    if (right->next != 0)
        tree_node(tree, right->next)->previous = parent->in.child[slot];
    slab_give(&tree->nodes, right_ref);
    node_remove(parent, slot + 1);
    parent->in.key_count[slot] = (uint32_t)node_key_count(left);
    node_reload(tree->items, left);
}

/* Likewise, but they share what they have. */
static void share(struct tree *tree, struct node *parent, uint32_t slot)
{
    struct node *left = tree_node(tree, parent->in.child[slot]);
    struct node *right = tree_node(tree, parent->in.child[slot + 1]);
    const uint32_t half = (left->count + right->count) / 2;

    ASSERT(parent->inner);
    if (left->count < half)
        node_move_left(left, right, half - left->count);
    else
        node_move_right(left, right, left->count - half);
    parent->in.key_count[slot] = (uint32_t)node_key_count(left);
    parent->in.key_count[slot + 1] = (uint32_t)node_key_count(right);
    ASSERT(left->count >= node_slots_min(left));
    ASSERT(right->count >= node_slots_min(right));
    node_set_key(tree->items, parent, slot + 1, node_items(right)[0]);
    node_reload(tree->items, left);
    node_reload(tree->items, right);
}

/* Returns whether the level above has lost a slot. */
static bool fill(struct tree *tree, const struct tree_path *path, uint32_t level)
{
    const struct node *node = tree_node(tree, path->node[level]);

    if (node->count >= node_slots_min(node))
        return false;
    struct node *parent = tree_node(tree, path->node[level + 1]);
    const uint32_t slot = path->slot[level + 1] > 0 ? path->slot[level + 1] - 1 : 0;
    ASSERT(slot + 1 < parent->count);
    struct node *left = tree_node(tree, parent->in.child[slot]);
    struct node *right = tree_node(tree, parent->in.child[slot + 1]);

    if (right->inner)
        right->in.item[0] = parent->in.item[slot + 1]; /* it is about to be a slot with a key */
    if (!merge_pays(left, right)) {
        share(tree, parent, slot);
        return false;
    }
    merge(tree, parent, slot);
    return true;
}

void tree_rebalance(struct tree *tree, const struct tree_path *path)
{
    for (uint32_t level = 0; level + 1 < tree->height; level++) {
        if (!fill(tree, path, level))
            break;
    }
    struct node *root = tree_node(tree, tree->root);
    if (!root->inner || root->count > 1)
        return;
    const uint32_t only = root->in.child[0];
    ASSERT(root->count == 1);
    ASSERT(tree->height > 1);
    slab_give(&tree->nodes, tree->root);
    tree->root = only;
    tree->height--;
}
