/* store/node.c: search and change within one node of the tree. */
#include "store/node_internal.h"

#include <string.h>

static uint32_t first_slot(const struct node *node)
{
    return node->inner ? 1 : 0;
}

static uint64_t *node_heads(struct node *node)
{
    return node->inner ? node->in.head : node->leaf.head;
}

/* The bytes [offset, offset + 8) of a key as a number. */
static uint64_t key_head(const uint8_t *key, uint32_t length, uint32_t offset)
{
    const uint32_t rest = length > offset ? length - offset : 0;
    uint64_t word = 0;

    if (rest >= NODE_HEAD_BYTES)
        memcpy(&word, key + offset, NODE_HEAD_BYTES);
    else if (rest > 0)
        memcpy(&word, key + offset, rest);
    return __builtin_bswap64(word);
}

static uint64_t item_head(const struct items *items, uint32_t ref, uint32_t offset)
{
    const struct item *item = item_at(items, ref);

    ASSERT(offset <= NODE_PREFIX_MAX); /* so that it lies in the first block */
    return key_head(item->text, item->key_bytes, offset);
}

static uint32_t common_bytes(const uint8_t *a, const uint8_t *b, uint32_t length)
{
    uint32_t common = 0;

    ASSERT(length <= NODE_PREFIX_MAX);
    while (common < length && a[common] == b[common])
        common++;
    return common;
}

static uint32_t key_prefix_bytes(const struct item *item)
{
    return item->key_bytes < NODE_PREFIX_MAX ? item->key_bytes : NODE_PREFIX_MAX;
}

static void load_heads(const struct items *items, struct node *node)
{
    const uint32_t *item = node_items(node);
    uint64_t *head = node_heads(node);

    ASSERT(node->count <= node_slots(node));
    for (uint32_t i = first_slot(node); i < node->count; i++)
        head[i] = item_head(items, item[i], node->prefix_bytes);
}

void node_prefetch(const struct node *node)
{
    const char *line = (const char *)node;

    for (uint32_t i = 0; i < offsetof(struct node, leaf.item); i += 64)
        __builtin_prefetch(line + i);
}

void node_init(struct node *node, bool inner)
{
    memset(node, 0, offsetof(struct node, leaf));
    node->inner = inner;
    ASSERT(node->count == 0);
    ASSERT(node->prefix_bytes == 0);
}

void node_reload(const struct items *items, struct node *node)
{
    const uint32_t first = first_slot(node);
    const uint32_t *item = node_items(node);

    ASSERT(node->count >= first);
    node->prefix_bytes = 0;
    if (node->count == first)
        return;
    /* What the smallest and the largest key share, all between them share. */
    const struct item *low = item_at(items, item[first]);
    const struct item *high = item_at(items, item[node->count - 1]);
    const uint32_t low_bytes = key_prefix_bytes(low);
    const uint32_t high_bytes = key_prefix_bytes(high);
    const uint32_t both = low_bytes < high_bytes ? low_bytes : high_bytes;

    node->prefix_bytes = (uint8_t)common_bytes(low->text, high->text, both);
    memcpy(node->prefix, low->text, node->prefix_bytes);
    load_heads(items, node);
}

/* Where `key` lies to the keys that begin with the prefix: before all, after all, or (0) among
 * them. */
static int compare_prefix(const struct node *node, const uint8_t *key, uint32_t length)
{
    const uint32_t both = length < node->prefix_bytes ? length : node->prefix_bytes;
    const int order = memcmp(key, node->prefix, both);

    ASSERT(length > 0);
    ASSERT(node->prefix_bytes <= NODE_PREFIX_MAX);
    if (order != 0)
        return order;
    return length < node->prefix_bytes ? -1 : 0;
}

/* First slot in [first, end) whose head is not smaller than `wanted`. The compiler must not branch
 * on the comparison: it is never predictable. */
static uint32_t lower_head(const uint64_t *head, uint32_t first, uint32_t end, uint64_t wanted)
{
    uint32_t length = end - first;

    ASSERT(first <= end);
    while (length > 0) {
        const uint32_t half = (length + 1) / 2;
        first += (head[first + half - 1] < wanted) * half;
        length -= half;
    }
    return first;
}

static int compare_key(const struct items *items, uint32_t item, const struct node_key *key)
{
    ASSERT_SLOW(key->length > 0);
    if (key->item != 0)
        return item_compare_keys(items, item, key->item);
    return item_compare_key(items, item, key->bytes, key->length);
}

uint32_t node_lower_bound(const struct items *items, const struct node *node,
                          const struct node_key *key, bool *equal)
{
    const uint32_t first = first_slot(node);
    const int order = compare_prefix(node, key->bytes, key->length);
    const uint64_t *head = node->inner ? node->in.head : node->leaf.head;
    const uint32_t *item = node->inner ? node->in.item : node->leaf.item;

    ASSERT(node->count >= first);
    *equal = false;
    if (order != 0)
        return order < 0 ? first : node->count;

    const uint64_t wanted = key_head(key->bytes, key->length, node->prefix_bytes);
    uint32_t low = lower_head(head, first, node->count, wanted);
    uint32_t high = low;
    ASSERT(low <= node->count);
    while (high < node->count && head[high] == wanted)
        high++;
    /* Keys in [low, high) can't be told from `key` by the node alone. */
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        const int key_order = compare_key(items, item[middle], key);
        if (key_order == 0) {
            *equal = true;
            return middle;
        }
        if (key_order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Moves slots within a node or to one of the same kind, references, heads and all. */
static void move_slots(struct node *to, uint32_t to_slot, const struct node *from,
                       uint32_t from_slot, uint32_t count)
{
    ASSERT(to->inner == from->inner);
    ASSERT(to_slot + count <= node_slots(to));
    ASSERT(from_slot + count <= node_slots(from));
    if (!to->inner) {
        memmove(to->leaf.head + to_slot, from->leaf.head + from_slot, count * sizeof(uint64_t));
        memmove(to->leaf.item + to_slot, from->leaf.item + from_slot, count * sizeof(uint32_t));
        return;
    }
    memmove(to->in.head + to_slot, from->in.head + from_slot, count * sizeof(uint64_t));
    memmove(to->in.item + to_slot, from->in.item + from_slot, count * sizeof(uint32_t));
    memmove(to->in.child + to_slot, from->in.child + from_slot, count * sizeof(uint32_t));
    memmove(to->in.key_count + to_slot, from->in.key_count + from_slot, count * sizeof(uint32_t));
}

void node_set_key(const struct items *items, struct node *node, uint32_t slot, uint32_t ref)
{
    const struct item *item = item_at(items, ref);

    ASSERT(slot < node->count);
    ASSERT(ref != 0);
    node_items(node)[slot] = ref;
    if (slot < first_slot(node))
        return;
    const uint32_t key_bytes = key_prefix_bytes(item);
    const uint32_t both = key_bytes < node->prefix_bytes ? key_bytes : node->prefix_bytes;
    const uint32_t common = common_bytes(item->text, node->prefix, both);
    ASSERT(common <= node->prefix_bytes);
    if (common < node->prefix_bytes) {
        node->prefix_bytes = (uint8_t)common;
        load_heads(items, node);
        return;
    }
    node_heads(node)[slot] = item_head(items, ref, node->prefix_bytes);
}

void node_insert(const struct items *items, struct node *node, uint32_t slot, uint32_t item)
{
    ASSERT(node->count < node_slots(node));
    ASSERT(slot <= node->count);
    move_slots(node, slot + 1, node, slot, node->count - slot);
    node->count++;
    node_set_key(items, node, slot, item);
}

void node_remove(struct node *node, uint32_t slot)
{
    ASSERT(slot < node->count);
    move_slots(node, slot, node, slot + 1, node->count - slot - 1);
    node->count--;
}

void node_move_right(struct node *left, struct node *right, uint32_t count)
{
    ASSERT(count <= left->count);
    ASSERT(right->count + count <= node_slots(right));
    move_slots(right, count, right, 0, right->count);
    move_slots(right, 0, left, left->count - count, count);
    left->count -= count;
    right->count += count;
}

void node_move_left(struct node *left, struct node *right, uint32_t count)
{
    ASSERT(count <= right->count);
    ASSERT(left->count + count <= node_slots(left));
    move_slots(left, left->count, right, 0, count);
    move_slots(right, 0, right, count, right->count - count);
    left->count += count;
    right->count -= count;
}

uint64_t node_key_count(const struct node *node)
{
    uint64_t sum = 0;

    if (!node->inner)
        return node->count;
    for (uint32_t i = 0; i < node->count; i++)
        sum += node->in.key_count[i];
    return sum;
}

void node_verify(const struct items *items, struct node *node)
{
    const uint32_t first = first_slot(node);
    const uint32_t *item = node_items(node);

    ASSERT(node->count <= node_slots(node));
    ASSERT(node->prefix_bytes <= NODE_PREFIX_MAX);
    for (uint32_t i = first; i < node->count; i++) {
        ASSERT(item_at(items, item[i])->key_bytes >= node->prefix_bytes);
        ASSERT(memcmp(item_at(items, item[i])->text, node->prefix, node->prefix_bytes) == 0);
        ASSERT(node_heads(node)[i] == item_head(items, item[i], node->prefix_bytes));
        if (i > first)
            ASSERT(item_compare_keys(items, item[i - 1], item[i]) < 0);
    }
}
