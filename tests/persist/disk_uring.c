/* Goal:   the log works on real files as it does in the simulator: past the page cache and through
 *         it, with DSYNC writes and with fsync, over segments that roll; and the ring does what
 *         persist needs and nothing else.
 * Method: a temporary directory below the working directory; appends, close without a word, reopen,
 *         read back. What a closed disk leaves is what a killed process leaves.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/record.h"
#include "persist/disk_uring.h"
#include "persist/superblock.h"
#include "persist/wal.h"

enum {
    CLUSTER = 77,
    PAYLOAD_BYTES = 1000,
    APPENDS = 300, /* more than one segment of them */
    WAIT_MS = 20000,
};

struct bench {
    char directory[64];
    struct disk *disk;
    void *memory;
    struct wal *wal;
    struct wal_options options;
    struct wal_recovered found;
    raft_seq seq;
    uint32_t chain;
    raft_index last;
    char error[256];
};

static uint64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void bench_open(struct bench *b, bool buffered, bool enable)
{
    const struct disk_uring_options options = {.buffered = buffered};

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

static void bench_close(struct bench *b)
{
    disk_uring_close(b->disk);
    free(b->memory);
}

static void bench_append(struct bench *b)
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
        (void)wal_poll(b->wal, now_ns());
    }
    b->seq++;
    b->last++;
    b->chain = chain;
}

static void bench_settle(struct bench *b)
{
    const uint64_t limit = now_ns() + WAIT_MS * 1000000ull;

    while (wal_durable(b->wal) < b->seq) {
        (void)wal_poll(b->wal, now_ns());
        assert_int_equal(wal_failed(b->wal), 0);
        assert_true(now_ns() < limit);
    }
}

static void read_all(struct bench *b)
{
    static uint8_t bytes[64 * 1024];
    raft_index next = 1;

    while (next <= b->last) {
        struct wal_read read = {
            .first = next, .last = b->last, .term = 1, .bytes = bytes, .size = sizeof bytes};
        assert_int_equal(wal_read_begin(b->wal, &read), 0);
        while (!wal_read_poll(b->wal))
            (void)wal_poll(b->wal, now_ns());
        assert_int_equal(read.result, 0);
        assert_true(read.count > 0);
        assert_true(record_at(bytes)->index == next);
        next += read.count;
    }
}

static void remove_tree(const char *directory)
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

static struct bench bench_new(void)
{
    struct bench b = {
        .directory = "disk_uring_XXXXXX",
        .options = {.cluster = CLUSTER,
                    .incarnation = 5,
                    .segment_bytes = 40 * DISK_SECTOR,
                    .batch_bytes = WAL_BATCH_BYTES_MIN,
                    .node = 1,
                    .buffer_count = 4,
                    .flights = 1,
                    .runs_max = 16},
    };
    assert_non_null(mkdtemp(b.directory));
    return b;
}

static void log_on_real_files(bool buffered, bool fsync)
{
    struct bench b = bench_new();

    b.options.sync_by_fsync = fsync;
    for (uint32_t start = 0; start < 3; start++) {
        bench_open(&b, buffered, true);
        for (uint32_t i = 0; i < APPENDS; i++)
            bench_append(&b);
        bench_settle(&b);
        assert_true(wal_counters(b.wal)->segments > 1);
        read_all(&b);
        bench_close(&b);
    }
    bench_open(&b, buffered, true);
    read_all(&b);
    bench_close(&b);
    remove_tree(b.directory);
}

static void direct_with_dsync(void **state)
{
    (void)state;
    log_on_real_files(false, false);
}

static void direct_with_fsync(void **state)
{
    (void)state;
    log_on_real_files(false, true);
}

static void through_the_page_cache(void **state)
{
    (void)state;
    log_on_real_files(true, false);
    log_on_real_files(true, true);
}

static void completion_rings_the_eventfd(void **state)
{
    (void)state;
    struct bench b = bench_new();

    bench_open(&b, false, true);
    /* A segment is prepared in the background, which rings too: until its file is there. */
    for (uint64_t limit = now_ns() + WAIT_MS * 1000000ull; wal_next_ns(b.wal) == UINT64_MAX;) {
        (void)wal_poll(b.wal, now_ns());
        assert_true(now_ns() < limit);
        if (disk_in_flight(b.disk) == 0)
            break;
    }
    struct pollfd p = {.fd = disk_uring_fd(b.disk), .events = POLLIN};
    uint64_t rung;
    (void)!read(p.fd, &rung, sizeof rung);
    assert_int_equal(poll(&p, 1, 0), 0);
    bench_append(&b);
    (void)wal_poll(b.wal, now_ns());
    assert_int_equal(poll(&p, 1, WAIT_MS), 1);
    assert_int_equal(read(p.fd, &rung, sizeof rung), sizeof rung);
    bench_settle(&b);
    bench_close(&b);
    remove_tree(b.directory);
}

/* The node dies while a segment is being made. */
static void unfinished_file_is_swept(void **state)
{
    (void)state;
    struct bench b = bench_new();
    char name[128];

    (void)snprintf(name, sizeof name, "%s/wal-0000000000000009.new", b.directory);
    const int fd = open(name, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    (void)close(fd);
    bench_open(&b, false, false);
    assert_int_equal(access(name, F_OK), -1);
    bench_close(&b);
    remove_tree(b.directory);
}

static void errors_are_sentences(void **state)
{
    (void)state;
    const struct disk_uring_options options = {0};
    struct disk *d;
    char error[256] = "";

    assert_int_equal(disk_uring_open("no/such/directory", &options, &d, error, sizeof error),
                     -ENOENT);
    assert_non_null(strstr(error, "no/such/directory"));
}

static void superblock_on_real_files(void **state)
{
    (void)state;
    struct bench b = bench_new();
    uint8_t *sector = aligned_alloc(DISK_SECTOR, DISK_SECTOR);
    const struct superblock fresh = {.cluster = 7, .incarnation = 8, .node = 2};
    const struct disk_uring_options options = {0};
    struct superblock found;

    assert_non_null(sector);
    for (uint32_t start = 0; start < 4; start++) {
        assert_int_equal(disk_uring_open(b.directory, &options, &b.disk, b.error, sizeof b.error),
                         0);
        if (start == 0) {
            assert_int_equal(superblock_read(b.disk, sector, &found), -ENODATA);
            assert_int_equal(superblock_format(b.disk, sector, &fresh), 0);
        }
        assert_int_equal(superblock_read(b.disk, sector, &found), 0);
        assert_int_equal(found.boot, start);
        assert_int_equal(superblock_boot(b.disk, sector, &found), 0);
        disk_uring_close(b.disk);
    }
    free(sector);
    remove_tree(b.directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(direct_with_dsync),        cmocka_unit_test(direct_with_fsync),
        cmocka_unit_test(through_the_page_cache),   cmocka_unit_test(completion_rings_the_eventfd),
        cmocka_unit_test(unfinished_file_is_swept), cmocka_unit_test(errors_are_sentences),
        cmocka_unit_test(superblock_on_real_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
