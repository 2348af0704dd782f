/* Goal:   the log's base moves in one durable step, what lies below it is used again, and no state of
 *         the disk makes a start take an old base, a dead manifest or a recycled segment for the log.
 * Method: logs over the simulated disk, looked at after restarts; headers and files are damaged or
 *         taken away by hand.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/crc32c.h"
#include "persist/segment.h"
#include "tests/persist/fixture.h"

enum { NAMES_MAX = 64 };

static void restart(struct fixture *f)
{
    disk_sim_power_cut(f->disk);
    assert_int_equal(fixture_open(f), 0);
}

/* Enough for some segments. */
static void extend_by(struct fixture *f, uint32_t steps)
{
    for (uint32_t i = 0; i < steps; i++) {
        fixture_extend(f, 3, 1500);
        fixture_turn(f, 300 * 1000);
    }
    fixture_settle(f);
}

static int read_one(struct fixture *f, raft_index index)
{
    struct wal_read read = {.first = index,
                            .last = index,
                            .term = fixture_now(f)->entry[index].term,
                            .bytes = f->records,
                            .size = FIXTURE_BATCH_BYTES};

    assert_int_equal(wal_read_begin(f->wal, &read), 0);
    while (!wal_read_poll(f->wal))
        fixture_turn(f, 1000 * 1000);
    return read.result;
}

static int64_t list(struct fixture *f, char names[NAMES_MAX][DISK_NAME_BYTES])
{
    const int64_t count = disk_list(f->disk, SEGMENT_NAME_PREFIX, names, NAMES_MAX);

    assert_in_range(count, 1, NAMES_MAX);
    return count;
}

static void log_begins_behind_its_base(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1);

    assert_int_equal(fixture_open(f), 0);
    extend_by(f, 20);
    fixture_set_base(f, 31, false);
    fixture_settle(f);
    for (uint32_t life = 0; life < 3; life++) {
        assert_int_equal(read_one(f, 31), -ENOENT);
        assert_int_equal(read_one(f, 32), 0);
        restart(f);
        assert_int_equal(f->recovered.base.index, 31);
        assert_int_equal(f->recovered.last, 60 + 3 * life);
        fixture_extend(f, 3, 100);
        fixture_settle(f);
    }
    fixture_delete(f);
}

static void base_at_the_end_leaves_an_empty_log(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);

    assert_int_equal(fixture_open(f), 0);
    extend_by(f, 10);
    fixture_set_base(f, 30, false);
    fixture_settle(f);
    restart(f);
    assert_int_equal(f->recovered.last, 30);
    assert_int_equal(f->recovered.run_count, 0);
    fixture_extend(f, 1, 10);
    fixture_settle(f);
    restart(f);
    assert_int_equal(f->recovered.last, 31);
    fixture_delete(f);
}

/* In front of the log's end and behind it: nothing of the old log is left. */
static void installed_snapshot_takes_the_place_of_the_log(void **state)
{
    (void)state;
    static const raft_index bases[] = {12, 500};

    for (uint32_t i = 0; i < 2; i++) {
        struct fixture *f = fixture_new(3 + i);
        assert_int_equal(fixture_open(f), 0);
        extend_by(f, 10);
        fixture_set_base(f, bases[i], true);
        fixture_settle(f);
        assert_int_equal(read_one(f, 11), -ENOENT);
        fixture_extend(f, 2, 700);
        fixture_settle(f);
        assert_int_equal(read_one(f, bases[i] + 1), 0);
        restart(f);
        assert_int_equal(f->recovered.base.index, bases[i]);
        assert_int_equal(f->recovered.last, bases[i] + 2);
        assert_int_equal(f->recovered.commit, bases[i]);
        fixture_delete(f);
    }
}

/* Whoever waits for the step, or for anything behind it, waits for the manifest. */
static void nothing_overtakes_the_manifest(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(5);
    const struct fixture_step again = {.base = 6, .snapshot = 6, .term = 1};

    assert_int_equal(fixture_open(f), 0);
    extend_by(f, 3);
    const uint32_t before = f->durable;
    fixture_set_base(f, 5, false);
    assert_int_equal(fixture_append(f, &again), -EAGAIN);
    fixture_extend(f, 1, 10);
    disk_sim_hold(f->disk, true);
    for (uint32_t i = 0; i < 20; i++)
        fixture_turn(f, 100 * 1000);
    assert_int_equal(f->durable, before);
    assert_int_equal(disk_in_flight(f->disk), 1); /* a copy of the header, and no batch */
    disk_sim_hold(f->disk, false);
    fixture_settle(f);
    assert_int_equal(f->durable, f->state_count - 1);
    fixture_idle(f);
    fixture_append_wait(f, &again);
    fixture_settle(f);
    restart(f);
    assert_int_equal(f->recovered.base.index, 6);
    fixture_delete(f);
}

/* In the long run the same few files. */
static void segments_are_used_again(void **state)
{
    (void)state;
    static char names[NAMES_MAX][DISK_NAME_BYTES];
    struct fixture *f = fixture_new(6);

    f->options.segments_ahead = 2;
    f->options.spares_max = 8;
    assert_int_equal(fixture_open(f), 0);
    for (uint32_t round = 0; round < 20; round++) {
        extend_by(f, 10);
        fixture_set_base(f, fixture_now(f)->last - 2, false);
        fixture_idle(f);
    }
    print_message("%llu segments made, %llu used again\n",
                  (unsigned long long)disk_sim_completed(f->disk, DISK_OP_CREATE),
                  (unsigned long long)wal_counters(f->wal)->recycled);
    assert_in_range(disk_sim_completed(f->disk, DISK_OP_CREATE), 3, 8);
    assert_true(wal_counters(f->wal)->recycled > 12);
    assert_in_range(list(f, names), 3, 12);
    restart(f);
    fixture_delete(f);
}

/* A write of the dead process may still land in a segment that it had in use. */
static void segments_of_a_dead_process_are_removed(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(7);

    assert_int_equal(fixture_open(f), 0);
    extend_by(f, 40);
    disk_sim_kill(f->disk);
    assert_int_equal(fixture_open(f), 0);
    extend_by(f, 1);
    fixture_set_base(f, fixture_now(f)->last, false);
    fixture_idle(f);
    assert_true(wal_counters(f->wal)->removed >= 3);
    assert_int_equal(wal_counters(f->wal)->recycled, 0);
    fixture_delete(f);
}

/* Room comes back by compaction alone, without a single new file. */
static void full_disk_goes_on_with_recycled_segments(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(8);
    const struct disk_sim_fault full = {
        .kind = DISK_OP_CREATE, .nth = 1, .result = -ENOSPC, .sticky = true};
    const struct fixture_step step = {.count = 3, .payload = 1500, .term = 1};

    f->options.segments_ahead = 2; /* files enough to go on with */
    assert_int_equal(fixture_open(f), 0);
    extend_by(f, 20);
    fixture_idle(f);
    disk_sim_fail(f->disk, &full);
    for (uint32_t i = 0; i < 400 && wal_has_room(f->wal); i++) {
        struct fixture_step next = step;
        next.first = fixture_now(f)->last + 1;
        (void)fixture_append(f, &next);
        fixture_turn(f, 300 * 1000);
    }
    assert_false(wal_has_room(f->wal));
    for (uint32_t round = 0; round < 12; round++) {
        fixture_set_base(f, fixture_now(f)->last, false);
        fixture_idle(f);
        assert_true(wal_has_room(f->wal));
        extend_by(f, 4);
    }
    assert_true(wal_counters(f->wal)->recycled > 3);
    disk_sim_fail(f->disk, &(struct disk_sim_fault){.nth = 0});
    restart(f);
    fixture_delete(f);
}

static struct fixture *compacted(uint64_t seed)
{
    struct fixture *f = fixture_new(seed);

    assert_int_equal(fixture_open(f), 0);
    extend_by(f, 20);
    fixture_set_base(f, 31, false);
    fixture_idle(f);
    disk_sim_power_cut(f->disk);
    return f;
}

/* Of each segment each copy by itself, and both. */
static void one_copy_of_a_header_is_enough(void **state)
{
    (void)state;
    static char names[NAMES_MAX][DISK_NAME_BYTES];
    struct fixture *f = compacted(9);
    const int64_t count = list(f, names);
    uint32_t refused = 0;

    for (int64_t i = 0; i < count; i++) {
        for (uint32_t copies = 1; copies < 4; copies++) {
            struct fixture *t = fixture_twin(f);
            uint64_t length;
            uint8_t *bytes = disk_sim_bytes(t->disk, names[i], &length);
            for (uint32_t copy = 0; copy < SEGMENT_COPIES; copy++)
                bytes[copy * DISK_SECTOR + 90] ^= (uint8_t)(copies >> copy & 1);
            const int result = fixture_try_open(t);
            if (copies < 3)
                assert_int_equal(result, 0);
            refused += result != 0;
            fixture_delete(t);
        }
    }
    assert_in_range(refused, 2, count); /* spares and what is prepared may lose both */
    fixture_delete(f);
}

/* The newer of two whole copies counts, whichever it is: a crash can leave them different. */
static void newer_manifest_counts(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(10);
    struct segment_header before;
    char name[DISK_NAME_BYTES];
    uint64_t length;

    assert_int_equal(fixture_open(f), 0);
    extend_by(f, 1);
    segment_name(name, 1);
    uint8_t *bytes = disk_sim_bytes(f->disk, name, &length);
    memcpy(&before, bytes, sizeof before);
    fixture_set_base(f, 2, false);
    fixture_idle(f);
    disk_sim_power_cut(f->disk);
    for (uint32_t copy = 0; copy < SEGMENT_COPIES; copy++) {
        struct fixture *t = fixture_twin(f);
        segment_encode(disk_sim_bytes(t->disk, name, &length) + copy * DISK_SECTOR, &before);
        assert_int_equal(fixture_open(t), 0);
        assert_int_equal(t->recovered.base.index, 2);
        fixture_delete(t);
    }
    fixture_delete(f);
}

/* What a dead process wrote late into a header of its own is not the log's base. */
static void manifest_behind_a_recovery_does_not_count(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(11);
    struct segment_header late;
    char name[DISK_NAME_BYTES];
    uint64_t length;

    assert_int_equal(fixture_open(f), 0);
    extend_by(f, 1);
    segment_name(name, 1);
    struct fixture *dead = fixture_twin(f);
    disk_sim_power_cut(dead->disk);
    assert_int_equal(fixture_open(dead), 0);
    fixture_set_base(f, 2, false);
    fixture_idle(f);
    memcpy(&late, disk_sim_bytes(f->disk, name, &length), sizeof late);
    assert_int_equal(late.manifest.base_index, 2);
    fixture_extend(dead, 1, 10);
    fixture_idle(dead);
    segment_encode(disk_sim_bytes(dead->disk, name, &length), &late);
    restart(dead);
    assert_int_equal(dead->recovered.base.index, 0);
    fixture_delete(dead);
    fixture_delete(f);
}

/* Seals a changed manifest into both copies of the header that has it. */
static void forge(struct fixture *f, void (*change)(struct segment_manifest *))
{
    static char names[NAMES_MAX][DISK_NAME_BYTES];
    const int64_t count = list(f, names);

    for (int64_t i = 0; i < count; i++) {
        struct segment_header h;
        uint64_t length;
        uint8_t *bytes = disk_sim_bytes(f->disk, names[i], &length);
        memcpy(&h, bytes, sizeof h);
        if (h.manifest.number == 0)
            continue;
        change(&h.manifest);
        segment_seal(&h);
        for (uint32_t copy = 0; copy < SEGMENT_COPIES; copy++)
            segment_encode(bytes + copy * DISK_SECTOR, &h);
    }
}

static void other_chain(struct segment_manifest *m)
{
    m->base_chain ^= 1;
}

static void other_start(struct segment_manifest *m)
{
    m->start_generation--;
}

/* The index of the record with which a new segment begins, single records being appended. */
static raft_index extend_to_new_segment(struct fixture *f)
{
    const uint64_t segments = wal_counters(f->wal)->segments;

    while (wal_counters(f->wal)->segments == segments) {
        fixture_extend(f, 1, 1500);
        fixture_settle(f);
    }
    return fixture_now(f)->last;
}

/* Records at the beginning of a segment may continue what is replaced further on: the log can't begin
 * there, though the entry behind its base stands in that segment. */
static void log_does_not_begin_with_what_was_replaced(void **state)
{
    (void)state;
    for (uint32_t back = 0; back < 3; back++) {
        struct fixture *f = fixture_new(21);
        assert_int_equal(fixture_open(f), 0);
        const raft_index first = extend_to_new_segment(f);
        const raft_index replaced = first - back;
        const struct fixture_step step = {.first = replaced, .count = back + 1, .term = 2};
        fixture_append_wait(f, &step);
        fixture_settle(f);
        fixture_set_base(f, replaced - 1, false);
        fixture_settle(f);
        restart(f);
        assert_int_equal(f->recovered.base.index, replaced - 1);
        assert_int_equal(f->recovered.last, first);
        fixture_delete(f);
    }
}

/* Likewise when the base is the last entry, after a truncation. */
static void base_at_the_end_of_what_was_replaced(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(22);

    assert_int_equal(fixture_open(f), 0);
    const raft_index first = extend_to_new_segment(f);
    const struct fixture_step step = {.first = first - 3, .count = 1, .term = 2};
    fixture_append_wait(f, &step);
    fixture_settle(f);
    fixture_set_base(f, first - 3, false);
    fixture_settle(f);
    restart(f);
    assert_int_equal(f->recovered.last, first - 3);
    fixture_delete(f);
}

/* Bytes are counted as they are written, and no more where they fell below the base. */
static void span_follows_the_log(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(23);

    assert_int_equal(fixture_open(f), 0);
    extend_by(f, 60);
    const struct wal_span all = wal_span(f->wal);
    assert_true(all.segments > 3);
    assert_int_equal(all.segments, wal_counters(f->wal)->segments + 1);
    assert_int_equal(all.bytes, wal_counters(f->wal)->bytes +
                                    (uint64_t)all.segments * SEGMENT_DATA_OFFSET);
    fixture_set_base(f, fixture_now(f)->last, false);
    fixture_idle(f);
    const struct wal_span cut = wal_span(f->wal);
    assert_int_equal(cut.segments, 1);
    assert_in_range(cut.bytes, SEGMENT_DATA_OFFSET + DISK_SECTOR, f->options.segment_bytes);
    restart(f);
    const struct wal_span again = wal_span(f->wal);
    assert_int_equal(again.segments, 2); /* a start never appends to what it found */
    assert_int_equal(again.bytes, cut.bytes + SEGMENT_DATA_OFFSET + wal_counters(f->wal)->bytes);
    fixture_delete(f);
}

static void manifest_and_log_must_agree(void **state)
{
    (void)state;
    static const struct {
        void (*change)(struct segment_manifest *);
        const char *says;
    } cases[] = {
        {other_chain, "does not continue its base"},
        {other_start, "is missing"},
    };
    struct fixture *f = compacted(12);

    for (uint32_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture *t = fixture_twin(f);
        forge(t, cases[i].change);
        assert_int_equal(fixture_open(t), -EBADMSG);
        if (strstr(t->error, cases[i].says) == NULL)
            fail_msg("%u: %s", i, t->error);
        fixture_delete(t);
    }
    fixture_delete(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(log_begins_behind_its_base),
        cmocka_unit_test(base_at_the_end_leaves_an_empty_log),
        cmocka_unit_test(installed_snapshot_takes_the_place_of_the_log),
        cmocka_unit_test(nothing_overtakes_the_manifest),
        cmocka_unit_test(segments_are_used_again),
        cmocka_unit_test(segments_of_a_dead_process_are_removed),
        cmocka_unit_test(full_disk_goes_on_with_recycled_segments),
        cmocka_unit_test(one_copy_of_a_header_is_enough),
        cmocka_unit_test(newer_manifest_counts),
        cmocka_unit_test(manifest_behind_a_recovery_does_not_count),
        cmocka_unit_test(log_does_not_begin_with_what_was_replaced),
        cmocka_unit_test(base_at_the_end_of_what_was_replaced),
        cmocka_unit_test(span_follows_the_log),
        cmocka_unit_test(manifest_and_log_must_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
