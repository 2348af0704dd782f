/* persist/snapshot_file.h: the format of a snapshot file: header, chunks, table of their checksums.
 *
 * The byte tables, and what vouches for what, are in docs/formats.md.
 *
 * Thread     Pure functions. Sectors are DISK_SECTOR bytes and need no alignment.
 */
#ifndef PERSIST_SNAPSHOT_FILE_H
#define PERSIST_SNAPSHOT_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"
#include "persist/disk.h"
#include "raftcore/raft_types.h"

enum {
    SNAPSHOT_MAGIC = 0x4e534b53,     /* "SKSN" */
    SNAPSHOT_ROW_MAGIC = 0x54534b53, /* "SKST" */
    SNAPSHOT_VERSION = 1,
    SNAPSHOT_HEADER_BYTES = 512,
    SNAPSHOT_COPIES = 2, /* of the header, and of the table */
    SNAPSHOT_DATA_OFFSET = SNAPSHOT_COPIES * DISK_SECTOR,
    SNAPSHOT_CONFIG_BYTES_MAX = 256,
    SNAPSHOT_CHUNK_BYTES = 64 << 10, /* what a cluster uses; others are read too */
    SNAPSHOT_CHUNK_BYTES_MAX = 256 << 10,
    SNAPSHOT_ROW_CHUNKS = 507, /* checksums in a row: what fits */
};

#define SNAPSHOT_BYTES_MAX (1ull << 40) /* chunks are counted in 32 bits */

struct snapshot_header {
    uint32_t magic;
    uint16_t version;
    uint16_t reserved;
    uint64_t cluster;
    raft_index index;
    raft_term term;
    uint64_t bytes;
    uint64_t digest;
    raft_index config_index;
    uint32_t chunk_bytes;
    uint32_t chain;
    uint32_t config_bytes;
    uint32_t reserved_middle;
    uint8_t config[SNAPSHOT_CONFIG_BYTES_MAX];
    uint8_t reserved_end[180];
    uint32_t header_crc; /* over the 508 bytes before it */
} __attribute__((packed));

struct snapshot_row {
    uint32_t magic;
    uint32_t row;
    uint64_t cluster;
    raft_index index;
    raft_term term;
    uint64_t checksum[SNAPSHOT_ROW_CHUNKS];
    uint64_t row_crc; /* over the 4088 bytes before it */
} __attribute__((packed));

static_assert(sizeof(struct snapshot_header) == SNAPSHOT_HEADER_BYTES, "the header is the format");
static_assert(offsetof(struct snapshot_header, config) == 72, "as in the table");
static_assert(offsetof(struct snapshot_header, header_crc) == 508, "the checksum comes last");
static_assert(sizeof(struct snapshot_row) == DISK_SECTOR, "a row is a sector");

enum snapshot_verdict {
    SNAPSHOT_OK,
    SNAPSHOT_BAD,           /* no header, or a damaged one */
    SNAPSHOT_OTHER_VERSION, /* out->version tells which */
};

/* Sets magic, version and header_crc; every other field, the digest too, is the caller's. */
void snapshot_seal(struct snapshot_header *header);
/* The bytes of one copy, a sector of them. */
void snapshot_encode(uint8_t *sector, const struct snapshot_header *header);
/* One copy by itself. */
enum snapshot_verdict snapshot_check_copy(const uint8_t *sector, struct snapshot_header *out);
/* The SNAPSHOT_DATA_OFFSET bytes at the front of a file: a whole copy is in `out`, of two different ones
 * that with this digest if there is one, else one of another version. `copies`: how many are like it. */
enum snapshot_verdict snapshot_check(const uint8_t *bytes, uint64_t digest,
                                     struct snapshot_header *out, uint32_t *copies);
/* What `header` must have as its digest, with these checksums of its chunks; or with their CRC-64, for
 * whoever has not got them all at once. */
uint64_t snapshot_digest(const struct snapshot_header *header, const uint64_t *checksum);
uint64_t snapshot_digest_of(const struct snapshot_header *header, uint64_t checksums_crc);
/* Of `length` bytes, whole sectors: a chunk and the zeros behind it. */
uint64_t snapshot_checksum(const uint8_t *chunk, uint32_t length);

/* A sector of the table, from the checksums of all chunks. */
void snapshot_row_encode(uint8_t *sector, const struct snapshot_header *header, uint32_t row,
                         const uint64_t *checksum);
/* The row, if it is valid and of this snapshot; at most SNAPSHOT_ROW_CHUNKS checksums, those of its
 * chunks. */
bool snapshot_row_decode(const uint8_t *sector, const struct snapshot_header *header, uint32_t row,
                         uint64_t *checksum);

/* The shape of a file follows from `bytes` and `chunk_bytes`. */
uint32_t snapshot_chunk_count(uint64_t bytes, uint32_t chunk_bytes);
uint32_t snapshot_row_count(uint64_t bytes, uint32_t chunk_bytes);
/* How many of the chunks have their checksum in the row. */
uint32_t snapshot_row_chunks(const struct snapshot_header *header, uint32_t row);
/* The checksums of all chunks, back to back, as they travel. */
uint64_t snapshot_table_bytes(uint64_t bytes, uint32_t chunk_bytes);
uint64_t snapshot_file_bytes(uint64_t bytes, uint32_t chunk_bytes);
uint64_t snapshot_row_offset(const struct snapshot_header *header, uint32_t copy, uint32_t row);
uint64_t snapshot_chunk_offset(const struct snapshot_header *header, uint32_t chunk);
/* Content in the chunk, and what it takes in the file. */
uint32_t snapshot_chunk_length(const struct snapshot_header *header, uint32_t chunk);
uint32_t snapshot_chunk_span(const struct snapshot_header *header, uint32_t chunk);

/* "snap-0123456789abcdef" and back; 0: not such a name. */
void snapshot_name(char name[DISK_NAME_BYTES], raft_index index);
raft_index snapshot_index_of(const char *name);
#define SNAPSHOT_NAME_PREFIX "snap-"
/* Under this name a file is written; what is found under it at a start is left over. */
#define SNAPSHOT_NAME_MAKING "snap-making.new"

#endif
