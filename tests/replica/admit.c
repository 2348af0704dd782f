/* Goal:   who is heard, and from when on (PROTOCOL.md, "Who is who"): another incarnation than the one
 *         that the configuration names is told so whatever boots it knows; nothing of a peer's new boot
 *         counts before its HELLO was judged, and nothing at all of one that has less than its
 *         directory acknowledged; a HELLO of the past begins no cluster.
 * Method: replicas of world.h; a node that is not running is played by the test, frame by frame. */
#include "tests/replica/world.h"

#include "base/record.h"
#include "dataplane/frame.h"
#include "sim/port_sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { NODES = 3, CLUSTER = 7, FOREIGN_INCARNATION = 999, ROUND_MS = 60, SHORT_MS = 10 };

static uint32_t link_to(uint32_t from, uint32_t to)
{
    return to < from ? to : to - 1;
}

/* A frame from node `from` + 1, of whatever name and boot, to node `to` + 1. */
static void say(struct world *w, uint32_t from, uint32_t to, struct frame f)
{
    const struct frame_route route = {.source_ip = from + 1, .target_ip = to + 1};
    struct port *port = net_port(w->net, from);
    struct port_buf buf;

    f.source = (raft_node)(from + 1);
    f.target = (raft_node)(to + 1);
    assert_true(port_alloc(port, link_to(from, to), &buf));
    buf.length = frame_encode(&f, CLUSTER, &route, buf.bytes);
    assert_int_equal(port_tx_burst(port, link_to(from, to), &buf, 1), 1);
}

/* What the HELLOs say that have come for it from there, all of them together. */
static bool hears_hello(struct world *w, uint32_t node, uint32_t from, struct frame_hello *hello)
{
    struct port *port = net_port(w->net, node);
    struct port_buf buf;
    struct frame f;
    bool heard = false;

    *hello = (struct frame_hello){.refused = false};
    while (port_rx_burst(port, link_to(node, from), &buf, 1) == 1) {
        assert_int_equal(frame_decode(buf.bytes, buf.length, CLUSTER, &f), FRAME_OK_VERDICT);
        if (f.type == FRAME_HELLO) {
            hello->wants_answer = hello->wants_answer || f.hello.wants_answer;
            hello->refused = hello->refused || f.hello.refused;
            if (f.hello.accused_boot != 0)
                hello->accused_boot = f.hello.accused_boot;
            heard = true;
        }
        port_free(port, link_to(node, from), &buf, 1);
    }
    return heard;
}

static uint64_t dropped(const struct world *w, uint32_t node, enum frame_verdict verdict)
{
    return published_get(&w->machine[node].counters.raft_frames[verdict]);
}

/* Seed 16914 of the simulator: it never stopped, for its frames were dropped by their boots first. */
static void a_foreign_incarnation_that_knows_an_old_boot_is_refused(void **state)
{
    struct world *w = world_open(NODES, NODES);
    struct frame_hello hello;

    (void)state;
    world_leader(w);
    world_kill(w, 2);
    world_kill(w, 0);
    world_start(w, 0);
    world_run_ms(w, ROUND_MS);
    (void)hears_hello(w, 2, 0, &hello);
    say(w, 2, 0, (struct frame){.type = FRAME_CREDIT, .source_boot = 1, .target_boot = 1,
        .source_incarnation = FOREIGN_INCARNATION, .target_incarnation = w->machine[0].incarnation});
    world_run_ms(w, 2 * ROUND_MS);
    assert_true(hears_hello(w, 2, 0, &hello));
    assert_true(hello.refused);
    world_close(w);
}

/* A leader whose followers are dead, one of them played by the test: it comes back. */
struct comeback {
    struct world *w;
    uint32_t leader, ghost;
    raft_index index; /* proposed since, and on no other disk */
    struct frame frame; /* of the ghost's new boot, without its type */
};

static void begin_comeback(struct comeback *c)
{
    static uint8_t bytes[128];

    c->w = world_open(NODES, NODES);
    c->leader = world_leader(c->w);
    c->ghost = (c->leader + 1) % NODES;
    world_put(c->w, c->leader, "key", "a", 1);
    world_run_ms(c->w, 50);
    const struct node_view *view = &c->w->machine[c->leader].view;
    c->index = published_get(&view->last_index) + 1;
    c->frame = (struct frame){
        .source_boot = 2, .source_incarnation = c->w->machine[c->ghost].incarnation,
        .target_boot = 1, .target_incarnation = c->w->machine[c->leader].incarnation};
    world_kill(c->w, c->ghost);
    world_kill(c->w, (c->leader + 2) % NODES);
    world_push(c->w, c->leader, REQUEST_PROPOSE, bytes,
               command_encode(&(struct command){.kind = COMMAND_PUT,
                   .key = {(const uint8_t *)"key", 3}, .value = {(const uint8_t *)"b", 1}}, bytes));
    world_run_ms(c->w, SHORT_MS);
    assert_int_equal(published_get(&view->last_index), c->index);
    assert_true(published_get(&view->commit) < c->index);
}

static bool is_committed(const struct comeback *c)
{
    const struct node_view *view = &c->w->machine[c->leader].view;

    assert_int_equal(published_get(&view->role), RAFT_LEADER);
    return published_get(&view->commit) >= c->index;
}

static void acknowledge(struct comeback *c)
{
    struct frame f = c->frame;

    f.type = FRAME_RAFT;
    f.raft = (struct raft_msg){
        .type = RAFT_MSG_APPEND_REPLY,
        .from = (raft_node)(c->ghost + 1),
        .to = (raft_node)(c->leader + 1),
        .incarnation = f.source_incarnation,
        .term = published_get(&c->w->machine[c->leader].view.term),
        .match = c->index,
        .last = c->index,
    };
    say(c->w, c->ghost, c->leader, f);
    world_run_ms(c->w, SHORT_MS);
}

static void say_hello(struct comeback *c, raft_index last)
{
    struct frame f = c->frame;

    f.type = FRAME_HELLO;
    f.hello.last = last;
    say(c->w, c->ghost, c->leader, f);
    world_run_ms(c->w, SHORT_MS);
}

static void nothing_of_a_new_boot_counts_before_its_hello(void **state)
{
    struct comeback c;
    struct frame_hello hello;

    (void)state;
    begin_comeback(&c);
    acknowledge(&c);
    assert_false(is_committed(&c));
    assert_int_equal(dropped(c.w, c.leader, FRAME_UNPROVEN_VERDICT), 1);
    assert_true(hears_hello(c.w, c.ghost, c.leader, &hello)); /* asked for at once */
    assert_true(hello.wants_answer);
    say_hello(&c, c.index);
    assert_false(is_committed(&c)); /* it has said what it has, and acknowledged nothing */
    acknowledge(&c);
    assert_true(is_committed(&c));
    world_close(c.w);
}

static void a_directory_older_than_its_word_never_counts(void **state)
{
    struct comeback c;
    struct frame_hello hello;

    (void)state;
    begin_comeback(&c);
    acknowledge(&c);
    say_hello(&c, 0);
    acknowledge(&c);
    assert_false(is_committed(&c));
    assert_int_equal(dropped(c.w, c.leader, FRAME_STRANGER_VERDICT), 1);
    world_run_ms(c.w, ROUND_MS);
    assert_true(hears_hello(c.w, c.ghost, c.leader, &hello));
    assert_int_equal(hello.accused_boot, c.frame.source_boot); /* it hears that it must stop */
    world_close(c.w);
}

/* As they were said when the cluster began, to whoever had the name then. */
static void all_say_that_they_are_empty(struct world *w, uint64_t to_incarnation, uint32_t to_boot)
{
    for (uint32_t n = 1; n < NODES; n++)
        say(w, n, 0, (struct frame){.type = FRAME_HELLO, .source_boot = 1,
            .source_incarnation = w->machine[n].incarnation, .target_boot = to_boot,
            .target_incarnation = to_incarnation, .hello = {.log_empty = true}});
    world_run_ms(w, ROUND_MS);
}

static void a_hello_of_the_past_begins_no_cluster(void **state)
{
    struct world *w = world_open(NODES, NODES);

    (void)state;
    world_leader(w);
    const uint64_t before = w->machine[0].incarnation;
    for (uint32_t n = 0; n < NODES; n++)
        world_kill(w, n);
    world_wipe(w, 0);
    world_start(w, 0);
    const struct raft *raft = replica_raft(w->machine[0].replica);
    all_say_that_they_are_empty(w, 0, 0);
    all_say_that_they_are_empty(w, before, 1);
    all_say_that_they_are_empty(w, w->machine[0].incarnation, 0);
    assert_int_equal(raft_config(raft)->count, 0);
    all_say_that_they_are_empty(w, w->machine[0].incarnation, 1); /* in answer to it */
    assert_int_equal(raft_config(raft)->count, NODES);
    world_close(w);
}

/* It may have been meant for a neighbour: only a refusal of our own name concerns us. */
static void a_refusal_of_another_node_stops_nobody(void **state)
{
    struct world *w = world_open(NODES, NODES);
    const struct frame_route route = {.source_ip = 3, .target_ip = 1};
    struct port *port;
    struct port_buf buf;

    (void)state;
    world_leader(w);
    world_kill(w, 2);
    port = net_port(w->net, 2);
    assert_true(port_alloc(port, link_to(2, 0), &buf));
    const struct frame f = {.type = FRAME_HELLO, .source = 3, .target = 2, .source_boot = 1,
        .source_incarnation = w->machine[2].incarnation, .target_boot = 1,
        .target_incarnation = w->machine[1].incarnation, .hello = {.refused = true}};
    buf.length = frame_encode(&f, CLUSTER, &route, buf.bytes);
    assert_int_equal(port_tx_burst(port, link_to(2, 0), &buf, 1), 1);
    world_run_ms(w, ROUND_MS); /* fails if a node stops */
    assert_int_equal(dropped(w, 0, FRAME_TARGET_VERDICT), 1);
    world_close(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_foreign_incarnation_that_knows_an_old_boot_is_refused),
        cmocka_unit_test(nothing_of_a_new_boot_counts_before_its_hello),
        cmocka_unit_test(a_directory_older_than_its_word_never_counts),
        cmocka_unit_test(a_hello_of_the_past_begins_no_cluster),
        cmocka_unit_test(a_refusal_of_another_node_stops_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
