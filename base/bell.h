/* base/bell.h: the word in which an lcore says whether it sleeps and which turn it is in.
 *
 * It lies in a page that other processes map read-only: a peer on the same host rings the bell
 * (dataplane/bell.h) of an lcore that sleeps, and only then. In its own process the word is also
 * the lcore's quiescent state: `turn` is odd while the lcore polls, so who has hidden something
 * from the lcores (a port, a mapping) and then seen each of them leave its turn may destroy it.
 *
 * Sleep      The lcore: bell_word_sleep_begin(), one more full turn, and only if that found nothing
 *            the system call that sleeps; then bell_word_sleep_end(). Who gives it work: pushes,
 *            bell_word_fence() once, and rings if bell_word_asleep(). Of the two fences one comes
 *            first, so either the turn sees the work or the giver sees the sleeper. A bell that is
 *            lost anyway costs the bounded sleep.
 * Thread     The lcore is the only writer of its word.
 */
#ifndef BASE_BELL_H
#define BASE_BELL_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct bell_word {
    alignas(64) _Atomic uint64_t turn; /* odd: polling */
    _Atomic uint32_t asleep;
};

/* A new owner begins with it: what a dead one left must not count. */
static inline void bell_word_reset(struct bell_word *w)
{
    /* Relaxed: an lcore that has not begun a turn guards nothing yet, and a peer that sees an old
     * `asleep` rings once for nothing. */
    atomic_store_explicit(&w->turn, 0, memory_order_relaxed);
    atomic_store_explicit(&w->asleep, 0, memory_order_relaxed);
}

static inline void bell_word_turn_begin(struct bell_word *w)
{
    const uint64_t turn = atomic_load_explicit(&w->turn, memory_order_relaxed); /* our own word */
    atomic_store_explicit(&w->turn, (turn + 1) | 1, memory_order_relaxed);
    /* Pairs with the fence of a waiter between hiding and bell_word_turn(): either it sees this
     * turn and waits for its end, or this turn sees what it has hidden. */
    atomic_thread_fence(memory_order_seq_cst);
}

static inline void bell_word_turn_end(struct bell_word *w)
{
    const uint64_t turn = atomic_load_explicit(&w->turn, memory_order_relaxed); /* our own word */
    /* Release pairs with the acquire in bell_word_turn(): the turn's reads are done. */
    atomic_store_explicit(&w->turn, (turn + 1) & ~(uint64_t)1, memory_order_release);
}

/* Any thread or process. Acquire pairs with the release in bell_word_turn_end(). */
static inline uint64_t bell_word_turn(const struct bell_word *w)
{
    return atomic_load_explicit(&((struct bell_word *)(uintptr_t)w)->turn, memory_order_acquire);
}

static inline void bell_word_sleep_begin(struct bell_word *w)
{
    atomic_store_explicit(&w->asleep, 1, memory_order_relaxed);
    /* Pairs with bell_word_fence() of who gives work; see above. */
    atomic_thread_fence(memory_order_seq_cst);
}

static inline void bell_word_sleep_end(struct bell_word *w)
{
    /* Relaxed: a giver that still sees 1 rings once for nothing. */
    atomic_store_explicit(&w->asleep, 0, memory_order_relaxed);
}

/* The giver, between its pushes and bell_word_asleep(). Pairs with bell_word_sleep_begin(). */
static inline void bell_word_fence(void)
{
    atomic_thread_fence(memory_order_seq_cst);
}

static inline bool bell_word_asleep(const struct bell_word *w)
{
    /* Relaxed: the fence before it has ordered it after the pushes. */
    return atomic_load_explicit(&((struct bell_word *)(uintptr_t)w)->asleep,
                                memory_order_relaxed) != 0;
}

#endif
