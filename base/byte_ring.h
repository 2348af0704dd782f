/* base/byte_ring.h: a ring of byte pieces between two lcores, released in the order of writing.
 *
 * The producer reserves a contiguous piece, fills it, and hands its address over by other means
 * (an SPSC item, which orders the bytes too). The consumer releases pieces in the same order.
 * A piece that would cross the end of the memory begins at its start instead; both sides compute
 * that alike, so nothing but lengths is ever exchanged.
 *
 * Thread     byte_ring_reserve() by the producer, byte_ring_release() by the consumer.
 * Errors     NULL when there is no room now.
 */
#ifndef BASE_BYTE_RING_H
#define BASE_BYTE_RING_H

#include <stdalign.h>
#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/published.h"

enum { BYTE_RING_ALIGN = 8 };

struct byte_ring {
    struct published head;     /* consumer: everything below is free again */
    alignas(64) uint64_t tail; /* producer */
    alignas(64) uint8_t *memory;
    uint64_t size; /* a power of two */
};

static inline void byte_ring_init(struct byte_ring *r, void *memory, uint64_t size)
{
    ASSERT(size >= BYTE_RING_ALIGN);
    ASSERT((size & (size - 1)) == 0);
    *r = (struct byte_ring){.memory = memory, .size = size};
}

/* Where a piece of `length` bytes begins when the ring stands at `position`. */
static inline uint64_t byte_ring_begin(const struct byte_ring *r, uint64_t position, uint32_t length)
{
    const uint64_t offset = position & (r->size - 1);
    return offset + length > r->size ? position + (r->size - offset) : position;
}

static inline uint64_t byte_ring_end(uint64_t begin, uint32_t length)
{
    return (begin + length + BYTE_RING_ALIGN - 1) & ~(uint64_t)(BYTE_RING_ALIGN - 1);
}

static inline uint8_t *byte_ring_reserve(struct byte_ring *r, uint32_t length)
{
    ASSERT(length > 0);
    ASSERT(length <= r->size / 2); /* else a piece might never fit */
    const uint64_t begin = byte_ring_begin(r, r->tail, length);
    const uint64_t end = byte_ring_end(begin, length);

    if (end - published_get(&r->head) > r->size)
        return NULL;
    r->tail = end;
    return r->memory + (begin & (r->size - 1));
}

static inline void byte_ring_release(struct byte_ring *r, uint32_t length)
{
    const uint64_t begin = byte_ring_begin(r, published_get(&r->head), length);
    published_set(&r->head, byte_ring_end(begin, length));
}

#endif
