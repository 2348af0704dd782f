/* Goal:   the heap counts every byte and refuses above its sums; a reply comes out as it went in
 *         and leaves nothing behind; a timer fires never early, at most a tick late, exactly once.
 * Method: accounts at their limits; replies of many sizes in pieces of many sizes; some thousand
 *         timers against a plain array, with time going on in steps of every kind.
 */
#include "api/grpc.h"
#include "api/heap.h"
#include "api/reply.h"
#include "api/timers.h"
#include "base/prng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { REPLY_TEST_BYTES = 300000, TIMER_COUNT = 4000, TIMER_STEPS = 4000 };

static void heap_limits(void **state)
{
    struct heap heap = {.bytes_max = 10000};
    struct heap_account a = {.heap = &heap, .bytes_max = 6000};
    struct heap_account b = {.heap = &heap, .bytes_max = 6000};

    (void)state;
    void *first = heap_alloc(&a, 5000);
    assert_non_null(first);
    assert_null(heap_alloc(&a, 1500)); /* the account's limit */
    assert_null(heap_alloc(&b, 5500)); /* the heap's */
    assert_null(heap_alloc(&b, SIZE_MAX - 4));
    void *second = heap_alloc(&b, 4000);
    assert_non_null(second);
    memset(second, 1, 4000);
    assert_null(heap_resize(&b, second, 6500));
    second = heap_resize(&b, second, 100);
    assert_non_null(second);
    assert_int_equal(((uint8_t *)second)[99], 1);
    heap_move(&a, &b, first); /* above its limit: what lives on must be somewhere */
    assert_int_equal(a.bytes, 0);
    heap_free(&b, first);
    heap_free(&b, second);
    heap_free(&b, NULL);
    assert_int_equal(b.bytes, 0);
    assert_int_equal(heap.bytes, 0);
}

static void reply_of(struct prng *prng, uint32_t length, const uint8_t *source)
{
    struct heap heap = {.bytes_max = 1 << 20};
    struct heap_account account = {.heap = &heap, .bytes_max = 1 << 20};
    uint8_t inline_bytes[REPLY_INLINE_BYTES], prefix[GRPC_PREFIX_BYTES];
    uint8_t *out = malloc(length + GRPC_PREFIX_BYTES + 1);
    struct reply r;
    uint32_t done = 0;

    assert_non_null(out);
    reply_begin(&r, inline_bytes);
    while (done < length) {
        uint32_t part = 1 + (uint32_t)prng_below(prng, 1 + prng_below(prng, 100000));
        part = part < length - done ? part : length - done;
        reply_append(&r, &account, source + done, part);
        done += part;
    }
    assert_true(reply_finish(&r));
    done = 0;
    while (!reply_empty(&r)) {
        const size_t size = 1 + prng_below(prng, 20000);
        const size_t left = length + GRPC_PREFIX_BYTES + 1 - done;
        done += (uint32_t)reply_read(&r, &account, out + done, size < left ? size : left);
    }
    assert_int_equal(done, length + GRPC_PREFIX_BYTES);
    grpc_prefix_write(prefix, length);
    assert_memory_equal(out, prefix, GRPC_PREFIX_BYTES);
    assert_memory_equal(out + GRPC_PREFIX_BYTES, source, length);
    assert_int_equal(heap.bytes, 0);
    free(out);
}

static void replies(void **state)
{
    static uint8_t source[REPLY_TEST_BYTES];
    struct prng prng;

    (void)state;
    prng_seed(&prng, 5);
    for (size_t i = 0; i < sizeof source; i++)
        source[i] = (uint8_t)prng_next(&prng);
    for (uint32_t length = 0; length < 600; length++)
        reply_of(&prng, length, source);
    for (uint32_t round = 0; round < 200; round++)
        reply_of(&prng, (uint32_t)prng_below(&prng, REPLY_TEST_BYTES), source);
}

static void reply_overflow(void **state)
{
    struct heap heap = {.bytes_max = 100000};
    struct heap_account account = {.heap = &heap, .bytes_max = 100000};
    uint8_t inline_bytes[REPLY_INLINE_BYTES];
    static uint8_t source[REPLY_TEST_BYTES];
    struct reply r;

    (void)state;
    reply_begin(&r, inline_bytes);
    reply_append(&r, &account, source, sizeof source);
    assert_true(r.overflow);
    reply_append(&r, &account, source, 1);
    assert_false(reply_finish(&r));
    reply_drop(&r, &account);
    assert_int_equal(heap.bytes, 0);
}

static void timers_fire(void **state)
{
    static struct timer timer[TIMER_COUNT];
    static uint64_t due_ns[TIMER_COUNT]; /* 0: not set */
    static struct timers wheel;
    struct prng prng;
    uint64_t now_ns = 123456789;

    (void)state;
    prng_seed(&prng, 6);
    timers_init(&wheel, now_ns);
    assert_true(timers_next(&wheel) == UINT64_MAX);
    for (uint32_t i = 0; i < TIMER_COUNT; i++)
        timer_init(&timer[i]);
    for (uint32_t step = 0; step < TIMER_STEPS; step++) {
        for (uint32_t i = 0; i < 4; i++) {
            const uint64_t which = prng_below(&prng, TIMER_COUNT);
            timers_remove(&wheel, &timer[which]);
            due_ns[which] = 0;
            if (prng_below(&prng, 4) == 0)
                continue;
            due_ns[which] = now_ns + prng_below(&prng, 1ULL << prng_below(&prng, 35));
            timers_add(&wheel, &timer[which], due_ns[which]);
        }
        now_ns += prng_below(&prng, 1ULL << prng_below(&prng, 34));
        const uint64_t next_ns = timers_next(&wheel);
        uint32_t fired = 0;
        struct timer *t;
        while ((t = timers_expired(&wheel, now_ns)) != NULL) {
            assert_true(due_ns[t - timer] != 0);
            assert_true(due_ns[t - timer] <= now_ns);
            due_ns[t - timer] = 0;
            fired++;
        }
        assert_true(fired == 0 || next_ns <= now_ns); /* who sleeps until then misses none */
        for (uint32_t i = 0; i < TIMER_COUNT; i++)
            assert_true(due_ns[i] == 0 || due_ns[i] + TIMERS_TICK_NS > now_ns);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heap_limits),
        cmocka_unit_test(replies),
        cmocka_unit_test(reply_overflow),
        cmocka_unit_test(timers_fire),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
