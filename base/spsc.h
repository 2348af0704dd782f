/* base/spsc.h: the ring between two lcores: one producer, one consumer, no locks.
 *
 * Shape      A power of two of slots of one fixed size, in memory that the caller takes at start.
 * Thread     spsc_push() and spsc_room() by the producer only, spsc_pop() and spsc_count() by the
 *            consumer only. Nothing else is shared.
 * Ownership  Items are copied in and copied out.
 * Errors     A full ring takes fewer items than offered and says so; it never blocks. What was not
 *            taken stays the producer's, which counts it as dropped or keeps it.
 * Source     Lamport's ring; the cached copy of the other side's index, read anew only when it runs
 *            out, is that of MCRingBuffer (Lee, Bu, Chandranmenon, IPDPS 2010).
 */
#ifndef BASE_SPSC_H
#define BASE_SPSC_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "base/moment.h"

enum { CACHE_LINE_BYTES = 64 };

struct spsc {
    alignas(CACHE_LINE_BYTES) _Atomic uint32_t tail; /* written by the producer only */
    uint32_t head_seen;                              /* producer's cached copy of head */
    alignas(CACHE_LINE_BYTES) _Atomic uint32_t head; /* written by the consumer only */
    uint32_t tail_seen;                              /* consumer's cached copy of tail */
    alignas(CACHE_LINE_BYTES) uint32_t mask;         /* slot count - 1 */
    uint32_t item_bytes;
    alignas(CACHE_LINE_BYTES) uint8_t slot[];
};

/* Bytes that a ring of `slot_count` items needs, a multiple of a cache line. */
static inline size_t spsc_bytes(uint32_t slot_count, uint32_t item_bytes)
{
    const size_t bytes = sizeof(struct spsc) + (size_t)slot_count * item_bytes;
    return (bytes + CACHE_LINE_BYTES - 1) & ~(size_t)(CACHE_LINE_BYTES - 1);
}

static inline struct spsc *spsc_init(void *memory, uint32_t slot_count, uint32_t item_bytes)
{
    struct spsc *q = memory;

    ASSERT(slot_count >= 1);
    ASSERT((slot_count & (slot_count - 1)) == 0);
    ASSERT(((uintptr_t)memory & (CACHE_LINE_BYTES - 1)) == 0);
    memset(q, 0, sizeof *q);
    q->mask = slot_count - 1;
    q->item_bytes = item_bytes;
    return q;
}

/* Producer. Free slots, at least `want` of them if there are that many. */
static inline uint32_t spsc_room(struct spsc *q, uint32_t want)
{
    moment();
    /* Relaxed: tail is our own word. */
    const uint32_t tail = atomic_load_explicit(&q->tail, memory_order_relaxed);
    const uint32_t size = q->mask + 1;

    if (size - (tail - q->head_seen) < want) {
        /* Acquire pairs with the release in spsc_pop(): the consumer has finished reading every
         * slot below head. */
        q->head_seen = atomic_load_explicit(&q->head, memory_order_acquire);
    }
    return size - (tail - q->head_seen);
}

/* Producer. Returns how many of `count` items were taken, in order from the first. */
static inline uint32_t spsc_push(struct spsc *q, const void *items, uint32_t item_bytes,
                                 uint32_t count)
{
    const uint32_t tail = atomic_load_explicit(&q->tail, memory_order_relaxed); /* our own word */
    const uint32_t room = spsc_room(q, count);
    const uint32_t taken = count < room ? count : room;

    ASSERT(item_bytes == q->item_bytes);
    for (uint32_t i = 0; i < taken; i++)
        memcpy(q->slot + (size_t)((tail + i) & q->mask) * item_bytes,
               (const uint8_t *)items + (size_t)i * item_bytes, item_bytes);
    /* Release pairs with the acquire in spsc_count(): slots before tail. */
    atomic_store_explicit(&q->tail, tail + taken, memory_order_release);
    return taken;
}

/* Consumer. Items waiting, at least `want` of them if there are that many. */
static inline uint32_t spsc_count(struct spsc *q, uint32_t want)
{
    moment();
    const uint32_t head = atomic_load_explicit(&q->head, memory_order_relaxed); /* our own word */

    if (q->tail_seen - head < want) {
        /* Acquire pairs with the release in spsc_push(): the items below tail are written. */
        q->tail_seen = atomic_load_explicit(&q->tail, memory_order_acquire);
    }
    return q->tail_seen - head;
}

/* Consumer. Copies out at most `count` items and frees their slots; returns how many. */
static inline uint32_t spsc_pop(struct spsc *q, void *items, uint32_t item_bytes, uint32_t count)
{
    const uint32_t head = atomic_load_explicit(&q->head, memory_order_relaxed); /* our own word */
    const uint32_t waiting = spsc_count(q, count);
    const uint32_t taken = count < waiting ? count : waiting;

    ASSERT(item_bytes == q->item_bytes);
    for (uint32_t i = 0; i < taken; i++)
        memcpy((uint8_t *)items + (size_t)i * item_bytes,
               q->slot + (size_t)((head + i) & q->mask) * item_bytes, item_bytes);
    /* Release pairs with the acquire in spsc_room(): we are done reading these slots. */
    atomic_store_explicit(&q->head, head + taken, memory_order_release);
    return taken;
}

#endif
