/* bench/micro/wal_log.h: a log on real files, O_DIRECT, for what is measured of it.
 *
 * Directory  Made under $SKIFF_BENCH_DIR (default: the current one), removed by bench_log_close().
 * Waiting    Who waits for a flush spins on the completion queue, as an lcore that has a CPU to itself;
 *            or yields between two looks, as an adaptive one does at first; or sleeps on the eventfd, as
 *            that one does in the end.
 * Errors     bench_log_open(): false, the reason is in log->error, and nothing is left behind. A failed
 *            write: wal_failed(log->wal), after which every call returns at once.
 */
#ifndef BENCH_MICRO_WAL_LOG_H
#define BENCH_MICRO_WAL_LOG_H

#include <limits.h>
#include <stdalign.h>

#include "base/histogram.h"
#include "base/record.h"
#include "persist/disk_uring.h"
#include "persist/share.h"
#include "persist/snapshot.h"
#include "persist/wal.h"

enum {
    BENCH_BATCH_BYTES_MAX = (1 << 20) + DISK_SECTOR,
    BENCH_ERROR_BYTES = 256,
    BENCH_ROLLS_MAX = 64, /* what is seen of them; p99.9 of so many is exceeded by chance once in 16 runs */
};

enum bench_wait { BENCH_SPINS, BENCH_YIELDS, BENCH_SLEEPS };

struct bench_log {
    struct wal_options options; /* set by bench_log_options() and changed before opening */
    uint32_t payload_bytes;     /* of each record */
    enum bench_wait wait;
    const struct snapshots_options *snapshots_options; /* NULL: without any */
    struct snapshots *snapshots; /* polled with the log */
    void *snapshot_memory;
    char path[PATH_MAX];
    char error[BENCH_ERROR_BYTES];
    struct disk *disk;
    struct wal *wal;
    void *memory;
    raft_index last;     /* appended */
    uint32_t last_chain; /* of that record */
    uint32_t chain;      /* of the last record made */
    raft_seq seq;
    struct histogram flush_ns; /* of turns that stayed in their segment; fed: from submission on */
    uint32_t roll_count;
    struct {
        uint64_t wait_ns;  /* of a turn that began another segment */
        uint64_t flush_ns; /* the part of it from submission on */
    } roll[BENCH_ROLLS_MAX];
    alignas(DISK_SECTOR) uint8_t records[BENCH_BATCH_BYTES_MAX];
};

uint64_t bench_now_ns(void);
/* A node's, with smaller buffers. */
void bench_log_options(struct bench_log *log);
/* Also waits until nothing is prepared in the background any more. */
bool bench_log_open(struct bench_log *log);
void bench_log_close(struct bench_log *log);
/* One poll; what it did. */
uint32_t bench_log_poll(struct bench_log *log);
/* Polls until nothing is in flight. */
void bench_log_settle(struct bench_log *log);
/* Makes the next `count` records; those made before were appended. */
void bench_log_encode(struct bench_log *log, uint32_t count);
/* Appends them and waits until they are durable: what a lone writer sees. */
void bench_log_turn(struct bench_log *log, uint32_t count);
/* Appends them as a batch of their own, makes the next ones, and waits for the batch before: while one
 * is flushed the next is formed, as in a node under load, and one write is in flight at a time. */
void bench_log_feed(struct bench_log *log, uint32_t count);
/* As after a snapshot: everything so far is below the base, and its segments are used again. */
void bench_log_cut(struct bench_log *log);

#endif
