/* Goal:   who loads a store gets a snapshot with few reads, ahead of what he asks for, whatever else is
 *         read meanwhile; and never a byte from before a repair, or of a file that is not current any more.
 * Method: a log with snapshots over the simulated disk, whose completed reads are counted, held or
 *         made to fail.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/persist/fixture.h"

enum { ENTRIES = 30, TURN_NS = 50 * 1000 };

struct content {
    uint8_t bytes[FIXTURE_SNAPSHOT_BYTES];
    uint32_t total, chunks;
};

static struct content content_of(raft_index index)
{
    struct content c;

    c.total = fixture_snapshot_content(index, c.bytes);
    c.chunks = (c.total + FIXTURE_CHUNK_BYTES - 1) / FIXTURE_CHUNK_BYTES;
    return c;
}

/* The log stands on the snapshot of the first entry from `from` on that has five chunks or six. */
static raft_index take_long(struct fixture *f, raft_index from)
{
    raft_index index = from;

    while (content_of(index).chunks < 5)
        index++;
    assert_in_range(index, from, ENTRIES - 1);
    fixture_set_base(f, index, false);
    fixture_idle(f);
    return index;
}

static struct fixture *fixture_with_log(uint64_t seed)
{
    struct fixture *f = fixture_new(seed);

    f->with_snapshots = true;
    assert_int_equal(fixture_open(f), 0);
    for (uint32_t i = 0; i < ENTRIES; i++)
        fixture_extend(f, 1, 300);
    return f;
}

static struct snapshot_read read_of(raft_index index, uint32_t chunk, uint8_t *bytes)
{
    return (struct snapshot_read){.index = index, .chunk = chunk, .content = bytes};
}

static void wait_for(struct fixture *f, struct snapshot_read *read)
{
    while (!snapshot_read_poll(f->snapshots, read))
        fixture_turn(f, TURN_NS);
}

static void check(const struct content *c, const struct snapshot_read *read)
{
    const uint32_t at = read->chunk * FIXTURE_CHUNK_BYTES;
    const uint32_t rest = c->total - at;

    assert_int_equal(read->result, 0);
    assert_int_equal(read->length, rest < FIXTURE_CHUNK_BYTES ? rest : FIXTURE_CHUNK_BYTES);
    assert_memory_equal(read->content, c->bytes + at, read->length);
}

/* All of it, chunk after chunk; the reads of the disk that it took. */
static uint64_t read_all(struct fixture *f, const struct content *c, raft_index index, bool background)
{
    const uint64_t before = disk_sim_completed(f->disk, DISK_OP_READ);
    uint8_t bytes[FIXTURE_CHUNK_BYTES];

    for (uint32_t chunk = 0; chunk < c->chunks; chunk++) {
        struct snapshot_read read = read_of(index, chunk, bytes);
        read.background = background;
        assert_int_equal(snapshot_read_begin(f->snapshots, &read), 0);
        wait_for(f, &read);
        check(c, &read);
    }
    return disk_sim_completed(f->disk, DISK_OP_READ) - before;
}

static void who_reads_on_takes_fewer_reads(void **state)
{
    (void)state;
    for (uint32_t background = 0; background < 2; background++) {
        struct fixture *f = fixture_with_log(1);
        const raft_index index = take_long(f, 5);
        const struct content c = content_of(index);
        /* A window has two chunks; the second time the first chunk is asked for again. */
        assert_int_equal(read_all(f, &c, index, background == 1), 3);
        assert_int_equal(read_all(f, &c, index, background == 1), 1 + c.chunks / 2);
        fixture_delete(f);
    }
}

/* The next window is on its way when the first chunk is there. */
static void load_is_ahead_of_who_asks(void **state)
{
    (void)state;
    struct fixture *f = fixture_with_log(2);
    const raft_index index = take_long(f, 5);
    const struct content c = content_of(index);
    uint8_t bytes[FIXTURE_CHUNK_BYTES];
    struct snapshot_read read = read_of(index, 0, bytes);

    assert_int_equal(snapshot_read_begin(f->snapshots, &read), 0);
    fixture_poll(f);
    fixture_poll(f);
    assert_int_equal(disk_in_flight(f->disk), 2);
    wait_for(f, &read);
    check(&c, &read);
    fixture_delete(f);
}

/* Of one kind one at a time; the other kind does not wait for it. */
static void two_kinds_beside_each_other(void **state)
{
    (void)state;
    struct fixture *f = fixture_with_log(3);
    const raft_index index = take_long(f, 5);
    const struct content c = content_of(index);
    uint8_t bytes[2][FIXTURE_CHUNK_BYTES];

    for (uint32_t chunk = 0; chunk < c.chunks; chunk++) {
        struct snapshot_read load = read_of(index, chunk, bytes[0]);
        struct snapshot_read other = read_of(index, c.chunks - 1 - chunk, bytes[1]);
        other.background = true;
        assert_int_equal(snapshot_read_begin(f->snapshots, &load), 0);
        assert_int_equal(snapshot_read_begin(f->snapshots, &load), -EAGAIN);
        assert_int_equal(snapshot_read_begin(f->snapshots, &other), 0);
        wait_for(f, &load);
        wait_for(f, &other);
        check(&c, &load);
        check(&c, &other);
    }
    fixture_delete(f);
}

/* Where a window can't be read, its chunks are read one by one. */
static void failed_window_harms_nobody(void **state)
{
    (void)state;
    static const int64_t results[] = {-EIO, DISK_SIM_SHORT};

    for (uint32_t i = 0; i < 2; i++) {
        struct fixture *f = fixture_with_log(4);
        const raft_index index = take_long(f, 5);
        const struct content c = content_of(index);
        const struct disk_sim_fault fault = {
            .kind = DISK_OP_READ, .nth = 1, .result = results[i], .count = 2};
        disk_sim_fail(f->disk, &fault); /* both windows */
        (void)read_all(f, &c, index, false);
        assert_int_equal(snapshot_counters(f->snapshots)->chunks_damaged, 0);
        fixture_delete(f);
    }
}

/* A neighbour is served though it came in one read with what is damaged. */
static void damage_is_of_its_chunk_alone(void **state)
{
    (void)state;
    struct fixture *f = fixture_with_log(5);
    const raft_index index = take_long(f, 5);
    const struct content c = content_of(index);
    uint8_t bytes[FIXTURE_CHUNK_BYTES];
    char name[DISK_NAME_BYTES];
    uint64_t length;

    snapshot_name(name, index);
    disk_sim_bytes(f->disk, name, &length)[SNAPSHOT_DATA_OFFSET + FIXTURE_CHUNK_BYTES + 9] ^= 4;
    for (uint32_t chunk = 0; chunk < c.chunks; chunk++) {
        struct snapshot_read read = read_of(index, chunk, bytes);
        assert_int_equal(snapshot_read_begin(f->snapshots, &read), 0);
        wait_for(f, &read);
        if (chunk != 1)
            check(&c, &read);
        else
            assert_int_equal(read.result, -EBADMSG);
    }
    /* Whoever has read it damaged reads it whole behind the repair. */
    struct snapshot_read read = read_of(index, 0, bytes);
    assert_int_equal(snapshot_read_begin(f->snapshots, &read), 0);
    wait_for(f, &read);
    assert_int_equal(
        snapshot_repair(f->snapshots, 1, c.bytes + FIXTURE_CHUNK_BYTES, FIXTURE_CHUNK_BYTES), 0);
    while (snapshot_repair_result(f->snapshots) == 1)
        fixture_turn(f, TURN_NS);
    read = read_of(index, 1, bytes);
    assert_int_equal(snapshot_read_begin(f->snapshots, &read), 0);
    wait_for(f, &read);
    check(&c, &read);
    fixture_delete(f);
}

/* Reads of the older file are in flight as the newer one becomes current: nobody gets their bytes, and
 * the older file goes when they have ended. */
static void next_snapshot_ends_the_reads_of_the_last(void **state)
{
    (void)state;
    struct fixture *f = fixture_with_log(6);
    const raft_index index = take_long(f, 5);
    uint8_t bytes[2][FIXTURE_CHUNK_BYTES];
    struct snapshot_read load = read_of(index, 0, bytes[0]);
    struct snapshot_read other = read_of(index, 2, bytes[1]);

    other.background = true;
    const raft_index newer = take_long(f, index + 1);
    assert_int_equal(snapshot_read_begin(f->snapshots, &load), 0);
    assert_int_equal(snapshot_read_begin(f->snapshots, &other), 0);
    wait_for(f, &load);
    wait_for(f, &other);
    assert_int_equal(load.result, -ENOENT);
    assert_int_equal(other.result, -ENOENT);

    const struct content c = content_of(newer);
    (void)read_all(f, &c, newer, false);
    load = read_of(newer, 0, bytes[0]);
    assert_int_equal(snapshot_read_begin(f->snapshots, &load), 0);
    fixture_poll(f);
    const raft_index newest = take_long(f, newer + 1); /* while that is on its way, and not asked for */
    wait_for(f, &load);
    assert_int_equal(load.result, -ENOENT);
    const struct content last = content_of(newest);
    (void)read_all(f, &last, newest, false);
    (void)read_all(f, &last, newest, true);
    fixture_idle(f);
    char names[4][DISK_NAME_BYTES];
    assert_int_equal(disk_list(f->disk, SNAPSHOT_NAME_PREFIX, names, 4), 1);
    fixture_delete(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_reads_on_takes_fewer_reads),
        cmocka_unit_test(load_is_ahead_of_who_asks),
        cmocka_unit_test(two_kinds_beside_each_other),
        cmocka_unit_test(failed_window_harms_nobody),
        cmocka_unit_test(damage_is_of_its_chunk_alone),
        cmocka_unit_test(next_snapshot_ends_the_reads_of_the_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
