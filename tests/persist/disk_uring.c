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

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "persist/disk_uring.h"
#include "persist/superblock.h"
#include "tests/persist/uring_bench.h"

enum { APPENDS = 300 /* more than one segment of them */, QUIET_MS = 20 };

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
        bench_read_all(&b);
        bench_close(&b);
    }
    bench_open(&b, buffered, true);
    bench_read_all(&b);
    bench_close(&b);
    bench_remove(b.directory);
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
    /* Segments are prepared in the background, which rings too; the last ring may be a little late. */
    bench_idle(&b);
    struct pollfd p = {.fd = disk_uring_fd(b.disk), .events = POLLIN};
    uint64_t rung;
    while (poll(&p, 1, QUIET_MS) == 1)
        assert_int_equal(read(p.fd, &rung, sizeof rung), sizeof rung);
    bench_append(&b);
    (void)wal_poll(b.wal, bench_now_ns());
    assert_int_equal(poll(&p, 1, BENCH_WAIT_MS), 1);
    assert_int_equal(read(p.fd, &rung, sizeof rung), sizeof rung);
    bench_settle(&b);
    bench_close(&b);
    bench_remove(b.directory);
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
    bench_remove(b.directory);
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
    bench_remove(b.directory);
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
