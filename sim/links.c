/* sim/links.c: what goes wrong with links: partitions, single links, flapping, frames from long ago.
 *
 * All cuts stand in one table. A partition replaces it, and is healed as a whole; single links stop
 * and come back one by one, also inside a partition.
 */
#include "base/assert.h"
#include "sim/forge.h"
#include "sim/shape.h"
#include "sim/sim_internal.h"

enum {
    FLAPS_MAX = 40,        /* changes of state in a row */
    REPLAY_FRAMES_MAX = 8, /* at once */
};

void links_partition(struct sim *s, struct prng *p)
{
    const enum shape shape = (enum shape)prng_below(p, SHAPE_COUNT);

    net_heal(s->net);
    shape_cut(s->net, s->node_count, shape, p);
    s->heal_ns = s->now_ns + sim_around(p, s->plan.down_ns);
    sim_happen(s, SIM_PARTITION);
    sim_trace(s, "partition: %s", shape_name(shape));
}

void links_heal(struct sim *s)
{
    net_heal(s->net);
    s->heal_ns = UINT64_MAX;
    sim_trace(s, "links healed");
}

static void draw_link(struct sim *s, struct prng *p, uint32_t *from, uint32_t *to)
{
    *from = (uint32_t)prng_below(p, s->node_count);
    *to = (uint32_t)prng_below(p, s->node_count - 1);
    *to += *to >= *from;
}

/* One directed link stops, or comes back. */
void links_toggle(struct sim *s, struct prng *p)
{
    uint32_t from, to;

    draw_link(s, p, &from, &to);
    const bool cut = !net_is_cut(s->net, from, to);
    net_cut(s->net, from, to, cut);
    sim_happen(s, SIM_LINK);
    sim_trace(s, "link %u -> %u %s", from + 1, to + 1, cut ? "stops" : "is back");
}

/* A cable with a bad contact: both directions, many times, faster than anybody's timeout. */
void links_flap(struct sim *s, struct prng *p)
{
    struct sim_flap *flap = &s->flap;

    if (flap->left > 0)
        return;
    draw_link(s, p, &flap->a, &flap->b);
    flap->left = 2 * (uint32_t)prng_between(p, 1, FLAPS_MAX / 2);
    flap->every_ns = 1 + sim_around(p, s->plan.down_ns) / flap->left;
    flap->next_ns = s->now_ns;
    sim_happen(s, SIM_FLAP);
    sim_trace(s, "link %u - %u flaps %u times", flap->a + 1, flap->b + 1, flap->left / 2);
}

/* An even number of changes, the last of which mends it. */
void links_flap_on(struct sim *s)
{
    struct sim_flap *flap = &s->flap;

    if (flap->left == 0 || flap->next_ns > s->now_ns)
        return;
    flap->left--;
    flap->next_ns = flap->left > 0 ? s->now_ns + flap->every_ns : UINT64_MAX;
    net_cut(s->net, flap->a, flap->b, flap->left % 2 == 1);
    net_cut(s->net, flap->b, flap->a, flap->left % 2 == 1);
}

/* Frames that left a node any time ago, perhaps in another boot or term, arrive again; now and then
 * at a node that they were not meant for. */
void links_replay(struct sim *s, struct prng *p)
{
    const uint64_t frames = prng_between(p, 1, REPLAY_FRAMES_MAX);
    uint32_t count = 0;

    for (uint64_t i = 0; i < frames; i++)
        count += net_replay(s->net, p);
    s->happened[SIM_REPLAY] += count;
    sim_trace(s, "%u old frames arrive again", count);
}

/* Checkers saw what left its code. */
void links_forge(void *context, uint32_t node, uint8_t *bytes, uint32_t length)
{
    struct sim *s = context;
    const uint64_t cluster = s->plan.options.cluster;
    struct frame f;

    if (s->healed || s->plan.forge == 0 || node != s->plan.forger)
        return;
    if (frame_decode(bytes, length, cluster, &f) != FRAME_OK_VERDICT || f.type != FRAME_SNAPSHOT_PIECE)
        return;
    if (f.snapshot.chunk_bytes != 0 && !s->plan.forge_tables)
        return;
    if (!prng_chance(&s->forge_prng, s->plan.forge))
        return;
    sim_happen(s, SIM_FORGED);
    forge_piece(&f, bytes, cluster, &s->forge_prng);
}
