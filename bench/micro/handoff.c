/* bench/micro/handoff.c: what it costs to hand an item from one lcore to another.
 *
 * Two threads, each pinned to a CPU of its own. `burst` is the steady stream: the producer pushes
 * so many items at once and the consumer takes what there is. `round_trip` is the latency: one item
 * there and back, so half of it is one handoff.
 */
#include "base/published.h"
#include "base/spsc.h"
#include "bench/micro/benches.h"

#include <pthread.h>
#include <sched.h>

enum { SLOTS = 1024, BURST_MAX = 64 };

struct item {
    uint64_t words[4]; /* about what a role hands over: a name, an address, a length */
};

struct pair {
    struct spsc *there;
    struct spsc *back; /* NULL: nothing comes back */
    struct published stop;
};

static alignas(CACHE_LINE_BYTES) uint8_t
    there_memory[sizeof(struct spsc) + SLOTS * sizeof(struct item)];
static alignas(CACHE_LINE_BYTES) uint8_t
    back_memory[sizeof(struct spsc) + SLOTS * sizeof(struct item)];

/* Pins the calling thread to the `number`th CPU that the process may use. */
static bool pin(const cpu_set_t *allowed, uint32_t number)
{
    cpu_set_t one;

    CPU_ZERO(&one);
    for (uint32_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, allowed) || number-- > 0)
            continue;
        CPU_SET(cpu, &one);
        return pthread_setaffinity_np(pthread_self(), sizeof one, &one) == 0;
    }
    return false;
}

static void *consumer(void *argument)
{
    struct pair *const pair = argument;
    struct item items[BURST_MAX];
    uint64_t sum = 0;

    while (published_get(&pair->stop) == 0) {
        const uint32_t got = spsc_pop(pair->there, items, sizeof items[0], BURST_MAX);
        for (uint32_t i = 0; i < got; i++)
            sum += items[i].words[0];
        if (pair->back != NULL)
            (void)spsc_push(pair->back, items, sizeof items[0], got);
    }
    gbench_keep(sum);
    return NULL;
}

static uint64_t stream(struct gbench_state *state, struct pair *pair)
{
    const uint32_t burst = (uint32_t)gbench_arg(state);
    struct item items[BURST_MAX] = {0};
    uint64_t pushed = 0;

    while (gbench_next(state, burst)) {
        for (uint32_t taken = 0; taken < burst;)
            taken += spsc_push(pair->there, items + taken, sizeof items[0], burst - taken);
        pushed += burst;
    }
    return pushed;
}

static uint64_t ping_pong(struct gbench_state *state, struct pair *pair)
{
    struct item item = {0};
    uint64_t pushed = 0;

    while (gbench_next(state, 1)) {
        (void)spsc_push(pair->there, &item, sizeof item, 1);
        while (spsc_pop(pair->back, &item, sizeof item, 1) == 0)
            ;
        pushed++;
    }
    return pushed;
}

static void run(struct gbench_state *state, struct pair *pair,
                uint64_t (*produce)(struct gbench_state *, struct pair *))
{
    cpu_set_t allowed;
    pthread_t thread;

    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0 || CPU_COUNT(&allowed) < 2) {
        gbench_skip(state, "needs two CPUs");
        return;
    }
    /* A new thread inherits the CPU that its parent is pinned to. */
    const bool pinned = pin(&allowed, 1) && pthread_create(&thread, NULL, consumer, pair) == 0;
    if (!pinned) {
        (void)pthread_setaffinity_np(pthread_self(), sizeof allowed, &allowed);
        gbench_skip(state, "cannot pin a thread");
        return;
    }
    (void)pin(&allowed, 0);
    const uint64_t pushed = produce(state, pair);
    published_set(&pair->stop, 1);
    pthread_join(thread, NULL);
    (void)pthread_setaffinity_np(pthread_self(), sizeof allowed, &allowed);
    gbench_count_items(state, pushed);
}

void bench_handoff_burst(struct gbench_state *state)
{
    struct pair pair = {.there = spsc_init(there_memory, SLOTS, sizeof(struct item))};

    run(state, &pair, stream);
}

void bench_handoff_round_trip(struct gbench_state *state)
{
    struct pair pair = {
        .there = spsc_init(there_memory, SLOTS, sizeof(struct item)),
        .back = spsc_init(back_memory, SLOTS, sizeof(struct item)),
    };

    run(state, &pair, ping_pong);
}
