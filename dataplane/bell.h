/* dataplane/bell.h: waking an lcore that sleeps, from another lcore or another process of the host.
 *
 * A bell is two files in the run directory: a page with the lcore's word (base/bell.h), and a FIFO.
 * Everybody opens the FIFO for reading and writing and non-blocking, so a dead owner gives no error
 * and its next start needs no handshake. Both files stay when the owner goes: they are found again,
 * never made anew, because others have them open.
 *
 * Use        An lcore's loop, adaptive:
 *                bell_turn_begin(b); work = all polls; bell_turn_end(b);
 *                no work: sched_yield(); no work for 50 us:
 *                bell_sleep_begin(b); one more turn as above; if that found no work either,
 *                epoll_pwait2() with bell_fd() in the set, until the next timer, 10 ms at most;
 *                bell_sleep_end(b).
 *            turn_end before sched_yield() spares port_guard the wait for the CPU.
 *            Who pushed to rings of other lcores: at the end of its turn, once per bell, bell_ring().
 * Thread     bell_turn_*, bell_sleep_*: the owner's lcore. bell_ring(): any thread or process.
 * Errors     bell_create(), bell_find(): 0, or a negative errno with a sentence in `error`.
 *            Ringing has none: a full FIFO has rung already.
 */
#ifndef DATAPLANE_BELL_H
#define DATAPLANE_BELL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bell.h"

enum { BELL_PATH_BYTES_MAX = 256, BELL_NAME_BYTES_MAX = 32 };

/* The caller's memory; its address may be shared by the lcores of one process. */
struct bell {
    struct bell_word *word; /* writable for the owner only */
    int fifo;
    int page; /* the owner's: locked as long as it lives; else -1 */
    uint64_t file; /* inode of the page: a directory that was made anew has another */
};

/* The name by which peers know the lcore of `node` that polls its links. */
void bell_name_of_node(uint16_t node, char name[BELL_NAME_BYTES_MAX]);

/* The owner: makes or finds its files and resets the word. -EBUSY: it has a living owner. */
int bell_create(struct bell *b, const char *directory, const char *name, char *error,
                size_t error_bytes);
/* Somebody else's; -ENOENT: it has never been there, so look again later. */
int bell_find(struct bell *b, const char *directory, const char *name, char *error,
              size_t error_bytes);
/* Whether the files at that place are still the ones that `b` has open. */
bool bell_is_current(const struct bell *b, const char *directory, const char *name);
void bell_close(struct bell *b);

static inline void bell_turn_begin(struct bell *b)
{
    bell_word_turn_begin(b->word);
}

static inline void bell_turn_end(struct bell *b)
{
    bell_word_turn_end(b->word);
}

static inline void bell_sleep_begin(struct bell *b)
{
    bell_word_sleep_begin(b->word);
}

/* Drains the FIFO too, but only if `rung`: epoll said that bell_fd() is readable. */
void bell_sleep_end(struct bell *b, bool rung);

/* For epoll, level-triggered, EPOLLIN. */
static inline int bell_fd(const struct bell *b)
{
    return b->fifo;
}

void bell_wake(const struct bell *b); /* unconditionally: one system call */

/* After the pushes of a turn. A system call only if the lcore sleeps. */
static inline void bell_ring(const struct bell *b)
{
    bell_word_fence();
    if (bell_word_asleep(b->word))
        bell_wake(b);
}

#endif
