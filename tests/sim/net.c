/* Goal:   the simulated network does what its faults say and nothing else: what is sent arrives
 *         once, in order, after its delay; cuts are directed; frames outlive their sender; no
 *         buffer is lost, whatever becomes of a frame.
 * Method: two or three ports driven by hand. */
#include "sim/port_sim.h"
#include "sim/shape.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { DELAY_NS = 1000, LONG_AFTER_NS = 1000000000 };

struct wire {
    struct net *net;
    uint64_t tapped;
};

static void on_frame(void *context, uint32_t node, const uint8_t *bytes, uint32_t length)
{
    struct wire *w = context;

    (void)node;
    (void)bytes;
    (void)length;
    w->tapped++;
}

static int open_wire(void **state)
{
    static struct wire wire;

    wire = (struct wire){.net = net_create()};
    net_reset(wire.net, 3, 7, &(struct net_tap){.frame = on_frame, .context = &wire});
    net_set_faults(wire.net,
                   &(struct net_faults){.delay_min_ns = DELAY_NS, .delay_max_ns = DELAY_NS});
    *state = &wire;
    return 0;
}

static int close_wire(void **state)
{
    net_destroy(((struct wire *)*state)->net);
    return 0;
}

static uint32_t link_to(const struct port *p, uint32_t node)
{
    for (uint32_t link = 0; link < port_link_count(p); link++)
        if (port_link_peer(p, link) == node + 1)
            return link;
    fail();
    return 0;
}

static void send_byte(struct wire *w, uint32_t from, uint32_t to, uint8_t byte)
{
    struct port *p = net_port(w->net, from);
    struct port_buf buf;

    assert_true(port_alloc(p, link_to(p, to), &buf));
    memset(buf.bytes, byte, 64);
    buf.length = 64;
    port_tx_burst(p, link_to(p, to), &buf, 1);
    port_tx_flush(p);
}

/* Receives all that has come; the first bytes to `out`; how many. */
static uint32_t receive(struct wire *w, uint32_t at, uint32_t from, uint8_t *out)
{
    struct port *p = net_port(w->net, at);
    const uint32_t link = link_to(p, from);
    struct port_buf bufs[PORT_BURST_MAX];
    const uint32_t got = port_rx_burst(p, link, bufs, PORT_BURST_MAX);

    for (uint32_t i = 0; i < got; i++)
        out[i] = bufs[i].bytes[0];
    port_free(p, link, bufs, got);
    return got;
}

static void arrives_in_time_and_order(void **state)
{
    struct wire *w = *state;
    uint8_t got[PORT_BURST_MAX];

    assert_true(net_next_arrival(w->net, 1) == UINT64_MAX);
    for (uint8_t i = 1; i <= 5; i++)
        send_byte(w, 0, 1, i);
    assert_int_equal(net_next_arrival(w->net, 1), DELAY_NS);
    assert_int_equal(receive(w, 1, 0, got), 0);
    net_advance(w->net, DELAY_NS);
    assert_int_equal(receive(w, 1, 0, got), 5);
    for (uint8_t i = 1; i <= 5; i++)
        assert_int_equal(got[i - 1], i);
    assert_int_equal(receive(w, 2, 0, got), 0); /* not for node 2 */
    assert_int_equal(w->tapped, 5);
    assert_int_equal(net_held(w->net, 0) + net_held(w->net, 1), 0);
}

static void cuts_are_directed(void **state)
{
    struct wire *w = *state;
    uint8_t got[PORT_BURST_MAX];

    net_cut(w->net, 0, 1, true);
    send_byte(w, 0, 1, 1);
    send_byte(w, 1, 0, 2);
    send_byte(w, 0, 2, 3);
    net_heal(w->net);
    net_advance(w->net, DELAY_NS);
    assert_int_equal(receive(w, 1, 0, got), 0);
    assert_int_equal(receive(w, 0, 1, got), 1);
    assert_int_equal(receive(w, 2, 0, got), 1);
    assert_int_equal(net_counters(w->net)->cut, 1);
    assert_int_equal(w->tapped, 3); /* it did leave */
}

static void frames_of_the_dead_arrive(void **state)
{
    struct wire *w = *state;
    struct port_buf buf;
    uint8_t got[PORT_BURST_MAX];

    send_byte(w, 0, 1, 1);
    send_byte(w, 1, 0, 2);
    assert_true(port_alloc(net_port(w->net, 0), 0, &buf));
    assert_int_equal(net_held(w->net, 0), 1);
    net_kill(w->net, 0);
    assert_int_equal(net_held(w->net, 0), 0);
    net_advance(w->net, DELAY_NS);
    assert_int_equal(receive(w, 1, 0, got), 1);
    assert_int_equal(receive(w, 0, 1, got), 1); /* the next process gets it */

    send_byte(w, 1, 0, 3);
    net_advance(w->net, 2 * DELAY_NS);
    net_kill(w->net, 0); /* it had arrived: gone with its process */
    assert_int_equal(receive(w, 0, 1, got), 0);
}

static void faults_do_what_they_say(void **state)
{
    struct wire *w = *state;
    uint8_t got[PORT_BURST_MAX];
    struct net_faults faults = {.delay_min_ns = DELAY_NS, .delay_max_ns = DELAY_NS};

    faults.loss = 1000000;
    net_set_faults(w->net, &faults);
    send_byte(w, 0, 1, 1);
    faults.loss = 0;
    faults.duplicate = 1000000;
    net_set_faults(w->net, &faults);
    send_byte(w, 0, 1, 2);
    net_advance(w->net, DELAY_NS);
    assert_int_equal(receive(w, 1, 0, got), 2);
    assert_int_equal(got[0], 2);
    assert_int_equal(got[1], 2);

    faults.duplicate = 0;
    faults.reorder = 1000000;
    faults.late_max_ns = LONG_AFTER_NS;
    net_set_faults(w->net, &faults);
    send_byte(w, 0, 1, 3);
    faults.reorder = 0;
    net_set_faults(w->net, &faults);
    send_byte(w, 0, 1, 4);
    net_advance(w->net, 2 * (uint64_t)LONG_AFTER_NS);
    assert_int_equal(receive(w, 1, 0, got), 2);
    assert_int_equal(got[0], 4); /* overtook it */
    assert_int_equal(got[1], 3);
}

static void limits_are_kept(void **state)
{
    struct wire *w = *state;
    struct port *p = net_port(w->net, 0);
    struct port_link_counters counters;
    struct port_buf bufs[3];
    uint8_t got[PORT_BURST_MAX];

    net_set_limits(w->net, 2, 2);
    assert_true(port_alloc(p, 0, &bufs[0]));
    assert_true(port_alloc(p, 0, &bufs[1]));
    assert_false(port_alloc(p, 0, &bufs[2]));
    for (uint32_t i = 0; i < 2; i++)
        bufs[i].length = 60;
    assert_int_equal(port_tx_burst(p, 0, bufs, 2), 2);
    send_byte(w, 0, 1, 9); /* over the queue */
    net_advance(w->net, DELAY_NS);
    assert_int_equal(receive(w, 1, 0, got), 2);
    port_link_counters(p, 0, &counters);
    assert_int_equal(counters.tx_frames, 2);
    assert_int_equal(counters.tx_dropped, 1);
    assert_int_equal(counters.alloc_failed, 1);
    assert_int_equal(net_counters(w->net)->overflowed, 1);
}

#define WIRE(name) cmocka_unit_test_setup_teardown(name, open_wire, close_wire)

/* Who hears whom, as sets: bit i of set[n] when n hears i, and always itself. */
static void hearing(const struct net *net, uint32_t count, uint32_t *set)
{
    for (uint32_t to = 0; to < count; to++) {
        set[to] = 1U << to;
        for (uint32_t from = 0; from < count; from++)
            if (from != to && !net_is_cut(net, from, to))
                set[to] |= 1U << from;
    }
}

static uint32_t size(uint32_t set)
{
    return (uint32_t)__builtin_popcount(set);
}

static uint32_t of_size(const uint32_t *set, uint32_t count, uint32_t wanted)
{
    uint32_t found = 0;

    for (uint32_t i = 0; i < count; i++)
        found += size(set[i]) == wanted;
    return found;
}

static bool mutual(const uint32_t *set, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t j = 0; j < count; j++)
            if ((set[i] >> j & 1) != (set[j] >> i & 1))
                return false;
    return true;
}

static uint32_t distinct(const uint32_t *set, uint32_t count)
{
    uint32_t found = 0;

    for (uint32_t i = 0; i < count; i++) {
        uint32_t same = 0;
        for (uint32_t j = 0; j < i; j++)
            same += set[j] == set[i];
        found += same == 0;
    }
    return found;
}

static void check_shape(enum shape shape, const uint32_t *set, uint32_t count)
{
    switch (shape) {
    case SHAPE_ISOLATE:
        assert_true(mutual(set, count));
        assert_int_equal(of_size(set, count, 1), 1);
        assert_int_equal(of_size(set, count, count - 1), count - 1);
        break;
    case SHAPE_BISECT: /* all of one side hear the same */
        assert_true(mutual(set, count));
        assert_int_equal(distinct(set, count), 2);
        break;
    case SHAPE_BRIDGE: /* a side may have been only the bridge itself */
        assert_true(mutual(set, count));
        assert_true(of_size(set, count, count) >= 1);
        assert_true(distinct(set, count) <= 3);
        break;
    case SHAPE_MAJORITY_RING:
        assert_int_equal(of_size(set, count, count / 2 + 1), count);
        assert_int_equal(distinct(set, count), count);
        break;
    case SHAPE_CHAIN:
        assert_true(mutual(set, count));
        assert_int_equal(of_size(set, count, 2), 2);
        assert_int_equal(of_size(set, count, 3), count - 2);
        break;
    case SHAPE_HUB:
        assert_true(mutual(set, count));
        assert_int_equal(of_size(set, count, count), 1);
        assert_int_equal(of_size(set, count, 2), count - 1);
        break;
    case SHAPE_MUTE:
        assert_int_equal(of_size(set, count, count), 1);
        assert_int_equal(of_size(set, count, count - 1), count - 1);
        break;
    case SHAPE_DEAF:
        assert_int_equal(of_size(set, count, 1), 1);
        assert_int_equal(of_size(set, count, count), count - 1);
        break;
    default:
        assert_int_equal(shape, SHAPE_ANY);
    }
}

/* Goal:   each shape of a partition is what its name says, at every size and with any nodes in
 *         its places.
 * Method: sets of who is heard, from the table of cuts. */
static void shapes_are_what_they_are_called(void **state)
{
    struct wire *w = *state;
    uint32_t set[NET_NODES_MAX];
    struct prng p;

    prng_seed(&p, 1);
    for (uint32_t count = 3; count <= NET_NODES_MAX; count++) {
        for (uint32_t i = 0; i < 50 * SHAPE_COUNT; i++) {
            net_reset(w->net, count, i, &(struct net_tap){.frame = on_frame, .context = w});
            shape_cut(w->net, count, (enum shape)(i % SHAPE_COUNT), &p);
            hearing(w->net, count, set);
            check_shape((enum shape)(i % SHAPE_COUNT), set, count);
        }
    }
}

/* Goal:   a replay brings back what was sent, long after, and nothing when nothing was kept.
 * Method: one frame sent over a cut link while frames are kept; later it arrives all the same. */
static void frames_are_replayed(void **state)
{
    struct wire *w = *state;
    uint8_t got[PORT_BURST_MAX];
    struct prng p;

    prng_seed(&p, 1);
    assert_int_equal(net_replay(w->net, &p), 0);
    net_record(w->net, true);
    net_cut(w->net, 0, 1, true);
    send_byte(w, 0, 1, 77);
    net_cut(w->net, 0, 1, false);
    net_advance(w->net, LONG_AFTER_NS);
    uint32_t arrived = 0, astray = 0;
    for (uint32_t i = 0; i < 100; i++) {
        assert_int_equal(net_replay(w->net, &p), 1);
        net_advance(w->net, LONG_AFTER_NS + (i + 1) * 2 * DELAY_NS);
        arrived += receive(w, 1, 0, got);
        astray += receive(w, 2, 0, got) + receive(w, 0, 1, got);
        assert_int_equal(got[0], 77);
    }
    assert_int_equal(arrived + astray, 100);
    assert_true(arrived > 50);
    assert_true(astray > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WIRE(arrives_in_time_and_order), WIRE(cuts_are_directed),
        WIRE(frames_of_the_dead_arrive), WIRE(faults_do_what_they_say),
        WIRE(limits_are_kept),           WIRE(shapes_are_what_they_are_called),
        WIRE(frames_are_replayed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
