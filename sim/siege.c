/* sim/siege.c: the leader loses the others at the worst of moments, and its clients stay with it.
 *
 *            siege_lay()           after about an election timeout
 *   NONE ------------------> NARROW --------------------------------+
 *    ^ |                      |  a minority hears it no more, and   |
 *    | |                      v  would like to campaign             |
 *    | |                     EAGER --> LATE ------------------------+
 *    | |                      |  the others are struck just before  |
 *    | |                      +-------------------------------------+
 *    | |                                                            v
 *    | +-------------------> WATCH --------------------------------> CUT ---+
 *    | |                      the message has left, or none came    ^      |
 *    | +------------------------------------------------------------+      |
 *    +---------- mended: siege_lift() -------------------------------------+
 *
 * What Raft promises in the middle of a lease, of a round of heartbeats or of a change of the members
 * is broken only where a successor works while the old leader still believes, and somebody asks it
 * just then. By chance that is rare, so here it is arranged. Its followers may be restarted in the
 * moment in which it loses them; it may be asked for a change that it will append alone; it may go
 * deaf as soon as its TIMEOUT_NOW has left, or be paused when a round of heartbeats has. Its clients
 * ask for nothing but reads, some of them only when another node has served a write. Or they go on
 * writing, and a leader whose disk may be harmed dies in the end and loses of what it has alone.
 *
 * A lease rests on what followers promise, so those who keep a narrowed leader in office are struck
 * where that promise could break, and in time for one of the strayed to use it: that one has asked for
 * votes, and will again after an election timeout or somewhat more, before the lease is over. Either
 * they start anew, or they are paused when they have answered a round and read their clocks; with that
 * time they hear the next round, and answer it. Nobody writes meanwhile, so that the strayed log is as
 * new as any.
 */
#include "base/assert.h"
#include "sim/sim_internal.h"

/* How a leader loses the others. */
enum siege_way {
    SIEGE_APART,
    SIEGE_DEAF, /* it is heard: its heartbeats hold nobody back, but its TIMEOUT_NOW arrives */
    SIEGE_PAUSED,
    SIEGE_WAY_COUNT,
};

static void set_links(struct sim *s, uint32_t node, bool from_cut, bool to_cut)
{
    for (uint32_t i = 0; i < s->node_count; i++) {
        if (i == node)
            continue;
        net_cut(s->net, node, i, from_cut);
        net_cut(s->net, i, node, to_cut);
    }
}

/* It keeps as few followers as a majority needs. */
static void narrow(struct sim *s, struct prng *p)
{
    struct sim_siege *siege = &s->siege;
    const uint32_t from = (uint32_t)prng_below(p, s->node_count);

    siege->stage = SIEGE_NARROW;
    siege->next_ns = s->now_ns + sim_around(p, s->plan.options.election_max_ns);
    if (s->plan.options.lease_reads)
        siege->blow = (enum siege_blow)prng_below(p, 3);
    if (siege->blow != SIEGE_NO_BLOW) /* as soon as a strayed one asks for votes */
        siege->next_ns = s->now_ns + 4 * s->plan.options.election_max_ns;
    for (uint32_t i = 0; i < s->node_count; i++) {
        const uint32_t node = (from + i) % s->node_count;
        const uint32_t strayed = siege->strayed | 1U << node;
        if (node == siege->node || (uint32_t)__builtin_popcount(strayed) * 2 >= s->node_count)
            continue;
        siege->strayed = strayed;
        net_cut(s->net, siege->node, node, true);
        net_cut(s->net, node, siege->node, true);
    }
    sim_trace(s, "siege: nodes %#x lose the leader %u", siege->strayed, siege->node + 1);
}

/* Running nodes that the leader has not lost, as a set. */
static uint32_t followers(const struct sim *s)
{
    uint32_t set = 0;

    for (uint32_t i = 0; i < s->node_count; i++)
        if (i != s->siege.node && (s->siege.strayed >> i & 1) == 0 && s->node[i].replica != NULL)
            set |= 1U << i;
    return set;
}

/* Dead, and back before a heartbeat is due: whom they followed is forgotten. */
static void restart_followers(struct sim *s, struct prng *p)
{
    const uint32_t set = followers(s);

    for (uint32_t i = 0; i < s->node_count; i++)
        if ((set >> i & 1) != 0)
            faults_crash(s, p, &s->node[i], prng_below(p, s->plan.options.heartbeat_ns));
}

/* A strayed node has asked for votes, in vain. */
static void grow_eager(struct sim *s, struct prng *p)
{
    struct sim_siege *siege = &s->siege;
    const uint64_t timeout_ns = s->plan.options.election_min_ns;

    siege->stage = SIEGE_EAGER;
    siege->answered = 0;
    if (siege->blow == SIEGE_RESTART)
        siege->next_ns = s->now_ns + prng_between(p, timeout_ns / 2, timeout_ns);
    else
        siege->next_ns = s->now_ns + 2 * s->plan.options.heartbeat_ns; /* an answer comes before */
}

/* They have answered a round; the next one they hear when they wake. */
static void pause_followers(struct sim *s, struct prng *p)
{
    struct sim_siege *siege = &s->siege;
    const uint64_t timeout_ns = s->plan.options.election_min_ns;
    const uint64_t until_ns = s->now_ns + prng_between(p, timeout_ns / 4, timeout_ns);
    const uint32_t set = followers(s);

    siege->stage = SIEGE_LATE;
    siege->answered = 0;
    siege->next_ns = until_ns + s->plan.options.heartbeat_ns;
    for (uint32_t i = 0; i < s->node_count; i++)
        if ((set >> i & 1) != 0)
            faults_pause(s, &s->node[i], until_ns, true);
}

static void cut_off(struct sim *s, struct prng *p)
{
    struct sim_siege *siege = &s->siege;
    struct sim_node *n = &s->node[siege->node];
    const bool watched = siege->stage == SIEGE_WATCH;
    enum siege_way way = (enum siege_way)prng_below(p, SIEGE_WAY_COUNT);

    ASSERT(n->replica != NULL);
    if (watched)
        way = siege->watched == RAFT_MSG_TIMEOUT_NOW ? SIEGE_DEAF : SIEGE_PAUSED;
    if (siege->blow == SIEGE_RESTART || (siege->stage == SIEGE_NARROW && prng_below(p, 2) == 0))
        restart_followers(s, p);
    siege->stage = SIEGE_CUT;
    siege->next_ns = s->now_ns + sim_around(p, 2 * s->plan.options.election_max_ns);
    if (siege->blow != SIEGE_NO_BLOW) {
        way = SIEGE_APART;
        siege->next_ns = s->now_ns + 2 * s->plan.options.election_max_ns; /* a lease and more */
    }
    if (siege->loses_tail)
        way = SIEGE_APART;
    if (way == SIEGE_PAUSED)
        faults_pause(s, n, siege->next_ns, watched || prng_below(p, 2) == 0);
    else
        set_links(s, siege->node, way == SIEGE_APART, true);
    if (siege->loses_tail)
        workload_now(s, n, true);
    else
        workload_hold(s, n);
    sim_happen(s, SIM_SIEGE);
    sim_trace(s, "siege: leader %u is %s", sim_id(n),
              way == SIEGE_APART  ? "alone"
              : way == SIEGE_DEAF ? "deaf"
                                  : "paused");
}

static void watch(struct sim *s, enum raft_msg_type watched)
{
    s->siege.stage = SIEGE_WATCH;
    s->siege.watched = watched;
    s->siege.next_ns = s->now_ns + s->plan.options.election_max_ns;
}

void siege_lay(struct sim *s, struct prng *p)
{
    const uint32_t leader = sim_leader(s);
    struct sim_siege *siege = &s->siege;

    if (siege->stage != SIEGE_NONE || leader == UINT32_MAX)
        return;
    *siege = (struct sim_siege){.node = leader};
    switch (prng_below(p, s->plan.options.lease_reads ? 8 : 6)) {
    default:
        narrow(s, p);
        break;
    case 1:
        watch(s, RAFT_MSG_TIMEOUT_NOW);
        members_ask_transfer(s, &s->node[leader], 0);
        break;
    case 2: /* a round of heartbeats, for reads */
        watch(s, RAFT_MSG_HEARTBEAT);
        workload_hold(s, &s->node[leader]);
        workload_now(s, &s->node[leader], false);
        break;
    case 3: /* what it is asked for now it appends when nobody hears it any more */
        if (s->plan.every_ns[PLAN_CHANGE] != 0)
            members_ask_change(s, p, &s->node[leader]);
        cut_off(s, p);
        break;
    case 4:
        siege->loses_tail = (s->plan.harmed >> leader & 1) != 0;
        cut_off(s, p);
        break;
    case 5:
        cut_off(s, p);
        break;
    }
}

void siege_lift(struct sim *s)
{
    const struct sim_siege siege = s->siege;

    s->siege = (struct sim_siege){.stage = SIEGE_NONE};
    if (siege.stage == SIEGE_NONE)
        return;
    set_links(s, siege.node, false, false);
    workload_release(s, &s->node[siege.node]);
    sim_trace(s, "siege: leader %u is let go", siege.node + 1);
}

/* It is back when the others have another leader, or nearly. */
static void lose_tail(struct sim *s, struct prng *p)
{
    struct sim_node *n = &s->node[s->siege.node];

    if (n->replica == NULL)
        return;
    faults_crash(s, p, n, prng_below(p, 2 * s->plan.options.election_max_ns));
    harm_tail(s, p, n);
}

void siege_go_on(struct sim *s, struct prng *p)
{
    const struct sim_siege *siege = &s->siege;

    if (siege->stage == SIEGE_NONE || siege->next_ns > s->now_ns)
        return;
    const bool leads = s->node[siege->node].replica != NULL && sim_leader(s) == siege->node;
    if (siege->stage == SIEGE_CUT && siege->loses_tail)
        lose_tail(s, p);
    if (siege->stage == SIEGE_CUT || !leads)
        siege_lift(s);
    else if (siege->stage == SIEGE_NARROW && siege->blow != SIEGE_NO_BLOW)
        grow_eager(s, p);
    else if (siege->stage == SIEGE_EAGER && siege->blow == SIEGE_LATE_CLOCK)
        pause_followers(s, p);
    else
        cut_off(s, p);
}

/* This message of `n` is what the stage waits for. */
static bool is_awaited(struct sim *s, const struct sim_node *n, enum raft_msg_type type)
{
    struct sim_siege *siege = &s->siege;
    const bool strayed = (siege->strayed >> n->number & 1) != 0;

    if (siege->stage == SIEGE_WATCH)
        return siege->node == n->number && siege->watched == type;
    if (siege->stage == SIEGE_NARROW)
        return siege->blow != SIEGE_NO_BLOW && strayed && type == RAFT_MSG_PREVOTE;
    if (siege->stage != SIEGE_LATE &&
        !(siege->stage == SIEGE_EAGER && siege->blow == SIEGE_LATE_CLOCK))
        return false;
    if (type == RAFT_MSG_HEARTBEAT_REPLY)
        siege->answered |= 1U << n->number;
    return (followers(s) & ~siege->answered) == 0;
}

void siege_on_message(struct sim *s, const struct sim_node *n, enum raft_msg_type type)
{
    if (!is_awaited(s, n, type))
        return;
    s->siege.next_ns = s->now_ns; /* as soon as its turn has ended */
    s->fault_next_ns = s->now_ns;
}

void siege_on_election(struct sim *s, const struct sim_node *n)
{
    if (s->siege.stage != SIEGE_CUT || s->siege.node == n->number)
        return;
    for (uint32_t i = 0; i < s->node_count; i++)
        if (i != s->siege.node)
            workload_now(s, &s->node[i], true);
}

void siege_on_write(struct sim *s, const struct sim_node *n)
{
    if (s->siege.stage == SIEGE_CUT && s->siege.node != n->number)
        workload_now(s, &s->node[s->siege.node], true);
}

bool siege_wants_reads(const struct sim *s, const struct sim_node *n)
{
    const enum siege_stage stage = s->siege.stage;

    if (stage == SIEGE_CUT || stage == SIEGE_WATCH)
        return !s->siege.loses_tail && s->siege.node == n->number;
    return stage != SIEGE_NONE && s->siege.blow != SIEGE_NO_BLOW;
}
