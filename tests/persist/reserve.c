/* Goal:   the log leaves the largest snapshot its room, says when the disk has less than that and the next
 *         segments take, and goes on by itself when there is more; what a snapshot has taken already is
 *         not asked for again; old segments are given up for it.
 * Method: the log over the simulated disk, whose limit is set around the reserve.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "persist/reserve.h"
#include "tests/persist/fixture.h"

enum { TURN_NS = 50 * 1000, SNAPSHOT = 20 * DISK_SECTOR };

static struct reserve reserve;

static void turns(struct fixture *f, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        fixture_turn(f, TURN_NS);
        reserve_poll(&reserve, f->now_ns);
    }
}

/* Long enough for a look, whatever is known. */
static void look(struct fixture *f)
{
    const uint64_t end_ns = f->now_ns + 2 * RESERVE_LOOK_NS;

    while (f->now_ns < end_ns) {
        fixture_turn(f, 5 * 1000 * 1000);
        reserve_poll(&reserve, f->now_ns);
    }
}

static void limit_leaves(struct fixture *f, uint64_t bytes)
{
    disk_sim_limit(f->disk, disk_sim_used(f->disk) + bytes);
}

/* One segment is made ahead; `leaves`: room beside what there is at first. */
static struct fixture *begin(uint64_t seed, uint64_t leaves)
{
    struct fixture *f = fixture_new(seed);

    f->options.segments_ahead = 1;
    assert_int_equal(fixture_open(f), 0);
    limit_leaves(f, leaves);
    reserve_open(&reserve, f->wal, SNAPSHOT);
    return f;
}

static bool lacks(void)
{
    return reserve_report(&reserve).lacks;
}

/* The log takes what lies above the snapshot's room, to the byte, and no more. */
static void log_leaves_room_for_a_snapshot(void **state)
{
    (void)state;
    for (uint32_t less = 0; less < 2; less++) {
        struct fixture *f = fixture_new(less);
        const uint64_t segment = f->options.segment_bytes;
        fixture_delete(f);

        f = begin(less, SNAPSHOT + segment - less);
        const uint64_t used = disk_sim_used(f->disk);
        assert_int_equal(lacks(), less == 1);
        assert_true(reserve_report(&reserve).nears);
        assert_true(reserve_report(&reserve).free_bytes == SNAPSHOT + segment - less);
        assert_true(reserve_report(&reserve).needed_bytes == SNAPSHOT + segment);
        turns(f, 2000);
        assert_int_equal(lacks(), less == 1);
        assert_int_equal(wal_counters(f->wal)->segments, 0);
        assert_true(disk_sim_used(f->disk) == used + (less == 0 ? segment : 0));
        fixture_delete(f);
    }
}

/* Above it until a segment is used up; then below it, still with a disk that has room; and entries are
 * refused when none is left that was prepared. */
static void below_it_the_log_ends_with_what_is_prepared(void **state)
{
    (void)state;
    struct fixture *f = begin(7, SNAPSHOT + (1 << 20));
    int result = 0;

    turns(f, 2000);
    assert_false(lacks());
    limit_leaves(f, SNAPSHOT);
    look(f);
    assert_false(lacks()); /* the next segment is there */
    for (uint32_t i = 0; i < 400 && result == 0; i++) {
        const struct fixture_step step = {
            .first = fixture_now(f)->last + 1, .count = 1, .payload = 1000, .term = 1};
        result = fixture_append(f, &step);
        turns(f, 10);
        assert_true(wal_counters(f->wal)->segments == 0 || lacks());
    }
    assert_int_equal(result, -ENOSPC);
    assert_int_equal(wal_counters(f->wal)->segments, 1);
    assert_true(reserve_report(&reserve).free_bytes == SNAPSHOT);

    limit_leaves(f, SNAPSHOT + f->options.segment_bytes);
    look(f);
    assert_false(lacks());
    limit_leaves(f, SNAPSHOT + RESERVE_NEAR_SEGMENTS * f->options.segment_bytes - 1);
    look(f);
    assert_true(reserve_report(&reserve).nears);
    limit_leaves(f, SNAPSHOT + RESERVE_NEAR_SEGMENTS * f->options.segment_bytes);
    look(f);
    assert_false(reserve_report(&reserve).nears);
    assert_true(wal_has_room(f->wal));
    fixture_extend(f, 5, 1000);
    fixture_settle(f);
    fixture_delete(f);
}

/* A look that fails tells nothing new; one that never came, nothing at all. */
static void failed_look_changes_nothing(void **state)
{
    (void)state;
    const struct disk_sim_fault fault = {
        .kind = DISK_OP_FREE, .nth = 1, .result = -EIO, .sticky = true};
    struct fixture *f = fixture_new(3);

    assert_int_equal(fixture_open(f), 0);
    limit_leaves(f, 0);
    disk_sim_fail(f->disk, &fault);
    reserve_open(&reserve, f->wal, SNAPSHOT);
    look(f);
    assert_false(lacks());
    assert_true(reserve_report(&reserve).needed_bytes == 0);
    disk_sim_fail(f->disk, &(struct disk_sim_fault){.nth = 0});
    look(f);
    assert_true(lacks());
    disk_sim_fail(f->disk, &fault);
    limit_leaves(f, 1 << 30);
    look(f);
    assert_true(lacks());
    assert_int_equal(wal_failed(f->wal), 0);
    disk_sim_fail(f->disk, &(struct disk_sim_fault){.nth = 0});
    look(f);
    assert_false(lacks());
    fixture_delete(f);
}

/* They are room that only the log has: given up until the reserve is there, and no further. */
static void spares_are_given_up(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(9);

    f->options.segments_ahead = 1;
    f->options.spares_max = 8;
    assert_int_equal(fixture_open(f), 0);
    limit_leaves(f, 1 << 30);
    reserve_open(&reserve, f->wal, SNAPSHOT);
    while (wal_counters(f->wal)->segments < 6) {
        fixture_extend(f, 1, 1000);
        turns(f, 20);
    }
    fixture_set_base(f, fixture_now(f)->last, false);
    look(f);
    assert_true(wal_counters(f->wal)->recycled >= 5);
    const uint64_t removed = wal_counters(f->wal)->removed;
    const uint64_t segment = f->options.segment_bytes;

    /* Two segments' worth is missing. */
    limit_leaves(f, SNAPSHOT > 2 * segment ? SNAPSHOT - 2 * segment : 0);
    look(f);
    assert_false(lacks());
    const uint64_t given_up = wal_counters(f->wal)->removed - removed;
    const uint64_t missing = SNAPSHOT > 2 * segment ? 2 * segment : SNAPSHOT;
    assert_true(given_up == (missing + segment - 1) / segment);
    fixture_extend(f, 5, 1000);
    fixture_settle(f);
    fixture_delete(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(log_leaves_room_for_a_snapshot),
        cmocka_unit_test(below_it_the_log_ends_with_what_is_prepared),
        cmocka_unit_test(failed_look_changes_nothing),
        cmocka_unit_test(spares_are_given_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
