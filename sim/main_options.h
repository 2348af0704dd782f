/* sim/main_options.h: what skiff-sim is asked to do, and the line that asks for it again. */
#ifndef SIM_MAIN_OPTIONS_H
#define SIM_MAIN_OPTIONS_H

#include "sim/sim.h"

#include <stdio.h>

struct arguments {
    uint64_t seeds;
    uint64_t first;
    uint64_t events;
    uint64_t without;
    uint32_t nodes;
    uint32_t clients;
    uint64_t marks_percent; /* the campaign fails if it reaches fewer */
    const char *bug;
    bool bugs; /* print the list, run nothing */
    bool marks;
    bool trace;
    bool trace_hash;
    bool verbose;
    bool shrink;
};

/* False: it can't be understood; what is possible was printed. */
bool options_parse(int argc, char **argv, struct arguments *a);
struct sim_config options_config(const struct arguments *a, uint64_t seed);
/* For scripts/hunt: name, tool and broken rule of each planted bug, with tabs between them. */
void options_print_bugs(void);
/* The command that runs just this, without an end of line. `bug` may be NULL. */
void options_print(FILE *out, const struct sim_config *config, const char *bug);

#endif
