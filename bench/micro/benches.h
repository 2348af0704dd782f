/* bench/micro/benches.h: all benchmarks; main.c names them and their arguments. */
#ifndef BENCH_MICRO_BENCHES_H
#define BENCH_MICRO_BENCHES_H

#include "bench/micro/gbench.h"

void bench_record_encode(struct gbench_state *state);      /* payload bytes */
void bench_record_check(struct gbench_state *state);       /* payload bytes */
void bench_handoff_burst(struct gbench_state *state);      /* items a push */
void bench_handoff_round_trip(struct gbench_state *state); /* no argument */

#endif
