/* Goal:   what was appended becomes durable in order, in few flushes, through rolls, replacements
 *         and completions out of order, and is there after a restart.
 * Method: scripted and random steps over the simulated disk; the fixture's model is compared with
 *         what a clean restart reports and reads back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdalign.h>

#include "base/record.h"
#include "persist/segment.h"
#include "tests/persist/fixture.h"

static void empty_log_opens_and_reopens(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1);

    for (uint32_t i = 0; i < 5; i++) {
        assert_int_equal(fixture_open(f), 0);
        assert_int_equal(f->recovered.last, 0);
        assert_int_equal(f->recovered.term, 0);
        assert_int_equal(f->recovered.run_count, 0);
        disk_sim_power_cut(f->disk);
    }
    fixture_delete(f);
}

static void appended_is_durable_and_found_again(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);

    assert_int_equal(fixture_open(f), 0);
    fixture_extend(f, 3, 100);
    assert_true(wal_durable(f->wal) < f->seq);
    fixture_settle(f);
    assert_true(wal_durable(f->wal) == f->seq);
    disk_sim_power_cut(f->disk);
    assert_int_equal(fixture_open(f), 0);
    assert_int_equal(f->recovered.last, 3);
    fixture_delete(f);
}

static void steps_share_a_flush(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(3);

    f->options.flights = 1;
    assert_int_equal(fixture_open(f), 0);
    fixture_settle(f);
    const uint64_t before = wal_counters(f->wal)->flushes;
    fixture_extend(f, 1, 10);
    fixture_turn(f, 1);
    for (uint32_t i = 0; i < 20; i++)
        fixture_extend(f, 1, 10); /* while the first flush is on its way */
    while (f->durable + 1 < f->state_count)
        fixture_turn(f, 10 * 1000);
    assert_int_equal(wal_counters(f->wal)->flushes - before, 2);
    fixture_delete(f);
}

/* Durable never goes back and never runs ahead of an older batch that is still in flight. */
static void random_workloads(bool sync_by_fsync, uint32_t runs)
{
    for (uint32_t seed = 0; seed < runs; seed++) {
        struct fixture *f = fixture_new(100 + seed);
        f->options.sync_by_fsync = sync_by_fsync;
        f->options.flights = 1 + seed % 3;
        f->options.buffer_count = 2 + seed % 5;
        assert_int_equal(fixture_open(f), 0);
        raft_seq durable = wal_durable(f->wal);
        for (uint32_t i = 0; i < 100; i++) {
            fixture_append_random(f);
            if (prng_chance(&f->prng, 500000))
                fixture_turn(f, 50 * 1000);
            assert_true(wal_durable(f->wal) >= durable);
            durable = wal_durable(f->wal);
        }
        fixture_settle(f);
        assert_int_equal(wal_failed(f->wal), 0);
        assert_true(wal_durable(f->wal) == f->seq);
        disk_sim_power_cut(f->disk);
        assert_int_equal(fixture_open(f), 0);
        disk_sim_power_cut(f->disk);
        assert_int_equal(fixture_open(f), 0);
        assert_true(fixture_now(f)->last == f->recovered.last);
        fixture_delete(f);
    }
}

static void random_steps_survive_restarts(void **state)
{
    (void)state;
    random_workloads(false, 60);
}

static void random_steps_survive_restarts_with_fsync(void **state)
{
    (void)state;
    random_workloads(true, 60);
}

/* A process that dies soon after each start, for whatever reason, fills neither the disk nor the table of
 * segments: what it found is as short as before. */
static void starts_without_writes_leave_no_segments(void **state)
{
    (void)state;
    enum { STARTS = 100, FILES_MAX = 16 };
    for (uint32_t term = 0; term < 3; term++) { /* 0: nothing at all is written */
        struct fixture *f = fixture_new(30 + term);
        char names[FILES_MAX][DISK_NAME_BYTES];
        assert_int_equal(fixture_open(f), 0);
        if (term > 0) {
            fixture_extend(f, 3, 100);
            fixture_settle(f);
        }
        for (uint32_t i = 0; i < STARTS; i++) {
            if (term == 2 && i % 4 == 0) { /* a vote now and then */
                const struct fixture_step vote = {.first = 1, .term = 2 + i, .vote = 1};
                fixture_append_wait(f, &vote);
                fixture_settle(f);
            }
            if (i % 2 == 0)
                disk_sim_kill(f->disk);
            else
                disk_sim_power_cut(f->disk);
            assert_int_equal(fixture_open(f), 0);
        }
        const int64_t count = disk_list(f->disk, SEGMENT_NAME_PREFIX, names, FILES_MAX);
        assert_in_range(count, 1, FILES_MAX);
        fixture_delete(f);
    }
}

static void idle_log_writes_one_mark(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(4);

    assert_int_equal(fixture_open(f), 0);
    fixture_settle(f);
    const uint64_t before = wal_counters(f->wal)->batches;
    fixture_extend(f, 1, 10);
    fixture_idle(f);
    assert_int_equal(wal_counters(f->wal)->batches - before, 2);
    fixture_idle(f);
    assert_int_equal(wal_counters(f->wal)->batches - before, 2);
    assert_true(wal_next_ns(f->wal) == UINT64_MAX);
    fixture_delete(f);
}

/* A disk without room for another segment: entries wait, votes do not, and it passes. */
static void no_segment_prepared_is_no_space(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(5);
    const struct disk_sim_fault full = {
        .kind = DISK_OP_CREATE, .nth = 1, .result = -ENOSPC, .sticky = true};
    int result = 0;

    assert_int_equal(fixture_open(f), 0);
    disk_sim_fail(f->disk, &full);
    for (uint32_t i = 0; i < 200 && result == 0; i++) {
        const struct fixture_step step = {
            .first = fixture_now(f)->last + 1, .count = 1, .payload = 1000, .term = 1};
        result = fixture_append(f, &step);
        for (uint32_t turn = 0; turn < 10; turn++)
            fixture_turn(f, 100 * 1000);
    }
    assert_int_equal(result, -ENOSPC);
    assert_false(wal_has_room(f->wal));
    const struct fixture_step vote = {.term = 7, .vote = 2};
    assert_int_equal(fixture_append(f, &vote), 0);
    for (uint32_t turn = 0; turn < 10; turn++)
        fixture_turn(f, 100 * 1000);
    assert_true(wal_durable(f->wal) == f->seq);

    disk_sim_fail(f->disk, &(struct disk_sim_fault){.nth = 0});
    fixture_extend(f, 5, 1000);
    fixture_settle(f);
    disk_sim_power_cut(f->disk);
    assert_int_equal(fixture_open(f), 0);
    fixture_delete(f);
}

/* What wal_room() promised is taken, whatever the sizes, whatever votes come between, though no segment
 * can be made any more; and behind it votes become durable. */
static void promised_room_is_kept(void **state)
{
    (void)state;
    const struct disk_sim_fault full = {
        .kind = DISK_OP_CREATE, .nth = 1, .result = -ENOSPC, .sticky = true};

    for (uint32_t seed = 0; seed < 60; seed++) {
        struct fixture *f = fixture_new(300 + seed);
        f->options.sync_by_fsync = seed % 2 == 1;
        f->options.buffer_count = 2 + seed % 5;
        f->options.segment_bytes = (12 + seed % 20) * DISK_SECTOR;
        assert_int_equal(fixture_open(f), 0);
        fixture_settle(f); /* the next segment is prepared: the last one */
        disk_sim_fail(f->disk, &full);
        uint64_t room = wal_room(f->wal);
        uint32_t votes = 0;
        for (;;) {
            const struct fixture_step step = {
                .first = fixture_now(f)->last + 1,
                .count = 1 + (uint32_t)prng_below(&f->prng, 4),
                .payload = (uint32_t)prng_below(&f->prng, 2400),
                .term = fixture_now(f)->term + 1,
            };
            const uint64_t cost = wal_step_cost(step.count * (step.payload + 72));
            if (cost > room)
                break;
            room -= cost;
            int result = fixture_append(f, &step);
            while (result == -EAGAIN) { /* a buffer comes */
                fixture_turn(f, 100 * 1000);
                result = fixture_append(f, &step);
            }
            assert_int_equal(result, 0);
            if (votes < 2 && prng_chance(&f->prng, 200000)) {
                const struct fixture_step vote = {.term = fixture_now(f)->term + 1, .vote = 2};
                votes += fixture_append(f, &vote) == 0;
            }
        }
        for (uint32_t i = 0; i < 200; i++)
            fixture_turn(f, 100 * 1000);
        assert_true(wal_durable(f->wal) == f->seq);
        const struct fixture_step vote = {.term = fixture_now(f)->term + 1, .vote = 3};
        assert_int_equal(fixture_append(f, &vote), 0);
        for (uint32_t i = 0; i < 200; i++)
            fixture_turn(f, 100 * 1000);
        assert_true(wal_durable(f->wal) == f->seq);
        fixture_delete(f);
    }
}

/* A file that can't be made now may be made later; one that can't be made at all means a broken disk. */
static void segment_that_is_not_made_waits_or_stops(void **state)
{
    (void)state;
    static const struct {
        int64_t result;
        bool waits;
    } cases[] = {
        {-ENOSPC, true},     {-EDQUOT, true},  {-EMFILE, true},         {-ENFILE, true},
        {-ENOMEM, true},     {-EIO, false},    {-EROFS, false},         {-EACCES, false},
        {-ECANCELED, false}, {-EAGAIN, false}, {DISK_SIM_SHORT, false},
    };

    for (uint32_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture *f = fixture_new(8);
        const struct disk_sim_fault fault = {
            .kind = DISK_OP_CREATE, .nth = 1, .result = cases[i].result, .count = 3};
        assert_int_equal(fixture_open(f), 0);
        disk_sim_fail(f->disk, &fault);
        for (uint32_t n = 0; n < 8; n++)
            fixture_extend(f, 1, 1000);
        for (uint32_t n = 0; n < 200; n++)
            fixture_turn(f, 100 * 1000 * 1000);
        assert_int_equal(disk_sim_faulty(f->disk), !cases[i].waits);
        assert_int_equal(wal_failed(f->wal) == 0, cases[i].waits);
        assert_int_equal(wal_has_room(f->wal), cases[i].waits);
        fixture_delete(f);
    }
}

/* Short, EIO, ECANCELED, ENOSPC: of a write or of its flush; nothing is durable after it. */
static void failed_write_stops_the_log(void **state)
{
    (void)state;
    static const int64_t results[] = {-EIO, -ECANCELED, -ENOSPC, -EAGAIN, DISK_SIM_SHORT};

    for (uint32_t i = 0; i < 2 * sizeof results / sizeof results[0]; i++) {
        struct fixture *f = fixture_new(6);
        const bool fsync = i % 2 == 1;
        const struct disk_sim_fault fault = {
            .kind = fsync ? DISK_OP_SYNC : DISK_OP_WRITE_DSYNC,
            .nth = 2,
            .result = results[i / 2] == DISK_SIM_SHORT && fsync ? -EIO : results[i / 2],
        };
        f->options.sync_by_fsync = fsync;
        assert_int_equal(fixture_open(f), 0);
        fixture_settle(f);
        disk_sim_fail(f->disk, &fault);
        for (uint32_t n = 0; n < 6; n++) {
            fixture_extend(f, 1, 100);
            fixture_turn(f, 200 * 1000);
        }
        for (uint32_t n = 0; n < 100; n++)
            fixture_turn(f, 200 * 1000);
        assert_true(wal_failed(f->wal) < 0);
        assert_true(wal_durable(f->wal) < f->seq);
        const struct fixture_step more = {.term = 9};
        assert_int_equal(fixture_append(f, &more), -EIO);
        disk_sim_power_cut(f->disk);
        assert_int_equal(fixture_open(f), 0);
        fixture_delete(f);
    }
}

static void hanging_disk_is_told_by_age(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(7);

    assert_int_equal(fixture_open(f), 0);
    fixture_settle(f);
    fixture_idle(f);
    assert_true(wal_oldest_unflushed_ns(f->wal) == 0);
    disk_sim_hold(f->disk, true);
    fixture_extend(f, 1, 10);
    fixture_turn(f, 1000);
    const uint64_t submitted = f->now_ns;
    for (uint32_t i = 0; i < 100; i++)
        fixture_turn(f, 1000 * 1000);
    assert_true(wal_oldest_unflushed_ns(f->wal) == submitted);
    disk_sim_hold(f->disk, false);
    fixture_settle(f);
    assert_true(wal_oldest_unflushed_ns(f->wal) == 0);
    fixture_delete(f);
}

/* Another open and no comparison: the model is too small for so many entries. */
static int open_again(struct fixture *f)
{
    disk_sim_power_cut(f->disk);
    f->options.boot++;
    f->seq = (raft_seq)f->options.boot << RAFT_SEQ_COUNTER_BITS;
    return wal_open(&f->wal, f->memory, f->disk, &f->options, &f->recovered);
}

/* Entries first .. last, each of a term of its own, behind the one whose header checksum is `chain`;
 * returns that of the last. */
static uint32_t append_terms(struct fixture *f, raft_index first, raft_index last, uint32_t chain)
{
    alignas(RECORD_ALIGN) uint8_t bytes[RECORD_HEADER_BYTES];

    for (raft_index index = first; index <= last; index++) {
        const struct record_spec spec = {.type = RECORD_EMPTY,
                                         .cluster = FIXTURE_CLUSTER,
                                         .index = index,
                                         .term = index,
                                         .chain = chain};
        chain = record_encode(&spec, bytes);
        const struct wal_step step = {.seq = ++f->seq,
                                      .term = index,
                                      .first = index,
                                      .last = index,
                                      .bytes = bytes,
                                      .length = sizeof bytes};
        while (wal_append(f->wal, &step) != 0)
            fixture_turn(f, 100 * 1000);
    }
    while (wal_durable(f->wal) < f->seq)
        fixture_turn(f, 100 * 1000);
    return chain;
}

/* The core takes entries of so many terms, and no more: just these a start can report. */
static void each_entry_of_a_term_of_its_own(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(8);
    const struct wal_recovered *found = &f->recovered;
    const uint32_t most = RAFT_TERM_RUNS_MAX;

    f->options.segment_bytes = 4 << 20;
    assert_int_equal(fixture_open(f), 0);
    const uint32_t chain = append_terms(f, 1, most, 0);
    assert_int_equal(open_again(f), 0);
    assert_int_equal(found->run_count, most);
    assert_int_equal(found->run_first[most - 1], most);
    assert_int_equal(found->run_term[most - 1], most);
    append_terms(f, most + 1, most + 1, chain);
    assert_int_equal(open_again(f), -EOVERFLOW);
    assert_string_equal(found->refusal, "the log has more than 65536 term runs");
    fixture_delete(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_log_opens_and_reopens),
        cmocka_unit_test(appended_is_durable_and_found_again),
        cmocka_unit_test(steps_share_a_flush),
        cmocka_unit_test(random_steps_survive_restarts),
        cmocka_unit_test(random_steps_survive_restarts_with_fsync),
        cmocka_unit_test(starts_without_writes_leave_no_segments),
        cmocka_unit_test(idle_log_writes_one_mark),
        cmocka_unit_test(no_segment_prepared_is_no_space),
        cmocka_unit_test(promised_room_is_kept),
        cmocka_unit_test(segment_that_is_not_made_waits_or_stops),
        cmocka_unit_test(failed_write_stops_the_log),
        cmocka_unit_test(hanging_disk_is_told_by_age),
        cmocka_unit_test(each_entry_of_a_term_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
