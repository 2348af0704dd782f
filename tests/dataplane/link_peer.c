/* tests/dataplane/link_peer.c: one process of link_kill: a node that has nothing but its port.
 *
 *     link_peer DIRECTORY NODE BOOT PEER...
 *
 * One lcore sends full frames on all links as fast as it can and checks each one it receives; the
 * main thread supervises. On standard output, a line for
 *     heard NODE BOOT    the first frame of a boot of a peer (time is when the line is written)
 *     traffic NODE N     N frames received from it so far, ten times a second
 *     total RX TX BAD    at the end, which SIGTERM asks for
 */
#include "base/published.h"
#include "dataplane/bell.h"
#include "dataplane/port_dpdk.h"
#include "dataplane/tx.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    CLUSTER = 77,
    ARGUMENTS_MIN = 5,
    SUPERVISE_NS = 20 * 1000 * 1000,
    SUPERVISIONS_A_REPORT = 5,
    ERROR_BYTES = 512,
};

struct peer {
    raft_node node;
    struct published boot;   /* of the newest frame received */
    struct published frames; /* received */
};

static struct {
    struct port *port;
    struct bell bell;
    raft_node node;
    uint32_t boot;
    uint32_t peer_count;
    struct peer peer[PORT_LINKS_MAX];
    struct tx tx;
    struct published stop;
    struct published bad;
} me;

static uint8_t body[FRAME_CHUNK_BYTES];

static void receive(uint32_t link)
{
    struct port_buf burst[PORT_BURST_MAX];
    struct peer *const peer = &me.peer[link];
    const uint32_t got = port_rx_burst(me.port, link, burst, PORT_BURST_MAX);

    for (uint32_t i = 0; i < got; i++) {
        struct frame f;
        if (frame_decode(burst[i].bytes, burst[i].length, CLUSTER, &f) != FRAME_OK_VERDICT ||
            f.source != peer->node)
            published_set(&me.bad, published_get(&me.bad) + 1);
        else
            published_set(&peer->boot, f.source_boot);
    }
    if (got > 0)
        published_set(&peer->frames, published_get(&peer->frames) + got);
    port_free(me.port, link, burst, got);
}

static void send(uint32_t link, uint64_t *number)
{
    struct frame f = {
        .type = FRAME_CHUNK,
        .source = me.node,
        .source_boot = me.boot,
        .source_incarnation = 1,
        .target = me.peer[link].node,
        .target_incarnation = 1,
        .chunk = {.total = sizeof body},
        .body = body,
        .body_bytes = sizeof body,
    };

    for (uint32_t i = 0; i < PORT_BURST_MAX; i++) {
        f.number = ++*number;
        tx_frame(&me.tx, link, &f);
    }
}

static void *lcore_main(void *argument)
{
    uint64_t number = 0;

    (void)argument;
    while (published_get(&me.stop) == 0) {
        bell_turn_begin(&me.bell);
        for (uint32_t link = 0; link < me.peer_count; link++) {
            receive(link);
            send(link, &number);
        }
        tx_flush(&me.tx);
        bell_turn_end(&me.bell);
        sched_yield();
    }
    return NULL;
}

static void report(uint64_t *heard, bool traffic)
{
    for (uint32_t i = 0; i < me.peer_count; i++) {
        const uint64_t boot = published_get(&me.peer[i].boot);
        if (boot != heard[i])
            printf("heard %u %lu\n", me.peer[i].node, boot);
        heard[i] = boot;
        if (traffic)
            printf("traffic %u %lu\n", me.peer[i].node, published_get(&me.peer[i].frames));
    }
    fflush(stdout);
}

static void report_total(void)
{
    uint64_t rx_frames = 0;
    uint64_t tx_frames = 0;

    for (uint32_t i = 0; i < me.peer_count; i++) {
        struct port_link_counters counters;
        port_link_counters(me.port, i, &counters);
        rx_frames += counters.rx_frames;
        tx_frames += counters.tx_frames;
    }
    printf("total %lu %lu %lu\n", rx_frames, tx_frames, published_get(&me.bad));
    fflush(stdout);
}

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void supervise_until(const sigset_t *signals)
{
    const struct timespec step = {.tv_nsec = SUPERVISE_NS};
    uint64_t heard[PORT_LINKS_MAX] = {0};

    for (uint64_t i = 1;; i++) {
        port_dpdk_supervise(me.port, now_ns());
        report(heard, i % SUPERVISIONS_A_REPORT == 0);
        if (sigtimedwait(signals, NULL, &step) > 0)
            return;
    }
}

int main(int argc, char **argv)
{
    char error[ERROR_BYTES];
    char name[BELL_NAME_BYTES_MAX];
    sigset_t signals;
    pthread_t lcore;

    if (argc < ARGUMENTS_MIN || argc - ARGUMENTS_MIN >= PORT_LINKS_MAX)
        return 2;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    me.node = (raft_node)atoi(argv[2]);
    me.boot = (uint32_t)atoi(argv[3]);
    me.peer_count = (uint32_t)(argc - 4);

    struct port_dpdk_options options = {
        .node = me.node,
        .run_directory = argv[1],
        .link_count = me.peer_count,
        .rx_held_max = PORT_BURST_MAX,
        .lcore_count = 1,
    };
    for (uint32_t i = 0; i < me.peer_count; i++)
        options.link[i].peer = me.peer[i].node = (raft_node)atoi(argv[4 + i]);
    bell_name_of_node(me.node, name);
    if (bell_create(&me.bell, argv[1], name, error, sizeof error) < 0) {
        fprintf(stderr, "%s\n", error);
        return 1;
    }
    options.lcore[0] = me.bell.word;
    if (port_dpdk_open(&options, &me.port, error, sizeof error) < 0) {
        fprintf(stderr, "%s\n", error);
        return 1;
    }
    me.tx.port = me.port;
    me.tx.cluster = CLUSTER;
    if (pthread_create(&lcore, NULL, lcore_main, NULL) != 0)
        return 1;
    supervise_until(&signals);
    published_set(&me.stop, 1);
    pthread_join(lcore, NULL);
    report_total();
    port_dpdk_close(me.port);
    return 0;
}
