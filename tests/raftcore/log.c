/* Goal:   the log tells the term of every entry, which of them are durable, and how long those in
 *         the window are, through appends, truncations, flushes and recovery.
 * Method: cases by hand for the edges (base, first and last of a run, a full window), then a model:
 *         random operations beside plain arrays that remember everything.
 */
#include "raftcore/log.h"

#include "base/prng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { WINDOW = 16, MODEL_MAX = 2000 };

static struct raft_run run[RAFT_TERM_RUNS_MAX];
static struct raft_log_slot slot[WINDOW];

static struct raft_log recovered_log(raft_index base, const struct raft_run *runs, uint32_t count,
                                     raft_index last)
{
    struct raft_log log = {.window = WINDOW, .run = run, .slot = slot};
    const struct raft_recovered recovered = {
        .base = base, .base_term = base > 0, .last = last, .run_count = count, .runs = runs};

    raft_log_recover(&log, &recovered);
    return log;
}

static void terms_by_run(void **state)
{
    const struct raft_run runs[] = {{6, 1}, {8, 3}, {9, 4}, {12, 7}};
    const struct raft_log log = recovered_log(5, runs, 4, 14);
    const raft_term expected[] = {0, 0, 0, 0, 0, 1, 1, 1, 3, 4, 4, 4, 7, 7, 7, 0, 0};

    (void)state;
    for (raft_index i = 0; i < sizeof expected / sizeof *expected; i++)
        assert_int_equal(raft_log_term(&log, i), expected[i]);
    assert_int_equal(raft_log_run_first(&log, 11), 9);
    assert_int_equal(raft_log_run_last(&log, 9), 11);
    assert_int_equal(raft_log_run_last(&log, 6), 7);
    assert_int_equal(raft_log_run_last(&log, 12), 14);
    assert_int_equal(log.durable, 14);
}

static void back_up_by_term(void **state)
{
    const struct raft_run runs[] = {{6, 2}, {8, 3}, {9, 5}, {12, 7}};
    const struct raft_log log = recovered_log(5, runs, 4, 14);

    (void)state;
    assert_int_equal(raft_log_back_up(&log, 14, 9), 14);
    assert_int_equal(raft_log_back_up(&log, 13, 7), 13);
    assert_int_equal(raft_log_back_up(&log, 13, 6), 11);
    assert_int_equal(raft_log_back_up(&log, 10, 5), 10);
    assert_int_equal(raft_log_back_up(&log, 13, 4), 8);
    assert_int_equal(raft_log_back_up(&log, 7, 9), 7);
    assert_int_equal(raft_log_back_up(&log, 13, 1), 5); /* nothing above the base */
    assert_int_equal(raft_log_back_up(&log, 5, 9), 5);
}

static void empty_log(void **state)
{
    struct raft_log log = recovered_log(0, NULL, 0, 0);

    (void)state;
    assert_int_equal(raft_log_term(&log, 0), 0);
    assert_int_equal(raft_log_term(&log, 1), 0);
    assert_int_equal(raft_log_room(&log), WINDOW);
    assert_int_equal(raft_log_run_room(&log, 0), RAFT_TERM_RUNS_MAX);
    raft_log_append(&log, 1, 100, 11);
    assert_int_equal(raft_log_term(&log, 1), 1);
    assert_int_equal(raft_log_seq(&log, 1), 11);
    raft_log_truncate(&log, 1);
    assert_int_equal(log.last, 0);
    assert_int_equal(log.run_count, 0);
}

static void durable_is_a_prefix(void **state)
{
    struct raft_log log = recovered_log(0, NULL, 0, 0);

    (void)state;
    for (raft_seq seq = 1; seq <= 8; seq++)
        raft_log_append(&log, 1, 100, 10 + (seq + 1) / 2); /* two entries a seq */
    raft_log_flushed(&log, 10);
    assert_int_equal(log.durable, 0);
    raft_log_flushed(&log, 12);
    assert_int_equal(log.durable, 4);
    assert_int_equal(raft_log_seq(&log, 4), 0);
    assert_int_equal(raft_log_seq(&log, 5), 13);
    /* What replaces a durable entry is not durable, and an old seq does not vouch for it. */
    raft_log_truncate(&log, 3);
    raft_log_append(&log, 2, 100, 20);
    assert_int_equal(log.durable, 2);
    raft_log_flushed(&log, 14);
    assert_int_equal(log.durable, 2);
    raft_log_flushed(&log, 20);
    assert_int_equal(log.durable, 3);
}

static void window_forgets(void **state)
{
    struct raft_log log = recovered_log(0, NULL, 0, 0);

    (void)state;
    for (uint32_t i = 1; i <= WINDOW + 4; i++) {
        raft_log_append(&log, 1, 100 + i, i);
        raft_log_flushed(&log, i);
    }
    assert_int_equal(log.sized_first, 5);
    assert_int_equal(raft_log_entry_bytes(&log, 5), 105);
    /* The slots of what was cut off had displaced older ones: those stay forgotten. */
    raft_log_truncate(&log, 10);
    assert_int_equal(log.sized_first, 5);
    raft_log_append(&log, 2, 200, 99);
    assert_int_equal(raft_log_entry_bytes(&log, 10), 200);
    assert_int_equal(raft_log_entry_bytes(&log, 9), 109);
}

struct model {
    raft_term term[MODEL_MAX];
    uint32_t bytes[MODEL_MAX];
    raft_seq seq[MODEL_MAX];
    raft_index last;
    raft_seq flushed;
};

static void compare(const struct raft_log *log, const struct model *m)
{
    assert_true(raft_log_is_sound(log));
    assert_int_equal(log->last, m->last);
    for (raft_index i = m->last < 40 ? 1 : m->last - 39; i <= m->last; i++) {
        assert_int_equal(raft_log_term(log, i), m->term[i]);
        assert_int_equal(raft_log_seq(log, i), m->seq[i] <= m->flushed ? 0 : m->seq[i]);
        if (i >= log->sized_first)
            assert_int_equal(raft_log_entry_bytes(log, i), m->bytes[i]);
    }
}

static void agrees_with_model(void **state)
{
    static struct model m;
    struct raft_log log = recovered_log(0, NULL, 0, 0);
    struct prng prng;
    raft_term term = 1;
    raft_seq seq = 0;

    (void)state;
    prng_seed(&prng, 7);
    memset(&m, 0, sizeof m);
    for (uint32_t k = 0; k < 100000; k++) {
        term += prng_chance(&prng, 50000);
        if (prng_chance(&prng, 30000) && m.last > 0) {
            const raft_index low = m.last < 10 ? 1 : m.last - 9;
            m.last = prng_between(&prng, low, m.last) - 1;
            raft_log_truncate(&log, m.last + 1);
        }
        if (raft_log_room(&log) > 0 && m.last + 1 < MODEL_MAX) {
            m.last++;
            m.term[m.last] = term;
            m.bytes[m.last] = 1 + (uint32_t)prng_below(&prng, 1000);
            m.seq[m.last] = ++seq;
            raft_log_append(&log, term, m.bytes[m.last], seq);
        }
        if (prng_chance(&prng, 300000)) {
            m.flushed = prng_between(&prng, m.flushed, seq);
            raft_log_flushed(&log, m.flushed);
        }
        compare(&log, &m);
        if (m.last + 1 == MODEL_MAX) {
            m.last = 0;
            raft_log_truncate(&log, 1);
        }
    }
}

/* The proof that the core asserts must itself see each way to break the invariant. */
static void unsound_is_seen(void **state)
{
    struct raft_run runs[3];
    struct raft_log log;

    (void)state;
    for (uint32_t i = 0; i < 13; i++) {
        runs[0] = (struct raft_run){.first = 6, .term = 2};
        runs[1] = (struct raft_run){.first = 8, .term = 3};
        runs[2] = (struct raft_run){.first = 9, .term = 5};
        log = (struct raft_log){.base = 5,
                                .base_term = 2,
                                .last = 10,
                                .durable = 8,
                                .window = 4,
                                .run_count = 3,
                                .run = runs};
        assert_true(raft_log_is_sound(&log));
        switch (i) {
        case 0:
            log.durable = 4;
            break;
        case 1:
            log.durable = 11;
            break;
        case 2:
            log.window = 1;
            break;
        case 3:
            log.run_count = RAFT_TERM_RUNS_MAX + 1;
            break;
        case 4:
            log.run_count = 0;
            break;
        case 5:
            log.last = log.durable = 5;
            break;
        case 6:
            runs[0].first = 5;
            break;
        case 7:
            runs[2].first = 8;
            break;
        case 8:
            runs[2].first = 11;
            break;
        case 9:
            runs[2].term = 3;
            break;
        case 10:
            log.base_term = 3;
            break;
        case 11:
            runs[0].first = 7;
            break;
        default:
            runs[0].term = 0;
            break;
        }
        assert_false(raft_log_is_sound(&log));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(terms_by_run),    cmocka_unit_test(back_up_by_term),
        cmocka_unit_test(empty_log),       cmocka_unit_test(durable_is_a_prefix),
        cmocka_unit_test(window_forgets),  cmocka_unit_test(agrees_with_model),
        cmocka_unit_test(unsound_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
