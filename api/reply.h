/* api/reply.h: the bytes of one response, assembled here, then read by the HTTP/2 session.
 *
 * gRPC puts the length before the message, so a response is whole before its first byte leaves.
 * A small one lies in the call itself; what goes beyond lies in blocks from the heap, which are
 * given back one by one as the client's window lets them go.
 */
#ifndef API_REPLY_H
#define API_REPLY_H

#include "api/heap.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    REPLY_INLINE_BYTES = 256,
    REPLY_BLOCK_BYTES_MIN = 4 << 10,
    REPLY_BLOCK_BYTES_MAX = 64 << 10,
    REPLY_BYTES_MAX = INT32_MAX, /* what protobuf allows a message */
};

struct reply_block {
    struct reply_block *next;
    uint32_t size;
    uint32_t used;
    uint8_t bytes[];
};

struct reply {
    struct reply_block *first, *last;
    uint8_t *inline_bytes; /* REPLY_INLINE_BYTES, the owner's */
    uint32_t inline_used;
    uint32_t inline_read;
    uint32_t block_read; /* of the first block */
    uint32_t bytes;      /* appended so far, GRPC_PREFIX_BYTES included */
    bool overflow;       /* the heap refused: the reply is void */
};

/* Empty but for room for the gRPC prefix, which reply_finish() fills in. */
void reply_begin(struct reply *r, uint8_t *inline_bytes);
void reply_append(struct reply *r, struct heap_account *account, const void *bytes,
                  uint32_t length);
/* False: it overflowed. */
bool reply_finish(struct reply *r);
/* Moves at most `size` bytes to `out`; returns how many. */
size_t reply_read(struct reply *r, struct heap_account *account, uint8_t *out, size_t size);
bool reply_empty(const struct reply *r);
void reply_drop(struct reply *r, struct heap_account *account);

#endif
