/* base/published.h: one word with one writer that other lcores may read at any time.
 *
 * Positions (durable seq, applied index, cursors) are published words and not messages: they can
 * not fill up, and a reader that is late sees the newest value, which implies all older ones.
 * Whatever the writer stored before published_set() is visible to who has read that value.
 */
#ifndef BASE_PUBLISHED_H
#define BASE_PUBLISHED_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>

#include "base/moment.h"

struct published {
    alignas(64) _Atomic uint64_t word;
};

/* The writer's lcore only. Release pairs with the acquire in published_get(). */
static inline void published_set(struct published *p, uint64_t value)
{
    moment();
    atomic_store_explicit(&p->word, value, memory_order_release);
}

/* Any lcore. Acquire pairs with the release in published_set(). */
static inline uint64_t published_get(const struct published *p)
{
    moment();
    return atomic_load_explicit(&((struct published *)p)->word, memory_order_acquire);
}

#endif
