/* dataplane/tx.h: a send turn: frames encoded into buffers of their link and sent in bursts.
 * The caller zeroes the struct and sets port, cluster and route.
 *
 * What may not leave yet is held before it comes here (replica's gate); what comes here leaves at
 * once or is dropped and counted.
 *
 * Thread     The tx lcore only.
 */
#ifndef DATAPLANE_TX_H
#define DATAPLANE_TX_H

#include "dataplane/frame.h"

struct tx {
    struct port *port;
    uint64_t cluster;
    struct frame_route route[PORT_LINKS_MAX];
    struct port_buf pending[PORT_LINKS_MAX][PORT_BURST_MAX];
    uint32_t pending_count[PORT_LINKS_MAX];
    uint32_t sent_unflushed; /* by full bursts since the last tx_flush() */
    uint64_t sent, dropped, no_buffer;
};

/* Encodes (copying the body) into the link's burst, which is sent when it is full. False: there is
 * no buffer and the frame is dropped; true says nothing about the wire. */
bool tx_frame(struct tx *tx, uint32_t link, const struct frame *f);
/* Sends what is pending on all links and rings bells. Frames sent. */
uint32_t tx_flush(struct tx *tx);

#endif
