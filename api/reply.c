/* api/reply.c: a response as a chain of blocks. */
#include "api/reply.h"

#include "api/grpc.h"
#include "base/assert.h"

#include <string.h>

static struct reply_block *block_append(struct reply *r, struct heap_account *account);
static void block_drop_first(struct reply *r, struct heap_account *account);
static size_t size_min(size_t a, size_t b);

void reply_begin(struct reply *r, uint8_t *inline_bytes)
{
    *r = (struct reply){
        .inline_bytes = inline_bytes,
        .inline_used = GRPC_PREFIX_BYTES,
        .bytes = GRPC_PREFIX_BYTES,
    };
}

void reply_append(struct reply *r, struct heap_account *account, const void *bytes, uint32_t length)
{
    const uint8_t *from = bytes;
    uint32_t left = length;

    if (r->overflow)
        return;
    if (length > (uint32_t)REPLY_BYTES_MAX - r->bytes) {
        r->overflow = true;
        return;
    }
    r->bytes += length;

    if (r->first == NULL) {
        const uint32_t part = (uint32_t)size_min(left, REPLY_INLINE_BYTES - r->inline_used);
        if (part > 0)
            memcpy(r->inline_bytes + r->inline_used, from, part);
        r->inline_used += part;
        from += part;
        left -= part;
    }
    while (left > 0) {
        struct reply_block *block = r->last;
        if (block == NULL || block->used == block->size)
            block = block_append(r, account);
        if (block == NULL) {
            r->overflow = true;
            return;
        }
        const uint32_t part = (uint32_t)size_min(left, block->size - block->used);
        memcpy(block->bytes + block->used, from, part);
        block->used += part;
        from += part;
        left -= part;
    }
}

bool reply_finish(struct reply *r)
{
    if (r->overflow)
        return false;
    ASSERT(r->bytes >= GRPC_PREFIX_BYTES);
    ASSERT(r->inline_read == 0);
    grpc_prefix_write(r->inline_bytes, r->bytes - GRPC_PREFIX_BYTES);
    return true;
}

size_t reply_read(struct reply *r, struct heap_account *account, uint8_t *out, size_t size)
{
    size_t done = size_min(size, r->inline_used - r->inline_read);

    if (done > 0)
        memcpy(out, r->inline_bytes + r->inline_read, done);
    r->inline_read += (uint32_t)done;
    while (done < size && r->first != NULL) {
        struct reply_block *block = r->first;
        const size_t part = size_min(size - done, block->used - r->block_read);
        memcpy(out + done, block->bytes + r->block_read, part);
        r->block_read += (uint32_t)part;
        done += part;
        if (r->block_read == block->used)
            block_drop_first(r, account);
    }
    return done;
}

bool reply_empty(const struct reply *r)
{
    return r->inline_read == r->inline_used && r->first == NULL;
}

void reply_drop(struct reply *r, struct heap_account *account)
{
    while (r->first != NULL)
        block_drop_first(r, account);
    r->inline_used = r->inline_read = 0;
}

static struct reply_block *block_append(struct reply *r, struct heap_account *account)
{
    const uint32_t size = r->first == NULL ? REPLY_BLOCK_BYTES_MIN : REPLY_BLOCK_BYTES_MAX;
    struct reply_block *block = heap_alloc(account, sizeof *block + size);

    if (block == NULL)
        return NULL;
    *block = (struct reply_block){.size = size};
    if (r->last != NULL)
        r->last->next = block;
    else
        r->first = block;
    r->last = block;
    return block;
}

static void block_drop_first(struct reply *r, struct heap_account *account)
{
    struct reply_block *block = r->first;

    r->first = block->next;
    if (r->first == NULL)
        r->last = NULL;
    r->block_read = 0;
    heap_free(account, block);
}

static size_t size_min(size_t a, size_t b)
{
    return a < b ? a : b;
}
