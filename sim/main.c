/* sim/main.c: skiff-sim: many seeds, one after the other; the first that fails is printed with the
 * line that replays it. skiff-sim-planted is the same with one known bug in the code under test.
 */
#include "base/planted.h"
#include "sim/marks.h"
#include "sim/sim.h"

#include <getopt.h>
#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    HEAP_KEPT_BYTES = 32 << 20,
    TWICE_EVERY = 64,
    EVENTS_DEFAULT = 4000,
    PROGRESS_NS = 1000000000
};

struct arguments {
    uint64_t seeds;
    uint64_t first;
    uint64_t events;
    uint64_t without;
    uint32_t nodes;
    uint32_t clients;
    uint64_t marks_percent; /* the campaign fails if it reaches fewer */
    const char *bug;
    bool marks;
    bool trace;
    bool trace_hash;
    bool verbose;
};

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

static uint64_t clock_now_ns(clockid_t clock_id)
{
    struct timespec t;

    clock_gettime(clock_id, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void print_replay(FILE *out)
{
    const struct arguments *a = running.arguments;
    const char *comma = " --without ";

    fprintf(out, "replay: build/%s --seed %" PRIu64 " --events %" PRIu64,
            a->bug != NULL ? "skiff-sim-planted" : "skiff-sim", running.seed, a->events);
    if (a->bug != NULL)
        fprintf(out, " --bug %s", a->bug);
    if (a->nodes != 0)
        fprintf(out, " --nodes %u", a->nodes);
    if (a->clients != 0)
        fprintf(out, " --clients %u", a->clients);
    for (uint32_t fault = 0; fault < PLAN_FAULT_COUNT; fault++) {
        if ((a->without & plan_fault_bit((enum plan_fault)fault)) == 0)
            continue;
        fprintf(out, "%s%s", comma, plan_fault_name((enum plan_fault)fault));
        comma = ",";
    }
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

/* False, and says why: no such bug, or a build without any. */
static bool choose_bug(const char *name)
{
    if (!planted_choose(name)) {
        fprintf(stderr, "there is no planted bug named %s\n", name);
        return false;
    }
    for (uint32_t bug = PLANTED_NONE + 1; bug < PLANTED_COUNT; bug++)
        if (planted((enum planted_bug)bug))
            return true;
    fprintf(stderr, "this build has no planted bugs: use skiff-sim-planted\n");
    return false;
}

static void usage(const char *name)
{
    fprintf(stderr,
            "usage: %s [--seeds N] [--first S] [--seed S] [--events E] [--nodes N] [--clients N]\n"
            "          [--without FAULT,...] [--marks] [--require-marks P]\n"
            "          [--trace] [--trace-hash] [--verbose] [--bug NAME]\n"
            "  --seeds N      how many seeds (default 100)\n"
            "  --first S      the first of them (default 1)\n"
            "  --seed S       just this one\n"
            "  --events E     events of a seed before everything is healed (default %d)\n"
            "  --nodes N      2 to 7 nodes, whatever the seed says\n"
            "  --clients N    1 to %d clients a node, likewise\n"
            "  --without F,G  these faults are off; what else the seed draws stays the same\n"
            "  --marks        print how often each rare path was taken (base/mark.h)\n"
            "  --require-marks P  fail if fewer than P percent of those paths were taken\n"
            "  --trace        print every event\n"
            "  --trace-hash   print each seed's hash over all that happened\n"
            "  --verbose      print each seed's plan and outcome\n"
            "  --bug NAME     only skiff-sim-planted: 0 if the bug is found, 1 if not\n",
            name, EVENTS_DEFAULT, PLAN_CLIENTS_MAX);
    fputs("faults:", stderr);
    for (uint32_t fault = 0; fault < PLAN_FAULT_COUNT; fault++)
        fprintf(stderr, " %s", plan_fault_name((enum plan_fault)fault));
    fputc('\n', stderr);
}

static bool parse_number(const char *text, uint64_t *out)
{
    char *end;

    *out = strtoull(text, &end, 10);
    return *text != '\0' && *end == '\0';
}

/* Names with commas between them; the text is cut up. */
static bool parse_faults(char *text, uint64_t *out)
{
    char *rest;

    for (char *name = strtok_r(text, ",", &rest); name != NULL; name = strtok_r(NULL, ",", &rest)) {
        const enum plan_fault fault = plan_fault_named(name);
        if (fault == PLAN_FAULT_COUNT)
            return false;
        *out |= plan_fault_bit(fault);
    }
    return true;
}

static const struct option options[] = {
    {"seeds", required_argument, NULL, 'n'},
    {"first", required_argument, NULL, 'f'},
    {"seed", required_argument, NULL, 's'},
    {"events", required_argument, NULL, 'e'},
    {"nodes", required_argument, NULL, 'N'},
    {"clients", required_argument, NULL, 'c'},
    {"bug", required_argument, NULL, 'b'},
    {"without", required_argument, NULL, 'w'},
    {"trace", no_argument, NULL, 't'},
    {"trace-hash", no_argument, NULL, 'h'},
    {"verbose", no_argument, NULL, 'v'},
    {"marks", no_argument, NULL, 'm'},
    {"require-marks", required_argument, NULL, 'M'},
    {NULL, 0, NULL, 0},
};

static bool parse_arguments(int argc, char **argv, struct arguments *a)
{
    uint64_t nodes = 0, clients = 0;
    bool good = true;
    int option;

    *a = (struct arguments){.seeds = 100, .first = 1, .events = EVENTS_DEFAULT};
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'n':
            good = good && parse_number(optarg, &a->seeds);
            break;
        case 'f':
            good = good && parse_number(optarg, &a->first);
            break;
        case 's':
            good = good && parse_number(optarg, &a->first);
            a->seeds = 1;
            break;
        case 'e':
            good = good && parse_number(optarg, &a->events);
            break;
        case 'N':
            good = good && parse_number(optarg, &nodes) && nodes >= 2 && nodes <= 7;
            break;
        case 'c':
            good = good && parse_number(optarg, &clients) && clients >= 1 &&
                   clients <= PLAN_CLIENTS_MAX;
            break;
        case 'w':
            good = good && parse_faults(optarg, &a->without);
            break;
        case 'm':
            a->marks = true;
            break;
        case 'M':
            good = good && parse_number(optarg, &a->marks_percent) && a->marks_percent <= 100;
            break;
        case 'b':
            a->bug = optarg;
            break;
        case 't':
            a->trace = true;
            break;
        case 'h':
            a->trace_hash = true;
            break;
        case 'v':
            a->verbose = true;
            break;
        default:
            return false;
        }
    }
    a->nodes = (uint32_t)nodes;
    a->clients = (uint32_t)clients;
    return good && optind == argc;
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
    const struct sim_config config = {
        .seed = seed,
        .events = a->events,
        .without = a->without,
        .nodes = a->nodes,
        .clients = a->clients,
        .trace = a->trace,
    };

    running.seed = seed;
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

int main(int argc, char **argv)
{
    struct arguments arguments;
    struct totals totals = {.begun_ns = clock_now_ns(CLOCK_PROCESS_CPUTIME_ID)};

    if (!parse_arguments(argc, argv, &arguments)) {
        usage(argv[0]);
        return 2;
    }
    if (arguments.bug != NULL && !choose_bug(arguments.bug))
        return 2;
    /* Files of the simulated disks come and go with each run: pages given back to the kernel would
     * be faulted in again at once, which took a third of the time. */
    mallopt(M_MMAP_THRESHOLD, HEAP_KEPT_BYTES);
    mallopt(M_TRIM_THRESHOLD, INT32_MAX);
    struct sim *s = sim_new();
    running.sim = s;
    running.arguments = &arguments;
    signal(SIGABRT, on_abort);
    bool passed = run_all(s, &arguments, &totals);
    print_summary(&totals);
    if (arguments.bug == NULL && (arguments.seeds > 1 || arguments.marks))
        marks_print(&totals.marks, arguments.marks);
    passed = passed && marks_suffice(&totals.marks, arguments.marks_percent);
    sim_delete(s);
    if (arguments.bug == NULL)
        return passed ? 0 : 1;
    if (passed)
        printf("%s: not found in %" PRIu64 " seeds\n", arguments.bug, arguments.seeds);
    return passed ? 1 : 0;
}
