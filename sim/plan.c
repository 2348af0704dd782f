#include "sim/plan.h"

#include "base/assert.h"
#include "base/crc32c.h"
#include "base/prng.h"

#include <string.h>

enum { MILLION = 1000000, LONG_RUN_EVENTS = 20000, HARMED_LARGE_VALUES = 60000 };

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

const char *plan_fault_name(enum plan_fault fault)
{
    static const char *const name[PLAN_FAULT_COUNT] = {
#define PLAN_FAULT_NAME(id, text) [PLAN_##id] = text,
        PLAN_STRIKE_LIST(PLAN_FAULT_NAME) PLAN_RATE_LIST(PLAN_FAULT_NAME)
#undef PLAN_FAULT_NAME
    };
    ASSERT(fault < PLAN_FAULT_COUNT);
    return name[fault];
}

enum plan_fault plan_fault_named(const char *name)
{
    for (uint32_t fault = 0; fault < PLAN_FAULT_COUNT; fault++)
        if (strcmp(plan_fault_name((enum plan_fault)fault), name) == 0)
            return (enum plan_fault)fault;
    return PLAN_FAULT_COUNT;
}

/* Each fault draws from a stream of its own that its name begins: what it draws depends neither on
 * the others nor on its place in the list. True: it is on. */
static bool fault_begin(struct plan *plan, uint64_t without, enum plan_fault fault, struct prng *p)
{
    const char *name = plan_fault_name(fault);

    prng_seed(p, hash_u64(plan->seed, crc32c(0, name, strlen(name))));
    const bool on = coin(p) && (without & plan_fault_bit(fault)) == 0;
    if (on)
        plan->on |= plan_fault_bit(fault);
    return on;
}

static uint32_t draw_rate(struct plan *plan, uint64_t without, enum plan_fault fault, uint64_t low,
                          uint64_t high)
{
    struct prng p;
    return fault_begin(plan, without, fault, &p) ? (uint32_t)between_log(&p, low, high) : 0;
}

/* Half of the runs have three nodes, which is quickest; the rest is up to seven. */
static uint32_t draw_nodes(struct prng *p)
{
    static const uint8_t counts[] = {3, 3, 3, 3, 5, 5, 4, 6, 7};
    return counts[prng_below(p, sizeof counts)];
}

/* A write costs about 75 events and a heartbeat's round a dozen. So half of the runs have seldom
 * either, and with the same number of events see many times as many elections. */
static void draw_timing(struct plan *plan, struct prng *p)
{
    struct replica_options *o = &plan->options;

    plan->brisk = coin(p) && !plan->crowded;
    o->election_min_ns = plan->crowded ? between_log(p, 3 * MS, 12 * MS)
                                       : between_log(p, 20 * MS, 160 * MS);
    o->election_max_ns = o->election_min_ns * prng_between(p, 15, 25) / 10;
    o->heartbeat_ns =
        o->election_min_ns / (plan->brisk ? prng_between(p, 2, 5) : prng_between(p, 4, 12));
    o->resend_ns = between_log(p, o->heartbeat_ns / 4, o->heartbeat_ns * 2);
    o->request_timeout_ns = o->election_max_ns * prng_between(p, 2, 20);
    plan->turn_gap_ns = between_log(p, US, PLAN_TURN_GAP_NS_MAX);
}

static void draw_sizes(struct plan *plan, bool calm, struct prng *p)
{
    struct replica_options *o = &plan->options;

    o->quota_bytes = 512 << 10; /* more than all keys with their largest values */
    /* In half of the runs record memory may be so small that most entries come back from the disk. */
    const bool small = coin(p) && !calm;
    o->record_payload_bytes_max = small ? PLAN_SMALL_PAYLOAD_BYTES : PLAN_PAYLOAD_BYTES_MAX;
    plan->value_bytes_max = small ? PLAN_SMALL_VALUE_BYTES : PLAN_VALUE_BYTES_MAX;
    o->record_memory_bytes = power_of_two(p, small ? 15 : 17, 20);
    o->window = power_of_two(p, 7, 11); /* more than a full proposal */
    o->inflight_msgs_max = (uint32_t)between_log(p, 1, 64);
    o->inflight_bytes_max = (uint32_t)between_log(p, 2048, 1 << 20);
    o->requests_max = power_of_two(p, 2, 8);
    o->credit_window = (uint32_t)between_log(p, 1, 64);
    o->gate_max = (uint32_t)between_log(p, 8, 256);
    plan->ring_shift_max = (uint32_t)prng_between(p, 1, 6);
    plan->door_slots = power_of_two(p, 1, 6);
    o->digest_every = 1u << plan->ring_shift_max; /* drawn enough */
}

/* `options.members` names all nodes that may ever be: they have links from the start. */
static void draw_members(struct plan *plan, uint64_t without, struct prng *p)
{
    struct replica_options *o = &plan->options;
    const uint32_t room = RAFT_MEMBERS_MAX - plan->nodes;

    ASSERT(plan->nodes <= RAFT_MEMBERS_MAX);
    plan->spares = (uint32_t)prng_between(p, 1, 4);
    if (plan->spares > room)
        plan->spares = room;
    o->caught_up_lag = (uint32_t)between_log(p, 1, 256);
    o->promote_ns = between_log(p, o->heartbeat_ns, o->election_max_ns * 2);
    o->members.count = plan->nodes + plan->spares;
    for (uint32_t i = 0; i < o->members.count; i++)
        o->members.member[i] = (struct raft_member){
            .node = (raft_node)(i + 1),
            .voter = i < plan->nodes,
        };
    struct prng wishes;
    plan->priorities = fault_begin(plan, without, PLAN_PRIORITIES, &wishes);
    for (uint32_t i = 0; i < o->members.count && plan->priorities; i++)
        o->members.member[i].priority = (uint8_t)prng_below(&wishes, PLAN_PRIORITY_MAX + 1);
}

static void draw_log(struct plan *plan, struct prng *p, uint64_t events)
{
    const uint64_t sized_for = events > LONG_RUN_EVENTS && !plan->snapshots ? events : 0;
    struct wal_options *wal = &plan->options.wal;

    wal->batch_bytes = power_of_two(p, 15, 18);
    wal->buffer_count = (uint32_t)prng_between(p, 2, WAL_BUFFERS_MAX);
    wal->flights = (uint32_t)prng_between(p, 1, wal->buffer_count);
    wal->sync_by_fsync = coin(p);
    wal->segments_ahead = (uint32_t)prng_between(p, 1, 3);
    wal->spares_max = (uint32_t)prng_between(p, 0, 4);
    wal->zeros_bytes = 16 * DISK_SECTOR;
    wal->zeros_batch_bytes = wal->batch_bytes / 2;
    wal->share_percent = SHARE_PERCENT_DEFAULT;
    /* Long runs take larger segments: a disk has a limited number of files. In all shorter ones they
     * are equal, for a run that fails is tried with fewer events. */
    wal->segment_bytes = wal_segment_bytes_min(wal) + DISK_SECTOR * between_log(p, 1, 64) +
                         sized_for * 32 / DISK_SECTOR * DISK_SECTOR;
}

/* Two of three runs. A run of 4000 events writes about 50 entries: so a few are enough for the next
 * snapshot, and few stay behind it, else nobody would ever need one. */
static void draw_snapshots(struct plan *plan, const struct plan_choice *choice)
{
    const uint64_t without = choice->without;
    struct replica_snapshots *o = &plan->options.snapshots;
    struct prng p;

    prng_seed(&p, hash_u64(plan->seed, crc32c(0, "snapshots", 9)));
    *o = (struct replica_snapshots){.chunk_bytes = DISK_SECTOR * power_of_two(&p, 0, 2)};
    plan->snapshots =
        prng_below(&p, 3) != 0 && (without & plan_fault_bit(PLAN_SNAPSHOTS)) == 0;
    if (choice->snapshots != NULL) {
        *o = *choice->snapshots;
        plan->snapshots = o->log_bytes != 0;
        return;
    }
    if (!plan->snapshots)
        return;
    plan->on |= plan_fault_bit(PLAN_SNAPSHOTS);
    o->log_bytes = between_log(&p, 512, 128 << 10);
    o->entries = between_log(&p, 2, 64);
    o->age_ns = coin(&p) ? plan->options.election_max_ns * between_log(&p, 1, 32) : 0;
    o->trailing_bytes = coin(&p) ? between_log(&p, 64, 8 << 10) : 0;
    o->needed_bytes = o->trailing_bytes + (coin(&p) ? between_log(&p, 64, 64 << 10) : 0);
    /* In some a pin may keep so little that writes cut it off. */
    plan->options.pin_bytes = prng_below(&p, 4) == 0 ? between_log(&p, 128, 16 << 10) : 0;
    plan->snapshot_ambush =
        draw_rate(plan, without, PLAN_SNAPSHOT_AMBUSH, 2000, 200000);
    plan->snapshot_loss = draw_rate(plan, without, PLAN_SNAPSHOT_LOSS, 200000, 900000);
}

/* In half of the runs whatever takes more than one slice is done a few keys at a time. */
static void draw_store(struct plan *plan)
{
    struct prng p;

    prng_seed(&p, hash_u64(plan->seed, crc32c(0, "store", 5)));
    plan->options.store_budget =
        coin(&p) ? STORE_BUDGET : (uint32_t)between_log(&p, 1, STORE_BUDGET);
}

static void draw_disk(struct plan *plan, struct prng *p)
{
    struct disk_sim_options *d = &plan->disk;

    d->latency_ns_min = between_log(p, 5 * US, 500 * US);
    d->latency_ns_max = d->latency_ns_min * prng_between(p, 1, 8);
    d->create_ns_min = d->latency_ns_min;
    d->create_ns_max = d->latency_ns_max * 4;
}

static void draw_net(struct plan *plan, struct prng *p)
{
    struct net_faults *n = &plan->net;

    n->delay_min_ns = between_log(p, US, plan->options.election_min_ns / 40);
    n->delay_max_ns = n->delay_min_ns * prng_between(p, 1, 4);
    n->late_max_ns = between_log(p, n->delay_max_ns, 4 * plan->options.election_max_ns);
}

static void draw_strikes(struct plan *plan, uint64_t without)
{
    /* At most so many election timeouts between two. */
    static const uint64_t timeouts_max[PLAN_STRIKE_COUNT] = {
        [PLAN_CRASH] = 32,    [PLAN_CRASH_ALL] = 64,   [PLAN_PARTITION] = 16,
        [PLAN_LINK] = 8,      [PLAN_FLAP] = 32,        [PLAN_REPLAY] = 4,
        [PLAN_PAUSE] = 16,    [PLAN_CLOCK_STALL] = 16, [PLAN_CLOCK_JUMP] = 16,
        [PLAN_HANG] = 32,     [PLAN_DISK_ERROR] = 64,  [PLAN_WIPE] = 64,
        [PLAN_SWAP] = 64,     [PLAN_OLD_COPY] = 32,    [PLAN_CHANGE] = 8,
        [PLAN_TRANSFER] = 16, [PLAN_DISK_FULL] = 64,   [PLAN_ROT] = 64,
        [PLAN_SIEGE] = 8,
    };
    const uint64_t timeout = plan->options.election_max_ns;
    struct prng p;

    for (uint32_t strike = 0; strike < PLAN_STRIKE_COUNT; strike++) {
        ASSERT(timeouts_max[strike] > 0);
        const uint64_t most = timeout * timeouts_max[strike] / (plan->brisk ? 4 : 1);
        const uint64_t least = most / 128; /* rare ones are never frequent */
        if (fault_begin(plan, without, (enum plan_fault)strike, &p))
            plan->every_ns[strike] =
                between_log(&p, least > timeout / 2 ? least : timeout / 2, most);
    }
}

static void draw_rates(struct plan *plan, uint64_t without)
{
    struct net_faults *n = &plan->net;

    plan->ambush = draw_rate(plan, without, PLAN_AMBUSH, MILLION / 2, MILLION / 2);
    plan->kill = draw_rate(plan, without, PLAN_KILL, MILLION / 2, MILLION / 2);
    plan->recovery_crash = draw_rate(plan, without, PLAN_RECOVERY_CRASH, 300000, 300000);
    n->loss = draw_rate(plan, without, PLAN_LOSS, 100, 300000);
    n->duplicate = draw_rate(plan, without, PLAN_DUPLICATE, 100, 200000);
    n->reorder = draw_rate(plan, without, PLAN_REORDER, 100, 200000);
    n->corrupt = draw_rate(plan, without, PLAN_CORRUPT, 100, 50000);
    plan->role_skip = draw_rate(plan, without, PLAN_ROLE_SKIP, 1000, 300000);
    plan->asker_skip = draw_rate(plan, without, PLAN_ASKER_SKIP, 1000, 500000);
    plan->drift_ppm_max = draw_rate(plan, without, PLAN_DRIFT, 50000, 50000);
}

static void draw_forger(struct plan *plan, uint64_t without)
{
    struct prng p;

    if (!fault_begin(plan, without, PLAN_FORGE, &p))
        return;
    plan->forge = (uint32_t)between_log(&p, MILLION / 8, MILLION);
    plan->forger = (uint32_t)prng_below(&p, plan->nodes);
    plan->forge_tables = coin(&p); /* or they would be all that is asked of it */
}

/* A minority, or all: bit i for node i. */
static uint32_t draw_harmed(struct plan *plan, uint64_t without)
{
    const uint32_t minority = (plan->nodes - 1) / 2;
    const uint32_t all = (1U << plan->nodes) - 1;
    uint32_t harmed = 0;
    struct prng p;

    /* Rarer than other faults: most runs should ask for progress. */
    if (fault_begin(plan, without, PLAN_HARM_ANYWHERE, &p) && prng_below(&p, 4) == 0)
        return all;
    plan->on &= ~plan_fault_bit(PLAN_HARM_ANYWHERE);
    for (uint32_t i = 0; i < minority; i++)
        harmed |= 1U << prng_below(&p, plan->nodes);
    return harmed;
}

/* Rates are low: a node that has lost something may be gone for the rest of the run. */
static void draw_harm(struct plan *plan, uint64_t without)
{
    static const uint64_t harm = UINT64_C(1) << PLAN_ROT | UINT64_C(1) << PLAN_LOST_WRITE |
                                 UINT64_C(1) << PLAN_SNAPSHOT_LOSS |
                                 UINT64_C(1) << PLAN_ASTRAY_WRITE |
                                 UINT64_C(1) << PLAN_READ_ERROR | UINT64_C(1) << PLAN_READ_FLIP |
                                 UINT64_C(1) << PLAN_READ_STALE;
    struct disk_harm_rates *h = &plan->harm;

    plan->harmed = draw_harmed(plan, without);
    h->lost = draw_rate(plan, without, PLAN_LOST_WRITE, 1, 2000);
    h->misdirected = draw_rate(plan, without, PLAN_ASTRAY_WRITE, 1, 2000);
    h->read_error = draw_rate(plan, without, PLAN_READ_ERROR, 10, 20000);
    h->read_flip = draw_rate(plan, without, PLAN_READ_FLIP, 10, 20000);
    h->read_stale = draw_rate(plan, without, PLAN_READ_STALE, 10, 20000);
    if ((plan->on & harm) == 0)
        plan->harmed = 0;
    if (plan->harmed != 0) /* so that lost entries come back in many pieces, too */
        plan->large_values += HARMED_LARGE_VALUES;
}

static void draw_scarcity(struct plan *plan, uint64_t without)
{
    struct prng p;

    plan->net_tx_buffers = NET_TX_BUFFERS_MAX;
    if (fault_begin(plan, without, PLAN_FEW_BUFFERS, &p))
        plan->net_tx_buffers = (uint32_t)prng_between(&p, 4, NET_TX_BUFFERS_MAX);
    plan->net_queue_frames = NET_QUEUE_MAX;
    if (fault_begin(plan, without, PLAN_SHORT_QUEUES, &p))
        plan->net_queue_frames = (uint32_t)prng_between(&p, 4, NET_QUEUE_MAX);
    if (fault_begin(plan, without, PLAN_SLOW_DISK, &p)) {
        plan->disk.slow_per_million = (uint32_t)between_log(&p, 100, 20000);
        plan->disk.slow_ns = between_log(&p, 2 * MS, 400 * MS);
    }
}

static void draw_clients(struct plan *plan, struct prng *p)
{
    const uint64_t timeout = plan->options.election_max_ns;

    plan->clients =
        (uint32_t)prng_between(p, 1, plan->brisk ? PLAN_CLIENTS_MAX / 2 : PLAN_CLIENTS_MAX);
    plan->think_ns = plan->brisk ? between_log(p, timeout / 4, timeout * 16)
                                 : between_log(p, 100 * US, timeout * 2);
    plan->large_values = coin(p) ? (uint32_t)between_log(p, 1000, 300000) : 0;
    plan->reads = (uint32_t)prng_below(p, 700000);
}

/* Leases rest on clocks that drift by 5 % at most: where reads are by lease, clocks neither stand
 * still nor jump. These are the faults that are out. */
static uint64_t draw_leases(struct plan *plan)
{
    struct prng p;

    prng_seed(&p, hash_u64(plan->seed, crc32c(0, "lease-reads", 11)));
    plan->options.lease_reads = coin(&p);
    if (!plan->options.lease_reads)
        return 0;
    return plan_fault_bit(PLAN_CLOCK_STALL) | plan_fault_bit(PLAN_CLOCK_JUMP);
}

/* Enough to change the leader. What thins out the requests is left out. */
static const uint64_t CROWD_FAULTS = UINT64_C(1) << PLAN_HANG | UINT64_C(1) << PLAN_CRASH |
                                     UINT64_C(1) << PLAN_PARTITION | UINT64_C(1) << PLAN_LINK |
                                     UINT64_C(1) << PLAN_PAUSE | UINT64_C(1) << PLAN_TRANSFER |
                                     UINT64_C(1) << PLAN_DISK_FULL;

static bool is_crowded(uint64_t seed)
{
    return hash_u64(seed, crc32c(0, "crowd", 5)) % 8 == 0;
}

static void strike_often(struct plan *plan, uint64_t without, enum plan_fault strike,
                         uint64_t every_ns)
{
    if ((without & plan_fault_bit(strike)) != 0)
        return;
    plan->on |= plan_fault_bit(strike);
    plan->every_ns[strike] = every_ns;
}

/* By chances of each size alone no table gets full within few events. A crowded run has many quick
 * clients, quick disks, and little of what requests share: of record memory, and disks hang often; or of
 * the log, whose disks are full while leadership goes round. */
static void draw_crowd(struct plan *plan, const struct plan_choice *choice, uint64_t without,
                       struct prng *p)
{
    struct replica_options *o = &plan->options;
    const bool short_log = prng_below(p, 3) == 0;

    o->window = power_of_two(p, 7, 10);
    o->requests_max = 256;
    o->inflight_msgs_max = 64;
    o->inflight_bytes_max = 1 << 20;
    o->credit_window = 64;
    o->resend_ns = o->election_min_ns;
    o->record_payload_bytes_max = PLAN_SMALL_PAYLOAD_BYTES;
    o->record_memory_bytes = 1 << 15;
    o->wal.batch_bytes = WAL_BATCH_BYTES_MIN;
    o->wal.flights = 1; /* while that one hangs the batch behind it takes all that comes */
    if (choice->events <= LONG_RUN_EVENTS)
        o->wal.segment_bytes =
            wal_segment_bytes_min(&o->wal) + DISK_SECTOR * between_log(p, 1, 64);
    plan->ring_shift_max = 6;
    plan->door_slots = 16;
    plan->clients = choice->clients != 0 ? choice->clients : PLAN_CLIENTS_MAX;
    plan->think_ns = between_log(p, US, 100 * US);
    plan->reads = 0;
    plan->large_values = coin(p) ? 1000000 : 100000;
    plan->value_bytes_max = PLAN_SMALL_VALUE_BYTES;
    plan->turn_gap_ns = PLAN_TURN_GAP_NS_MAX; /* so that a turn has much to do */
    plan->net.delay_min_ns = US;
    plan->net.delay_max_ns = PLAN_TURN_GAP_NS_MAX;
    plan->disk.latency_ns_min = 5 * US;
    plan->disk.latency_ns_max = 50 * US;
    plan->disk.slow_per_million = 0;
    plan->down_ns = between_log(p, o->election_min_ns / 4, o->election_max_ns);
    if (!short_log) {
        plan->disk.slow_per_million = 50000; /* reads too: what they find may be gone */
        plan->disk.slow_ns = o->election_min_ns;
        strike_often(plan, without, PLAN_HANG, o->election_min_ns);
        strike_often(plan, without, PLAN_LINK, o->election_min_ns / 2);
        strike_often(plan, without, PLAN_PARTITION, o->election_min_ns * 2);
        return;
    }
    plan->down_ns = o->election_max_ns * 4;
    strike_often(plan, without, PLAN_DISK_FULL, o->election_min_ns);
    strike_often(plan, without, PLAN_TRANSFER, o->heartbeat_ns);
}

void plan_draw(struct plan *plan, const struct plan_choice *choice)
{
    struct prng p;

    memset(plan, 0, sizeof *plan);
    prng_seed(&p, hash_u64(choice->seed, 1));
    plan->seed = choice->seed;
    const bool calm = choice->without == PLAN_ALL_FAULTS; /* a scenario brings its own load */
    plan->crowded = !calm && is_crowded(choice->seed);
    plan->nodes = draw_nodes(&p);
    if (choice->nodes != 0)
        plan->nodes = choice->nodes;
    plan->options.cluster = hash_u64(choice->seed, 2);
    draw_timing(plan, &p);
    draw_sizes(plan, calm, &p);
    draw_snapshots(plan, choice);
    draw_store(plan);
    draw_log(plan, &p, choice->events);
    draw_disk(plan, &p);
    draw_net(plan, &p);
    plan->down_ns = between_log(&p, plan->options.election_min_ns / 4,
                                plan->options.election_max_ns * (plan->brisk ? 2 : 8));
    plan->role_stall_ns = between_log(&p, plan->turn_gap_ns, plan->options.heartbeat_ns * 2);
    draw_clients(plan, &p);
    if (choice->clients != 0)
        plan->clients = choice->clients;
    const bool faultless = prng_below(&p, 10) == 0;
    uint64_t without = choice->without | draw_leases(plan);
    if (plan->crowded)
        without |= ~CROWD_FAULTS;
    if (faultless)
        without = PLAN_ALL_FAULTS;
    draw_members(plan, without, &p);
    draw_strikes(plan, without);
    draw_rates(plan, without);
    draw_forger(plan, without);
    draw_scarcity(plan, without);
    draw_harm(plan, without);
    if (plan->crowded)
        draw_crowd(plan, choice, without, &p);
}
