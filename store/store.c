/* store/store.c: the store's memory, and one piece of work at a time. */
#include "store/store_internal.h"

#include <string.h>

enum { REGION_ALIGN = 4096 };

/* Offsets of all that lies in the lent memory. Regions are touched only as they fill. */
struct layout {
    uint64_t small, large, nodes, kept_nodes, selection, end;
    uint32_t small_count, large_count, node_count, kept_node_count;
};

static uint64_t region_end(uint64_t begin, uint64_t bytes)
{
    ASSERT(begin % REGION_ALIGN == 0);
    return (begin + bytes + REGION_ALIGN - 1) & ~(uint64_t)(REGION_ALIGN - 1);
}

static struct layout layout_of(const struct store_options *options)
{
    const uint64_t keys = store_quota_keys(options->quota_bytes);
    struct layout layout;

    ASSERT(options->quota_bytes <= STORE_QUOTA_BYTES_MAX);
    ASSERT(options->pin_bytes <= options->quota_bytes);
    const uint64_t charge = options->quota_bytes + options->pin_bytes; /* of all items at once */
    const uint64_t kept = store_quota_keys(options->pin_bytes);
    /* One block more than can be in use: block 0 is none. */
    layout.small_count = (uint32_t)(items_small_count(charge) + 1);
    layout.large_count = (uint32_t)(items_large_count(charge) + 1);
    layout.node_count = (uint32_t)(tree_node_count(keys) + 1);
    layout.kept_node_count = (uint32_t)(tree_node_count(kept) + 1);
    layout.small = region_end(0, sizeof(struct store));
    layout.large = region_end(layout.small, (uint64_t)layout.small_count << ITEM_SMALL_SHIFT);
    layout.nodes = region_end(layout.large, (uint64_t)layout.large_count << ITEM_LARGE_SHIFT);
    layout.kept_nodes = region_end(layout.nodes, (uint64_t)layout.node_count << NODE_SHIFT);
    layout.selection =
        region_end(layout.kept_nodes, (uint64_t)layout.kept_node_count << NODE_SHIFT);
    layout.end = region_end(layout.selection, keys * sizeof(uint32_t));
    return layout;
}

static_assert(2 * STORE_QUOTA_BYTES_MAX / (STORE_KEY_CHARGE_BYTES + 1) < UINT32_MAX - 64,
              "32-bit references");

size_t store_bytes(const struct store_options *options)
{
    return layout_of(options).end;
}

struct store *store_init(void *memory, size_t bytes, const struct store_options *options)
{
    const struct layout layout = layout_of(options);
    struct store *s = memory;
    uint8_t *base = memory;
    struct slab nodes;

    ASSERT(memory != NULL);
    ASSERT(bytes >= layout.end);
    ASSERT(((uintptr_t)memory & 63) == 0);
    memset(s, 0, sizeof *s);
    slab_init(&s->items.small, base + layout.small, ITEM_SMALL_SHIFT, layout.small_count);
    slab_init(&s->items.large, base + layout.large, ITEM_LARGE_SHIFT, layout.large_count);
    slab_init(&nodes, base + layout.nodes, NODE_SHIFT, layout.node_count);
    tree_init(&s->tree, &nodes, &s->items);
    slab_init(&nodes, base + layout.kept_nodes, NODE_SHIFT, layout.kept_node_count);
    tree_init(&s->pin.kept, &nodes, &s->items);
    s->selection.item = (uint32_t *)(void *)(base + layout.selection);
    s->options = *options;
    s->quota_bytes = options->quota_bytes;
    s->revision = 1; /* of the empty store, as in etcd: the first write makes 2 */
    return s;
}

void store_set_quota(struct store *s, uint64_t quota_bytes)
{
    ASSERT(s->work.kind == WORK_IDLE);
    ASSERT(quota_bytes <= s->options.quota_bytes);
    s->quota_bytes = quota_bytes;
}

static enum work_kind apply_kind(const struct command *command)
{
    if (command->kind == COMMAND_PUT)
        return WORK_PUT;
    return command->kind == COMMAND_DELETE_RANGE ? WORK_DELETE : WORK_REFUSED;
}

static enum work_kind read_kind(const struct command *command)
{
    if (command->kind == QUERY_RANGE)
        return WORK_RANGE;
    return command->kind == QUERY_DIGEST ? WORK_DIGEST : WORK_REFUSED;
}

void store_begin_apply(struct store *s, uint64_t index, const uint8_t *bytes, uint32_t length,
                       bool wanted)
{
    ASSERT(s->work.kind == WORK_IDLE);
    ASSERT(index == s->applied + 1);
    s->work = (struct work){.index = index, .wanted = wanted, .kind = WORK_REFUSED};
    if (command_decode(bytes, length, &s->work.command))
        s->work.kind = apply_kind(&s->work.command);
    if (s->work.kind == WORK_REFUSED)
        s->work.outcome.refusal = STORE_MALFORMED;
    if (s->work.kind == WORK_DELETE)
        apply_begin_delete(s);
}

void store_begin_read(struct store *s, const uint8_t *bytes, uint32_t length)
{
    ASSERT(s->work.kind == WORK_IDLE);
    s->work = (struct work){.wanted = true, .kind = WORK_REFUSED};
    if (command_decode(bytes, length, &s->work.command))
        s->work.kind = read_kind(&s->work.command);
    if (s->work.kind == WORK_REFUSED)
        s->work.outcome.refusal = STORE_MALFORMED;
    if (s->work.kind == WORK_RANGE)
        range_begin(s);
}

static enum store_progress answer_digest(struct store *s, struct store_sink *sink)
{
    const struct result_header header = {
        .count = (int64_t)s->tree.key_count,
        .digest = s->digest,
    };
    return result_header(sink, &header) ? STORE_DONE : STORE_SINK_FULL;
}

static enum store_progress work_on(struct store *s, struct store_sink *sink, uint32_t budget)
{
    switch (s->work.kind) {
    case WORK_PUT:
        return apply_put(s, sink);
    case WORK_DELETE:
        return apply_delete(s, sink, budget);
    case WORK_DIGEST:
        return answer_digest(s, sink);
    case WORK_RANGE:
        return range_work(s, sink, budget);
    default:
        ASSERT(s->work.kind == WORK_REFUSED);
        return STORE_DONE;
    }
}

enum store_progress store_work(struct store *s, struct store_sink *sink, uint32_t budget)
{
    ASSERT(budget > 0);
    const enum store_progress progress = work_on(s, sink, budget);

    if (progress != STORE_DONE)
        return progress;
    if (s->work.index != 0)
        s->applied = s->work.index;
    ASSERT_SLOW(s->logical_bytes >= s->tree.key_count * (STORE_KEY_CHARGE_BYTES + 1));
    s->work.outcome.revision = s->revision;
    s->work.kind = WORK_IDLE;
    return STORE_DONE;
}

struct store_outcome store_outcome(const struct store *s)
{
    ASSERT(s->work.kind == WORK_IDLE);
    return s->work.outcome;
}

void store_skip(struct store *s, uint64_t index)
{
    ASSERT(s->work.kind == WORK_IDLE);
    ASSERT(index == s->applied + 1);
    s->applied = index;
}

uint64_t store_applied(const struct store *s)
{
    return s->applied;
}

int64_t store_revision(const struct store *s)
{
    return s->revision;
}

uint64_t store_logical_bytes(const struct store *s)
{
    return s->logical_bytes;
}

uint64_t store_key_count(const struct store *s)
{
    return s->tree.key_count;
}

uint64_t store_digest(const struct store *s)
{
    return s->digest;
}

/* Blocks that the items of the tree and the kept ones occupy must be all that are taken: nothing
 * leaks. */
void store_verify(const struct store *s)
{
    const bool loading = s->work.kind == WORK_LOAD;
    uint64_t charge = 0;
    uint64_t digest = 0;
    struct item_blocks blocks = {0};

    tree_verify(&s->tree);
    for (uint64_t rank = 0; rank < s->tree.key_count; rank++) {
        const uint32_t ref = tree_cursor_item(&s->tree, tree_cursor_at(&s->tree, rank));
        const struct item *item = item_at(&s->items, ref);
        charge += item_charge(item->key_bytes, item->value_bytes);
        digest += item_hash(&s->items, ref);
        item_count_blocks(item, &blocks);
    }
    pin_verify(s, &blocks);
    ASSERT(charge == (loading ? s->load.logical_bytes : s->logical_bytes - s->work.gone_bytes));
    ASSERT(digest == (loading ? s->load.digest : s->digest - s->work.gone_digest));
    if (loading)
        return; /* an item may be in the making */
    ASSERT(blocks.small == s->items.small.used);
    ASSERT(blocks.large == s->items.large.used);
}
