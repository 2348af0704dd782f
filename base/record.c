/* base/record.c: a record is written once and judged often; both read the table in record.h.
 *
 * The judge sees bytes from a NIC or a disk at any address: the header is copied before it is
 * looked at, and nothing is believed before the header checksum has been found right, not even
 * the length.
 */
#include "base/record.h"

#include "base/crc32c.h"

#include <string.h>

enum { RECORD_CHECKED_BYTES = offsetof(struct record_header, header_crc) };

static_assert(RECORD_PAYLOAD_BYTES_MAX % RECORD_ALIGN == 0, "record_bytes() of the largest fits");

static bool type_known(uint32_t type)
{
    switch (type) {
#define RECORD_TYPE_CASE(name, value) case RECORD_##name:
        RECORD_TYPE_LIST(RECORD_TYPE_CASE)
#undef RECORD_TYPE_CASE
        return true;
    default:
        return false;
    }
}

/* Rules that bind the leader when it writes and everybody else when he reads. */
static bool fields_valid(const struct record_header *h)
{
    if (!type_known(h->type) || h->reserved != 0)
        return false;
    if (h->payload_bytes > RECORD_PAYLOAD_BYTES_MAX)
        return false;
    if ((h->type == RECORD_EMPTY || h->type == RECORD_SNAPSHOT) && h->payload_bytes != 0)
        return false;
    if (h->index == 0 || h->index > RECORD_WORD_MAX)
        return false;
    if (h->term == 0 || h->term > RECORD_WORD_MAX)
        return false;
    return h->index > 1 || h->chain == 0;
}

static enum record_verdict check_header(const struct record_header *h, uint64_t cluster)
{
    if (h->magic != RECORD_MAGIC || h->version != RECORD_VERSION)
        return RECORD_BAD_HEADER;
    if (h->header_crc != crc32c(0, h, RECORD_CHECKED_BYTES))
        return RECORD_BAD_HEADER;
    if (!fields_valid(h))
        return RECORD_BAD_HEADER;
    if (cluster != 0 && h->cluster != cluster)
        return RECORD_FOREIGN;
    return RECORD_OK;
}

uint32_t record_encode(const struct record_spec *spec, void *out)
{
    uint8_t *const payload = (uint8_t *)out + RECORD_HEADER_BYTES;
    const uint32_t bytes = spec->payload_bytes;

    ASSERT(((uintptr_t)out & (RECORD_ALIGN - 1)) == 0);
    ASSERT(bytes <= RECORD_PAYLOAD_BYTES_MAX);
    if (spec->payload != NULL)
        memcpy(payload, spec->payload, bytes);
    /* The padding travels and is compared with the rest, so it has one value only. */
    memset(payload + bytes, 0, record_bytes(bytes) - RECORD_HEADER_BYTES - bytes);

    struct record_header h = {
        .magic = RECORD_MAGIC,
        .version = RECORD_VERSION,
        .type = (uint8_t)spec->type,
        .payload_bytes = bytes,
        .cluster = spec->cluster,
        .index = spec->index,
        .term = spec->term,
        .origin_request = spec->origin.request,
        .origin_boot = spec->origin.boot,
        .origin_node = spec->origin.node,
        .group = spec->group,
        .payload_crc = crc32c(0, payload, bytes),
        .chain = spec->chain,
    };
    ASSERT(fields_valid(&h)); /* what we would refuse to read must never be written */
    h.header_crc = crc32c(0, &h, RECORD_CHECKED_BYTES);
    memcpy(out, &h, sizeof h);
    return h.header_crc;
}

enum record_verdict record_check_header(const void *bytes, size_t length, uint64_t cluster)
{
    struct record_header h;

    if (length < sizeof h)
        return RECORD_SHORT;
    memcpy(&h, bytes, sizeof h);
    return check_header(&h, cluster);
}

enum record_verdict record_check(const void *bytes, size_t length, uint64_t cluster)
{
    const uint8_t *const payload = (const uint8_t *)bytes + RECORD_HEADER_BYTES;
    struct record_header h;

    if (length < sizeof h)
        return RECORD_SHORT;
    memcpy(&h, bytes, sizeof h);
    const enum record_verdict verdict = check_header(&h, cluster);
    if (verdict != RECORD_OK)
        return verdict;

    const uint32_t total = record_bytes(h.payload_bytes);
    if (length < total)
        return RECORD_SHORT;
    if (crc32c(0, payload, h.payload_bytes) != h.payload_crc)
        return RECORD_BAD_PAYLOAD;
    for (uint32_t i = h.payload_bytes; i < total - RECORD_HEADER_BYTES; i++) {
        if (payload[i] != 0)
            return RECORD_BAD_PAYLOAD;
    }
    return RECORD_OK;
}
