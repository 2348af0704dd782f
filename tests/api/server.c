/* tests/api/server.c: the API before a fake node, as a program, for unmodified clients.
 *
 *   server PORT RING_SLOTS     until SIGTERM; then it shuts down as a node does
 *   SIGUSR1                    what was kept back by "fault/SILENT" is answered
 *   SIGUSR2                    the leader is lost, or found again
 *
 * On standard output "ready", then a line whenever one of these changes, so that nobody must guess when:
 *   kept N                     requests that are kept back
 *   leader N                   0: none
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>

#include "api/api.h"
#include "tests/api/fake_node.h"

enum { SERVER_IDLE_MS = 5, SERVER_HEAP_BYTES = 64 << 20 };

static volatile sig_atomic_t stop, release, leader;

static void on_signal(int signal)
{
    if (signal == SIGTERM)
        stop = 1;
    else if (signal == SIGUSR1)
        release = 1;
    else
        leader = 1;
}

static uint64_t clock_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void take_signals(struct fake_node *n)
{
    if (release && fake_node_release(n))
        release = 0;
    if (leader)
        published_set(&n->view.leader, published_get(&n->view.leader) == 0);
    leader = 0;
}

static void report(const struct fake_node *n)
{
    static uint64_t leader_told = 1;
    static uint32_t kept_told;
    const uint64_t leader_now = published_get(&n->view.leader);

    if (n->silent_count != kept_told)
        printf("kept %u\n", n->silent_count);
    if (leader_now != leader_told)
        printf("leader %llu\n", (unsigned long long)leader_now);
    kept_told = n->silent_count;
    leader_told = leader_now;
    fflush(stdout);
}

static void serve(struct api *api, struct fake_node *n)
{
    struct epoll_event event;
    const int outer = epoll_create1(0);

    event = (struct epoll_event){.events = EPOLLIN};
    epoll_ctl(outer, EPOLL_CTL_ADD, api_fd(api), &event);
    for (;;) {
        take_signals(n);
        uint32_t work = fake_node_poll(n);
        report(n);
        if (!stop)
            work += api_poll(api, clock_ns());
        else if (api_shutdown(api, clock_ns()))
            return;
        if (work == 0)
            epoll_wait(outer, &event, 1, SERVER_IDLE_MS);
    }
}

int main(int argc, char **argv)
{
    static struct fake_node node;
    struct api *api;
    char error[256];

    if (argc != 3) {
        fprintf(stderr, "usage: server PORT RING_SLOTS\n");
        return 2;
    }
    signal(SIGTERM, on_signal);
    signal(SIGUSR1, on_signal);
    signal(SIGUSR2, on_signal);
    fake_node_open(&node, (uint32_t)atoi(argv[2]));
    const struct api_options options = {
        .listen_host = "127.0.0.1",
        .listen_port = (uint16_t)atoi(argv[1]),
        .cluster_id = 0xc1a57e9,
        .member_id = 0xfeedface12345678,
        .member_count = 2,
        .member = {{.id = 0xfeedface12345678,
                    .name = "one",
                    .client_url = "http://127.0.0.1:1",
                    .peer_url = "http://127.0.0.1:2",
                    .node = 1},
                   {.id = 2, .name = "two", .client_url = "http://127.0.0.1:3", .node = 2}},
        .door = &node.door,
        .view = &node.view,
        .connections_max = 64,
        .streams_max = 1024,
        .heap_bytes_max = SERVER_HEAP_BYTES,
        .request_timeout_ns = 2000000000,
    };
    if (api_open(&api, &options, error, sizeof error) != 0) {
        fprintf(stderr, "%s\n", error);
        return 1;
    }
    printf("ready\n");
    fflush(stdout);
    serve(api, &node);
    api_close(api);
    printf("stopped after %llu requests\n", (unsigned long long)node.requests);
    fake_node_close(&node);
    return 0;
}
