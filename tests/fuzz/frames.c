/* Goal:   a frame is decoded as what it was encoded from, or dropped, whatever comes off the wire.
 * Method: the input is a frame. What is decoded is encoded again, and must be the same bytes behind the
 *         addresses, which are not ours to keep.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "base/assert.h"
#include "base/crc32c.h"
#include "base/prng.h"
#include "dataplane/frame.h"
#include "tests/dataplane/sample.h"

enum {
    CLUSTER = 77,
    /* docs/formats.md */
    IP_OFFSET = 14,
    IP_BYTES = 20,
    BODY_BYTES_OFFSET = FRAME_NET_BYTES + 44,
    CHECKSUM_OFFSET = FRAME_NET_BYTES + 64,
};

static const struct frame_route route = {.source_ip = 1, .target_ip = 2};

size_t fuzz_draw(uint64_t number, uint8_t *out, size_t size_max)
{
    static const uint8_t types[] = {
#define FUZZ_TYPE(name, value) FRAME_##name,
        FRAME_TYPE_LIST(FUZZ_TYPE)
#undef FUZZ_TYPE
    };
    uint8_t body[FRAME_BODY_BYTES_MAX];
    struct frame f;
    struct prng p;

    if (size_max < PORT_FRAME_BYTES_MAX)
        return 0;
    prng_seed(&p, number);
    sample_frame(&p, types[prng_below(&p, sizeof types)], &f, body);
    return frame_encode(&f, CLUSTER, &route, out);
}

static void put16(uint8_t *at, size_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

/* The lengths in front of it too, or nothing that was cut or grew would be looked at. */
void fuzz_seal(uint8_t *bytes, size_t size)
{
    uint8_t *const ip = bytes + IP_OFFSET;
    uint32_t sum = 0;

    if (size < FRAME_BODY_OFFSET)
        return;
    put16(ip + 2, size - IP_OFFSET);
    put16(ip + IP_BYTES + 4, size - IP_OFFSET - IP_BYTES);
    put16(ip + 10, 0);
    for (uint32_t i = 0; i < IP_BYTES; i += 2)
        sum += (uint32_t)ip[i] << 8 | ip[i + 1];
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    put16(ip + 10, ~sum & 0xffff);
    const uint32_t body_bytes = (uint32_t)(size - FRAME_BODY_OFFSET);
    memcpy(bytes + BODY_BYTES_OFFSET, &body_bytes, sizeof body_bytes);
    memset(bytes + CHECKSUM_OFFSET, 0, sizeof(uint32_t));
    const uint32_t crc = crc32c(0, bytes + FRAME_NET_BYTES, size - FRAME_NET_BYTES);
    memcpy(bytes + CHECKSUM_OFFSET, &crc, sizeof crc);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    uint8_t again[PORT_FRAME_BYTES_MAX];
    struct frame f;

    if (size > PORT_FRAME_BYTES_MAX ||
        frame_decode(bytes, (uint32_t)size, CLUSTER, &f) != FRAME_OK_VERDICT)
        return 0;
    const uint32_t length = frame_encode(&f, CLUSTER, &route, again);
    ASSERT(length == size);
    ASSERT(memcmp(again + FRAME_NET_BYTES, bytes + FRAME_NET_BYTES, size - FRAME_NET_BYTES) == 0);
    return 0;
}
