#include "sim/shape.h"

#include "base/assert.h"

const char *shape_name(enum shape shape)
{
    static const char *const name[SHAPE_COUNT] = {
#define SHAPE_NAME(id, text) [SHAPE_##id] = text,
        SHAPE_LIST(SHAPE_NAME)
#undef SHAPE_NAME
    };
    ASSERT(shape < SHAPE_COUNT);
    return name[shape];
}

/* Whether the node at place `from` is heard at place `to`, of `count` places. */
typedef bool (*shape_hears)(uint32_t from, uint32_t to, uint32_t count);

static bool hears_isolate(uint32_t from, uint32_t to, uint32_t count)
{
    (void)count;
    return from != 0 && to != 0;
}

/* Each node hears itself and as many of those before and behind it as make a majority. With three
 * or seven nodes that is one more on one side than on the other, so its links are directed. */
static bool hears_majority_ring(uint32_t from, uint32_t to, uint32_t count)
{
    const uint32_t others = count / 2;
    const uint32_t behind = (others + 1) / 2;
    const uint32_t distance = (from + count - to) % count; /* behind the one that hears */

    return distance <= behind || distance >= count - (others - behind);
}

static bool hears_chain(uint32_t from, uint32_t to, uint32_t count)
{
    (void)count;
    return from + 1 == to || to + 1 == from;
}

static bool hears_hub(uint32_t from, uint32_t to, uint32_t count)
{
    (void)count;
    return from == 0 || to == 0;
}

static bool hears_mute(uint32_t from, uint32_t to, uint32_t count)
{
    (void)to;
    (void)count;
    return from != 0;
}

static bool hears_deaf(uint32_t from, uint32_t to, uint32_t count)
{
    (void)from;
    (void)count;
    return to != 0;
}

static void cut_by(struct net *net, uint32_t count, shape_hears hears, struct prng *p)
{
    uint8_t node[NET_NODES_MAX]; /* at each place */

    for (uint32_t i = 0; i < count; i++) {
        const uint64_t other = prng_below(p, i + 1);
        node[i] = node[other];
        node[other] = (uint8_t)i;
    }
    for (uint32_t from = 0; from < count; from++)
        for (uint32_t to = 0; to < count; to++)
            if (from != to && !hears(from, to, count))
                net_cut(net, node[from], node[to], true);
}

/* `bridge`: one of the nodes is on both sides. */
static void cut_sides(struct net *net, uint32_t count, bool bridge, struct prng *p)
{
    const uint64_t one = prng_between(p, 1, (1ULL << count) - 2);
    const uint64_t both = bridge ? 1ULL << prng_below(p, count) : 0;

    for (uint32_t from = 0; from < count; from++) {
        for (uint32_t to = 0; to < count; to++) {
            const bool bridged = ((both >> from | both >> to) & 1) != 0;
            if (!bridged && (one >> from & 1) != (one >> to & 1))
                net_cut(net, from, to, true);
        }
    }
}

static void cut_any(struct net *net, uint32_t count, struct prng *p)
{
    const uint32_t per_million = (uint32_t)prng_between(p, 100000, 700000);

    for (uint32_t from = 0; from < count; from++)
        for (uint32_t to = 0; to < count; to++)
            if (from != to && prng_chance(p, per_million))
                net_cut(net, from, to, true);
}

void shape_cut(struct net *net, uint32_t node_count, enum shape shape, struct prng *p)
{
    static const shape_hears hears[SHAPE_COUNT] = {
        [SHAPE_ISOLATE] = hears_isolate, [SHAPE_MAJORITY_RING] = hears_majority_ring,
        [SHAPE_CHAIN] = hears_chain,     [SHAPE_HUB] = hears_hub,
        [SHAPE_MUTE] = hears_mute,       [SHAPE_DEAF] = hears_deaf,
    };

    ASSERT(node_count >= 2);
    ASSERT(node_count <= NET_NODES_MAX);
    if (shape == SHAPE_BISECT || shape == SHAPE_BRIDGE)
        cut_sides(net, node_count, shape == SHAPE_BRIDGE, p);
    else if (shape == SHAPE_ANY)
        cut_any(net, node_count, p);
    else
        cut_by(net, node_count, hears[shape], p);
}
