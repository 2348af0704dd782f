/* dataplane/port_dpdk.c: port.h over DPDK's ethdev: bursts, buffers, and the port's whole life.
 * What becomes of links is in port_dpdk_link.c, how EAL is started in port_dpdk_eal.c.
 */
#include "dataplane/port_dpdk_internal.h"

#include "base/assert.h"
#include "dataplane/port_guard_internal.h"

#include <errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    CLOSE_WAIT_MS = 1000,
    LOOK_ALL_ON_NS = 1000 * 1000 * 1000, /* between looks while every link is on */
};

static_assert(PORT_FRAME_BYTES_MAX <= (int)PORT_DPDK_MBUF_BYTES,
              "memif corrupts its ring otherwise");
static_assert(PORT_DPDK_DESCRIPTORS == 1 << PORT_DPDK_RING_LOG2, "one size, said in two ways");

static struct port the_port; /* EAL is one a process */

static bool all_on(const struct port *p);
static bool ask_for_look(struct port *p);
static bool look_is_done(const struct port *p);

int port_dpdk_open(const struct port_dpdk_options *options, struct port **out, char *error,
                   size_t error_bytes)
{
    struct port *const p = &the_port;

    ASSERT(p->link_count == 0);
    ASSERT(options->node != 0);
    ASSERT(options->link_count <= PORT_LINKS_MAX);
    ASSERT(options->lcore_count <= PORT_DPDK_LCORES_MAX);
    const int result = port_dpdk_eal_start(p, options, error, error_bytes);
    if (result < 0)
        return result;
    port_guard_open(options->lcore, options->lcore_count, port_dpdk_on_unmap, p);
    *out = p;
    return 0;
}

void port_dpdk_supervise(struct port *p, uint64_t now_ns)
{
    port_dpdk_find_bells(p);
    /* A link that goes down is turned off by the interrupt thread at once (port_dpdk_on_unmap), so
     * while all are on there is hardly anything to look for, and an alarm is not free. */
    if (all_on(p) && now_ns - p->looked_ns < LOOK_ALL_ON_NS)
        return;
    published_set(&p->now_ns, now_ns);
    if (ask_for_look(p)) /* refused: the next call asks again */
        p->looked_ns = now_ns;
}

static bool all_on(const struct port *p)
{
    for (uint32_t i = 0; i < p->link_count; i++)
        if (published_get(&p->link[i].on) == 0)
            return false;
    return true;
}

/* The ports are stopped but not closed: closing memif's listener frees what the interrupt thread
 * may still look at. The process ends now, which closes everything. */
void port_dpdk_close(struct port *p)
{
    const struct timespec step = {.tv_nsec = 1000 * 1000};
    bool asked = false;

    published_set(&p->close, 1);
    for (uint32_t ms = 0; ms < CLOSE_WAIT_MS; ms++) {
        if (asked && look_is_done(p))
            break;
        asked = asked || ask_for_look(p);
        nanosleep(&step, NULL);
    }
    for (uint32_t i = 0; i < p->link_count; i++) {
        const uint64_t bell = published_get(&p->link[i].bell_now);
        published_set(&p->link[i].bell_now, 0);
        if (bell != 0)
            bell_close(&p->link[i].bell[bell - 1]);
        if (p->link[i].server)
            (void)unlink(p->link[i].socket);
    }
    close(p->lock);
}

static bool look_is_done(const struct port *p)
{
    return published_get(&p->looks_done) == published_get(&p->looks);
}

/* False: the last look is not done (an lcore's turn is long, or the interrupt thread has no CPU),
 * or there is no memory for an alarm. */
static bool ask_for_look(struct port *p)
{
    const uint64_t looks = published_get(&p->looks);

    if (!look_is_done(p))
        return false;
    published_set(&p->looks, looks + 1);
    if (port_guard_run(port_dpdk_look, p) == 0)
        return true;
    published_set(&p->looks, looks);
    return false;
}

uint32_t port_link_count(const struct port *p)
{
    return p->link_count;
}

raft_node port_link_peer(const struct port *p, uint32_t link)
{
    ASSERT(link < p->link_count);
    return p->link[link].peer;
}

bool port_link_up(const struct port *p, uint32_t link)
{
    ASSERT(link < p->link_count);
    return published_get(&p->link[link].on) != 0;
}

void port_link_counters(const struct port *p, uint32_t link, struct port_link_counters *out)
{
    ASSERT(link < p->link_count);
    const struct port_link *const l = &p->link[link];

    *out = (struct port_link_counters){
        .rx_frames = published_get(&l->rx_frames),
        .tx_frames = published_get(&l->tx_frames),
        .tx_dropped = published_get(&l->tx_dropped),
        .alloc_failed = published_get(&l->alloc_failed),
        .ups = published_get(&l->ups),
        .downs = published_get(&l->downs),
        .restarts = published_get(&l->restarts),
    };
}

static void add(struct published *counter, uint64_t count)
{
    published_set(counter, published_get(counter) + count);
}

uint32_t port_rx_burst(struct port *p, uint32_t link, struct port_buf *bufs, uint32_t count)
{
    ASSERT(link < p->link_count);
    ASSERT(count <= PORT_BURST_MAX);
    struct port_link *const l = &p->link[link];
    struct rte_mbuf *mbufs[PORT_BURST_MAX];

    if (published_get(&l->on) == 0)
        return 0;
    const uint32_t got = rte_eth_rx_burst(l->id, 0, mbufs, (uint16_t)count);
    for (uint32_t i = 0; i < got; i++)
        /* One of several segments is not ours: the decoder misses what is in the others. */
        bufs[i] = (struct port_buf){
            .handle = mbufs[i],
            .bytes = rte_pktmbuf_mtod(mbufs[i], uint8_t *),
            .length = rte_pktmbuf_data_len(mbufs[i]),
        };
    if (got > 0)
        add(&l->rx_frames, got);
    return got;
}

void port_free(struct port *p, uint32_t link, const struct port_buf *bufs, uint32_t count)
{
    ASSERT(link < p->link_count);
    for (uint32_t i = 0; i < count; i++)
        rte_pktmbuf_free(bufs[i].handle);
}

bool port_alloc(struct port *p, uint32_t link, struct port_buf *buf)
{
    ASSERT(link < p->link_count);
    struct port_link *const l = &p->link[link];
    struct rte_mbuf *const mbuf = rte_pktmbuf_alloc(l->tx_pool);

    if (mbuf == NULL) {
        add(&l->alloc_failed, 1);
        return false;
    }
    *buf = (struct port_buf){.handle = mbuf, .bytes = rte_pktmbuf_mtod(mbuf, uint8_t *)};
    return true;
}

uint32_t port_tx_burst(struct port *p, uint32_t link, const struct port_buf *bufs, uint32_t count)
{
    ASSERT(link < p->link_count);
    ASSERT(count <= PORT_BURST_MAX);
    struct port_link *const l = &p->link[link];
    struct rte_mbuf *mbufs[PORT_BURST_MAX];
    uint32_t sent = 0;

    for (uint32_t i = 0; i < count; i++) {
        ASSERT(bufs[i].length <= PORT_FRAME_BYTES_MAX);
        mbufs[i] = bufs[i].handle;
        mbufs[i]->data_len = (uint16_t)bufs[i].length;
        mbufs[i]->pkt_len = bufs[i].length;
    }
    if (published_get(&l->on) != 0)
        sent = rte_eth_tx_burst(l->id, 0, mbufs, (uint16_t)count);
    if (sent > 0) {
        add(&l->tx_frames, sent);
        l->sent = true;
    }
    if (sent < count) {
        rte_pktmbuf_free_bulk(mbufs + sent, count - sent);
        add(&l->tx_dropped, count - sent);
    }
    return sent;
}

void port_tx_flush(struct port *p)
{
    for (uint32_t i = 0; i < p->link_count; i++) {
        struct port_link *const l = &p->link[i];
        const uint64_t bell = published_get(&l->bell_now);

        if (l->sent && bell != 0)
            bell_ring(&l->bell[bell - 1]);
        l->sent = false;
    }
}
