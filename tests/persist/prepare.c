/* Goal:   a new segment is used when all of its zeros are on the disk and not before; its making has a
 *         share of the disk and no more, is never in front of more than one flush of the log, and yet no
 *         log that writes as fast as it can runs out of segments; and a file that there is no room for
 *         leaves nothing behind.
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

/* What the disk gives for a bare file is anything but zeros; under its name it is nothing else. */
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

/* The log never rests: what the zeros have is their share, as long as segments do not run out. */
static void zeros_keep_to_their_share(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(3);
    char name[DISK_NAME_BYTES];
    const struct share *share;

    f->options.segment_bytes = 4000 * DISK_SECTOR;
    f->options.zeros_bytes = 8 * DISK_SECTOR;
    f->options.segments_ahead = 3;
    f->options.share_percent = 20;
    assert_int_equal(fixture_open(f), 0);
    segment_name(name, 3);
    while (data_of(f, name) == NULL)
        fixture_turn(f, TURN_NS); /* with few ready it is pressed */
    share = wal_share(f->wal);
    const uint64_t before_ns = share->busy_ns[SHARE_ZEROS];
    const uint64_t begun_ns = f->now_ns;
    for (uint32_t i = 0; i < 400; i++) {
        fixture_extend(f, 1, 100);
        turns(f, 2);
    }
    const uint64_t busy_ns = share->busy_ns[SHARE_ZEROS] - before_ns;
    assert_in_range(busy_ns * 100 / (f->now_ns - begun_ns), 12, 20);
    fixture_delete(f);
}

/* A share that is far too small for a log that writes as fast as it can: it is never told to wait for a
 * segment, since what it writes presses the zeros on. */
static void log_does_not_run_out_of_segments(void **state)
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
        while (wal_counters(f->wal)->segments < 8) {
            const struct fixture_step step = {
                .first = fixture_now(f)->last + 1, .count = 1, .payload = 1, .term = 1};
            assert_int_not_equal(fixture_append(f, &step), -ENOSPC);
            turns(f, 4);
        }
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
        cmocka_unit_test(log_does_not_run_out_of_segments),
        cmocka_unit_test(file_without_room_is_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
