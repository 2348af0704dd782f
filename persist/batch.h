/* persist/batch.h: the unit of writing: a header, records back to back, zeros up to a sector.
 *
 * A batch is private to the node that wrote it and bound to its place: node, incarnation,
 * generation of the segment and offset are in its header, so that a misdirected, stale or foreign
 * write is never taken for what should stand there. The byte table is in docs/formats.md; the
 * struct below is the table.
 *
 * Validity   The header by itself (header_crc and place); the body by header and records.
 * Thread     Pure functions.
 */
#ifndef PERSIST_BATCH_H
#define PERSIST_BATCH_H

#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/record.h"
#include "persist/disk.h"
#include "raftcore/raft_types.h"

enum {
    BATCH_MAGIC = 0x48424b53, /* "SKBH" */
    BATCH_VERSION = 2,       /* 1 had no flags: they are read as 0 */
    BATCH_HEADER_BYTES = 160,
};

/* Like an index it is never reached, and sums don't wrap. */
#define BATCH_NUMBER_MAX RAFT_WORD_MAX

enum batch_kind {
    BATCH_NEW = 1,
    BATCH_COPY = 2, /* recovery wrote an earlier batch of this number anew */
};

enum batch_flag {
    BATCH_FILLS = 1, /* its records fill a hole below: they replace nothing and nothing is cut */
    BATCH_CUTS = 2,  /* no records: the log ends in a hole, with another entry than stood there */
};

struct batch_header {
    uint32_t magic;
    uint16_t version;
    uint16_t kind;
    uint64_t incarnation;
    uint32_t boot;
    raft_node node;
    raft_node vote;
    uint64_t generation;
    uint64_t offset;
    uint64_t number;
    raft_seq first_seq;
    raft_seq last_seq;
    raft_seq mark_seq;
    uint64_t mark_number;
    raft_term term;
    uint64_t vote_incarnation;
    raft_index commit;
    raft_index last_index;
    raft_term last_term;
    uint32_t last_chain;
    uint32_t record_count;
    uint32_t record_bytes;
    uint32_t records_crc;
    uint32_t previous_crc;
    uint32_t flags; /* enum batch_flag */
    uint32_t reserved[3];
    uint32_t header_crc; /* over the 156 bytes before it */
};

static_assert(sizeof(struct batch_header) == BATCH_HEADER_BYTES, "the header is the format");
static_assert(offsetof(struct batch_header, header_crc) == 156, "the checksum comes last");
static_assert(BATCH_HEADER_BYTES % RECORD_ALIGN == 0, "records are aligned");
static_assert(BATCH_HEADER_BYTES <= 512, "a device writes a header whole or not at all");

/* Where a batch claims to be, and whose it is. */
struct batch_place {
    uint64_t incarnation;
    uint64_t generation;
    uint64_t offset;
    raft_node node;
};

/* What batch_check_body() found out about the records. */
struct batch_body {
    raft_index first_index; /* lowest index among the records; 0: there are none */
};

/* The whole batch on disk: header, records, zeros. */
static inline uint64_t batch_bytes(uint32_t record_bytes)
{
    return ((uint64_t)BATCH_HEADER_BYTES + record_bytes + DISK_SECTOR - 1) &
           ~(uint64_t)(DISK_SECTOR - 1);
}

/* Sets magic, version and header_crc; every other field is the caller's. */
void batch_seal(struct batch_header *header);
/* True when these BATCH_HEADER_BYTES are a header that was written for this place; it is copied to
 * `out` then. */
bool batch_check_header(const uint8_t *bytes, const struct batch_place *place,
                        struct batch_header *out);
/* True when `records` (header->record_bytes of them) are what the header was made for. */
bool batch_check_body(const struct batch_header *header, const uint8_t *records, uint64_t cluster,
                      struct batch_body *out);

#endif
