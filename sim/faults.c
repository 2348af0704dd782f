/* sim/faults.c: what goes wrong in phase one, and the healing that begins phase two. */
#include "base/assert.h"
#include "base/crc32c.h"
#include "sim/sim_internal.h"

#include <errno.h>
#include <string.h>

static uint64_t down_time(struct sim *s, struct prng *p)
{
    return sim_around(p, s->plan.down_ns);
}

static void schedule(struct sim *s, enum plan_fault strike)
{
    const uint64_t every_ns = s->plan.every_ns[strike];
    s->strike_ns[strike] =
        every_ns == 0 ? UINT64_MAX : s->now_ns + sim_around(&s->strike_prng[strike], every_ns);
}

void faults_plan_next(struct sim *s)
{
    s->fault_next_ns = harm_next_ns(s);
    if (s->heal_ns < s->fault_next_ns)
        s->fault_next_ns = s->heal_ns;
    if (s->flap.left > 0 && s->flap.next_ns < s->fault_next_ns)
        s->fault_next_ns = s->flap.next_ns;
    if (s->siege.stage != SIEGE_NONE && s->siege.next_ns < s->fault_next_ns)
        s->fault_next_ns = s->siege.next_ns;
    for (uint32_t strike = 0; strike < PLAN_STRIKE_COUNT; strike++)
        if (s->strike_ns[strike] < s->fault_next_ns)
            s->fault_next_ns = s->strike_ns[strike];
    for (uint32_t i = 0; i < s->node_count; i++) {
        const struct sim_node *n = &s->node[i];
        if (n->replica != NULL && n->hung_until_ns != 0 && n->hung_until_ns < s->fault_next_ns)
            s->fault_next_ns = n->hung_until_ns;
    }
}

void faults_begin(struct sim *s)
{
    for (uint32_t strike = 0; strike < PLAN_STRIKE_COUNT; strike++) {
        const char *name = plan_fault_name((enum plan_fault)strike);
        prng_seed(&s->strike_prng[strike],
                  hash_u64(hash_u64(s->plan.seed, 5), crc32c(0, name, strlen(name))));
        schedule(s, (enum plan_fault)strike);
    }
    s->heal_ns = UINT64_MAX;
    s->flap = (struct sim_flap){0};
    s->siege = (struct sim_siege){.stage = SIEGE_NONE};
    net_record(s->net, s->plan.every_ns[PLAN_REPLAY] != 0);
    faults_plan_next(s);
}

/* NULL: that one is dead, and left in peace. */
/* Half of the time the leader: it is where what is lost or late matters most. */
static struct sim_node *draw_living(struct sim *s, struct prng *p)
{
    const uint32_t any = (uint32_t)prng_below(p, s->node_count);
    const uint32_t leader = prng_below(p, 2) == 0 ? sim_leader(s) : UINT32_MAX;
    struct sim_node *n = &s->node[leader != UINT32_MAX ? leader : any];
    return n->replica != NULL ? n : NULL;
}

void faults_crash(struct sim *s, struct prng *p, struct sim_node *n, uint64_t down_ns)
{
    const bool kill = s->plan.kill != 0 && prng_chance(p, s->plan.kill);

    sim_trace(s, "node %u: %s", sim_id(n), kill ? "killed" : "power cut");
    cluster_crash(s, n, kill ? SIM_KILL : SIM_LOSE_UNSYNCED);
    n->down_until_ns = s->now_ns + down_ns;
}

static void crash_one(struct sim *s, struct prng *p)
{
    struct sim_node *n = draw_living(s, p);

    if (n == NULL)
        return;
    if (s->plan.ambush != 0 && prng_chance(p, s->plan.ambush))
        n->ambush = true;
    else
        faults_crash(s, p, n, down_time(s, p));
}

static void crash_all(struct sim *s, struct prng *p)
{
    for (uint32_t i = 0; i < s->node_count; i++)
        if (s->node[i].replica != NULL)
            faults_crash(s, p, &s->node[i], down_time(s, p));
}

static void hang(struct sim *s, struct prng *p)
{
    struct sim_node *n = draw_living(s, p);

    if (n == NULL || n->hung_until_ns != 0)
        return;
    disk_sim_hold(n->disk, true);
    n->hung_until_ns = s->now_ns + down_time(s, p);
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

static void break_disk(struct sim *s, struct prng *p)
{
    static const int64_t results[] = {-EIO, -ECANCELED, DISK_SIM_SHORT};
    const bool by_fsync = s->plan.options.wal.sync_by_fsync;
    struct sim_node *n = draw_living(s, p);
    const bool sync = by_fsync && prng_below(p, 2) == 0;
    const struct disk_sim_fault fault = {
        .kind = sync       ? DISK_OP_SYNC
                : by_fsync ? DISK_OP_WRITE
                           : DISK_OP_WRITE_DSYNC,
        .nth = (uint32_t)prng_between(p, 1, 4),
        .result = results[prng_below(p, sync ? 2 : 3)],
        .sticky = prng_below(p, 2) == 0,
    };

    if (n == NULL)
        return;
    disk_sim_fail(n->disk, &fault);
    n->disk_broken = true;
    sim_happen(s, SIM_DISK_ERROR);
    sim_trace(s, "node %u: disk breaks", sim_id(n));
}

/* Of any length: from a few turns to many election timeouts. */
static uint64_t pause_length(struct sim *s, struct prng *p)
{
    const uint64_t mean_ns = prng_below(p, 2) == 0 ? s->plan.options.heartbeat_ns : s->plan.down_ns;
    return sim_around(p, mean_ns);
}

/* `clock_read`: just after it has read its clock. What came meanwhile it then meets with the time of
 * before. */
void faults_pause(struct sim *s, struct sim_node *n, uint64_t until_ns, bool clock_read)
{
    ASSERT(until_ns >= s->now_ns);
    n->paused_until_ns = until_ns;
    n->clock_read_ns = clock_read ? sim_clock_local(&n->clock, s->now_ns) : 0;
    n->busy = true; /* it was in the middle of a turn */
    sim_happen(s, SIM_PAUSE);
    sim_trace(s, "node %u: paused", sim_id(n));
}

/* In the middle of a poll: the whole process, or an lcore that the others overtake. */
void faults_leave(struct sim *s, struct prng *p, struct sim_node *n, uint64_t for_ns)
{
    /* Where time matters, more often than elsewhere. */
    static const uint8_t role[] = {REPLICA_RAFT, REPLICA_RAFT, REPLICA_RAFT,    REPLICA_STORE,
                                   REPLICA_TX,   REPLICA_RX,   REPLICA_PERSIST, REPLICA_STORE};

    poll_leave(n, p,
               &(struct sim_leave){
                   .role = (enum replica_role)role[prng_below(p, sizeof role)],
                   .whole = prng_below(p, 2) == 0,
                   .for_ns = for_ns,
               });
    n->busy = true;
    sim_trace(s, "node %u: a poll is to be left", sim_id(n));
}

static void pause_one(struct sim *s, struct prng *p)
{
    struct sim_node *n = draw_living(s, p);

    if (n == NULL)
        return;
    const uint64_t length_ns = pause_length(s, p);
    const uint64_t kind = prng_below(p, 4);
    if (kind < 2)
        faults_pause(s, n, s->now_ns + length_ns, kind == 0);
    else
        faults_leave(s, p, n, length_ns);
}

static void stall_clock(struct sim *s, struct prng *p)
{
    struct sim_node *n = draw_living(s, p);

    if (n == NULL)
        return;
    sim_clock_stall(&n->clock, s->now_ns, s->now_ns + pause_length(s, p));
    n->busy = true; /* its timers are reckoned anew after a turn */
    sim_happen(s, SIM_CLOCK_STALL);
    sim_trace(s, "node %u: its clock stands still", sim_id(n));
}

static void jump_clock(struct sim *s, struct prng *p)
{
    struct sim_node *n = draw_living(s, p);

    if (n == NULL)
        return;
    sim_clock_jump(&n->clock, s->now_ns, pause_length(s, p));
    n->busy = true;
    sim_happen(s, SIM_CLOCK_JUMP);
    sim_trace(s, "node %u: its clock jumps", sim_id(n));
}

static void strike(struct sim *s, enum plan_fault fault)
{
    static void (*const how[PLAN_STRIKE_COUNT])(struct sim * s, struct prng * p) = {
        [PLAN_CRASH] = crash_one,           [PLAN_CRASH_ALL] = crash_all,
        [PLAN_PARTITION] = links_partition, [PLAN_LINK] = links_toggle,
        [PLAN_FLAP] = links_flap,           [PLAN_REPLAY] = links_replay,
        [PLAN_PAUSE] = pause_one,           [PLAN_CLOCK_STALL] = stall_clock,
        [PLAN_CLOCK_JUMP] = jump_clock,     [PLAN_HANG] = hang,
        [PLAN_DISK_ERROR] = break_disk,     [PLAN_WIPE] = disks_wipe,
        [PLAN_SWAP] = disks_swap,           [PLAN_OLD_COPY] = disks_copy,
        [PLAN_CHANGE] = members_change,     [PLAN_TRANSFER] = members_transfer,
        [PLAN_DISK_FULL] = harm_fill,       [PLAN_ROT] = harm_rot,
        [PLAN_SIEGE] = siege_lay,
    };

    sim_mix(s, fault);
    schedule(s, fault);
    how[fault](s, &s->strike_prng[fault]);
}

void faults_fire(struct sim *s)
{
    release_disks(s);
    harm_make_room(s);
    disks_go_on(s);
    if (s->heal_ns <= s->now_ns)
        links_heal(s);
    links_flap_on(s);
    siege_go_on(s, &s->strike_prng[PLAN_SIEGE]);
    for (uint32_t fault = 0; fault < PLAN_STRIKE_COUNT; fault++)
        if (s->strike_ns[fault] <= s->now_ns)
            strike(s, (enum plan_fault)fault);
    faults_plan_next(s);
}

/* Voters are counted, of every configuration that may be in force somewhere: the quorum that is left
 * meets the one that committed last, so one of its nodes has each committed entry. */
bool faults_within_atlas(const struct sim *s)
{
    const uint32_t victims = harm_victims(s);

    return victims == 0 ||
           (check_members_endure(s->members, victims | s->lost) && disks_all_have_entries(s));
}

void faults_heal(struct sim *s)
{
    struct net_faults calm = s->plan.net;

    s->happened[SIM_TIMEOUT] += (s->now_ns - SIM_START_NS) / s->plan.options.election_max_ns;
    s->healed = true;
    s->over = false;
    for (uint32_t fault = 0; fault < PLAN_STRIKE_COUNT; fault++)
        s->strike_ns[fault] = UINT64_MAX;
    s->heal_ns = UINT64_MAX;
    s->flap.left = 0;
    siege_lift(s);
    s->fault_next_ns = UINT64_MAX;
    calm.loss = calm.duplicate = calm.reorder = calm.corrupt = 0;
    net_set_faults(s->net, &calm);
    net_set_limits(s->net, NET_TX_BUFFERS_MAX, NET_QUEUE_MAX);
    net_heal(s->net);
    const uint32_t dead = members_draw_dead(s);
    disks_heal(s, dead);
    for (uint32_t i = 0; i < s->node_count; i++) {
        struct sim_node *n = &s->node[i];
        const bool stays_dead = (dead >> i & 1) != 0;
        /* A node with a broken disk is given a new start, as its operator would. */
        if (n->replica != NULL && (stays_dead || n->disk_broken))
            cluster_crash(s, n, SIM_LOSE_UNSYNCED);
        n->down_until_ns = stays_dead ? UINT64_MAX : s->now_ns;
        n->paused_until_ns = 0;
        n->leave.for_ns = 0;
        memset(n->stalled_until_ns, 0, sizeof n->stalled_until_ns);
        n->busy = true;
        n->ambush = false;
        if (n->hung_until_ns != 0)
            n->hung_until_ns = s->now_ns;
    }
    release_disks(s);
    harm_end(s);
    sim_trace(s, "healed, nodes %#x stay dead", dead);
}
