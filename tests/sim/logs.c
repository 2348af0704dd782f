/* Goal:   the checkers of logs and of promises reject every history that breaks what Raft or the
 *         disk rules guarantee, by the right name, and accept what looks odd but is allowed.
 * Method: tiny histories told by hand; a log is an array of terms. */
#include "sim/check_log.h"
#include "sim/check_promise.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { LOG_MAX = 8 };

struct log_story {
    struct check_log *log;
    struct check_promise *promise;
    struct check_report report;
};

/* term[0] is not used; the log ends at the first 0 behind it. */
static raft_term array_term_at(const void *log, raft_index index)
{
    return ((const raft_term *)log)[index];
}

static struct check_view view_of(const raft_term *terms)
{
    struct check_view view = {.term_at = array_term_at, .log = terms};

    while (terms[view.last + 1] != 0)
        view.last++;
    return view;
}

static int open_story(void **state)
{
    static struct log_story story;

    memset(&story, 0, sizeof story);
    story.log = check_log_create();
    story.promise = check_promise_create();
    check_log_reset(story.log, &story.report);
    check_promise_reset(story.promise, &story.report);
    *state = &story;
    return 0;
}

static int close_story(void **state)
{
    struct log_story *s = *state;

    check_log_destroy(s->log);
    check_promise_destroy(s->promise);
    return 0;
}

static void accepted(const struct log_story *s)
{
    if (s->report.invariant != NULL)
        fail_msg("%s: %s", s->report.invariant, s->report.detail);
}

static void rejected(const struct log_story *s, const char *invariant)
{
    assert_non_null(s->report.invariant);
    assert_string_equal(s->report.invariant, invariant);
}

static void send_record(struct log_story *s, raft_index index, raft_term term, uint32_t crc)
{
    check_log_record(s->log,
                     &(struct record_header){.index = index, .term = term, .header_crc = crc});
}

/* Entries 1 to 3 of term 1, committed by node 1 in term 1. */
static void commit_three(struct log_story *s)
{
    for (raft_index i = 1; i <= 3; i++) {
        send_record(s, i, 1, (uint32_t)i);
        check_log_committed(s->log, 1, 1, i, 1);
    }
    accepted(s);
}

/* ---- election safety and leader completeness ------------------------------------------------- */

static void one_leader_a_term(void **state)
{
    struct log_story *s = *state;
    bool fresh;

    check_log_leads(s->log, 1, 1, &fresh);
    assert_true(fresh);
    check_log_leads(s->log, 2, 2, &fresh);
    check_log_leads(s->log, 1, 1, &fresh); /* a late frame of an old term */
    assert_false(fresh);
    accepted(s);
}

static void two_leaders_in_a_term(void **state)
{
    struct log_story *s = *state;
    bool fresh;

    check_log_leads(s->log, 1, 4, &fresh);
    check_log_leads(s->log, 2, 4, &fresh);
    rejected(s, "election-safety");
}

static void leader_of_term_zero(void **state)
{
    struct log_story *s = *state;
    bool fresh;

    check_log_leads(s->log, 1, 0, &fresh);
    rejected(s, "election-safety");
}

static void later_leader_has_all(void **state)
{
    struct log_story *s = *state;
    const raft_term terms[LOG_MAX] = {0, 1, 1, 1, 2};
    const struct check_view log = view_of(terms);

    commit_three(s);
    check_log_complete(s->log, 2, 3, &log);
    accepted(s);
}

static void later_leader_is_short(void **state)
{
    struct log_story *s = *state;
    const raft_term terms[LOG_MAX] = {0, 1, 1};
    const struct check_view log = view_of(terms);

    commit_three(s);
    check_log_complete(s->log, 2, 2, &log);
    rejected(s, "leader-completeness");
}

static void later_leader_has_another_entry(void **state)
{
    struct log_story *s = *state;
    const raft_term terms[LOG_MAX] = {0, 1, 1, 2, 2};
    const struct check_view log = view_of(terms);

    commit_three(s);
    check_log_complete(s->log, 2, 3, &log);
    rejected(s, "leader-completeness");
}

/* Elected in term 1 but late to notice; term 2 has committed meanwhile. */
static void earlier_leader_may_be_short(void **state)
{
    struct log_story *s = *state;
    const raft_term terms[LOG_MAX] = {0, 1};
    const struct check_view log = view_of(terms);

    send_record(s, 1, 1, 1);
    send_record(s, 2, 2, 2);
    check_log_committed(s->log, 1, 2, 1, 1);
    check_log_committed(s->log, 1, 2, 2, 2);
    check_log_complete(s->log, 2, 1, &log);
    accepted(s);
}

static void leader_counts_own_entry(void **state)
{
    struct log_story *s = *state;
    const raft_term terms[LOG_MAX] = {0, 1, 1, 3};
    const struct check_view log = view_of(terms);

    check_log_counted(s->log, 2, 3, 3, &log);
    accepted(s);
}

static void leader_counts_old_entry(void **state)
{
    struct log_story *s = *state;
    const raft_term terms[LOG_MAX] = {0, 1, 1, 3};
    const struct check_view log = view_of(terms);

    check_log_counted(s->log, 2, 3, 2, &log);
    rejected(s, "commit-own-term");
}

/* ---- log matching and state machine safety --------------------------------------------------- */

static void two_records_at_one_place(void **state)
{
    struct log_story *s = *state;

    send_record(s, 5, 2, 100);
    send_record(s, 5, 3, 101); /* another term: another record */
    send_record(s, 5, 2, 100); /* sent again */
    accepted(s);
    send_record(s, 5, 2, 102);
    rejected(s, "log-matching");
}

static void another_entry_is_committed(void **state)
{
    struct log_story *s = *state;

    commit_three(s);
    check_log_committed(s->log, 2, 2, 3, 2);
    rejected(s, "state-machine-safety");
}

static void unsent_entry_is_committed(void **state)
{
    struct log_story *s = *state;

    commit_three(s);
    check_log_committed(s->log, 1, 1, 4, 1);
    rejected(s, "state-machine-safety");
}

static void commit_leaves_a_gap(void **state)
{
    struct log_story *s = *state;

    commit_three(s);
    send_record(s, 5, 1, 5);
    check_log_committed(s->log, 1, 1, 5, 1);
    rejected(s, "state-machine-safety");
}

static void digests_differ(void **state)
{
    struct log_story *s = *state;

    commit_three(s);
    check_log_digest(s->log, 1, 2, 0xabc);
    check_log_digest(s->log, 2, 3, 0xdef);
    check_log_digest(s->log, 3, 2, 0xabc);
    accepted(s);
    check_log_digest(s->log, 2, 2, 0xabd);
    rejected(s, "equal-digests");
}

static void applied_is_not_committed(void **state)
{
    struct log_story *s = *state;

    commit_three(s);
    check_log_digest(s->log, 1, 4, 0xabc);
    rejected(s, "state-machine-safety");
}

/* ---- votes ----------------------------------------------------------------------------------- */

static void votes_in_later_terms(void **state)
{
    struct log_story *s = *state;

    check_promise_vote(s->promise, 1, 3, 2);
    check_promise_vote(s->promise, 1, 3, 2); /* repeated */
    check_promise_vote(s->promise, 1, 4, 3);
    check_promise_vote(s->promise, 2, 3, 2);
    accepted(s);
}

static void two_votes_in_a_term(void **state)
{
    struct log_story *s = *state;

    check_promise_vote(s->promise, 1, 3, 2);
    check_promise_vote(s->promise, 1, 4, 2);
    check_promise_vote(s->promise, 1, 3, 1);
    rejected(s, "one-vote-a-term");
}

static void vote_is_forgotten(void **state)
{
    struct log_story *s = *state;
    const raft_term terms[LOG_MAX] = {0};
    const struct check_view log = view_of(terms);

    check_promise_vote(s->promise, 1, 3, 2);
    check_promise_recovered(s->promise, 1, &(struct check_hard_state){.term = 3}, &log);
    rejected(s, "durable-before-ack");
}

static void vote_changes_hands(void **state)
{
    struct log_story *s = *state;
    const raft_term terms[LOG_MAX] = {0};
    const struct check_view log = view_of(terms);

    check_promise_vote(s->promise, 1, 3, 2);
    check_promise_recovered(s->promise, 1, &(struct check_hard_state){.term = 3, .vote = 3}, &log);
    rejected(s, "durable-before-ack");
}

static void term_goes_back(void **state)
{
    struct log_story *s = *state;
    const raft_term terms[LOG_MAX] = {0};
    const struct check_view log = view_of(terms);

    check_promise_vote(s->promise, 1, 3, 2);
    check_promise_recovered(s->promise, 1, &(struct check_hard_state){.term = 2, .vote = 2}, &log);
    rejected(s, "durable-before-ack");
}

/* ---- acknowledged entries -------------------------------------------------------------------- */

static void acknowledge(struct log_story *s, const raft_term *terms, raft_term term,
                        raft_index match)
{
    const struct check_view log = view_of(terms);

    check_promise_match(s->promise, 1, term, match, &log);
}

static void recover(struct log_story *s, const raft_term *terms, raft_term term)
{
    const struct check_view log = view_of(terms);

    check_promise_recovered(s->promise, 1, &(struct check_hard_state){.term = term}, &log);
}

static void acknowledged_is_there(void **state)
{
    struct log_story *s = *state;

    acknowledge(s, (const raft_term[LOG_MAX]){0, 1, 1, 2, 2}, 2, 3);
    recover(s, (const raft_term[LOG_MAX]){0, 1, 1, 2, 2}, 2); /* more than was promised */
    recover(s, (const raft_term[LOG_MAX]){0, 1, 1, 2}, 3);
    accepted(s);
}

static void acknowledged_is_lost(void **state)
{
    struct log_story *s = *state;

    acknowledge(s, (const raft_term[LOG_MAX]){0, 1, 1, 2, 2}, 2, 4);
    recover(s, (const raft_term[LOG_MAX]){0, 1, 1, 2}, 2);
    rejected(s, "durable-before-ack");
}

static void acknowledged_is_another(void **state)
{
    struct log_story *s = *state;

    acknowledge(s, (const raft_term[LOG_MAX]){0, 1, 1, 3}, 3, 3);
    recover(s, (const raft_term[LOG_MAX]){0, 1, 1, 2}, 3);
    rejected(s, "durable-before-ack");
}

static void acknowledged_term_is_lost(void **state)
{
    struct log_story *s = *state;

    acknowledge(s, (const raft_term[LOG_MAX]){0, 1, 1}, 5, 2);
    recover(s, (const raft_term[LOG_MAX]){0, 1, 1}, 1);
    rejected(s, "durable-before-ack");
}

static void acknowledged_is_not_even_in_memory(void **state)
{
    struct log_story *s = *state;

    acknowledge(s, (const raft_term[LOG_MAX]){0, 1, 1}, 1, 3);
    rejected(s, "durable-before-ack");
}

/* A later leader had entry 3 replaced; a crash may bring back either. */
static void replaced_is_not_promised(void **state)
{
    struct log_story *s = *state;
    const raft_term replaced[LOG_MAX] = {0, 1, 1, 4};
    const struct check_view log = view_of(replaced);

    acknowledge(s, (const raft_term[LOG_MAX]){0, 1, 1, 2}, 2, 3);
    check_promise_kept(s->promise, 1, &log);
    assert_int_equal(check_promise_last(s->promise, 1), 2);
    recover(s, (const raft_term[LOG_MAX]){0, 1, 1, 2}, 4);
    recover(s, (const raft_term[LOG_MAX]){0, 1, 1, 4}, 4);
    recover(s, (const raft_term[LOG_MAX]){0, 1, 1}, 4);
    accepted(s);
    recover(s, (const raft_term[LOG_MAX]){0, 1}, 4); /* but entry 2 still is */
    rejected(s, "durable-before-ack");
}

static void holders_are_counted(void **state)
{
    struct log_story *s = *state;
    const raft_term terms[LOG_MAX] = {0, 1, 1, 2};
    const struct check_view log = view_of(terms);

    acknowledge(s, terms, 2, 3);
    check_promise_match(s->promise, 3, 2, 2, &log);
    assert_int_equal(check_promise_holders(s->promise, 2, 1), 1U << 0 | 1U << 2);
    assert_int_equal(check_promise_holders(s->promise, 3, 2), 1U << 0);
    assert_int_equal(check_promise_holders(s->promise, 3, 1), 0);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, open_story, close_story)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(one_leader_a_term),
        STORY(two_leaders_in_a_term),
        STORY(leader_of_term_zero),
        STORY(later_leader_has_all),
        STORY(later_leader_is_short),
        STORY(later_leader_has_another_entry),
        STORY(earlier_leader_may_be_short),
        STORY(leader_counts_own_entry),
        STORY(leader_counts_old_entry),
        STORY(two_records_at_one_place),
        STORY(another_entry_is_committed),
        STORY(unsent_entry_is_committed),
        STORY(commit_leaves_a_gap),
        STORY(digests_differ),
        STORY(applied_is_not_committed),
        STORY(votes_in_later_terms),
        STORY(two_votes_in_a_term),
        STORY(vote_is_forgotten),
        STORY(vote_changes_hands),
        STORY(term_goes_back),
        STORY(acknowledged_is_there),
        STORY(acknowledged_is_lost),
        STORY(acknowledged_is_another),
        STORY(acknowledged_term_is_lost),
        STORY(acknowledged_is_not_even_in_memory),
        STORY(replaced_is_not_promised),
        STORY(holders_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
