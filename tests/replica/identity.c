/* Goal:   who is who: a frame counts only between the newest boots of the incarnations that the
 *         configuration names; an empty log takes no part before all initial members have said that
 *         theirs are empty; a copy of a directory, an older disk and an impostor are found out and
 *         told, and nobody else stops.
 * Method: one real node, whose peers are puppets. */
#include "replica/config_record.h"
#include "tests/replica/puppet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum {
    ELECTION_MS = 200,  /* the longest timeout */
    LONG_MS = 10 * ELECTION_MS,
    HELLO_ROUND_MS = 60, /* five heartbeats, and the way */
};

static const struct frame hello_empty = {.type = FRAME_HELLO,
                                         .hello = {.log_empty = true, .wants_answer = true}};

static const struct raft *real_raft(const struct puppets *s)
{
    return replica_raft(s->w->machine[0].replica);
}

/* Counters are published once a heartbeat interval, by a poll that did something: a timer at the latest. */
static uint64_t counted(const struct puppets *s, enum frame_verdict verdict)
{
    const struct published *count = &s->w->machine[0].counters.raft_frames[verdict];

    for (uint32_t ms = 0; ms <= ELECTION_MS + 20 && published_get(count) == 0; ms++)
        world_run_ms(s->w, 1);
    return published_get(count);
}

static enum replica_stop stopped(const struct puppets *s)
{
    world_run_ms(s->w, 2);
    return (enum replica_stop)published_get(&s->w->machine[0].view.stop);
}

static void heartbeat(struct puppet *p, raft_term term)
{
    puppet_say(p, &(struct raft_msg){.type = RAFT_MSG_HEARTBEAT, .term = term});
}

static bool campaigns(struct puppets *s)
{
    puppet_drop(s->two);
    return puppet_next(s->two, FRAME_RAFT, RAFT_MSG_PREVOTE, LONG_MS) != NULL;
}

static bool votes(struct puppets *s, raft_term term)
{
    puppet_drop(s->two);
    puppet_say(s->two, &(struct raft_msg){.type = RAFT_MSG_VOTE, .term = term});
    const struct frame *f = puppet_next(s->two, FRAME_RAFT, RAFT_MSG_VOTE_REPLY, 20);
    return f != NULL && !f->raft.reject;
}

static void empty_log_waits_for_all(void **state)
{
    struct puppets s;
    const struct frame not_empty = {.type = FRAME_HELLO, .hello = {.wants_answer = true, .last = 9}};

    (void)state;
    puppets_open(&s);
    assert_false(campaigns(&s));
    puppet_send(s.two, &hello_empty);
    assert_false(votes(&s, 1));
    puppet_send(s.three, &not_empty); /* it has a log that this node may have had a part in */
    assert_false(campaigns(&s));
    assert_false(votes(&s, 1));
    assert_int_equal(raft_config(real_raft(&s))->count, 0);
    s.three->boot++; /* what an earlier life of it said counts no more, nor what this one has not */
    heartbeat(s.three, 1);
    assert_false(votes(&s, 2));
    puppets_close(&s);
}

static void first_configuration_has_the_incarnations_learned(void **state)
{
    struct puppets s;

    (void)state;
    puppets_open(&s);
    puppets_begin(&s);
    const struct raft_config *config = raft_config(real_raft(&s));
    for (uint32_t i = 0; i < 3; i++) {
        assert_true(config->member[i].voter);
        assert_int_equal(config->member[i].incarnation, s.w->machine[i].incarnation);
    }
    assert_true(campaigns(&s));
    puppets_close(&s);
}

static void earlier_words_do_not_begin_a_cluster(void **state)
{
    struct puppets s;

    (void)state;
    puppets_open(&s);
    puppet_send(s.two, &hello_empty);
    world_run_ms(s.w, 1);
    s.two->boot++;
    heartbeat(s.two, 1); /* a new life, which has not said so */
    puppet_send(s.three, &hello_empty);
    world_run_ms(s.w, 1);
    assert_int_equal(raft_config(real_raft(&s))->count, 0);
    const struct frame to_nobody = {
        .type = FRAME_HELLO,
        .source = 2,
        .source_boot = s.two->boot,
        .source_incarnation = s.two->incarnation,
        .target = 1,
        .hello = {.log_empty = true},
    };
    puppet_send_as_it_is(s.two, &to_nobody); /* nor has it said so to this node */
    world_run_ms(s.w, 1);
    assert_int_equal(raft_config(real_raft(&s))->count, 0);
    puppet_send(s.two, &hello_empty);
    world_run_ms(s.w, 1);
    assert_int_equal(raft_config(real_raft(&s))->count, 3);
    puppets_close(&s);
}

/* As it was said when the cluster began, to whoever had the name then; or to nobody in particular. */
static void words_of_the_past_begin_no_cluster(void **state)
{
    struct puppets s;

    (void)state;
    puppets_open(&s);
    const struct machine *real = &s.w->machine[0];
    const uint64_t to[][2] = {
        {0, 0}, {real->incarnation + 1, real->boot}, {real->incarnation, real->boot - 1}};
    for (uint32_t i = 0; i < 3; i++) {
        struct frame f = hello_empty;
        f.target = 1;
        f.target_incarnation = to[i][0];
        f.target_boot = (uint32_t)to[i][1];
        f.source = 2;
        f.source_boot = s.two->boot;
        f.source_incarnation = s.two->incarnation;
        puppet_send_as_it_is(s.two, &f);
        f.source = 3;
        f.source_boot = s.three->boot;
        f.source_incarnation = s.three->incarnation;
        puppet_send_as_it_is(s.three, &f);
        world_run_ms(s.w, HELLO_ROUND_MS);
        assert_int_equal(raft_config(real_raft(&s))->count, 0);
    }
    puppets_begin(&s);
    puppets_close(&s);
}

/* Every frame names both ends by (node, incarnation, boot). */
static void frames_name_both_ends(void **state)
{
    struct puppets s;

    (void)state;
    puppets_open(&s);
    puppets_begin(&s);
    const struct frame *f = puppet_next(s.three, FRAME_RAFT, RAFT_MSG_PREVOTE, LONG_MS);
    assert_non_null(f);
    assert_int_equal(f->source, 1);
    assert_int_equal(f->source_incarnation, s.w->machine[0].incarnation);
    assert_int_equal(f->source_boot, s.w->machine[0].boot);
    assert_int_equal(f->target, 3);
    assert_int_equal(f->target_incarnation, s.three->incarnation);
    assert_int_equal(f->target_boot, s.three->boot);
    puppets_close(&s);
}

/* The first of the next HELLOs that refuses or accuses; NULL: none does. */
static const struct frame *told(struct puppet *p)
{
    for (uint32_t i = 0; i < 4; i++) {
        const struct frame *f = puppet_next(p, FRAME_HELLO, 0, HELLO_ROUND_MS);
        if (f != NULL && (f->hello.refused || f->hello.accused_boot != 0))
            return f;
    }
    return NULL;
}

static bool is_refused(struct puppet *p)
{
    const struct frame *f = told(p);

    return f != NULL && f->hello.refused;
}

static void other_incarnation_is_told_and_not_heard(void **state)
{
    struct puppets s;

    (void)state;
    puppets_open(&s);
    puppets_begin(&s);
    s.two->incarnation++;
    heartbeat(s.two, 5);
    assert_int_equal(counted(&s, FRAME_STRANGER_VERDICT), 1);
    assert_true(raft_term_now(real_raft(&s)) < 5);
    assert_true(is_refused(s.two));
    puppets_close(&s);
}

/* Seed 16914 of the simulator: it never stopped, for its frames were dropped by their boots first. */
static void stranger_that_knows_old_boots_is_told(void **state)
{
    struct puppets s;

    (void)state;
    puppets_open(&s);
    puppets_elect(&s);
    world_kill(s.w, 0);
    world_start(s.w, 0);
    world_run_ms(s.w, HELLO_ROUND_MS);
    puppet_drop(s.two);
    const struct frame f = {
        .type = FRAME_CREDIT,
        .source = 2,
        .source_boot = 1,
        .source_incarnation = s.two->incarnation + 1,
        .target = 1,
        .target_boot = s.w->machine[0].boot - 1,
        .target_incarnation = s.w->machine[0].incarnation,
    };
    puppet_send_as_it_is(s.two, &f);
    assert_true(is_refused(s.two));
    puppets_close(&s);
}

static void frames_for_others_are_not_heard(void **state)
{
    struct puppets s;

    (void)state;
    puppets_open(&s);
    puppets_begin(&s);
    struct frame f = {
        .type = FRAME_RAFT,
        .source = 2,
        .source_boot = s.two->boot,
        .source_incarnation = s.two->incarnation,
        .target = 1,
        .target_boot = s.w->machine[0].boot,
        .target_incarnation = s.w->machine[0].incarnation + 1,
        .raft = {.type = RAFT_MSG_HEARTBEAT, .from = 2, .to = 1, .term = 5,
                 .incarnation = s.two->incarnation},
    };
    puppet_send_as_it_is(s.two, &f);
    assert_int_equal(counted(&s, FRAME_TARGET_VERDICT), 1);
    puppet_drop(s.two);
    f.target_incarnation--;
    f.target_boot--;
    puppet_send_as_it_is(s.two, &f);
    assert_int_equal(counted(&s, FRAME_STALE_BOOT_VERDICT), 1);
    assert_true(raft_term_now(real_raft(&s)) < 5);
    assert_non_null(puppet_next(s.two, FRAME_HELLO, 0, HELLO_ROUND_MS)); /* this is my boot */
    f.target_boot++;
    puppet_send_as_it_is(s.two, &f);
    world_run_ms(s.w, 1);
    assert_int_equal(raft_term_now(real_raft(&s)), 5);
    puppets_close(&s);
}

/* A copy of a directory, or an old backup, runs under an earlier boot than one that was heard. */
static void earlier_boot_is_accused(void **state)
{
    struct puppets s;

    (void)state;
    puppets_open(&s);
    puppets_begin(&s);
    s.two->boot = 8;
    puppet_send(s.two, &hello_empty);
    puppet_lead(s.two, 1, 1);
    puppet_drop(s.two);
    s.two->boot = 7;
    heartbeat(s.two, 5);
    assert_int_equal(counted(&s, FRAME_STALE_BOOT_VERDICT), 1);
    assert_int_equal(raft_term_now(real_raft(&s)), 1);
    const struct frame *f = told(s.two);
    assert_non_null(f);
    assert_int_equal(f->hello.accused_boot, 7);
    puppets_close(&s);
}

static void accused_node_stops(void **state)
{
    struct puppets s;

    (void)state;
    puppets_open(&s);
    s.w->may_stop = true;
    puppets_begin(&s);
    struct frame f = {.type = FRAME_HELLO,
                      .hello = {.accused_boot = s.w->machine[0].boot - 1}};
    puppet_send(s.two, &f);
    assert_int_equal(stopped(&s), REPLICA_STOP_NONE); /* of an earlier boot of this node */
    f.hello.accused_boot++;
    puppet_send(s.two, &f);
    assert_int_equal(stopped(&s), REPLICA_STOP_SUPERSEDED);
    puppets_close(&s);
}

static void refused_node_stops(void **state)
{
    struct puppets s;

    (void)state;
    puppets_open(&s);
    s.w->may_stop = true;
    puppets_begin(&s);
    struct frame f = {
        .type = FRAME_HELLO,
        .source = 2,
        .source_boot = s.two->boot,
        .source_incarnation = s.two->incarnation,
        .target = 1,
        .target_incarnation = s.w->machine[0].incarnation,
        .hello = {.refused = true},
    };
    puppet_send_as_it_is(s.two, &f);
    assert_int_equal(stopped(&s), REPLICA_STOP_NONE); /* meant for who used our name */
    f.target_incarnation++;
    struct frame other = f;
    other.source = 3;
    other.source_incarnation = s.three->incarnation;
    other.target = 2;
    puppet_send_as_it_is(s.three, &other);
    assert_int_equal(stopped(&s), REPLICA_STOP_NONE); /* meant for a neighbour */
    puppet_send_as_it_is(s.two, &f);
    assert_int_equal(stopped(&s), REPLICA_STOP_STRANGER);
    puppets_close(&s);
}

/* A put that no other disk has yet has index 2, after the real node was elected. */
static void elect_and_put(struct puppets *s)
{
    puppets_open(s);
    puppets_elect(s);
    world_push(s->w, 0, REQUEST_PROPOSE, "x", 1);
    world_run_ms(s->w, 2);
    assert_int_equal(raft_last(real_raft(s)), 2);
    puppet_drop(s->two);
    puppet_restart(s->two);
}

static void say_last(struct puppets *s, raft_index last)
{
    puppet_send(s->two, &(struct frame){.type = FRAME_HELLO, .hello = {.last = last}});
    world_run_ms(s->w, 1);
}

static void nothing_of_a_boot_counts_before_its_hello(void **state)
{
    struct puppets s;

    (void)state;
    elect_and_put(&s);
    const raft_term term = raft_term_now(real_raft(&s));
    puppet_acknowledge(s.two, term, 2);
    const struct frame *f = puppet_next(s.two, FRAME_HELLO, 0, 2); /* asked for at once */
    assert_non_null(f);
    assert_true(f->hello.wants_answer);
    assert_int_equal(counted(&s, FRAME_UNPROVEN_VERDICT), 1);
    assert_int_equal(raft_commit(real_raft(&s)), 1);
    say_last(&s, 2);
    assert_int_equal(raft_commit(real_raft(&s)), 1); /* it says what it has, and promises nothing */
    assert_int_equal(raft_match(real_raft(&s), 2), 1); /* what was acknowledged durably stays */
    puppet_acknowledge(s.two, term, 2);
    world_run_ms(s.w, 1);
    assert_int_equal(raft_commit(real_raft(&s)), 2);
    puppets_close(&s);
}

/* Its log ends before what the same incarnation has acknowledged to us: told, and not counted. */
static void older_disk_is_convicted(void **state)
{
    struct puppets s;

    (void)state;
    elect_and_put(&s);
    say_last(&s, 0);
    assert_int_equal(raft_match(real_raft(&s), 2), 0);
    puppet_acknowledge(s.two, raft_term_now(real_raft(&s)), 2);
    assert_int_equal(counted(&s, FRAME_STRANGER_VERDICT), 1);
    assert_int_equal(raft_match(real_raft(&s), 2), 0);
    assert_int_equal(raft_commit(real_raft(&s)), 1);
    const struct frame *f = told(s.two);
    assert_non_null(f);
    assert_int_equal(f->hello.accused_boot, s.two->boot);
    puppets_close(&s);
}

/* A copy under the boot number of the true one, whose own HELLO was lost: what it answers gives it away. */
static void older_disk_of_the_same_boot_is_asked(void **state)
{
    struct puppets s;

    (void)state;
    elect_and_put(&s);
    say_last(&s, 2);
    puppet_drop(s.two);
    const raft_term term = raft_term_now(real_raft(&s));
    puppet_say(s.two, &(struct raft_msg){.type = RAFT_MSG_HEARTBEAT_REPLY, .term = term, .last = 0});
    const struct frame *f = puppet_next(s.two, FRAME_HELLO, 0, 20);
    assert_non_null(f);
    assert_true(f->hello.wants_answer);
    puppet_send(s.two, &(struct frame){.type = FRAME_HELLO, .hello = {.term = term}});
    puppet_acknowledge(s.two, term, 2);
    assert_int_equal(counted(&s, FRAME_STRANGER_VERDICT), 1);
    assert_int_equal(raft_match(real_raft(&s), 2), 0);
    puppets_close(&s);
}

/* Neither does its next boot, until it has what was acknowledged for it. */
static void older_disk_stays_convicted(void **state)
{
    struct puppets s;

    (void)state;
    elect_and_put(&s);
    for (uint32_t boot = 0; boot < 2; boot++) {
        say_last(&s, 0);
        puppet_acknowledge(s.two, raft_term_now(real_raft(&s)), 2);
        world_run_ms(s.w, 1);
        assert_int_equal(raft_match(real_raft(&s), 2), 0);
        puppet_restart(s.two);
    }
    say_last(&s, 1);
    puppet_acknowledge(s.two, raft_term_now(real_raft(&s)), 2);
    world_run_ms(s.w, 1);
    assert_int_equal(raft_commit(real_raft(&s)), 2);
    puppets_close(&s);
}

/* The leader of a later term has cut its log before it restarted, and the real node has not heard of it:
 * nobody has broken a promise. */
static void log_cut_by_a_later_leader_is_no_older_disk(void **state)
{
    struct puppets s;

    (void)state;
    elect_and_put(&s);
    puppet_send(s.two, &(struct frame){.type = FRAME_HELLO,
                                       .hello = {.wants_answer = true,
                                                 .term = raft_term_now(real_raft(&s)) + 1}});
    const struct frame *f = puppet_next(s.two, FRAME_HELLO, 0, 5);
    assert_non_null(f);
    assert_int_equal(f->hello.accused_boot, 0);
    assert_int_equal(raft_role(real_raft(&s)), RAFT_LEADER);
    puppets_close(&s);
}

/* Who broke its word counts no more and is not told to stop; its next boot is another matter. */
static void who_broke_its_word_counts_no_more(void **state)
{
    struct puppets s;

    (void)state;
    elect_and_put(&s);
    puppet_greet(s.two, 2);
    const raft_term term = raft_term_now(real_raft(&s));
    puppet_acknowledge(s.two, term, 100); /* nobody has sent so much */
    world_run_ms(s.w, 1);
    assert_int_equal(raft_match(real_raft(&s), 2), 0);
    puppet_acknowledge(s.two, term, 2);
    world_run_ms(s.w, 1);
    assert_int_equal(counted(&s, FRAME_STRANGER_VERDICT), 1);
    assert_int_equal(raft_commit(real_raft(&s)), 1);
    puppet_restart(s.two);
    puppet_greet(s.two, 2);
    puppet_acknowledge(s.two, term, 2);
    world_run_ms(s.w, 1);
    assert_int_equal(raft_match(real_raft(&s), 2), 2);
    assert_int_equal(raft_commit(real_raft(&s)), 2);
    puppets_close(&s);
}

/* The first record of a log, of `term`: EMPTY, or this configuration. */
static const struct record_header *first_record(raft_term term, const struct raft_config *config)
{
    static _Alignas(RECORD_ALIGN) uint8_t bytes[RECORD_HEADER_BYTES + CONFIG_PAYLOAD_BYTES_MAX];
    uint8_t payload[CONFIG_PAYLOAD_BYTES_MAX];
    struct record_spec spec = {.type = RECORD_EMPTY, .cluster = 7, .index = 1, .term = term};

    if (config != NULL) {
        spec.type = RECORD_CONFIG;
        spec.payload = payload;
        spec.payload_bytes = config_record_encode(config, 1, payload);
    }
    record_encode(&spec, bytes);
    return record_at(bytes);
}

/* What is held against a boot is held against that incarnation: another one that a configuration puts
 * in its place, and that has never been heard, may be at the same boot. */
static void another_incarnation_answers_for_itself(void **state)
{
    struct puppets s;

    (void)state;
    puppets_open(&s);
    puppets_begin(&s);
    puppet_append(s.two, 5, first_record(5, NULL), 0, 0);
    puppet_append(s.two, 5, first_record(4, NULL), 0, 0); /* it has just given us another one */
    puppet_append(s.two, 5, first_record(5, NULL), 0, 1);
    world_run_ms(s.w, 2);
    assert_int_equal(counted(&s, FRAME_STRANGER_VERDICT), 1);
    assert_int_equal(raft_commit(real_raft(&s)), 0);

    s.two->incarnation++;
    struct raft_config config = *raft_config(real_raft(&s));
    config.member[1].incarnation = s.two->incarnation;
    puppet_append(s.three, 6, first_record(6, &config), 0, 0);
    world_run_ms(s.w, 2);
    assert_int_equal(raft_config_index(real_raft(&s)), 1);
    puppet_greet(s.two, 0);
    puppets_close(&s);
}

/* Of the next HELLO to it; 0: it says nothing of the kind, or there is none. */
static raft_index told_left_out(struct puppet *p)
{
    const struct frame *f = puppet_next(p, FRAME_HELLO, 0, 2 * HELLO_ROUND_MS);

    return f != NULL ? f->hello.left_out : 0;
}

static void removed_node_is_told_whenever_it_speaks(void **state)
{
    struct puppets s;

    (void)state;
    puppets_open(&s);
    puppets_begin(&s);
    struct raft_config config = *raft_config(real_raft(&s));
    config.member[1] = config.member[2];
    config.count = 2;
    puppet_append(s.three, 1, first_record(1, &config), 0, 0);
    world_run_ms(s.w, 1);
    assert_int_equal(raft_config(real_raft(&s))->count, 2);
    puppet_drop(s.two);
    assert_int_equal(told_left_out(s.two), 0); /* it may be undone */
    puppet_append(s.three, 1, first_record(1, &config), 0, 1);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(told_left_out(s.two), 1);
        assert_int_equal(told_left_out(s.two), 0); /* once */
        puppet_say(s.two, &(struct raft_msg){.type = RAFT_MSG_PREVOTE, .term = 2});
    }
    puppets_close(&s);
}

static bool left_out(struct puppets *s, raft_index index)
{
    puppet_send(s->two, &(struct frame){.type = FRAME_HELLO, .hello = {.last = 1, .left_out = index}});
    world_run_ms(s->w, ELECTION_MS);
    return published_get(&s->w->machine[0].counters.left_out) != 0;
}

/* A word for the operator, from who knows a later configuration. It changes nothing, and a stale or a
 * lying node can do no more. */
static void who_is_told_to_be_left_out_goes_on(void **state)
{
    struct puppets s;

    (void)state;
    puppets_open(&s);
    puppets_elect(&s);
    assert_int_equal(raft_config_index(real_raft(&s)), 1);
    const uint64_t incarnation = s.w->machine[0].incarnation;
    s.w->machine[0].incarnation = 0;
    assert_false(left_out(&s, 2)); /* whoever we are: it does not know */
    s.w->machine[0].incarnation = incarnation;
    assert_false(left_out(&s, 1));
    assert_true(left_out(&s, 2));
    assert_int_equal(stopped(&s), REPLICA_STOP_NONE);
    assert_true(campaigns(&s));
    puppets_close(&s);
}

/* Its own newest configuration leaves it out, and it is sent nothing that would commit that: as a leader that
 * was deposed before it saw its removal committed. */
static void whose_own_log_leaves_it_out_believes_it(void **state)
{
    struct puppets s;

    (void)state;
    puppets_open(&s);
    puppets_begin(&s);
    struct raft_config config = *raft_config(real_raft(&s));
    config.count--;
    memmove(config.member, config.member + 1, config.count * sizeof config.member[0]);
    puppet_append(s.three, 1, first_record(1, &config), 0, 0);
    world_run_ms(s.w, 2);
    assert_int_equal(raft_config_index(real_raft(&s)), 1);
    assert_int_equal(raft_commit(real_raft(&s)), 0);
    assert_false(left_out(&s, 0)); /* it may be undone */
    assert_true(left_out(&s, 1));
    puppets_close(&s);
}

/* What was under way to it is lost: it is asked at once where to go on, not when an answer is late. */
static void new_boot_is_probed_at_once(void **state)
{
    struct puppets s;

    (void)state;
    elect_and_put(&s);
    puppet_greet(s.two, 1);
    const struct frame *f = puppet_next(s.two, FRAME_RAFT, RAFT_MSG_APPEND, 5);
    assert_non_null(f);
    assert_int_equal(f->raft.prev_index, 1);
    puppets_close(&s);
}

static void leader_that_sees_another_stops(void **state)
{
    struct puppets s;

    (void)state;
    puppets_open(&s);
    s.w->may_stop = true;
    puppets_elect(&s);
    heartbeat(s.three, raft_term_now(real_raft(&s)));
    assert_int_equal(stopped(&s), REPLICA_STOP_TWO_LEADERS);
    puppets_close(&s);
}

static void follower_that_sees_two_goes_on(void **state)
{
    struct puppets s;

    (void)state;
    puppets_open(&s);
    puppets_begin(&s);
    heartbeat(s.two, 5);
    heartbeat(s.three, 5);
    assert_int_equal(stopped(&s), REPLICA_STOP_NONE);
    assert_int_equal(raft_leader(real_raft(&s)), 2);
    puppets_close(&s);
}

/* Nodes, and boots of one node, draw other timeouts: a tie is not repeated for ever. */
static void each_boot_draws_anew(void **state)
{
    uint64_t draw[4];

    (void)state;
    for (uint32_t round = 0; round < 2; round++) {
        struct world *w = world_open(2, 2);
        for (uint32_t i = 0; i < 2; i++) {
            draw[i] = raft_next_tick(replica_raft(w->machine[i].replica));
            world_kill(w, i);
            world_start(w, i);
            draw[2 + i] = raft_next_tick(replica_raft(w->machine[i].replica));
        }
        for (uint32_t i = 0; i < 4; i++)
            for (uint32_t k = 0; k < i; k++)
                assert_true(draw[i] != draw[k]);
        world_close(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_log_waits_for_all),
        cmocka_unit_test(first_configuration_has_the_incarnations_learned),
        cmocka_unit_test(earlier_words_do_not_begin_a_cluster),
        cmocka_unit_test(words_of_the_past_begin_no_cluster),
        cmocka_unit_test(frames_name_both_ends),
        cmocka_unit_test(other_incarnation_is_told_and_not_heard),
        cmocka_unit_test(stranger_that_knows_old_boots_is_told),
        cmocka_unit_test(frames_for_others_are_not_heard),
        cmocka_unit_test(earlier_boot_is_accused),
        cmocka_unit_test(accused_node_stops),
        cmocka_unit_test(refused_node_stops),
        cmocka_unit_test(nothing_of_a_boot_counts_before_its_hello),
        cmocka_unit_test(older_disk_is_convicted),
        cmocka_unit_test(older_disk_stays_convicted),
        cmocka_unit_test(older_disk_of_the_same_boot_is_asked),
        cmocka_unit_test(log_cut_by_a_later_leader_is_no_older_disk),
        cmocka_unit_test(who_broke_its_word_counts_no_more),
        cmocka_unit_test(another_incarnation_answers_for_itself),
        cmocka_unit_test(removed_node_is_told_whenever_it_speaks),
        cmocka_unit_test(who_is_told_to_be_left_out_goes_on),
        cmocka_unit_test(whose_own_log_leaves_it_out_believes_it),
        cmocka_unit_test(new_boot_is_probed_at_once),
        cmocka_unit_test(leader_that_sees_another_stops),
        cmocka_unit_test(follower_that_sees_two_goes_on),
        cmocka_unit_test(each_boot_draws_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
