/* bench/micro/wal_log.c: see wal_log.h. */
#include "bench/micro/wal_log.h"

#include "base/assert.h"

#include <dirent.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { SEGMENT_BYTES = 64 << 20 };

#define SETTLE_NS_MAX (5 * 1000 * 1000 * 1000ull)

uint64_t bench_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void bench_log_options(struct bench_log *log)
{
    struct wal_options *o = &log->options;

    *o = wal_options_default();
    o->cluster = 1;
    o->incarnation = 1;
    o->boot = 1;
    o->node = 1;
    o->segment_bytes = SEGMENT_BYTES;
    o->batch_bytes = BENCH_BATCH_BYTES_MAX; /* the largest turn in one batch */
    log->payload_bytes = 64;
    log->wait = BENCH_YIELDS;
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

static bool open_snapshots(struct bench_log *log)
{
    struct snapshots_found found;

    log->snapshots = NULL;
    log->snapshot_memory = NULL;
    if (log->snapshots_options == NULL)
        return true;
    log->snapshot_memory = aligned_alloc(DISK_SECTOR, snapshots_bytes(log->snapshots_options));
    return log->snapshot_memory != NULL &&
           snapshots_open(&log->snapshots, log->snapshot_memory, log->wal, log->snapshots_options,
                          &found) == 0;
}

bool bench_log_open(struct bench_log *log)
{
    const struct disk_uring_options disk_options = {.registered_bytes_max =
                                                        DISK_URING_REGISTERED_BYTES_DEFAULT};
    struct wal_recovered recovered;

    (void)snprintf(log->error, sizeof log->error, "no memory, or the ring can't be enabled");
    log->last = 0;
    log->chain = 0;
    log->seq = (raft_seq)log->options.boot << RAFT_SEQ_COUNTER_BITS;
    histogram_reset(&log->flush_ns);
    log->roll_count = 0;
    if (!directory_make(log))
        return false;
    if (disk_uring_open(log->path, &disk_options, &log->disk, log->error, sizeof log->error) != 0)
        goto remove_directory;
    log->memory = aligned_alloc(DISK_SECTOR, wal_bytes(&log->options));
    if (log->memory == NULL)
        goto close_disk;
    if (wal_open(&log->wal, log->memory, log->disk, &log->options, &recovered) != 0) {
        (void)snprintf(log->error, sizeof log->error, "%s", recovered.refusal);
        goto free_memory;
    }
    if (!open_snapshots(log) || disk_uring_enable(log->disk) != 0)
        goto free_memory;
    if (!disk_uring_is_direct(log->disk)) {
        (void)snprintf(log->error, sizeof log->error,
                       "no O_DIRECT here: choose another SKIFF_BENCH_DIR");
        goto free_memory;
    }
    bench_log_settle(log);
    return true;

free_memory:
    free(log->snapshot_memory);
    free(log->memory);
close_disk:
    disk_uring_close(log->disk);
remove_directory:
    directory_remove(log);
    return false;
}

void bench_log_close(struct bench_log *log)
{
    disk_uring_close(log->disk);
    free(log->snapshot_memory);
    free(log->memory);
    directory_remove(log);
}

uint32_t bench_log_poll(struct bench_log *log)
{
    uint32_t work = wal_poll(log->wal, bench_now_ns());

    if (log->snapshots != NULL)
        work += snapshots_poll(log->snapshots, bench_now_ns());
    return work;
}

void bench_log_settle(struct bench_log *log)
{
    const uint64_t end_ns = bench_now_ns() + SETTLE_NS_MAX;
    uint32_t work;

    do {
        work = bench_log_poll(log);
        if (work == 0)
            sched_yield();
    } while ((work > 0 || disk_in_flight(log->disk) > 0) && bench_now_ns() < end_ns);
}

void bench_log_encode(struct bench_log *log, uint32_t count)
{
    static const uint8_t payload[BENCH_BATCH_BYTES_MAX];
    const uint32_t bytes = record_bytes(log->payload_bytes);

    ASSERT((uint64_t)count * bytes <= sizeof log->records);
    for (uint32_t i = 0; i < count; i++) {
        const struct record_spec spec = {
            .type = RECORD_COMMAND,
            .cluster = log->options.cluster,
            .index = log->last + 1 + i,
            .term = 1,
            .chain = log->chain,
            .payload = payload,
            .payload_bytes = log->payload_bytes,
        };
        log->chain = record_encode(&spec, log->records + (size_t)i * bytes);
    }
}

static void wait_for_disk(struct bench_log *log)
{
    struct pollfd bell = {.fd = disk_uring_fd(log->disk), .events = POLLIN};
    uint64_t rung;

    if (log->wait == BENCH_YIELDS)
        sched_yield();
    if (log->wait != BENCH_SLEEPS)
        return;
    (void)poll(&bell, 1, 1000);
    (void)!read(bell.fd, &rung, sizeof rung);
}

/* Polls, and waits if there was nothing. */
static void poll_once(struct bench_log *log)
{
    if (bench_log_poll(log) == 0)
        wait_for_disk(log);
}

static void append(struct bench_log *log, uint32_t count)
{
    const struct wal_step step = {
        .seq = ++log->seq,
        .term = 1,
        .commit = log->last,
        .first = log->last + 1,
        .last = log->last + count,
        .bytes = log->records,
        .length = count * record_bytes(log->payload_bytes),
    };

    /* -EAGAIN or -ENOSPC: a buffer or a segment comes with a poll. */
    while (wal_append(log->wal, &step) != 0 && wal_failed(log->wal) == 0)
        poll_once(log);
    log->last = step.last;
    log->last_chain =
        record_at(log->records + step.length - record_bytes(log->payload_bytes))->header_crc;
}

static void wait_durable(struct bench_log *log, raft_seq seq)
{
    while (wal_durable(log->wal) < seq && wal_failed(log->wal) == 0)
        poll_once(log);
}

void bench_log_feed(struct bench_log *log, uint32_t count)
{
    const raft_seq before = log->seq;

    append(log, count);
    (void)bench_log_poll(log); /* it goes, unless one is in flight */
    bench_log_encode(log, count);
    if (wal_durable(log->wal) < before)
        wait_durable(log, before);
    histogram_add(&log->flush_ns, wal_counters(log->wal)->flush_ns_last);
}

void bench_log_turn(struct bench_log *log, uint32_t count)
{
    const uint64_t begin_ns = bench_now_ns();
    const uint64_t segments = wal_counters(log->wal)->segments;

    append(log, count);
    wait_durable(log, log->seq);
    const uint64_t wait_ns = bench_now_ns() - begin_ns;
    if (wal_counters(log->wal)->segments == segments) {
        histogram_add(&log->flush_ns, wait_ns);
    } else if (log->roll_count < BENCH_ROLLS_MAX) {
        log->roll[log->roll_count].flush_ns = wal_counters(log->wal)->flush_ns_last;
        log->roll[log->roll_count++].wait_ns = wait_ns;
    }
}

void bench_log_cut(struct bench_log *log)
{
    const struct wal_step step = {
        .seq = ++log->seq, .term = 1, .commit = log->last, .first = 1, .last = 0};
    const struct wal_base base = {
        .index = log->last,
        .term = 1,
        .chain = log->last_chain,
        .snapshot_index = log->last,
    };

    while (wal_set_base(log->wal, &step, &base, false) != 0 && wal_failed(log->wal) == 0)
        (void)wal_poll(log->wal, bench_now_ns());
    bench_log_settle(log);
}
