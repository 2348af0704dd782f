/* bench/load/api_null.c: what the API itself costs: it serves a replica that does nothing but
 * answer, on the same thread.
 *
 *   api-null PORT &
 *   h2load -c8 -m32 -n2000000 -d PUT_BODY -H 'content-type: application/grpc' -H 'te: trailers'
 *          http://127.0.0.1:PORT/etcdserverpb.KV/Put
 *
 * On SIGTERM it prints requests and the CPU time that one cost, system calls included.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "api/api.h"

enum { NULL_RING_SLOTS = 1024, NULL_BURST = 64, NULL_HEAP_BYTES = 256 << 20, NULL_IDLE_MS = 10 };

static volatile sig_atomic_t stop;

static void on_signal(int signal)
{
    (void)signal;
    stop = 1;
}

static uint64_t clock_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static double microseconds(struct timeval time)
{
    return (double)time.tv_sec * 1e6 + (double)time.tv_usec;
}

static struct spsc *ring(uint32_t item_bytes)
{
    return spsc_init(aligned_alloc(CACHE_LINE_BYTES, spsc_bytes(NULL_RING_SLOTS, item_bytes)),
                     NULL_RING_SLOTS, item_bytes);
}

static uint32_t answer(struct spsc *from, struct spsc *to, uint64_t *revision)
{
    struct request requests[NULL_BURST];
    struct answer answers[NULL_BURST];
    const uint32_t room = spsc_room(to, NULL_BURST);
    const uint32_t wanted = room < NULL_BURST ? room : NULL_BURST;
    const uint32_t count = spsc_pop(from, requests, sizeof requests[0], wanted);

    for (uint32_t i = 0; i < count; i++)
        answers[i] = (struct answer){.tag = requests[i].tag, .revision = ++*revision};
    return spsc_push(to, answers, sizeof answers[0], count);
}

int main(int argc, char **argv)
{
    static struct node_view view;
    static struct byte_ring memory;
    struct request_door door = {.number = 1,
                                .to_raft = ring(sizeof(struct request)),
                                .to_store = ring(sizeof(struct request)),
                                .from_raft = ring(sizeof(struct answer)),
                                .from_store = ring(sizeof(struct answer)),
                                .answer_memory = &memory};
    const struct api_options options = {.listen_host = "127.0.0.1",
                                        .listen_port = (uint16_t)(argc > 1 ? atoi(argv[1]) : 0),
                                        .cluster_id = 0xcbf29ce484222325,
                                        .member_id = 0x84222325cbf29ce4,
                                        .door = &door,
                                        .view = &view,
                                        .connections_max = 1024,
                                        .streams_max = 1024,
                                        .heap_bytes_max = NULL_HEAP_BYTES,
                                        .request_timeout_ns = 5000000000};
    struct api *api;
    char error[256];
    uint64_t revision = 1;

    signal(SIGTERM, on_signal);
    published_set(&view.leader, 1);
    published_set(&view.term, 2);
    if (api_open(&api, &options, error, sizeof error) != 0) {
        fprintf(stderr, "%s\n", error);
        return 1;
    }
    struct pollfd idle = {.fd = api_fd(api), .events = POLLIN};
    while (!stop) {
        uint32_t work = api_poll(api, clock_ns());
        while (answer(door.to_raft, door.from_store, &revision) > 0)
            work++;
        if (work == 0)
            poll(&idle, 1, NULL_IDLE_MS); /* so that only work is counted */
    }
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    const double count = (double)(revision > 1 ? revision - 1 : 1);
    printf("%.0f requests; CPU of each: %.2f us here, %.2f us in the kernel\n", count,
           microseconds(usage.ru_utime) / count, microseconds(usage.ru_stime) / count);
    api_close(api);
    return 0;
}
