/* tests/persist/uring_bench.h: a log on real files, in a directory made for one test.
 *
 * bench_open() opens it once more and checks that it found what bench_append() has added. What goes
 * wrong fails the cmocka test that runs.
 */
#ifndef TESTS_PERSIST_URING_BENCH_H
#define TESTS_PERSIST_URING_BENCH_H

#include <stdbool.h>

#include "persist/share.h"
#include "persist/wal.h"

enum { BENCH_WAIT_MS = 20000 };

struct bench {
    char directory[64];
    struct disk *disk;
    void *memory;
    struct wal *wal;
    struct wal_options options;
    uint64_t registered_bytes_max;
    struct wal_recovered found;
    raft_seq seq;
    uint32_t chain;
    raft_index last;
    char error[256];
};

uint64_t bench_now_ns(void);
struct bench bench_new(void);
/* `enable`: through the ring from here on. */
void bench_open(struct bench *b, bool buffered, bool enable);
/* What it leaves is what a killed process leaves. */
void bench_close(struct bench *b);
void bench_append(struct bench *b);
/* Until everything is durable. */
void bench_settle(struct bench *b);
/* Until nothing is under way in the background either, nor due. */
void bench_idle(struct bench *b);
void bench_read_all(struct bench *b);
void bench_remove(const char *directory);

#endif
