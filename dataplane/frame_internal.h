/* dataplane/frame_internal.h: between the files frame*.c. */
#ifndef DATAPLANE_FRAME_INTERNAL_H
#define DATAPLANE_FRAME_INTERNAL_H

#include "dataplane/frame.h"

/* frame_fixed.c. FRAME_FIXED_BYTES, at any address. */
void frame_fixed_encode(const struct frame *f, uint8_t *out);
/* With all but the union of `f` set. False: an unknown type, or a bit set that has no meaning. */
bool frame_fixed_decode(const uint8_t *bytes, struct frame *f);

/* frame_range.c. Every field within the range of docs/formats.md. It is both the decoder's last check and what
 * the encoder asserts, so no node can send what another one must refuse. */
bool frame_well_formed(const struct frame *f);

/* The same three for the frames of snapshots: frame_snapshot.c. */
void frame_snapshot_encode(const struct frame_snapshot *s, uint8_t *out);
bool frame_snapshot_decode(const uint8_t *bytes, struct frame_snapshot *s);
bool frame_snapshot_well_formed(const struct frame *f);

#endif
