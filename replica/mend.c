/* replica/mend.c: a snapshot of ours that the disk has lost, in part or as a whole.
 *
 *   a chunk can't be read: mend_on_damage, or the store's word --> the same chunk of the same snapshot from
 *       any peer (receive_begin_mend), written in its place
 *   no file, no header, or nobody has that chunk --> SNAPSHOT_WANT to all: who has the same one or a newer
 *       one offers it, and it is pulled as a whole
 *
 * Meanwhile the node votes and takes entries. Only its store may have to wait, if it was still to load
 * what is lost: it is told by `snapshot_mended` to read again, or gets the newer one by another LOAD.
 */
#include "replica/replica_internal.h"

void mend_open(struct replica *r, const struct wal_base *base, enum snapshot_condition condition)
{
    struct mend *m = &r->raft.mend;

    if (condition == SNAPSHOT_NONE || condition == SNAPSHOT_WHOLE)
        return;
    m->lost = true;
    m->index = base->snapshot_index;
    m->bytes = base->snapshot_bytes;
    m->digest = base->snapshot_digest;
}

static void tell_store(struct replica *r)
{
    published_set(&r->snapshot_mended, published_get(&r->snapshot_mended) + 1);
    r->raft.pushes++; /* the store is to look */
}

static void lose(struct replica *r)
{
    struct mend *m = &r->raft.mend;
    struct snapshot_header *current = &r->raft.making.current;

    ASSERT(!m->lost);
    MARK(SNAPSHOT_LOST);
    m->lost = true;
    m->damaged = false;
    m->index = current->index;
    m->bytes = current->bytes;
    m->digest = current->digest;
    m->ask_ns = r->raft.now_ns;
    current->index = 0; /* nobody is offered what we have not got */
}

static void note_damage(struct replica *r, uint32_t chunk)
{
    struct mend *m = &r->raft.mend;

    if (m->lost || m->damaged || r->raft.making.current.index == 0)
        return;
    MARK(SNAPSHOT_DAMAGED);
    m->damaged = true;
    m->index = r->raft.making.current.index;
    m->chunk = chunk;
}

void mend_on_damage(struct replica *r, const struct snapshot_read *read)
{
    if (read->index == r->raft.making.current.index)
        note_damage(r, read->chunk);
}

void mend_on_silence(struct replica *r)
{
    if (r->raft.pull.state == PULL_MENDS && r->raft.mend.damaged)
        lose(r); /* nobody has that chunk */
}

void mend_done(struct replica *r)
{
    MARK(SNAPSHOT_MENDED);
    r->raft.mend.damaged = false;
    tell_store(r);
}

bool mend_wants(const struct replica *r, const struct frame_snapshot *s)
{
    const struct mend *m = &r->raft.mend;
    const bool same = s->index == m->index && s->bytes == m->bytes && s->digest == m->digest;

    if (!m->lost || (s->index <= m->index && !same))
        return false;
    /* A leader installs nothing: it has all that is committed, and will know so. */
    return raft_role(r->raft.raft) != RAFT_LEADER || s->index <= raft_commit(r->raft.raft);
}

void mend_on_current(struct replica *r)
{
    struct mend *m = &r->raft.mend;

    ASSERT(r->raft.fed >= r->raft.making.current.index);
    MARK_IF(m->lost, SNAPSHOT_REPLACED);
    m->lost = false;
    m->damaged = false;
    tell_store(r);
}

bool mend_want(struct replica *r, raft_index index)
{
    struct replica_raft *role = &r->raft;
    struct mend *m = &role->mend;
    bool asked = false;
    bool full = false;

    ASSERT(index > 0);
    m->ask_first = m->ask_first + 1 < role->peer_count ? m->ask_first + 1 : 0;
    for (uint32_t i = 0; i < role->peer_count; i++) {
        const uint32_t place = m->ask_first + i;
        const uint32_t at = place < role->peer_count ? place : place - role->peer_count;
        struct peer *peer = &role->peer[at];
        struct frame f = {.type = FRAME_SNAPSHOT_WANT, .snapshot = {.index = index}};
        if (at == role->self || peer->boot == 0)
            continue;
        const bool sent = emit_frame(r, peer, &f, 0, NULL);
        asked = asked || sent;
        full = full || !sent;
    }
    return asked || !full;
}

static void on_lacks(struct replica *r, uint64_t lacks)
{
    if (lacks != SNAPSHOT_LACKS_ALL)
        note_damage(r, (uint32_t)(lacks - 1));
    else if (!r->raft.mend.lost && r->raft.making.current.index != 0)
        lose(r);
}

void mend_poll(struct replica *r)
{
    struct replica_raft *role = &r->raft;
    struct mend *m = &role->mend;
    const uint64_t lacks = published_get(&r->snapshot_lacks);

    /* What the store says is about the one that it loads, which may have been replaced. */
    if (lacks != 0 && role->loading == role->making.current.index)
        on_lacks(r, lacks);
    if (m->damaged && m->index != role->making.current.index)
        m->damaged = false; /* another one has taken its place */
    if (m->damaged && role->now_ns >= m->ask_ns &&
        receive_begin_mend(r, &role->making.current, m->chunk))
        m->ask_ns = role->now_ns + r->options.resend_ns;
    if (m->lost && role->now_ns >= m->ask_ns && role->pull.state == PULL_IDLE &&
        !planted(PLANTED_MEND_NOT_ASKED) && mend_want(r, m->index))
        m->ask_ns = role->now_ns + r->options.resend_ns;
    published_set(&r->options.counters->snapshot_lost, m->lost || m->damaged);
}

uint64_t mend_next_ns(const struct replica *r)
{
    const struct mend *m = &r->raft.mend;
    const bool asks = (m->lost || m->damaged) && r->raft.pull.state == PULL_IDLE;

    return asks ? m->ask_ns : UINT64_MAX;
}
