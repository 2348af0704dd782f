/* bench/micro/wal.c: what durability costs: so many records handed to the log at once and waited
 * for. The log is wal_log.h's, made and settled once: a benchmark is one turn that lasts for
 * $SKIFF_BENCH_SECONDS.
 */
#include "bench/micro/benches.h"
#include "bench/micro/wal_log.h"
#include "persist/batch.h"

#include <stdlib.h>

enum {
    SMALL_PAYLOAD_BYTES = 64,
    LARGE_PAYLOAD_BYTES = 1000,
    LARGE_KIB = 1024,
    CUT_BYTES = 32 << 20, /* the base moves so often where segments are used again */
    RECYCLED_MIN = 4,     /* from then on no new file is made */
    LONE_BYTES = 100,     /* payload of a lone record */
    ROLL_RECORDS = 126,   /* 16 KiB */
    ROLL_BATCH_BYTES = 256 << 10,
    STEADY_TURNS_MAX = 3, /* so many times as long as is measured, it may take to get there */
    WAIT_SHIFT = 1, /* gbench's list of arguments ends with 0, enum bench_wait begins with it */
};

static struct bench_log bench;

static uint64_t measured_ns(void)
{
    const char *const seconds = getenv("SKIFF_BENCH_SECONDS");

    return (uint64_t)((seconds == NULL ? 2.0 : atof(seconds)) * 1e9);
}

static uint64_t end_ns(void)
{
    return bench_now_ns() + measured_ns();
}

static void report_rolls(struct gbench_state *state, const struct bench_log *log)
{
    const uint64_t ordinary_ns = histogram_quantile(&log->flush_ns, 999000);
    uint32_t above = 0;
    uint32_t longest = 0;

    for (uint32_t i = 0; i < log->roll_count; i++) {
        above += log->roll[i].wait_ns > ordinary_ns;
        if (log->roll[i].wait_ns > log->roll[longest].wait_ns)
            longest = i;
    }
    gbench_report(state, "rolls", (double)log->roll_count);
    gbench_report(state, "rolls_above", (double)above);
    gbench_report(state, "roll_max_us", (double)log->roll[longest].wait_ns / 1000);
    gbench_report(state, "roll_max_flush_us", (double)log->roll[longest].flush_ns / 1000);
}

static void report(struct gbench_state *state, struct bench_log *log, uint64_t batches)
{
    if (wal_failed(log->wal) != 0)
        gbench_skip(state, "a write failed");
    gbench_count_items(state, batches);
    gbench_report(state, "p50_us", (double)histogram_quantile(&log->flush_ns, 500000) / 1000);
    gbench_report(state, "p99_us", (double)histogram_quantile(&log->flush_ns, 990000) / 1000);
    gbench_report(state, "p999_us", (double)histogram_quantile(&log->flush_ns, 999000) / 1000);
    if (log->roll_count > 0)
        report_rolls(state, log);
}

/* Encoding has a benchmark of its own: it is not in the time. */
static void turn(struct gbench_state *state, struct bench_log *log, uint32_t count)
{
    gbench_pause(state);
    bench_log_encode(log, count);
    gbench_resume(state);
    bench_log_turn(log, count);
}

/* bench_log_options() and what is special were done; one batch of `count` records after the other. */
static void run(struct gbench_state *state, uint32_t count)
{
    if (!bench_log_open(&bench)) {
        gbench_skip(state, bench.error);
        return;
    }
    while (gbench_next(state, 1)) {
        for (const uint64_t end = end_ns();
             bench_now_ns() < end && bench.roll_count < BENCH_ROLLS_MAX;)
            turn(state, &bench, count);
    }
    report(state, &bench, bench.last / count);
    bench_log_close(&bench);
}

/* For batches of so many KiB: how many records, of which size. Large batches of small records would show
 * how fast records are made. */
static uint32_t records_for(struct bench_log *log, int64_t batch_kib)
{
    const uint32_t room = ((uint32_t)batch_kib << 10) - BATCH_HEADER_BYTES;

    log->payload_bytes = batch_kib < LARGE_KIB ? SMALL_PAYLOAD_BYTES : LARGE_PAYLOAD_BYTES;
    return batch_kib == 4 ? 1 : room / record_bytes(log->payload_bytes);
}

/* What was prepared while nobody wrote is used up: from here on segments are made beside the log, as
 * under a load that lasts. False: it took too long. */
static bool get_steady(struct bench_log *log, uint32_t count)
{
    const uint64_t end = bench_now_ns() + STEADY_TURNS_MAX * measured_ns();

    bench_log_encode(log, count);
    while (wal_counters(log->wal)->segments <= log->options.segments_ahead && bench_now_ns() < end)
        bench_log_feed(log, count);
    histogram_reset(&log->flush_ns);
    return wal_counters(log->wal)->segments > log->options.segments_ahead;
}

void bench_wal_flush(struct gbench_state *state)
{
    bench_log_options(&bench);
    const uint32_t count = records_for(&bench, gbench_arg(state));
    if (!bench_log_open(&bench)) {
        gbench_skip(state, bench.error);
        return;
    }
    const bool steady = get_steady(&bench, count);
    const raft_index before = bench.last;
    while (gbench_next(state, 1)) {
        for (const uint64_t end = end_ns(); bench_now_ns() < end;)
            bench_log_feed(&bench, count);
    }
    report(state, &bench, (bench.last - before) / count);
    gbench_report(state, "steady", steady);
    bench_log_close(&bench);
}

static void cut_if_due(struct bench_log *log, uint64_t *cut_at)
{
    if (wal_counters(log->wal)->bytes < *cut_at)
        return;
    bench_log_settle(log);
    bench_log_cut(log);
    *cut_at = wal_counters(log->wal)->bytes + CUT_BYTES;
}

/* Until no new file is made any more. */
static void warm_up(struct bench_log *log, uint64_t *cut_at)
{
    const uint32_t count = records_for(log, LARGE_KIB);

    bench_log_encode(log, count);
    while (wal_counters(log->wal)->recycled < RECYCLED_MIN && wal_failed(log->wal) == 0) {
        bench_log_feed(log, count);
        cut_if_due(log, cut_at);
    }
    bench_log_turn(log, count); /* those that were made */
    histogram_reset(&log->flush_ns);
}

void bench_wal_flush_recycled(struct gbench_state *state)
{
    uint64_t cut_at = CUT_BYTES;

    bench_log_options(&bench);
    if (!bench_log_open(&bench)) {
        gbench_skip(state, bench.error);
        return;
    }
    warm_up(&bench, &cut_at);
    const uint32_t count = records_for(&bench, gbench_arg(state));
    bench_log_encode(&bench, count);
    const raft_index before = bench.last;
    while (gbench_next(state, 1)) {
        for (const uint64_t end = end_ns(); bench_now_ns() < end;) {
            bench_log_feed(&bench, count);
            if (wal_counters(bench.wal)->bytes < cut_at)
                continue;
            gbench_pause(state); /* a snapshot is rare */
            cut_if_due(&bench, &cut_at);
            gbench_resume(state);
        }
    }
    report(state, &bench, (bench.last - before) / count);
    bench_log_close(&bench);
}

void bench_wal_lone(struct gbench_state *state)
{
    bench_log_options(&bench);
    bench.payload_bytes = LONE_BYTES;
    bench.wait = (enum bench_wait)(gbench_arg(state) - WAIT_SHIFT);
    run(state, 1);
}

void bench_wal_roll(struct gbench_state *state)
{
    bench_log_options(&bench);
    bench.options.segment_bytes = (uint64_t)gbench_arg(state) << 20;
    bench.options.batch_bytes = ROLL_BATCH_BYTES;
    run(state, ROLL_RECORDS);
}
