/* Goal:   what an operator asks of a node (base/admin.h) is done as a whole or refused with its
 *         reason, and answered when it is so: transfer of leadership, learners and their promotion
 *         by hand and by themselves, a wiped node replaced in one step, the leader removed. Writes
 *         go on everywhere, and a restart finds the members as they were.
 * Method: replicas of world.h, some of which are no members at first. */
#include "raftcore/joint.h"
#include "tests/replica/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct answer *ask(struct world *w, uint32_t n, const struct admin_request *request)
{
    return world_ask(w, n, REQUEST_ADMIN, request, sizeof *request);
}

static const struct answer *transfer(struct world *w, uint32_t n, uint16_t target)
{
    return ask(w, n, &(struct admin_request){.kind = ADMIN_TRANSFER, .target = target});
}

static const struct answer *edit(struct world *w, uint32_t n, const struct admin_edit *edits,
                                 uint32_t count)
{
    struct admin_request request = {.kind = ADMIN_CHANGE, .edit_count = count};

    for (uint32_t i = 0; i < count; i++)
        request.edit[i] = edits[i];
    return ask(w, n, &request);
}

static void is_done(struct world *w, const struct answer *answer)
{
    if (answer->status == ANSWER_REFUSED)
        print_message("refused: %s\n", admin_refusal_text((enum admin_refusal)answer->refusal));
    if (answer->status != ANSWER_OK)
        world_print(w);
    assert_int_equal(answer->status, ANSWER_OK);
}

static void is_refused(const struct answer *answer, enum admin_refusal why)
{
    assert_int_equal(answer->status, ANSWER_REFUSED);
    assert_string_equal(admin_refusal_text((enum admin_refusal)answer->refusal),
                        admin_refusal_text(why));
}

/* Done at the leader, whoever that is. */
static void change(struct world *w, const struct admin_edit *edits, uint32_t count)
{
    is_done(w, edit(w, world_leader(w), edits, count));
}

static void change_is_refused(struct world *w, struct admin_edit one, enum admin_refusal why)
{
    is_refused(edit(w, world_leader(w), &one, 1), why);
}

static const struct raft_member *member(struct world *w, uint32_t n, raft_node node)
{
    return raft_config_find(raft_config(replica_raft(w->machine[n].replica)), node);
}

static void put_everywhere_but(struct world *w, uint32_t stranger)
{
    static uint8_t value[100];

    for (uint32_t n = 0; n < w->count; n++)
        if (w->machine[n].replica != NULL && n != stranger)
            world_put(w, n, "key", value, n + 1);
}

static void put_everywhere(struct world *w)
{
    put_everywhere_but(w, UINT32_MAX);
}

static void leadership_goes_where_it_is_sent(void **state)
{
    struct world *w = world_open(3, 3);

    (void)state;
    for (uint32_t round = 0; round < 6; round++) {
        const uint32_t leader = world_leader(w);
        const uint32_t target = (leader + 1 + round % 2) % 3;
        is_done(w, transfer(w, leader, (uint16_t)(target + 1)));
        assert_int_equal(world_leader(w), target);
        put_everywhere(w);
        const struct answer *answer = transfer(w, leader, 0);
        assert_int_equal(answer->status, ANSWER_NOT_LEADER);
        assert_int_equal(answer->leader, target + 1);
    }
    const uint32_t last = world_leader(w);
    is_done(w, transfer(w, last, (uint16_t)(last + 1)));
    assert_int_equal(world_leader(w), last);
    is_done(w, transfer(w, last, 0));
    assert_true(world_leader(w) != last);
    is_refused(transfer(w, world_leader(w), 9), ADMIN_REFUSAL_TARGET);
    const uint32_t leader = world_leader(w);
    const uint32_t dead = (leader + 1) % 3;
    world_kill(w, dead);
    is_refused(transfer(w, leader, (uint16_t)(dead + 1)), ADMIN_REFUSAL_GIVEN_UP);
    world_put(w, leader, "key", "v", 1);
    world_close(w);
}

static void learner_is_added_and_promoted(void **state)
{
    struct world *w = world_open(5, 3);

    (void)state;
    put_everywhere(w);
    change_is_refused(w, (struct admin_edit){.kind = ADMIN_ADD, .node = 4}, ADMIN_REFUSAL_UNHEARD);
    world_start(w, 3);
    world_run_ms(w, 200);
    assert_int_equal(raft_last(replica_raft(w->machine[3].replica)), 0); /* it waits */
    change(w, &(struct admin_edit){.kind = ADMIN_ADD, .node = 4}, 1);
    assert_non_null(member(w, world_leader(w), 4));
    world_run_ms(w, 1000);
    assert_false(member(w, world_leader(w), 4)->voter);
    put_everywhere(w); /* node 4 takes writes too */
    change(w, &(struct admin_edit){.kind = ADMIN_PROMOTE, .node = 4}, 1);
    assert_true(member(w, 3, 4)->voter);
    world_start(w, 4);
    world_run_ms(w, 200);
    change(w, &(struct admin_edit){.kind = ADMIN_ADD, .node = 5, .promote = true, .priority = 3}, 1);
    world_run_ms(w, 1000);
    for (uint32_t n = 0; n < 5; n++) {
        assert_true(member(w, n, 5)->voter);
        assert_int_equal(member(w, n, 5)->priority, 3);
        assert_false(raft_config(replica_raft(w->machine[n].replica))->joint);
    }
    world_kill(w, 0);
    world_kill(w, 1);
    put_everywhere(w); /* three of five */
    world_close(w);
}

static void refusals_have_their_reason(void **state)
{
    struct world *w = world_open(5, 3);
    const uint32_t leader = world_leader(w);
    const raft_node other = (raft_node)((leader + 1) % 3 + 1);

    (void)state;
    world_start(w, 3);
    world_run_ms(w, 200);
    change_is_refused(w, (struct admin_edit){.kind = ADMIN_ADD, .node = other}, ADMIN_REFUSAL_IS_MEMBER);
    change_is_refused(w, (struct admin_edit){.kind = ADMIN_ADD, .node = 9}, ADMIN_REFUSAL_UNREACHABLE);
    change_is_refused(w, (struct admin_edit){.kind = ADMIN_REMOVE, .node = 4}, ADMIN_REFUSAL_NO_MEMBER);
    change_is_refused(w, (struct admin_edit){.kind = ADMIN_PROMOTE, .node = other}, ADMIN_REFUSAL_NO_LEARNER);
    change_is_refused(w, (struct admin_edit){.kind = 77, .node = other}, ADMIN_REFUSAL_MALFORMED);
    change_is_refused(w, (struct admin_edit){.kind = ADMIN_PRIORITY, .node = other}, ADMIN_REFUSAL_UNCHANGED);
    change_is_refused(w, (struct admin_edit){.kind = ADMIN_ADD, .node = 4, .replaces = other},
                      ADMIN_REFUSAL_MALFORMED); /* nothing will ever replace it */
    const struct admin_edit all[] = {{.kind = ADMIN_REMOVE, .node = 1},
                                     {.kind = ADMIN_REMOVE, .node = 2},
                                     {.kind = ADMIN_REMOVE, .node = 3}};
    is_refused(edit(w, leader, all, 3), ADMIN_REFUSAL_MALFORMED);
    const struct admin_edit voter[] = {{.kind = ADMIN_ADD, .node = 4}, {.kind = ADMIN_DEMOTE, .node = 4}};
    is_refused(edit(w, leader, voter, 2), ADMIN_REFUSAL_NO_VOTER);
    assert_int_equal(world_ask(w, leader, REQUEST_ADMIN, "short", 5)->status, ANSWER_BAD);
    const struct admin_request many = {.kind = ADMIN_CHANGE, .edit_count = ADMIN_EDITS_MAX + 1};
    assert_int_equal(ask(w, leader, &many)->status, ANSWER_BAD);
    assert_int_equal(edit(w, other - 1, all, 1)->status, ANSWER_NOT_LEADER);
    /* Without one of the three a second loss would be the last. */
    world_kill(w, other - 1);
    world_run_ms(w, 300);
    change_is_refused(w, (struct admin_edit){.kind = ADMIN_REMOVE, .node = (raft_node)(6 - other - (leader + 1))},
                      ADMIN_REFUSAL_UNHEALTHY);
    world_put(w, leader, "key", "v", 1);
    world_close(w);
}

/* A wiped node comes back under a new id, takes the place of the old one, and the old id is never
 * given again. */
static void wiped_node_is_replaced(void **state)
{
    struct world *w = world_open(5, 3);
    const uint32_t wiped = (world_leader(w) + 1) % 3;
    const raft_node old = (raft_node)(wiped + 1);

    (void)state;
    put_everywhere(w);
    world_kill(w, wiped);
    world_wipe(w, wiped);
    world_start(w, 3);
    world_run_ms(w, 200);
    change(w, &(struct admin_edit){.kind = ADMIN_ADD, .node = 4, .promote = true, .replaces = old}, 1);
    world_run_ms(w, 1000);
    const uint32_t leader = world_leader(w);
    assert_null(member(w, leader, old));
    assert_true(member(w, leader, 4)->voter);
    world_start(w, wiped); /* a new directory under the old id: it waits, and nobody takes it */
    world_run_ms(w, 200);
    change_is_refused(w, (struct admin_edit){.kind = ADMIN_ADD, .node = old}, ADMIN_REFUSAL_INCARNATION);
    assert_int_equal(raft_last(replica_raft(w->machine[wiped].replica)), 0);
    world_kill(w, wiped);
    put_everywhere(w);
    world_close(w);
}

/* Whoever is no member, or not any more, is answered for all that: nobody takes its requests. */
static void strangers_are_answered(void **state)
{
    struct world *w = world_open(4, 3);
    const uint32_t removed = (world_leader(w) + 1) % 3;
    uint8_t bytes[128];
    const struct command query = {.kind = QUERY_RANGE, .key = {(const uint8_t *)"key", 3}};
    const uint32_t length = command_encode(&query, bytes);

    (void)state;
    world_start(w, 3);
    put_everywhere_but(w, 3);
    change(w, &(struct admin_edit){.kind = ADMIN_REMOVE, .node = (raft_node)(removed + 1)}, 1);
    assert_int_equal(world_ask(w, 3, REQUEST_READ, bytes, length)->status, ANSWER_TIMED_OUT);
    assert_int_equal(world_ask(w, removed, REQUEST_READ, bytes, length)->status, ANSWER_TIMED_OUT);
    world_close(w);
}

/* As its own status has it. */
static bool is_left_out(struct world *w, uint32_t n)
{
    world_run_ms(w, 500);
    return published_get(&w->machine[n].counters.left_out) != 0;
}

/* It is sent nothing any more once its removal is appended, and is to know of it all the same: the
 * voter that campaigns, the learner that is silent, who was down meanwhile. Nobody else, and it no
 * more when it is a member again. */
static void removed_node_is_told(void **state)
{
    struct world *w = world_open(4, 4);
    const uint32_t removed = (world_leader(w) + 1) % 4;
    const struct admin_edit remove = {.kind = ADMIN_REMOVE, .node = (raft_node)(removed + 1)};
    const struct admin_edit add = {.kind = ADMIN_ADD, .node = (raft_node)(removed + 1)};

    (void)state;
    change(w, &remove, 1);
    assert_non_null(member(w, removed, remove.node)); /* as far as it knows */
    assert_true(is_left_out(w, removed));
    for (uint32_t n = 0; n < 4; n++)
        assert_true(n == removed || !is_left_out(w, n));
    change(w, &add, 1);
    assert_false(is_left_out(w, removed));
    change(w, &remove, 1);
    assert_true(is_left_out(w, removed));
    world_kill(w, removed);
    world_start(w, removed);
    assert_true(is_left_out(w, removed));
    change(w, &add, 1);
    world_kill(w, removed);
    change(w, &remove, 1);
    world_run_ms(w, 500);
    world_start(w, removed);
    assert_true(is_left_out(w, removed));
    world_close(w);
}

static void leader_is_removed(void **state)
{
    struct world *w = world_open(4, 4);
    const uint32_t leader = world_leader(w);
    uint32_t voters = 0;

    (void)state;
    change(w, &(struct admin_edit){.kind = ADMIN_REMOVE, .node = (raft_node)(leader + 1)}, 1);
    world_run_ms(w, 500);
    const uint32_t next = world_leader(w);
    assert_true(next != leader);
    assert_null(member(w, next, (raft_node)(leader + 1)));
    assert_true(is_left_out(w, leader));
    world_kill(w, leader);
    put_everywhere(w);
    /* All at once: a voter goes, another becomes a learner that does not come back by itself. */
    const struct admin_edit edits[] = {
        {.kind = ADMIN_DEMOTE, .node = (raft_node)(next + 1)},
        {.kind = ADMIN_PRIORITY, .node = (raft_node)(next + 1), .priority = 9}};
    change(w, edits, 2);
    world_run_ms(w, 1000);
    const struct raft_config *config = raft_config(replica_raft(w->machine[world_leader(w)].replica));
    for (uint32_t i = 0; i < config->count; i++)
        voters += config->member[i].voter;
    assert_int_equal(config->count, 3);
    assert_int_equal(voters, 2);
    assert_true(world_leader(w) != next);
    put_everywhere(w);
    world_close(w);
}

/* A leader cut off from its followers appends a change that can't be committed, and restarts; the
 * others have gone on without it. It must fall back to the members it had before. */
static void change_is_undone_after_a_restart(void **state)
{
    struct world *w = world_open(4, 3);
    const uint32_t leader = world_leader(w);
    const uint32_t others[] = {(leader + 1) % 3, (leader + 2) % 3};
    const struct admin_request add = {
        .kind = ADMIN_CHANGE,
        .forced = true,
        .edit_count = 1,
        .edit = {{.kind = ADMIN_ADD, .node = 4, .incarnation = 4444}},
    };

    (void)state;
    put_everywhere(w);
    world_kill(w, others[0]);
    world_kill(w, others[1]);
    world_push(w, leader, REQUEST_ADMIN, &add, sizeof add);
    world_run_ms(w, 20);
    assert_non_null(member(w, leader, 4));
    world_kill(w, leader);
    world_start(w, others[0]);
    world_start(w, others[1]);
    put_everywhere(w);
    world_start(w, leader);
    assert_non_null(member(w, leader, 4));
    world_run_ms(w, 300);
    assert_null(member(w, leader, 4));
    world_kill(w, world_leader(w) == others[0] ? others[0] : others[1]);
    put_everywhere(w); /* it is a voter as before */
    world_close(w);
}

/* A frame may be full of configurations for who catches up. */
static void learner_takes_many_changes_at_once(void **state)
{
    struct world *w = world_open(4, 3);

    (void)state;
    world_leader(w);
    for (uint8_t i = 1; i <= 20; i++)
        change(w, &(struct admin_edit){.kind = ADMIN_PRIORITY, .node = 1, .priority = i}, 1);
    world_start(w, 3);
    world_run_ms(w, 200);
    change(w, &(struct admin_edit){.kind = ADMIN_ADD, .node = 4, .promote = true}, 1);
    world_run_ms(w, 1000);
    assert_true(member(w, world_leader(w), 4)->voter);
    world_close(w);
}

/* Members are kept in the order of their ids, in whatever order they come and go. */
static void members_stand_in_order(void **state)
{
    struct world *w = world_open(5, 3);

    (void)state;
    world_leader(w);
    world_start(w, 3);
    world_start(w, 4);
    world_run_ms(w, 200);
    change(w, &(struct admin_edit){.kind = ADMIN_ADD, .node = 5}, 1);
    change(w, &(struct admin_edit){.kind = ADMIN_ADD, .node = 4}, 1);
    const struct raft_config *config = raft_config(replica_raft(w->machine[world_leader(w)].replica));
    assert_int_equal(config->count, 5);
    for (uint32_t i = 0; i < config->count; i++)
        assert_int_equal(config->member[i].node, i + 1);
    put_everywhere(w);
    world_close(w);
}

static void members_survive_a_restart(void **state)
{
    struct world *w = world_open(5, 3);

    (void)state;
    world_leader(w);
    world_start(w, 3);
    world_run_ms(w, 200);
    change(w, &(struct admin_edit){.kind = ADMIN_ADD, .node = 4, .promote = true}, 1);
    world_run_ms(w, 1000);
    change(w, &(struct admin_edit){.kind = ADMIN_PRIORITY, .node = 2, .priority = 5}, 1);
    put_everywhere(w);
    for (uint32_t n = 0; n < 4; n++)
        world_kill(w, n);
    for (uint32_t n = 1; n < 4; n++)
        world_start(w, n);
    put_everywhere(w); /* three of four, one of which was not there at first */
    assert_int_equal(member(w, world_leader(w), 2)->priority, 5);
    assert_true(member(w, world_leader(w), 4)->voter);
    world_close(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leadership_goes_where_it_is_sent),
        cmocka_unit_test(learner_is_added_and_promoted),
        cmocka_unit_test(refusals_have_their_reason),
        cmocka_unit_test(wiped_node_is_replaced),
        cmocka_unit_test(strangers_are_answered),
        cmocka_unit_test(removed_node_is_told),
        cmocka_unit_test(leader_is_removed),
        cmocka_unit_test(members_survive_a_restart),
        cmocka_unit_test(members_stand_in_order),
        cmocka_unit_test(change_is_undone_after_a_restart),
        cmocka_unit_test(learner_takes_many_changes_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
