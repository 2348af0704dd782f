/* dataplane/tx.c: see tx.h. */
#include "dataplane/tx.h"

#include "base/assert.h"
#include "base/mark.h"

static uint32_t send_pending(struct tx *tx, uint32_t link);

bool tx_frame(struct tx *tx, uint32_t link, const struct frame *f)
{
    ASSERT(link < port_link_count(tx->port));
    ASSERT(tx->pending_count[link] < PORT_BURST_MAX);
    struct port_buf *const buf = &tx->pending[link][tx->pending_count[link]];

    if (!port_alloc(tx->port, link, buf)) {
        MARK(TX_NO_BUFFER);
        tx->no_buffer++;
        return false;
    }
    buf->length = frame_encode(f, tx->cluster, &tx->route[link], buf->bytes);
    tx->pending_count[link]++;
    if (tx->pending_count[link] == PORT_BURST_MAX)
        tx->sent_unflushed += send_pending(tx, link);
    return true;
}

uint32_t tx_flush(struct tx *tx)
{
    const uint32_t link_count = port_link_count(tx->port);
    uint32_t sent = tx->sent_unflushed;

    for (uint32_t link = 0; link < link_count; link++)
        if (tx->pending_count[link] > 0)
            sent += send_pending(tx, link);
    tx->sent_unflushed = 0;
    port_tx_flush(tx->port);
    return sent;
}

static uint32_t send_pending(struct tx *tx, uint32_t link)
{
    const uint32_t count = tx->pending_count[link];
    const uint32_t sent = port_tx_burst(tx->port, link, tx->pending[link], count);

    ASSERT(sent <= count);
    tx->sent += sent;
    tx->dropped += count - sent;
    tx->pending_count[link] = 0;
    return sent;
}
