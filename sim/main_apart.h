/* sim/main_apart.h: one seed in a process of its own, so that whatever it dies of can be told.
 *
 * A broken invariant ends a run in order; a failed assertion ends the process. Who wants to run a
 * failing seed again and again, as the shrinker does, runs it apart.
 */
#ifndef SIM_MAIN_APART_H
#define SIM_MAIN_APART_H

#include "sim/sim.h"

enum { APART_TEXT_BYTES = 256, APART_CPU_SECONDS_MAX = 60 };

struct apart_outcome {
    /* "": it passed, or took too long. An assertion is its own text, so that two are not taken for
     * one; what dies of a signal is that signal. */
    char invariant[APART_TEXT_BYTES];
    uint64_t events; /* until it failed */
    uint64_t on;     /* faults of its plan */
    uint32_t nodes, clients;
};

/* What the run itself prints is not seen. */
void apart_run(const struct sim_config *config, struct apart_outcome *outcome);

#endif
