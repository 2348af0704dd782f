/* Members by hand in the deterministic simulator: what operators ask for at bad moments. */
#include "tests/sim/calm.h"

enum { WAIT_TIMEOUTS = 20, STEP_NS = 2000 };

/* The answer to a change of one edit, asked at `node`. */
static struct sim_verdict change(struct sim *s, uint32_t node, struct admin_edit edit, bool forced)
{
    const struct admin_request request = {
        .kind = ADMIN_CHANGE, .forced = forced, .edit_count = 1, .edit[0] = edit};
    const uint64_t end_ns = sim_now_ns(s) + WAIT_TIMEOUTS * calm_timeout_ns(s);
    struct sim_verdict verdict;

    CHECK(s, sim_ask(s, node, &request));
    while (!sim_told(s, node, &verdict) && sim_now_ns(s) < end_ns)
        CHECK(s, sim_run_ns(s, calm_timeout_ns(s) / 8));
    CHECK(s, sim_told(s, node, &verdict));
    return verdict;
}

static void change_done(struct sim *s, uint32_t node, struct admin_edit edit)
{
    CHECK(s, change(s, node, edit, false).status == ANSWER_OK);
}

/* NULL: it is none. */
static const struct raft_member *member(const struct sim *s, uint32_t node)
{
    const struct raft_config *config = sim_members(s);

    for (uint32_t i = 0; config != NULL && i < config->count; i++)
        if (config->member[i].node == node + 1)
            return &config->member[i];
    return NULL;
}

static bool is_voter(const struct sim *s, uint32_t node)
{
    const struct raft_member *m = member(s, node);
    return m != NULL && m->voter && !sim_members(s)->joint;
}

static void cut_sides(struct sim *s, bool cut)
{
    for (uint32_t node = 2; node < 5; node++) {
        for (uint32_t side = 0; side < 2; side++) {
            sim_cut(s, node, side, cut);
            sim_cut(s, side, node, cut);
        }
    }
}

/* Goal:   a change that a leader appends alone is undone, by it too, when the others go on without it.
 * Method: the leader and one more of five are cut off; it is asked to remove a voter. The others elect
 *         and write; healed, all have that voter still, and the next change is done. */
static void change_under_partition(struct sim *s)
{
    const struct admin_request request = {
        .kind = ADMIN_CHANGE, .edit_count = 1, .edit[0] = {.kind = ADMIN_REMOVE, .node = 3}};

    CHECK(s, sim_elect(s, 0));
    calm_put(s, 0, 1, SMALL);
    cut_sides(s, true);
    CHECK(s, sim_ask(s, 0, &request));
    CHECK(s, sim_run_ns(s, 12 * calm_timeout_ns(s)));
    CHECK(s, sim_last(s, 0) > sim_commit(s, 0)); /* appended, and never to be committed */
    const uint32_t leader = sim_leader(s);
    CHECK(s, leader >= 2);
    CHECK(s, leader < 5);
    calm_put(s, leader, 1, SMALL);
    cut_sides(s, false);
    CHECK(s, sim_run_ns(s, 10 * calm_timeout_ns(s)));
    CHECK(s, sim_count(s, SIM_CONFIG_UNDONE) > 0);
    CHECK(s, is_voter(s, 2));

    const uint32_t joined = sim_join(s);
    CHECK(s, sim_run_ns(s, 2 * calm_timeout_ns(s)));
    change_done(s, leader, (struct admin_edit){.kind = ADMIN_ADD, .node = (uint16_t)(joined + 1)});
    CHECK(s, member(s, joined) != NULL);
    CHECK(s, sim_settle(s));
}

/* Goal:   a leader that removes itself serves until that is committed, and another one leads then.
 * Method: so it is asked; the answer is OK, the others take writes, and its own door serves nothing. */
static void leader_removes_itself(struct sim *s)
{
    CHECK(s, sim_elect(s, 0));
    calm_put(s, 0, 1, SMALL);
    change_done(s, 0, (struct admin_edit){.kind = ADMIN_REMOVE, .node = 1});
    CHECK(s, sim_run_ns(s, 10 * calm_timeout_ns(s)));
    const uint32_t leader = sim_leader(s);
    CHECK(s, leader == 1 || leader == 2);
    CHECK(s, member(s, 0) == NULL);
    CHECK(s, sim_count(s, SIM_JOINT) > 0);
    calm_put(s, leader, 1, SMALL);
    CHECK(s, sim_settle(s));
}

/* Goal:   a learner that has caught up for a while becomes a voter by itself, not before it has.
 * Method: it joins behind a cut: nothing happens; the cut is mended, and it is a voter soon. That the
 *         cluster then needs it is seen with two of the others dead. */
static void learner_is_promoted(struct sim *s)
{
    CHECK(s, sim_elect(s, 0));
    for (uint8_t key = 0; key < 4; key++)
        calm_put(s, 0, key, LARGE);
    const uint32_t joined = sim_join(s);
    CHECK(s, sim_run_ns(s, 2 * calm_timeout_ns(s)));
    change_done(
        s, 0,
        (struct admin_edit){.kind = ADMIN_ADD, .node = (uint16_t)(joined + 1), .promote = true});
    sim_isolate(s, joined, true);
    CHECK(s, sim_run_ns(s, WAIT_TIMEOUTS * calm_timeout_ns(s)));
    const bool before = is_voter(s, joined); /* it may have been quicker than the cut */
    sim_isolate(s, joined, false);
    CHECK(s, sim_run_ns(s, WAIT_TIMEOUTS * calm_timeout_ns(s)));
    CHECK(s, is_voter(s, joined));
    CHECK(s, before || sim_applied(s, joined) == sim_applied(s, 0));

    sim_crash(s, 2, SIM_KILL);
    calm_put(s, 0, 1, SMALL); /* three of four */
    sim_crash(s, 1, SIM_KILL);
    const uint64_t call = sim_put(s, 0, 2, SMALL);
    CHECK(s, call != 0);
    CHECK(s, sim_run_ns(s, 2 * calm_timeout_ns(s)));
    CHECK(s, !sim_answered(s, call)); /* two of four */
    CHECK(s, sim_restart(s, 1));
    CHECK(s, sim_restart(s, 2));
    CHECK(s, sim_settle(s));
}

/* Goal:   a node whose disk was emptied comes back under a new id, and takes the place of the lost
 *         voter in one joint change.
 * Method: it joins as a learner that replaces the voter; in the end there are three voters, the lost
 *         one is no member, and with it gone the cluster bears one more death. */
static void wiped_voter_is_replaced(struct sim *s)
{
    CHECK(s, sim_elect(s, 0));
    calm_put(s, 0, 1, LARGE);
    sim_wipe(s, 2);
    const uint32_t joined = sim_join(s);
    CHECK(s, sim_run_ns(s, 2 * calm_timeout_ns(s)));
    change_done(
        s, 0,
        (struct admin_edit){
            .kind = ADMIN_ADD, .node = (uint16_t)(joined + 1), .promote = true, .replaces = 3});
    CHECK(s, sim_run_ns(s, WAIT_TIMEOUTS * calm_timeout_ns(s)));
    CHECK(s, is_voter(s, joined));
    CHECK(s, member(s, 2) == NULL);
    CHECK(s, sim_members(s)->count == 3);
    sim_crash(s, 1, SIM_LOSE_UNSYNCED);
    calm_put(s, 0, 1, SMALL);
    CHECK(s, sim_restart(s, 1));
    CHECK(s, sim_settle(s));
}

/* Goal:   a change after which the new voters could not go on is refused, unless it is forced.
 * Method: with one of three voters dead another one is to go. Refused; forced it is begun, waits for the
 *         dead one and ends when that is back. */
static void unhealthy_change(struct sim *s)
{
    const struct admin_edit edit = {.kind = ADMIN_REMOVE, .node = 2};
    struct admin_request request = {
        .kind = ADMIN_CHANGE, .forced = true, .edit_count = 1, .edit[0] = edit};
    struct sim_verdict verdict;

    CHECK(s, sim_elect(s, 0));
    calm_put(s, 0, 1, SMALL);
    sim_crash(s, 2, SIM_KILL);
    CHECK(s, sim_run_ns(s, 3 * calm_timeout_ns(s)));
    verdict = change(s, 0, edit, false);
    CHECK(s, verdict.status == ANSWER_REFUSED);
    CHECK(s, verdict.refusal == ADMIN_REFUSAL_UNHEALTHY);
    CHECK(s, is_voter(s, 1));

    CHECK(s, sim_ask(s, 0, &request));
    CHECK(s, sim_run_ns(s, calm_timeout_ns(s) / 2));
    CHECK(s, !sim_told(s, 0, &verdict));
    CHECK(s, sim_restart(s, 2));
    CHECK(s, sim_run_ns(s, WAIT_TIMEOUTS * calm_timeout_ns(s)));
    CHECK(s, sim_settle(s));
    CHECK(s, member(s, 1) == NULL);
    CHECK(s, is_voter(s, 2));
}

/* In steps shorter than a frame is on its way, for WAIT_TIMEOUTS at most. */
static bool step_until(struct sim *s, bool (*there)(const struct sim *s, raft_index index),
                       raft_index index)
{
    const uint64_t end_ns = sim_now_ns(s) + WAIT_TIMEOUTS * calm_timeout_ns(s);

    while (!there(s, index) && sim_now_ns(s) < end_ns)
        CHECK(s, sim_run_ns(s, STEP_NS));
    return there(s, index);
}

static bool first_has(const struct sim *s, raft_index index)
{
    return sim_last(s, 0) == index;
}

static bool learner_has(const struct sim *s, raft_index index)
{
    return sim_last(s, 3) == index;
}

static bool another_leads(const struct sim *s, raft_index index)
{
    (void)index;
    return sim_leader(s) != UINT32_MAX;
}

/* Goal:   a learner that alone has an entry besides a dead voter leads until the others have it too,
 *         where a change that is not committed makes its vote needed.
 * Method: the leader of three appends alone that the learner is to be a voter, and dies. Another is
 *         elected; who has voted for it dies before anything else arrives, so that its first entry is
 *         on the learner's disk alone when it dies too, for good. Of the two voters that come back one
 *         needs three of four votes, of which the learner gives it none, and the other lacks what the
 *         first has. A write is served all the same, by way of one of them. */
static void learner_ahead_of_the_voters(struct sim *s)
{
    const struct admin_request promote = {
        .kind = ADMIN_CHANGE, .edit_count = 1, .edit[0] = {.kind = ADMIN_PROMOTE, .node = 4}};

    CHECK(s, sim_elect(s, 0));
    CHECK(s, sim_join(s) == 3);
    CHECK(s, sim_run_ns(s, 2 * calm_timeout_ns(s)));
    change_done(s, 0, (struct admin_edit){.kind = ADMIN_ADD, .node = 4});
    CHECK(s, sim_run_ns(s, WAIT_TIMEOUTS * calm_timeout_ns(s)));
    const raft_index common = sim_last(s, 0);
    CHECK(s, learner_has(s, common));

    for (uint32_t node = 1; node < 4; node++)
        sim_cut(s, 0, node, true); /* what they say, and have just said, it hears */
    CHECK(s, sim_ask(s, 0, &promote));
    CHECK(s, step_until(s, first_has, common + 1));
    CHECK(s, sim_run_ns(s, calm_timeout_ns(s) / 16)); /* and its disk has it */
    sim_crash(s, 0, SIM_KILL);
    CHECK(s, step_until(s, another_leads, 0));
    const uint32_t leader = sim_leader(s);
    CHECK(s, leader == 1 || leader == 2);
    const uint32_t voter = 3 - leader;
    sim_crash(s, voter, SIM_KILL);
    CHECK(s, step_until(s, learner_has, common + 1));
    CHECK(s, sim_run_ns(s, calm_timeout_ns(s) / 16));
    sim_crash(s, leader, SIM_KILL);

    for (uint32_t node = 1; node < 4; node++)
        sim_cut(s, 0, node, false);
    CHECK(s, sim_restart(s, 0));
    CHECK(s, sim_restart(s, voter));
    CHECK(s, sim_run_ns(s, STEP_NS));
    CHECK(s, sim_last(s, 0) == common + 1);
    CHECK(s, sim_last(s, voter) == common);
    CHECK(s, sim_run_ns(s, WAIT_TIMEOUTS * calm_timeout_ns(s)));
    CHECK(s, sim_leader(s) == 0 || sim_leader(s) == voter);
    CHECK(s, sim_count(s, SIM_CONFIG_UNDONE) > 0);
    calm_put(s, voter, 1, SMALL);
    CHECK(s, sim_restart(s, leader));
    CHECK(s, sim_settle(s));
}

SCENARIO(change_under_partition, 5)
SCENARIO(leader_removes_itself, 3)
SCENARIO(learner_ahead_of_the_voters, 3)
SCENARIO(learner_is_promoted, 3)
SCENARIO(wiped_voter_is_replaced, 3)
SCENARIO(unhealthy_change, 3)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_change_under_partition),
        cmocka_unit_test(test_leader_removes_itself),
        cmocka_unit_test(test_learner_ahead_of_the_voters),
        cmocka_unit_test(test_learner_is_promoted),
        cmocka_unit_test(test_wiped_voter_is_replaced),
        cmocka_unit_test(test_unhealthy_change),
    };
    return cmocka_run_group_tests(tests, calm_begin, calm_end);
}
