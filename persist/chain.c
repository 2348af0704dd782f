/* persist/chain.c: which files are the log: the chain from the newest valid header back to the
 * segment where the newest manifest says the log begins (docs/recovery.md, first table).
 */
#include "persist/recovery_internal.h"

#include "base/planted.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int by_name(const void *a, const void *b)
{
    return memcmp(a, b, DISK_NAME_BYTES);
}

/* Names by generation, all files open, each in the slot of its position. */
static int open_files(struct recovery *r)
{
    struct wal *w = r->w;
    uint32_t kept = 0;
    const int64_t found = disk_list(w->disk, SEGMENT_NAME_PREFIX, w->names, WAL_SEGMENTS_MAX + 1);

    ASSERT(r->file_count == 0);
    if (found < 0) /* no list is not an empty list */
        return REFUSE(r, (int)found, "the directory can't be read: %s", strerror((int)-found));
    if (found >= WAL_SEGMENTS_MAX)
        return REFUSE(r, -EMFILE, "the log has more than %d segments", WAL_SEGMENTS_MAX - 1);
    for (uint32_t i = 0; i < (uint32_t)found; i++) {
        const uint64_t generation = segment_generation(w->names[i]);
        if (generation == 0)
            continue; /* not a name we give: nobody's business */
        if (generation >= w->generation_next)
            w->generation_next = generation + 1;
        segment_name(w->names[kept++], generation);
    }
    r->file_count = kept;
    qsort(w->names, kept, DISK_NAME_BYTES, by_name);
    for (uint32_t i = 0; i < kept; i++) {
        const int64_t size = disk_open(w->disk, w->names[i], WAL_SLOT_FIRST + i);
        if (size < 0)
            return REFUSE(r, (int)size, "%s can't be opened: %s", w->names[i],
                          strerror((int)-size));
    }
    return 0;
}

/* Makes the file of a generation the only entry of the table, to read it. Its size or an error. */
static int64_t look_at_file(struct recovery *r, uint32_t file)
{
    struct wal *w = r->w;
    const uint32_t slot = WAL_SLOT_FIRST + file;

    ASSERT(file < r->file_count);
    wal_scan_forget(&r->scan);
    const int64_t size = disk_open(w->disk, w->names[file], slot);
    if (size < 0)
        return size;
    w->segment_count = 1;
    w->segment[0] = (struct wal_segment){
        .generation = segment_generation(w->names[file]),
        .bytes = (uint64_t)size & ~(uint64_t)(DISK_SECTOR - 1),
        .slot = slot,
    };
    return size;
}

enum segment_verdict recovery_read_header(struct recovery *r, uint32_t segment,
                                          struct segment_header *out)
{
    const struct wal *w = r->w;
    const struct wal_place place = {.segment = segment, .offset = 0};
    const struct segment_owner owner = {w->options.cluster, w->options.incarnation,
                                        w->options.node};
    enum segment_verdict verdict = SEGMENT_BAD;

    ASSERT(segment < r->w->segment_count);
    for (uint32_t look = 0; look < RECOVERY_LOOKS && verdict == SEGMENT_BAD; look++) {
        wal_scan_read(&r->scan, place, w->prepare.headers, SEGMENT_DATA_OFFSET);
        verdict = segment_check(w->prepare.headers, &owner, w->segment[segment].generation, out);
    }
    return verdict;
}

bool recovery_header_at(struct recovery *r, struct wal_place place, uint64_t limit,
                        struct batch_header *out)
{
    const struct batch_place expected = wal_batch_place(r->w, place);
    const uint8_t *bytes = wal_scan_at(&r->scan, place, DISK_SECTOR, limit);

    ASSERT(place.offset >= SEGMENT_DATA_OFFSET);
    return bytes != NULL && batch_check_header(bytes, &expected, out);
}

/* True when the only segment of the table holds a batch that was written after its header. */
static bool has_new_batch(struct recovery *r)
{
    const uint64_t limit = r->w->segment[0].bytes;
    struct batch_header h;

    ASSERT(r->w->segment_count == 1);
    for (uint64_t offset = SEGMENT_DATA_OFFSET; offset < limit; offset += DISK_SECTOR) {
        if (recovery_header_at(r, (struct wal_place){0, offset}, limit, &h) && h.kind == BATCH_NEW)
            return true;
    }
    return false;
}

int recovery_refuse_header(struct recovery *r, uint64_t generation, enum segment_verdict verdict,
                           const struct segment_header *h)
{
    char name[DISK_NAME_BYTES];

    ASSERT(verdict != SEGMENT_OK);
    segment_name(name, generation);
    if (verdict == SEGMENT_OTHER_VERSION)
        return REFUSE(r, -EPROTO, "%s was written by format version %u, this is version %u", name,
                      h->version, SEGMENT_VERSION);
    if (verdict == SEGMENT_FOREIGN)
        return REFUSE(
            r, -EXDEV, "%s belongs to cluster %llu, node %u, incarnation %016llx, not to this node",
            name, (unsigned long long)h->cluster, h->node, (unsigned long long)h->incarnation);
    return REFUSE(r, -EBADMSG, "%s: its header is damaged", name);
}

/* The newest file with a valid header: position in the names, or r->file_count: there is none. */
static int find_newest(struct recovery *r, uint32_t *newest, struct segment_header *h)
{
    ASSERT(r->file_count < WAL_SEGMENTS_MAX);
    for (uint32_t i = r->file_count; i > 0; i--) {
        const int64_t size = look_at_file(r, i - 1);
        if (size < 0)
            return REFUSE(r, (int)size, "%s can't be opened", r->w->names[i - 1]);
        const enum segment_verdict verdict = recovery_read_header(r, 0, h);
        *newest = i - 1;
        if (verdict == SEGMENT_OK)
            return 0;
        if (verdict != SEGMENT_BAD || has_new_batch(r))
            return recovery_refuse_header(r, segment_generation(r->w->names[i - 1]), verdict, h);
        if (r->scan.unreadable > 0) /* and so it may have one */
            return REFUSE(r, -EIO, "%s: %u sectors can't be read", r->w->names[i - 1],
                          r->scan.unreadable);
    }
    *newest = r->file_count;
    return 0;
}

static uint32_t file_of_generation(const struct recovery *r, uint64_t generation)
{
    ASSERT(generation != 0);
    uint32_t i = 0;
    while (i < r->file_count && segment_generation(r->w->names[i]) != generation)
        i++;
    return i;
}

/* Takes the segment of this file into the chain, in front of the `count` at the table's end. */
static int add_to_chain(struct recovery *r, uint32_t file, uint32_t count, struct segment_header *h)
{
    struct wal *w = r->w;
    const int64_t size = look_at_file(r, file);
    const enum segment_verdict verdict = size < 0 ? SEGMENT_BAD : recovery_read_header(r, 0, h);

    ASSERT(count + 1 < WAL_SEGMENTS_MAX);
    if (verdict != SEGMENT_OK)
        return recovery_refuse_header(r, segment_generation(w->names[file]), verdict, h);
    if ((uint64_t)size < h->segment_bytes)
        return REFUSE(r, -EBADMSG, "%s has %lld bytes, its header says %llu", w->names[file],
                      (long long)size, (unsigned long long)h->segment_bytes);
    w->segment[WAL_SEGMENTS_MAX - 1 - count] = w->segment[0];
    w->segment[WAL_SEGMENTS_MAX - 1 - count].bytes = h->segment_bytes;
    return 0;
}

/* From the newest back to the start; the table is filled from its end and moved to the front. */
static int follow_chain(struct recovery *r, uint32_t newest)
{
    struct wal *w = r->w;
    struct segment_header h;
    uint32_t file = newest;
    uint32_t count = 0;
    bool manifests_count = true;

    ASSERT(newest < r->file_count);
    w->manifest = (struct segment_manifest){0};
    for (;;) {
        const int added = add_to_chain(r, file, count, &h);
        if (added != 0)
            return added;
        count++;
        if (manifests_count && h.manifest.number > w->manifest.number)
            w->manifest = h.manifest;
        /* What was started behind a RECOVERY segment does not know what a dead process wrote late. */
        if (h.kind == SEGMENT_RECOVERY && !planted(PLANTED_DEAD_MANIFEST))
            manifests_count = false;
        if (h.generation == w->manifest.start_generation || h.continues_generation == 0)
            break;
        file = file_of_generation(r, h.continues_generation);
        if (file == r->file_count)
            return REFUSE(r, -EBADMSG, "segment %016llx of the log is missing",
                          (unsigned long long)h.continues_generation);
    }
    if (w->manifest.number > 0 && h.generation != w->manifest.start_generation)
        return REFUSE(r, -EBADMSG, "segment %016llx, where the log begins, is not part of it",
                      (unsigned long long)w->manifest.start_generation);
    memmove(w->segment, w->segment + WAL_SEGMENTS_MAX - count, count * sizeof w->segment[0]);
    w->segment_count = count;
    wal_scan_forget(&r->scan);
    /* So far one file after the other was the only one of the table: those were no places of the log. */
    r->scan.unreadable_last = (struct wal_place){0};
    return 0;
}

/* Fills w->segment with the chain from its beginning to the newest segment. */
int recovery_load_chain(struct recovery *r)
{
    struct wal *w = r->w;
    struct segment_header h;
    uint32_t newest = 0;

    const int opened = open_files(r);
    if (opened != 0)
        return opened;
    const int found = find_newest(r, &newest, &h);
    wal_scan_forget(&r->scan);
    if (found != 0)
        return found;
    w->segment_count = 0;
    if (newest == r->file_count)
        return 0; /* a first start */
    if (h.boot >= w->options.boot)
        return REFUSE(r, -EINVAL, "%s was written in boot %u, and this is to be boot %u",
                      w->names[newest], h.boot, w->options.boot);
    return follow_chain(r, newest);
}
