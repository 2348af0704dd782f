/* persist/snapshot_block.c: what is written of a file, as a stream in two blocks: one is filled while the
 * other is written, in order, without flushes.
 */
#include "persist/snapshot_internal.h"

uint8_t *snapshot_block_take(struct snapshots *s, uint32_t length)
{
    struct snapshot_writer *w = &s->writer;
    const uint32_t size = s->options.write_bytes;
    struct snapshot_block *b = &w->block[w->filling];

    ASSERT(length <= size);
    if (b->state == SNAPSHOT_BLOCK_OPEN && b->length + length > size) {
        b->state = SNAPSHOT_BLOCK_CLOSED;
        w->filling = (w->filling + 1) % SNAPSHOT_BLOCKS;
        b = &w->block[w->filling];
    }
    if (b->state != SNAPSHOT_BLOCK_OPEN)
        return NULL;
    if (b->length == 0)
        b->offset = w->end;
    uint8_t *const bytes = b->bytes + b->length;
    b->length += length;
    w->end += length;
    return bytes;
}

void snapshot_block_give_back(struct snapshots *s, uint32_t length)
{
    struct snapshot_writer *w = &s->writer;
    struct snapshot_block *b = &w->block[w->filling];

    ASSERT(b->state == SNAPSHOT_BLOCK_OPEN);
    ASSERT(b->length >= length);
    b->length -= length;
    w->end -= length;
}

bool snapshot_blocks_are_empty(const struct snapshot_writer *w)
{
    for (uint32_t i = 0; i < SNAPSHOT_BLOCKS; i++) {
        if (w->block[i].state != SNAPSHOT_BLOCK_OPEN || w->block[i].length > 0)
            return false;
    }
    return true;
}

uint32_t snapshot_block_write(struct snapshots *s)
{
    struct snapshot_writer *w = &s->writer;
    const uint32_t other = (w->filling + 1) % SNAPSHOT_BLOCKS;
    const bool older = w->block[other].state == SNAPSHOT_BLOCK_CLOSED;
    struct snapshot_block *b = &w->block[older ? other : w->filling];

    ASSERT(b->length <= s->options.write_bytes);
    if (b->state == SNAPSHOT_BLOCK_WRITING || b->length == 0)
        return 0;
    if (b->state == SNAPSHOT_BLOCK_OPEN && w->step != SNAPSHOT_STEP_TABLE)
        return 0;
    const struct disk_op op = {
        .kind = DISK_OP_WRITE,
        .slot = w->file.slot,
        .offset = b->offset,
        .bytes = b->bytes,
        .length = b->length,
        .cookie = snapshot_cookie(SNAPSHOT_OP_BLOCK),
    };
    if (!snapshot_submit(s, &op))
        return 0;
    if (b->state == SNAPSHOT_BLOCK_OPEN)
        w->filling = other;
    b->state = SNAPSHOT_BLOCK_WRITING;
    return 1;
}

void snapshot_writer_on_block(struct snapshots *s, int64_t result)
{
    struct snapshot_writer *w = &s->writer;
    struct snapshot_block *b = &w->block[0];

    if (b->state != SNAPSHOT_BLOCK_WRITING)
        b = &w->block[1];
    ASSERT(b->state == SNAPSHOT_BLOCK_WRITING);
    const bool whole = result == (int64_t)b->length;
    b->state = SNAPSHOT_BLOCK_OPEN;
    b->length = 0;
    if (!whole && snapshot_lacks_room(s, result))
        snapshot_writer_drop(s, (int)result);
}
