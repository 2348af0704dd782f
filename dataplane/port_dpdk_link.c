/* dataplane/port_dpdk_link.c: what becomes of links over time. See port_dpdk_internal.h for the
 * states and port_guard_internal.h for the rules that they keep.
 */
#include "dataplane/port_dpdk_internal.h"

#include "base/assert.h"
#include "dataplane/port_guard_internal.h"

#include <rte_ethdev.h>

enum {
    CLIENT_RETRY_NS = 200 * 1000 * 1000, /* memif is not safe against reconnects every few ms */
    /* A server needs no restart to be found again; this is for a handshake that has stuck, and
     * slow enough not to disturb one that has not. */
    SERVER_RETRY_NS = 600 * 1000 * 1000,
};

static void look_after(struct port_link *link, uint64_t now_ns);
static void restart(struct port_link *link, uint64_t now_ns);
static void stop(struct port_link *link);

static void count(struct published *counter)
{
    published_set(counter, published_get(counter) + 1);
}

static bool is_connected(const struct port_link *link)
{
    struct rte_eth_link state;
    return link->started && rte_eth_link_get_nowait(link->id, &state) == 0 &&
           state.link_status == RTE_ETH_LINK_UP;
}

static void turn_off(struct port_link *link)
{
    if (published_get(&link->on) == 0)
        return;
    published_set(&link->on, 0);
    count(&link->downs);
}

/* memif has marked the link it is about to unmap as down before. */
void port_dpdk_on_unmap(void *port)
{
    struct port *const p = port;

    for (uint32_t i = 0; i < p->link_count; i++)
        if (!is_connected(&p->link[i]))
            turn_off(&p->link[i]);
}

void port_dpdk_look(void *port)
{
    struct port *const p = port;
    const uint64_t now_ns = published_get(&p->now_ns);
    const bool closing = published_get(&p->close) != 0;

    for (uint32_t i = 0; i < p->link_count; i++) {
        if (closing)
            stop(&p->link[i]);
        else
            look_after(&p->link[i], now_ns);
    }
    published_set(&p->looks_done, published_get(&p->looks));
}

static void look_after(struct port_link *link, uint64_t now_ns)
{
    const bool on = published_get(&link->on) != 0;
    const bool connected = is_connected(link);

    if (connected && !on) {
        count(&link->ups);
        published_set(&link->on, 1); /* all that connecting built is visible to who sees it */
    } else if (!connected && on) {
        turn_off(link);
    } else if (!connected && now_ns >= link->restart_at_ns) {
        restart(link, now_ns);
    }
}

static void restart(struct port_link *link, uint64_t now_ns)
{
    const bool first = link->restart_at_ns == 0;

    stop(link);
    /* A client without a server to connect to fails, and is tried again. */
    link->started = rte_eth_dev_start(link->id) == 0;
    link->restart_at_ns =
        now_ns + (link->memif && !link->server ? CLIENT_RETRY_NS : SERVER_RETRY_NS);
    if (!first)
        count(&link->restarts);
}

static void stop(struct port_link *link)
{
    turn_off(link);
    port_guard_wait();
    if (link->started)
        (void)rte_eth_dev_stop(link->id);
    link->started = false;
}

/* The bells of a peer that has come up since the last look: perhaps for the first time, perhaps in
 * a directory made anew. The old one is closed when no lcore can be ringing it. */
void port_dpdk_find_bells(struct port *p)
{
    for (uint32_t i = 0; i < p->link_count; i++) {
        struct port_link *const link = &p->link[i];
        const uint64_t ups = published_get(&link->ups);
        const uint64_t now = published_get(&link->bell_now);
        char name[BELL_NAME_BYTES_MAX];
        char error[BELL_PATH_BYTES_MAX * 2]; /* not there yet: nothing to say */

        if (!link->memif || link->bell_ups == ups)
            continue;
        bell_name_of_node(link->peer, name);
        if (now == 0 || !bell_is_current(&link->bell[now - 1], p->run_directory, name)) {
            const uint64_t next = now == 1 ? 2 : 1;
            if (bell_find(&link->bell[next - 1], p->run_directory, name, error, sizeof error) < 0)
                continue;
            published_set(&link->bell_now, next);
            port_guard_wait();
            if (now != 0)
                bell_close(&link->bell[now - 1]);
        }
        link->bell_ups = ups;
    }
}
