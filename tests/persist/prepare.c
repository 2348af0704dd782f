/* Goal:   a new segment is used when it is allocated and flushed and no zeros are on their way to it, and
 *         not before; zeros have a share of the disk and no more, are never in front of more than one
 *         flush of the log, and no log waits for them; large batches get none; and a file that there is
 *         no room for leaves nothing behind.
 * Method: the log over the simulated disk, one write at a time of one sector or two; what the disk holds
 *         under unfinished and finished names is looked at in each turn.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "persist/segment.h"
#include "tests/persist/fixture.h"

enum { TURN_NS = 50 * 1000, SETTLED_TURNS = 400 };

static void turns(struct fixture *f, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        fixture_turn(f, TURN_NS);
}

/* The stable bytes behind the header; NULL: there is no such file. */
static const uint8_t *data_of(struct fixture *f, const char *name)
{
    uint64_t length = 0;
    const uint8_t *bytes = disk_sim_bytes(f->disk, name, &length);

    assert_true(bytes == NULL || length == f->options.segment_bytes);
    return bytes == NULL ? NULL : bytes + SEGMENT_DATA_OFFSET;
}

static bool is_zero(const struct fixture *f, const uint8_t *data)
{
    const uint64_t length = f->options.segment_bytes - SEGMENT_DATA_OFFSET;

    return data[0] == 0 && memcmp(data, data + 1, length - 1) == 0;
}

/* What the disk gives for a bare file is anything but zeros here; under its name it is nothing else when the
 * log is at rest. */
static void file_has_its_name_when_it_is_filled(void **state)
{
    (void)state;
    for (uint32_t seed = 0; seed < 20; seed++) {
        struct fixture *f = fixture_new(seed);
        char name[DISK_NAME_BYTES], making[DISK_NAME_BYTES];
        uint32_t half_made = 0;
        segment_name(name, 2); /* the first start made 1 */
        segment_name_unfinished(making, 2);
        f->options.sync_by_fsync = seed % 2 == 1;
        assert_int_equal(fixture_open(f), 0);
        for (uint32_t i = 0; i < SETTLED_TURNS && data_of(f, name) == NULL; i++) {
            half_made += data_of(f, making) != NULL;
            fixture_turn(f, TURN_NS);
        }
        assert_true(half_made > f->options.segment_bytes / f->options.zeros_bytes);
        assert_non_null(data_of(f, name));
        assert_true(is_zero(f, data_of(f, name)));
        assert_null(data_of(f, making));
        fixture_delete(f);
    }
}

/* At whatever moment: the next start finds no trace, and uses the generation anew. */
static void crash_leaves_nothing_half_made(void **state)
{
    (void)state;
    for (uint32_t moment = 0; moment < 60; moment++) {
        struct fixture *f = fixture_new(100 + moment);
        char making[DISK_NAME_BYTES];
        segment_name_unfinished(making, 2);
        assert_int_equal(fixture_open(f), 0);
        fixture_extend(f, 2, 500);
        turns(f, moment);
        if (moment % 2 == 0)
            disk_sim_power_cut(f->disk);
        else
            disk_sim_kill(f->disk);
        assert_null(data_of(f, making));
        assert_int_equal(fixture_open(f), 0);
        fixture_settle(f);
        assert_int_equal(wal_failed(f->wal), 0);
        fixture_delete(f);
    }
}

/* The log never rests: what the zeros have is their share. */
static void zeros_keep_to_their_share(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(3);
    const struct share *share;

    f->options.segment_bytes = 4000 * DISK_SECTOR;
    f->options.zeros_bytes = 8 * DISK_SECTOR;
    f->options.segments_ahead = 3;
    f->options.share_percent = 20;
    assert_int_equal(fixture_open(f), 0);
    share = wal_share(f->wal);
    const uint64_t begun_ns = f->now_ns;
    for (uint32_t i = 0; i < 400; i++) {
        fixture_extend(f, 1, 100);
        turns(f, 2);
    }
    assert_in_range(share->busy_ns[SHARE_ZEROS] * 100 / (f->now_ns - begun_ns), 12, 20);
    fixture_delete(f);
}

/* A log that writes as fast as it can, entries of up to `payload` bytes, until it has begun so many
 * segments: it is never told to wait for one. */
static void keep_busy(struct fixture *f, uint32_t payload, uint64_t segments)
{
    while (wal_counters(f->wal)->segments < segments) {
        const struct fixture_step step = {
            .first = fixture_now(f)->last + 1, .count = 1, .payload = payload, .term = 1};
        assert_int_not_equal(fixture_append(f, &step), -ENOSPC);
        turns(f, 4);
    }
}

/* With a share of the disk that is far too small for the zeros too. */
static void log_does_not_wait_for_zeros(void **state)
{
    (void)state;
    for (uint32_t seed = 0; seed < 10; seed++) {
        struct fixture *f = fixture_new(200 + seed);
        f->options.segment_bytes = 32 * DISK_SECTOR;
        f->options.segments_ahead = 1 + seed % 2;
        f->options.share_percent = 1;
        f->options.sync_by_fsync = seed % 4 >= 2;
        f->options.flights = 1;
        assert_int_equal(fixture_open(f), 0);
        fixture_settle(f);
        keep_busy(f, 1, 8);
        fixture_delete(f);
    }
}

/* They would cost more than they save. What was written at rest, with nothing to go by, is not looked at. */
static void large_batches_get_no_zeros(void **state)
{
    (void)state;
    static const uint32_t payloads[] = {1, 11000};

    for (uint32_t large = 0; large < 2; large++) {
        struct fixture *f = fixture_new(220 + large);
        f->options.segment_bytes = 64 * DISK_SECTOR;
        f->options.segments_ahead = 2;
        f->options.share_percent = 100;
        f->options.zeros_batch_bytes = DISK_SECTOR * 3 / 2;
        assert_int_equal(fixture_open(f), 0);
        fixture_settle(f);
        keep_busy(f, payloads[large], 3);
        const uint64_t before_ns = wal_share(f->wal)->busy_ns[SHARE_ZEROS];
        keep_busy(f, payloads[large], 8);
        const uint64_t zeros_ns = wal_share(f->wal)->busy_ns[SHARE_ZEROS] - before_ns;
        assert_true((zeros_ns == 0) == (large == 1));
        fixture_delete(f);
    }
}

/* Wherever room runs out while a file is made: it is dropped, its room is given back, and another is
 * made when there is room. */
static void file_without_room_is_dropped(void **state)
{
    (void)state;
    static const enum disk_op_kind kinds[] = {DISK_OP_CREATE, DISK_OP_WRITE, DISK_OP_SYNC,
                                              DISK_OP_RENAME};

    for (uint32_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct fixture *f = fixture_new(300 + i);
        const struct disk_sim_fault full = {
            .kind = kinds[i], .nth = 1, .result = -ENOSPC, .sticky = true};
        assert_int_equal(fixture_open(f), 0);
        const uint64_t used = disk_sim_used(f->disk);
        disk_sim_fail(f->disk, &full);
        turns(f, SETTLED_TURNS);
        assert_int_equal(wal_failed(f->wal), 0);
        assert_true(disk_sim_used(f->disk) == used);
        assert_true(wal_next_ns(f->wal) != UINT64_MAX); /* to try again */
        disk_sim_fail(f->disk, &(struct disk_sim_fault){.nth = 0});
        for (const uint64_t again_ns = wal_next_ns(f->wal); f->now_ns < again_ns;)
            fixture_turn(f, 1000 * 1000);
        turns(f, SETTLED_TURNS);
        assert_true(disk_sim_used(f->disk) == used + f->options.segment_bytes);
        fixture_delete(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(file_has_its_name_when_it_is_filled),
        cmocka_unit_test(crash_leaves_nothing_half_made),
        cmocka_unit_test(zeros_keep_to_their_share),
        cmocka_unit_test(log_does_not_wait_for_zeros),
        cmocka_unit_test(large_batches_get_no_zeros),
        cmocka_unit_test(file_without_room_is_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
