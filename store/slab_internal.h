/* store/slab_internal.h: blocks of one size, out of a region that the caller lends.
 *
 * The store has three sizes and a region for each (store/store_internal.h): whatever is larger than
 * a block is a chain of blocks. So nothing ever fragments: a region is enough when it holds the
 * most blocks of its size that the quota allows, and this number is known at start.
 *
 * Names      A block is named by its number; 0 is no block.
 * Memory     A block is not touched before it is first taken: the region may be memory that the
 *            kernel has only promised. Freed blocks are taken again before new ones.
 */
#ifndef STORE_SLAB_INTERNAL_H
#define STORE_SLAB_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"

struct slab {
    uint8_t *memory;
    uint32_t block_shift; /* log2 of a block's bytes */
    uint32_t block_count; /* that the region holds, block 0 included, which is never taken */
    uint32_t fresh;       /* this block and all above it were never taken */
    uint32_t free; /* first of the freed blocks, each of which begins with the next's number */
    uint32_t used; /* blocks taken now */
};

/* `memory` has block_count << block_shift bytes, aligned to a block (at most to a cache line). */
void slab_init(struct slab *slab, void *memory, uint32_t block_shift, uint32_t block_count);
/* Never fails: that the region is large enough is the arithmetic of store_bytes(). */
uint32_t slab_take(struct slab *slab);
void slab_give(struct slab *slab, uint32_t block);
/* Gives all blocks back at once. */
void slab_clear(struct slab *slab);

static inline void *slab_at(const struct slab *slab, uint32_t block)
{
    ASSERT_SLOW(block > 0);
    ASSERT_SLOW(block < slab->fresh);
    return slab->memory + ((size_t)block << slab->block_shift);
}

#endif
