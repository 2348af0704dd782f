/* sim/cluster.c: a node's life: its disk made once, its process started and killed many times. */
#include "base/assert.h"
#include "persist/superblock.h"
#include "sim/sim_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

enum {
    DOOR_ANSWER_BYTES = 1 << 20, /* twice what a read of all keys returns, and more */
    RECOVERY_OPS_MAX = 24,       /* a recovery crashes within its first so many completions */
    ERROR_BYTES = 160,
    DRIFT_BASE_NS = 1 << 30,
};

static size_t aligned(size_t bytes)
{
    return (bytes + DISK_SECTOR - 1) & ~(size_t)(DISK_SECTOR - 1);
}

static void draw_clock(struct sim *s, struct sim_node *n)
{
    const uint32_t most = s->healed ? 0 : s->plan.drift_ppm_max;
    /* A third of the clocks are as far off as may be. */
    const bool at_bound = prng_below(&s->prng, 3) == 0;
    const uint64_t drift = at_bound ? 2 * (uint64_t)most * prng_below(&s->prng, 2)
                                    : prng_between(&s->prng, 0, 2 * (uint64_t)most);

    n->clock = (struct sim_clock){
        .base_ns = DRIFT_BASE_NS + prng_below(&s->prng, DRIFT_BASE_NS),
        .start_ns = s->now_ns,
        .drift_ppm = (int32_t)drift - (int32_t)most,
    };
}

static uint32_t draw_ring(struct sim *s)
{
    return 1U << prng_between(&s->prng, 1, s->plan.ring_shift_max);
}

static void fill_routes(struct sim *s, struct replica_options *o)
{
    for (uint32_t link = 0; link + 1 < s->slot_count; link++) {
        o->route[link] = (struct frame_route){
            .source_mac = {2, 0, 0, 0, 0, (uint8_t)o->node},
            .target_mac = {2, 0, 0, 0, 1, (uint8_t)link},
            .source_ip = 0x0a000000U + o->node,
            .target_ip = 0x0a000100U + link,
        };
    }
}

static void fill_options(struct sim *s, struct sim_node *n)
{
    struct replica_options *o = &n->options;

    *o = s->plan.options;
    o->node = sim_id(n);
    o->incarnation = n->incarnation;
    o->boot = n->boot;
    o->start_ns = sim_clock_local(&n->clock, s->now_ns);
    o->rings = (struct replica_rings){
        .control = draw_ring(s),
        .data = draw_ring(s),
        .persist = draw_ring(s),
        .store = draw_ring(s),
        .tx = draw_ring(s),
    };
    /* What is promised to all peers together fits into the ring, as far as that is possible. */
    const uint32_t share = o->rings.data / (s->slot_count - 1);
    if (o->credit_window > share)
        o->credit_window = share > 0 ? share : 1;
    o->wal.cluster = o->cluster;
    o->wal.incarnation = o->incarnation;
    o->wal.boot = o->boot;
    o->wal.node = o->node;
    fill_routes(s, o);
    o->port = net_port(s->net, n->number);
    o->disk = n->disk;
    o->door_count = 1;
}

/* All memory of the process, zero: pages that were never touched cost nothing. */
static uint8_t *fresh_memory(struct sim_node *n, size_t bytes)
{
    if (n->memory_bytes < bytes) {
        if (n->memory != NULL)
            munmap(n->memory, n->memory_bytes);
        n->memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        ASSERT(n->memory != MAP_FAILED);
        n->memory_bytes = bytes;
    } else {
        const int failed = madvise(n->memory, n->memory_bytes, MADV_DONTNEED);
        ASSERT(failed == 0);
    }
    return n->memory;
}

static int open_replica(struct sim *s, struct sim_node *n, char *error)
{
    const size_t view_bytes = aligned(sizeof(struct node_view));
    const size_t counter_bytes = aligned(sizeof(struct replica_counters));
    const size_t door_bytes = aligned(request_door_bytes(s->plan.door_slots, DOOR_ANSWER_BYTES));

    fill_options(s, n);
    const size_t replica_memory = aligned(replica_bytes(&n->options));
    uint8_t *memory = fresh_memory(n, view_bytes + counter_bytes + door_bytes + replica_memory);

    n->view = (struct node_view *)(void *)memory;
    memory += view_bytes;
    n->counters = (struct replica_counters *)(void *)memory;
    memory += counter_bytes;
    n->door = request_door_init(memory, 0, s->plan.door_slots, DOOR_ANSWER_BYTES);
    memory += door_bytes;
    n->options.view = n->view;
    n->options.counters = n->counters;
    n->options.door[0] = n->door;
    return replica_open(&n->replica, memory, &n->options, error, ERROR_BYTES);
}

void cluster_init(struct sim *s, struct sim_node *n)
{
    struct disk_sim_options options = s->plan.disk;

    options.seed = hash_u64(s->plan.seed, 100 + n->number);
    if (n->disk != NULL)
        disk_sim_delete(n->disk);
    n->disk = disk_sim_new(&options);
    ASSERT(n->disk != NULL);
    disk_sim_advance(n->disk, s->now_ns);
    n->incarnation = hash_u64(hash_u64(s->plan.seed, 200 + n->number), n->inits++) | 1;
    n->boot = 0;
    n->replica = NULL;
    n->paused_until_ns = 0;
    n->clock_read_ns = 0;
    n->hung_until_ns = 0;
    n->full_until_ns = 0;
    n->ruined = false;
    n->lacks_snapshot = false;
    n->promises = 0;
    const struct superblock fresh = {
        .cluster = s->plan.options.cluster,
        .incarnation = n->incarnation,
        .node = sim_id(n),
    };
    const int failed = superblock_format(n->disk, s->superblock, &fresh);
    ASSERT(failed == 0);
    disk_sim_power_cut(n->disk); /* `skiff init` has ended, the files are closed */
    harm_begin(s, n);
}

/* It refuses because of what was done to its disk: its operator tries again when that may pass, and
 * else leaves it alone. */
static void refused(struct sim *s, struct sim_node *n, const char *error)
{
    sim_happen(s, SIM_HARM_REFUSED);
    sim_trace(s, "node %u does not start: %s", sim_id(n), error);
    n->ruined = disk_harm_count(n->disk) > 0;
    disk_sim_kill(n->disk);
    n->down_until_ns = n->ruined ? UINT64_MAX : s->now_ns + sim_around(&s->prng, s->plan.down_ns);
}

/* The process that starts gets through, or it dies again on its way. */
static bool recovery_failed(struct sim *s, struct sim_node *n, int failed, const char *error,
                            bool ordered)
{
    n->replica = NULL;
    if (!ordered && harm_excuses(s, n, n->disk, failed)) {
        refused(s, n, error);
        return false;
    }
    if (!ordered)
        return check_fail(&s->report, "recovery", "node %u does not start: %s", sim_id(n), error);
    sim_happen(s, SIM_RECOVERY_CRASH);
    if (prng_below(&s->prng, 2) == 0)
        disk_sim_kill(n->disk);
    else
        disk_sim_power_cut(n->disk);
    n->down_until_ns = s->now_ns + sim_around(&s->prng, s->plan.down_ns);
    return false;
}

bool cluster_start(struct sim *s, struct sim_node *n)
{
    if (!disks_may_start(s, n))
        return false;
    const bool crash = !s->healed && sim_chance(s, s->plan.recovery_crash);
    struct superblock super;
    char error[ERROR_BYTES] = "superblock";

    ASSERT(n->replica == NULL);
    disk_sim_advance(n->disk, s->now_ns);
    harm_start(s, n);
    s->happened[SIM_HARM_UNSEEN] += harm_settle(s, n, n->disk);
    draw_clock(s, n);
    if (crash)
        disk_sim_fail_all_after(n->disk, (uint32_t)prng_between(&s->prng, 1, RECOVERY_OPS_MAX));
    int failed = superblock_read(n->disk, s->superblock, &super);
    if (disks_start_refused(s, n, failed, &super))
        return false;
    if (failed == 0)
        failed = superblock_boot(n->disk, s->superblock, &super);
    if (failed == 0) {
        n->boot = super.boot;
        failed = open_replica(s, n, error);
    }
    if (failed == 0 && disk_sim_is_dead(n->disk))
        failed = -EIO; /* it takes what it can't read of a snapshot for lost, but it has died by then */
    if (failed != 0)
        return recovery_failed(s, n, failed, error, crash);
    disk_sim_fail_all_after(n->disk, 0);

    n->down_until_ns = 0;
    n->earliest_ns = s->now_ns;
    n->timer_ns = s->now_ns;
    memset(n->stalled_until_ns, 0, sizeof n->stalled_until_ns);
    n->busy = true;
    n->idle_turns = 0;
    n->ambush = n->ambushed = n->image_due = n->asked = n->disk_broken = n->leaves = false;
    observe_start(s, n);
    disks_note_start(s, n);
    workload_start(s, n);
    return true;
}

void cluster_crash(struct sim *s, struct sim_node *n, enum sim_crash_mode mode)
{
    ASSERT(n->replica != NULL);
    disk_sim_hold(n->disk, false);
    disk_sim_fail(n->disk, &(struct disk_sim_fault){.kind = DISK_OP_WRITE});
    n->hung_until_ns = 0;
    n->paused_until_ns = 0;
    n->clock_read_ns = 0;
    if (mode == SIM_KILL)
        disk_sim_kill(n->disk);
    else
        disk_sim_power_cut(n->disk);
    sim_happen(s, mode == SIM_KILL ? SIM_CRASH : SIM_POWER_CUT);
    net_kill(s->net, n->number);
    workload_crash(s, n);
    members_crash(s, n);
    poll_forget(n);
    n->replica = NULL;
    n->ambush = n->ambushed = n->image_due = n->leaves = false;
    n->down_until_ns = UINT64_MAX;
}

void cluster_drop(struct sim_node *n)
{
    disks_forget(n);
    poll_drop(n);
    if (n->memory != NULL)
        munmap(n->memory, n->memory_bytes);
    n->memory = NULL;
    n->memory_bytes = 0;
}
