#include "tests/persist/uring_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/record.h"
#include "persist/disk_uring.h"

enum {
    CLUSTER = 77,
    PAYLOAD_BYTES = 1000,
};

uint64_t bench_now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

void bench_open(struct bench *b, bool buffered, bool enable)
{
    const struct disk_uring_options options = {.buffered = buffered,
                                               .registered_bytes_max = b->registered_bytes_max};

    b->options.boot++;
    b->seq = (raft_seq)b->options.boot << RAFT_SEQ_COUNTER_BITS;
    assert_int_equal(disk_uring_open(b->directory, &options, &b->disk, b->error, sizeof b->error),
                     0);
    b->memory = aligned_alloc(DISK_SECTOR, wal_bytes(&b->options));
    assert_non_null(b->memory);
    if (wal_open(&b->wal, b->memory, b->disk, &b->options, &b->found) != 0)
        fail_msg("%s", b->found.refusal);
    assert_int_equal(b->found.last, b->last);
    assert_int_equal(b->found.last_chain, b->chain);
    if (enable)
        assert_int_equal(disk_uring_enable(b->disk), 0);
}

void bench_close(struct bench *b)
{
    disk_uring_close(b->disk);
    free(b->memory);
}

void bench_append(struct bench *b)
{
    static uint8_t bytes[RECORD_HEADER_BYTES + PAYLOAD_BYTES];
    static const uint8_t payload[PAYLOAD_BYTES];
    const struct record_spec spec = {.type = RECORD_COMMAND,
                                     .cluster = CLUSTER,
                                     .index = b->last + 1,
                                     .term = 1,
                                     .chain = b->chain,
                                     .payload = payload,
                                     .payload_bytes = PAYLOAD_BYTES};
    const uint32_t chain = record_encode(&spec, bytes);
    const struct wal_step step = {.seq = b->seq + 1,
                                  .term = 1,
                                  .first = spec.index,
                                  .last = spec.index,
                                  .bytes = bytes,
                                  .length = sizeof bytes};

    while (wal_append(b->wal, &step) != 0) {
        assert_int_equal(wal_failed(b->wal), 0);
        (void)wal_poll(b->wal, bench_now_ns());
    }
    b->seq++;
    b->last++;
    b->chain = chain;
}

void bench_settle(struct bench *b)
{
    const uint64_t limit = bench_now_ns() + BENCH_WAIT_MS * 1000000ull;

    while (wal_durable(b->wal) < b->seq) {
        (void)wal_poll(b->wal, bench_now_ns());
        assert_int_equal(wal_failed(b->wal), 0);
        assert_true(bench_now_ns() < limit);
    }
}

void bench_idle(struct bench *b)
{
    const uint64_t limit = bench_now_ns() + BENCH_WAIT_MS * 1000000ull;
    uint32_t work = 1;

    while (work > 0 || disk_in_flight(b->disk) > 0 || wal_next_ns(b->wal) != UINT64_MAX) {
        work = wal_poll(b->wal, bench_now_ns());
        assert_int_equal(wal_failed(b->wal), 0);
        assert_true(bench_now_ns() < limit);
    }
}

void bench_read_all(struct bench *b)
{
    static uint8_t bytes[64 * 1024];
    raft_index next = 1;

    while (next <= b->last) {
        struct wal_read read = {
            .first = next, .last = b->last, .term = 1, .bytes = bytes, .size = sizeof bytes};
        assert_int_equal(wal_read_begin(b->wal, &read), 0);
        while (!wal_read_poll(b->wal))
            (void)wal_poll(b->wal, bench_now_ns());
        assert_int_equal(read.result, 0);
        assert_true(read.count > 0);
        assert_true(record_at(bytes)->index == next);
        next += read.count;
    }
}

void bench_remove(const char *directory)
{
    DIR *d = opendir(directory);
    assert_non_null(d);
    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        if (e->d_name[0] != '.')
            assert_int_equal(unlinkat(dirfd(d), e->d_name, 0), 0);
    }
    (void)closedir(d);
    assert_int_equal(rmdir(directory), 0);
}

struct bench bench_new(void)
{
    struct bench b = {
        .directory = "disk_uring_XXXXXX",
        .registered_bytes_max = DISK_URING_REGISTERED_BYTES_DEFAULT,
        .options = {.cluster = CLUSTER,
                    .incarnation = 5,
                    .segment_bytes = 40 * DISK_SECTOR,
                    .batch_bytes = WAL_BATCH_BYTES_MIN,
                    .node = 1,
                    .buffer_count = 4,
                    .flights = 1,
                    .segments_ahead = 2,
                    .spares_max = 4,
                    .zeros_bytes = 16 * DISK_SECTOR,
                    .zeros_batch_bytes = WAL_ZEROS_BATCH_BYTES_DEFAULT,
                    .share_percent = SHARE_PERCENT_DEFAULT},
    };
    assert_non_null(mkdtemp(b.directory));
    return b;
}
