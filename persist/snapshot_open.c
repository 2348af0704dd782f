/* persist/snapshot_open.c: what a start makes of the snapshot files it finds; the table is in
 * docs/recovery.md.
 *
 * The log was recovered before, so the manifest is known and durable: one name can be meant by it, and
 * all other files are left over from writings that did not come to their end, or wait for
 * nobody. Chunks are not read here; each is checked when it is.
 */
#include "persist/snapshot_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SAY(found, ...) ((void)snprintf((found)->sentence, sizeof(found)->sentence, __VA_ARGS__))

/* The memory, in this order; each part begins on a sector. */
struct layout {
    size_t blocks, windows, repair, headers, table[2], end;
};

static struct layout layout_of(const struct snapshots_options *o)
{
    struct layout l;

    ASSERT(o->chunk_bytes > 0);
    ASSERT(o->chunk_bytes % DISK_SECTOR == 0);
    ASSERT(o->chunk_bytes <= o->write_bytes);
    ASSERT(o->write_bytes % DISK_SECTOR == 0);
    ASSERT(o->write_bytes <= SHARE_BYTES_MAX);
    ASSERT(o->bytes_max <= SNAPSHOT_BYTES_MAX);
    static_assert((int)SNAPSHOT_CHUNK_BYTES_MAX <= (int)SHARE_BYTES_MAX, "one can be written");
    const size_t table = disk_align_up((size_t)snapshot_chunk_count(o->bytes_max, o->chunk_bytes) *
                                       sizeof(uint64_t));
    l.blocks = disk_align_up(sizeof(struct snapshots));
    l.windows = l.blocks + (size_t)SNAPSHOT_BLOCKS * o->write_bytes;
    l.repair = l.windows + (SNAPSHOT_WINDOWS + 1) * (size_t)o->write_bytes;
    l.headers = l.repair + o->chunk_bytes;
    l.table[0] = l.headers + SNAPSHOT_DATA_OFFSET;
    l.table[1] = l.table[0] + table;
    l.end = l.table[1] + table;
    return l;
}

size_t snapshots_bytes(const struct snapshots_options *options)
{
    ASSERT(options->bytes_max > 0);
    return layout_of(options).end;
}

static struct snapshots *init(void *memory, struct wal *w, const struct snapshots_options *options)
{
    struct snapshots *s = memory;
    uint8_t *const bytes = memory;
    const struct layout l = layout_of(options);

    ASSERT((uintptr_t)memory % DISK_SECTOR == 0);
    memset(s, 0, sizeof *s);
    s->w = w;
    s->options = *options;
    s->current.slot = WAL_SLOT_SNAPSHOT;
    s->current.checksum = (uint64_t *)(bytes + l.table[0]);
    s->writer.file.slot = WAL_SLOT_SNAPSHOT + 1;
    s->writer.file.checksum = (uint64_t *)(bytes + l.table[1]);
    for (uint32_t i = 0; i < SNAPSHOT_BLOCKS; i++)
        s->writer.block[i].bytes = bytes + l.blocks + (size_t)i * options->write_bytes;
    s->writer.headers = bytes + l.headers;
    s->load.window_count = SNAPSHOT_WINDOWS;
    for (uint32_t i = 0; i < SNAPSHOT_WINDOWS; i++)
        s->load.window[i].bytes = bytes + l.windows + (size_t)i * options->write_bytes;
    s->reader.window_count = 1;
    s->reader.window[0].bytes = bytes + l.windows + (size_t)SNAPSHOT_WINDOWS * options->write_bytes;
    s->repair.bytes = bytes + l.repair;
    return s;
}

/* Files that the manifest does not mean. One that stays all the same is in nobody's way but takes room. */
static int remove_others(struct snapshots *s, const char *named, struct snapshots_found *found)
{
    struct wal *w = s->w;
    const int64_t count = disk_list(w->disk, SNAPSHOT_NAME_PREFIX, w->names, WAL_SEGMENTS_MAX + 1);

    if (count < 0) {
        SAY(found, "the directory can't be read: %s", strerror((int)-count));
        return (int)count;
    }
    for (int64_t i = 0; i < count && i <= WAL_SEGMENTS_MAX; i++) {
        const bool ours =
            snapshot_index_of(w->names[i]) != 0 || strcmp(w->names[i], SNAPSHOT_NAME_MAKING) == 0;
        if (!ours || strcmp(w->names[i], named) == 0)
            continue;
        struct disk_op op = {.kind = DISK_OP_REMOVE, .slot = s->writer.file.slot};
        memcpy(op.name, w->names[i], DISK_NAME_BYTES);
        found->removed += wal_do(w, &op) == 0;
    }
    return 0;
}

/* A sector of the current file; zeros if it can't be read. */
static const uint8_t *read_sector(struct snapshots *s, uint64_t offset, uint8_t *sector)
{
    const struct disk_op op = {
        .kind = DISK_OP_READ,
        .slot = s->current.slot,
        .offset = offset,
        .bytes = sector,
        .length = DISK_SECTOR,
    };

    ASSERT(offset % DISK_SECTOR == 0);
    if (wal_do(s->w, &op) != DISK_SECTOR)
        memset(sector, 0, DISK_SECTOR);
    return sector;
}

/* Every row from one copy or the other. */
static bool load_table(struct snapshots *s, struct snapshots_found *found)
{
    const struct snapshot_header *h = &s->current.header;
    const uint32_t rows = snapshot_row_count(h->bytes, h->chunk_bytes);

    for (uint32_t row = 0; row < rows; row++) {
        uint32_t good = 0;
        for (uint32_t copy = 0; copy < SNAPSHOT_COPIES; copy++) {
            const uint64_t offset = snapshot_row_offset(h, copy, row);
            good += snapshot_row_decode(read_sector(s, offset, s->repair.bytes), h, row,
                                        s->current.checksum + (size_t)row * SNAPSHOT_ROW_CHUNKS);
        }
        found->lost_copies += SNAPSHOT_COPIES - good;
        if (good == 0)
            return false;
    }
    return snapshot_digest(h, s->current.checksum) == h->digest;
}

/* 0: the header is whole; 1: it is lost; else the node must not start. */
static int load_header(struct snapshots *s, const char *name, struct snapshots_found *found)
{
    struct snapshot_header *h = &s->current.header;
    uint32_t copies;

    for (uint32_t copy = 0; copy < SNAPSHOT_COPIES; copy++)
        (void)read_sector(s, (uint64_t)copy * DISK_SECTOR,
                          s->writer.headers + (size_t)copy * DISK_SECTOR);
    const enum snapshot_verdict verdict =
        snapshot_check(s->writer.headers, s->w->manifest.snapshot_digest, h, &copies);
    if (verdict == SNAPSHOT_OTHER_VERSION) {
        SAY(found, "%s was written by format version %u, this is version %u", name, h->version,
            SNAPSHOT_VERSION);
        return -EPROTO;
    }
    if (verdict == SNAPSHOT_BAD) {
        SAY(found, "%s: both copies of its header are damaged", name);
        return 1;
    }
    found->lost_copies = SNAPSHOT_COPIES - copies;
    if (h->cluster == s->w->options.cluster)
        return 0;
    SAY(found, "%s belongs to cluster %llu, not to this one", name, (unsigned long long)h->cluster);
    return -EXDEV;
}

/* A chunk in its buffer, and a checksum for each: smaller ones are more. */
static bool fits_memory(const struct snapshots_options *o, const struct snapshot_header *h)
{
    ASSERT(h->chunk_bytes > 0);
    return h->chunk_bytes <= o->chunk_bytes && h->bytes <= o->bytes_max &&
           snapshot_chunk_count(h->bytes, h->chunk_bytes) <=
               snapshot_chunk_count(o->bytes_max, o->chunk_bytes);
}

/* What is wrong with a file whose header is whole. */
static int judge(struct snapshots *s, const char *name, uint64_t bytes,
                 struct snapshots_found *found)
{
    const struct segment_manifest *m = &s->w->manifest;
    const struct snapshot_header *h = &s->current.header;
    const uint64_t expected = snapshot_file_bytes(h->bytes, h->chunk_bytes);

    ASSERT(m->snapshot_index > 0);
    if (h->index != m->snapshot_index || h->bytes != m->snapshot_bytes ||
        h->digest != m->snapshot_digest) {
        SAY(found, "%s is not the snapshot that the log names", name);
        return 1;
    }
    if (!fits_memory(&s->options, h)) {
        SAY(found, "%s has %llu bytes in chunks of %u: more than is now configured", name,
            (unsigned long long)h->bytes, h->chunk_bytes);
        return -EFBIG;
    }
    if (bytes != expected) {
        SAY(found, "%s has %llu bytes, its header says %llu", name, (unsigned long long)bytes,
            (unsigned long long)expected);
        return 1;
    }
    if (!load_table(s, found)) {
        SAY(found, "%s: the table of its checksums is damaged", name);
        return 1;
    }
    return 0;
}

static int look_at(struct snapshots *s, const char *name, struct snapshots_found *found)
{
    const int64_t size = disk_open(s->w->disk, name, s->current.slot);

    ASSERT(s->condition == SNAPSHOT_NONE);
    if (size == -ENOENT) {
        SAY(found, "%s is missing", name);
        s->condition = SNAPSHOT_MISSING;
        return 0;
    }
    if (size < 0) {
        SAY(found, "%s can't be opened: %s", name, strerror((int)-size));
        return (int)size;
    }
    int result = load_header(s, name, found);
    if (result == 0)
        result = judge(s, name, (uint64_t)size, found);
    s->condition = result == 0 ? SNAPSHOT_WHOLE : SNAPSHOT_DAMAGED;
    return result < 0 ? result : 0;
}

int snapshots_open(struct snapshots **out, void *memory, struct wal *w,
                   const struct snapshots_options *options, struct snapshots_found *found)
{
    struct snapshots *s = init(memory, w, options);
    const raft_index named = w->manifest.snapshot_index;
    char name[DISK_NAME_BYTES] = "";

    ASSERT(w->snapshots == NULL);
    ASSERT(w->submit_number == w->oldest_number); /* nothing is in flight: see snapshot.h */
    *found = (struct snapshots_found){0};
    *out = NULL;
    if (named > 0)
        snapshot_name(name, named);
    int result = named > 0 ? look_at(s, name, found) : 0;
    if (result == 0)
        result = remove_others(s, name, found);
    if (result != 0)
        return result;
    if (s->condition !=
        SNAPSHOT_WHOLE) /* what the header says, if anything, is not to be relied on */
        s->current.header = (struct snapshot_header){.index = named};
    found->condition = s->condition;
    w->snapshots = s;
    *out = s;
    return 0;
}
