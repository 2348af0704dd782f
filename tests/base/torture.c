/* Goal:   what one lcore hands to another through spsc.h, byte_ring.h, published.h and members_view.h arrives whole
 *         and in order, and no memory is used by both sides at once.
 * Method: two threads pass a few million items through rings from one slot up; the consumer checks
 *         each. Built with -fsanitize=thread, which reports every access that no release and
 *         acquire has ordered, whether or not it went wrong this time.
 */
#include "base/byte_ring.h"
#include "base/members_view.h"
#include "base/prng.h"
#include "base/published.h"
#include "base/spsc.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>

enum {
    BURST_MAX = 32,
    SLOTS_MAX = 1024,
    ITEMS_LARGE = 1000000, /* a ring with company */
    ITEMS_SMALL = 30000,   /* a ring of few slots: nearly each item is a switch of threads */
    RING_BYTES = 1 << 14,
    PIECES = 300000,
    WORDS = 500000,
    VIEWS = 200000,
};

struct item {
    uint64_t number;
    uint64_t check;
    uint8_t *bytes; /* pieces only */
    uint32_t length;
};

struct lane {
    struct spsc *ring;
    struct byte_ring *bytes;
    uint64_t items;
    uint64_t seed;
};

static alignas(CACHE_LINE_BYTES) uint8_t
    ring_memory[sizeof(struct spsc) + SLOTS_MAX * sizeof(struct item)];
static alignas(CACHE_LINE_BYTES) uint8_t piece_memory[RING_BYTES];
static uint64_t words[WORDS];
static struct published words_end;

/* Pushes numbered items in bursts of random size until all are taken. */
static void *items_producer(void *argument)
{
    const struct lane *const lane = argument;
    struct item burst[BURST_MAX];
    uint64_t sent = 0;
    struct prng p;

    prng_seed(&p, lane->seed);
    while (sent < lane->items) {
        const uint64_t left = lane->items - sent;
        const uint64_t drawn = prng_between(&p, 1, BURST_MAX);
        const uint32_t count = (uint32_t)(drawn < left ? drawn : left);
        for (uint32_t i = 0; i < count; i++)
            burst[i] = (struct item){.number = sent + i, .check = hash_u64(sent + i, 7)};
        const uint32_t taken = spsc_push(lane->ring, burst, sizeof burst[0], count);
        sent += taken;
        if (taken == 0)
            sched_yield();
    }
    return NULL;
}

static void *items_consumer(void *argument)
{
    const struct lane *const lane = argument;
    struct item burst[BURST_MAX];
    uint64_t received = 0;
    struct prng p;

    prng_seed(&p, ~lane->seed);
    while (received < lane->items) {
        const uint32_t wanted = (uint32_t)prng_between(&p, 1, BURST_MAX);
        const uint32_t got = spsc_pop(lane->ring, burst, sizeof burst[0], wanted);
        for (uint32_t i = 0; i < got; i++) {
            ASSERT(burst[i].number == received + i);
            ASSERT(burst[i].check == hash_u64(received + i, 7));
        }
        received += got;
        if (got == 0)
            sched_yield();
    }
    return NULL;
}

/* The bytes are plain memory; the push of their address is what orders them. */
static void *pieces_producer(void *argument)
{
    const struct lane *const lane = argument;
    struct prng p;

    prng_seed(&p, lane->seed);
    for (uint64_t number = 0; number < lane->items; number++) {
        const uint32_t length = (uint32_t)prng_between(&p, 1, 300);
        struct item item = {.number = number, .length = length};

        while ((item.bytes = byte_ring_reserve(lane->bytes, length)) == NULL)
            sched_yield();
        memset(item.bytes, (uint8_t)number, length);
        while (spsc_push(lane->ring, &item, sizeof item, 1) == 0)
            sched_yield();
    }
    return NULL;
}

static void *pieces_consumer(void *argument)
{
    const struct lane *const lane = argument;

    for (uint64_t number = 0; number < lane->items; number++) {
        struct item item;

        while (spsc_pop(lane->ring, &item, sizeof item, 1) == 0)
            sched_yield();
        ASSERT(item.number == number);
        for (uint32_t i = 0; i < item.length; i++)
            ASSERT(item.bytes[i] == (uint8_t)number);
        byte_ring_release(lane->bytes, item.length);
    }
    return NULL;
}

/* The words are plain memory; the published end of what is written orders them. */
static void *words_producer(void *argument)
{
    (void)argument;
    for (uint64_t i = 0; i < WORDS; i++) {
        words[i] = hash_u64(i, 9);
        published_set(&words_end, i + 1);
        if (i % 4096 == 0)
            sched_yield();
    }
    return NULL;
}

static void *words_consumer(void *argument)
{
    (void)argument;
    uint64_t seen = 0;

    while (seen < WORDS) {
        const uint64_t end = published_get(&words_end);
        ASSERT(end >= seen);
        if (end == seen)
            sched_yield();
        for (; seen < end; seen++)
            ASSERT(words[seen] == hash_u64(seen, 9));
    }
    return NULL;
}

static struct members_view members;

/* View number n: as many members as n says, and n in all their words. */
static void *views_producer(void *argument)
{
    (void)argument;
    struct view_member out[MEMBERS_VIEW_MAX];

    for (uint64_t n = 1; n <= VIEWS; n++) {
        for (uint32_t i = 0; i < MEMBERS_VIEW_MAX; i++)
            out[i] = (struct view_member){
                .incarnation = n, .match = n, .node = (uint16_t)n, .voter = n % 2 == 0};
        members_view_write(&members, out, (uint32_t)(1 + n % MEMBERS_VIEW_MAX));
    }
    return NULL;
}

static void *views_consumer(void *argument)
{
    (void)argument;
    struct view_member in[MEMBERS_VIEW_MAX];
    uint64_t seen = 0;

    while (seen < VIEWS) {
        const uint32_t count = members_view_read(&members, in);
        if (count == 0) {
            sched_yield();
            continue;
        }
        ASSERT(in[0].match >= seen);
        seen = in[0].match;
        ASSERT(count == 1 + seen % MEMBERS_VIEW_MAX);
        for (uint32_t i = 0; i < count; i++) {
            ASSERT(in[i].match == seen);
            ASSERT(in[i].incarnation == seen);
            ASSERT(in[i].node == (uint16_t)seen);
            ASSERT(in[i].voter == (seen % 2 == 0));
        }
    }
    return NULL;
}

static void run_pair(void *(*producer)(void *), void *(*consumer)(void *), struct lane *lane)
{
    pthread_t threads[2];

    ASSERT(pthread_create(&threads[0], NULL, producer, lane) == 0);
    ASSERT(pthread_create(&threads[1], NULL, consumer, lane) == 0);
    ASSERT(pthread_join(threads[0], NULL) == 0);
    ASSERT(pthread_join(threads[1], NULL) == 0);
}

int main(void)
{
    static const uint32_t slot_counts[] = {1, 2, 4, 32, SLOTS_MAX};
    uint64_t items = 0;

    for (size_t i = 0; i < sizeof slot_counts / sizeof slot_counts[0]; i++) {
        struct lane lane = {
            .ring = spsc_init(ring_memory, slot_counts[i], sizeof(struct item)),
            .items = slot_counts[i] < BURST_MAX ? ITEMS_SMALL : ITEMS_LARGE,
            .seed = slot_counts[i],
        };
        run_pair(items_producer, items_consumer, &lane);
        items += lane.items;
    }

    struct byte_ring bytes;
    byte_ring_init(&bytes, piece_memory, sizeof piece_memory);
    struct lane lane = {
        .ring = spsc_init(ring_memory, 64, sizeof(struct item)),
        .bytes = &bytes,
        .items = PIECES,
        .seed = 1,
    };
    run_pair(pieces_producer, pieces_consumer, &lane);
    run_pair(words_producer, words_consumer, NULL);
    run_pair(views_producer, views_consumer, NULL);
    printf("%llu items, %d pieces, %d words, %d views: whole and in order\n",
           (unsigned long long)items, PIECES, WORDS, VIEWS);
    return 0;
}
