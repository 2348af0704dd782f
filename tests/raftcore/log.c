/* Goal:   the log tells the term of every entry, which of them are durable, and how long those in
 *         the window are, through appends, truncations, flushes, installs,
 *         bases that rise, and recovery.
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

/* A base that rises takes the runs below with it; the run it cuts begins behind it. */
static void compact_cuts_runs(void **state)
{
    const struct raft_run runs[] = {{6, 1}, {8, 3}, {9, 4}, {12, 7}};
    struct raft_log log = recovered_log(5, runs, 4, 14);

    (void)state;
    raft_log_compact(&log, 4);
    assert_int_equal(log.base, 5);
    raft_log_compact(&log, 10);
    assert_int_equal(log.run_count, 2);
    assert_int_equal(raft_log_term(&log, 9), 0);
    assert_int_equal(raft_log_term(&log, 10), 4);
    assert_int_equal(raft_log_run_first(&log, 11), 11);
    raft_log_compact(&log, 11);
    assert_int_equal(log.run_count, 1);
    assert_int_equal(log.base_term, 4);
    raft_log_compact(&log, 14);
    assert_int_equal(log.run_count, 0);
    assert_int_equal(log.base_term, 7);
    assert_int_equal(log.sized_first, 15);
    raft_log_append(&log, 7, 100, 1);
    assert_int_equal(raft_log_run_first(&log, 15), 15);
}

static void install_replaces_or_keeps(void **state)
{
    const struct raft_run runs[] = {{1, 1}, {4, 2}};
    struct raft_log log = recovered_log(0, runs, 2, 5);

    (void)state;
    raft_log_append(&log, 2, 100, 11); /* 6 */
    raft_log_append(&log, 3, 100, 12); /* 7 */
    assert_true(raft_log_install(&log, 6, 2, 13));
    assert_int_equal(log.last, 7);
    assert_int_equal(log.durable, 6);
    assert_int_equal(raft_log_seq(&log, 6), 13); /* the manifest */
    assert_int_equal(raft_log_seq(&log, 7), 12); /* its own: it stands without the manifest */
    assert_int_equal(raft_log_entry_bytes(&log, 7), 100);
    assert_false(raft_log_install(&log, 7, 4, 14)); /* another term */
    assert_int_equal(log.last, 7);
    assert_int_equal(raft_log_term(&log, 7), 4);
    assert_false(raft_log_install(&log, 20, 4, 15)); /* beyond the end */
    raft_log_append(&log, 5, 100, 16);
    assert_int_equal(raft_log_seq(&log, 20), 15);
    raft_log_flushed(&log, 14);
    assert_int_equal(raft_log_seq(&log, 20), 15);
    raft_log_flushed(&log, 15);
    assert_int_equal(raft_log_seq(&log, 20), 0);
    assert_int_equal(raft_log_seq(&log, 21), 16);
    assert_int_equal(log.durable, 20);
}

struct model {
    raft_term term[MODEL_MAX];
    uint32_t bytes[MODEL_MAX];
    raft_seq seq[MODEL_MAX];
    raft_index base, last;
    raft_seq base_seq, flushed, seq_last;
    raft_term term_now;
};

static void compare(const struct raft_log *log, const struct model *m)
{
    const raft_seq base_seq = m->base_seq > m->flushed ? m->base_seq : 0;

    assert_true(raft_log_is_sound(log));
    assert_int_equal(log->last, m->last);
    assert_int_equal(log->base, m->base);
    for (raft_index i = m->last < 40 ? 1 : m->last - 39; i <= m->last; i++) {
        assert_int_equal(raft_log_term(log, i), i < m->base ? 0 : m->term[i]);
        assert_int_equal(raft_log_seq(log, i), m->seq[i] > m->flushed ? m->seq[i] : base_seq);
        if (i >= log->sized_first)
            assert_int_equal(raft_log_entry_bytes(log, i), m->bytes[i]);
    }
}

static void model_truncate(struct model *m, struct raft_log *log, struct prng *prng)
{
    const raft_index low = m->last < m->base + 10 ? m->base + 1 : m->last - 9;

    if (m->last == m->base)
        return;
    m->last = prng_between(prng, low, m->last) - 1;
    raft_log_truncate(log, m->last + 1);
}

static void model_append(struct model *m, struct raft_log *log, struct prng *prng)
{
    if (raft_log_room(log) == 0)
        return;
    m->last++;
    m->term[m->last] = m->term_now;
    m->bytes[m->last] = 1 + (uint32_t)prng_below(prng, 1000);
    m->seq[m->last] = ++m->seq_last;
    raft_log_append(log, m->term_now, m->bytes[m->last], m->seq_last);
}

static void model_install(struct model *m, struct raft_log *log, struct prng *prng)
{
    const raft_index index = m->base + 1 + prng_below(prng, m->last - m->base + 5);
    const bool same = index <= m->last && prng_chance(prng, 700000);
    const raft_term term = same ? m->term[index] : m->term_now + 1;

    m->term_now += !same;
    assert_int_equal(raft_log_install(log, index, term, ++m->seq_last), same);
    for (raft_index i = m->base; i <= index; i++)
        m->seq[i] = 0; /* what is promised of them hangs on the manifest */
    m->last = same ? m->last : index;
    m->term[index] = term;
    m->base = index;
    m->base_seq = m->seq_last;
}

static void agrees_with_model(void **state)
{
    static struct model m;
    struct raft_log log = recovered_log(0, NULL, 0, 0);
    struct prng prng;

    (void)state;
    prng_seed(&prng, 7);
    memset(&m, 0, sizeof m);
    m.term_now = 1;
    for (uint32_t k = 0; k < 100000; k++) {
        m.term_now += prng_chance(&prng, 50000);
        if (prng_chance(&prng, 30000))
            model_truncate(&m, &log, &prng);
        model_append(&m, &log, &prng);
        if (prng_chance(&prng, 300000)) {
            m.flushed = prng_between(&prng, m.flushed, m.seq_last);
            raft_log_flushed(&log, m.flushed);
        }
        if (prng_chance(&prng, 20000)) {
            m.base = prng_between(&prng, m.base, log.durable);
            raft_log_compact(&log, m.base);
        }
        if (prng_chance(&prng, 3000))
            model_install(&m, &log, &prng);
        compare(&log, &m);
        if (m.last + 8 < MODEL_MAX)
            continue;
        log = recovered_log(0, NULL, 0, 0);
        m.base = m.last = m.base_seq = 0;
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
        cmocka_unit_test(terms_by_run),
        cmocka_unit_test(back_up_by_term),
        cmocka_unit_test(empty_log),
        cmocka_unit_test(durable_is_a_prefix),
        cmocka_unit_test(window_forgets),
        cmocka_unit_test(compact_cuts_runs),
        cmocka_unit_test(install_replaces_or_keeps),
        cmocka_unit_test(agrees_with_model),
        cmocka_unit_test(unsound_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
