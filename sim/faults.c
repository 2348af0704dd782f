/* sim/faults.c: what goes wrong in phase one, and the healing that begins phase two. */
#include "base/assert.h"
#include "sim/sim_internal.h"

static uint64_t down_time(struct sim *s)
{
    return sim_around(s, s->plan.faults.down_ns);
}

static uint64_t interval_of(const struct sim *s, enum sim_fault fault)
{
    const struct plan_faults *f = &s->plan.faults;
    const uint64_t interval[FAULT_COUNT] = {
        [FAULT_CRASH] = f->crash_ns,         [FAULT_CRASH_ALL] = f->crash_all_ns,
        [FAULT_PARTITION] = f->partition_ns, [FAULT_PAUSE] = f->pause_ns,
        [FAULT_HANG] = f->hang_ns,           [FAULT_DISK_ERROR] = f->disk_error_ns,
    };
    return interval[fault];
}

static void schedule(struct sim *s, enum sim_fault fault)
{
    const uint64_t interval = interval_of(s, fault);
    s->fault_ns[fault] = interval == 0 ? UINT64_MAX : s->now_ns + sim_around(s, interval);
}

void faults_plan_next(struct sim *s)
{
    s->fault_next_ns = UINT64_MAX;
    for (uint32_t fault = 0; fault < FAULT_COUNT; fault++)
        if (s->fault_ns[fault] < s->fault_next_ns)
            s->fault_next_ns = s->fault_ns[fault];
    for (uint32_t i = 0; i < s->node_count; i++) {
        const struct sim_node *n = &s->node[i];
        if (n->replica != NULL && n->hung_until_ns != 0 && n->hung_until_ns < s->fault_next_ns)
            s->fault_next_ns = n->hung_until_ns;
    }
}

void faults_begin(struct sim *s)
{
    for (uint32_t fault = 0; fault < FAULT_COUNT; fault++)
        schedule(s, (enum sim_fault)fault);
    s->fault_ns[FAULT_HEAL] = UINT64_MAX;
    faults_plan_next(s);
}

static struct sim_node *draw_living(struct sim *s)
{
    struct sim_node *n = &s->node[prng_below(&s->prng, s->node_count)];
    return n->replica != NULL ? n : NULL;
}

static void crash_one(struct sim *s, struct sim_node *n, bool may_ambush)
{
    if (may_ambush && sim_chance(s, s->plan.faults.ambush)) {
        n->ambush = true;
        return;
    }
    const bool cut = sim_chance(s, s->plan.faults.power_cut);
    sim_trace(s, "node %u: %s", sim_id(n), cut ? "power cut" : "killed");
    cluster_crash(s, n, cut ? SIM_LOSE_UNSYNCED : SIM_KILL);
    n->down_until_ns = s->now_ns + down_time(s);
}

static void crash_all(struct sim *s)
{
    for (uint32_t i = 0; i < s->node_count; i++)
        if (s->node[i].replica != NULL)
            crash_one(s, &s->node[i], false);
}

static void cut_both(struct sim *s, uint32_t a, uint32_t b)
{
    net_cut(s->net, a, b, true);
    net_cut(s->net, b, a, true);
}

static void cut_isolate(struct sim *s, uint32_t node)
{
    for (uint32_t other = 0; other < s->node_count; other++)
        if (other != node)
            cut_both(s, node, other);
}

static void cut_bisect(struct sim *s)
{
    const uint64_t side = prng_between(&s->prng, 1, (1ULL << s->node_count) - 2);

    for (uint32_t a = 0; a < s->node_count; a++)
        for (uint32_t b = a + 1; b < s->node_count; b++)
            if ((side >> a & 1) != (side >> b & 1))
                cut_both(s, a, b);
}

/* Only neighbours on a line, or on a ring, hear each other. */
static void cut_line(struct sim *s, bool ring)
{
    const uint32_t from = (uint32_t)prng_below(&s->prng, s->node_count);

    for (uint32_t i = 0; i < s->node_count; i++) {
        for (uint32_t j = i + 2; j < s->node_count; j++) {
            if (ring && i == 0 && j == s->node_count - 1)
                continue;
            cut_both(s, (from + i) % s->node_count, (from + j) % s->node_count);
        }
    }
}

static void cut_hub(struct sim *s, uint32_t hub)
{
    for (uint32_t a = 0; a < s->node_count; a++)
        for (uint32_t b = a + 1; b < s->node_count; b++)
            if (a != hub && b != hub)
                cut_both(s, a, b);
}

/* One node is not heard, or hears nothing; or any directed links are gone. */
static void cut_one_way(struct sim *s, uint32_t node)
{
    const uint64_t shape = prng_below(&s->prng, 3);

    for (uint32_t other = 0; other < s->node_count; other++) {
        if (other == node)
            continue;
        if (shape == 0)
            net_cut(s->net, node, other, true);
        else if (shape == 1)
            net_cut(s->net, other, node, true);
        else
            net_cut(s->net, other, (uint32_t)prng_below(&s->prng, s->node_count), true);
    }
}

static void partition(struct sim *s)
{
    const uint32_t node = (uint32_t)prng_below(&s->prng, s->node_count);

    net_heal(s->net);
    switch (prng_below(&s->prng, 6)) {
    case 0:
    case 1:
        cut_isolate(s, node);
        break;
    case 2:
        cut_bisect(s);
        break;
    case 3:
        cut_line(s, prng_below(&s->prng, 2) == 0);
        break;
    case 4:
        cut_hub(s, node);
        break;
    default:
        cut_one_way(s, node);
        break;
    }
    sim_happen(s, SIM_PARTITION);
    sim_trace(s, "partition");
    s->fault_ns[FAULT_HEAL] = s->now_ns + down_time(s);
}

static void hang(struct sim *s, struct sim_node *n)
{
    if (n->hung_until_ns != 0)
        return;
    disk_sim_hold(n->disk, true);
    n->hung_until_ns = s->now_ns + down_time(s);
    sim_happen(s, SIM_HANG);
    sim_trace(s, "node %u: disk hangs", sim_id(n));
}

static void release_disks(struct sim *s)
{
    for (uint32_t i = 0; i < s->node_count; i++) {
        struct sim_node *n = &s->node[i];
        if (n->hung_until_ns == 0 || n->hung_until_ns > s->now_ns)
            continue;
        n->hung_until_ns = 0;
        disk_sim_advance(n->disk, s->now_ns);
        disk_sim_hold(n->disk, false);
        n->busy = n->replica != NULL;
    }
}

static void break_disk(struct sim *s, struct sim_node *n)
{
    static const int64_t results[] = {-5 /* EIO */, -125 /* ECANCELED */, DISK_SIM_SHORT};
    const struct wal_options *wal = &n->options.wal;
    const bool sync = wal->sync_by_fsync && prng_below(&s->prng, 2) == 0;
    const struct disk_sim_fault fault = {
        .kind = sync                 ? DISK_OP_SYNC
                : wal->sync_by_fsync ? DISK_OP_WRITE
                                     : DISK_OP_WRITE_DSYNC,
        .nth = (uint32_t)prng_between(&s->prng, 1, 4),
        .result = results[prng_below(&s->prng, sync ? 2 : 3)],
        .sticky = prng_below(&s->prng, 2) == 0,
    };

    disk_sim_fail(n->disk, &fault);
    n->disk_broken = true;
    sim_happen(s, SIM_DISK_ERROR);
    sim_trace(s, "node %u: disk breaks", sim_id(n));
}

static void pause_node(struct sim *s, struct sim_node *n)
{
    n->paused_until_ns = s->now_ns + down_time(s);
    sim_happen(s, SIM_PAUSE);
    sim_trace(s, "node %u: paused", sim_id(n));
}

static void fire(struct sim *s, enum sim_fault fault)
{
    struct sim_node *n = draw_living(s);

    sim_mix(s, fault);
    schedule(s, fault);
    if (fault == FAULT_HEAL) {
        net_heal(s->net);
        s->fault_ns[FAULT_HEAL] = UINT64_MAX;
        sim_trace(s, "links healed");
    } else if (fault == FAULT_PARTITION) {
        partition(s);
    } else if (fault == FAULT_CRASH_ALL) {
        crash_all(s);
    } else if (n == NULL) {
        return; /* the dead are left in peace */
    } else if (fault == FAULT_CRASH) {
        crash_one(s, n, true);
    } else if (fault == FAULT_PAUSE) {
        pause_node(s, n);
    } else if (fault == FAULT_HANG) {
        hang(s, n);
    } else {
        ASSERT(fault == FAULT_DISK_ERROR);
        break_disk(s, n);
    }
}

void faults_fire(struct sim *s)
{
    release_disks(s);
    for (uint32_t fault = 0; fault < FAULT_COUNT; fault++)
        if (s->fault_ns[fault] <= s->now_ns)
            fire(s, (enum sim_fault)fault);
    faults_plan_next(s);
}

/* A run may leave a minority dead: those who live must do without. A node whose log is empty votes
 * only when it has heard all initial members, so this holds once all have entries. */
static uint32_t draw_dead(struct sim *s)
{
    const uint32_t minority = (s->node_count - 1) / 2;

    if (s->config.calm)
        return 0; /* a scenario kills for itself */
    for (uint32_t i = 0; i < s->node_count; i++) {
        const struct sim_node *n = &s->node[i];
        const bool living = n->replica != NULL && raft_durable_index(replica_raft(n->replica)) > 0;
        if (!living && check_promise_last(s->promise, sim_id(n)) == 0)
            return 0;
    }
    return prng_below(&s->prng, 3) == 0 ? (uint32_t)prng_between(&s->prng, 1, minority) : 0;
}

void faults_heal(struct sim *s)
{
    const uint32_t dead = draw_dead(s);
    const uint32_t from = (uint32_t)prng_below(&s->prng, s->node_count);
    struct net_faults calm = s->plan.net;

    s->healed = true;
    for (uint32_t fault = 0; fault < FAULT_COUNT; fault++)
        s->fault_ns[fault] = UINT64_MAX;
    s->fault_next_ns = UINT64_MAX;
    calm.loss = calm.duplicate = calm.reorder = calm.corrupt = 0;
    net_set_faults(s->net, &calm);
    net_set_limits(s->net, NET_TX_BUFFERS_MAX, NET_QUEUE_MAX);
    net_heal(s->net);
    for (uint32_t i = 0; i < s->node_count; i++) {
        struct sim_node *n = &s->node[(from + i) % s->node_count];
        /* A node with a broken disk is given a new start, as its operator would. */
        if (n->replica != NULL && (i < dead || n->disk_broken))
            cluster_crash(s, n, SIM_LOSE_UNSYNCED);
        n->down_until_ns = i < dead ? UINT64_MAX : s->now_ns;
        n->paused_until_ns = 0;
        n->ambush = false;
        if (n->hung_until_ns != 0)
            n->hung_until_ns = s->now_ns;
    }
    release_disks(s);
    sim_trace(s, "healed, %u nodes stay dead", dead);
}
