/* dataplane/frame.h: a Skiff frame: Ethernet / IPv4 / UDP / Skiff header / fixed part / body.
 *
 * Every frame stands on its own and says who sent it (node, incarnation, boot) and to whom. The byte
 * tables are in docs/formats.md. All that is checked here is form: checksum, version, lengths,
 * counts, ranges of numbers. Identity, credit and meaning are judged behind the ring.
 *
 * Thread     Pure functions.
 * Errors     Bytes from the wire are never asserted on: a verdict says why a frame is no frame.
 */
#ifndef DATAPLANE_FRAME_H
#define DATAPLANE_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/port.h"
#include "raftcore/raft_types.h"

enum {
    FRAME_VERSION = 1,
    FRAME_UDP_PORT = 7345,
    FRAME_NET_BYTES = 14 + 20 + 8,
    FRAME_HEADER_BYTES = 96, /* Skiff header, 16 of them kept for an authentication tag */
    FRAME_FIXED_BYTES = 96,  /* the type's fixed part, the same size for all types */
    FRAME_BODY_OFFSET = FRAME_NET_BYTES + FRAME_HEADER_BYTES + FRAME_FIXED_BYTES,
    /* 1266 B rounded down: records are 8 B aligned */
    FRAME_BODY_BYTES_MAX = (PORT_FRAME_BYTES_MAX - FRAME_BODY_OFFSET) & ~7,
    FRAME_CHUNK_BYTES = 1024, /* of every chunk of a large object, or piece of a snapshot, but the last */
    FRAME_PIECES_MAX = 64,    /* of a snapshot, in one question: bits of its map */
    /* As in a snapshot's file; the replica asserts that they are the same. */
    FRAME_SNAPSHOT_CHUNK_BYTES_MIN = 4096,
    FRAME_SNAPSHOT_CHUNK_BYTES_MAX = 256 << 10,
    FRAME_SNAPSHOT_CONFIG_BYTES_MAX = 256,
    FRAME_SNAPSHOT_CHECKSUM_BYTES = 8,
};

#define FRAME_SNAPSHOT_BYTES_MAX (1ull << 40)

#define FRAME_TYPE_LIST(X)                                                                         \
    X(RAFT, 1)        /* fixed: raft_msg; body: records of an APPEND */                            \
    X(HELLO, 2)       /* fixed: hello. Who I am; asks and answers */                               \
    X(FORWARD, 3)     /* fixed: forward; body: requests for the leader */                          \
    X(FORWARD_ACK, 4) /* fixed: forward */                                                         \
    X(CHUNK, 5)       /* fixed: chunk; body: bytes of a large record or request */                 \
    X(CHUNK_ACK, 6)   /* fixed: chunk */                                                           \
    X(CREDIT, 7)      /* only the header: a grant, or a probe by a blocked sender */               \
    X(REPAIR_ASK, 8)  /* fixed: repair. Has anybody the entry that my disk has lost? */             \
    X(REPAIR, 9)      /* fixed: repair; body: bytes of that record */                              \
    X(SNAPSHOT_OFFER, 10) /* fixed: snapshot; body: a CONFIG payload. I have it */                 \
    X(SNAPSHOT_ASK, 11)   /* fixed: snapshot. Send me these pieces of it */                        \
    X(SNAPSHOT_PIECE, 12) /* fixed: snapshot; body: content of it, or of its table */              \
    X(SNAPSHOT_DONE, 13)  /* fixed: snapshot. I have all that is in it */                          \
    X(SNAPSHOT_WANT, 14)  /* fixed: snapshot. Who has one as new as this? */              \
    X(DIGEST, 15)     /* fixed: digest. What the sender's state comes to at an index */

enum frame_type {
#define FRAME_TYPE_ENUM(name, value) FRAME_##name = value,
    FRAME_TYPE_LIST(FRAME_TYPE_ENUM)
#undef FRAME_TYPE_ENUM
};

/* Sent until the other is known, and in answer to another's HELLO. */
struct frame_hello {
    bool wants_answer;
    bool log_empty;
    bool refused; /* you are not the incarnation that the configuration names */
    uint32_t accused_boot; /* not 0: I have seen a later boot of you than this one */
    raft_index last;       /* of the sender's log */
    raft_term term;        /* the sender's */
    raft_index left_out;   /* not 0: the configuration of this entry is committed, and you are not in it */
};

/* A stream of requests from one origin to the leader of one term: go back N by position. Each
 * request in the body: struct frame_request, its bytes, padding to 8. */
struct frame_forward {
    raft_term term;
    uint64_t position; /* FORWARD: of the first request; FORWARD_ACK: next one expected */
    raft_index last;   /* FORWARD_ACK: no entry of a request before that stands above it */
    uint16_t count;
};

struct frame_request {
    uint64_t tag; /* origin.request of the record to be */
    uint32_t length;
    uint32_t reserved;
};

/* Of one request in a body, with its padding. The decoder has walked the body: `count` times this
 * ends exactly at body_bytes. */
static inline uint32_t frame_request_bytes(uint32_t length)
{
    return ((uint32_t)sizeof(struct frame_request) + length + 7) & ~(uint32_t)7;
}

/* One piece of an object too large for a frame: the record of an APPEND, or a request. */
struct frame_chunk {
    bool forward;      /* a request (term, position = index) rather than a record */
    raft_term term;    /* the leader's term */
    raft_index index;  /* of the record; or position in the forward stream */
    uint32_t checksum; /* record: its header checksum; request: crc32c of its bytes */
    uint32_t total;    /* bytes of the object */
    uint32_t offset;   /* CHUNK: of this piece, a multiple of FRAME_CHUNK_BYTES */
    raft_index prev_index; /* record: as in the APPEND it stands for */
    raft_term prev_term;
    raft_index commit;
    uint64_t tag;      /* request: its tag */
    uint32_t first_missing; /* CHUNK_ACK: chunk number; all below have arrived */
    uint64_t bitmap;   /* CHUNK_ACK: bit i: chunk first_missing + i has arrived */
};

/* An entry that a disk has lost, named by index and header checksum, and its record piece by piece;
 * or the answer that another entry stands there, or that the leader's log ends in front of it. */
struct frame_repair {
    raft_index index;
    uint32_t checksum;       /* header checksum of the entry that is missing */
    uint32_t offset;         /* of the piece asked for, or answered: a multiple of 8 */
    uint32_t total;          /* REPAIR: bytes of the record; 0: there is another entry, as follows */
    raft_index other_index;  /* `index`; or below it: the leader's log ends with this entry */
    uint32_t other_checksum; /* its header checksum */
    raft_term other_term;    /* its term */
    bool committed;          /* the sender knows it to be committed */
    bool leads;              /* the sender leads `term` */
    raft_term term;          /* of the sender */
};

/* A snapshot, and what of it is meant. Its content is named by index, term, bytes and digest; so a
 * piece belongs to it whoever sends it, and to no other. ASK and PIECE are about the content, or about the table of
 * its chunks' checksums, from which the digest follows: 8 bytes a chunk, in order. */
struct frame_snapshot {
    raft_index index; /* last entry in it; WANT: at least this one */
    raft_term term;   /* all but DONE and WANT: of that entry, and so the next two */
    uint64_t bytes;   /* of the content */
    uint64_t digest;
    uint64_t offset;  /* ASK, PIECE: in content or table, a multiple of FRAME_CHUNK_BYTES */
    uint64_t bitmap;  /* ASK: bit i: the piece at offset + i * FRAME_CHUNK_BYTES; 0: none now, but the
                         transfer goes on */
    raft_index config_index; /* OFFER: of the configuration in the body, in force at `index` */
    raft_term sender_term;   /* OFFER: in this term, or before it, the entry was committed */
    uint32_t chunk_bytes;    /* OFFER: of its chunks; ASK, PIECE: likewise if the table is meant, else 0 */
    uint32_t chain;          /* OFFER: header checksum of the record at `index` */
};

/* Bytes of what an ASK or a PIECE is about. */
uint64_t frame_snapshot_extent(const struct frame_snapshot *s);

enum frame_digest_kind {
    FRAME_DIGEST_REPORT,  /* the sender's own */
    FRAME_DIGEST_ASK,     /* for the receiver's; the digest is 0 */
    FRAME_DIGEST_VERDICT, /* that of a majority, from the leader */
};

/* What the state comes to, when the entry at `index` is the last one applied. */
struct frame_digest {
    uint8_t kind; /* enum frame_digest_kind */
    raft_index index;
    uint64_t digest;
};

struct frame {
    uint8_t type; /* enum frame_type */
    raft_node source;
    raft_node target;
    uint32_t source_boot;
    uint32_t target_boot;  /* as the sender knows it; 0: unknown */
    uint64_t source_incarnation;
    uint64_t target_incarnation; /* as the sender knows it; 0: unknown, HELLO only */
    uint64_t number; /* of frames that need credit, from 1; 0: control */
    uint64_t credit; /* highest number the other may send to us, for the pair of boots */
    bool no_room;        /* the sender's disk has no room for its log, or is below its reserve */
    bool refuses_writes; /* the sender leads, and too few of the voters have room */
    bool wants_snapshot; /* the sender's log has grown so long that it wants a snapshot point */
    bool corrupt;        /* the sender leads, and the members' states differ without a majority */
    union {
        struct raft_msg raft; /* entries is NULL: the records are the body */
        struct frame_hello hello;
        struct frame_forward forward;
        struct frame_chunk chunk;
        struct frame_repair repair;
        struct frame_snapshot snapshot;
        struct frame_digest digest;
    };
    const uint8_t *body; /* decode: in the buffer; encode: copied from here */
    uint32_t body_bytes;
};

#define FRAME_VERDICT_LIST(X)                                                                      \
    X(OK)                                                                                          \
    X(SHORT)                                                                                       \
    X(NOT_OURS)     /* other ethertype, protocol, port or magic */                                 \
    X(VERSION)                                                                                     \
    X(CHECKSUM)                                                                                    \
    X(CLUSTER)                                                                                     \
    X(MALFORMED)    /* a length, count or number out of range */                                   \
    X(TOO_OFTEN)    /* control, beyond its sender's rate; behind the decoder from here on */       \
    X(RING_FULL)                                                                                   \
    X(TARGET)       /* for another node or incarnation */                                          \
    X(STRANGER)     /* from nobody we know, or another incarnation */                              \
    X(STALE_BOOT)   /* from an earlier boot of the sender, or to one of ours */                    \
    X(NO_CREDIT)    /* beyond what we promised */                                                  \
    X(BAD_RECORD)   /* a record in the body fails its checksum or does not follow */               \
    X(NO_MEMORY)    /* record memory or a reassembly slot is full */                               \
    X(UNEXPECTED)   /* well-formed, but nothing waits for it */                                    \
    X(REPAIRING)    /* entries for a log that has holes: they wait until those are filled */       \
    X(UNPROVEN)     /* of a boot that has not said yet where its log ends */

enum frame_verdict {
#define FRAME_VERDICT_ENUM(name) FRAME_##name##_VERDICT,
    FRAME_VERDICT_LIST(FRAME_VERDICT_ENUM)
#undef FRAME_VERDICT_ENUM
    FRAME_VERDICT_COUNT
};
const char *frame_verdict_name(enum frame_verdict verdict);

/* Network addresses of a link: made up for memif, real elsewhere. */
struct frame_route {
    uint8_t source_mac[6], target_mac[6];
    uint32_t source_ip, target_ip; /* host order */
};

/* Writes the whole frame to `out` (PORT_FRAME_BYTES_MAX); returns its length. A frame that the
 * decoder would call malformed is our own bug, and asserted on. */
uint32_t frame_encode(const struct frame *f, uint64_t cluster, const struct frame_route *route,
                      uint8_t *out);
/* Never reads beyond `length`. `f` holds no more than was checked, only on FRAME_OK_VERDICT. */
enum frame_verdict frame_decode(const uint8_t *bytes, uint32_t length, uint64_t cluster,
                                struct frame *f);

/* Control frames need no credit and have a ring of their own that is read first: all but APPEND,
 * FORWARD, CHUNK and SNAPSHOT_PIECE, which must have a number. */
bool frame_is_control(const struct frame *f);

#endif
