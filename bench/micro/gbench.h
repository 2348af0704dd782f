/* bench/micro/gbench.h: Google Benchmark for C: a benchmark is a function, listed in main.c.
 *
 * Use        void bench_x(struct gbench_state *state)
 *            {
 *                ... set up from gbench_arg(state) ...
 *                while (gbench_next(state, BATCH))
 *                    for (uint32_t i = 0; i < BATCH; i++)
 *                        gbench_keep(x(...));
 *                ... take down ...
 *            }
 *            A call of gbench_next() costs some nanoseconds; a batch spreads them over its turns.
 *            What is reported is the time of one turn.
 * Errors     gbench_skip() ends a benchmark with a reason that is printed in its line; return then.
 * Thread     The calling one; a benchmark that starts others joins them before it returns.
 */
#ifndef BENCH_MICRO_GBENCH_H
#define BENCH_MICRO_GBENCH_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { GBENCH_ARGS_MAX = 8 };

struct gbench_state;

struct gbench_spec {
    const char *name;
    void (*run)(struct gbench_state *state);
    const char *arg_name;          /* NULL: no argument, run once */
    int64_t args[GBENCH_ARGS_MAX]; /* run once for each, up to the first 0 */
    bool wall_time;                /* the work is not done by the calling thread's CPU alone */
    bool once; /* one turn, which lasts as long as the benchmark likes: setting up is dear */
};

int64_t gbench_arg(const struct gbench_state *state);
/* True: do `batch` more turns. */
bool gbench_next(struct gbench_state *state, uint32_t batch);
/* Between these two the clock stands still. They cost about a microsecond. */
void gbench_pause(struct gbench_state *state);
void gbench_resume(struct gbench_state *state);
/* In all turns together, reported per second. */
void gbench_count_items(struct gbench_state *state, uint64_t items);
void gbench_count_bytes(struct gbench_state *state, uint64_t bytes);
/* A figure of its own behind the times. */
void gbench_report(struct gbench_state *state, const char *name, double value);
void gbench_skip(struct gbench_state *state, const char *reason);

void gbench_register(const struct gbench_spec *spec);
/* Runs what is registered and chosen by the command line; the process's exit code. */
int gbench_main(int argc, char **argv);

/* The compiler must have computed `value`, and must not know what memory holds afterwards. */
static inline void gbench_keep(uint64_t value)
{
    __asm__ volatile("" : : "r"(value) : "memory");
}

#ifdef __cplusplus
}
#endif

#endif
