/* base/record.h: the unit of replication: one log entry, 64 bytes of header, then its payload.
 *
 * A record is encoded and checksummed once, by the leader that gave it its index and term. From
 * then on the same bytes travel, lie in memory and stand on every disk; nothing in them depends on
 * a node or a place. The byte table is in docs/formats.md; all integers are little-endian, and the
 * struct below is the table (hosts of the other byte order are refused at compile time).
 *
 * Chain      `chain` is the header checksum of the entry at index - 1, so a header checksum names
 *            one history of the log. The entry at index 1 has chain 0.
 * Validity   A header is valid by itself (header_crc); a payload by header and payload_crc.
 * Padding    Records are packed back to back, each padded with zeros up to RECORD_ALIGN.
 * Thread     Pure functions.
 */
#ifndef BASE_RECORD_H
#define BASE_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"

enum {
    RECORD_MAGIC = 0x4b53, /* "SK" */
    RECORD_VERSION = 1,
    RECORD_HEADER_BYTES = 64,
    RECORD_ALIGN = 8,
    RECORD_PAYLOAD_BYTES_MAX = 2 << 20, /* etcd's largest request, 1.5 MiB, and what we add */
};

/* Indexes and terms above it are malformed: the bound of raftcore, which keeps sums from wrapping. */
#define RECORD_WORD_MAX (UINT64_MAX >> 2)

#define RECORD_TYPE_LIST(X)                                                                        \
    X(EMPTY, 1)   /* a new leader's first entry: no payload */                                     \
    X(CONFIG, 2)  /* members; payload as in docs/formats.md */                                     \
    X(COMMAND, 3) /* a command for the store */                                                    \
    X(SNAPSHOT, 4) /* every node makes a snapshot of the state here: no payload */

enum record_type {
#define RECORD_TYPE_ENUM(name, value) RECORD_##name = value,
    RECORD_TYPE_LIST(RECORD_TYPE_ENUM)
#undef RECORD_TYPE_ENUM
};

/* Who asked: (node, boot, request) names one request for ever. Node 0: nobody waits for it. */
struct record_origin {
    uint64_t request;
    uint32_t boot;
    uint16_t node;
};

struct record_header {
    uint16_t magic;
    uint8_t version;
    uint8_t type;
    uint32_t payload_bytes;
    uint64_t cluster;
    uint64_t index;
    uint64_t term;
    uint64_t origin_request;
    uint32_t origin_boot;
    uint16_t origin_node;
    uint16_t group;
    uint32_t payload_crc;
    uint32_t chain;
    uint32_t reserved; /* zero; inside the header checksum */
    uint32_t header_crc; /* over the 60 bytes before it */
};

static_assert(sizeof(struct record_header) == RECORD_HEADER_BYTES, "the header is the format");
static_assert(offsetof(struct record_header, header_crc) == 60, "the checksum comes last");
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "formats are little-endian structs");

enum record_verdict {
    RECORD_OK,
    RECORD_SHORT,       /* fewer bytes than the header says */
    RECORD_BAD_HEADER,  /* magic, version, header checksum, or a field out of its range */
    RECORD_BAD_PAYLOAD, /* payload checksum, or padding that is not zero */
    RECORD_FOREIGN,     /* another cluster */
};

struct record_spec {
    enum record_type type;
    uint64_t cluster;
    uint16_t group;
    uint64_t index;
    uint64_t term;
    uint32_t chain;
    struct record_origin origin;
    const void *payload; /* NULL: the payload already stands at its place behind the header */
    uint32_t payload_bytes;
};

/* Header, payload and the zero padding up to RECORD_ALIGN. */
static inline uint32_t record_bytes(uint32_t payload_bytes)
{
    return (RECORD_HEADER_BYTES + payload_bytes + RECORD_ALIGN - 1) & ~(uint32_t)(RECORD_ALIGN - 1);
}

/* Writes the record to `out` (record_bytes() of it, RECORD_ALIGN aligned); returns its header
 * checksum, which is the chain of the next one. */
uint32_t record_encode(const struct record_spec *spec, void *out);

/* Judges `length` untrusted bytes, at any address, as the beginning of a record. On RECORD_OK the
 * record occupies record_bytes(header->payload_bytes) of them. `cluster` 0 accepts any cluster. */
enum record_verdict record_check(const void *bytes, size_t length, uint64_t cluster);

/* As above for the header alone: the payload is neither needed nor looked at. */
enum record_verdict record_check_header(const void *bytes, size_t length, uint64_t cluster);

static inline const struct record_header *record_at(const void *bytes)
{
    return bytes;
}

static inline const uint8_t *record_payload(const struct record_header *header)
{
    return (const uint8_t *)header + RECORD_HEADER_BYTES;
}

#endif
