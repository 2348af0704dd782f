/* Goal:   holes are closed by the history that all agree on, whatever stood there, and by a base above them.
 * Method: a log is damaged by hand, and then cut, filled, appended to and started once more.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "persist/batch.h"
#include "tests/persist/fixture.h"

/* The missing entry exists nowhere any more: a later leader has another one in its place. */
static void hole_is_cut_and_filled_by_another_history(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(17);

    assert_int_equal(fixture_open(f), 0);
    fixture_extend(f, 3, 100);
    fixture_idle(f);
    struct fixture *other = fixture_twin(f);
    assert_int_equal(fixture_open(other), 0);
    const struct fixture_step next = {.first = 4, .count = 1, .payload = 50, .term = 2};
    fixture_append_wait(other, &next);
    fixture_idle(other);
    for (uint32_t i = 0; i < 3; i++) {
        fixture_extend(f, 1, 100);
        fixture_settle(f);
    }
    fixture_idle(f);
    disk_sim_power_cut(f->disk);
    uint8_t *const batch = fixture_batch(f, 4);
    batch[0] ^= 1;
    assert_int_equal(fixture_open(f), FIXTURE_HOLES);
    assert_int_equal(f->recovered.last, 6);

    const uint32_t chain = fixture_now(other)->entry[4].chain;
    const struct wal_step cut = {
        .kind = WAL_STEP_CUT, .first = 1, .last = 4, .cut_term = 2, .cut_chain = chain};
    const struct fixture_step term_known = {.first = 7, .count = 0, .term = 2};
    fixture_append_wait(f, &term_known); /* its leader made itself known */
    assert_int_equal(wal_append(f->wal, &cut), 0);
    fixture_idle(f);
    disk_sim_power_cut(f->disk);
    assert_int_equal(fixture_open(f), FIXTURE_HOLES);
    assert_int_equal(f->recovered.last, 4);
    assert_int_equal(f->recovered.last_term, 2);
    fixture_repair(f, other, UINT32_MAX);
    disk_sim_power_cut(f->disk);
    /* From here on the log is the other one's, but for the hard state. */
    f->durable = f->state_count - 1;
    f->state[f->durable] = *fixture_now(other);
    assert_int_equal(fixture_open(f), 0);
    fixture_delete(other);
    fixture_delete(f);
}

/* What a base stands for is missed by nobody. */
static void base_above_a_hole_closes_it(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(21);
    struct wal_recovered report = {0};

    assert_int_equal(fixture_open(f), 0);
    for (uint32_t i = 0; i < 6; i++) {
        fixture_extend(f, 1, 100);
        fixture_settle(f);
    }
    fixture_idle(f);
    disk_sim_power_cut(f->disk);
    uint8_t *const batch = fixture_batch(f, 3);
    batch[0] ^= 1;
    assert_int_equal(fixture_open(f), FIXTURE_HOLES);
    fixture_set_base(f, 2, false); /* below it: it stays */
    wal_report(f->wal, &report);
    assert_int_equal(report.hole_count, 1);
    fixture_idle(f);
    fixture_set_base(f, 4, false);
    wal_report(f->wal, &report);
    assert_int_equal(report.hole_count, 0);
    fixture_idle(f);
    disk_sim_power_cut(f->disk);
    assert_int_equal(fixture_open(f), 0);
    fixture_delete(f);
}

/* Entries of `term`, the last one a CONFIG, told to a log whose hard state is of `hard_term`; waits until
 * they are durable. The header checksum of the last one. */
static uint32_t append_entries(struct fixture *f, raft_index first, raft_index last, raft_term term,
                               raft_term hard_term, uint32_t chain)
{
    static uint8_t bytes[FIXTURE_BATCH_BYTES];
    static const uint8_t payload[16] = {7};
    struct wal_step step = {.seq = ++f->seq,
                            .term = hard_term,
                            .commit = 1,
                            .first = first,
                            .last = last,
                            .bytes = bytes};

    for (raft_index index = first; index <= last; index++) {
        const struct record_spec spec = {
            .type = index == last ? RECORD_CONFIG : RECORD_COMMAND,
            .cluster = FIXTURE_CLUSTER,
            .index = index,
            .term = term,
            .chain = chain,
            .payload = payload,
            .payload_bytes = sizeof payload,
        };
        chain = record_encode(&spec, bytes + step.length);
        step.length += record_bytes(sizeof payload);
    }
    while (wal_append(f->wal, &step) != 0)
        fixture_turn(f, 100 * 1000);
    while (wal_durable(f->wal) < step.seq)
        fixture_turn(f, 100 * 1000);
    return chain;
}

/* A leader of an older term than the entries that it replaces, in the batch that is lost: what was replaced
 * can't be read any more by the terms that the log has, and its configurations are nobody's. */
static void configuration_that_was_replaced_in_a_hole(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(18);

    assert_int_equal(fixture_open(f), 0);
    const uint32_t common = append_entries(f, 1, 1, 1, 1, 0);
    (void)append_entries(f, 2, 3, 5, 5, common);
    const uint32_t replaced = append_entries(f, 2, 4, 4, 6, common);
    (void)append_entries(f, 5, 5, 4, 6, replaced);
    fixture_idle(f);
    disk_sim_power_cut(f->disk);
    uint8_t *const batch = fixture_batch(f, 4);
    batch[0] ^= 1;
    const int result = fixture_try_open(f);
    if (result != FIXTURE_HOLES)
        fail_msg("%d %s", result, f->error);
    assert_int_equal(f->recovered.last, 5);
    assert_int_equal(f->recovered.config_count, 2);
    assert_int_equal(f->recovered.config[0].index, 1);
    assert_int_equal(f->recovered.config[1].index, 5);
    fixture_delete(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hole_is_cut_and_filled_by_another_history),
        cmocka_unit_test(configuration_that_was_replaced_in_a_hole),
        cmocka_unit_test(base_above_a_hole_closes_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
