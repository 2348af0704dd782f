/* Goal:   configurations as values: what is sound, and that a joint one leads where it should.
 * Method: every rule of soundness broken alone; a hundred thousand pairs of random configurations
 *         joined and left again; every quorum of a joint one meets those of both its neighbours.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/prng.h"
#include "raftcore/joint.h"
#include "raftcore/raft.h"

enum { PAIRS = 100000, NODES = 12 };

static const struct raft_config plain = {
    .count = 3,
    .member = {{.node = 1, .incarnation = 11, .voter = true},
               {.node = 2, .incarnation = 12, .voter = true},
               {.node = 5, .incarnation = 15, .promote = true, .replaces = 2}},
};

static void each_rule_of_soundness(void **state)
{
    struct raft_config c = plain;

    (void)state;
    assert_true(raft_config_is_sound(&c));
    c.count = 0;
    assert_false(raft_config_is_sound(&c));
    c.count = RAFT_MEMBERS_MAX + 1;
    assert_false(raft_config_is_sound(&c));
    const struct raft_member broken[] = {
        {.node = 0},
        {.node = 1},
        {.node = 2},
        {.node = 5, .voter_old = true},
        {.node = 5, .leaves = true},
        {.node = 5, .promote = true, .voter = true},
        {.node = 5, .replaces = 2},
        {.node = 5, .promote = true, .replaces = 5},
    };
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        c = plain;
        c.member[2] = broken[i];
        assert_false(raft_config_is_sound(&c));
    }
    c = plain;
    c.member[0].voter = false;
    c.member[1].voter = false;
    assert_false(raft_config_is_sound(&c));
    c = plain;
    c.joint = true; /* without an old half */
    assert_false(raft_config_is_sound(&c));
    c.member[0].voter_old = true;
    assert_true(raft_config_is_sound(&c));
    c.member[0].leaves = true; /* who leaves is no voter of the new half */
    assert_false(raft_config_is_sound(&c));
    c.member[0].voter = false;
    assert_true(raft_config_is_sound(&c));
    c.member[2].leaves = true; /* nor is it promoted */
    assert_false(raft_config_is_sound(&c));
}

static void equal_in_every_field(void **state)
{
    const struct raft_member others[] = {
        {.node = 6, .incarnation = 15, .promote = true, .replaces = 2},
        {.node = 5, .incarnation = 16, .promote = true, .replaces = 2},
        {.node = 5, .incarnation = 15, .promote = true, .replaces = 1},
        {.node = 5, .incarnation = 15, .promote = true, .replaces = 2, .priority = 1},
        {.node = 5, .incarnation = 15, .promote = true, .replaces = 2, .voter = true},
        {.node = 5, .incarnation = 15, .promote = true, .replaces = 2, .voter_old = true},
        {.node = 5, .incarnation = 15, .promote = true, .replaces = 2, .leaves = true},
        {.node = 5, .incarnation = 15, .replaces = 2},
    };
    struct raft_config c = plain;

    (void)state;
    assert_true(raft_config_is_equal(&c, &plain));
    c.joint = true;
    assert_false(raft_config_is_equal(&c, &plain));
    c = plain;
    c.count = 2;
    assert_false(raft_config_is_equal(&c, &plain));
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        c = plain;
        c.member[2] = others[i];
        assert_false(raft_config_is_equal(&c, &plain));
    }
}

static void draw(struct prng *p, struct raft_config *c)
{
    do {
        *c = (struct raft_config){.count = 0};
        for (uint32_t node = 1; node <= NODES && c->count < RAFT_MEMBERS_MAX; node++) {
            if (prng_chance(p, 500000))
                c->member[c->count++] = (struct raft_member){.node = (raft_node)node,
                                                             .incarnation = 100 + node,
                                                             .voter = prng_chance(p, 500000)};
        }
    } while (!raft_config_is_sound(c));
}

static bool is_voter(const struct raft_config *c, uint32_t node, bool old)
{
    const struct raft_member *m = raft_config_find(c, (raft_node)node);

    return m != NULL && (old ? m->voter_old : m->voter);
}

/* The halves are the voters of the two, so a majority of each half is one of each of the two. */
static void joint_has_both_halves(void **state)
{
    uint32_t joined = 0;
    struct prng p;

    (void)state;
    prng_seed(&p, 1);
    for (uint32_t i = 0; i < PAIRS; i++) {
        struct raft_config from;
        struct raft_config to;
        struct raft_config joint;
        struct raft_config left;
        draw(&p, &from);
        draw(&p, &to);
        if (!raft_config_join(&from, &to, &joint))
            continue;
        joined++;
        assert_true(raft_config_is_sound(&joint));
        for (uint32_t node = 1; node <= NODES; node++) {
            assert_int_equal(is_voter(&joint, node, true), is_voter(&from, node, false));
            assert_int_equal(is_voter(&joint, node, false), is_voter(&to, node, false));
        }
        raft_config_leave(&joint, &left);
        assert_true(raft_config_is_equal(&left, &to));
        assert_int_equal(raft_config_has_same_voters(&from, &to),
                         raft_config_has_same_voters(&to, &from));
    }
    assert_in_range(joined, PAIRS / 10, PAIRS - 1); /* and some were too many */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_rule_of_soundness),
        cmocka_unit_test(equal_in_every_field),
        cmocka_unit_test(joint_has_both_halves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
