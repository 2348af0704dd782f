/* api/heap.h: the only door to malloc that api has: it counts, and refuses above a sum.
 *
 * Account    Whoever allocates has an account (a connection, or api itself), so what one client
 *            holds is known and limited; all accounts together are limited by their heap.
 * Thread     The api lcore only.
 * Errors     NULL: the account or the heap is spent, or malloc failed. The caller refuses the
 *            request or closes the connection.
 */
#ifndef API_HEAP_H
#define API_HEAP_H

#include <stddef.h>
#include <stdint.h>

struct heap {
    uint64_t bytes; /* of all accounts */
    uint64_t bytes_max;
};

struct heap_account {
    struct heap *heap;
    uint64_t bytes;
    uint64_t bytes_max;
};

void *heap_alloc(struct heap_account *account, size_t bytes);
/* Like realloc(): on NULL the old piece stays; a NULL piece is an alloc. */
void *heap_resize(struct heap_account *account, void *piece, size_t bytes);
void heap_free(struct heap_account *account, void *piece); /* NULL: nothing */
/* The piece outlives `from`: another account answers for it, limits or not. */
void heap_move(struct heap_account *from, struct heap_account *to, const void *piece);

#endif
