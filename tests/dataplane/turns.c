/* Goal:   rx_poll() ends each frame in exactly one counter and each buffer with exactly one owner,
 *         also when rings are full; tx_frame() and tx_flush() send what they took and count what
 *         the wire or the pool refused.
 * Method: a port double with a few links, a fixed pool and queues that the test fills.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "dataplane/rx.h"
#include "dataplane/tx.h"
#include "tests/dataplane/sample.h"

#include <string.h>

enum { LINKS = 3, BUFS = 128, RING_SLOTS = 4 };

struct buffer {
    uint8_t bytes[PORT_FRAME_BYTES_MAX];
    uint32_t length;
    bool lent;
};

struct port {
    struct buffer pool[BUFS];
    struct buffer *queue[LINKS][BUFS]; /* what the next bursts receive */
    uint32_t queue_count[LINKS];
    uint32_t wire_takes; /* of each sent burst */
    uint32_t sent[LINKS], flushes;
};

static struct port port;
static uint64_t now_ns;

static struct buffer *lend(void)
{
    for (uint32_t i = 0; i < BUFS; i++) {
        if (port.pool[i].lent)
            continue;
        port.pool[i].lent = true;
        return &port.pool[i];
    }
    return NULL;
}

static uint32_t lent_count(void)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < BUFS; i++)
        count += port.pool[i].lent;
    return count;
}

uint32_t port_link_count(const struct port *p)
{
    (void)p;
    return LINKS;
}

uint32_t port_rx_burst(struct port *p, uint32_t link, struct port_buf *bufs, uint32_t count)
{
    const uint32_t got = p->queue_count[link] < count ? p->queue_count[link] : count;

    for (uint32_t i = 0; i < got; i++) {
        struct buffer *const b = p->queue[link][i];
        bufs[i] = (struct port_buf){.handle = b, .bytes = b->bytes, .length = b->length};
    }
    p->queue_count[link] -= got;
    memmove(p->queue[link], p->queue[link] + got, p->queue_count[link] * sizeof(void *));
    return got;
}

void port_free(struct port *p, uint32_t link, const struct port_buf *bufs, uint32_t count)
{
    (void)p;
    assert_true(link < LINKS);
    for (uint32_t i = 0; i < count; i++) {
        struct buffer *const b = bufs[i].handle;
        assert_true(b->lent); /* once only */
        b->lent = false;
    }
}

bool port_alloc(struct port *p, uint32_t link, struct port_buf *buf)
{
    (void)p;
    (void)link;
    struct buffer *const b = lend();
    if (b == NULL)
        return false;
    *buf = (struct port_buf){.handle = b, .bytes = b->bytes};
    return true;
}

uint32_t port_tx_burst(struct port *p, uint32_t link, const struct port_buf *bufs, uint32_t count)
{
    const uint32_t taken = count < p->wire_takes ? count : p->wire_takes;

    assert_true(count > 0);
    for (uint32_t i = 0; i < count; i++) {
        struct frame f;
        assert_int_equal(frame_decode(bufs[i].bytes, bufs[i].length, SAMPLE_CLUSTER, &f),
                         FRAME_OK_VERDICT);
        assert_int_equal(f.credit, link); /* each frame leaves by the link that was named */
    }
    port_free(p, link, bufs, count);
    p->sent[link] += taken;
    return taken;
}

void port_tx_flush(struct port *p)
{
    p->flushes++;
}

static alignas(CACHE_LINE_BYTES) uint8_t ring_memory[3][16384];

static void open_rx(struct rx *rx)
{
    memset(&port, 0, sizeof port);
    static_assert(sizeof(struct spsc) + 2 * RING_SLOTS * sizeof(struct rx_item) <=
                      sizeof ring_memory[0],
                  "the rings fit");
    *rx = (struct rx){
        .port = &port,
        .cluster = SAMPLE_CLUSTER,
        .link_count = LINKS,
        .to_raft_control = spsc_init(ring_memory[0], RING_SLOTS, sizeof(struct rx_item)),
        .to_raft_data = spsc_init(ring_memory[1], RING_SLOTS, sizeof(struct rx_item)),
        .returned = spsc_init(ring_memory[2], 2 * RING_SLOTS, sizeof(struct rx_item)),
    };
}

static void arrive(struct prng *p, uint32_t link, uint8_t type)
{
    uint8_t body[FRAME_BODY_BYTES_MAX];
    struct frame f;
    struct buffer *const b = lend();

    assert_non_null(b);
    sample_frame(p, type, &f, body);
    b->length = frame_encode(&f, SAMPLE_CLUSTER, &sample_route, b->bytes);
    port.queue[link][port.queue_count[link]++] = b;
}

static void spoil_last(uint32_t link)
{
    port.queue[link][port.queue_count[link] - 1]->bytes[FRAME_BODY_OFFSET - 1] ^= 1;
}

static uint64_t counted(const struct rx *rx)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < FRAME_VERDICT_COUNT; i++)
        sum += rx->verdict_count[i];
    return sum;
}

/* The raft role: takes what is there and gives the buffers back. */
static uint32_t give_back(struct rx *rx, struct spsc *ring)
{
    struct rx_item item;
    uint32_t count = 0;

    for (; spsc_pop(ring, &item, sizeof item, 1) == 1; count++)
        assert_int_equal(spsc_push(rx->returned, &item, sizeof item, 1), 1);
    return count;
}

static void frames_are_sorted_and_counted(void **state)
{
    (void)state;
    struct rx rx;
    struct prng p;

    prng_seed(&p, 1);
    open_rx(&rx);
    arrive(&p, 0, FRAME_HELLO);
    arrive(&p, 0, FRAME_CHUNK);
    arrive(&p, 2, FRAME_CREDIT);
    arrive(&p, 2, FRAME_CREDIT);
    spoil_last(2);
    assert_int_equal(rx_poll(&rx, now_ns), 4);
    assert_int_equal(rx.verdict_count[FRAME_OK_VERDICT], 3);
    assert_int_equal(rx.verdict_count[FRAME_CHECKSUM_VERDICT], 1);
    assert_int_equal(counted(&rx), 4);
    assert_int_equal(lent_count(), 3);

    assert_int_equal(give_back(&rx, rx.to_raft_control), 2);
    assert_int_equal(give_back(&rx, rx.to_raft_data), 1);
    assert_int_equal(rx_poll(&rx, now_ns), 3);
    assert_int_equal(lent_count(), 0);
    assert_int_equal(rx_poll(&rx, now_ns), 0); /* idle */
}

/* As many turns as it takes: one takes no more than the control ring has room for. */
static uint32_t poll_all(struct rx *rx)
{
    uint32_t taken = 0;
    uint32_t work = rx_poll(rx, now_ns);

    for (; work > 0; work = rx_poll(rx, now_ns))
        taken += work;
    return taken;
}

static void control_waits_in_the_port_for_room(void **state)
{
    (void)state;
    struct rx rx;
    struct prng p;

    prng_seed(&p, 4);
    open_rx(&rx);
    for (uint32_t i = 0; i < RING_SLOTS + 2; i++)
        arrive(&p, 1, FRAME_HELLO);
    assert_int_equal(rx_poll(&rx, now_ns), RING_SLOTS);
    assert_int_equal(rx.verdict_count[FRAME_RING_FULL_VERDICT], 0);
    assert_int_equal(give_back(&rx, rx.to_raft_control), RING_SLOTS);
    assert_int_equal(rx_poll(&rx, now_ns), RING_SLOTS + 2); /* what came back counts as work too */
    assert_int_equal(rx.verdict_count[FRAME_OK_VERDICT], RING_SLOTS + 2);
    assert_int_equal(rx.verdict_count[FRAME_RING_FULL_VERDICT], 0);
}

static void a_full_data_ring_holds_up_no_control(void **state)
{
    (void)state;
    struct rx rx;
    struct prng p;

    prng_seed(&p, 2);
    open_rx(&rx);
    for (uint32_t i = 0; i < PORT_BURST_MAX - 1; i++)
        arrive(&p, 1, FRAME_CHUNK);
    arrive(&p, 1, FRAME_HELLO);
    assert_int_equal(poll_all(&rx), PORT_BURST_MAX);
    assert_int_equal(rx.verdict_count[FRAME_OK_VERDICT], RING_SLOTS + 1);
    assert_int_equal(rx.verdict_count[FRAME_RING_FULL_VERDICT], PORT_BURST_MAX - 1 - RING_SLOTS);
    assert_int_equal(lent_count(), RING_SLOTS + 1);
    assert_int_equal(give_back(&rx, rx.to_raft_control), 1);
}

static void a_storm_is_counted_to_the_last_frame(void **state)
{
    (void)state;
    struct rx rx;
    struct prng p;
    uint64_t arrived = 0;

    prng_seed(&p, 3);
    open_rx(&rx);
    for (uint32_t turn = 0; turn < 2000; turn++, now_ns += 20 * RX_CONTROL_NS) {
        const uint64_t burst = prng_below(&p, 20);
        for (uint64_t i = 0; i < burst; i++) {
            const uint32_t link = (uint32_t)prng_below(&p, LINKS);
            arrive(&p, link, (uint8_t)prng_between(&p, FRAME_RAFT, FRAME_CREDIT));
            if (prng_chance(&p, 200000))
                spoil_last(link);
            arrived++;
        }
        poll_all(&rx);
        assert_int_equal(counted(&rx), arrived);
        if (prng_chance(&p, 500000)) {
            give_back(&rx, rx.to_raft_control);
            give_back(&rx, rx.to_raft_data);
        }
    }
    give_back(&rx, rx.to_raft_control);
    give_back(&rx, rx.to_raft_data);
    rx_poll(&rx, now_ns);
    assert_int_equal(lent_count(), 0);
    assert_true(rx.verdict_count[FRAME_RING_FULL_VERDICT] > 0);
}

/* So many HELLOs of the node, a few at a time, each turn's taken by raft at once. */
static void speak(struct rx *rx, struct prng *p, raft_node node, uint32_t count)
{
    uint8_t body[FRAME_BODY_BYTES_MAX];
    struct frame f;

    for (uint32_t i = 0; i < count; i++) {
        struct buffer *const b = lend();
        assert_non_null(b);
        sample_frame(p, FRAME_HELLO, &f, body);
        f.source = node;
        f.target = (raft_node)(node + 1);
        b->length = frame_encode(&f, SAMPLE_CLUSTER, &sample_route, b->bytes);
        port.queue[0][port.queue_count[0]++] = b;
        rx_poll(rx, now_ns);
        give_back(rx, rx->to_raft_control);
        rx_poll(rx, now_ns);
    }
}

static uint64_t spoke(struct rx *rx, enum frame_verdict verdict)
{
    const uint64_t count = rx->verdict_count[verdict];
    rx->verdict_count[verdict] = 0;
    return count;
}

/* A sender may say what its bucket holds, and then what time puts into it; whoever is not named shares
 * one bucket with the others that are not. Data is bounded by credit and by nothing here. */
static void who_speaks_too_often_is_dropped_alone(void **state)
{
    (void)state;
    struct rx rx;
    struct prng p;

    prng_seed(&p, 7);
    open_rx(&rx);
    rx.sender_count = 2;
    rx.sender[0].node = 1;
    rx.sender[1].node = 2;
    now_ns = 5 * RX_CONTROL_NS;
    speak(&rx, &p, 2, RX_CONTROL_BURST);
    assert_int_equal(spoke(&rx, FRAME_OK_VERDICT), RX_CONTROL_BURST);
    speak(&rx, &p, 2, 3);
    assert_int_equal(spoke(&rx, FRAME_TOO_OFTEN_VERDICT), 3);
    now_ns += 2 * RX_CONTROL_NS - 1; /* only one is paid for */
    speak(&rx, &p, 2, 2);
    assert_int_equal(spoke(&rx, FRAME_TOO_OFTEN_VERDICT), 1);
    assert_int_equal(spoke(&rx, FRAME_OK_VERDICT), 1);
    speak(&rx, &p, 1, RX_CONTROL_BURST);
    assert_int_equal(spoke(&rx, FRAME_OK_VERDICT), RX_CONTROL_BURST);
    speak(&rx, &p, 8, RX_CONTROL_BURST / 2);
    speak(&rx, &p, 9, RX_CONTROL_BURST / 2 + 1);
    assert_int_equal(spoke(&rx, FRAME_OK_VERDICT), RX_CONTROL_BURST);
    assert_int_equal(spoke(&rx, FRAME_TOO_OFTEN_VERDICT), 1);
    now_ns += 2ull * RX_CONTROL_BURST * RX_CONTROL_NS; /* a long silence fills it, and no more */
    speak(&rx, &p, 2, RX_CONTROL_BURST + 1);
    assert_int_equal(spoke(&rx, FRAME_OK_VERDICT), RX_CONTROL_BURST);
    assert_int_equal(spoke(&rx, FRAME_TOO_OFTEN_VERDICT), 1);
    arrive(&p, 0, FRAME_CHUNK);
    rx_poll(&rx, now_ns);
    assert_int_equal(spoke(&rx, FRAME_OK_VERDICT), 1);
    assert_int_equal(give_back(&rx, rx.to_raft_data), 1);
}

static struct tx tx;

static void open_tx(void)
{
    memset(&port, 0, sizeof port);
    memset(&tx, 0, sizeof tx);
    port.wire_takes = PORT_BURST_MAX;
    tx.port = &port;
    tx.cluster = SAMPLE_CLUSTER;
    for (uint32_t link = 0; link < LINKS; link++)
        tx.route[link] = sample_route;
}

static bool send_on(struct prng *p, uint32_t link)
{
    uint8_t body[FRAME_BODY_BYTES_MAX];
    struct frame f;

    sample_frame(p, (uint8_t)prng_between(p, FRAME_RAFT, FRAME_CREDIT), &f, body);
    f.credit = link;
    return tx_frame(&tx, link, &f);
}

static void a_full_burst_leaves_and_a_flush_sends_the_rest(void **state)
{
    (void)state;
    struct prng p;

    prng_seed(&p, 4);
    open_tx();
    for (uint32_t i = 0; i < PORT_BURST_MAX + 3; i++)
        assert_true(send_on(&p, 1));
    assert_int_equal(port.sent[1], PORT_BURST_MAX);
    assert_true(send_on(&p, 2));
    assert_int_equal(tx_flush(&tx), PORT_BURST_MAX + 4);
    assert_int_equal(port.sent[1], PORT_BURST_MAX + 3);
    assert_int_equal(port.sent[2], 1);
    assert_int_equal(port.flushes, 1);
    assert_int_equal(tx_flush(&tx), 0);
    assert_int_equal(tx.sent, PORT_BURST_MAX + 4);
    assert_int_equal(lent_count(), 0);
}

static void what_the_wire_refuses_is_counted(void **state)
{
    (void)state;
    struct prng p;

    prng_seed(&p, 5);
    open_tx();
    port.wire_takes = 2;
    for (uint32_t i = 0; i < 5; i++)
        assert_true(send_on(&p, 0));
    assert_int_equal(tx_flush(&tx), 2);
    assert_int_equal(tx.dropped, 3);
    assert_int_equal(lent_count(), 0);
}

static void an_empty_pool_drops_and_counts(void **state)
{
    (void)state;
    struct prng p;

    prng_seed(&p, 6);
    open_tx();
    while (lend() != NULL)
        continue;
    assert_false(send_on(&p, 0));
    assert_int_equal(tx.no_buffer, 1);
    port.pool[7].lent = false;
    assert_true(send_on(&p, 0));
    assert_int_equal(tx_flush(&tx), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_are_sorted_and_counted),
        cmocka_unit_test(control_waits_in_the_port_for_room),
        cmocka_unit_test(a_full_data_ring_holds_up_no_control),
        cmocka_unit_test(a_storm_is_counted_to_the_last_frame),
        cmocka_unit_test(who_speaks_too_often_is_dropped_alone),
        cmocka_unit_test(a_full_burst_leaves_and_a_flush_sends_the_rest),
        cmocka_unit_test(what_the_wire_refuses_is_counted),
        cmocka_unit_test(an_empty_pool_drops_and_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
