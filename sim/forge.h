/* sim/forge.h: pieces of snapshots that are not what their sender has, in frames that are sound: its memory
 * flips bits, say.
 */
#ifndef SIM_FORGE_H
#define SIM_FORGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/prng.h"
#include "dataplane/frame.h"

/* `f` was decoded from `bytes`, and is a SNAPSHOT_PIECE. One byte of what it brings is another from here on. */
void forge_piece(const struct frame *f, uint8_t *bytes, uint64_t cluster, struct prng *p);

#endif
