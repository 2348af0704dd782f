/* Goal:   any record of the log can be read back while it grows, is cut and rolls; what was replaced
 *         or never written is not served.
 * Method: random workloads; between the steps random ranges are read in buffers of random size and
 *         compared with the model. One log is so long that the table of places is thinned.
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

static struct wal_read read_of(struct fixture *f, raft_index first, raft_index last, raft_term term)
{
    static alignas(8) uint8_t bytes[2 * FIXTURE_BATCH_BYTES];
    struct wal_read read = {.first = first, .last = last, .term = term, .bytes = bytes};

    read.background = prng_chance(&f->prng, 500000);
    read.size = FIXTURE_BATCH_BYTES + (uint32_t)prng_below(&f->prng, FIXTURE_BATCH_BYTES) / 8 * 8;
    assert_int_equal(wal_read_begin(f->wal, &read), 0);
    while (!wal_read_poll(f->wal))
        fixture_turn(f, 100 * 1000);
    return read;
}

static void compare(const struct fixture_state *s, const struct wal_read *read)
{
    uint32_t at = 0;

    assert_int_equal(read->result, 0);
    assert_true(read->count > 0);
    assert_true(read->first + read->count - 1 <= read->last);
    for (uint32_t i = 0; i < read->count; i++) {
        const struct record_header *record = record_at(read->bytes + at);
        assert_true(record->index == read->first + i);
        assert_int_equal(record->header_crc, s->entry[record->index].chain);
        at += record_bytes(record->payload_bytes);
    }
    assert_int_equal(at, read->length);
}

/* A random range of one term, all of it durable. */
static void read_somewhere(struct fixture *f)
{
    const struct fixture_state *s = &f->state[f->durable];

    if (s->last == 0 || f->state_count - 1 != f->durable)
        return; /* what is replaced in flight is neither here nor there */
    const raft_index first = prng_between(&f->prng, 1, s->last);
    raft_index last = first;
    while (last < s->last && s->entry[last + 1].term == s->entry[first].term)
        last++;
    const struct wal_read read = read_of(f, first, last, s->entry[first].term);
    compare(s, &read);
}

static void random_ranges_while_the_log_grows(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 30; seed++) {
        struct fixture *f = fixture_new(500 + seed);
        assert_int_equal(fixture_open(f), 0);
        for (uint32_t i = 0; i < 120; i++) {
            fixture_append_random(f);
            fixture_turn(f, 50 * 1000);
            if (i % 8 == 7)
                fixture_settle(f);
            read_somewhere(f);
        }
        fixture_delete(f);
    }
}

/* Somebody reads the log from end to end, again and again, beside a log that never rests. */
static void reads_for_others_keep_to_their_share(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(700);
    static alignas(8) uint8_t bytes[2 * FIXTURE_BATCH_BYTES];

    f->options.segment_bytes = 2000 * DISK_SECTOR;
    f->options.zeros_bytes = 8 * DISK_SECTOR;
    f->options.share_percent = 10;
    assert_int_equal(fixture_open(f), 0);
    fixture_settle(f);
    for (uint32_t i = 0; i < 20; i++)
        fixture_extend(f, 8, 1000);
    fixture_idle(f);
    const uint64_t begun_ns = f->now_ns;
    struct wal_read read = {0};
    bool reads = false;
    uint32_t done = 0;
    for (uint32_t i = 0; i < 300; i++) {
        if (!reads)
            read = (struct wal_read){.first = 1 + i % 100,
                                     .last = 160,
                                     .term = 1,
                                     .bytes = bytes,
                                     .size = FIXTURE_BATCH_BYTES,
                                     .background = true};
        if (!reads)
            assert_int_equal(wal_read_begin(f->wal, &read), 0);
        fixture_extend(f, 1, 100);
        for (uint32_t turn = 0; turn < 3; turn++)
            fixture_turn(f, 50 * 1000);
        reads = !wal_read_poll(f->wal);
        done += !reads;
        if (!reads)
            assert_int_equal(read.result, 0);
    }
    const uint64_t busy_ns = wal_share(f->wal)->busy_ns[SHARE_READS];
    assert_true(done > 10); /* it is served all the same */
    assert_true(busy_ns > 0);
    assert_true(busy_ns * 100 <= 10 * (f->now_ns - begun_ns));
    fixture_delete(f);
}

static void what_is_not_there_is_not_served(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1);

    assert_int_equal(fixture_open(f), 0);
    assert_int_equal(read_of(f, 1, 1, 1).result, -ENOENT);
    fixture_extend(f, 5, 100);
    fixture_settle(f);
    const struct fixture_step replaced = {.first = 3, .count = 1, .payload = 50, .term = 2};
    fixture_append_wait(f, &replaced);
    fixture_settle(f);
    assert_int_equal(read_of(f, 6, 6, 1).result, -ENOENT);
    assert_int_equal(read_of(f, 4, 5, 2).result, -ENOENT);
    assert_int_equal(read_of(f, 3, 3, 7).result, -ENOENT);
    struct wal_read read = read_of(f, 1, 2, 1);
    assert_int_equal(read.count, 2);
    compare(fixture_now(f), &read);
    read = read_of(f, 3, 3, 2);
    compare(fixture_now(f), &read);
    fixture_delete(f);
}

/* What is in flight is not readable before it is durable. */
static void nothing_is_served_before_it_is_durable(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);

    assert_int_equal(fixture_open(f), 0);
    fixture_settle(f);
    fixture_idle(f);
    disk_sim_hold(f->disk, true);
    fixture_extend(f, 1, 100);
    fixture_turn(f, 1000);
    assert_int_equal(read_of(f, 1, 1, 1).result, -ENOENT);
    disk_sim_hold(f->disk, false);
    fixture_settle(f);
    const struct wal_read read = read_of(f, 1, 1, 1);
    compare(fixture_now(f), &read);
    fixture_delete(f);
}

static void one_read_at_a_time(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(3);
    struct wal_read a = {
        .first = 1, .last = 1, .term = 1, .bytes = f->records, .size = FIXTURE_BATCH_BYTES};
    struct wal_read b = a;

    assert_int_equal(fixture_open(f), 0);
    fixture_extend(f, 1, 100);
    fixture_settle(f);
    assert_int_equal(wal_read_begin(f->wal, &a), 0);
    assert_int_equal(wal_read_begin(f->wal, &b), -EAGAIN);
    while (!wal_read_poll(f->wal))
        fixture_turn(f, 100 * 1000);
    assert_int_equal(a.result, 0);
    assert_int_equal(wal_read_begin(f->wal, &b), 0);
    while (!wal_read_poll(f->wal))
        fixture_turn(f, 100 * 1000);
    assert_int_equal(b.count, 1);
    fixture_delete(f);
}

/* A disk that fails to read says so, and the log lives on. */
static void read_error_is_reported(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(4);
    const struct disk_sim_fault fault = {
        .kind = DISK_OP_READ, .nth = 1, .result = -EIO, .sticky = true};

    assert_int_equal(fixture_open(f), 0);
    fixture_extend(f, 2, 100);
    fixture_settle(f);
    disk_sim_fail(f->disk, &fault);
    assert_int_equal(read_of(f, 1, 2, 1).result, -EIO);
    disk_sim_fail(f->disk, &(struct disk_sim_fault){.nth = 0});
    assert_int_equal(read_of(f, 1, 2, 1).result, 0);
    assert_int_equal(wal_failed(f->wal), 0);
    fixture_delete(f);
}

/* The first read brings what stands in front of the rot, and has looked behind it for more. */
static void next_read_meets_the_rot(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(12);
    char name[DISK_NAME_BYTES];
    uint64_t length;

    assert_int_equal(fixture_open(f), 0);
    fixture_extend(f, 4, 100);
    fixture_idle(f);
    const uint64_t second = wal_span(f->wal).bytes; /* there is but one segment */
    fixture_extend(f, 4, 100);
    fixture_idle(f);
    segment_name(name, 1);
    uint8_t *bytes = disk_sim_bytes(f->disk, name, &length);
    bytes[second + 8] ^= 1;
    assert_int_equal(read_of(f, 1, 8, 1).count, 4);
    assert_int_equal(read_of(f, 5, 8, 1).result, -EBADMSG);
    fixture_delete(f);
}

/* The largest batch is a setting; what an earlier start has written is as large as it was then. */
static void batch_larger_than_configured_now(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(17);

    f->options.batch_bytes = 2 * FIXTURE_BATCH_BYTES;
    f->options.segment_bytes = wal_segment_bytes_min(&f->options) * 2;
    f->options.flights = 1;
    assert_int_equal(fixture_open(f), 0);
    fixture_settle(f);
    for (uint32_t i = 0; i < 12; i++) /* one goes out at once, the others share a batch */
        fixture_extend(f, 1, FIXTURE_BATCH_BYTES / 3);
    fixture_settle(f);
    const struct fixture_state *s = fixture_now(f);
    assert_true(wal_counters(f->wal)->bytes > 2 * FIXTURE_BATCH_BYTES);
    disk_sim_power_cut(f->disk);
    f->options.batch_bytes = FIXTURE_BATCH_BYTES;
    assert_int_equal(fixture_open(f), 0); /* reads all of it */
    for (uint32_t i = 0; i < 100; i++)
        read_somewhere(f);
    assert_int_equal(fixture_now(f)->last, s->last);
    fixture_delete(f);
}

/* One record a batch, more batches than the table of places has entries. */
static void long_log_is_found_through_a_thinned_table(void **state)
{
    (void)state;
    enum { BATCHES = 40000, SAMPLES = 300 };
    struct fixture *f = fixture_new(5);
    alignas(8) uint8_t bytes[RECORD_HEADER_BYTES];
    struct wal_step step = {.term = 1, .bytes = bytes, .length = sizeof bytes};
    uint32_t chain = 0;

    f->options.segment_bytes = 4 << 20;
    assert_int_equal(fixture_open(f), 0);
    for (raft_index index = 1; index <= BATCHES; index++) {
        const struct record_spec spec = {.type = RECORD_EMPTY,
                                         .cluster = FIXTURE_CLUSTER,
                                         .index = index,
                                         .term = 1,
                                         .chain = chain};
        chain = record_encode(&spec, bytes);
        step.first = index;
        step.last = index;
        step.seq = ++f->seq;
        while (wal_append(f->wal, &step) != 0)
            fixture_turn(f, 100 * 1000);
        fixture_turn(f, 1000 * 1000); /* to the next completion */
    }
    while (wal_durable(f->wal) < f->seq)
        fixture_turn(f, 100 * 1000);
    assert_true(wal_counters(f->wal)->batches > 16384);
    for (uint32_t i = 0; i < SAMPLES; i++) {
        const raft_index first = prng_between(&f->prng, 1, BATCHES);
        const struct wal_read read = read_of(f, first, BATCHES, 1);
        assert_int_equal(read.result, 0);
        for (uint32_t n = 0; n < read.count; n++)
            assert_true(record_at(read.bytes + n * sizeof bytes)->index == first + n);
    }
    fixture_delete(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_for_others_keep_to_their_share),
        cmocka_unit_test(random_ranges_while_the_log_grows),
        cmocka_unit_test(what_is_not_there_is_not_served),
        cmocka_unit_test(nothing_is_served_before_it_is_durable),
        cmocka_unit_test(one_read_at_a_time),
        cmocka_unit_test(read_error_is_reported),
        cmocka_unit_test(next_read_meets_the_rot),
        cmocka_unit_test(batch_larger_than_configured_now),
        cmocka_unit_test(long_log_is_found_through_a_thinned_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
