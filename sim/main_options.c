#include "sim/main_options.h"

#include "base/planted.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { EVENTS_DEFAULT = 4000 };

static void usage(const char *name)
{
    fprintf(stderr,
            "usage: %s [--seeds N] [--first S] [--seed S] [--events E] [--nodes N] [--clients N]\n"
            "          [--without FAULT,...] [--no-shrink] [--marks] [--require-marks P]\n"
            "          [--trace] [--trace-hash] [--verbose] [--bugs] [--bug NAME]\n"
            "  --seeds N      how many seeds (default 100)\n"
            "  --first S      the first of them (default 1)\n"
            "  --seed S       just this one\n"
            "  --events E     events of a seed before everything is healed (default %d)\n"
            "  --nodes N      2 to 7 nodes, whatever the seed says\n"
            "  --clients N    1 to %d clients a node, likewise\n"
            "  --without F,G  these faults are off; what else the seed draws stays the same\n"
            "  --no-shrink    leave a seed that fails as it is\n"
            "  --marks        print how often each rare path was taken (base/mark.h)\n"
            "  --require-marks P  fail if fewer than P percent of those paths were taken\n"
            "  --trace        print every event; nothing is shrunk\n"
            "  --trace-hash   print each seed's hash over all that happened\n"
            "  --verbose      print each seed's plan and outcome\n"
            "  --bugs         print the planted bugs\n"
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
    {"bugs", no_argument, NULL, 'B'},
    {"bug", required_argument, NULL, 'b'},
    {"without", required_argument, NULL, 'w'},
    {"trace", no_argument, NULL, 't'},
    {"trace-hash", no_argument, NULL, 'h'},
    {"verbose", no_argument, NULL, 'v'},
    {"marks", no_argument, NULL, 'm'},
    {"require-marks", required_argument, NULL, 'M'},
    {"no-shrink", no_argument, NULL, 'S'},
    {NULL, 0, NULL, 0},
};

static bool parse(int argc, char **argv, struct arguments *a)
{
    uint64_t nodes = 0, clients = 0;
    bool good = true;
    int option;

    *a = (struct arguments){.seeds = 100, .first = 1, .events = EVENTS_DEFAULT, .shrink = true};
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
        case 'B':
            a->bugs = true;
            break;
        case 'b':
            a->bug = optarg;
            break;
        case 't':
            a->trace = true;
            a->shrink = false;
            break;
        case 'S':
            a->shrink = false;
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

void options_print_bugs(void)
{
    for (uint32_t i = PLANTED_NONE + 1; i < PLANTED_COUNT; i++) {
        const enum planted_bug bug = (enum planted_bug)i;
        printf("%s\t%s\t%s\n", planted_name(bug),
               planted_tool(bug) == PLANTED_SIM ? "sim" : "crash", planted_undoes(bug));
    }
}

bool options_parse(int argc, char **argv, struct arguments *a)
{
    if (parse(argc, argv, a))
        return a->bug == NULL || choose_bug(a->bug);
    usage(argv[0]);
    return false;
}

struct sim_config options_config(const struct arguments *a, uint64_t seed)
{
    return (struct sim_config){
        .seed = seed,
        .events = a->events,
        .without = a->without,
        .nodes = a->nodes,
        .clients = a->clients,
        .trace = a->trace,
    };
}

void options_print(FILE *out, const struct sim_config *c, const char *bug)
{
    const char *comma = " --without ";

    fprintf(out, "build/%s --seed %" PRIu64 " --events %" PRIu64,
            bug != NULL ? "skiff-sim-planted" : "skiff-sim", c->seed, c->events);
    if (bug != NULL)
        fprintf(out, " --bug %s", bug);
    if (c->nodes != 0)
        fprintf(out, " --nodes %u", c->nodes);
    if (c->clients != 0)
        fprintf(out, " --clients %u", c->clients);
    for (uint32_t fault = 0; fault < PLAN_FAULT_COUNT; fault++) {
        if ((c->without & plan_fault_bit((enum plan_fault)fault)) == 0)
            continue;
        fprintf(out, "%s%s", comma, plan_fault_name((enum plan_fault)fault));
        comma = ",";
    }
}
