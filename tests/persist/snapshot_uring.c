/* Goal:   snapshot files on real files, through the ring and the control thread, are what they are in
 *         the simulator: made without zeros, cut to their length, named, read back, replaced, removed.
 * Method: a log in a temporary directory goes on while snapshots of it are written; what a closed
 *         disk leaves is opened again. Past the page cache and through it, both ways of flushing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/prng.h"
#include "persist/disk_uring.h"
#include "persist/snapshot.h"
#include "tests/persist/uring_bench.h"

enum { APPENDS = 60, CONTENT_BYTES = (1 << 20) + 100, ROOM_BYTES = 4 << 20 };

static const struct snapshots_options options = {
    .bytes_max = ROOM_BYTES, .chunk_bytes = SNAPSHOT_CHUNK_BYTES, .write_bytes = SHARE_BYTES_MAX};

struct life {
    struct bench b;
    void *memory;
    struct snapshots *s;
    struct snapshots_found found;
};

static void open_life(struct life *l, bool buffered)
{
    bench_open(&l->b, buffered, false);
    l->memory = aligned_alloc(DISK_SECTOR, snapshots_bytes(&options));
    assert_non_null(l->memory);
    assert_int_equal(snapshots_open(&l->s, l->memory, l->b.wal, &options, &l->found), 0);
    assert_int_equal(disk_uring_enable(l->b.disk), 0);
}

static void close_life(struct life *l)
{
    bench_close(&l->b);
    free(l->memory);
}

static void turn(struct life *l)
{
    (void)wal_poll(l->b.wal, bench_now_ns());
    (void)snapshots_poll(l->s, bench_now_ns());
    assert_int_equal(wal_failed(l->b.wal), 0);
    assert_int_equal(snapshot_failure(l->s), 0);
}

static void fill(uint8_t *content, raft_index index)
{
    struct prng p;

    prng_seed(&p, index);
    for (uint32_t i = 0; i + 8 <= CONTENT_BYTES; i += 8) {
        const uint64_t word = prng_next(&p);
        memcpy(content + i, &word, sizeof word);
    }
}

static void set_base(struct life *l, raft_index index)
{
    const struct snapshot_header *h = snapshot_ready(l->s);
    const struct wal_step step = {
        .seq = l->b.seq + 1, .term = 1, .commit = index, .first = 1, .last = 0};
    const struct wal_base base = {
        .index = index,
        .term = 1,
        .chain = h->chain,
        .snapshot_index = index,
        .snapshot_bytes = h->bytes,
        .snapshot_digest = h->digest,
    };

    while (wal_set_base(l->b.wal, &step, &base, false) != 0)
        turn(l);
    l->b.seq++;
}

/* At the end of the log, which goes on meanwhile. */
static raft_index take_snapshot(struct life *l)
{
    static uint8_t content[CONTENT_BYTES];
    const struct snapshot_start start = {
        .index = l->b.last, .term = 1, .chain = l->b.chain, .room = ROOM_BYTES};
    uint32_t at = 0;

    fill(content, start.index);
    while (snapshot_begin(l->s, &start) != 0)
        turn(l);
    while (at < CONTENT_BYTES) {
        const uint32_t rest = CONTENT_BYTES - at;
        const uint32_t length = rest < SNAPSHOT_CHUNK_BYTES ? rest : SNAPSHOT_CHUNK_BYTES;
        at += snapshot_append(l->s, content + at, length) == 0 ? length : 0;
        turn(l);
    }
    assert_int_equal(snapshot_end(l->s), 0);
    bench_append(&l->b);
    while (snapshot_stage(l->s) != SNAPSHOT_READY)
        turn(l);
    set_base(l, start.index);
    const uint64_t limit = bench_now_ns() + BENCH_WAIT_MS * 1000000ull;
    while (snapshot_stage(l->s) != SNAPSHOT_IDLE || wal_durable(l->b.wal) < l->b.seq) {
        turn(l);
        assert_true(bench_now_ns() < limit);
    }
    return start.index;
}

static void read_back(struct life *l, raft_index index)
{
    static uint8_t expected[CONTENT_BYTES];
    static uint8_t content[SNAPSHOT_CHUNK_BYTES];
    const struct snapshot_header *h = snapshot_current(l->s);
    struct snapshot_read read = {.index = index, .content = content};

    assert_non_null(h);
    assert_int_equal(h->index, index);
    assert_int_equal(h->bytes, CONTENT_BYTES);
    fill(expected, index);
    for (uint32_t at = 0; at < CONTENT_BYTES; at += read.length, read.chunk++) {
        assert_int_equal(snapshot_read_begin(l->s, &read), 0);
        while (!snapshot_read_poll(l->s, &read))
            turn(l);
        assert_int_equal(read.result, 0);
        assert_memory_equal(content, expected + at, read.length);
    }
}

/* What `ls` would show: one file, of just its length. */
static void check_files(const char *directory, raft_index index)
{
    char expected[DISK_NAME_BYTES];
    struct stat s;
    uint32_t count = 0;
    DIR *d = opendir(directory);

    assert_non_null(d);
    snapshot_name(expected, index);
    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        if (strncmp(e->d_name, SNAPSHOT_NAME_PREFIX, strlen(SNAPSHOT_NAME_PREFIX)) != 0)
            continue;
        count++;
        assert_string_equal(e->d_name, expected);
        assert_int_equal(fstatat(dirfd(d), e->d_name, &s, 0), 0);
        assert_int_equal(s.st_size, snapshot_file_bytes(CONTENT_BYTES, SNAPSHOT_CHUNK_BYTES));
    }
    assert_int_equal(count, 1);
    (void)closedir(d);
}

static void snapshots_on_real_files(bool buffered, bool fsync)
{
    struct life l = {.b = bench_new()};
    raft_index index = 0;

    l.b.options.sync_by_fsync = fsync;
    for (uint32_t start = 0; start < 3; start++) {
        open_life(&l, buffered);
        assert_int_equal(l.found.condition, start == 0 ? SNAPSHOT_NONE : SNAPSHOT_WHOLE);
        if (start > 0)
            read_back(&l, index);
        for (uint32_t i = 0; i < APPENDS; i++)
            bench_append(&l.b);
        (void)take_snapshot(&l);
        bench_append(&l.b);
        index = take_snapshot(&l); /* and the one before goes */
        read_back(&l, index);
        close_life(&l);
        check_files(l.b.directory, index);
    }
    bench_remove(l.b.directory);
}

static void direct_with_dsync(void **state)
{
    (void)state;
    snapshots_on_real_files(false, false);
}

static void direct_with_fsync(void **state)
{
    (void)state;
    snapshots_on_real_files(false, true);
}

static void through_the_page_cache(void **state)
{
    (void)state;
    snapshots_on_real_files(true, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(direct_with_dsync),
        cmocka_unit_test(direct_with_fsync),
        cmocka_unit_test(through_the_page_cache),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
