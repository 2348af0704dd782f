/* sim/observe.c: what the checkers are told: by each frame that leaves a node, by its state after
 * each turn and after each start, and by images of its disk. */
#include "base/assert.h"
#include "base/crc32c.h"
#include "sim/fibre.h"
#include "sim/sim_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    IMAGE_PER_MILLION = 500, /* of the promises, that have an image recovered beside them */
};

/* What a base stands for was checked when it came to be: observe_base(). */
static raft_term node_term_at(const void *log, raft_index index)
{
    const struct sim_node *n = log;
    const struct raft *raft = replica_raft(n->replica);

    return index < raft_base(raft) ? check_log_term_at(n->committed, index)
                                   : raft_term_at(raft, index, NULL);
}

struct check_view observe_view(const struct sim_node *n)
{
    return (struct check_view){
        .term_at = node_term_at, .log = n, .last = raft_last(replica_raft(n->replica))};
}

/* A promise left: this is where a crash, or a look at the disk, tells most. */
static void promised(struct sim *s, struct sim_node *n)
{
    n->promises++;
    n->ambushed = n->ambush;
    n->image_due = n->image_due || sim_chance(s, IMAGE_PER_MILLION);
}

/* The message may have waited for the disk while the node went on to another term and had its log
 * replaced. Then `match` speaks of what is no longer there, unless the leader it goes to, still in
 * that term, and the node hold the same entry at that index. */
static bool still_holds(const struct sim *s, const struct sim_node *n, const struct raft_msg *msg)
{
    const struct raft *raft = replica_raft(n->replica);
    const struct sim_node *to = &s->node[msg->to - 1];

    if (raft_term_now(raft) == msg->term)
        return true;
    if (to->replica == NULL || raft_term_now(replica_raft(to->replica)) != msg->term)
        return false;
    const raft_term term = node_term_at(to, msg->match);
    return term != 0 && node_term_at(n, msg->match) == term;
}

/* The sectors that the log's durable seq stands on: of older segments this was seen while they were the
 * newest, or the one before. */
static void observe_sectors(struct sim *s, const struct sim_node *n)
{
    struct wal_range range;

    for (uint32_t back = 0; wal_durable_range(replica_wal(n->replica), back, &range) && back < 2; back++)
        if (!disk_sim_flushed(n->disk, range.slot, range.offset, range.length))
            check_fail(&s->report, "durable-before-ack",
                       "node %u promises by sectors up to %" PRIu64 " of slot %u, and not all of them "
                       "are flushed",
                       sim_id(n), range.offset + range.length, range.slot);
}

/* What a message of the node's own term promises was written under `seq`. */
static void observe_flushed(struct sim *s, struct sim_node *n, raft_term term, raft_seq seq)
{
    const raft_seq durable = wal_durable(replica_wal(n->replica));

    observe_sectors(s, n);
    if (raft_term_now(replica_raft(n->replica)) == term && seq > durable)
        check_fail(&s->report, "durable-before-ack",
                   "node %u promises in term %" PRIu64 " what seq %" PRIx64
                   " carries, durable is %" PRIx64,
                   sim_id(n), term, seq, durable);
}

/* What an installed snapshot covers now, or keeps above it, may have been durable before, entry by entry, and
 * this message may be older than the install: then an image of the disk has to show it. */
static void observe_held(struct sim *s, struct sim_node *n, const struct raft_msg *msg)
{
    const struct raft *raft = replica_raft(n->replica);
    const raft_seq seq = raft_entry_seq(raft, msg->match);

    const bool installed = seq == raft_entry_seq(raft, raft_base(raft));
    if (installed && seq > wal_durable(replica_wal(n->replica)))
        n->image_due = true;
    else
        observe_flushed(s, n, msg->term, seq);
}

static void observe_match(struct sim *s, struct sim_node *n, const struct raft_msg *msg)
{
    const struct check_view view = observe_view(n);

    if (n->who != SIM_ITSELF || !still_holds(s, n, msg))
        return;
    if (msg->match <= view.last)
        observe_held(s, n, msg);
    check_promise_match(s->promise, sim_id(n), msg->term, msg->match, &view);
    promised(s, n);
}

/* What leaves a copy or an impostor is no promise: nobody may count on it. */
static void observe_vote(struct sim *s, struct sim_node *n, raft_term term, raft_node candidate)
{
    if (n->who != SIM_ITSELF)
        return;
    observe_flushed(s, n, term, raft_vote_seq(replica_raft(n->replica)));
    check_promise_vote(s->promise, sim_id(n), term, candidate);
    promised(s, n);
}

static void observe_leader(struct sim *s, struct sim_node *n, raft_term term)
{
    bool fresh;

    if (n->seen.led_term >= term)
        return;
    n->seen.led_term = term;
    check_log_leads(s->log, sim_id(n), term, &fresh);
    if (!fresh)
        return;
    sim_happen(s, SIM_ELECTION);
    siege_on_election(s, n);
}

static void observe_records(struct sim *s, const struct frame *f)
{
    uint32_t offset = 0;

    for (uint32_t i = 0; i < f->raft.count; i++) {
        struct record_header header;
        if (offset + sizeof header > f->body_bytes) {
            check_fail(&s->report, "log-matching", "an append of %u records has %u bytes",
                       f->raft.count, f->body_bytes);
            return;
        }
        memcpy(&header, f->body + offset, sizeof header);
        check_log_record(s->log, &header);
        if (header.type == RECORD_CONFIG &&
            f->body_bytes - offset >= record_bytes(header.payload_bytes))
            observe_config_record(s, &header, f->body + offset + sizeof header);
        sim_happen(s, SIM_ENTRY);
        offset += record_bytes(header.payload_bytes);
    }
}

/* What leases rest on. A copy's word, and an impostor's, is nobody's. */
static void observe_lease(struct sim *s, const struct sim_node *n, const struct raft_msg *msg)
{
    const raft_node node = sim_id(n);

    if (n->who != SIM_ITSELF)
        return;
    if (msg->type == RAFT_MSG_HEARTBEAT)
        check_lease_asks(s->lease, msg->term, msg->round, s->now_ns);
    else if (msg->type == RAFT_MSG_HEARTBEAT_REPLY)
        check_lease_answers(s->lease, node, n->incarnation, msg->term, msg->round);
    else if (msg->type == RAFT_MSG_VOTE && msg->transfer)
        check_lease_hands_over(s->lease, msg->term);
    else if (msg->type == RAFT_MSG_VOTE || (!msg->reject && msg->type == RAFT_MSG_VOTE_REPLY))
        check_lease_helps(s->lease, node, n->incarnation, msg->term, s->now_ns);
}

static void observe_raft(struct sim *s, struct sim_node *n, const struct frame *f)
{
    const struct raft_msg *msg = &f->raft;

    siege_on_message(s, n, (enum raft_msg_type)msg->type);
    observe_lease(s, n, msg);
    switch ((enum raft_msg_type)msg->type) {
    case RAFT_MSG_APPEND:
        observe_leader(s, n, msg->term);
        observe_records(s, f);
        break;
    case RAFT_MSG_HEARTBEAT:
        observe_leader(s, n, msg->term);
        break;
    case RAFT_MSG_PREVOTE:
        disks_on_campaign(s);
        s->node[f->target - 1].asked = true;
        break;
    case RAFT_MSG_VOTE:
        disks_on_campaign(s);
        observe_candidate(s, n, msg->term);
        observe_vote(s, n, msg->term, sim_id(n));
        break;
    case RAFT_MSG_VOTE_REPLY:
        if (!msg->reject)
            observe_vote(s, n, msg->term, f->target);
        break;
    case RAFT_MSG_APPEND_REPLY:
        if (msg->reject)
            sim_happen(s, SIM_REJECTION);
        else
            observe_match(s, n, msg);
        break;
    default:
        break; /* promises nothing */
    }
}

static void observe_chunk(struct sim *s, const struct frame *f)
{
    struct record_header header;

    sim_happen(s, SIM_CHUNK);
    if (f->chunk.forward || f->chunk.offset != 0 || f->body_bytes < sizeof header)
        return;
    memcpy(&header, f->body, sizeof header);
    check_log_record(s->log, &header);
    sim_happen(s, SIM_ENTRY);
}

static void observe_forward(struct sim *s, struct sim_node *n, const struct frame_forward *forward)
{
    struct sim_seen *seen = &n->seen;
    const bool again = forward->term == seen->forward_term && forward->position < seen->forward_end;

    sim_happen(s, again ? SIM_FORWARD_AGAIN : SIM_FORWARD);
    seen->forward_term = forward->term;
    if (!again)
        seen->forward_end = forward->position + forward->count;
}

static void trace_frame(struct sim *s, const struct sim_node *n, const struct frame *f)
{
    const struct raft_msg *m = &f->raft;

    if (f->type == FRAME_RAFT)
        sim_trace(s,
                  "node %u -> %u raft %u%s term %" PRIu64 " prev %" PRIu64 "@%" PRIu64
                  " count %u commit %" PRIu64 " match %" PRIu64 " last %" PRIu64 " number %" PRIu64,
                  sim_id(n), f->target, m->type, m->reject ? " reject" : "", m->term, m->prev_index,
                  m->prev_term, m->count, m->commit, m->match, m->last, f->number);
    else if (f->type == FRAME_CHUNK || f->type == FRAME_CHUNK_ACK)
        sim_trace(s,
                  "node %u -> %u chunk%s%s index %" PRIu64
                  " offset %u of %u missing %u map %" PRIx64 " number %" PRIu64,
                  sim_id(n), f->target, f->type == FRAME_CHUNK ? "" : " ack",
                  f->chunk.forward ? " forward" : "", f->chunk.index, f->chunk.offset,
                  f->chunk.total, f->chunk.first_missing, f->chunk.bitmap, f->number);
    else if (f->type == FRAME_FORWARD || f->type == FRAME_FORWARD_ACK)
        sim_trace(s, "node %u -> %u forward%s term %" PRIu64 " position %" PRIu64 " count %u last %" PRIu64,
                  sim_id(n), f->target, f->type == FRAME_FORWARD ? "" : " ack", f->forward.term,
                  f->forward.position, f->forward.count, f->forward.last);
    else if (f->type >= FRAME_SNAPSHOT_OFFER && f->type <= FRAME_SNAPSHOT_WANT)
        sim_trace(s, "node %u -> %u snapshot frame %u index %" PRIu64 " offset %" PRIu64 " map %" PRIx64,
                  sim_id(n), f->target, f->type, f->snapshot.index, f->snapshot.offset,
                  f->snapshot.bitmap);
    else
        sim_trace(s, "node %u -> %u frame type %u number %" PRIu64 " credit %" PRIu64, sim_id(n),
                  f->target, f->type, f->number, f->credit);
}

static void see_frame(struct sim *s, struct sim_node *n, const uint8_t *bytes, uint32_t length)
{
    struct frame f;

    sim_mix(s, crc32c(n->number, bytes, length));
    const enum frame_verdict verdict = frame_decode(bytes, length, s->plan.options.cluster, &f);
    if (verdict != FRAME_OK_VERDICT || f.source != sim_id(n)) {
        check_fail(&s->report, "frames", "node %u sends a frame that is refused: %s", sim_id(n),
                   frame_verdict_name(verdict));
        return;
    }
    if (s->config.trace)
        trace_frame(s, n, &f);
    if (f.type == FRAME_RAFT)
        observe_raft(s, n, &f);
    else if (f.type == FRAME_CHUNK)
        observe_chunk(s, &f);
    else if (f.type == FRAME_FORWARD)
        observe_forward(s, n, &f.forward);
    else
        observe_snapshot_frame(s, n, &f);
}

void observe_frame(void *context, uint32_t node, const uint8_t *bytes, uint32_t length)
{
    struct sim *s = context;

    ASSERT(s->node[node].replica != NULL);
    fibre_pin(true);
    see_frame(s, &s->node[node], bytes, length);
    fibre_pin(false);
}

/* Entries of its log can't be read, and terms there are guesses. */
static bool lacks_entries(const struct sim_node *n)
{
    return published_get(&n->counters->holes) != 0;
}

void observe_start(struct sim *s, struct sim_node *n)
{
    const struct raft *raft = replica_raft(n->replica);
    const struct check_view view = observe_view(n);
    const struct check_hard_state state = {
        .term = raft_term_now(raft),
        .vote = raft_vote(raft),
    };

    const bool whole = !lacks_entries(n);
    /* A repair that had not ended may have cut off entries that were never committed: what was promised
     * of them is judged when the log is whole and in use again. */
    if (n->who == SIM_ITSELF && whole && !n->repaired)
        check_promise_recovered(s->promise, sim_id(n), &state, &view);
    if (n->who == SIM_ITSELF && whole)
        check_promise_kept(s->promise, sim_id(n), &view);
    n->repaired = !whole;
    n->seen = (struct sim_seen){.led_term = n->seen.led_term, .base = raft_base(raft)};
    n->passed_call = 0;
    observe_config(s, n, &view);
    n->seen.config_index = raft_config_index(raft);
    sim_mix(s, raft_last(raft));
    sim_happen(s, SIM_RECOVERY);
}

/* The entry that has just become the last committed one: what it says. */
static void observe_chosen(struct sim *s, struct sim_node *n, raft_index index)
{
    const struct check_entry *entry = check_log_entry(s->log, index);
    struct history_call *call = NULL;

    sim_happen(s, SIM_COMMIT);
    if (!observe_durable_quorum(s, n, index, entry))
        return;
    if (entry->type == RECORD_COMMAND) {
        const uint64_t number = entry->origin.request;
        call = number >= 1 && number <= s->call_count ? &s->call[number - 1] : NULL;
        if (call == NULL || call->node != entry->origin.node || call->boot != entry->origin.boot) {
            check_fail(&s->report, "exact-fate", "entry %" PRIu64 " was asked for by nobody",
                       index);
            return;
        }
    }
    check_history_commit(s->history, call);
    replay_entry(s, index, entry, call);
}

static void observe_commits(struct sim *s, struct sim_node *n, raft_index commit)
{
    const struct raft *raft = replica_raft(n->replica);
    const raft_term node_term = raft_term_now(raft);

    for (raft_index i = n->seen.commit + 1; i <= commit; i++) {
        const bool fresh = i > check_log_last(s->log);
        if (!check_log_committed(s->log, sim_id(n), node_term, i, node_term_at(n, i)))
            return;
        if (fresh)
            observe_chosen(s, n, i);
    }
}

/* What a leader has appended since its last turn, whether it leaves it or not: who votes alone commits
 * what it never sent, perhaps only in its next boot. */
static void observe_appended(struct sim *s, const struct sim_node *n, raft_index last)
{
    const struct raft *raft = replica_raft(n->replica);
    const raft_term term = raft_term_at(raft, last, NULL);
    const bool its_own = term != 0 && term == n->seen.office_term;

    if (!its_own && raft_role(raft) != RAFT_LEADER)
        return;
    for (raft_index i = n->seen.last + 1; i <= last; i++) {
        const struct record_header *record = replica_record(n->replica, i);
        if (record != NULL)
            check_log_record(s->log, record);
    }
}

static void check_monotonic(struct sim *s, const struct sim_node *n, const struct sim_seen *now)
{
    const struct sim_seen *was = &n->seen;

    if (now->term < was->term)
        check_fail(&s->report, "monotonic", "term of node %u: %" PRIu64 " after %" PRIu64,
                   sim_id(n), now->term, was->term);
    if (now->commit < was->commit)
        check_fail(&s->report, "monotonic", "commit of node %u: %" PRIu64 " after %" PRIu64,
                   sim_id(n), now->commit, was->commit);
    if (now->applied < was->applied || now->applied > now->commit)
        check_fail(&s->report, "monotonic",
                   "applied of node %u: %" PRIu64 " after %" PRIu64 ", commit %" PRIu64, sim_id(n),
                   now->applied, was->applied, now->commit);
    if (now->durable < was->durable)
        check_fail(&s->report, "monotonic", "durable of node %u: %" PRIu64 " after %" PRIu64,
                   sim_id(n), now->durable, was->durable);
}

static void observe_role(struct sim *s, struct sim_node *n, const struct sim_seen *now,
                         const struct check_view *view)
{
    const struct raft *raft = replica_raft(n->replica);

    if (raft_role(raft) != RAFT_LEADER) {
        if (now->last < n->seen.last)
            sim_happen(s, SIM_TRUNCATION);
        return;
    }
    if (n->seen.office_term < now->term) { /* its frames may have been first to tell */
        n->seen.office_term = now->term;
        observe_leader(s, n, now->term);
        observe_elected(s, n, now->term, view);
        check_log_complete(s->log, sim_id(n), now->term, view);
        return;
    }
    if (now->commit > n->seen.commit)
        check_log_counted(s->log, sim_id(n), now->term, now->commit, view);
    if (now->last < n->seen.last) {
        check_fail(&s->report, "leader-append-only",
                   "node %u leads term %" PRIu64 " and cuts its log from %" PRIu64 " to %" PRIu64,
                   sim_id(n), now->term, n->seen.last, now->last);
    }
}

void observe_turn(struct sim *s, struct sim_node *n)
{
    const struct raft *raft = replica_raft(n->replica);
    const struct store *store = replica_store(n->replica);
    const struct check_view view = observe_view(n);
    const struct sim_seen now = {
        .term = raft_term_now(raft),
        .commit = raft_commit(raft),
        .applied = store_applied(store),
        .last = view.last,
        .durable = wal_durable(replica_wal(n->replica)),
    };

    const bool whole = !lacks_entries(n);

    check_monotonic(s, n, &now);
    observe_snapshots(s, n);
    observe_config(s, n, &view);
    observe_appended(s, n, now.last);
    observe_role(s, n, &now, &view);
    if (whole && now.commit > n->seen.commit)
        observe_commits(s, n, now.commit);
    if (whole && n->who == SIM_ITSELF)
        check_promise_kept(s->promise, sim_id(n), &view);
    n->repaired = n->repaired && !whole;
    if (now.applied > n->seen.applied)
        check_log_digest(s->log, sim_id(n), now.applied, store_digest(store));

    n->seen.term = now.term;
    if (whole)
        n->seen.commit = now.commit;
    n->seen.applied = now.applied;
    n->seen.last = now.last;
    n->seen.durable = now.durable;
    n->seen.config_index = raft_config_index(raft);
    sim_mix(s, now.term ^ now.commit << 16 ^ now.applied << 32 ^ now.last << 48);
}
