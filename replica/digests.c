/* replica/digests.c: see digests.h. */
#include "replica/digests.h"

#include "replica/replica_internal.h"

static const struct state_digest *number(const struct digests *d, uint64_t i)
{
    ASSERT(i < d->count);
    return &d->kept[i & (DIGESTS_KEPT - 1)];
}

static raft_index newest(const struct digests *d)
{
    return d->count == 0 ? 0 : number(d, d->count - 1)->index;
}

/* Ours at `index`; NULL: not there yet, or no more, or left out. */
static const struct state_digest *own_at(struct replica *r, raft_index index)
{
    const struct digests *d = &r->raft.digests;
    uint64_t low = d->count > DIGESTS_KEPT ? d->count - DIGESTS_KEPT : 0;
    uint64_t high = d->count;

    while (low < high) {
        const uint64_t middle = low + (high - low) / 2;
        if (number(d, middle)->index == index)
            return number(d, middle);
        if (number(d, middle)->index < index)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static void take_new(struct replica *r)
{
    struct digests *d = &r->raft.digests;
    struct state_digest item;

    while (spsc_pop(r->digests, &item, sizeof item, 1) == 1) {
        ASSERT(item.index > newest(d));
        d->kept[d->count++ & (DIGESTS_KEPT - 1)] = item;
    }
}

static bool send(struct replica *r, struct peer *peer, raft_index index, uint64_t digest,
                 enum frame_digest_kind kind)
{
    struct frame f = {
        .type = FRAME_DIGEST,
        .digest = {.kind = (uint8_t)kind, .index = index, .digest = digest},
    };
    return emit_frame(r, peer, &f, 0, NULL);
}

static void report(struct replica *r)
{
    struct digests *d = &r->raft.digests;
    struct peer *leader = peer_of(r, raft_leader(r->raft.raft));
    const uint64_t now_ns = r->raft.now_ns;
    const bool again = now_ns >= d->repeat_ns;

    if (leader == NULL || leader->node == r->options.node || now_ns < d->report_ns ||
        d->count == 0 || (newest(d) == d->reported && !again))
        return;
    const struct state_digest *own = number(d, d->count - 1);
    if (!send(r, leader, own->index, own->digest, FRAME_DIGEST_REPORT))
        return;
    d->reported = own->index;
    d->report_ns = now_ns + r->options.heartbeat_ns;
    d->repeat_ns = now_ns + DIGEST_REPEAT * r->options.heartbeat_ns;
}

/* What a member has at the index of the inquiry; NULL: it has not said so. */
static const struct state_digest *said(struct replica *r, raft_node node)
{
    const raft_index index = r->raft.digests.inquiry;
    const struct peer *peer = peer_of(r, node);

    if (node == r->options.node)
        return own_at(r, index);
    return peer != NULL && peer->digest.index == index ? &peer->digest : NULL;
}

/* Of the voters of one half: those of `old` matter only while there are two. */
static bool majority_has(struct replica *r, uint64_t digest, bool old)
{
    const struct raft_config *config = raft_config(r->raft.raft);
    uint32_t voters = 0;
    uint32_t with_it = 0;

    for (uint32_t i = 0; i < config->count; i++) {
        const struct raft_member *m = &config->member[i];
        if (old ? !m->voter_old : !m->voter)
            continue;
        const struct state_digest *its = said(r, m->node);
        voters++;
        with_it += its != NULL && its->digest == digest;
    }
    return 2 * with_it > voters;
}

/* The value that decides; NULL: there is none yet. */
static const struct state_digest *verdict_of(struct replica *r)
{
    const struct raft_config *config = raft_config(r->raft.raft);

    for (uint32_t i = 0; i < config->count; i++) {
        const struct state_digest *its = said(r, config->member[i].node);
        if (its != NULL && majority_has(r, its->digest, false) &&
            (!config->joint || majority_has(r, its->digest, true)))
            return its;
    }
    return NULL;
}

/* A majority says that this leader is wrong: somebody else leads, and then it stops. */
static void give_up_lead(struct replica *r)
{
    struct digests *d = &r->raft.digests;
    const uint64_t patience_ns = DIGEST_HANDOVER * r->options.election_max_ns;

    if (d->wrong_ns == 0)
        d->wrong_ns = r->raft.now_ns;
    if (r->raft.now_ns - d->wrong_ns >= patience_ns) {
        raft_role_stop(r, REPLICA_STOP_DIVERGED);
        return;
    }
    if (raft_transfer_target(r->raft.raft) != 0 || !step_can(r, 0, 0, true))
        return;
    struct raft_event ev = {.type = RAFT_EV_TRANSFER};
    step_event(r, &ev);
}

/* Asks who has not answered, or tells what a majority has. True: somebody who can be heard has not got
 * there yet. */
static bool tell_members(struct replica *r, const struct state_digest *verdict)
{
    const struct raft_config *config = raft_config(r->raft.raft);
    bool waits = false;

    for (uint32_t i = 0; i < config->count; i++) {
        const raft_node node = config->member[i].node;
        struct peer *peer = peer_of(r, node);
        if (node == r->options.node || peer == NULL)
            continue;
        const struct state_digest *its = said(r, node);
        if (verdict != NULL && its != NULL && its->digest == verdict->digest)
            continue;
        waits = waits || raft_hears(r->raft.raft, node);
        if (its == NULL)
            send(r, peer, r->raft.digests.inquiry, 0, FRAME_DIGEST_ASK);
        else if (verdict != NULL)
            send(r, peer, verdict->index, verdict->digest, FRAME_DIGEST_VERDICT);
    }
    return waits;
}

static void begin_inquiry(struct replica *r, raft_index index)
{
    struct digests *d = &r->raft.digests;

    for (uint32_t i = 0; i < r->raft.peer_count; i++)
        r->raft.peer[i].digest.index = 0; /* it may have another state by now */
    d->inquiry = index;
    d->inquiry_term = raft_term_now(r->raft.raft);
    d->inquiry_ns = r->raft.now_ns;
    d->begun_ns = r->raft.now_ns;
}

static void inquire(struct replica *r)
{
    struct digests *d = &r->raft.digests;
    const struct state_digest *own = own_at(r, d->inquiry);
    const struct state_digest *verdict = verdict_of(r);
    const uint64_t patience_ns = DIGEST_AGAIN * r->options.heartbeat_ns;

    d->undecided = verdict == NULL;
    if (verdict != NULL && own != NULL && own->digest != verdict->digest)
        give_up_lead(r);
    if (r->raft.now_ns < d->inquiry_ns)
        return;
    d->inquiry_ns = r->raft.now_ns + r->options.heartbeat_ns;
    const bool waits = tell_members(r, verdict);
    if (verdict != NULL && !waits && d->wrong_ns == 0)
        d->inquiry = 0; /* whoever can be heard has the majority's value */
    else if (verdict == NULL && r->raft.now_ns - d->begun_ns >= patience_ns)
        begin_inquiry(r, newest(d));
}

void digests_poll(struct replica *r)
{
    struct digests *d = &r->raft.digests;
    const bool leads = raft_role(r->raft.raft) == RAFT_LEADER;

    take_new(r);
    if (d->inquiry != 0 && leads && d->inquiry_term == raft_term_now(r->raft.raft)) {
        inquire(r);
        return;
    }
    if (d->wrong_ns != 0) /* it has handed over */
        raft_role_stop(r, REPLICA_STOP_DIVERGED);
    d->inquiry = 0;
    d->undecided = false;
    report(r);
}

bool digests_corrupt(struct replica *r)
{
    const struct peer *leader = peer_of(r, raft_leader(r->raft.raft));

    return r->raft.digests.undecided || (leader != NULL && leader->corrupt);
}

/* A report, or an answer: both say what the sender has at an index. */
static void on_report(struct replica *r, struct peer *peer, const struct frame_digest *theirs)
{
    struct digests *d = &r->raft.digests;
    const struct state_digest *own = own_at(r, theirs->index);

    if (raft_role(r->raft.raft) != RAFT_LEADER || !peer->member || own == NULL)
        return;
    if (d->inquiry == 0 && own->digest != theirs->digest)
        begin_inquiry(r, theirs->index);
    if (d->inquiry == theirs->index)
        peer->digest = (struct state_digest){.index = theirs->index, .digest = theirs->digest};
}

void digests_on_frame(struct replica *r, const struct frame *f)
{
    struct peer *peer = peer_of(r, f->source);
    const struct state_digest *own = own_at(r, f->digest.index);

    ASSERT(peer != NULL); /* admitted */
    if (f->digest.kind == FRAME_DIGEST_REPORT) {
        on_report(r, peer, &f->digest);
        return;
    }
    if (own == NULL || raft_leader(r->raft.raft) != f->source)
        return;
    if (f->digest.kind == FRAME_DIGEST_ASK)
        send(r, peer, own->index, own->digest, FRAME_DIGEST_REPORT); /* lost: it asks again */
    else if (own->digest != f->digest.digest)
        raft_role_stop(r, REPLICA_STOP_DIVERGED);
}
