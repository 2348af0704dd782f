/* tests/power/life.c: see life.h; snapshots are in life_snapshot.c. */
#include "tests/power/life.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/record.h"
#include "persist/disk_uring.h"
#include "tests/power/promise.h"

enum {
    /* A life never gets further than this ahead of what it has acknowledged. */
    AHEAD_MAX = 100000,
    READ_BYTES = 64 * 1024,
};

#define FULL_AFTER_NS (500 * 1000 * 1000ull)

uint64_t life_now_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

void life_open_disk(struct life *l)
{
    const struct disk_uring_options options = {.buffered = l->o.buffered};
    char error[256];

    l->sector = aligned_alloc(DISK_SECTOR, DISK_SECTOR);
    if (disk_uring_open(l->o.directory, &options, &l->disk, error, sizeof error) != 0) {
        say("refused: %s", error);
        exit(EXIT_REFUSED);
    }
}

void life_take_boot(struct life *l)
{
    int result = superblock_read(l->disk, l->sector, &l->superblock);

    if (result == 0 && l->superblock.boot < l->o.boot) {
        say("LOST: boot %" PRIu32 " was taken, the superblock has %" PRIu32, l->o.boot,
            l->superblock.boot);
        exit(EXIT_LOST);
    }
    if (result == 0)
        result = superblock_boot(l->disk, l->sector, &l->superblock);
    if (result != 0) {
        say("refused: superblock: %s", strerror(-result));
        exit(EXIT_REFUSED);
    }
    promise(l->o.mark, "boot", l->superblock.boot);
    say("boot %" PRIu32 " direct %d", l->superblock.boot, disk_uring_is_direct(l->disk));
}

void life_open_log(struct life *l)
{
    struct wal_options *o = &l->wal_options;

    *o = wal_options_default();
    o->cluster = HISTORY_CLUSTER;
    o->incarnation = HISTORY_INCARNATION;
    o->boot = l->superblock.boot;
    o->node = HISTORY_NODE;
    o->segment_bytes = (uint64_t)l->o.segment_kib << 10;
    o->batch_bytes = HISTORY_BATCH_BYTES;
    o->zeros_batch_bytes = DISK_SECTOR; /* some segments get zeros, under load they do not */
    o->flights = l->o.flights;
    o->sync_by_fsync = l->o.sync_by_fsync;
    const size_t bytes = (wal_bytes(&l->wal_options) + DISK_SECTOR - 1) / DISK_SECTOR * DISK_SECTOR;

    l->memory = aligned_alloc(DISK_SECTOR, bytes);
    ASSERT(l->memory != NULL);
    if (wal_open(&l->wal, l->memory, l->disk, &l->wal_options, &l->found) != 0) {
        say("refused: %s", l->found.refusal);
        exit(EXIT_REFUSED);
    }
    life_snapshots_open(l);
}

static bool records_match(struct life *l, raft_index first, raft_index last, raft_term term)
{
    static uint8_t bytes[READ_BYTES];

    while (first <= last) {
        struct wal_read read = {
            .first = first, .last = last, .term = term, .bytes = bytes, .size = sizeof bytes};
        if (wal_read_begin(l->wal, &read) != 0)
            return false;
        while (!wal_read_poll(l->wal))
            (void)wal_poll(l->wal, life_now_ns());
        if (read.result != 0 || read.count == 0)
            return false;
        for (uint32_t at = 0; at < read.length; first++) {
            const struct record_header *record = record_at(bytes + at);
            if (record->index != first || !history_has(l->history, record, read.length - at))
                return false;
            at += record_bytes(record->payload_bytes);
        }
    }
    return true;
}

void life_verify(struct life *l)
{
    const struct wal_recovered *f = &l->found;
    struct wal_step step;

    while (history_step(l->history) < l->o.acked ||
           (!history_matches(l->history, f) && history_step(l->history) < l->o.acked + AHEAD_MAX))
        history_next(l->history, &step);
    if (f->faulty_first != 0 || !history_matches(l->history, f)) {
        say("LOST: step %" PRIu64 " was acknowledged; found: last %" PRIu64 " term %" PRIu64
            " vote %u commit %" PRIu64 " base %" PRIu64 " snapshot %" PRIu64
            " faulty from %" PRIu64,
            l->o.acked, f->last, f->term, f->vote, f->commit, f->base.index, f->base.snapshot_index,
            f->faulty_first);
        exit(EXIT_LOST);
    }
    raft_index first = f->base.index + 1;
    for (uint32_t run = 0; run < f->run_count; run++) {
        const raft_index end = run + 1 < f->run_count ? f->run_first[run + 1] - 1 : f->last;
        if (!records_match(l, first, end, f->run_term[run])) {
            say("LOST: a record in %" PRIu64 "..%" PRIu64 " is not as it was written", first, end);
            exit(EXIT_LOST);
        }
        first = end + 1;
    }
    life_snapshot_verify(l);
    l->found_step = history_step(l->history);
    l->acked = l->found_step;
    /* What recovery reports is durable. */
    promise(l->o.mark, "ack", l->acked);
    say("found %" PRIu64, l->found_step);
}

static raft_seq seq_of(const struct life *l, uint64_t step)
{
    return ((raft_seq)l->superblock.boot << RAFT_SEQ_COUNTER_BITS) + (step - l->found_step);
}

void life_poll(struct life *l)
{
    life_snapshot_poll(l);
    if (wal_poll(l->wal, life_now_ns()) + snapshots_poll(l->snapshots, life_now_ns()) == 0)
        (void)sched_yield();
    if (wal_failed(l->wal) != 0) {
        say("failed: %s", strerror(-wal_failed(l->wal)));
        exit(EXIT_FAILED);
    }
    const raft_seq durable = wal_durable(l->wal);
    if (durable <= seq_of(l, l->acked))
        return;
    l->acked = l->found_step + (durable - seq_of(l, l->found_step));
    ASSERT(l->acked <= history_step(l->history));
    promise(l->o.mark, "ack", l->acked);
    say("ack %" PRIu64, l->acked);
}

static void watch_room(struct life *l, int refusal)
{
    if (refusal != -ENOSPC) {
        l->refused_since_ns = 0;
        if (l->full && refusal == 0) {
            l->full = false;
            say("room");
        }
        return;
    }
    if (l->refused_since_ns == 0)
        l->refused_since_ns = life_now_ns();
    if (!l->full && life_now_ns() - l->refused_since_ns > FULL_AFTER_NS) {
        l->full = true;
        say("full");
    }
}

void life_take_step(struct life *l)
{
    struct wal_step step;
    int refusal;

    history_next(l->history, &step);
    step.seq = seq_of(l, history_step(l->history));
    const bool names = history_snapshot(l->history)->due == history_step(l->history);
    while ((refusal = names ? life_snapshot_name(l, &step) : wal_append(l->wal, &step)) != 0) {
        watch_room(l, refusal);
        life_poll(l);
    }
    watch_room(l, 0);
}

void life_settle(struct life *l)
{
    while (l->acked < history_step(l->history))
        life_poll(l);
}

void life_close(struct life *l)
{
    disk_uring_close(l->disk);
    history_delete(l->history);
    free(l->snapshot_memory);
    free(l->memory);
    free(l->sector);
}
