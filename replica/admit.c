/* replica/admit.c: who sent this frame, and may it count.
 *
 * A frame counts only between incarnations that know each other and between their newest boots.
 * What fails here never reaches the core. A later boot of a peer than the one we knew resets
 * everything that was under way between us, and the core probes it anew.
 */
#include "replica/replica_internal.h"

#include <string.h>

struct peer *peer_of(struct replica *r, raft_node node)
{
    for (uint32_t i = 0; i < r->raft.peer_count; i++)
        if (r->raft.peer[i].node == node)
            return &r->raft.peer[i];
    return NULL;
}

void admit_count(struct replica *r, enum frame_verdict verdict)
{
    ASSERT(verdict < FRAME_VERDICT_COUNT);
    r->raft.verdict_count[verdict]++;
}

void admit_incarnation(struct peer *peer, uint64_t incarnation)
{
    ASSERT(incarnation != 0);
    peer->incarnation = incarnation;
    peer->boot = 0;
    peer->boot_term = 0;
    peer->convicted_boot = 0;
    peer->liar_boot = 0;
    peer->accused_boot = 0;
}

/* What the peer has acknowledged to us as the leader of our term, by whatever boot. Of a boot that was
 * convicted the core has forgotten it, but an older disk is not younger at its next start. */
static void remember_match(struct replica *r, struct peer *peer)
{
    const raft_term term = raft_term_now(r->raft.raft);
    const raft_index match = raft_match(r->raft.raft, peer->node); /* 0: we don't lead */

    if (peer->boot_term != term || match > peer->boot_match)
        peer->boot_match = match;
    peer->boot_term = term;
}

/* The peer restarted: what it had not stored is gone, and so is what we had under way to it. */
static void new_boot(struct replica *r, struct peer *peer, uint32_t boot)
{
    MARK_IF(peer->record_in.active && !peer->record_in.complete, BOOT_IN_CHUNKS);
    peer->boot = boot;
    remember_match(r, peer);
    peer->log_empty = false;
    peer->no_room = false;
    peer->refuses_writes = false;
    peer->wants_snapshot = false;
    peer->corrupt = false;
    peer->digest.index = 0;
    peer->heard_hello = false;
    if (!planted(PLANTED_CREDIT_OUTLIVES_BOOT))
        credit_send_reset(&peer->credit_out);
    credit_receive_reset(&peer->credit_in, r->options.credit_window);
    peer->chunk_out.active = false;
    peer->record_in.active = false;
    peer->record_in.ack_due = false;
    peer->request_in.active = false;
    peer->request_in.ack_due = false;
    if (!planted(PLANTED_FORWARD_OUTLIVES_BOOT))
        peer->forward_term = 0;
    peer->forward_ack_due = false;
    transfer_forget(peer);
    struct raft_event ev = {.type = RAFT_EV_PEER_BOOT, .peer = peer->node};
    step_event(r, &ev);
}

/* The frame is for this incarnation. A HELLO may not know it yet. */
static enum frame_verdict judge_target(const struct replica *r, const struct frame *f)
{
    const bool hello = f->type == FRAME_HELLO;

    if (f->target != r->options.node)
        return FRAME_TARGET_VERDICT;
    if (f->target_incarnation == r->options.incarnation)
        return FRAME_OK_VERDICT;
    /* A refusal names the incarnation that has our name. */
    return hello && (f->target_incarnation == 0 || f->hello.refused) ? FRAME_OK_VERDICT
                                                                     : FRAME_TARGET_VERDICT;
}

/* The sender is who the configuration says. Its incarnation is judged before any boot: a node that was
 * wiped may know earlier boots of ours only, and is to hear all the same that it has no name. */
static enum frame_verdict judge_incarnation(struct peer *peer, const struct frame *f)
{
    const bool hello = f->type == FRAME_HELLO;

    if (peer->incarnation == 0 && !hello)
        return FRAME_STRANGER_VERDICT;
    if (peer->incarnation == f->source_incarnation)
        return FRAME_OK_VERDICT;
    if (peer->incarnation != 0 && (peer->member || !hello)) {
        peer->refused = true; /* it is told at the next HELLO round */
        return FRAME_STRANGER_VERDICT;
    }
    admit_incarnation(peer, f->source_incarnation); /* no configuration names it: it is new, or anew */
    return FRAME_OK_VERDICT;
}

/* The frame is from the newest boot of its sender to this boot of ours. A HELLO may not know ours. Of a
 * boot whose HELLO was not heard nothing counts: its directory may be older than what an earlier
 * boot acknowledged, and only HELLO says where its log ends (judge_memory() in bootstrap.c). */
static enum frame_verdict judge_boots(struct replica *r, struct peer *peer, const struct frame *f)
{
    const bool hello = f->type == FRAME_HELLO;

    /* Late frames can leave two nodes each with an earlier boot of the other, and then neither hears
     * the other any more: who is spoken to under an earlier boot tells its own at the next round. */
    if (f->target_boot != r->options.boot && !hello) {
        MARK(FRAME_FOR_EARLIER_BOOT);
        peer->outdated = true;
        return FRAME_STALE_BOOT_VERDICT;
    }
    if (f->source_boot == peer->convicted_boot) {
        peer->accused_boot = f->source_boot; /* until it has heard that it is to stop */
        return FRAME_STRANGER_VERDICT;
    }
    if (f->source_boot < peer->boot) {
        MARK(FRAME_OF_EARLIER_BOOT);
        peer->accused_boot = f->source_boot;
        return FRAME_STALE_BOOT_VERDICT;
    }
    if (f->source_boot == peer->liar_boot)
        return FRAME_STRANGER_VERDICT;
    if (f->source_boot > peer->boot)
        new_boot(r, peer, f->source_boot);
    if (!hello && !peer->heard_hello) {
        MARK(FRAME_BEFORE_HELLO);
        peer->hello_ask = true;
        return FRAME_UNPROVEN_VERDICT;
    }
    return FRAME_OK_VERDICT;
}

bool admit_frame(struct replica *r, const struct frame *f)
{
    struct peer *peer = peer_of(r, f->source);
    enum frame_verdict verdict = judge_target(r, f);

    if (verdict == FRAME_OK_VERDICT && (peer == NULL || peer->node == r->options.node))
        verdict = FRAME_STRANGER_VERDICT;
    if (verdict == FRAME_OK_VERDICT)
        verdict = judge_incarnation(peer, f);
    if (verdict == FRAME_OK_VERDICT)
        verdict = judge_boots(r, peer, f);
    if (verdict == FRAME_OK_VERDICT) {
        if (f->target_boot == r->options.boot)
            credit_send_granted(&peer->credit_out, f->credit);
        if (f->number != 0 && !credit_receive_number(&peer->credit_in, f->number))
            verdict = FRAME_NO_CREDIT_VERDICT;
    }
    if (verdict == FRAME_OK_VERDICT) {
        peer->no_room = f->no_room;
        peer->refuses_writes = f->refuses_writes;
        peer->wants_snapshot = f->wants_snapshot;
        peer->corrupt = f->corrupt;
        peer->left = peer->left || (!peer->member && f->type != FRAME_HELLO);
    } else {
        admit_count(r, verdict);
    }
    return verdict == FRAME_OK_VERDICT;
}
