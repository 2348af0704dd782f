/* Goal:   inspect says what is in a log and where it is damaged, agrees with what a start does, and
 *         changes nothing.
 * Method: logs of several lives over the simulated disk, whole and with damage; the report is compared
 *         with the fixture's model, with the place that was damaged, and with the start that follows.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "persist/batch.h"
#include "persist/inspect.h"
#include "tests/persist/fixture.h"

/* The report is copied: the memory that it lies in is given back. */
static void look(struct fixture *f, struct inspect_report *out)
{
    const struct segment_owner owner = {f->options.cluster, f->options.incarnation,
                                        f->options.node};
    const size_t bytes = (inspect_bytes() + DISK_SECTOR - 1) & ~(size_t)(DISK_SECTOR - 1);
    void *memory = aligned_alloc(DISK_SECTOR, bytes);
    struct inspect *i;

    assert_non_null(memory);
    assert_int_equal(inspect_open(&i, memory, f->disk, &owner), 0);
    while (inspect_poll(i))
        continue;
    *out = *inspect_report(i);
    out->start.run_first = NULL;
    out->start.run_term = NULL;
    free(memory);
}

static struct inspect_report report;

static void whole_log_is_described(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 5; seed++) {
        struct fixture *f = fixture_lives(seed);
        const struct fixture_state *now = fixture_now(f);
        uint64_t records = 0;
        const uint64_t hash = fixture_hash(f);
        look(f, &report);
        assert_true(hash == fixture_hash(f));
        assert_int_equal(report.start_result, 0);
        assert_int_equal(report.fault_count, 0);
        assert_true(report.bytes_read == report.bytes_total);
        assert_true(report.start.last == now->last);
        assert_true(report.start.term == now->term);
        assert_true(report.start.vote == now->vote);
        assert_in_range(report.segment_count, 3, INSPECT_FILES_MAX);
        uint64_t number = 0;
        for (uint32_t i = 0; i < report.segment_count; i++) {
            const struct inspect_segment *s = &report.segment[i];
            assert_int_equal(s->verdict, SEGMENT_OK);
            assert_int_equal(s->role, INSPECT_LIVE);
            records += s->record_count;
            if (s->batch_count == 0)
                continue;
            assert_true(s->first_number == number + 1);
            number = s->last_number;
            assert_true(s->last_number == s->first_number + s->batch_count - 1);
        }
        assert_true(records >= now->last); /* what was replaced stands there too */
        assert_int_equal(fixture_open(f), 0);
        fixture_delete(f);
    }
}

/* The batches of a file, by their headers. */
static uint32_t batches_of(uint8_t *bytes, uint64_t length, uint64_t *offset, uint32_t max)
{
    uint32_t count = 0;

    for (uint64_t at = SEGMENT_DATA_OFFSET; at < length && count < max; at += DISK_SECTOR) {
        struct batch_header h;
        memcpy(&h, bytes + at, sizeof h);
        if (h.magic == BATCH_MAGIC && h.record_count > 0)
            offset[count++] = at;
    }
    return count;
}

/* A start stops at the first; inspect finds the others too. */
static void all_damage_is_found(void **state)
{
    (void)state;
    for (uint32_t harm = 0; harm < 2; harm++) {
        struct fixture *f = fixture_lives(7);
        uint64_t offset[16];
        uint64_t length;
        char name[DISK_NAME_BYTES];
        uint32_t found = 0;
        uint32_t back = 0;
        uint8_t *bytes = NULL;
        while (found < 3) {
            fixture_segment_name(f, back++, name);
            bytes = disk_sim_bytes(f->disk, name, &length);
            found = batches_of(bytes, length, offset, 16);
        }
        const uint64_t inside = harm == 0 ? BATCH_HEADER_BYTES + 5 : 5;
        bytes[offset[0] + inside] ^= 1;
        bytes[offset[2] + inside] ^= 1;
        look(f, &report);
        assert_int_equal(report.fault_count, 2);
        assert_int_equal(report.damaged_count, 2);
        for (uint32_t i = 0; i < 2; i++) {
            assert_true(report.fault[i].offset == offset[2 * i]);
            assert_int_equal(report.fault[i].header_valid, harm == 0);
            assert_int_equal(report.fault[i].kind, INSPECT_DAMAGED);
        }
        assert_int_equal(report.start_result, 0);
        assert_true(report.start.hole_count > 0);
        assert_int_equal(fixture_open(f), FIXTURE_HOLES);
        fixture_delete(f);
    }
}

/* Each sector of the newest files, one at a time: inspect refuses when the start does, with the
 * same sentence, and what it calls whole starts. */
static void agrees_with_the_start(void **state)
{
    (void)state;
    struct fixture *f = fixture_lives(3);
    uint32_t refused = 0;
    char name[DISK_NAME_BYTES];
    uint64_t length;

    for (uint32_t back = 0; back < 3; back++) {
        fixture_segment_name(f, back, name);
        (void)disk_sim_bytes(f->disk, name, &length);
        for (uint64_t at = 0; at < length; at += DISK_SECTOR) {
            struct fixture *t = fixture_twin(f);
            disk_sim_bytes(t->disk, name, &length)[at + 20] ^= 4;
            look(t, &report);
            const int result = fixture_try_open(t);
            assert_int_equal(result < 0 ? result : 0, report.start_result);
            assert_string_equal(t->recovered.refusal, report.start.refusal);
            if (result == FIXTURE_HOLES)
                assert_true(report.damaged_count > 0);
            refused += result != 0;
            fixture_delete(t);
        }
    }
    assert_true(refused > 5);
    fixture_delete(f);
}

/* Steps that replace each other in one batch: more records than there are entries up to its end, so which
 * ones are lost is not known without them. */
static void batch_that_replaces_itself(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(9);

    f->options.flights = 1;
    assert_int_equal(fixture_open(f), 0);
    fixture_extend(f, 1, 100); /* goes out alone; the others wait for it, together */
    for (raft_term term = 2; term < 7; term++) {
        const struct fixture_step step = {.first = 2, .count = 1, .payload = 100, .term = term};
        fixture_append_wait(f, &step);
    }
    fixture_idle(f);
    disk_sim_power_cut(f->disk);
    uint8_t *const batch = fixture_batch(f, 2);
    batch[BATCH_HEADER_BYTES + 3] ^= 1;
    look(f, &report);
    assert_int_equal(report.damaged_count, 1);
    assert_int_equal(report.fault[0].first_index, 0);
    assert_int_equal(report.fault[0].last_index, 0);
    batch[0] ^= 1; /* its header too: then the next one tells up to where */
    look(f, &report);
    assert_int_equal(report.damaged_count, 1);
    assert_int_equal(report.fault[0].last_index, 2);
    fixture_delete(f);
}

static void torn_is_not_damaged(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(21);
    uint64_t offset[8];
    char name[DISK_NAME_BYTES];
    uint64_t length;

    assert_int_equal(fixture_open(f), 0);
    fixture_extend(f, 2, 100);
    fixture_turn(f, 1);
    while (f->durable + 1 < f->state_count)
        fixture_turn(f, 10 * 1000);
    disk_sim_power_cut(f->disk);
    segment_name(name, 1);
    uint8_t *bytes = disk_sim_bytes(f->disk, name, &length);
    assert_int_equal(batches_of(bytes, length, offset, 8), 1);
    bytes[offset[0] + BATCH_HEADER_BYTES + 9] ^= 1;
    look(f, &report);
    assert_int_equal(report.fault_count, 1);
    assert_int_equal(report.damaged_count, 0);
    assert_int_equal(report.fault[0].kind, INSPECT_TORN);
    assert_true(report.fault[0].first_index == 1);
    assert_true(report.fault[0].last_index == 2);
    assert_int_equal(report.start_result, 0);
    assert_int_equal(report.start.torn_batches, 1);
    fixture_delete(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_log_is_described),
        cmocka_unit_test(all_damage_is_found),
        cmocka_unit_test(agrees_with_the_start),
        cmocka_unit_test(torn_is_not_damaged),
        cmocka_unit_test(batch_that_replaces_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
