/* dataplane/frame.c: see frame.h. What all frames have in common: the network's headers, ours, and
 * the checksum. The struct is the byte table of docs/formats.md; it is copied in and out whole,
 * since nothing in a frame is aligned.
 */
#include "dataplane/frame.h"

#include "base/assert.h"
#include "base/crc32c.h"
#include "dataplane/frame_internal.h"

#include <string.h>

enum {
    ETHERTYPE_IPV4 = 0x0800,
    IPV4_VERSION_AND_WORDS = 0x45, /* 20 bytes: no options */
    IPV4_FRAGMENT_MASK = 0x3fff,   /* more fragments, and the offset */
    IPV4_DO_NOT_FRAGMENT = 0x4000,
    IPV4_TTL = 64,
    IPV4_UDP = 17,
    ETHERNET_BYTES = 14,
    IPV4_BYTES = 20,
    UDP_BYTES = 8,
    MAGIC = 0x52464b53, /* "SKFR" */
    FLAG_NO_ROOM = 1,
    FLAG_REFUSES_WRITES = 2,
    FLAG_WANTS_SNAPSHOT = 4,
    FLAG_CORRUPT = 8,
    FLAGS = FLAG_NO_ROOM | FLAG_REFUSES_WRITES | FLAG_WANTS_SNAPSHOT | FLAG_CORRUPT,
};

struct wire_header {
    uint32_t magic;
    uint8_t version;
    uint8_t type;
    uint16_t group;
    uint64_t cluster;
    uint16_t source;
    uint16_t target;
    uint32_t source_boot;
    uint64_t source_incarnation;
    uint64_t target_incarnation;
    uint32_t target_boot;
    uint32_t body_bytes;
    uint64_t number;
    uint64_t credit;
    uint32_t checksum;
    uint32_t flags;
    uint32_t reserved[2];
    uint64_t tag[2];
};

static_assert(sizeof(struct wire_header) == FRAME_HEADER_BYTES, "the header is the format");
static_assert(offsetof(struct wire_header, checksum) == 64, "the header is the format");
static_assert(ETHERNET_BYTES + IPV4_BYTES + UDP_BYTES == FRAME_NET_BYTES, "no options");
static_assert(FRAME_BODY_OFFSET + FRAME_BODY_BYTES_MAX <= PORT_FRAME_BYTES_MAX, "a frame fits");

static void net_encode(const struct frame_route *route, uint32_t length, uint8_t *out);
static enum frame_verdict net_decode(const uint8_t *bytes, uint32_t length);
static uint32_t checksum_of(const struct wire_header *header, const uint8_t *rest, uint32_t bytes);

const char *frame_verdict_name(enum frame_verdict verdict)
{
    static const char *const name[] = {
#define FRAME_VERDICT_NAME(name) #name,
        FRAME_VERDICT_LIST(FRAME_VERDICT_NAME)
#undef FRAME_VERDICT_NAME
    };
    ASSERT((uint32_t)verdict < FRAME_VERDICT_COUNT);
    return name[verdict];
}

bool frame_is_control(const struct frame *f)
{
    if (f->type == FRAME_RAFT)
        return f->raft.type != RAFT_MSG_APPEND;
    return f->type != FRAME_FORWARD && f->type != FRAME_CHUNK && f->type != FRAME_SNAPSHOT_PIECE;
}

uint32_t frame_encode(const struct frame *f, uint64_t cluster, const struct frame_route *route,
                      uint8_t *out)
{
    ASSERT(frame_well_formed(f));

    struct wire_header header = {
        .magic = MAGIC,
        .version = FRAME_VERSION,
        .type = f->type,
        .cluster = cluster,
        .source = f->source,
        .target = f->target,
        .source_boot = f->source_boot,
        .source_incarnation = f->source_incarnation,
        .target_incarnation = f->target_incarnation,
        .target_boot = f->target_boot,
        .body_bytes = f->body_bytes,
        .number = f->number,
        .credit = f->credit,
        .flags = (f->no_room ? FLAG_NO_ROOM : 0) | (f->refuses_writes ? FLAG_REFUSES_WRITES : 0) |
                 (f->wants_snapshot ? FLAG_WANTS_SNAPSHOT : 0) | (f->corrupt ? FLAG_CORRUPT : 0),
    };
    const uint32_t length = FRAME_BODY_OFFSET + f->body_bytes;
    uint8_t *const rest = out + FRAME_NET_BYTES + FRAME_HEADER_BYTES;

    net_encode(route, length, out);
    frame_fixed_encode(f, rest);
    if (f->body_bytes > 0)
        memcpy(rest + FRAME_FIXED_BYTES, f->body, f->body_bytes);
    header.checksum = checksum_of(&header, rest, FRAME_FIXED_BYTES + f->body_bytes);
    memcpy(out + FRAME_NET_BYTES, &header, sizeof header);
    ASSERT(length <= PORT_FRAME_BYTES_MAX);
    return length;
}

enum frame_verdict frame_decode(const uint8_t *bytes, uint32_t length, uint64_t cluster,
                                struct frame *f)
{
    const enum frame_verdict net = net_decode(bytes, length);
    if (net != FRAME_OK_VERDICT)
        return net;

    struct wire_header header;
    const uint8_t *const rest = bytes + FRAME_NET_BYTES + FRAME_HEADER_BYTES;

    memcpy(&header, bytes + FRAME_NET_BYTES, sizeof header);
    if (header.magic != MAGIC)
        return FRAME_NOT_OURS_VERDICT;
    if (header.version != FRAME_VERSION)
        return FRAME_VERSION_VERDICT;
    const uint32_t checksum = header.checksum;
    header.checksum = 0;
    if (checksum_of(&header, rest, length - FRAME_NET_BYTES - FRAME_HEADER_BYTES) != checksum)
        return FRAME_CHECKSUM_VERDICT;
    if (header.cluster != cluster)
        return FRAME_CLUSTER_VERDICT;
    if (header.body_bytes != length - FRAME_BODY_OFFSET || header.group != 0 ||
        (header.flags & ~(uint32_t)FLAGS) != 0 ||
        (header.reserved[0] | header.reserved[1]) != 0 || (header.tag[0] | header.tag[1]) != 0)
        return FRAME_MALFORMED_VERDICT;

    *f = (struct frame){
        .type = header.type,
        .source = header.source,
        .target = header.target,
        .source_boot = header.source_boot,
        .target_boot = header.target_boot,
        .source_incarnation = header.source_incarnation,
        .target_incarnation = header.target_incarnation,
        .number = header.number,
        .credit = header.credit,
        .no_room = (header.flags & FLAG_NO_ROOM) != 0,
        .refuses_writes = (header.flags & FLAG_REFUSES_WRITES) != 0,
        .wants_snapshot = (header.flags & FLAG_WANTS_SNAPSHOT) != 0,
        .corrupt = (header.flags & FLAG_CORRUPT) != 0,
        .body = header.body_bytes > 0 ? rest + FRAME_FIXED_BYTES : NULL,
        .body_bytes = header.body_bytes,
    };
    if (!frame_fixed_decode(rest, f) || !frame_well_formed(f))
        return FRAME_MALFORMED_VERDICT;
    return FRAME_OK_VERDICT;
}

static uint32_t checksum_of(const struct wire_header *header, const uint8_t *rest, uint32_t bytes)
{
    ASSERT(header->checksum == 0);
    return crc32c(crc32c(0, header, sizeof *header), rest, bytes);
}

/* ---- Ethernet, IPv4, UDP: big-endian ---- */

static void put16(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static uint32_t get16(const uint8_t *at)
{
    return (uint32_t)at[0] << 8 | at[1];
}

/* RFC 791's sum of the header's ten words, folded; 0xffff when the checksum in it is right. */
static uint32_t ipv4_sum(const uint8_t *ip)
{
    uint32_t sum = 0;

    for (uint32_t i = 0; i < IPV4_BYTES; i += 2)
        sum += get16(ip + i);
    sum = (sum & 0xffff) + (sum >> 16);
    return (sum & 0xffff) + (sum >> 16);
}

static void net_encode(const struct frame_route *route, uint32_t length, uint8_t *out)
{
    uint8_t *const ip = out + ETHERNET_BYTES;
    uint8_t *const udp = ip + IPV4_BYTES;

    memset(out, 0, FRAME_NET_BYTES);
    memcpy(out, route->target_mac, 6);
    memcpy(out + 6, route->source_mac, 6);
    put16(out + 12, ETHERTYPE_IPV4);

    ip[0] = IPV4_VERSION_AND_WORDS;
    put16(ip + 2, length - ETHERNET_BYTES);
    put16(ip + 6, IPV4_DO_NOT_FRAGMENT);
    ip[8] = IPV4_TTL;
    ip[9] = IPV4_UDP;
    put16(ip + 12, route->source_ip >> 16);
    put16(ip + 14, route->source_ip & 0xffff);
    put16(ip + 16, route->target_ip >> 16);
    put16(ip + 18, route->target_ip & 0xffff);
    put16(ip + 10, ~ipv4_sum(ip) & 0xffff);

    put16(udp, FRAME_UDP_PORT);
    put16(udp + 2, FRAME_UDP_PORT);
    put16(udp + 4, length - ETHERNET_BYTES - IPV4_BYTES);
}

/* Other people's frames are told from broken ones of ours before anything is said about length. */
static enum frame_verdict net_decode(const uint8_t *bytes, uint32_t length)
{
    if (length < FRAME_NET_BYTES)
        return FRAME_SHORT_VERDICT;
    const uint8_t *const ip = bytes + ETHERNET_BYTES;
    const uint8_t *const udp = ip + IPV4_BYTES;

    if (get16(bytes + 12) != ETHERTYPE_IPV4 || ip[0] != IPV4_VERSION_AND_WORDS ||
        ip[9] != IPV4_UDP || get16(udp + 2) != FRAME_UDP_PORT || get16(udp) != FRAME_UDP_PORT)
        return FRAME_NOT_OURS_VERDICT;
    if (length < FRAME_BODY_OFFSET)
        return FRAME_SHORT_VERDICT;
    if (ipv4_sum(ip) != 0xffff)
        return FRAME_CHECKSUM_VERDICT;
    if (length > FRAME_BODY_OFFSET + FRAME_BODY_BYTES_MAX ||
        get16(ip + 2) != length - ETHERNET_BYTES || (get16(ip + 6) & IPV4_FRAGMENT_MASK) != 0 ||
        get16(udp + 4) != length - ETHERNET_BYTES - IPV4_BYTES || get16(udp + 6) != 0)
        return FRAME_MALFORMED_VERDICT;
    return FRAME_OK_VERDICT;
}
