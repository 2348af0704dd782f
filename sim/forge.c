/* sim/forge.c: one node that sends pieces of snapshots which are not what it has, in frames that are sound:
 * its memory flips bits, say. Checkers see what left its code.
 */
#include "sim/sim_internal.h"

#include <string.h>

void forge_frame(void *context, uint32_t node, uint8_t *bytes, uint32_t length)
{
    static const struct frame_route route; /* the addresses stay */
    struct sim *s = context;
    uint8_t out[PORT_FRAME_BYTES_MAX], body[FRAME_BODY_BYTES_MAX];
    struct frame f;

    if (s->healed || s->plan.forge == 0 || node != s->plan.forger)
        return;
    const bool sound = frame_decode(bytes, length, s->plan.options.cluster, &f) == FRAME_OK_VERDICT;
    if (!sound || f.type != FRAME_SNAPSHOT_PIECE || (f.snapshot.chunk_bytes != 0 && !s->plan.forge_tables))
        return;
    if (!prng_chance(&s->forge_prng, s->plan.forge))
        return;
    sim_happen(s, SIM_FORGED);
    memcpy(body, f.body, f.body_bytes);
    body[prng_below(&s->forge_prng, f.body_bytes)] ^= (uint8_t)prng_between(&s->forge_prng, 1, 255);
    f.body = body;
    const uint32_t same = frame_encode(&f, s->plan.options.cluster, &route, out);
    ASSERT(same == length);
    memcpy(bytes + FRAME_NET_BYTES, out + FRAME_NET_BYTES, length - FRAME_NET_BYTES);
}
