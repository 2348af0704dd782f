/* persist/snapshot_file.c: encode and judge what a snapshot file is made of. */
#include "persist/snapshot_file.h"

#include "base/crc32c.h"
#include "base/crc64.h"
#include "base/zeros.h"
#include "persist/file_name.h"

#include <string.h>

enum {
    CHECKED_BYTES = offsetof(struct snapshot_header, header_crc),
    ROW_CHECKED_BYTES = offsetof(struct snapshot_row, row_crc),
};

static bool config_valid(const struct snapshot_header *h)
{
    if (h->config_bytes > SNAPSHOT_CONFIG_BYTES_MAX || h->config_index > h->index)
        return false;
    if ((h->config_index == 0) != (h->config_bytes == 0))
        return false;
    return bytes_are_zero(h->config + h->config_bytes, SNAPSHOT_CONFIG_BYTES_MAX - h->config_bytes);
}

static bool fields_valid(const struct snapshot_header *h)
{
    if (h->cluster == 0 || h->index == 0 || h->index > RAFT_WORD_MAX)
        return false;
    if (h->term == 0 || h->term > RAFT_WORD_MAX)
        return false;
    if (h->bytes == 0 || h->bytes > SNAPSHOT_BYTES_MAX)
        return false;
    if (h->chunk_bytes == 0 || h->chunk_bytes > SNAPSHOT_CHUNK_BYTES_MAX)
        return false;
    if (h->chunk_bytes % DISK_SECTOR != 0 || h->reserved != 0 || h->reserved_middle != 0)
        return false;
    return config_valid(h) && bytes_are_zero(h->reserved_end, sizeof h->reserved_end);
}

void snapshot_seal(struct snapshot_header *header)
{
    header->magic = SNAPSHOT_MAGIC;
    header->version = SNAPSHOT_VERSION;
    ASSERT(fields_valid(header)); /* what we would refuse to read must never be written */
    header->header_crc = crc32c(0, header, CHECKED_BYTES);
}

void snapshot_encode(uint8_t *sector, const struct snapshot_header *header)
{
    ASSERT(header->magic == SNAPSHOT_MAGIC);
    memset(sector, 0, DISK_SECTOR);
    memcpy(sector, header, sizeof *header);
}

enum snapshot_verdict snapshot_check_copy(const uint8_t *sector, struct snapshot_header *out)
{
    struct snapshot_header h;

    memcpy(&h, sector, sizeof h);
    /* The checksum has the same place in every version, so that another version can be named. */
    if (h.magic != SNAPSHOT_MAGIC || h.header_crc != crc32c(0, &h, CHECKED_BYTES))
        return SNAPSHOT_BAD;
    if (h.version != SNAPSHOT_VERSION) {
        *out = h;
        return SNAPSHOT_OTHER_VERSION;
    }
    if (!fields_valid(&h) || !bytes_are_zero(sector + sizeof h, DISK_SECTOR - sizeof h))
        return SNAPSHOT_BAD;
    *out = h;
    return SNAPSHOT_OK;
}

enum snapshot_verdict snapshot_check(const uint8_t *bytes, uint64_t digest,
                                     struct snapshot_header *out, uint32_t *copies)
{
    enum snapshot_verdict verdict[SNAPSHOT_COPIES];
    struct snapshot_header h[SNAPSHOT_COPIES];
    uint32_t best = 0;

    for (uint32_t copy = 0; copy < SNAPSHOT_COPIES; copy++)
        verdict[copy] = snapshot_check_copy(bytes + (size_t)copy * DISK_SECTOR, &h[copy]);
    const bool both = verdict[0] == SNAPSHOT_OK && verdict[1] == SNAPSHOT_OK;
    if (both)
        best = h[0].digest != digest && h[1].digest == digest;
    else if (verdict[0] != SNAPSHOT_OK && verdict[1] != SNAPSHOT_BAD)
        best = 1;
    if (verdict[best] != SNAPSHOT_BAD)
        *out = h[best];
    *copies = verdict[best] == SNAPSHOT_OK;
    if (both && memcmp(&h[0], &h[1], sizeof h[0]) == 0)
        *copies = SNAPSHOT_COPIES;
    return verdict[best];
}

uint64_t snapshot_digest(const struct snapshot_header *header, const uint64_t *checksum)
{
    const uint64_t chunks = snapshot_chunk_count(header->bytes, header->chunk_bytes);

    return snapshot_digest_of(header, crc64(0, checksum, chunks * sizeof *checksum));
}

uint64_t snapshot_digest_of(const struct snapshot_header *header, uint64_t checksums_crc)
{
    struct snapshot_header h = *header;

    ASSERT(header->magic == SNAPSHOT_MAGIC);
    h.digest = 0;
    h.header_crc = 0;
    return crc64(checksums_crc, &h, sizeof h);
}

uint64_t snapshot_checksum(const uint8_t *chunk, uint32_t length)
{
    ASSERT(length > 0);
    ASSERT(length % DISK_SECTOR == 0);
    return crc64(0, chunk, length);
}

uint32_t snapshot_row_chunks(const struct snapshot_header *header, uint32_t row)
{
    const uint32_t rest =
        snapshot_chunk_count(header->bytes, header->chunk_bytes) - row * SNAPSHOT_ROW_CHUNKS;

    ASSERT(row < snapshot_row_count(header->bytes, header->chunk_bytes));
    return rest < SNAPSHOT_ROW_CHUNKS ? rest : SNAPSHOT_ROW_CHUNKS;
}

void snapshot_row_encode(uint8_t *sector, const struct snapshot_header *header, uint32_t row,
                         const uint64_t *checksum)
{
    struct snapshot_row r = {
        .magic = SNAPSHOT_ROW_MAGIC,
        .row = row,
        .cluster = header->cluster,
        .index = header->index,
        .term = header->term,
    };

    memcpy((uint8_t *)&r + offsetof(struct snapshot_row, checksum),
           checksum + (size_t)row * SNAPSHOT_ROW_CHUNKS,
           snapshot_row_chunks(header, row) * sizeof *checksum);
    r.row_crc = crc64(0, &r, ROW_CHECKED_BYTES);
    memcpy(sector, &r, sizeof r);
}

bool snapshot_row_decode(const uint8_t *sector, const struct snapshot_header *header, uint32_t row,
                         uint64_t *checksum)
{
    const uint32_t chunks = snapshot_row_chunks(header, row);
    struct snapshot_row r;

    memcpy(&r, sector, sizeof r);
    if (r.magic != SNAPSHOT_ROW_MAGIC || r.row_crc != crc64(0, &r, ROW_CHECKED_BYTES))
        return false;
    if (r.row != row || r.cluster != header->cluster)
        return false;
    if (r.index != header->index || r.term != header->term)
        return false;
    const size_t used = offsetof(struct snapshot_row, checksum) + chunks * sizeof *checksum;
    if (!bytes_are_zero(sector + used, ROW_CHECKED_BYTES - used))
        return false;
    memcpy(checksum, sector + offsetof(struct snapshot_row, checksum), chunks * sizeof *checksum);
    return true;
}

uint32_t snapshot_chunk_count(uint64_t bytes, uint32_t chunk_bytes)
{
    ASSERT(chunk_bytes > 0);
    ASSERT(bytes <= SNAPSHOT_BYTES_MAX);
    return (uint32_t)((bytes + chunk_bytes - 1) / chunk_bytes);
}

uint32_t snapshot_row_count(uint64_t bytes, uint32_t chunk_bytes)
{
    return (snapshot_chunk_count(bytes, chunk_bytes) + SNAPSHOT_ROW_CHUNKS - 1) /
           SNAPSHOT_ROW_CHUNKS;
}

uint64_t snapshot_table_bytes(uint64_t bytes, uint32_t chunk_bytes)
{
    return snapshot_chunk_count(bytes, chunk_bytes) * sizeof(uint64_t);
}

uint64_t snapshot_file_bytes(uint64_t bytes, uint32_t chunk_bytes)
{
    const uint64_t rows = snapshot_row_count(bytes, chunk_bytes);

    ASSERT(chunk_bytes % DISK_SECTOR == 0);
    return SNAPSHOT_DATA_OFFSET + disk_align_up(bytes) + SNAPSHOT_COPIES * rows * DISK_SECTOR;
}

uint64_t snapshot_row_offset(const struct snapshot_header *header, uint32_t copy, uint32_t row)
{
    const uint64_t rows = snapshot_row_count(header->bytes, header->chunk_bytes);

    ASSERT(copy < SNAPSHOT_COPIES);
    ASSERT(row < rows);
    return SNAPSHOT_DATA_OFFSET + disk_align_up(header->bytes) + (copy * rows + row) * DISK_SECTOR;
}

uint64_t snapshot_chunk_offset(const struct snapshot_header *header, uint32_t chunk)
{
    return SNAPSHOT_DATA_OFFSET + (uint64_t)chunk * header->chunk_bytes;
}

uint32_t snapshot_chunk_length(const struct snapshot_header *header, uint32_t chunk)
{
    const uint64_t rest = header->bytes - (uint64_t)chunk * header->chunk_bytes;

    ASSERT(chunk < snapshot_chunk_count(header->bytes, header->chunk_bytes));
    return rest < header->chunk_bytes ? (uint32_t)rest : header->chunk_bytes;
}

uint32_t snapshot_chunk_span(const struct snapshot_header *header, uint32_t chunk)
{
    return (uint32_t)disk_align_up(snapshot_chunk_length(header, chunk));
}

void snapshot_name(char name[DISK_NAME_BYTES], raft_index index)
{
    file_name_make(name, SNAPSHOT_NAME_PREFIX, index);
}

raft_index snapshot_index_of(const char *name)
{
    return file_name_number(name, SNAPSHOT_NAME_PREFIX);
}
