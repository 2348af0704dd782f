#include "sim/plan.h"

#include "base/assert.h"
#include "base/prng.h"

#include <string.h>

enum { MILLION = 1000000 };

#define US UINT64_C(1000)
#define MS (1000 * US)

/* Draws whose magnitude matters more than their digits: uniform in the exponent. */
static uint64_t between_log(struct prng *p, uint64_t low, uint64_t high)
{
    uint64_t steps = 0;

    ASSERT(low > 0);
    while (low << (steps + 1) <= high)
        steps++;
    const uint64_t from = low << prng_between(p, 0, steps);
    const uint64_t to = from * 2 < high ? from * 2 : high;
    return prng_between(p, from, to);
}

static uint32_t power_of_two(struct prng *p, uint32_t shift_min, uint32_t shift_max)
{
    return 1U << prng_between(p, shift_min, shift_max);
}

static bool coin(struct prng *p)
{
    return prng_below(p, 2) == 0;
}

static void draw_timing(struct plan *plan, struct prng *p)
{
    struct replica_options *o = &plan->options;

    o->election_min_ns = between_log(p, 20 * MS, 160 * MS);
    o->election_max_ns = o->election_min_ns * prng_between(p, 15, 25) / 10;
    o->heartbeat_ns = o->election_min_ns / prng_between(p, 4, 12);
    o->resend_ns = between_log(p, o->heartbeat_ns / 4, o->heartbeat_ns * 2);
    o->request_timeout_ns = o->election_max_ns * prng_between(p, 2, 20);
    plan->turn_gap_ns = between_log(p, US, PLAN_TURN_GAP_NS_MAX);
}

static void draw_sizes(struct plan *plan, struct prng *p)
{
    struct replica_options *o = &plan->options;

    o->quota_bytes = 4 << 20; /* more than all keys with their largest values */
    o->record_payload_bytes_max = PLAN_PAYLOAD_BYTES_MAX;
    o->record_memory_bytes = power_of_two(p, 17, 20);
    o->window = power_of_two(p, 8, 11); /* the replica wants a few full proposals */
    o->inflight_msgs_max = (uint32_t)between_log(p, 1, 64);
    o->inflight_bytes_max = (uint32_t)between_log(p, 2048, 1 << 20);
    o->requests_max = power_of_two(p, 4, 8);
    o->credit_window = (uint32_t)between_log(p, 1, 64);
    o->gate_max = (uint32_t)between_log(p, 8, 256);
    plan->ring_shift_max = (uint32_t)prng_between(p, 1, 6);
    plan->door_slots = power_of_two(p, 1, 6);
    plan->asker_skip = coin(p) ? (uint32_t)prng_below(p, 500000) : 0;
}

static void draw_log(struct plan *plan, struct prng *p, uint64_t events)
{
    struct wal_options *wal = &plan->options.wal;

    wal->batch_bytes = power_of_two(p, 15, 18);
    wal->buffer_count = (uint32_t)prng_between(p, 2, WAL_BUFFERS_MAX);
    wal->flights = (uint32_t)prng_between(p, 1, wal->buffer_count);
    wal->runs_max = 1 << 14;
    wal->sync_by_fsync = coin(p);
    /* Long runs take larger segments: a disk has a limited number of files. */
    wal->segment_bytes = wal_segment_bytes_min(wal) + DISK_SECTOR * between_log(p, 1, 64) +
                         events * 32 / DISK_SECTOR * DISK_SECTOR;
}

static void draw_disk(struct plan *plan, struct prng *p)
{
    struct disk_sim_options *d = &plan->disk;

    d->latency_ns_min = between_log(p, 5 * US, 500 * US);
    d->latency_ns_max = d->latency_ns_min * prng_between(p, 1, 8);
    d->create_ns_min = d->latency_ns_min;
    d->create_ns_max = d->latency_ns_max * 4;
    if (coin(p)) {
        d->slow_per_million = (uint32_t)between_log(p, 100, 20000);
        d->slow_ns = between_log(p, 2 * MS, 400 * MS);
    }
}

static void draw_net(struct plan *plan, struct prng *p)
{
    struct net_faults *n = &plan->net;

    n->delay_min_ns = between_log(p, US, plan->options.election_min_ns / 40);
    n->delay_max_ns = n->delay_min_ns * prng_between(p, 1, 4);
    n->late_max_ns = between_log(p, n->delay_max_ns, 4 * plan->options.election_max_ns);
    n->loss = coin(p) ? (uint32_t)between_log(p, 100, 300000) : 0;
    n->duplicate = coin(p) ? (uint32_t)between_log(p, 100, 200000) : 0;
    n->reorder = coin(p) ? (uint32_t)between_log(p, 100, 200000) : 0;
    n->corrupt = coin(p) ? (uint32_t)between_log(p, 100, 50000) : 0;
    plan->net_tx_buffers =
        coin(p) ? (uint32_t)prng_between(p, 4, NET_TX_BUFFERS_MAX) : NET_TX_BUFFERS_MAX;
    plan->net_queue_frames = coin(p) ? (uint32_t)prng_between(p, 4, NET_QUEUE_MAX) : NET_QUEUE_MAX;
}

static uint64_t draw_interval(struct plan *plan, struct prng *p, uint64_t timeouts_max)
{
    const uint64_t timeout = plan->options.election_max_ns;
    return coin(p) ? between_log(p, timeout / 2, timeout * timeouts_max) : 0;
}

static void draw_faults(struct plan *plan, struct prng *p)
{
    struct plan_faults *f = &plan->faults;

    f->crash_ns = draw_interval(plan, p, 32);
    f->crash_all_ns = draw_interval(plan, p, 64);
    f->partition_ns = draw_interval(plan, p, 16);
    f->pause_ns = draw_interval(plan, p, 16);
    f->hang_ns = draw_interval(plan, p, 32);
    f->disk_error_ns = draw_interval(plan, p, 64);
    f->down_ns =
        between_log(p, plan->options.election_min_ns / 4, plan->options.election_max_ns * 8);
    f->ambush = coin(p) ? 500000 : 0;
    f->power_cut = coin(p) ? 500000 : MILLION;
    f->recovery_crash = coin(p) ? 300000 : 0;
    plan->role_skip = coin(p) ? (uint32_t)between_log(p, 1000, 300000) : 0;
    plan->role_stall_ns = between_log(p, plan->turn_gap_ns, plan->options.heartbeat_ns * 2);
    plan->drift_ppm_max = coin(p) ? 50000 : 0;
}

static void draw_clients(struct plan *plan, struct prng *p)
{
    plan->clients = (uint32_t)prng_between(p, 1, PLAN_CLIENTS_MAX);
    plan->think_ns = between_log(p, 100 * US, plan->options.election_max_ns * 2);
    plan->large_values = coin(p) ? (uint32_t)between_log(p, 1000, 300000) : 0;
    plan->reads = (uint32_t)prng_below(p, 700000);
}

void plan_calm(struct plan *plan)
{
    plan->faultless = true;
    plan->faults = (struct plan_faults){0};
    plan->net.loss = 0;
    plan->net.duplicate = 0;
    plan->net.reorder = 0;
    plan->net.corrupt = 0;
    plan->net_tx_buffers = NET_TX_BUFFERS_MAX;
    plan->net_queue_frames = NET_QUEUE_MAX;
    plan->disk.slow_per_million = 0;
    plan->role_skip = 0;
    plan->drift_ppm_max = 0;
}

void plan_draw(struct plan *plan, uint64_t seed, uint32_t nodes, uint64_t events)
{
    struct prng p;

    memset(plan, 0, sizeof *plan);
    prng_seed(&p, hash_u64(seed, 1));
    plan->seed = seed;
    plan->nodes = coin(&p) ? 3 : 5;
    if (nodes != 0)
        plan->nodes = nodes;
    plan->options.cluster = hash_u64(seed, 2);
    draw_timing(plan, &p);
    draw_sizes(plan, &p);
    draw_log(plan, &p, events);
    draw_disk(plan, &p);
    draw_net(plan, &p);
    draw_faults(plan, &p);
    draw_clients(plan, &p);
    if (prng_below(&p, 10) == 0)
        plan_calm(plan);
}
