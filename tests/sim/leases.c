/* Goal:   the checker of what leases rest on rejects help for another leader within the time that an
 *         answer to a round of heartbeats has promised, and nothing else.
 * Method: tiny histories told by hand; times in ms. */
#include "sim/check_lease.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { MS = 1000000, ELECTION_MIN_MS = 160, PROMISED_MS = 150, INCARNATION = 77, NODE = 2, TERM = 5 };

struct lease_story {
    struct check_lease *lease;
    struct check_report report;
};

static struct lease_story story;

/* The leader of TERM sends round 1 at 1000 ms, and NODE answers it. */
static int open_story(void **state)
{
    (void)state;
    story.report = (struct check_report){0};
    story.lease = check_lease_create();
    check_lease_reset(story.lease, &story.report, ELECTION_MIN_MS * MS);
    check_lease_asks(story.lease, TERM, 1, 1000ull * MS);
    check_lease_asks(story.lease, TERM, 1, 1040ull * MS); /* repeated: the first counts */
    check_lease_answers(story.lease, NODE, INCARNATION, TERM, 1);
    return 0;
}

static int close_story(void **state)
{
    (void)state;
    check_lease_destroy(story.lease);
    return 0;
}

static void helps(raft_term term, uint64_t ms)
{
    check_lease_helps(story.lease, NODE, INCARNATION, term, ms * MS);
}

static void accepted(void)
{
    if (story.report.invariant != NULL)
        fail_msg("%s: %s", story.report.invariant, story.report.detail);
}

static void rejected(void)
{
    assert_non_null(story.report.invariant);
    assert_string_equal(story.report.invariant, "lease-promise");
}

static void promise_is_over(void **state)
{
    (void)state;
    helps(TERM + 1, 1000 + PROMISED_MS);
    accepted();
}

static void promise_is_broken(void **state)
{
    (void)state;
    helps(TERM + 1, 1000 + PROMISED_MS - 1);
    rejected();
}

static void promise_is_renewed(void **state)
{
    (void)state;
    check_lease_asks(story.lease, TERM, 2, 1100ull * MS);
    check_lease_answers(story.lease, NODE, INCARNATION, TERM, 2);
    check_lease_answers(story.lease, NODE, INCARNATION, TERM, 1); /* late */
    helps(TERM + 1, 1100 + PROMISED_MS - 1);
    rejected();
}

static void others_promised_nothing(void **state)
{
    (void)state;
    check_lease_helps(story.lease, NODE + 1, INCARNATION, TERM + 1, 1001ull * MS);
    check_lease_helps(story.lease, NODE, INCARNATION + 1, TERM + 1, 1001ull * MS);
    accepted();
}

/* A heartbeat of no round, and one that was never sent, ask for nothing. */
static void other_answers_promise_nothing(void **state)
{
    (void)state;
    check_lease_asks(story.lease, TERM + 1, 0, 1100ull * MS);
    check_lease_answers(story.lease, NODE, INCARNATION, TERM + 1, 0);
    check_lease_answers(story.lease, NODE, INCARNATION, TERM + 1, 9);
    helps(TERM + 2, 1000 + PROMISED_MS);
    accepted();
}

static void own_term_is_no_other_leader(void **state)
{
    (void)state;
    helps(TERM, 1001);
    accepted();
}

static void leader_hands_over(void **state)
{
    (void)state;
    check_lease_hands_over(story.lease, TERM + 1);
    helps(TERM + 1, 1001);
    accepted();
    helps(TERM + 2, 1001); /* that term only */
    rejected();
}

static void leases_are_off(void **state)
{
    (void)state;
    check_lease_reset(story.lease, &story.report, 0);
    check_lease_asks(story.lease, TERM, 1, 1000ull * MS);
    check_lease_answers(story.lease, NODE, INCARNATION, TERM, 1);
    helps(TERM + 1, 1001);
    accepted();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(promise_is_over, open_story, close_story),
        cmocka_unit_test_setup_teardown(promise_is_broken, open_story, close_story),
        cmocka_unit_test_setup_teardown(promise_is_renewed, open_story, close_story),
        cmocka_unit_test_setup_teardown(others_promised_nothing, open_story, close_story),
        cmocka_unit_test_setup_teardown(other_answers_promise_nothing, open_story, close_story),
        cmocka_unit_test_setup_teardown(own_term_is_no_other_leader, open_story, close_story),
        cmocka_unit_test_setup_teardown(leader_hands_over, open_story, close_story),
        cmocka_unit_test_setup_teardown(leases_are_off, open_story, close_story),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
