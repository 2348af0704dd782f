/* sim/clock.h: the clock of one node: its own beginning and its own pace.
 *
 * The simulator has one time; a node sees it through this. Drift is in parts per million, either
 * way; times are nanoseconds. It may stand still for a while and it may jump forward, as when a
 * machine was suspended. It never goes back: nodes read a monotonic clock, which can't.
 */
#ifndef SIM_CLOCK_H
#define SIM_CLOCK_H

#include <stdint.h>

#include "base/assert.h"

struct sim_clock {
    uint64_t base_ns;  /* what the node's clock said ... */
    uint64_t start_ns; /* ... until this time of the simulator, from when on it runs */
    int32_t drift_ppm;
};

static inline uint64_t sim_clock_local(const struct sim_clock *c, uint64_t now_ns)
{
    if (now_ns <= c->start_ns)
        return c->base_ns;
    const uint64_t elapsed = now_ns - c->start_ns;
    const int64_t drift = (int64_t)(elapsed / 1000) * c->drift_ppm / 1000;
    return c->base_ns + (uint64_t)((int64_t)elapsed + drift);
}

/* The first moment, give or take a few nanoseconds too late, at which the node's clock has reached
 * `local_ns`; UINT64_MAX stays what it is. */
static inline uint64_t sim_clock_when(const struct sim_clock *c, uint64_t local_ns)
{
    if (local_ns <= c->base_ns)
        return c->start_ns;
    const uint64_t elapsed = local_ns - c->base_ns;
    if (elapsed > UINT64_MAX / 4)
        return UINT64_MAX;
    const uint64_t pace = (uint64_t)(1000000 + c->drift_ppm);
    return c->start_ns + elapsed / pace * 1000000 + elapsed % pace * 1000000 / pace + 2000;
}

/* It says the same from now to `until_ns`, and goes on from there. */
static inline void sim_clock_stall(struct sim_clock *c, uint64_t now_ns, uint64_t until_ns)
{
    ASSERT(until_ns >= now_ns);
    c->base_ns = sim_clock_local(c, now_ns);
    c->start_ns = until_ns > c->start_ns ? until_ns : c->start_ns;
}

static inline void sim_clock_jump(struct sim_clock *c, uint64_t now_ns, uint64_t by_ns)
{
    c->base_ns = sim_clock_local(c, now_ns) + by_ns;
    c->start_ns = now_ns > c->start_ns ? now_ns : c->start_ns;
}

#endif
