#include "sim/sim.h"

#include "base/assert.h"
#include "sim/sim_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    REVISION_FIRST = 1,    /* of an empty store, as etcd has it */
};

uint64_t sim_around(struct prng *p, uint64_t mean_ns)
{
    const uint64_t shift = prng_below(p, 8);
    const uint64_t most = shift == 0 ? mean_ns * 4 : mean_ns * 2;

    return 1 + prng_below(p, most + 1);
}

void sim_trace(struct sim *s, const char *format, ...)
{
    va_list arguments;

    if (!s->config.trace)
        return;
    printf("%9llu %12.6f ", (unsigned long long)s->events, (double)s->now_ns / 1e9);
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
}

struct sim *sim_new(void)
{
    struct sim *s = calloc(1, sizeof *s);

    ASSERT(s != NULL);
    s->net = net_create();
    s->log = check_log_create();
    s->promise = check_promise_create();
    s->lease = check_lease_create();
    s->members = check_members_create();
    s->history = check_history_create();
    s->linear = check_linear_create();
    s->snapshot = check_snapshot_create();
    s->replay = replay_create();
    s->superblock = aligned_alloc(DISK_SECTOR, DISK_SECTOR);
    ASSERT(s->superblock != NULL);
    for (uint32_t i = 0; i < SIM_NODES_MAX; i++)
        s->node[i].number = i;
    return s;
}

void sim_delete(struct sim *s)
{
    for (uint32_t i = 0; i < SIM_NODES_MAX; i++)
        cluster_drop(&s->node[i]);
    net_destroy(s->net);
    check_log_destroy(s->log);
    check_promise_destroy(s->promise);
    check_lease_destroy(s->lease);
    check_members_destroy(s->members);
    check_history_destroy(s->history);
    check_linear_destroy(s->linear);
    check_snapshot_destroy(s->snapshot);
    replay_destroy(s->replay);
    free(s->superblock);
    free(s->image_memory);
    free(s->call);
    free(s);
}

static void forget_nodes(struct sim *s)
{
    for (uint32_t i = 0; i < SIM_NODES_MAX; i++) {
        struct sim_node *n = &s->node[i];
        disks_forget(n);
        poll_forget(n);
        n->replica = NULL;
        n->committed = s->log;
        n->inits = 0;
        n->seen.led_term = 0; /* of those too that join later in the run */
        n->admin.tag = 0;
        for (uint32_t c = 0; c < SIM_SLOTS_MAX; c++) {
            n->slot[c].call = 0;
            n->slot[c].again = 0;
        }
    }
}

void sim_begin(struct sim *s, const struct sim_config *config)
{
    const struct net_tap tap = {
        .frame = observe_frame, .change = links_forge, .context = s};
    const struct plan_choice choice = {
        .seed = config->seed,
        .events = config->events,
        .without = config->calm ? PLAN_ALL_FAULTS : config->without,
        .nodes = config->nodes,
        .clients = config->clients,
        .snapshots = config->snapshots,
    };

    s->config = *config;
    plan_draw(&s->plan, &choice);
    prng_seed(&s->prng, hash_u64(config->seed, 3));
    prng_seed(&s->forge_prng, hash_u64(config->seed, 6));
    s->now_ns = SIM_START_NS;
    s->events = 0;
    s->hash = config->seed;
    s->healed = false;
    s->over = false;
    s->quiet = config->calm;
    s->node_count = s->plan.nodes;
    s->slot_count = s->plan.nodes + s->plan.spares;
    s->lost = 0;
    s->clone = NULL;
    s->clone_same_boot = false;
    s->clone_ends = false;
    s->copied = NULL;
    s->admin_count = 0;
    s->admin_open = 0;
    s->call_count = 0;
    s->work_next_ns = UINT64_MAX;
    s->report = (struct check_report){0};
    memset(s->happened, 0, sizeof s->happened);
    check_log_reset(s->log, &s->report);
    check_promise_reset(s->promise, &s->report);
    check_lease_reset(s->lease, &s->report,
                      s->plan.options.lease_reads ? s->plan.options.election_min_ns : 0);
    check_members_reset(s->members, &s->report);
    check_history_reset(s->history, REVISION_FIRST, &s->report);
    check_linear_reset(s->linear, REVISION_FIRST, &s->report);
    check_snapshot_reset(s->snapshot, s->plan.options.cluster, s->plan.options.snapshots.chunk_bytes,
                         &s->report);
    replay_reset(s->replay, s->plan.options.quota_bytes);
    forget_nodes(s);
    net_reset(s->net, s->slot_count, hash_u64(config->seed, 4), &tap);
    net_set_faults(s->net, &s->plan.net);
    net_set_limits(s->net, s->plan.net_tx_buffers, s->plan.net_queue_frames);
    net_advance(s->net, s->now_ns);
    for (uint32_t i = 0; i < s->node_count; i++) {
        cluster_init(s, &s->node[i]);
        s->node[i].down_until_ns = s->now_ns + prng_below(&s->prng, s->plan.options.heartbeat_ns);
    }
    faults_begin(s);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* When this node has its next turn, or starts. */
static uint64_t node_due(const struct sim *s, const struct sim_node *n)
{
    uint64_t due = n->timer_ns;

    if (n->replica == NULL)
        return n->down_until_ns;
    if (n->paused_until_ns > s->now_ns)
        return n->paused_until_ns;
    if (n->busy)
        return n->earliest_ns;
    /* A role that stalls does not look at what has come for it. */
    if (n->stalled_until_ns[REPLICA_RX] <= s->now_ns)
        due = earlier(due, net_next_arrival(s->net, n->number));
    if (n->stalled_until_ns[REPLICA_PERSIST] <= s->now_ns)
        due = earlier(due, disk_sim_next_ns(n->disk));
    return due > n->earliest_ns ? due : n->earliest_ns;
}

static void set_timer(struct sim *s, struct sim_node *n)
{
    n->timer_ns = UINT64_MAX;
    for (uint32_t role = 0; role < REPLICA_ROLE_COUNT; role++) {
        uint64_t due = n->stalled_until_ns[role];
        if (due <= s->now_ns)
            due = sim_clock_when(&n->clock,
                                 replica_next_timer(n->replica, (enum replica_role)role));
        n->timer_ns = earlier(n->timer_ns, due);
    }
}

/* True: this role is passed over, now or for a while. Half of those that stall are left in their poll. */
static bool role_stalls(struct sim *s, struct sim_node *n, uint32_t role)
{
    if (n->stalled_until_ns[role] > s->now_ns)
        return true;
    if (s->healed || !sim_chance(s, s->plan.role_skip))
        return false;
    const uint64_t stall_ns = 1 + prng_below(&s->prng, s->plan.role_stall_ns);
    if (prng_below(&s->prng, 2) == 0) {
        poll_leave(n, &s->prng,
                   &(struct sim_leave){.role = (enum replica_role)role, .for_ns = stall_ns});
        return false;
    }
    n->stalled_until_ns[role] = s->now_ns + stall_ns;
    return true;
}

static void shuffle_roles(struct sim *s, uint8_t *order)
{
    uint64_t draw = prng_next(&s->prng);

    for (uint32_t i = 0; i < REPLICA_ROLE_COUNT; i++)
        order[i] = (uint8_t)i;
    for (uint32_t i = REPLICA_ROLE_COUNT - 1; i > 0; i--) {
        const uint32_t other = (uint32_t)(draw % (i + 1));
        const uint8_t moved = order[i];
        draw /= i + 1;
        order[i] = order[other];
        order[other] = moved;
    }
}

static void next_turn(struct sim *s, struct sim_node *n, uint32_t work)
{
    n->idle_turns = work > 0 ? 0 : n->idle_turns + 1;
    const uint32_t shift = earlier(n->idle_turns, SIM_IDLE_SHIFT_MAX) & 0xff;
    n->earliest_ns = s->now_ns + (s->plan.turn_gap_ns << shift);
    set_timer(s, n);
}

/* Its process has published that it must stop. */
static void node_stops(struct sim *s, struct sim_node *n)
{
    const enum replica_stop stop = (enum replica_stop)published_get(&n->view->stop);

    if (disks_stop_expected(s, n, stop))
        return;
    const bool broken = stop == REPLICA_STOP_LOG_FAILED && n->disk_broken;
    const bool harmed = stop == REPLICA_STOP_LOG_DAMAGED && harm_met(n);
    if (!broken && !harmed) {
        check_fail(&s->report, "stop", "node %u stops: %s", sim_id(n), replica_stop_text(stop));
        return;
    }
    sim_happen(s, broken ? SIM_LOG_STOP : SIM_HARM_STOP);
    cluster_crash(s, n, SIM_KILL);
    n->down_until_ns = s->now_ns + sim_around(&s->prng, s->plan.down_ns);
}

/* A graceful end: its operator has waited for the answer to a transfer. */
static void node_leaves(struct sim *s, struct sim_node *n)
{
    sim_happen(s, SIM_LEAVE);
    cluster_crash(s, n, SIM_KILL);
    n->down_until_ns = s->now_ns + sim_around(&s->prng, s->plan.down_ns);
}

/* What this turn takes for now. */
static uint64_t read_clock(const struct sim *s, struct sim_node *n)
{
    const uint64_t before_ns = n->clock_read_ns;

    n->clock_read_ns = 0;
    return before_ns != 0 ? before_ns : sim_clock_local(&n->clock, s->now_ns);
}

static void node_turn(struct sim *s, struct sim_node *n)
{
    const uint64_t local = read_clock(s, n);
    uint8_t order[REPLICA_ROLE_COUNT];
    uint32_t work = 0;

    disk_sim_advance(n->disk, s->now_ns);
    shuffle_roles(s, order);
    n->busy = false;
    for (uint32_t i = 0; i < REPLICA_ROLE_COUNT && !n->ambushed; i++) {
        if (n->paused_until_ns > s->now_ns) /* in the middle of its turn */
            break;
        if (role_stalls(s, n, order[i]))
            continue;
        work += poll_role(s, n, (enum replica_role)order[i], local);
        if (n->image_due)
            image_check(s, n);
    }
    n->busy = work > 0;
    observe_turn(s, n);
    sim_mix(s, hash_u64(s->now_ns, (uint64_t)work << 8 | n->number));
    if (s->config.trace)
        sim_trace(s, "node %u work %u %s term %llu last %llu commit %llu applied %llu", sim_id(n),
                  work, raft_role(replica_raft(n->replica)) == RAFT_LEADER ? "leader" : "-",
                  (unsigned long long)n->seen.term, (unsigned long long)n->seen.last,
                  (unsigned long long)n->seen.commit, (unsigned long long)n->seen.applied);
    if (n->ambushed) {
        sim_happen(s, SIM_AMBUSH);
        sim_trace(s, "node %u ambushed", sim_id(n));
        cluster_crash(s, n, SIM_LOSE_UNSYNCED);
        n->down_until_ns = s->now_ns + sim_around(&s->prng, s->plan.down_ns);
        return;
    }
    workload_answers(s, n);
    if (published_get(&n->view->stop) != REPLICA_STOP_NONE)
        node_stops(s, n);
    else if (n->leaves)
        node_leaves(s, n);
    else
        next_turn(s, n, work);
}

/* The node whose turn is next; among equals the choice is the seed's. */
static struct sim_node *next_node(struct sim *s, uint64_t *due)
{
    const uint32_t from = (uint32_t)(s->hash % s->node_count);
    struct sim_node *next = NULL;

    *due = UINT64_MAX;
    for (uint32_t i = 0; i < s->node_count; i++) {
        struct sim_node *n = &s->node[(from + i) % s->node_count];
        const uint64_t node_ns = node_due(s, n);
        if (node_ns < *due) {
            *due = node_ns;
            next = n;
        }
    }
    return next;
}

bool sim_step(struct sim *s)
{
    uint64_t due;
    struct sim_node *n = next_node(s, &due);
    const uint64_t next = earlier(due, earlier(s->fault_next_ns, s->work_next_ns));

    if (s->report.invariant != NULL)
        return false;
    if (next == UINT64_MAX && !faults_within_atlas(s)) {
        s->over = true;
        return true;
    }
    if (next == UINT64_MAX)
        return check_fail(&s->report, "progress", "nothing will ever happen again");
    if (next > s->now_ns)
        s->now_ns = next;
    net_advance(s->net, s->now_ns);
    if (s->work_next_ns <= s->now_ns)
        workload_tick(s); /* no event of its own: it only fills doors */
    if (s->fault_next_ns <= s->now_ns) {
        s->events++;
        faults_fire(s);
    } else if (n != NULL && due <= s->now_ns) {
        s->events++;
        if (n->replica != NULL)
            node_turn(s, n);
        else
            cluster_start(s, n);
    }
    return s->report.invariant == NULL;
}

bool sim_run(struct sim *s, uint64_t events)
{
    while (s->events < events && !s->over)
        if (!sim_step(s))
            return false;
    return true;
}
