/* dataplane/frame_snapshot.c: the fixed part of the frames by which snapshots travel; the byte table
 * is in docs/formats.md. One form for all five, since they name the same thing; what a type does not
 * use is 0.
 */
#include "dataplane/frame_internal.h"

#include "base/assert.h"

#include <string.h>

struct wire_snapshot {
    uint64_t index;
    uint64_t term;
    uint64_t bytes;
    uint64_t digest;
    uint64_t offset;
    uint64_t bitmap;
    uint64_t config_index;
    uint64_t sender_term;
    uint32_t chunk_bytes;
    uint32_t chain;
    uint64_t reserved[3];
};

static_assert(sizeof(struct wire_snapshot) == FRAME_FIXED_BYTES, "the fixed part is the format");
static_assert(offsetof(struct wire_snapshot, chunk_bytes) == 64, "the fixed part is the format");
static_assert(FRAME_SNAPSHOT_CHUNK_BYTES_MIN % FRAME_CHUNK_BYTES == 0, "no piece is of two chunks");
static_assert(FRAME_SNAPSHOT_CONFIG_BYTES_MAX <= FRAME_BODY_BYTES_MAX, "a configuration fits");

void frame_snapshot_encode(const struct frame_snapshot *s, uint8_t *out)
{
    const struct wire_snapshot w = {
        .index = s->index,
        .term = s->term,
        .bytes = s->bytes,
        .digest = s->digest,
        .offset = s->offset,
        .bitmap = s->bitmap,
        .config_index = s->config_index,
        .sender_term = s->sender_term,
        .chunk_bytes = s->chunk_bytes,
        .chain = s->chain,
    };

    memcpy(out, &w, sizeof w);
}

bool frame_snapshot_decode(const uint8_t *bytes, struct frame_snapshot *s)
{
    struct wire_snapshot w;

    memcpy(&w, bytes, sizeof w);
    *s = (struct frame_snapshot){
        .index = w.index,
        .term = w.term,
        .bytes = w.bytes,
        .digest = w.digest,
        .offset = w.offset,
        .bitmap = w.bitmap,
        .config_index = w.config_index,
        .sender_term = w.sender_term,
        .chunk_bytes = w.chunk_bytes,
        .chain = w.chain,
    };
    return (w.reserved[0] | w.reserved[1] | w.reserved[2]) == 0;
}

uint64_t frame_snapshot_extent(const struct frame_snapshot *s)
{
    if (s->chunk_bytes == 0)
        return s->bytes;
    return (s->bytes + s->chunk_bytes - 1) / s->chunk_bytes * FRAME_SNAPSHOT_CHECKSUM_BYTES;
}

/* What an offer has and no other frame of a snapshot. */
static bool offers(const struct frame_snapshot *s)
{
    return s->config_index != 0 || s->sender_term != 0 || s->chain != 0;
}

static bool chunk_bytes_well_formed(uint32_t chunk_bytes)
{
    return chunk_bytes >= FRAME_SNAPSHOT_CHUNK_BYTES_MIN &&
           chunk_bytes <= FRAME_SNAPSHOT_CHUNK_BYTES_MAX &&
           chunk_bytes % FRAME_SNAPSHOT_CHUNK_BYTES_MIN == 0;
}

static bool is_named(const struct frame_snapshot *s)
{
    return s->term > 0 && s->term <= RAFT_WORD_MAX && s->bytes > 0 &&
           s->bytes <= FRAME_SNAPSHOT_BYTES_MAX;
}

static bool offer_well_formed(const struct frame *f)
{
    const struct frame_snapshot *const s = &f->snapshot;

    if (!is_named(s) || s->offset != 0 || s->bitmap != 0)
        return false;
    if (s->config_index == 0 || s->config_index > s->index)
        return false;
    if (s->sender_term < s->term || s->sender_term > RAFT_WORD_MAX)
        return false;
    if (!chunk_bytes_well_formed(s->chunk_bytes))
        return false;
    return f->body_bytes > 0 && f->body_bytes <= FRAME_SNAPSHOT_CONFIG_BYTES_MAX;
}

/* The place is one in the content, or in the table; what is left of that from there on bounds the rest. */
static bool place_well_formed(const struct frame *f)
{
    const struct frame_snapshot *const s = &f->snapshot;

    if (!is_named(s) || offers(s) || s->offset % FRAME_CHUNK_BYTES != 0)
        return false;
    if (s->chunk_bytes != 0 && !chunk_bytes_well_formed(s->chunk_bytes))
        return false;
    const uint64_t extent = frame_snapshot_extent(s);
    if (s->offset >= extent)
        return false;
    const uint64_t left = extent - s->offset;
    if (f->type == FRAME_SNAPSHOT_PIECE)
        return s->bitmap == 0 &&
               f->body_bytes == (left < FRAME_CHUNK_BYTES ? left : FRAME_CHUNK_BYTES);
    const uint64_t pieces = (left + FRAME_CHUNK_BYTES - 1) / FRAME_CHUNK_BYTES;
    const uint64_t known = pieces < FRAME_PIECES_MAX ? (1ull << pieces) - 1 : UINT64_MAX;
    return f->body_bytes == 0 && (s->bitmap & ~known) == 0;
}

bool frame_snapshot_well_formed(const struct frame *f)
{
    const struct frame_snapshot *const s = &f->snapshot;

    if (s->index == 0 || s->index > RAFT_WORD_MAX)
        return false;
    if (f->type == FRAME_SNAPSHOT_OFFER)
        return offer_well_formed(f);
    if (f->type == FRAME_SNAPSHOT_ASK || f->type == FRAME_SNAPSHOT_PIECE)
        return place_well_formed(f);
    return f->body_bytes == 0 && !offers(s) && s->term == 0 && s->bytes == 0 && s->digest == 0 &&
           s->offset == 0 && s->bitmap == 0 && s->chunk_bytes == 0;
}
