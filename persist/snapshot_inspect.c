/* persist/snapshot_inspect.c: see snapshot_inspect.h. Row by row, so that no table need fit into memory. */
#include "persist/snapshot_inspect.h"

#include "base/crc64.h"

#include <errno.h>
#include <string.h>

struct snapshot_inspect {
    struct disk *disk;
    struct snapshot_report report;
    bool row_known;         /* of the chunk that comes next */
    uint64_t checksums_crc; /* of all chunks so far */
    uint64_t checksum[SNAPSHOT_ROW_CHUNKS];
    uint8_t *bytes; /* of the largest chunk */
};

enum { SLOT = 1 };

static size_t own_bytes(void)
{
    return (sizeof(struct snapshot_inspect) + DISK_SECTOR - 1) & ~(size_t)(DISK_SECTOR - 1);
}

size_t snapshot_inspect_bytes(void)
{
    return own_bytes() + SNAPSHOT_CHUNK_BYTES_MAX;
}

static void add_fault(struct snapshot_inspect *i, const struct snapshot_fault *fault)
{
    struct snapshot_report *r = &i->report;

    ASSERT(fault->result < 0);
    if (r->fault_count < SNAPSHOT_FAULTS_MAX)
        r->fault[r->fault_count] = *fault;
    r->fault_count++;
}

/* 0, or why the bytes can't be read. */
static int read_bytes(struct snapshot_inspect *i, uint64_t offset, uint64_t length)
{
    const struct disk_op op = {
        .kind = DISK_OP_READ, .slot = SLOT, .offset = offset, .bytes = i->bytes, .length = length};

    ASSERT(length <= SNAPSHOT_CHUNK_BYTES_MAX);
    const int submitted = disk_submit(i->disk, &op);
    if (submitted != 0)
        return submitted;
    const struct disk_done done = disk_wait(i->disk);
    if (done.result == (int64_t)length)
        return 0;
    return done.result < 0 ? (int)done.result : -EIO;
}

static void read_header(struct snapshot_inspect *i)
{
    struct snapshot_report *r = &i->report;
    struct snapshot_header h;

    r->verdict = SNAPSHOT_BAD;
    for (uint32_t copy = 0; copy < SNAPSHOT_COPIES; copy++) {
        const uint64_t offset = (uint64_t)copy * DISK_SECTOR;
        const int result = read_bytes(i, offset, DISK_SECTOR);
        const enum snapshot_verdict verdict =
            result == 0 ? snapshot_check_copy(i->bytes, &h) : SNAPSHOT_BAD;
        const bool differs = r->verdict == SNAPSHOT_OK && verdict == SNAPSHOT_OK &&
                             memcmp(&h, &r->header, sizeof h) != 0;
        if (verdict != SNAPSHOT_OK || differs)
            add_fault(i, &(struct snapshot_fault){.kind = SNAPSHOT_FAULT_HEADER,
                                                  .number = copy,
                                                  .offset = offset,
                                                  .span = DISK_SECTOR,
                                                  .result = result != 0 ? result : -EBADMSG});
        if (verdict == SNAPSHOT_BAD || r->verdict == SNAPSHOT_OK)
            continue;
        r->verdict = verdict;
        r->header = h;
    }
}

int snapshot_inspect_open(struct snapshot_inspect **out, void *memory, struct disk *disk,
                          const char *name)
{
    struct snapshot_inspect *i = memory;
    struct snapshot_report *r = &i->report;

    ASSERT((uintptr_t)memory % DISK_SECTOR == 0);
    memset(i, 0, sizeof *i);
    *out = i;
    i->disk = disk;
    i->bytes = (uint8_t *)memory + own_bytes();
    const int64_t size = disk_open(disk, name, SLOT);
    if (size < 0)
        return (int)size;
    r->file_bytes = (uint64_t)size;
    read_header(i);
    if (r->verdict == SNAPSHOT_OK) {
        r->chunk_count = snapshot_chunk_count(r->header.bytes, r->header.chunk_bytes);
        r->file_bytes_expected = snapshot_file_bytes(r->header.bytes, r->header.chunk_bytes);
    }
    return 0;
}

/* The row of which the next chunk is the first. */
static void read_row(struct snapshot_inspect *i, uint32_t row)
{
    const struct snapshot_header *h = &i->report.header;

    ASSERT(i->report.verdict == SNAPSHOT_OK);
    i->row_known = false;
    for (uint32_t copy = 0; copy < SNAPSHOT_COPIES; copy++) {
        const uint64_t offset = snapshot_row_offset(h, copy, row);
        const int result = read_bytes(i, offset, DISK_SECTOR);
        if (result == 0 && snapshot_row_decode(i->bytes, h, row, i->checksum)) {
            i->row_known = true;
            continue;
        }
        add_fault(i, &(struct snapshot_fault){.kind = SNAPSHOT_FAULT_ROW,
                                              .number = row,
                                              .copy = copy,
                                              .offset = offset,
                                              .span = DISK_SECTOR,
                                              .result = result != 0 ? result : -EBADMSG});
    }
}

static void read_chunk(struct snapshot_inspect *i, uint32_t chunk)
{
    const struct snapshot_header *h = &i->report.header;
    uint64_t *const checksum = &i->checksum[chunk % SNAPSHOT_ROW_CHUNKS];
    struct snapshot_fault fault = {.kind = SNAPSHOT_FAULT_CHUNK, .number = chunk};

    ASSERT(chunk < i->report.chunk_count);
    fault.offset = snapshot_chunk_offset(h, chunk);
    fault.span = snapshot_chunk_span(h, chunk);
    fault.result = read_bytes(i, fault.offset, fault.span);
    const uint64_t found =
        fault.result == 0 ? snapshot_checksum(i->bytes, (uint32_t)fault.span) : 0;
    if (!i->row_known)
        *checksum = found;
    if (fault.result == 0 && found != *checksum)
        fault.result = -EBADMSG;
    if (fault.result != 0) {
        i->report.chunks_bad++;
        add_fault(i, &fault);
    }
    i->checksums_crc = crc64(i->checksums_crc, checksum, sizeof *checksum);
}

bool snapshot_inspect_poll(struct snapshot_inspect *i)
{
    struct snapshot_report *r = &i->report;
    const uint32_t chunk = r->chunks_read;

    ASSERT(chunk <= r->chunk_count);
    if (chunk == r->chunk_count)
        return false;
    if (chunk % SNAPSHOT_ROW_CHUNKS == 0)
        read_row(i, chunk / SNAPSHOT_ROW_CHUNKS);
    read_chunk(i, chunk);
    r->chunks_read++;
    if (r->chunks_read == r->chunk_count)
        r->digest_fits = snapshot_digest_of(&r->header, i->checksums_crc) == r->header.digest;
    return true;
}

const struct snapshot_report *snapshot_inspect_report(const struct snapshot_inspect *i)
{
    return &i->report;
}

bool snapshot_is_sound(const struct snapshot_report *report)
{
    ASSERT(report->chunks_read == report->chunk_count);
    return report->verdict == SNAPSHOT_OK && report->fault_count == 0 && report->digest_fits &&
           report->file_bytes == report->file_bytes_expected;
}
