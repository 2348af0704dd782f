/* bench/disk/snapshot_rate.c: how fast a snapshot is written and read, and what the log suffers from it.
 *
 * Method     The log and the snapshot files that ship, on real files with O_DIRECT, one thread that polls
 *            both as the persist role does, yielding while nothing completes. At rest: a snapshot is
 *            written, then read as a store is loaded, then as for peers. Under load: batches of 16 KiB, the
 *            next while one is flushed, first alone, then while snapshots are written, then while one is
 *            read for peers; the flushes of each time by themselves.
 * Shown      MiB/s of content; p50 and p99 of a flush; the share of the time that the files had.
 * Left out   What emits and takes the content: it is the same chunk each time.
 *
 *     [SKIFF_BENCH_DIR=DIR] skiff-snapshot-rate [--mib 256] [--seconds 3]      one line of JSON
 */
#include "base/assert.h"
#include "bench/micro/wal_log.h"
#include "persist/snapshot.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH_RECORDS = 126 /* 16 KiB */, CHUNK_BYTES = SNAPSHOT_CHUNK_BYTES };

struct rate {
    struct bench_log log;
    uint64_t content_bytes;
    uint64_t moved_bytes; /* of content, written or read */
    bool writes;          /* snapshots are written, one after the other */
    bool reads;           /* the current one is read for peers, again and again */
    uint64_t written_bytes; /* of the one being written */
    bool reading;
    struct snapshot_read read;
    uint8_t content[CHUNK_BYTES];
    uint8_t chunk[CHUNK_BYTES];
};

static void give_up(const char *what)
{
    fprintf(stderr, "skiff-snapshot-rate: %s\n", what);
    exit(1);
}

static void begin_writing(struct rate *r)
{
    const struct snapshot_start start = {
        .index = r->log.last,
        .term = 1,
        .chain = r->log.last_chain,
        .room = r->content_bytes,
    };
    const struct snapshot_header *current = snapshot_current(r->log.snapshots);

    r->written_bytes = 0;
    if (current == NULL || current->index < start.index)
        (void)snapshot_begin(r->log.snapshots, &start);
}

static void name_ready(struct rate *r)
{
    const struct snapshot_header *h = snapshot_ready(r->log.snapshots);
    struct bench_log *log = &r->log;
    const struct wal_step step = {
        .seq = log->seq + 1, .term = 1, .commit = log->last, .first = 1, .last = 0};
    const struct wal_base base = {
        .index = h->index,
        .term = h->term,
        .chain = h->chain,
        .snapshot_index = h->index,
        .snapshot_bytes = h->bytes,
        .snapshot_digest = h->digest,
    };

    log->seq += wal_set_base(log->wal, &step, &base, false) == 0;
}

/* As many chunks as are taken now. */
static void write_on(struct rate *r)
{
    switch (snapshot_stage(r->log.snapshots)) {
    case SNAPSHOT_IDLE:
        begin_writing(r);
        return;
    case SNAPSHOT_TAKES:
        while (r->written_bytes < r->content_bytes &&
               snapshot_append(r->log.snapshots, r->content, CHUNK_BYTES) == 0) {
            r->written_bytes += CHUNK_BYTES;
            r->moved_bytes += CHUNK_BYTES;
        }
        if (r->written_bytes == r->content_bytes)
            (void)snapshot_end(r->log.snapshots);
        return;
    case SNAPSHOT_READY:
        if (!wal_base_changes(r->log.wal))
            name_ready(r);
        return;
    default:
        return;
    }
}

/* The chunk before is there and the next one is asked for, or not yet. True: it was there. */
static bool read_on(struct rate *r, bool background)
{
    const bool there = r->reading && snapshot_read_poll(r->log.snapshots, &r->read);
    const struct snapshot_header *h = snapshot_current(r->log.snapshots);

    if (there && r->read.result != 0)
        give_up("a chunk can't be read");
    if (there) {
        r->reading = false;
        r->moved_bytes += r->read.length;
    }
    if (r->reading)
        return there;
    const uint32_t next = there ? r->read.chunk + 1 : 0;
    r->read = (struct snapshot_read){
        .index = h->index,
        .chunk = next < snapshot_chunk_count(h->bytes, h->chunk_bytes) ? next : 0,
        .content = r->chunk,
        .background = background,
    };
    r->reading = snapshot_read_begin(r->log.snapshots, &r->read) == 0;
    return there;
}

static void turn(struct rate *r)
{
    if (r->writes)
        write_on(r);
    if (r->reads)
        (void)read_on(r, true);
    if (bench_log_poll(&r->log) == 0)
        sched_yield();
    if (wal_failed(r->log.wal) != 0)
        give_up("a write failed");
}

static double mib_per_second(uint64_t bytes, uint64_t ns)
{
    return (double)bytes / (1 << 20) / ((double)ns / 1e9);
}

/* The log is silent; until the manifest names it, and the one before is gone. */
static double write_at_rest(struct rate *r)
{
    const uint64_t begun_ns = bench_now_ns();

    r->moved_bytes = 0;
    r->writes = true;
    while (snapshot_stage(r->log.snapshots) != SNAPSHOT_READY)
        turn(r);
    const uint64_t took_ns = bench_now_ns() - begun_ns;
    while (snapshot_stage(r->log.snapshots) != SNAPSHOT_IDLE)
        turn(r);
    r->writes = false;
    bench_log_settle(&r->log);
    return mib_per_second(r->moved_bytes, took_ns);
}

static double read_at_rest(struct rate *r, bool background)
{
    const uint64_t begun_ns = bench_now_ns();

    r->moved_bytes = 0;
    while (r->moved_bytes < r->content_bytes) {
        if (!read_on(r, background))
            turn(r);
    }
    const uint64_t took_ns = bench_now_ns() - begun_ns;
    while (r->reading && !snapshot_read_poll(r->log.snapshots, &r->read))
        turn(r);
    r->reading = false;
    return mib_per_second(r->moved_bytes, took_ns);
}

struct loaded {
    double p50_us, p99_us, flushes, mib_per_second, share_percent;
};

static struct loaded log_under_load(struct rate *r, double seconds)
{
    struct bench_log *log = &r->log;
    const struct share *share = wal_share(log->wal);
    const uint64_t busy_ns = share->busy_ns[SHARE_SNAPSHOT];
    const uint64_t begun_ns = bench_now_ns();
    const uint64_t end_ns = begun_ns + (uint64_t)(seconds * 1e9);
    uint64_t flushes = 0;

    r->moved_bytes = 0;
    histogram_reset(&log->flush_ns);
    while (bench_now_ns() < end_ns) {
        bench_log_feed(log, BATCH_RECORDS);
        turn(r);
        flushes++;
    }
    const uint64_t took_ns = bench_now_ns() - begun_ns;
    return (struct loaded){
        .p50_us = (double)histogram_quantile(&log->flush_ns, 500000) / 1000,
        .p99_us = (double)histogram_quantile(&log->flush_ns, 990000) / 1000,
        .flushes = (double)flushes / ((double)took_ns / 1e9),
        .mib_per_second = mib_per_second(r->moved_bytes, took_ns),
        .share_percent =
            100.0 * (double)(share->busy_ns[SHARE_SNAPSHOT] - busy_ns) / (double)took_ns,
    };
}

static void print_loaded(const char *name, const struct loaded *l)
{
    printf(", \"%s\": {\"p50_us\": %.0f, \"p99_us\": %.0f, \"flushes\": %.0f, "
           "\"mib_per_second\": %.0f, \"share_percent\": %.0f}",
           name, l->p50_us, l->p99_us, l->flushes, l->mib_per_second, l->share_percent);
}

static void measure(struct rate *r, double seconds)
{
    const double written = write_at_rest(r);
    const double loaded = read_at_rest(r, false);
    const double served = read_at_rest(r, true);

    printf("{\"write\": %.0f, \"load\": %.0f, \"serve\": %.0f", written, loaded, served);
    (void)log_under_load(r, 1); /* segments in use, buffers warm */
    const struct loaded alone = log_under_load(r, seconds);
    r->writes = true;
    const struct loaded writing = log_under_load(r, seconds);
    while (snapshot_stage(r->log.snapshots) != SNAPSHOT_IDLE)
        turn(r);
    r->writes = false;
    r->reads = true;
    const struct loaded serving = log_under_load(r, seconds);
    print_loaded("alone", &alone);
    print_loaded("writing", &writing);
    print_loaded("serving", &serving);
    printf("}\n");
}

int main(int argc, char **argv)
{
    static struct rate r;
    uint64_t mib = 256;
    double seconds = 3;

    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--mib") == 0)
            mib = strtoull(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--seconds") == 0)
            seconds = atof(argv[i + 1]);
    }
    r.content_bytes = mib << 20;
    memset(r.content, 0x5a, sizeof r.content);
    bench_log_options(&r.log);
    const struct snapshots_options options = {
        .bytes_max = r.content_bytes, .chunk_bytes = CHUNK_BYTES, .write_bytes = SHARE_BYTES_MAX};
    r.log.snapshots_options = &options;
    if (mib == 0 || !bench_log_open(&r.log))
        give_up(r.log.error);
    bench_log_encode(&r.log, BATCH_RECORDS);
    bench_log_turn(&r.log, BATCH_RECORDS);
    bench_log_settle(&r.log);
    bench_log_encode(&r.log, BATCH_RECORDS);
    measure(&r, seconds);
    bench_log_close(&r.log);
    return 0;
}
