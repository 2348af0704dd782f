/* node/seal.h: memory is taken at the start; afterwards whoever works under a sealed role takes none.
 *
 * Sealed are rx, raft, persist, store and tx: an lcore's loop marks each of them while it polls it.
 * The mark belongs to the role and not to the thread, because api, which must allocate (its HTTP/2
 * library does), may share the thread. malloc() and its kin under a mark stop the node with a line
 * that names the role: it is a bug of ours, in every build, and found at its first occurrence.
 *
 * seal_heap.c is the executable's malloc: it looks at the mark (one thread-local word, under 1 ns)
 * and passes on to jemalloc. seal_sanitizer.c takes its place in sanitizer builds, whose heap is
 * their own, by their hook.
 */
#ifndef NODE_SEAL_H
#define NODE_SEAL_H

#include <stddef.h>

void seal_begin(const char *role); /* a static string */
void seal_end(void);
/* For seal_*.c: returns if no mark is set. */
void seal_check(size_t bytes);

#endif
