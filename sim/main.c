/* sim/main.c: skiff-sim: many seeds, one after the other; the first that fails is printed with the
 * line that replays it, and shrunk. skiff-sim-planted is the same with one known bug in the code
 * under test.
 */
#include "base/assert.h"
#include "sim/main_options.h"
#include "sim/main_shrink.h"
#include "sim/marks.h"
#include "sim/sim.h"

#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { HEAP_KEPT_BYTES = 32 << 20, TWICE_EVERY = 64, PROGRESS_NS = 1000000000 };

struct totals {
    uint64_t seeds, events;
    uint64_t begun_ns, shown_ns;
    uint64_t happened[SIM_HAPPENING_COUNT];
    uint64_t search[LINEAR_COUNT_COUNT];
    struct net_counters net;
    struct marks marks;
};

/* For the handler of SIGABRT: what was running when an assertion failed. */
static struct {
    uint64_t seed;
    const struct arguments *arguments;
    const struct sim *sim;
} running;

/* Where a campaign tells the process that waits for it which seed ended it. */
struct verdict {
    uint64_t seed;
    bool failed;
};
static struct verdict *verdict;

static uint64_t clock_now_ns(clockid_t clock_id)
{
    struct timespec t;

    clock_gettime(clock_id, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void print_replay(FILE *out)
{
    const struct sim_config config = options_config(running.arguments, running.seed);

    verdict->failed = true;
    fputs("replay: ", out);
    options_print(out, &config, running.arguments->bug);
    fputc('\n', out);
}

/* The process is about to die by an assertion of the code under test; it was in the middle of
 * nothing that stdio could be holding, so printing is safe enough. */
static void on_abort(int signal_number)
{
    (void)signal_number;
    fflush(stdout);
    fprintf(stderr, "seed %" PRIu64 " failed at event %" PRIu64 ": assertion\n", running.seed,
            sim_events(running.sim));
    print_replay(stderr);
    if (running.arguments->bug != NULL) {
        printf("%s: found at seed %" PRIu64 " by an assertion\n", running.arguments->bug,
               running.seed);
        fflush(stdout);
        _exit(0);
    }
    _exit(1);
}

static void add_totals(struct totals *t, const struct sim *s)
{
    const struct net_counters *net = sim_net(s);

    t->seeds++;
    t->events += sim_events(s);
    for (uint32_t i = 0; i < SIM_HAPPENING_COUNT; i++)
        t->happened[i] += sim_count(s, (enum sim_happening)i);
    for (uint32_t i = 0; i < LINEAR_COUNT_COUNT; i++)
        t->search[i] += sim_search_count(s, (enum linear_count)i);
    t->net.sent += net->sent;
    t->net.received += net->received;
    t->net.lost += net->lost;
    t->net.cut += net->cut;
    t->net.duplicated += net->duplicated;
    t->net.reordered += net->reordered;
    t->net.corrupted += net->corrupted;
    t->net.overflowed += net->overflowed;
}

/* Events a second of this process's CPU: other load on the machine does not count. */
static double rate_of(const struct totals *t)
{
    const uint64_t spent_ns = clock_now_ns(CLOCK_PROCESS_CPUTIME_ID) - t->begun_ns;
    return (double)t->events * 1e9 / (double)(spent_ns + 1);
}

static void print_progress(struct totals *t, uint64_t seeds)
{
    const uint64_t now_ns = clock_now_ns(CLOCK_MONOTONIC);

    if (!isatty(STDOUT_FILENO) || now_ns - t->shown_ns < PROGRESS_NS)
        return;
    t->shown_ns = now_ns;
    printf("\r%" PRIu64 " of %" PRIu64 " seeds, %.0f events/s a core ", t->seeds, seeds,
           rate_of(t));
    fflush(stdout);
}

static void print_summary(const struct totals *t)
{
    printf("%" PRIu64 " seeds, %" PRIu64 " events, %.0f events/s a core\n", t->seeds, t->events,
           rate_of(t));
    printf("frames: %" PRIu64 " sent, %" PRIu64 " received, %" PRIu64 " lost, %" PRIu64
           " cut off, %" PRIu64 " doubled, %" PRIu64 " late, %" PRIu64 " corrupted, %" PRIu64
           " over the queue\n",
           t->net.sent, t->net.received, t->net.lost, t->net.cut, t->net.duplicated,
           t->net.reordered, t->net.corrupted, t->net.overflowed);
    for (uint32_t i = 0; i < SIM_HAPPENING_COUNT; i++)
        printf("%12" PRIu64 "  %s\n", t->happened[i], sim_happening_text((enum sim_happening)i));
    for (uint32_t i = 0; i < LINEAR_COUNT_COUNT; i++)
        printf("%12" PRIu64 "  %s\n", t->search[i], linear_count_text((enum linear_count)i));
}

static void print_plan(const struct sim *s)
{
    const struct plan *p = sim_plan(s);

    printf("seed %" PRIu64 ": %u nodes, election %.0f ms, %s, rings to 2^%u, %u clients a node "
           "thinking %.1f ms\n",
           p->seed, p->nodes, (double)p->options.election_min_ns / 1e6,
           p->options.wal.sync_by_fsync ? "fsync" : "dsync", p->ring_shift_max, p->clients,
           (double)p->think_ns / 1e6);
    printf("  faults:");
    for (uint32_t fault = 0; fault < PLAN_FAULT_COUNT; fault++) {
        if ((p->on & plan_fault_bit((enum plan_fault)fault)) == 0)
            continue;
        printf(" %s", plan_fault_name((enum plan_fault)fault));
        if (fault < PLAN_STRIKE_COUNT)
            printf(" (every %.0f ms)", (double)p->every_ns[fault] / 1e6);
    }
    putchar('\n');
}

static bool run_seed(struct sim *s, const struct arguments *a, uint64_t seed)
{
    const struct sim_config config = options_config(a, seed);

    running.seed = seed;
    verdict->seed = seed;
    sim_begin(s, &config);
    return sim_run(s, a->events) && sim_settle(s);
}

/* False: the second run of the same seed was another one. */
static bool run_again(struct sim *s, const struct arguments *a, uint64_t seed)
{
    const uint64_t hash = sim_hash(s);
    const uint64_t events = sim_events(s);

    if (run_seed(s, a, seed) && sim_hash(s) == hash && sim_events(s) == events)
        return true;
    printf("seed %" PRIu64 " failed: determinism: hash %016" PRIx64 " after %" PRIu64
           " events, then %016" PRIx64 " after %" PRIu64 "\n",
           seed, hash, events, sim_hash(s), sim_events(s));
    return false;
}

static void print_failure(const struct sim *s, uint64_t seed)
{
    const struct check_report *report = sim_report(s);

    printf("seed %" PRIu64 " failed at event %" PRIu64 ", %.6f s: %s: %s\n", seed, sim_events(s),
           (double)sim_now_ns(s) / 1e9, report->invariant, report->detail);
    print_replay(stdout);
    if (running.arguments->bug != NULL)
        printf("%s: found at seed %" PRIu64 " by %s\n", running.arguments->bug, seed,
               report->invariant);
}

/* True: all seeds passed. */
static bool run_all(struct sim *s, const struct arguments *a, struct totals *t)
{
    for (uint64_t seed = a->first; seed < a->first + a->seeds; seed++) {
        const bool passed = run_seed(s, a, seed);
        add_totals(t, s);
        marks_take(&t->marks, seed);
        if (a->verbose)
            print_plan(s);
        if (a->trace_hash || a->verbose)
            printf("seed %" PRIu64 ": hash %016" PRIx64 " after %" PRIu64 " events\n", seed,
                   sim_hash(s), sim_events(s));
        if (!passed) {
            print_failure(s, seed);
            if (a->verbose)
                sim_print_nodes(s);
            return false;
        }
        if (seed % TWICE_EVERY == 0 && !run_again(s, a, seed)) {
            print_replay(stdout);
            return false;
        }
        print_progress(t, a->seeds);
    }
    return true;
}

/* The exit code. */
static int campaign(const struct arguments *a)
{
    struct totals totals = {.begun_ns = clock_now_ns(CLOCK_PROCESS_CPUTIME_ID)};

    /* Files of the simulated disks come and go with each run: pages given back to the kernel would
     * be faulted in again at once, which took a third of the time. */
    mallopt(M_MMAP_THRESHOLD, HEAP_KEPT_BYTES);
    mallopt(M_TRIM_THRESHOLD, INT32_MAX);
    struct sim *s = sim_new();
    running.sim = s;
    running.arguments = a;
    signal(SIGABRT, on_abort);
    bool passed = run_all(s, a, &totals);
    print_summary(&totals);
    if (a->bug == NULL && (a->seeds > 1 || a->marks))
        marks_print(&totals.marks, a->marks);
    passed = passed && marks_suffice(&totals.marks, a->marks_percent);
    sim_delete(s);
    if (a->bug == NULL)
        return passed ? 0 : 1;
    if (passed)
        printf("%s: not found in %" PRIu64 " seeds\n", a->bug, a->seeds);
    return passed ? 1 : 0;
}

static void print_shrunk(const struct arguments *a)
{
    const struct sim_config config = options_config(a, verdict->seed);
    struct shrink k;

    if (!shrink_seed(&config, &k)) {
        printf("seed %" PRIu64 " does not fail by itself, and is not shrunk\n", config.seed);
        return;
    }
    printf("shrunk by %u tries, fails at event %" PRIu64 ": %s\nshrunk: ", k.tries,
           k.outcome.events, k.outcome.invariant);
    options_print(stdout, &k.best, a->bug);
    puts(" --no-shrink");
}

/* The campaign runs in a child, since what fails may end its process; the shrinker goes on here. */
static int campaign_and_shrink(const struct arguments *a)
{
    int status = 0;
    const pid_t child = fork();

    ASSERT(child >= 0);
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        exit(campaign(a));
    }
    const pid_t ended = waitpid(child, &status, 0);
    ASSERT(ended == child);
    if (WIFSIGNALED(status)) {
        running.seed = verdict->seed;
        running.arguments = a;
        printf("seed %" PRIu64 " failed: signal %d\n", verdict->seed, WTERMSIG(status));
        print_replay(stdout);
    }
    if (verdict->failed)
        print_shrunk(a);
    return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    struct arguments arguments;

    if (!options_parse(argc, argv, &arguments))
        return 2;
    if (arguments.bugs) {
        options_print_bugs();
        return 0;
    }
    verdict =
        mmap(NULL, sizeof *verdict, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT(verdict != MAP_FAILED);
    return arguments.shrink ? campaign_and_shrink(&arguments) : campaign(&arguments);
}
