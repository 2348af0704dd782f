/* tests/dataplane/sample.h: valid frames of every type, drawn from a seed. */
#ifndef TESTS_DATAPLANE_SAMPLE_H
#define TESTS_DATAPLANE_SAMPLE_H

#include "base/prng.h"
#include "dataplane/frame.h"

#define SAMPLE_CLUSTER 0x1122334455667788u

static const struct frame_route sample_route = {
    .source_mac = {2, 0, 0, 0, 0, 1},
    .target_mac = {2, 0, 0, 0, 0, 2},
    .source_ip = 0x0a000001,
    .target_ip = 0x0a000002,
};

/* Of enum frame_type `type`, in one of its shapes; the body is written to `body`
 * (FRAME_BODY_BYTES_MAX). */
void sample_frame(struct prng *p, uint8_t type, struct frame *f, uint8_t *body);

#endif
