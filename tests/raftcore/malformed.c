/* Goal:   no field of a message, however absurd, is believed or hurts (F23); what the core tells
 *         about itself is so.
 * Method: a sound message of each kind with one field at a time out of its range; each is counted as
 *         ignored and leaves term, role, leader, commit and log as they were.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "raftcore/raft.h"

enum { MS = 1000000 };

static const struct raft_options options = {
    .node = 1,
    .incarnation = 11,
    .seq_first = (raft_seq)1 << RAFT_SEQ_COUNTER_BITS,
    .heartbeat_ns = 10 * MS,
    .election_min_ns = 100 * MS,
    .election_max_ns = 200 * MS,
    .resend_ns = 50 * MS,
    .append_bytes_max = 1000,
    .inflight_msgs_max = 4,
    .inflight_bytes_max = 4000,
    .window = 64,
};
static const struct raft_run runs[] = {{.first = 1, .term = 1}, {.first = 3, .term = 2}};
static struct raft_effects fx;

static struct raft *start(uint32_t members)
{
    struct raft_recovered recovered = {.term = 2,
                                       .vote = 1,
                                       .vote_incarnation = 11,
                                       .last = 4,
                                       .commit = 1,
                                       .run_count = 2,
                                       .runs = runs,
                                       .config_count = 1,
                                       .configs = {{.index = 1}}};
    struct raft_config *config = &recovered.configs[0].config;

    for (; config->count < members; config->count++)
        config->member[config->count] = (struct raft_member){.node = (raft_node)(config->count + 1),
                                                             .incarnation = 11 + config->count,
                                                             .voter = true};
    return raft_init(malloc(raft_bytes(&options)), &options, &recovered, MS);
}

static void step(struct raft *r, struct raft_event ev, uint64_t now_ns)
{
    ev.now_ns = now_ns;
    raft_step(r, &ev, &fx);
}

static void must_ignore(struct raft *r, const struct raft_msg *m)
{
    const uint64_t ignored = raft_ignored(r);

    step(r, (struct raft_event){.type = RAFT_EV_MESSAGE, .msg = m}, MS);
    assert_int_equal(raft_ignored(r), ignored + 1);
    assert_int_equal(raft_term_now(r), 2);
    assert_int_equal(raft_role(r), RAFT_FOLLOWER);
    assert_int_equal(raft_leader(r), 0);
    assert_int_equal(raft_commit(r), 1);
    assert_int_equal(raft_last(r), 4);
    assert_int_equal(fx.send_count, 0);
    assert_false(fx.hard_state.set);
    assert_true(fx.append.first > fx.append.last);
}

static void each_field_alone(void **state)
{
    static const struct raft_config unsound = {.count = 1, .member = {{.node = 1}}};
    const struct raft_entry sound_entry = {.term = 3, .bytes = 64};
    struct raft *r = start(3);

    (void)state;
    for (uint8_t type = RAFT_MSG_FIRST; type <= RAFT_MSG_LAST; type++) {
        const struct raft_msg sound = {.type = type,
                                       .from = 2,
                                       .to = 1,
                                       .incarnation = 12,
                                       .term = 3,
                                       .prev_index = 4,
                                       .prev_term = 2};
        const uint64_t above = RAFT_WORD_MAX + 1;
        struct raft_msg m[13];
        for (uint32_t i = 0; i < 13; i++)
            m[i] = sound;
        m[0].from = 0;
        m[1].from = 1;
        m[2].to = 2;
        m[3].incarnation = 13;
        m[4].term = 0;
        m[5].term = above;
        m[6].prev_term = 4;
        m[7].prev_index = above;
        m[8].commit = above;
        m[9].match = above;
        m[10].last = above;
        m[11].hint_term = above;
        m[12].hint_index = above;
        for (uint32_t i = 0; i < 13; i++)
            must_ignore(r, &m[i]);
    }
    struct raft_entry entry[6];
    struct raft_msg append = {.type = RAFT_MSG_APPEND,
                              .from = 2,
                              .to = 1,
                              .incarnation = 12,
                              .term = 3,
                              .prev_index = 4,
                              .prev_term = 2,
                              .count = RAFT_APPEND_ENTRIES_MAX + 1,
                              .entries = &sound_entry};
    must_ignore(r, &append);
    append.count = 1;
    append.entries = NULL;
    must_ignore(r, &append);
    for (uint32_t i = 0; i < 6; i++)
        entry[i] = sound_entry;
    entry[0].term = 0;
    entry[1].term = 1;
    entry[2].term = 4;
    entry[3].bytes = 0;
    entry[4].config = &unsound;
    for (uint32_t i = 0; i < 5; i++) {
        append.entries = &entry[i];
        must_ignore(r, &append);
    }
    append.entries = &entry[5];
    append.prev_index = RAFT_WORD_MAX;
    must_ignore(r, &append);
    free(r);
}

static void unknown_types(void **state)
{
    struct raft *r = start(3);
    struct raft_msg m = {.from = 2, .to = 1, .incarnation = 12, .term = 2};

    (void)state;
    must_ignore(r, &m);
    m.type = RAFT_MSG_LAST + 1;
    must_ignore(r, &m);
    free(r);
}

static void getters_tell(void **state)
{
    struct raft *r = start(1);
    raft_index run_last = 0;

    (void)state;
    assert_int_equal(raft_vote(r), 1);
    assert_int_equal(raft_durable_index(r), 4);
    assert_int_equal(raft_match(r, 1), 0); /* nobody's, before we lead */
    assert_int_equal(raft_term_at(r, 1, &run_last), 1);
    assert_int_equal(run_last, 2);
    assert_int_equal(raft_term_at(r, 4, &run_last), 2);
    assert_int_equal(run_last, 4);
    assert_int_equal(raft_term_at(r, 0, &run_last), 0);
    assert_int_equal(run_last, 0);
    assert_int_equal(raft_term_at(r, 5, &run_last), 0);
    assert_int_equal(raft_term_at(r, 5, NULL), 0);

    step(r, (struct raft_event){.type = RAFT_EV_TICK}, 1000 * MS); /* a timeout is over by far */
    step(r, (struct raft_event){.type = RAFT_EV_DURABLE, .seq = raft_seq_last(r)}, 1000 * MS);
    assert_int_equal(raft_role(r), RAFT_LEADER);
    assert_int_equal(raft_match(r, 1), 4); /* our own first entry is not flushed */
    assert_int_equal(raft_match(r, 2), 0);
    step(r, (struct raft_event){.type = RAFT_EV_PROPOSE}, 1000 * MS); /* of nothing */
    assert_int_equal(raft_last(r), 5);
    free(r);
    r = start(2);
    assert_int_equal(raft_match(r, 2), 0);
    free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_field_alone),
        cmocka_unit_test(unknown_types),
        cmocka_unit_test(getters_tell),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
