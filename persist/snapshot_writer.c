/* persist/snapshot_writer.c: one file, from its first chunk to its name; or dropped.
 *
 * Chunks and the rows of the table are one stream (snapshot_block.c). The header comes when all of that has
 * completed, then one flush covers the whole file, and only then it gets the name by which a manifest
 * may mean it (snapshot_step.c). What has not got so far is found by the next start under another name,
 * and removed.
 */
#include "persist/snapshot_internal.h"

#include "base/planted.h"

#include <errno.h>
#include <string.h>

static bool may_begin(const struct snapshots *s)
{
    const struct snapshot_writer *w = &s->writer;

    ASSERT(w->file.slot != s->current.slot);
    return w->step == SNAPSHOT_STEP_NONE && !w->submitted && s->old.state == SNAPSHOT_OLD_NONE &&
           s->repair.state == SNAPSHOT_MEND_NONE && s->now_ns >= w->retry_ns;
}

static void check_start(const struct snapshots *s, const struct snapshot_start *start)
{
    const struct segment_manifest *m = &s->w->manifest;
    const bool replaces = start->index == m->snapshot_index;

    ASSERT(start->index >= m->snapshot_index);
    ASSERT(start->term > 0);
    ASSERT(start->room > 0);
    ASSERT(start->config_bytes <= SNAPSHOT_CONFIG_BYTES_MAX);
    ASSERT(!replaces || s->condition != SNAPSHOT_NONE);
    ASSERT(!replaces || start->digest_known);
    ASSERT(!replaces || start->digest == m->snapshot_digest);
    ASSERT(!replaces || start->room == m->snapshot_bytes);
}

int snapshot_begin(struct snapshots *s, const struct snapshot_start *start)
{
    struct snapshot_writer *w = &s->writer;
    struct snapshot_header *h = &w->file.header;

    check_start(s, start);
    if (wal_failed(s->w) != 0 || !may_begin(s))
        return -EAGAIN;
    if (start->room > s->options.bytes_max)
        return -EFBIG;
    *h = (struct snapshot_header){
        .cluster = s->w->options.cluster,
        .index = start->index,
        .term = start->term,
        .chunk_bytes = s->options.chunk_bytes,
        .chain = start->chain,
        .config_index = start->config_index,
        .config_bytes = start->config_bytes,
    };
    if (start->config_bytes > 0)
        memcpy(h->config, start->config, start->config_bytes);
    w->may_be_named = false;
    w->is_last = false;
    w->ended = false;
    w->digest_known = start->digest_known;
    w->digest = start->digest;
    w->room = start->room;
    w->expected = 0;
    w->chunk_count = 0;
    w->row_next = 0;
    w->filling = 0;
    w->end = SNAPSHOT_DATA_OFFSET;
    w->failure = 0;
    for (uint32_t i = 0; i < SNAPSHOT_BLOCKS; i++)
        w->block[i] = (struct snapshot_block){.bytes = w->block[i].bytes};
    const bool clears =
        start->index == s->w->manifest.snapshot_index && s->condition != SNAPSHOT_MISSING;
    if (clears) /* whoever reads it is told that it is gone */
        s->condition = SNAPSHOT_MISSING;
    w->step = clears ? SNAPSHOT_STEP_CLEAR : SNAPSHOT_STEP_CREATE;
    return 0;
}

/* The digest that the header will have if the content has these checksums. */
static uint64_t digest_of(const struct snapshots *s, uint64_t bytes)
{
    struct snapshot_header h = s->writer.file.header;

    ASSERT(bytes > 0);
    h.bytes = bytes;
    snapshot_seal(&h);
    return snapshot_digest(&h, s->writer.file.checksum);
}

int snapshot_expect(struct snapshots *s, uint32_t first, const uint8_t *checksums, uint32_t count)
{
    struct snapshot_writer *w = &s->writer;
    const uint32_t all = snapshot_chunk_count(w->room, s->options.chunk_bytes);

    if (snapshot_stage(s) != SNAPSHOT_TAKES)
        return -ECANCELED;
    ASSERT(w->digest_known);
    ASSERT(w->chunk_count == 0);
    ASSERT(first == 0 || first == w->expected);
    ASSERT(first + count <= all);
    memcpy(w->file.checksum + first, checksums, count * sizeof *w->file.checksum);
    w->expected = first + count;
    if (w->expected < all || digest_of(s, w->room) == w->digest || planted(PLANTED_PIECE_OF_ANOTHER))
        return 0;
    w->expected = 0;
    s->counters.chunks_refused++;
    return -EINVAL;
}

/* Of one that comes from a peer; no other is known before it is taken. */
static bool is_expected(const struct snapshot_writer *w, uint64_t checksum)
{
    ASSERT(w->chunk_count < w->expected);
    return w->file.checksum[w->chunk_count] == checksum || planted(PLANTED_CHUNK_UNPROVEN) ||
           planted(PLANTED_PIECE_OF_ANOTHER);
}

int snapshot_append(struct snapshots *s, const uint8_t *content, uint32_t length)
{
    struct snapshot_writer *w = &s->writer;
    struct snapshot_header *h = &w->file.header;
    const uint32_t span = (length + DISK_SECTOR - 1) / DISK_SECTOR * DISK_SECTOR;

    ASSERT(length > 0);
    ASSERT(length <= s->options.chunk_bytes);
    if (snapshot_stage(s) != SNAPSHOT_TAKES)
        return -ECANCELED;
    ASSERT(!w->is_last);
    if (h->bytes + length > w->room) {
        snapshot_writer_drop(s, -EFBIG);
        return -EFBIG;
    }
    uint8_t *const bytes = snapshot_block_take(s, span);
    if (bytes == NULL)
        return -EAGAIN;
    memcpy(bytes, content, length);
    memset(bytes + length, 0, span - length);
    const uint64_t checksum = snapshot_checksum(bytes, span);
    if (w->digest_known && !is_expected(w, checksum)) {
        snapshot_block_give_back(s, span);
        s->counters.chunks_refused++;
        return -EINVAL;
    }
    w->file.checksum[w->chunk_count++] = checksum;
    w->is_last = length < s->options.chunk_bytes;
    h->bytes += length;
    return 0;
}

int snapshot_end(struct snapshots *s)
{
    struct snapshot_writer *w = &s->writer;
    struct snapshot_header *h = &w->file.header;

    if (snapshot_stage(s) != SNAPSHOT_TAKES)
        return -ECANCELED;
    ASSERT(w->chunk_count > 0);
    ASSERT(w->chunk_count == snapshot_chunk_count(h->bytes, h->chunk_bytes));
    h->digest = digest_of(s, h->bytes);
    ASSERT(!w->digest_known || h->digest == w->digest); /* it has the chunks of the table */
    snapshot_seal(h);
    w->ended = true;
    if (w->step == SNAPSHOT_STEP_TAKE) /* else the file is not there yet: what was taken waits */
        w->step = SNAPSHOT_STEP_TABLE;
    return 0;
}

void snapshot_writer_drop(struct snapshots *s, int failure)
{
    struct snapshot_writer *w = &s->writer;

    ASSERT(failure < 0);
    ASSERT(w->step != SNAPSHOT_STEP_NONE);
    if (w->step >= SNAPSHOT_STEP_DRAIN)
        return;
    w->failure = failure;
    w->dropped_at = w->step;
    w->step = SNAPSHOT_STEP_DRAIN;
}

void snapshot_abandon(struct snapshots *s)
{
    const struct wal_base_change *c = &s->w->base;

    ASSERT(s->writer.step != SNAPSHOT_STEP_WAIT || c->state == WAL_BASE_NONE ||
           c->manifest.snapshot_index != s->writer.file.header.index);
    if (s->writer.step != SNAPSHOT_STEP_NONE)
        snapshot_writer_drop(s, -ECANCELED);
}

enum snapshot_stage snapshot_stage(const struct snapshots *s)
{
    switch (s->writer.step) {
    case SNAPSHOT_STEP_NONE:
        return SNAPSHOT_IDLE;
    case SNAPSHOT_STEP_CLEAR:
    case SNAPSHOT_STEP_CREATE:
    case SNAPSHOT_STEP_TAKE:
        return s->writer.ended ? SNAPSHOT_ENDS : SNAPSHOT_TAKES;
    case SNAPSHOT_STEP_TABLE:
    case SNAPSHOT_STEP_HEADER:
    case SNAPSHOT_STEP_SYNC:
    case SNAPSHOT_STEP_NAME:
        return SNAPSHOT_ENDS;
    case SNAPSHOT_STEP_WAIT:
        return SNAPSHOT_READY;
    case SNAPSHOT_STEP_DRAIN:
    case SNAPSHOT_STEP_DROP:
    case SNAPSHOT_STEP_DROP_NAMED:
        return SNAPSHOT_DROPS;
    }
    ASSERT(false);
    return SNAPSHOT_IDLE;
}

struct snapshot_progress snapshot_progress(const struct snapshots *s)
{
    const struct snapshot_writer *w = &s->writer;

    ASSERT(w->file.header.bytes <= w->room);
    if (w->step == SNAPSHOT_STEP_NONE)
        return (struct snapshot_progress){0};
    return (struct snapshot_progress){
        .index = w->file.header.index,
        .bytes = w->file.header.bytes,
        .bytes_max = w->room,
    };
}

int snapshot_failure(const struct snapshots *s)
{
    return s->writer.failure;
}

const struct snapshot_header *snapshot_ready(const struct snapshots *s)
{
    return s->writer.step == SNAPSHOT_STEP_WAIT ? &s->writer.file.header : NULL;
}
