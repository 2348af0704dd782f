/* persist/segment.h: the header of a segment: whose it is, what it continues, the manifest.
 *
 * The byte table, and what a valid header vouches for, are in docs/formats.md.
 *
 * Thread     Pure functions.
 */
#ifndef PERSIST_SEGMENT_H
#define PERSIST_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"
#include "persist/disk.h"
#include "raftcore/raft_types.h"

enum {
    SEGMENT_MAGIC = 0x47534b53, /* "SKSG" */
    SEGMENT_VERSION = 2,
    SEGMENT_HEADER_BYTES = 512,
    SEGMENT_COPIES = 2, /* of the header, each in a sector of its own */
    SEGMENT_DATA_OFFSET = SEGMENT_COPIES * DISK_SECTOR, /* of the first batch */
    SEGMENT_CONFIG_BYTES_MAX = 256,
};

/* Never reached; a name beyond it is not one of ours. */
#define SEGMENT_GENERATION_MAX RAFT_WORD_MAX

enum segment_kind {
    SEGMENT_ROLL = 1,     /* goes on wherever the one before ends */
    SEGMENT_RECOVERY = 2, /* fixes where the one before ends */
};

/* What the log stands on: its base, the snapshot that replaces what was cut, and where it begins. */
struct segment_manifest {
    uint32_t start_crc;
    uint64_t number; /* 0: there is none */
    raft_index base_index;
    raft_term base_term;
    raft_index snapshot_index;
    uint64_t snapshot_bytes;
    uint64_t snapshot_digest;
    raft_index config_index;
    uint64_t start_generation;
    uint64_t start_number;
    uint64_t cut_number;
    uint32_t base_chain;
    uint32_t config_bytes;
    uint8_t config[SEGMENT_CONFIG_BYTES_MAX];
} __attribute__((packed));

struct segment_header {
    uint32_t magic;
    uint16_t version;
    uint16_t kind;
    uint64_t cluster;
    uint64_t incarnation;
    uint32_t boot;
    raft_node node;
    uint16_t reserved;
    uint64_t generation;
    uint64_t segment_bytes;
    uint64_t continues_generation;
    uint64_t continues_offset;
    uint64_t continues_number;
    uint32_t continues_crc;
    struct segment_manifest manifest;
    uint64_t copied_number;
    uint8_t reserved_end[76];
    uint32_t header_crc; /* over the 508 bytes before it */
} __attribute__((packed));

static_assert(sizeof(struct segment_header) == SEGMENT_HEADER_BYTES, "the header is the format");
static_assert(offsetof(struct segment_header, manifest) == 76, "as in the table");
static_assert(offsetof(struct segment_header, copied_number) == 424, "as in the table");
static_assert(offsetof(struct segment_header, manifest.base_chain) == 160, "as in the table");
static_assert(offsetof(struct segment_header, header_crc) == 508, "the checksum comes last");

enum segment_verdict {
    SEGMENT_OK,
    SEGMENT_BAD,           /* no header, or a damaged one */
    SEGMENT_OTHER_VERSION, /* out->version tells which */
    SEGMENT_FOREIGN,       /* another cluster, node or incarnation; out tells which */
};

/* Who reads: the header must be his own. */
struct segment_owner {
    uint64_t cluster;
    uint64_t incarnation;
    raft_node node;
};

/* Sets magic, version and header_crc; every other field is the caller's. */
void segment_seal(struct segment_header *header);
/* The bytes of one copy, a sector of them. */
void segment_encode(uint8_t *sector, const struct segment_header *header);
/* Judges the SEGMENT_DATA_OFFSET bytes at the front of a file: the copy that counts, which is the
 * valid one with the newer manifest, is in `out`. Without one, `out` tells why unless SEGMENT_BAD. */
enum segment_verdict segment_check(const uint8_t *bytes, const struct segment_owner *owner,
                                   uint64_t generation, struct segment_header *out);
/* One copy by itself. */
enum segment_verdict segment_check_copy(const uint8_t *bytes, const struct segment_owner *owner,
                                        uint64_t generation, struct segment_header *out);

/* "wal-0123456789abcdef" and back; 0: not such a name. */
void segment_name(char name[DISK_NAME_BYTES], uint64_t generation);
/* Until it is filled: see DISK_UNFINISHED. */
void segment_name_unfinished(char name[DISK_NAME_BYTES], uint64_t generation);
uint64_t segment_generation(const char *name);
#define SEGMENT_NAME_PREFIX "wal-"

#endif
