/* bench/micro/benches.h: all benchmarks; main.c names them and their arguments. */
#ifndef BENCH_MICRO_BENCHES_H
#define BENCH_MICRO_BENCHES_H

#include "bench/micro/gbench.h"

void bench_record_encode(struct gbench_state *state);            /* payload bytes */
void bench_record_check(struct gbench_state *state);             /* payload bytes */
void bench_handoff_burst(struct gbench_state *state);            /* items a push */
void bench_handoff_round_trip(struct gbench_state *state);       /* no argument */
void bench_raft_follower(struct gbench_state *state);            /* entries a frame */
void bench_raft_leader(struct gbench_state *state);              /* entries a proposal */
void bench_raft_append(struct gbench_state *state);              /* log length */
void bench_raft_append_window(struct gbench_state *state);       /* window */
void bench_raft_acknowledged(struct gbench_state *state);        /* log length */
void bench_raft_acknowledged_window(struct gbench_state *state); /* window */
void bench_frame_encode_append(struct gbench_state *state);      /* records */
void bench_frame_decode_append(struct gbench_state *state);      /* records */
void bench_frame_decode_heartbeat(struct gbench_state *state);   /* no argument */
void bench_store_put(struct gbench_state *state);                /* keys */
void bench_store_put_pinned(struct gbench_state *state);         /* keys */
void bench_store_emit(struct gbench_state *state);               /* keys */
void bench_store_load(struct gbench_state *state);               /* keys */
void bench_wal_flush(struct gbench_state *state);                /* records a flush */
void bench_wal_flush_recycled(struct gbench_state *state);       /* likewise */
void bench_wal_lone(struct gbench_state *state);                 /* enum bench_wait + 1 */
void bench_wal_roll(struct gbench_state *state);                 /* MiB of a segment */

#endif
