/* Goal:   what a start says of damage: which entries, and that what is not good for a moment alone is none.
 * Method: one place of a small log is harmed by hand; the start and a running log are asked.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "persist/batch.h"
#include "persist/segment.h"
#include "sim/disk_harm.h"
#include "tests/persist/fixture.h"

static void damage_is_told_by_entries(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(10);

    assert_int_equal(fixture_open(f), 0);
    for (uint32_t i = 0; i < 5; i++) {
        fixture_extend(f, 2, 100);
        fixture_settle(f);
    }
    fixture_idle(f);
    disk_sim_power_cut(f->disk);
    uint8_t *const batch = fixture_batch(f, 4);
    batch[BATCH_HEADER_BYTES + 3] ^= 1;
    assert_int_equal(fixture_open(f), FIXTURE_HOLES);
    assert_int_equal(f->recovered.faulty_first, 3);
    assert_int_equal(f->recovered.faulty_last, 4);
    fixture_delete(f);
}

static void rot_below_a_running_log_is_not_served(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(11);
    char name[DISK_NAME_BYTES];
    uint64_t length;

    assert_int_equal(fixture_open(f), 0);
    fixture_extend(f, 4, 100);
    fixture_idle(f);
    segment_name(name, 1);
    uint8_t *bytes = disk_sim_bytes(f->disk, name, &length);
    for (uint32_t i = 0; i < 2; i++) {
        struct wal_read read = {
            .first = 1, .last = 4, .term = 1, .bytes = f->records, .size = FIXTURE_BATCH_BYTES};
        /* The first batch is recovery's mark; the second has the records. */
        const uint64_t at =
            SEGMENT_DATA_OFFSET + DISK_SECTOR + (i == 0 ? BATCH_HEADER_BYTES + 8 : 8);
        bytes[at] ^= 1;
        assert_int_equal(wal_read_begin(f->wal, &read), 0);
        while (!wal_read_poll(f->wal))
            fixture_turn(f, 1000 * 1000);
        assert_int_equal(read.result, -EBADMSG);
        assert_int_equal(read.count, 0);
        bytes[at] ^= 1;
    }
    fixture_delete(f);
}

/* No segment is prepared, so the damaged header is the newest of all: without the batches behind
 * it, it would look like a segment that was never finished. */
static void damaged_header_of_the_newest_segment(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(14);
    const struct disk_sim_fault full = {
        .kind = DISK_OP_CREATE, .nth = 1, .result = -ENOSPC, .sticky = true};
    char name[DISK_NAME_BYTES];
    uint64_t length;

    assert_int_equal(fixture_open(f), 0);
    disk_sim_fail(f->disk, &full);
    fixture_extend(f, 1, 100);
    for (uint32_t i = 0; i < 20; i++)
        fixture_turn(f, 100 * 1000);
    assert_int_equal(f->durable, f->state_count - 1);
    disk_sim_power_cut(f->disk);
    disk_sim_fail(f->disk, &(struct disk_sim_fault){.nth = 0});
    fixture_segment_name(f, 0, name);
    memset(disk_sim_bytes(f->disk, name, &length), 0, SEGMENT_DATA_OFFSET);
    assert_int_equal(fixture_open(f), -EBADMSG);
    assert_non_null(strstr(f->error, "header is damaged"));
    fixture_delete(f);
}

/* Recovery died between its header and its mark: the header alone vouches for the copies. */
static void damaged_copy_without_a_mark(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(15);
    uint32_t seen = 0;

    assert_int_equal(fixture_open(f), 0);
    fixture_extend(f, 1, 100);
    fixture_turn(f, 1);
    while (f->durable + 1 < f->state_count)
        fixture_turn(f, 10 * 1000); /* flushed, and no mark yet */
    disk_sim_power_cut(f->disk);
    /* What is on its way when the process dies lands or not: not each try has its moment. */
    for (uint32_t i = 0; i < 1000 && seen == 0; i++) {
        const uint32_t nth = 1 + i % 40;
        struct fixture *t = fixture_new(15);
        struct batch_header h;
        char name[DISK_NAME_BYTES];
        uint64_t length;
        fixture_assign(t, f, i);
        disk_sim_fail_all_after(t->disk, nth);
        (void)fixture_try_open(t);
        disk_sim_kill(t->disk);
        fixture_segment_name(t, 0, name);
        uint8_t *bytes = disk_sim_bytes(t->disk, name, &length);
        memcpy(&h, bytes + SEGMENT_DATA_OFFSET, sizeof h);
        const bool header = memcmp(bytes, "SKSG", 4) == 0;
        const uint64_t behind = SEGMENT_DATA_OFFSET + batch_bytes(h.record_bytes);
        const bool mark = memcmp(bytes + behind, "SKBH", 4) == 0;
        if (header && h.kind == BATCH_COPY && !mark) {
            bytes[SEGMENT_DATA_OFFSET + BATCH_HEADER_BYTES] ^= 1;
            assert_int_equal(fixture_open(t), FIXTURE_HOLES);
            seen++;
        }
        fixture_delete(t);
    }
    assert_int_equal(seen, 1);
    fixture_delete(f);
}

/* A read error is a checksum mismatch of the sectors it concerns; here it passes. */
static void read_error_is_tried_by_sector(void **state)
{
    (void)state;
    struct fixture *f = fixture_lives(13);
    const struct disk_sim_fault fault = {.kind = DISK_OP_READ, .nth = 1, .result = -EIO};

    disk_sim_fail(f->disk, &fault);
    assert_int_equal(fixture_open(f), 0);
    fixture_delete(f);
}

/* A disk that returns zeros once and then the truth harms nothing: each read of a start in turn. A start
 * refuses at worst, and the next one does not; never is anything taken for lost, or for the log's end. */
static void lie_of_a_moment_is_no_damage(void **state)
{
    (void)state;
    uint32_t refused = 0, reads = 0;

    for (uint64_t seed = 30; seed < 34; seed++) {
        struct fixture *f = seed % 2 == 0 ? fixture_lives(seed) : fixture_lives_cut(seed);
        for (uint32_t nth = 1;; nth++) {
            struct fixture *t = fixture_twin(f);
            disk_harm_lie_once(t->disk, nth);
            const int result = fixture_try_open(t);
            const bool lied = disk_harm_reads(t->disk) > 0;
            if (result != 0 && result != -EBADMSG)
                fail_msg("seed %llu, read %u: %d %s", (unsigned long long)seed, nth, result, t->error);
            if (result != 0) {
                disk_sim_power_cut(t->disk);
                assert_int_equal(fixture_open(t), 0);
            }
            refused += result != 0;
            reads += lied;
            fixture_delete(t);
            if (!lied)
                break;
        }
        fixture_delete(f);
    }
    print_message("%u reads, %u starts refused\n", reads, refused);
    assert_true(reads > 50);
    assert_int_equal(refused, 0);
}

/* No longer than that: an idle log would write its mark. */
static void wait_until_durable(struct fixture *f)
{
    while (f->durable + 1 < f->state_count)
        fixture_turn(f, 10 * 1000);
}

/* The last batch below the mark is lost, and so is the one behind it, which was not durable yet. What
 * follows the two tells nothing: between it and the mark stands what nobody was promised. */
static void damage_that_reaches_beyond_the_mark(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(22);
    struct batch_header h;

    assert_int_equal(fixture_open(f), 0);
    fixture_extend(f, 1, 100);
    wait_until_durable(f);
    for (uint32_t i = 0; i < 2; i++) { /* both in flight at once */
        fixture_extend(f, 1, 100);
        fixture_poll(f);
    }
    wait_until_durable(f);
    disk_sim_power_cut(f->disk);
    uint8_t *const batch = fixture_batch(f, 1);
    memcpy(&h, batch, sizeof h);
    batch[0] ^= 1;
    batch[batch_bytes(h.record_bytes)] ^= 1;
    assert_int_equal(fixture_try_open(f), -EBADMSG);
    if (strstr(f->error, "nor can anything behind it: where the log ends is not known") == NULL)
        fail_msg("%s", f->error);
    fixture_delete(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damage_is_told_by_entries),
        cmocka_unit_test(rot_below_a_running_log_is_not_served),
        cmocka_unit_test(damaged_header_of_the_newest_segment),
        cmocka_unit_test(damaged_copy_without_a_mark),
        cmocka_unit_test(damage_that_reaches_beyond_the_mark),
        cmocka_unit_test(read_error_is_tried_by_sector),
        cmocka_unit_test(lie_of_a_moment_is_no_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
