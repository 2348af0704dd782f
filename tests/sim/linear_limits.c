/* Goal:   where the search (sim/check_linear.h) meets one of its limits it says so, never rejects a
 *         right history for it, and goes on to reject wrong ones.
 * Method: histories made to be too much: calls that never end, unknown writes by the hundred,
 *         revisions that any of many unknown writes may have made. */
#include "sim/check_linear.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { REVISION_FIRST = 1, OPEN_CALLS = 1100, UNKNOWN_WRITES = 200, AMONG = 100, GAPS = 4 };

struct limits {
    struct check_linear *l;
    struct check_report report;
    int64_t revision; /* the store's, as the test has it */
    uint64_t values;
};

static int open_limits(void **state)
{
    static struct limits limits;

    limits = (struct limits){.l = check_linear_create(), .revision = REVISION_FIRST};
    check_linear_reset(limits.l, REVISION_FIRST, &limits.report);
    *state = &limits;
    return 0;
}

static int close_limits(void **state)
{
    check_linear_destroy(((struct limits *)*state)->l);
    return 0;
}

static uint64_t begin(struct limits *t, enum history_kind kind, uint8_t key)
{
    const struct history_call call = {
        .kind = (uint8_t)kind,
        .key_first = key,
        .key_end = (uint8_t)(key + 1),
        .node = 1,
        .boot = 1,
        .value = kind == HISTORY_PUT ? ++t->values : 0,
    };
    return check_linear_begin(t->l, &call);
}

static void end_at(struct limits *t, uint64_t name, int64_t revision)
{
    const struct history_answer answer = {.fate = HISTORY_OK, .revision = revision};
    check_linear_end(t->l, name, &answer);
}

static void end_unknown(struct limits *t, uint64_t name)
{
    check_linear_end(t->l, name, &(struct history_answer){.fate = HISTORY_UNKNOWN});
}

static void put_done(struct limits *t, uint8_t key)
{
    end_at(t, begin(t, HISTORY_PUT, key), ++t->revision);
}

static void assert_accepts(struct limits *t)
{
    check_linear_finish(t->l);
    if (t->report.invariant != NULL)
        fail_msg("%s", t->report.detail);
}

static void assert_rejects(struct limits *t)
{
    check_linear_finish(t->l);
    assert_non_null(t->report.invariant);
    assert_string_equal(t->report.invariant, "linearizable-search");
}

/* A read that is too old whatever else is known: key 1 is written, and the read shows the state
 * before. */
static void read_stale(struct limits *t)
{
    put_done(t, 1);
    end_at(t, begin(t, HISTORY_READ, 2), t->revision - 1);
}

/* ---- calls that stay open ----------------------------------------------------------------------- */

static void open_for_long(struct limits *t)
{
    uint64_t name[OPEN_CALLS];

    for (uint32_t i = 0; i < OPEN_CALLS; i++)
        name[i] = begin(t, HISTORY_PUT, (uint8_t)(3 + i % 8));
    put_done(t, 1);
    assert_true(check_linear_count(t->l, LINEAR_ASIDE) > 0);
    for (uint32_t i = 0; i < OPEN_CALLS; i++)
        end_at(t, name[i], ++t->revision); /* the first of them are not waited for */
}

static void calls_open_for_long_are_set_aside(void **state)
{
    open_for_long(*state);
    assert_accepts(*state);
}

static void behind_calls_set_aside_it_still_sees(void **state)
{
    open_for_long(*state);
    read_stale(*state);
    assert_rejects(*state);
}

/* ---- many unknown writes ------------------------------------------------------------------------ */

static void unknown_by_the_hundred(struct limits *t)
{
    for (uint32_t i = 0; i < UNKNOWN_WRITES; i++)
        end_unknown(t, begin(t, HISTORY_PUT, 3));
    put_done(t, 1);
    assert_true(check_linear_count(t->l, LINEAR_BLUR) > 0);
}

static void the_oldest_unknown_write_may_still_appear(void **state)
{
    struct limits *t = *state;
    const struct history_item item = {
        .key = 3, .create_revision = 2, .mod_revision = 2, .version = 1, .value = 1};

    t->revision++; /* made by the oldest of them, whose value is 1 */
    unknown_by_the_hundred(t);
    const uint64_t name = begin(t, HISTORY_READ, 3);
    check_linear_end(t->l, name,
                     &(struct history_answer){.fate = HISTORY_OK,
                                              .revision = t->revision,
                                              .count = 1,
                                              .item_count = 1,
                                              .items = &item});
    assert_accepts(t);
}

static void behind_blurred_writes_it_still_sees(void **state)
{
    unknown_by_the_hundred(*state);
    read_stale(*state);
    assert_rejects(*state);
}

/* What is blurred may touch the keys that it names, and no others. */
static void blurred_writes_leave_other_keys_alone(void **state)
{
    struct limits *t = *state;

    unknown_by_the_hundred(t);
    t->revision++; /* made by one of them */
    put_done(t, 2);
    end_at(t, begin(t, HISTORY_READ, 1), t->revision); /* key 1 is there, and is not shown */
    assert_rejects(t);
}

/* ---- too many configurations -------------------------------------------------------------------- */

static void too_many_configurations(struct limits *t)
{
    put_done(t, 1);
    for (uint32_t i = 0; i < AMONG; i++)
        end_unknown(t, begin(t, HISTORY_PUT, (uint8_t)(3 + i % 20)));
    t->revision += GAPS;
    put_done(t, 2);
    check_linear_finish(t->l);
    assert_true(check_linear_count(t->l, LINEAR_GAVE_UP) > 0);
}

static void a_window_is_given_up(void **state)
{
    struct limits *t = *state;

    too_many_configurations(t);
    end_at(t, begin(t, HISTORY_READ, 23), t->revision);
    put_done(t, 1);
    assert_accepts(t);
}

static void after_a_window_given_up_it_still_sees_age(void **state)
{
    too_many_configurations(*state);
    read_stale(*state);
    assert_rejects(*state);
}

/* All is forgotten; the first of two reads of one state says again what the second must show. */
static void after_a_window_given_up_answers_narrow_again(void **state)
{
    struct limits *t = *state;
    const struct history_item item = {
        .key = 1, .create_revision = 2, .mod_revision = 2, .version = 1, .value = 1};

    too_many_configurations(t);
    const uint64_t first = begin(t, HISTORY_READ, 1);
    check_linear_end(t->l, first,
                     &(struct history_answer){.fate = HISTORY_OK,
                                              .revision = t->revision,
                                              .count = 1,
                                              .item_count = 1,
                                              .items = &item});
    check_linear_finish(t->l);
    assert_null(t->report.invariant);
    end_at(t, begin(t, HISTORY_READ, 1), t->revision); /* shows nothing */
    assert_rejects(t);
}

#define LIMITS(name) cmocka_unit_test_setup_teardown(name, open_limits, close_limits)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LIMITS(calls_open_for_long_are_set_aside),
        LIMITS(behind_calls_set_aside_it_still_sees),
        LIMITS(the_oldest_unknown_write_may_still_appear),
        LIMITS(behind_blurred_writes_it_still_sees),
        LIMITS(blurred_writes_leave_other_keys_alone),
        LIMITS(a_window_is_given_up),
        LIMITS(after_a_window_given_up_it_still_sees_age),
        LIMITS(after_a_window_given_up_answers_narrow_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
