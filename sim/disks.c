/* sim/disks.c: what becomes of whole disks: wiped, put into another machine, replaced by an old copy.
 *
 * Wipe       A dead node's disk is emptied. A start of it is refused. Its id is lost for ever: some
 *            operators give the new directory the old id all the same, and then nobody may count
 *            that node. As many nodes are lost at most as the configurations that may be in force
 *            can do without, and only when no change of the members is under way.
 *            Disks that may be harmed count as lost here, so that both kinds of faults may meet.
 * Swap       The disks of two dead nodes change places: neither may start, by the superblock.
 * Old copy   A node's disk is copied, and much later the copy is started in its place, under a boot
 *            number that was used before. Peers that have heard a later one must not count it and
 *            have it stop. What no living peer remembers is out of the claim: so only a copy that
 *            all running nodes have heard a later boot of is started, and no other node starts while
 *            it runs. Afterwards the true disk comes back.
 *            A copy may also start under the very number that the true disk started with last. It is
 *            known by what that had acknowledged, and to the leader of that time alone. So it is
 *            started only while that one leads and everybody follows it, and it ends as soon as
 *            anybody asks for votes, before the question can have arrived.
 */
#include "base/assert.h"
#include "persist/superblock.h"
#include "sim/sim_internal.h"

#include <errno.h>

static const struct raft *raft_of(const struct sim_node *n)
{
    return replica_raft(n->replica);
}

static bool has_its_disk(const struct sim *s, const struct sim_node *n)
{
    return n->who == SIM_ITSELF && !sim_is_lost(s, n) && n->swapped == NULL;
}

static struct sim_node *draw_node(struct sim *s, struct prng *p)
{
    struct sim_node *n = &s->node[prng_below(p, s->node_count)];
    return has_its_disk(s, n) ? n : NULL;
}

static void take_down(struct sim *s, struct sim_node *n, struct prng *p)
{
    if (n->replica != NULL)
        cluster_crash(s, n, SIM_LOSE_UNSYNCED);
    n->down_until_ns = s->now_ns + sim_around(p, s->plan.down_ns);
}

/* A node whose log is empty votes only when it has heard all initial members. */
bool disks_all_have_entries(const struct sim *s)
{
    const uint32_t named = check_members_named(s->members) & ~s->lost;

    for (uint32_t i = 0; i < s->node_count; i++) {
        const struct sim_node *n = &s->node[i];
        const bool living = n->replica != NULL && raft_durable_index(replica_raft(n->replica)) > 0;
        if ((named >> i & 1) != 0 && !living && check_promise_last(s->promise, sim_id(n)) == 0)
            return false;
    }
    return named != 0;
}

void disks_empty(struct sim *s, struct sim_node *n, uint64_t seed)
{
    struct disk_sim_options options = s->plan.disk;

    ASSERT(n->replica == NULL);
    options.seed = seed;
    disk_sim_delete(n->disk);
    n->disk = disk_sim_new(&options);
    ASSERT(n->disk != NULL);
    disk_sim_advance(n->disk, s->now_ns);
    s->lost |= 1U << n->number;
    s->lost_ns = s->now_ns;
    sim_happen(s, SIM_WIPE);
    sim_trace(s, "node %u: disk wiped", sim_id(n));
}

void disks_wipe(struct sim *s, struct prng *p)
{
    struct sim_node *n = draw_node(s, p);

    if (n == NULL || s->admin_open > 0 || !disks_all_have_entries(s) ||
        !check_members_endure(s->members, s->lost | harm_allowed(s) | 1U << n->number))
        return;
    take_down(s, n, p);
    harm_lift_limit(s, n);
    n->ruined = false;
    disks_empty(s, n, prng_next(p));
}

void disks_swap(struct sim *s, struct prng *p)
{
    struct sim_node *a = draw_node(s, p);
    struct sim_node *b = draw_node(s, p);

    if (a == NULL || b == NULL || a == b)
        return;
    take_down(s, a, p);
    take_down(s, b, p);
    harm_lift_limit(s, a);
    harm_lift_limit(s, b);
    struct disk *moved = a->disk;
    a->disk = b->disk;
    b->disk = moved;
    a->swapped = b;
    b->swapped = a;
    sim_happen(s, SIM_SWAP);
    sim_trace(s, "nodes %u and %u: disks swapped", sim_id(a), sim_id(b));
}

static void swap_back(struct sim_node *a)
{
    struct sim_node *b = a->swapped;
    struct disk *moved = a->disk;

    ASSERT(a->replica == NULL);
    ASSERT(b->replica == NULL); /* it would have been refused too */
    a->disk = b->disk;
    b->disk = moved;
    a->swapped = b->swapped = NULL;
}

/* An old copy of whoever can do without all others asks nobody: none of them could tell it that it is
 * one. That is out of the claim. */
static bool needs_others(const struct sim *s, const struct sim_node *n)
{
    return check_members_endure(s->members, s->lost | 1U << n->number);
}

void disks_note_start(struct sim *s, struct sim_node *n)
{
    const uint32_t leader = sim_leader(s);

    if (n->who != SIM_ITSELF)
        return;
    n->proof = (struct sim_proof){.leader = leader};
    if (leader == UINT32_MAX || leader == n->number)
        return;
    const struct sim_node *l = &s->node[leader];
    n->proof.boot = l->boot;
    n->proof.term = raft_term_now(raft_of(l));
    n->proof.match = raft_match(raft_of(l), sim_id(n));
}

/* The leader of its last start leads on, and holds more of it than the copy has. */
static bool leader_knows(const struct sim *s, const struct sim_node *n)
{
    const struct sim_proof *proof = &n->proof;

    if (proof->match <= n->copy_last)
        return false;
    const struct sim_node *l = &s->node[proof->leader];
    return l->replica != NULL && l->who == SIM_ITSELF && l->boot == proof->boot &&
           raft_role(raft_of(l)) == RAFT_LEADER && raft_term_now(raft_of(l)) == proof->term &&
           replica_heard_boot(l->replica, sim_id(n)) == n->boot;
}

/* Nobody else leads, or would like to. */
static bool all_follow(const struct sim *s, const struct sim_node *n)
{
    for (uint32_t i = 0; i < s->node_count; i++) {
        const struct sim_node *other = &s->node[i];
        if (other == n || other->replica == NULL || i == n->proof.leader)
            continue;
        if (raft_term_now(raft_of(other)) != n->proof.term ||
            raft_role(raft_of(other)) != RAFT_FOLLOWER)
            return false;
    }
    return true;
}

/* All who run have heard this start of it, so they know later than any copy made before. */
static bool all_have_heard(const struct sim *s, const struct sim_node *n)
{
    for (uint32_t i = 0; i < s->node_count; i++) {
        const struct sim_node *other = &s->node[i];
        if (other != n && other->replica != NULL &&
            replica_heard_boot(other->replica, sim_id(n)) != n->boot)
            return false;
    }
    return true;
}

void disks_make_copy(struct sim *s, struct sim_node *n, uint64_t seed)
{
    ASSERT(n->copy == NULL);
    n->copy = disk_sim_fork(n->disk, seed);
    ASSERT(n->copy != NULL);
    disk_sim_fail(n->copy, &(struct disk_sim_fault){.kind = DISK_OP_WRITE});
    disk_sim_hold(n->copy, false);
    disk_sim_limit(n->copy, s->plan.disk.bytes_max);
    disk_sim_power_cut(n->copy);
    n->copy_boot = n->boot;
    n->copy_last = n->replica != NULL ? raft_last(raft_of(n)) : RAFT_WORD_MAX;
    sim_trace(s, "node %u: disk copied at boot %u", sim_id(n), n->boot);
}

void disks_start_copy(struct sim *s, struct sim_node *n)
{
    ASSERT(n->replica == NULL);
    ASSERT(n->copy != NULL);
    harm_lift_limit(s, n);
    n->kept = n->disk;
    n->disk = n->copy;
    n->copy = NULL;
    n->who = SIM_CLONE;
    s->clone_same_boot = n->boot == n->copy_boot + 1;
    n->copy_tried = false;
    n->down_until_ns = s->now_ns; /* before anybody forgets */
    s->clone = n;
    sim_happen(s, SIM_OLD_COPY);
    s->happened[SIM_SAME_BOOT] += s->clone_same_boot;
    sim_trace(s, "node %u: a copy of its disk is started", sim_id(n));
}

/* The operator sees his mistake. */
static void end_copy(struct sim *s, struct sim_node *n)
{
    if (n->replica != NULL)
        cluster_crash(s, n, SIM_LOSE_UNSYNCED);
    harm_lift_limit(s, n);
    disk_sim_delete(n->disk);
    n->disk = n->kept;
    n->kept = NULL;
    n->ruined = false;                                   /* that was said of the copy */
    n->repaired = disk_harm_count(n->disk) > 0; /* it may have been at it when it was replaced */
    n->who = SIM_ITSELF;
    n->down_until_ns = s->now_ns;
    s->clone = NULL;
    s->clone_ends = false;
    disk_sim_advance(n->disk, s->now_ns);
    sim_trace(s, "node %u: the true disk is back", sim_id(n));
}

/* Mostly the next strike is about this node too, and comes soon. */
static void strike_again(struct sim *s, struct sim_node *n, struct prng *p, uint64_t in_ns)
{
    if (prng_below(p, 8) == 0)
        return;
    s->copied = n;
    s->strike_ns[PLAN_OLD_COPY] = s->now_ns + in_ns;
}

/* Its next start is numbered as the copy's will be, and is to be heard before that. */
static void restart_copied(struct sim *s, struct sim_node *n, struct prng *p)
{
    take_down(s, n, p);
    n->down_until_ns = s->now_ns + prng_below(p, s->plan.options.heartbeat_ns);
    strike_again(s, n, p, 3 * s->plan.options.heartbeat_ns);
}

/* The leader holds more of it than its copy has. */
static bool has_acknowledged(const struct sim *s, const struct sim_node *n)
{
    const uint32_t leader = sim_leader(s);

    return leader != UINT32_MAX && leader != n->number &&
           raft_match(raft_of(&s->node[leader]), sim_id(n)) > n->copy_last;
}

void disks_copy(struct sim *s, struct prng *p)
{
    struct sim_node *n = s->copied;
    const uint64_t soon_ns = s->plan.options.heartbeat_ns;

    if (s->clone != NULL) {
        if (!s->clone_same_boot || prng_below(p, 2) == 0)
            end_copy(s, s->clone);
        return;
    }
    s->copied = NULL;
    if (n == NULL || !has_its_disk(s, n))
        n = draw_node(s, p);
    if (n == NULL || n->replica == NULL || !needs_others(s, n))
        return;
    if (n->copy == NULL) {
        disks_make_copy(s, n, prng_next(p));
        if (prng_below(p, 2) == 0) /* before there is another leader */
            strike_again(s, n, p, soon_ns);
        return;
    }
    if (n->boot == n->copy_boot) {
        if (has_acknowledged(s, n))
            restart_copied(s, n, p);
        else
            strike_again(s, n, p, soon_ns);
        return;
    }
    const bool same = n->boot == n->copy_boot + 1;
    if (!all_have_heard(s, n) || (same && !(leader_knows(s, n) && all_follow(s, n)))) {
        strike_again(s, n, p, soon_ns);
        return;
    }
    take_down(s, n, p);
    disks_start_copy(s, n);
}

void disks_on_campaign(struct sim *s)
{
    if (s->clone == NULL || !s->clone_same_boot)
        return;
    s->clone_ends = true;
    s->fault_next_ns = s->now_ns; /* before anything that left has arrived */
}

void disks_go_on(struct sim *s)
{
    if (s->clone != NULL && s->clone_ends)
        end_copy(s, s->clone);
}

bool disks_may_start(struct sim *s, struct sim_node *n)
{
    if (s->clone == NULL)
        return true;
    if (s->clone != n) {
        n->down_until_ns = s->now_ns + s->plan.options.heartbeat_ns;
        return false; /* it would know of no later start than the copy's */
    }
    if (!n->copy_tried) {
        n->copy_tried = true;
        return true;
    }
    end_copy(s, n); /* with each start its boot is one higher, up to that of the true disk */
    return true;
}

bool disks_start_refused(struct sim *s, struct sim_node *n, int failed,
                         const struct superblock *found)
{
    if (failed == -ENODATA && sim_is_lost(s, n) && n->who == SIM_ITSELF) {
        sim_happen(s, SIM_EMPTY_REFUSED);
        n->down_until_ns = UINT64_MAX;
        if (s->healed || prng_below(&s->prng, 2) == 0)
            return true;
        cluster_init(s, n); /* by someone who reads the message, and does what it warns of */
        n->who = SIM_IMPOSTOR;
        n->down_until_ns = s->now_ns;
        return true;
    }
    if (failed != 0 ||
        superblock_owner(found, s->plan.options.cluster, sim_id(n)) == SUPERBLOCK_OURS)
        return false;
    if (n->swapped == NULL)
        return check_fail(&s->report, "recovery", "node %u finds the disk of node %u", sim_id(n),
                          found->node);
    sim_happen(s, SIM_SWAP_REFUSED);
    disk_sim_power_cut(n->disk);
    swap_back(n);
    n->down_until_ns = s->now_ns + sim_around(&s->prng, s->plan.down_ns);
    return true;
}

bool disks_stop_expected(struct sim *s, struct sim_node *n, enum replica_stop stop)
{
    if (n->who == SIM_CLONE && stop == REPLICA_STOP_SUPERSEDED) {
        sim_happen(s, SIM_OLD_COPY_STOPPED);
        end_copy(s, n);
        return true;
    }
    if (n->who != SIM_IMPOSTOR || stop != REPLICA_STOP_STRANGER)
        return false;
    sim_happen(s, SIM_IMPOSTOR_STOPPED);
    cluster_crash(s, n, SIM_KILL); /* and nobody starts it again */
    return true;
}

/* Somebody who goes on running knows a later boot than the copy's, or what it lacks, and tells it. */
static bool copy_is_known(const struct sim *s, uint32_t dead)
{
    if (s->clone_same_boot)
        return leader_knows(s, s->clone) && (dead >> s->clone->proof.leader & 1) == 0 &&
               !s->node[s->clone->proof.leader].disk_broken;
    for (uint32_t i = 0; i < s->node_count; i++) {
        const struct sim_node *n = &s->node[i];
        const bool goes_on = n->replica != NULL && n != s->clone && n->who == SIM_ITSELF &&
                             !n->disk_broken && (dead >> i & 1) == 0;
        if (goes_on && replica_heard_boot(n->replica, sim_id(s->clone)) > s->clone->boot)
            return true;
    }
    return false;
}

void disks_heal(struct sim *s, uint32_t dead)
{
    for (uint32_t i = 0; i < s->node_count; i++)
        if (s->node[i].swapped != NULL)
            swap_back(&s->node[i]);
    if (s->clone != NULL && (s->clone->replica == NULL || !copy_is_known(s, dead)))
        end_copy(s, s->clone);
}

void disks_forget(struct sim_node *n)
{
    struct disk *const all[] = {n->disk, n->copy, n->kept};

    for (uint32_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i] != NULL)
            disk_sim_delete(all[i]);
    n->disk = n->copy = n->kept = NULL;
    n->swapped = NULL;
    n->who = SIM_ITSELF;
}
