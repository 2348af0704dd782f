/* replica/emit.c: frames to a peer get their names, number and credit here and nowhere else. */
#include "replica/replica_internal.h"

bool emit_frame(struct replica *r, struct peer *peer, struct frame *f, raft_seq after_seq,
                const uint8_t *body)
{
    const bool needs_credit = !frame_is_control(f);

    if (spsc_room(r->to_tx, 1) == 0) {
        ASSERT(body == NULL); /* who fills a body has looked for room first */
        return false;
    }
    if (peer->link == UINT32_MAX)
        return true; /* no way to it: as if it was lost */
    if (peer->incarnation == 0 && f->type != FRAME_HELLO && body == NULL)
        return true; /* nobody there to talk to yet: as if it was lost */
    f->source = r->options.node;
    f->source_boot = r->options.boot;
    f->source_incarnation = r->options.incarnation;
    f->target = peer->node;
    f->target_boot = peer->boot;
    f->target_incarnation = peer->incarnation;
    f->no_room = room_lacks(r);
    f->refuses_writes = r->raft.refuses_writes;
    f->wants_snapshot = r->raft.making.wants;
    f->corrupt = r->raft.digests.undecided;
    if (needs_credit)
        f->number = credit_send_take(&peer->credit_out);
    f->credit = credit_receive_grant(&peer->credit_in);
    f->body = body;
    const struct tx_item item = {
        .frame = *f,
        .after_seq = after_seq,
        .link = peer->link,
        .scratch_bytes = body == NULL ? 0 : f->body_bytes,
    };
    const uint32_t taken = spsc_push(r->to_tx, &item, sizeof item, 1);
    ASSERT(taken == 1);
    r->raft.pushes++;
    return true;
}
