/* bench/micro/main.c: which benchmarks there are. README.md says what each shows. */
#include "bench/micro/benches.h"

#include <stddef.h>

static const struct gbench_spec specs[] = {
    {"record_encode", bench_record_encode, "payload", {64, 1024}, false, false},
    {"record_check", bench_record_check, "payload", {64, 1024}, false, false},
    {"handoff_burst", bench_handoff_burst, "items", {1, 32}, true, false},
    {"handoff_round_trip", bench_handoff_round_trip, NULL, {0}, true, false},
    {"raft_follower", bench_raft_follower, "entries", {1, 8}, false, false},
    {"raft_leader", bench_raft_leader, "entries", {1, 8}, false, false},
    {"raft_append", bench_raft_append, "log", {1000, 100000, 1000000}, false, false},
    {"raft_append", bench_raft_append_window, "window", {1 << 10, 1 << 14, 1 << 18}, false, false},
    {"raft_acknowledged", bench_raft_acknowledged, "log", {1000, 100000, 1000000}, false, false},
    {"raft_acknowledged",
     bench_raft_acknowledged_window,
     "window",
     {1 << 10, 1 << 14, 1 << 18},
     false,
     false},
    {"frame_encode_append", bench_frame_encode_append, "records", {1, 8}, false, false},
    {"frame_decode_append", bench_frame_decode_append, "records", {1, 8}, false, false},
    {"frame_decode_heartbeat", bench_frame_decode_heartbeat, NULL, {0}, false, false},
    {"store_put", bench_store_put, "keys", {10000, 1000000}, false, false},
    {"store_put_pinned", bench_store_put_pinned, "keys", {10000, 1000000}, false, false},
    {"store_emit", bench_store_emit, "keys", {10000, 1000000}, false, false},
    {"store_load", bench_store_load, "keys", {10000, 1000000}, false, false},
    {"wal_flush", bench_wal_flush, "batch_kib", {4, 16, 64, 1024}, true, true},
    {"wal_flush_recycled", bench_wal_flush_recycled, "batch_kib", {4, 16, 64, 1024}, true, true},
    {"wal_lone", bench_wal_lone, "wait", {1, 2, 3}, true, true},
    {"wal_roll", bench_wal_roll, "segment_mib", {4, 64}, true, true},
};

int main(int argc, char **argv)
{
    for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++)
        gbench_register(&specs[i]);
    return gbench_main(argc, argv);
}
