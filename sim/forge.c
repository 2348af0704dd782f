/* sim/forge.c: see forge.h. */
#include "sim/forge.h"

#include "base/assert.h"

#include <string.h>

void forge_piece(const struct frame *f, uint8_t *bytes, uint64_t cluster, struct prng *p)
{
    static const struct frame_route route; /* the addresses stay */
    uint8_t out[PORT_FRAME_BYTES_MAX], body[FRAME_BODY_BYTES_MAX];
    struct frame forged = *f;

    ASSERT(f->type == FRAME_SNAPSHOT_PIECE);
    memcpy(body, f->body, f->body_bytes);
    body[prng_below(p, f->body_bytes)] ^= (uint8_t)prng_between(p, 1, 255);
    forged.body = body;
    const uint32_t length = frame_encode(&forged, cluster, &route, out);
    memcpy(bytes + FRAME_NET_BYTES, out + FRAME_NET_BYTES, length - FRAME_NET_BYTES);
}
