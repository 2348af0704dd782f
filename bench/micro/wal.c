/* bench/micro/wal.c: what durability costs: so many records handed to the log at once and waited
 * for.
 *
 * Real files, O_DIRECT, in a directory made for the run under $SKIFF_BENCH_DIR (default: the
 * current one) and removed afterwards. Who waits yields, as an adaptive lcore does: spinning on the
 * CPU that takes the disk's interrupt would be measured instead.
 */
#include "base/histogram.h"
#include "base/record.h"
#include "bench/micro/benches.h"
#include "persist/disk_uring.h"
#include "persist/wal.h"

#include <dirent.h>
#include <stdalign.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum {
    RECORDS_MAX = 8190,   /* a batch of 1 MiB */
    FILL_RECORDS = 2046,  /* 256 KiB */
    CUT_BYTES = 32 << 20, /* the base moves so often where segments are used again */
    RECYCLED_MIN = 4,     /* from then on no new file is made */
    PAYLOAD_BYTES = 64,
    RECORD_BYTES = RECORD_HEADER_BYTES + PAYLOAD_BYTES,
    ERROR_BYTES = 256,
};

#define SETTLE_NS_MAX (5 * 1000 * 1000 * 1000ull)

struct bench_log {
    char path[PATH_MAX];
    char error[ERROR_BYTES];
    struct disk *disk;
    struct wal *wal;
    void *memory;
    raft_index last;
    uint32_t chain;
    raft_seq seq;
    uint64_t cut_at_bytes; /* appended, when the base moves next */
    alignas(DISK_SECTOR) uint8_t records[RECORDS_MAX * RECORD_BYTES];
    struct histogram flush_ns;
};

static const struct wal_options options = {
    .cluster = 1,
    .incarnation = 1,
    .segment_bytes = 64 << 20,
    .batch_bytes = (1 << 20) + DISK_SECTOR, /* the largest turn in one batch */
    .boot = 1,
    .node = 1,
    .buffer_count = 4,
    .flights = WAL_FLIGHTS_DEFAULT,
    .runs_max = 16,
    .segments_ahead = WAL_AHEAD_DEFAULT,
    .spares_max = WAL_SPARES_DEFAULT,
};

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static bool directory_make(struct bench_log *log)
{
    const char *const parent = getenv("SKIFF_BENCH_DIR");

    (void)snprintf(log->path, sizeof log->path, "%s/skiff-micro-XXXXXX",
                   parent != NULL ? parent : ".");
    if (mkdtemp(log->path) != NULL)
        return true;
    (void)snprintf(log->error, sizeof log->error, "cannot make a directory in $SKIFF_BENCH_DIR");
    return false;
}

/* The log keeps a flat directory of files. */
static void directory_remove(const struct bench_log *log)
{
    DIR *const directory = opendir(log->path);
    struct dirent *entry;

    if (directory == NULL)
        return;
    while ((entry = readdir(directory)) != NULL)
        (void)unlinkat(dirfd(directory), entry->d_name, 0); /* "." and ".." are refused */
    closedir(directory);
    (void)rmdir(log->path);
}

/* On failure nothing is left behind, and the reason stands in log->error. */
static bool log_open(struct bench_log *log)
{
    const struct disk_uring_options disk_options = {.buffered = false};
    struct wal_recovered recovered;

    (void)snprintf(log->error, sizeof log->error, "no memory, or the ring can't be enabled");
    log->last = 0;
    log->chain = 0;
    log->seq = (raft_seq)options.boot << RAFT_SEQ_COUNTER_BITS;
    histogram_reset(&log->flush_ns);
    if (!directory_make(log))
        return false;
    if (disk_uring_open(log->path, &disk_options, &log->disk, log->error, sizeof log->error) != 0)
        goto remove_directory;
    log->memory = aligned_alloc(DISK_SECTOR, (wal_bytes(&options) + DISK_SECTOR - 1) &
                                                 ~(size_t)(DISK_SECTOR - 1));
    if (log->memory == NULL)
        goto close_disk;
    if (wal_open(&log->wal, log->memory, log->disk, &options, &recovered) != 0) {
        (void)snprintf(log->error, sizeof log->error, "%s", recovered.refusal);
        goto free_memory;
    }
    if (disk_uring_enable(log->disk) == 0)
        return true;

free_memory:
    free(log->memory);
close_disk:
    disk_uring_close(log->disk);
remove_directory:
    directory_remove(log);
    return false;
}

/* The log fills a spare segment at first, with writes larger than what is to be measured. */
static void log_settle(struct bench_log *log)
{
    const uint64_t end_ns = now_ns() + SETTLE_NS_MAX;

    do {
        if (wal_poll(log->wal, now_ns()) == 0)
            sched_yield();
    } while (disk_in_flight(log->disk) > 0 && now_ns() < end_ns);
}

static void log_close(struct bench_log *log)
{
    disk_uring_close(log->disk);
    free(log->memory);
    directory_remove(log);
}

static void records_make(struct bench_log *log, uint32_t count)
{
    static const uint8_t payload[PAYLOAD_BYTES];

    for (uint32_t i = 0; i < count; i++) {
        const struct record_spec spec = {
            .type = RECORD_COMMAND,
            .cluster = options.cluster,
            .index = log->last + 1 + i,
            .term = 1,
            .chain = log->chain,
            .payload = payload,
            .payload_bytes = PAYLOAD_BYTES,
        };
        log->chain = record_encode(&spec, log->records + (size_t)i * RECORD_BYTES);
    }
}

static void log_turn(struct bench_log *log, uint32_t count)
{
    const uint64_t begin_ns = now_ns();
    const struct wal_step step = {
        .seq = ++log->seq,
        .term = 1,
        .commit = log->last,
        .first = log->last + 1,
        .last = log->last + count,
        .bytes = log->records,
        .length = count * RECORD_BYTES,
    };

    /* -EAGAIN or -ENOSPC: a buffer or a segment comes with a poll. */
    while (wal_append(log->wal, &step) != 0 && wal_failed(log->wal) == 0) {
        if (wal_poll(log->wal, now_ns()) == 0)
            sched_yield();
    }
    while (wal_durable(log->wal) < step.seq && wal_failed(log->wal) == 0) {
        if (wal_poll(log->wal, now_ns()) == 0)
            sched_yield();
    }
    log->last = step.last;
    histogram_add(&log->flush_ns, now_ns() - begin_ns);
}

/* As after a snapshot: everything so far is below the base, and its segments are used again. */
static void log_cut(struct bench_log *log)
{
    const struct wal_step step = {
        .seq = ++log->seq, .term = 1, .commit = log->last, .first = 1, .last = 0};
    const struct wal_base base = {
        .index = log->last,
        .term = 1,
        .chain = log->chain,
        .snapshot_index = log->last,
    };

    while (wal_set_base(log->wal, &step, &base, false) != 0 && wal_failed(log->wal) == 0)
        (void)wal_poll(log->wal, now_ns());
    log_settle(log);
    log->cut_at_bytes = wal_counters(log->wal)->bytes + CUT_BYTES;
}

static void log_warm_up(struct bench_log *log)
{
    while (wal_counters(log->wal)->recycled < RECYCLED_MIN && wal_failed(log->wal) == 0) {
        records_make(log, FILL_RECORDS);
        log_turn(log, FILL_RECORDS);
        if (wal_counters(log->wal)->bytes >= log->cut_at_bytes)
            log_cut(log);
    }
    histogram_reset(&log->flush_ns);
}

static void run(struct gbench_state *state, bool recycled)
{
    static struct bench_log log;
    const uint32_t count = (uint32_t)gbench_arg(state);

    if (!log_open(&log)) {
        gbench_skip(state, log.error);
        return;
    }
    log_settle(&log);
    log.cut_at_bytes = CUT_BYTES;
    if (recycled)
        log_warm_up(&log);
    const raft_index before = log.last;
    while (gbench_next(state, 1)) {
        gbench_pause(state); /* encoding has a benchmark of its own, and a snapshot is rare */
        if (recycled && wal_counters(log.wal)->bytes >= log.cut_at_bytes)
            log_cut(&log);
        records_make(&log, count);
        gbench_resume(state);
        log_turn(&log, count);
    }
    if (wal_failed(log.wal) != 0)
        gbench_skip(state, "a write failed");
    if (!disk_uring_is_direct(log.disk))
        gbench_skip(state, "no O_DIRECT here: choose another SKIFF_BENCH_DIR");
    gbench_count_items(state, log.last - before);
    gbench_report(state, "p50_us", (double)histogram_quantile(&log.flush_ns, 500000) / 1000);
    gbench_report(state, "p99_us", (double)histogram_quantile(&log.flush_ns, 990000) / 1000);
    gbench_report(state, "p999_us", (double)histogram_quantile(&log.flush_ns, 999000) / 1000);
    log_close(&log);
}

void bench_wal_flush(struct gbench_state *state)
{
    run(state, false);
}

void bench_wal_flush_recycled(struct gbench_state *state)
{
    run(state, true);
}
