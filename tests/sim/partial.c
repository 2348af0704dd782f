/* Goal:   where links are cut so that just one node, or just some, reach a majority, one of those is
 *         found to lead, and soon; a leader that still has its majority is left in peace.
 * Method: the shapes of Ng, Haridi and Carbone, "Omni-Paxos: Breaking the Barriers of Partial
 *         Connectivity" (2023), each in 200 calm clusters whose timeouts, latencies, sizes and moment
 *         of the cut are drawn. The time is taken from the cut to the moment at which a node leads
 *         that hears and is heard by a majority; a write must go through it then. Printed: median
 *         and worst, in units of the longest election timeout. Where Raft's rule about the candidate's
 *         log leaves nobody who could win (docs/raft.md, "Partial links"), that is what must be seen,
 *         with terms that do not rise, and a leader as soon as one link is back.
 *
 *   partial [SEEDS [FIRST]] */
#include "base/assert.h"
#include "base/prng.h"
#include "sim/sim.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SEEDS = 200,
    SEEDS_MAX = 10000,
    LIMIT_TIMEOUTS = 10,
    WATCH_TIMEOUTS = 30, /* how long nothing may change */
    SLICES = 64,         /* looks at the cluster in one timeout */
    SMALL = 16,
    WRITES_MAX = 8,
    /* As the paper names them: A is in the middle of all shapes, C leads at first. */
    A = 0,
    B = 1,
    C = 2,
    D = 3,
    E = 4,
};

struct trial {
    struct sim *s;
    struct prng prng;
    uint64_t cut_ns;
    bool cut[NET_NODES_MAX][NET_NODES_MAX];
    const char *failure; /* NULL: none so far */
};

static void expect(struct trial *t, bool good, const char *what)
{
    if (!good && t->failure == NULL)
        t->failure = what;
}

static uint32_t nodes_of(const struct trial *t)
{
    return sim_plan(t->s)->nodes;
}

static uint64_t timeout_ns(const struct trial *t)
{
    return sim_plan(t->s)->options.election_max_ns;
}

static void run(struct trial *t, uint64_t duration_ns)
{
    if (t->failure == NULL)
        expect(t, sim_run_ns(t->s, duration_ns), "an invariant is broken");
}

static void set_link(struct trial *t, uint32_t a, uint32_t b, bool cut)
{
    t->cut[a][b] = t->cut[b][a] = cut;
    sim_cut(t->s, a, b, cut);
    sim_cut(t->s, b, a, cut);
}

static void set_links_of(struct trial *t, uint32_t node, bool cut)
{
    for (uint32_t other = 0; other < nodes_of(t); other++)
        if (other != node)
            set_link(t, node, other, cut);
}

static bool reaches_majority(const struct trial *t, uint32_t node)
{
    uint32_t reached = 0;

    for (uint32_t other = 0; other < nodes_of(t); other++)
        reached += !t->cut[node][other];
    return reached * 2 > nodes_of(t);
}

/* Who leads and can: UINT32_MAX: nobody. */
static uint32_t able_leader(const struct trial *t)
{
    const uint32_t leader = sim_leader(t->s);

    return leader != UINT32_MAX && reaches_majority(t, leader) ? leader : UINT32_MAX;
}

static bool put_through(struct trial *t, uint32_t node)
{
    if (t->failure != NULL)
        return false;
    const uint64_t call = sim_put(t->s, node, 1, SMALL);
    run(t, 4 * timeout_ns(t));
    return call != 0 && t->failure == NULL && sim_answered(t->s, call);
}

/* C leads, has written a little, and some part of a heartbeat's interval goes by. */
static void begin(struct trial *t)
{
    expect(t, sim_elect(t->s, C), "C is not elected");
    for (uint64_t i = prng_below(&t->prng, WRITES_MAX); i > 0; i--)
        expect(t, put_through(t, C), "C takes no writes");
    run(t, 1 + prng_below(&t->prng, timeout_ns(t)));
    t->cut_ns = sim_now_ns(t->s);
}

/* In units of the timeout, from the cut on; above the limit if nobody was found. */
static double leader_found_after(struct trial *t)
{
    const uint64_t from_ns = t->cut_ns;

    while (t->failure == NULL && able_leader(t) == UINT32_MAX &&
           sim_now_ns(t->s) - from_ns <= LIMIT_TIMEOUTS * timeout_ns(t))
        run(t, timeout_ns(t) / SLICES);
    const double after = (double)(sim_now_ns(t->s) - from_ns) / (double)timeout_ns(t);
    expect(t, able_leader(t) != UINT32_MAX, "no leader that reaches a majority in time");
    if (t->failure == NULL)
        expect(t, put_through(t, able_leader(t)), "the leader commits nothing");
    return after;
}

static raft_term newest_term(const struct trial *t)
{
    raft_term newest = 0;

    for (uint32_t i = 0; i < nodes_of(t); i++)
        newest = sim_term(t->s, i) > newest ? sim_term(t->s, i) : newest;
    return newest;
}

/* For many timeouts `leader` leads (UINT32_MAX: nobody who could), and no term rises. */
static void nothing_changes(struct trial *t, uint32_t leader)
{
    const raft_term term = newest_term(t);

    for (uint32_t i = 0; i < WATCH_TIMEOUTS * 4 && t->failure == NULL; i++) {
        run(t, timeout_ns(t) / 4);
        expect(t, able_leader(t) == leader, "the lead changes");
        expect(t, newest_term(t) == term, "a term rises");
    }
}

/* ---- the shapes -------------------------------------------------------------------------------- */

static void cut_to_hub(struct trial *t, uint32_t hub)
{
    for (uint32_t a = 0; a < nodes_of(t); a++)
        for (uint32_t b = a + 1; b < nodes_of(t); b++)
            if (a != hub && b != hub)
                set_link(t, a, b, true);
}

/* All are left with their link to A only; C leads but has lost its majority. */
static double quorum_loss(struct trial *t)
{
    begin(t);
    cut_to_hub(t, A);
    return leader_found_after(t);
}

/* C is gone, the others are left with their link to A only. A was away when the last entries were
 * written, but they were not committed: C had told nobody but B. */
static double constrained_uncommitted(struct trial *t)
{
    begin(t);
    for (uint32_t other = 0; other < nodes_of(t); other++)
        if (other != B && other != C)
            set_link(t, C, other, true);
    if (t->failure == NULL)
        sim_put(t->s, C, 2, SMALL);
    run(t, timeout_ns(t) / 8);
    expect(t, sim_last(t->s, B) > sim_last(t->s, A), "B has no more than A");
    expect(t, sim_commit(t->s, C) < sim_last(t->s, B), "it is committed without a majority");
    t->cut_ns = sim_now_ns(t->s);
    set_link(t, C, B, true);
    cut_to_hub(t, A);
    return leader_found_after(t);
}

/* The same, but what A has missed is committed: B, D and E have it, and no node but A, whose log is
 * too old, hears a majority. Nobody can win, until any of the others hear each other again. */
static double constrained_committed(struct trial *t)
{
    begin(t);
    set_links_of(t, A, true);
    expect(t, put_through(t, C), "C does not commit without A");
    expect(t, sim_commit(t->s, C) > sim_last(t->s, A), "A has what it should have missed");
    set_links_of(t, C, true);
    set_links_of(t, A, false);
    set_link(t, A, C, true);
    cut_to_hub(t, A);
    run(t, 3 * timeout_ns(t)); /* C notices, and who was voting has ended */
    nothing_changes(t, UINT32_MAX);
    t->cut_ns = sim_now_ns(t->s);
    set_link(t, B, D, false);
    return leader_found_after(t);
}

/* Three in a row, C at one end: it has its majority with A. B hears no leader and A does. */
static double chain_of_three(struct trial *t)
{
    begin(t);
    set_link(t, B, C, true);
    const double after = leader_found_after(t);
    nothing_changes(t, C);
    return after;
}

/* Five in a row, C at one end: it must go, and one of the three inner ones lead. */
static double chain_of_five(struct trial *t)
{
    static const uint32_t row[] = {C, B, A, D, E};

    begin(t);
    for (uint32_t i = 0; i < nodes_of(t); i++)
        for (uint32_t j = i + 2; j < nodes_of(t); j++)
            set_link(t, row[i], row[j], true);
    const double after = leader_found_after(t);
    const uint32_t leader = able_leader(t);
    nothing_changes(t, leader);
    return after;
}

static const struct shape {
    const char *name;
    uint32_t nodes;
    double (*measure)(struct trial *t);
} shapes[] = {
    {"quorum loss", 5, quorum_loss},
    {"constrained election, missed entries uncommitted", 5, constrained_uncommitted},
    {"constrained election, committed: from the first link back", 5, constrained_committed},
    {"chain of three", 3, chain_of_three},
    {"chain of five", 5, chain_of_five},
};

/* ---- all of them ------------------------------------------------------------------------------- */

static bool measure(struct sim *s, const struct shape *shape, uint64_t seed, double *after)
{
    struct trial t = {.s = s};

    prng_seed(&t.prng, hash_u64(seed, 7));
    sim_begin(
        s, &(struct sim_config){.seed = seed, .nodes = shape->nodes, .events = 4000, .calm = true});
    *after = shape->measure(&t);
    for (uint32_t i = 0; i < shape->nodes; i++)
        set_links_of(&t, i, false);
    if (t.failure == NULL)
        expect(&t, sim_settle(s), "it does not come to rest");
    if (t.failure == NULL)
        return true;
    printf("%s, seed %" PRIu64 ": %s (%s: %s)\n", shape->name, seed, t.failure,
           sim_report(s)->invariant != NULL ? sim_report(s)->invariant : "no invariant is broken",
           sim_report(s)->detail);
    sim_print_nodes(s);
    return false;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static bool measure_all(struct sim *s, const struct shape *shape, uint64_t first, uint64_t seeds)
{
    static double after[SEEDS_MAX];

    for (uint64_t i = 0; i < seeds; i++)
        if (!measure(s, shape, first + i, &after[i]))
            return false;
    qsort(after, seeds, sizeof after[0], compare);
    printf("%-58s %" PRIu64 " seeds: a leader after %.2f election timeouts, at worst %.2f\n",
           shape->name, seeds, after[seeds / 2], after[seeds - 1]);
    return after[seeds - 1] <= LIMIT_TIMEOUTS;
}

int main(int argc, char **argv)
{
    const uint64_t seeds = argc > 1 ? strtoull(argv[1], NULL, 10) : SEEDS;
    const uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    struct sim *s = sim_new();
    bool good = seeds > 0 && seeds <= SEEDS_MAX;

    for (uint32_t i = 0; good && i < sizeof shapes / sizeof shapes[0]; i++)
        good = measure_all(s, &shapes[i], first, seeds);
    sim_delete(s);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
