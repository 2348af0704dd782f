/* replica/repair.c: see repair.h. The rules of holes are in docs/recovery.md. */
#include "base/mark.h"
#include "replica/config_record.h"
#include "replica/replica_internal.h"

#include <string.h>

/* ---- what we have lost ------------------------------------------------------------------------ */

/* The log itself keeps account of its holes; nothing is on its way to it now. */
static void take_holes(struct replica *r)
{
    struct repair *p = &r->raft.repair;
    struct wal_recovered found;

    wal_report(r->persist.wal, &found);
    p->writing = false;
    p->rebasing = false;
    p->tries = 0;
    p->hole_count = found.hole_count;
    p->top_next = found.hole_count > 0 ? found.hole[found.hole_count - 1].next : 0;
    p->top_last = found.hole_count > 0 ? found.hole[found.hole_count - 1].last : 0;
    p->hole = found.hole[0];
    p->limit = found.hole[0].floor;
    p->have = 0;
    p->total = 0;
    p->fill_at = p->fill_size;
    p->from = 0;
    p->ask_ns = r->raft.now_ns;
    /* The last counts as one until the core knows of the whole log: finish(). */
    if (p->hole_count > 0 || !p->active)
        published_set(&r->options.counters->holes, p->hole_count);
    published_set(&r->options.counters->repaired, p->entries);
}

void repair_open(struct replica *r)
{
    take_holes(r);
    r->raft.repair.active = r->raft.repair.hole_count > 0;
}

static void give(struct replica *r, const struct wal_step *step)
{
    struct repair *p = &r->raft.repair;

    ASSERT(!p->writing);
    if (!step_repair(r, step))
        return; /* no room now: the next poll comes here again */
    p->given++;
    p->writing = true;
}

static void give_fill(struct replica *r)
{
    const struct repair *p = &r->raft.repair;
    const struct wal_step step = {
        .kind = WAL_STEP_FILL,
        .first = p->hole.next + 1,
        .last = p->fill_last,
        .bytes = p->fill + p->fill_at,
        .length = p->fill_size - p->fill_at,
    };

    ASSERT(step.length > 0);
    give(r, &step);
}

static void forget_config(struct raft_recovered *known, uint32_t at)
{
    ASSERT(at < known->config_count);
    known->config_count--;
    memmove(&known->configs[at], &known->configs[at + 1],
            (known->config_count - at) * sizeof known->configs[0]);
}

/* What is known of configurations changes with an entry that was not known. They ascend, and of those
 * that are committed the newest alone is kept: nothing falls back to one before it. */
static void learn_config(struct raft_recovered *known, const struct record_header *record)
{
    struct raft_config_at config = {.index = record->index};
    uint64_t quota_bytes;
    uint32_t at = known->config_count;

    while (at > 0 && known->configs[at - 1].index >= config.index)
        at--;
    if (at < known->config_count && known->configs[at].index == config.index)
        forget_config(known, at);
    if (record->type != RECORD_CONFIG ||
        !config_record_decode(record_payload(record), record->payload_bytes, &config.config,
                              &quota_bytes))
        return;
    if (at < known->config_count && known->configs[at].index <= known->commit)
        return;
    if (at > 0 && config.index <= known->commit)
        forget_config(known, --at);
    if (known->config_count == RAFT_CONFIGS_MAX && at == 0)
        return; /* older than all that can be undone */
    if (known->config_count == RAFT_CONFIGS_MAX) {
        forget_config(known, 0);
        at--;
    }
    memmove(&known->configs[at + 1], &known->configs[at],
            (known->config_count - at) * sizeof known->configs[0]);
    known->configs[at] = config;
    known->config_count++;
}

/* The record is whole and the one that was asked for: the hole gets smaller. */
static void place_record(struct replica *r)
{
    struct repair *p = &r->raft.repair;
    const struct record_header *record = record_at(p->record);

    if (p->fill_at < p->total) {
        give_fill(r);
        return;
    }
    if (p->fill_at == p->fill_size)
        p->fill_last = record->index;
    p->fill_at -= p->total;
    memcpy(p->fill + p->fill_at, record, p->total);
    learn_config(&r->raft.recovered, record);
    p->hole.next--;
    p->hole.chain = record->chain;
    p->have = 0;
    p->total = 0;
    p->entries++;
    p->ask_ns = r->raft.now_ns;
}

/* Everybody is asked, another one first each time; who answered gets the next question alone, until he
 * is silent. */
static void ask(struct replica *r)
{
    struct repair *p = &r->raft.repair;
    struct frame f = {
        .type = FRAME_REPAIR_ASK,
        .repair = {.index = p->hole.next,
                   .checksum = p->hole.chain,
                   .offset = p->have,
                   .term = raft_term_now(r->raft.raft)},
    };
    const bool skipped =
        planted(PLANTED_REPAIR_SKIPPED) && p->hole.next <= raft_commit(r->raft.raft);

    /* In turns with the questions: each may be all that a small ring to tx takes at once. */
    if (repair_is_stuck(r) && p->tries % 2 == 0)
        mend_want(r, p->hole_count == 1 ? p->hole.next : p->top_next);
    p->ask_first = p->ask_first + 1 < r->raft.peer_count ? p->ask_first + 1 : 0;
    for (uint32_t i = 0; i < r->raft.peer_count && !skipped; i++) {
        const uint32_t place = p->ask_first + i;
        const uint32_t at = place < r->raft.peer_count ? place : place - r->raft.peer_count;
        ASSERT(at < r->raft.peer_count);
        struct peer *peer = &r->raft.peer[at];
        const bool meant = p->from == 0 || p->from == peer->node;
        if (at != r->raft.self && peer->boot != 0 && meant)
            emit_frame(r, peer, &f, 0, NULL);
    }
    MARK_IF(p->have > 0 && p->from == 0, HOLE_ASKED_AGAIN);
    p->tries++;
    p->from = 0;
    p->ask_ns = r->raft.now_ns + r->options.resend_ns;
}

/* The log is whole: the core begins anew over it. It has led nothing and appended nothing since the
 * start, so that all it has to remember is its term and its vote. A leader that was heard in this poll
 * counts on a promise that only the next reading of the clock gives its length: that comes first. */
static void finish(struct replica *r)
{
    struct replica_raft *role = &r->raft;
    struct raft_recovered *known = &role->recovered;
    struct wal_recovered found;

    if (raft_heard_leader(role->raft) || !step_deliver(r) ||
        published_get(&r->options.view->durable) < raft_seq_last(role->raft))
        return;
    wal_report(r->persist.wal, &found);
    ASSERT(found.hole_count == 0);
    known->term = role->hard_term;
    known->vote = role->hard_vote;
    known->vote_incarnation = role->hard_vote_incarnation;
    known->last = found.last;
    known->base = raft_base(role->raft);
    known->base_term = raft_term_at(role->raft, known->base, NULL);
    if (known->commit < known->base)
        known->commit = known->base;
    known->faulty = false;
    role->last_chain = found.last_chain;
    role->repair.active = false;
    MARK(HOLE_FILLED);
    core_begin(r, &found, raft_seq_last(role->raft));
    published_set(&r->options.counters->holes, 0);
    role->reads.asked = 0; /* the new core has heard of none */
}

bool repair_is_stuck(const struct replica *r)
{
    /* A snapshot would heal what that bug breaks. */
    return r->raft.repair.active && r->raft.repair.tries >= REPAIR_STUCK_TRIES &&
           !planted(PLANTED_REPAIR_SKIPPED);
}

/* A base below an open hole would leave it open, where nobody knows its entries any more. And what is not
 * committed here must be compared with the entry there, so that one must be known for sure. */
bool repair_takes_base(const struct replica *r, raft_index index)
{
    const struct repair *p = &r->raft.repair;
    const raft_index next = p->hole_count == 1 ? p->hole.next : p->top_next;

    if (!p->active || p->hole_count == 0)
        return true;
    return index <= raft_commit(r->raft.raft) ? index >= next : index > p->top_last;
}

bool repair_allows_base(const struct replica *r, raft_index index)
{
    const struct repair *p = &r->raft.repair;
    const bool busy = p->writing || p->rebasing || p->hole_count == 0 || p->fill_at < p->fill_size;

    return !p->active || (!busy && repair_takes_base(r, index));
}

void repair_on_base(struct replica *r, const struct raft_config_at *config, raft_index base, bool cut)
{
    struct raft_recovered *known = &r->raft.recovered;
    bool is_newest = true;

    if (!r->raft.repair.active)
        return;
    MARK(HOLE_PASSED_OVER);
    r->raft.repair.rebasing = true;
    for (uint32_t i = known->config_count; i-- > 0;) {
        if (cut || known->configs[i].index <= base)
            forget_config(known, i);
        else if (known->configs[i].index <= known->commit)
            is_newest = false;
    }
    if (!is_newest)
        return;
    ASSERT(known->config_count < RAFT_CONFIGS_MAX); /* it has lost the one that was in force below */
    memmove(&known->configs[1], &known->configs[0], known->config_count * sizeof known->configs[0]);
    known->configs[0] = *config;
    known->config_count++;
}

/* The manifest is durable; what else was given to the log may be on its way. */
static void end_rebasing(struct replica *r)
{
    const struct replica_raft *role = &r->raft;

    if (!role->making.changing && published_get(&r->options.view->durable) >= raft_seq_last(role->raft))
        take_holes(r);
}

void repair_poll(struct replica *r)
{
    struct repair *p = &r->raft.repair;

    if (!p->active)
        return;
    if (p->rebasing) {
        end_rebasing(r);
        return;
    }
    if (p->writing && published_get(&r->repairs_durable) == p->given)
        take_holes(r);
    if (p->writing || (repair_is_stuck(r) && install_own(r)))
        return;
    if (p->hole_count == 0)
        finish(r);
    else if (p->total > 0 && p->have == p->total)
        place_record(r);
    else if (wal_hole_is_closed(&p->hole) || (repair_is_stuck(r) && p->fill_at < p->fill_size))
        give_fill(r); /* whole, or as far as anybody knew */
    else if (r->raft.now_ns >= p->ask_ns)
        ask(r);
}

/* Another entry stands where ours is missing, and it is committed or the leader's; or the leader's log
 * ends below: so ours never was committed, as in an append that conflicts (Raft, Figure 2, rule 3), and
 * our log ends there too. What lies below must be shown to be the same from there downwards. */
static bool give_cut(struct replica *r, const struct frame *f)
{
    struct replica_raft *role = &r->raft;
    struct repair *p = &role->repair;
    const struct frame_repair *o = &f->repair;
    const bool leads = o->leads && o->term == raft_term_now(role->raft) &&
                       raft_leader(role->raft) == f->source;
    const struct wal_step step = {
        .kind = WAL_STEP_CUT,
        .first = 1,
        .last = o->other_index,
        .cut_term = o->other_term,
        .cut_chain = o->other_checksum,
    };

    const bool there = o->other_index == o->index;

    if (!leads && !(there && o->committed))
        return false;
    if (there && o->other_checksum == p->hole.chain)
        return false;
    if (o->other_index <= raft_commit(role->raft) || o->other_term > role->hard_term)
        return false; /* it contradicts what we know, or we know too little yet */
    give(r, &step);
    MARK_IF(p->writing && there, HOLE_CUT);
    MARK_IF(p->writing && !there, HOLE_CUT_ABOVE);
    struct raft_recovered *known = &role->recovered;
    while (p->writing && known->config_count > 0 &&
           known->configs[known->config_count - 1].index > o->other_index)
        known->config_count--;
    return true;
}

/* A piece, in order. */
static bool take_piece(struct replica *r, const struct frame *f)
{
    struct repair *p = &r->raft.repair;
    const struct frame_repair *o = &f->repair;

    if (o->offset != p->have || (p->have > 0 && o->total != p->total) ||
        o->total > record_bytes(r->options.record_payload_bytes_max))
        return false;
    memcpy(p->record + p->have, f->body, f->body_bytes);
    p->total = o->total;
    p->have += f->body_bytes;
    p->tries = 0;
    p->from = f->source;
    p->ask_ns = r->raft.now_ns;
    if (p->have < p->total)
        return true;
    const struct record_header *record = record_at(p->record);
    if (record_check(p->record, p->total, r->options.cluster) == RECORD_OK &&
        record->index == p->hole.next &&
        (record->header_crc == p->hole.chain || planted(PLANTED_REPAIR_ANY_RECORD)) &&
        record_bytes(record->payload_bytes) == p->total)
        return true;
    p->have = 0; /* not what it was said to be: somebody else may do better */
    p->total = 0;
    p->from = 0;
    p->ask_ns = r->raft.now_ns + r->options.resend_ns;
    return false;
}

void repair_on_answer(struct replica *r, const struct frame *f)
{
    const struct repair *p = &r->raft.repair;
    const struct frame_repair *o = &f->repair;
    /* A late answer may fit what lies below a hole that has closed. */
    bool good = p->active && !p->writing && !p->rebasing && p->hole_count > 0 && !wal_hole_is_closed(&p->hole) &&
                o->index == p->hole.next && o->checksum == p->hole.chain &&
                (p->total == 0 || p->have < p->total);

    if (good)
        good = o->total == 0 ? give_cut(r, f) : take_piece(r, f);
    admit_count(r, good ? FRAME_OK_VERDICT : FRAME_UNEXPECTED_VERDICT);
}

/* ---- what others have lost -------------------------------------------------------------------- */

/* Another entry than the one that was asked for, or the leader's last one, which is below. Whoever has
 * holes can't tell that it stands. */
static void answer_other(struct replica *r, struct peer *peer, const struct frame_repair *asked,
                         const struct record_header *record)
{
    const struct raft *raft = r->raft.raft;
    struct frame f = {.type = FRAME_REPAIR, .repair = *asked};

    f.repair.offset = 0;
    f.repair.other_index = record->index;
    f.repair.other_checksum = record->header_crc;
    f.repair.other_term = record->term;
    f.repair.committed = record->index <= raft_commit(raft);
    f.repair.leads = raft_role(raft) == RAFT_LEADER;
    f.repair.term = raft_term_now(raft);
    if (!r->raft.repair.active && (record->index == asked->index || f.repair.leads))
        emit_frame(r, peer, &f, 0, NULL);
}

/* A full ring loses the answer; it is asked for again. */
static void answer(struct replica *r, struct peer *peer, const struct frame_repair *asked,
                   const struct record_header *record)
{
    struct frame f = {.type = FRAME_REPAIR, .repair = *asked};
    const uint32_t total = record_bytes(record->payload_bytes);

    const bool any = planted(PLANTED_REPAIR_ANY_RECORD) && record->index == asked->index;

    if (!any && (record->index != asked->index || record->header_crc != asked->checksum)) {
        answer_other(r, peer, asked, record);
        return;
    }
    if (asked->offset >= total || spsc_room(r->to_tx, 1) == 0)
        return;
    f.repair.total = total;
    f.repair.term = raft_term_now(r->raft.raft);
    f.body_bytes = total - asked->offset < FRAME_BODY_BYTES_MAX ? total - asked->offset
                                                                : FRAME_BODY_BYTES_MAX;
    uint8_t *body = byte_ring_reserve(&r->scratch, f.body_bytes);
    if (body == NULL)
        return;
    MARK_IF(r->raft.repair.active, HOLE_ON_BOTH_SIDES);
    memcpy(body, (const uint8_t *)record + asked->offset, f.body_bytes);
    emit_frame(r, peer, &f, 0, body);
}

void repair_on_ask(struct replica *r, const struct frame *f)
{
    struct replica_raft *role = &r->raft;
    struct repair *p = &role->repair;
    /* A leader has all that was committed: what is beyond its log was not. */
    const bool beyond =
        raft_role(role->raft) == RAFT_LEADER && f->repair.index > raft_last(role->raft);
    const raft_index index = beyond ? raft_last(role->raft) : f->repair.index;
    const raft_term term = raft_term_at(role->raft, index, NULL);
    const struct record_header *record = record_memory_at(&role->memory, index);

    admit_count(r, FRAME_OK_VERDICT);
    if (record == NULL && p->serve.state == LOAD_READY && p->serve.first == index &&
        p->serve.term == term)
        record = record_at(p->serve.bytes);
    if (record != NULL) {
        answer(r, peer_of(r, f->source), &f->repair, record);
    } else if (term != 0 && p->serve.state != LOAD_READING) {
        p->serve.state = LOAD_IDLE;
        load_start(&p->serve, index, index, term);
        p->serve_to = f->source;
        p->serve_ask = f->repair;
    }
}

void repair_on_loaded(struct replica *r)
{
    struct repair *p = &r->raft.repair;
    const raft_node to = p->serve_to;

    p->serve_to = 0;
    p->serve.state = p->serve.result == 0 && p->serve.length > 0 ? LOAD_READY : LOAD_IDLE;
    /* Read under an earlier term and replaced since, it says nothing of what is committed here. */
    const bool stands =
        p->serve.term == raft_term_at(r->raft.raft, p->serve.first, NULL);
    if (p->serve.state == LOAD_READY && stands && to != 0)
        answer(r, peer_of(r, to), &p->serve_ask, record_at(p->serve.bytes));
}
