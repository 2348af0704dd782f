/* store/slab.c: blocks of one size: a mark that only rises, and a list of what came back. */
#include "store/slab_internal.h"

#include <string.h>

void slab_init(struct slab *slab, void *memory, uint32_t block_shift, uint32_t block_count)
{
    ASSERT(((uintptr_t)memory & 63) == 0);
    ASSERT(block_shift >= 6);
    ASSERT(block_count > 1);
    *slab = (struct slab){
        .memory = memory, .block_shift = block_shift, .block_count = block_count, .fresh = 1};
}

void slab_clear(struct slab *slab)
{
    ASSERT(slab->fresh > 0);
    slab->fresh = 1;
    slab->free = 0;
    slab->used = 0;
}

uint32_t slab_take(struct slab *slab)
{
    uint32_t block = slab->free;

    slab->used++;
    ASSERT_SLOW(slab->used < slab->block_count);
    if (block != 0) {
        memcpy(&slab->free, slab_at(slab, block), sizeof slab->free);
        ASSERT(slab->free < slab->fresh);
        return block;
    }
    ASSERT(slab->fresh < slab->block_count);
    block = slab->fresh++;
    return block;
}

void slab_give(struct slab *slab, uint32_t block)
{
    ASSERT(block > 0);
    ASSERT(block < slab->fresh);
    ASSERT(block != slab->free); /* given back twice in a row */
    ASSERT(slab->used > 0);
    slab->used--;
    memcpy(slab_at(slab, block), &slab->free, sizeof slab->free);
    slab->free = block;
}
