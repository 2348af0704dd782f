/* replica/raft_role.c: one poll of the raft role.
 *
 * Order      What is left of the last step goes first. Then what others wait for: the durable seq,
 *            control frames, time. Then data frames, requests, and last the sending, so that
 *            everything this poll proposed shares frames; then committed entries to the store.
 * Room       Before each step there is room for the largest effects it can have (step.c). Without
 *            room for data, control still goes on; without room for that nothing is taken.
 */
#include "replica/replica_internal.h"

const char *replica_stop_text(enum replica_stop stop)
{
    static const char *const text[] = {
#define REPLICA_STOP_TEXT(name, words) [REPLICA_STOP_##name] = words,
        REPLICA_STOP_LIST(REPLICA_STOP_TEXT)
#undef REPLICA_STOP_TEXT
    };
    return text[stop];
}

void raft_role_stop(struct replica *r, enum replica_stop why)
{
    if (published_get(&r->options.view->stop) == REPLICA_STOP_NONE)
        published_set(&r->options.view->stop, why);
}

static bool must_stop(struct replica *r)
{
    const uint64_t log_failed = published_get(&r->log_failed);
    const uint64_t store_failed = published_get(&r->store_failed);

    if (log_failed != REPLICA_STOP_NONE)
        raft_role_stop(r, (enum replica_stop)log_failed);
    if (store_failed != REPLICA_STOP_NONE)
        raft_role_stop(r, (enum replica_stop)store_failed);
    if (raft_saw_rival(r->raft.raft))
        raft_role_stop(r, REPLICA_STOP_TWO_LEADERS);
    return published_get(&r->options.view->stop) != REPLICA_STOP_NONE;
}

static uint32_t take_durable(struct replica *r)
{
    struct replica_raft *role = &r->raft;
    const raft_seq durable = published_get(&r->options.view->durable);

    if (durable <= role->durable_seen || !step_can(r, 0, 0, true))
        return 0;
    role->durable_seen = durable;
    struct raft_event ev = {.type = RAFT_EV_DURABLE, .seq = durable};
    step_event(r, &ev);
    return 1;
}

/* The leader's messages of the last poll came after its clock was read: see raft_heard_leader(). False:
 * there is no room for a step yet, and none may come before this one, though there may be room by then. */
static bool renew_promise(struct replica *r)
{
    struct raft_event ev = {.type = RAFT_EV_RENEW};

    if (!raft_heard_leader(r->raft.raft))
        return true;
    if (!step_deliver(r))
        return false;
    step_event(r, &ev);
    return true;
}

static uint32_t take_tick(struct replica *r)
{
    if (r->raft.now_ns < raft_next_tick(r->raft.raft))
        return 0;
    if (!step_can(r, 0, 0, true)) {
        MARK(TIMER_BLOCKED);
        return 0;
    }
    struct raft_event ev = {.type = RAFT_EV_TICK};
    step_event(r, &ev);
    return 1;
}

/* Entries go from the leader, requests to it; followers have nothing for each other but pieces of snapshots. */
static bool may_need_credit(const struct replica *r, const struct peer *peer)
{
    const raft_node leader = raft_leader(r->raft.raft);
    return peer->node != r->options.node &&
           (leader == r->options.node || leader == peer->node || transfer_serves(peer));
}

/* A peer without credit learns of lost grants by an answer to this: the number it has used. A probe
 * that finds no room stays due: heartbeats fill a small ring to tx at just these moments. */
static void probe_credit(struct replica *r)
{
    struct replica_raft *role = &r->raft;
    const bool round = role->now_ns >= role->probe_ns;

    if (round)
        role->probe_ns = role->now_ns + r->options.heartbeat_ns;
    for (uint32_t i = 0; i < role->peer_count; i++) {
        struct peer *peer = &role->peer[i];
        const bool blocked = may_need_credit(r, peer) && peer->boot != 0 &&
                             credit_send_room(&peer->credit_out) == 0;
        peer->probe_due = blocked && (peer->probe_due || round);
        if (!peer->probe_due)
            continue;
        struct frame f = {.type = FRAME_CREDIT, .number = peer->credit_out.sent};
        if (f.number == 0) { /* that would be a grant: who has sent nothing yet asks by a HELLO */
            peer->hello_ask = true;
            peer->probe_due = false;
        } else {
            MARK(CREDIT_PROBE);
            peer->probe_due = !emit_frame(r, peer, &f, 0, NULL);
        }
    }
}

/* Entries, or a claim to have them: nothing for a log that has holes. */
static bool brings_entries(const struct frame *f)
{
    if (f->type == FRAME_RAFT)
        return f->raft.type == RAFT_MSG_APPEND;
    return f->type == FRAME_CHUNK && !f->chunk.forward;
}

/* An admitted frame that needs no step, or whose step there is room for. */
static void handle_frame(struct replica *r, const struct frame *f)
{
    if (r->raft.repair.active && brings_entries(f)) {
        admit_count(r, FRAME_REPAIRING_VERDICT);
        return;
    }
    switch ((enum frame_type)f->type) {
    case FRAME_RAFT:
        if (f->raft.type == RAFT_MSG_APPEND && f->raft.count > 0) {
            append_on_frame(r, f);
            return;
        }
        if (f->raft.type == RAFT_MSG_TIMEOUT_NOW && !room_to_lead(r, f->source)) {
            admit_count(r, FRAME_UNEXPECTED_VERDICT);
            return;
        }
        bootstrap_doubt(r, &f->raft);
        step_message(r, &f->raft, NULL);
        break;
    case FRAME_HELLO:
        bootstrap_on_hello(r, f);
        break;
    case FRAME_FORWARD:
        forward_on_frame(r, f);
        return;
    case FRAME_FORWARD_ACK:
        forward_on_ack(r, f);
        break;
    case FRAME_CHUNK:
        chunks_on_frame(r, f);
        return;
    case FRAME_CHUNK_ACK:
        chunks_on_ack(r, f);
        break;
    case FRAME_REPAIR_ASK:
        repair_on_ask(r, f);
        return;
    case FRAME_REPAIR:
        repair_on_answer(r, f);
        return;
    case FRAME_SNAPSHOT_OFFER:
        receive_on_offer(r, f);
        return;
    case FRAME_SNAPSHOT_ASK:
        transfer_on_ask(r, f);
        return;
    case FRAME_SNAPSHOT_PIECE:
        pull_on_piece(r, f);
        return;
    case FRAME_SNAPSHOT_DONE:
        transfer_on_done(r, f);
        return;
    case FRAME_SNAPSHOT_WANT:
        transfer_on_want(r, f);
        return;
    case FRAME_DIGEST:
        digests_on_frame(r, f);
        break;
    case FRAME_CREDIT:
        break; /* a grant or a probe: admit_frame() has done it all */
    }
    admit_count(r, FRAME_OK_VERDICT);
}

/* The sender of a probe learns the grant from the next frame to it; make sure there is one. */
static void answer_probe(struct replica *r, const struct frame *f)
{
    struct frame grant = {.type = FRAME_CREDIT};

    if (f->type == FRAME_CREDIT && f->number != 0)
        emit_frame(r, peer_of(r, f->source), &grant, 0, NULL);
}

static uint32_t take_frames(struct replica *r, struct spsc *ring, uint32_t burst, bool control)
{
    struct rx_item *item = &r->raft.frame;
    uint32_t taken = 0;

    while (taken < burst && spsc_room(r->returned, 1) > 0) {
        const uint32_t entries = control ? 0 : RAFT_PROPOSE_MAX;
        const uint64_t bytes = control ? 0 : record_bytes(r->options.record_payload_bytes_max);
        if (!step_can(r, bytes, entries, control))
            break;
        if (spsc_pop(ring, item, sizeof *item, 1) == 0)
            break;
        taken++;
        const bool admitted = admit_frame(r, &item->frame);
        if (admitted) {
            /* A new boot of the sender was a step of its own. */
            if (step_can(r, bytes, entries, control)) {
                handle_frame(r, &item->frame);
                answer_probe(r, &item->frame);
            } else {
                admit_count(r, FRAME_NO_MEMORY_VERDICT);
            }
        }
        if (!admitted && planted(PLANTED_FRAME_KEPT))
            continue;
        const uint32_t returned = spsc_push(r->returned, item, sizeof *item, 1);
        ASSERT(returned == 1); /* there was room */
    }
    return taken;
}

/* Which peers may be sent entries now: there is credit, and nothing goes to them in chunks. */
static uint32_t sendable(const struct replica *r)
{
    const struct replica_raft *role = &r->raft;
    const struct raft_config *config = raft_config(role->raft);
    uint32_t peers = 0;

    for (uint32_t m = 0; m < config->count; m++) {
        for (uint32_t i = 0; i < role->peer_count; i++) {
            const struct peer *peer = &role->peer[i];
            if (peer->node == config->member[m].node && i != role->self && peer->boot != 0 &&
                credit_send_room(&peer->credit_out) > 0 && !peer->chunk_out.active)
                peers |= 1u << m;
        }
    }
    return peers;
}

/* Entries that the core asked to be brought from the log, as one message each. */
static void send_loaded(struct replica *r)
{
    struct replica_raft *role = &r->raft;

    for (uint32_t i = 0; i < role->peer_count; i++) {
        struct peer *peer = &role->peer[i];
        if (peer->load.state == LOAD_READY && peer->load.asked &&
            credit_send_room(&peer->credit_out) > 0 && !peer->chunk_out.active &&
            step_can(r, 0, 0, true))
            step_loaded(r, peer);
    }
}

static void send_entries(struct replica *r)
{
    for (uint32_t i = 0; i < SEND_BURST && raft_role(r->raft.raft) == RAFT_LEADER; i++) {
        if (!step_can(r, 0, 0, true))
            break;
        struct raft_event ev = {.type = RAFT_EV_SEND, .peers = sendable(r)};
        step_event(r, &ev);
        const bool more = r->raft.fx.more;
        send_loaded(r);
        if (!more)
            break;
    }
}

static void publish_counters(struct replica *r)
{
    struct replica_raft *role = &r->raft;
    struct replica_counters *counters = r->options.counters;

    for (uint32_t i = 0; i < FRAME_VERDICT_COUNT; i++)
        published_set(&counters->raft_frames[i], role->verdict_count[i]);
    published_set(&counters->elections, role->elections);
    published_set(&counters->proposals, role->proposals);
    published_set(&counters->forwards_sent, role->forwards_sent);
    published_set(&counters->forwards_taken, role->forwards_taken);
    published_set(&counters->foreign_sends, role->foreign_sends);
    published_set(&counters->convicted, role->convicted + raft_convicted(role->raft));
    published_set(&counters->ignored, role->ignored + raft_ignored(role->raft));
    published_set(&counters->log_base, raft_base(role->raft));
    published_set(&counters->loading_index, role->loading);
    published_set(&counters->snapshots_failed, role->making.failed);
    published_set(&counters->writes_refused, !room_for_writes(r));
    published_set(&counters->corrupt, digests_corrupt(r));
    published_set(&counters->left_out, bootstrap_left_out(r));
}

static void publish_members(struct replica *r)
{
    const struct raft_config *config = raft_config(r->raft.raft);
    struct view_member members[RAFT_MEMBERS_MAX];

    static_assert((int)MEMBERS_VIEW_MAX == (int)RAFT_MEMBERS_MAX, "all of them can be seen");
    for (uint32_t i = 0; i < config->count; i++) {
        const struct raft_member *m = &config->member[i];
        members[i] = (struct view_member){
            .incarnation = m->incarnation,
            .match = raft_match(r->raft.raft, m->node),
            .node = m->node,
            .replaces = m->replaces,
            .priority = m->priority,
            .voter = m->voter,
            .voter_old = m->voter_old,
            .leaves = m->leaves,
            .promote = m->promote,
        };
    }
    members_view_write(&r->options.view->members, members, config->count);
}

static void publish(struct replica *r)
{
    struct node_view *view = r->options.view;
    const struct raft *raft = r->raft.raft;

    published_set(&view->term, raft_term_now(raft));
    published_set(&view->leader, raft_leader(raft));
    published_set(&view->role, raft_role(raft));
    published_set(&view->commit, raft_commit(raft));
    published_set(&view->last_index, raft_last(raft));
    published_set(&view->durable_index, raft_durable_index(raft));
    if (r->raft.now_ns < r->raft.counters_ns)
        return;
    r->raft.counters_ns = r->raft.now_ns + r->options.heartbeat_ns;
    publish_counters(r);
    publish_members(r);
}

uint32_t raft_role_poll(struct replica *r, uint64_t now_ns)
{
    struct replica_raft *role = &r->raft;
    const uint64_t pushes_before = role->pushes;
    uint32_t work = 0;

    ASSERT(now_ns >= role->now_ns);
    role->now_ns = now_ns;
    if (must_stop(r))
        return 0;
    room_poll(r);
    if (!renew_promise(r))
        return 0;
    work += take_durable(r);
    work += take_frames(r, r->control, CONTROL_BURST, true);
    work += take_tick(r);
    bootstrap_poll(r);
    work += take_frames(r, r->data, DATA_BURST, false);
    work += loads_poll(r);
    repair_poll(r);
    digests_poll(r);
    work += requests_poll(r);
    work += admin_poll(r);
    forward_send(r);
    send_entries(r);
    chunks_poll(r);
    forward_ack_due(r);
    mend_poll(r);
    receive_poll(r);
    transfer_poll(r);
    work += feed_poll(r);
    work += making_poll(r);
    probe_credit(r);
    work += (uint32_t)(role->pushes - pushes_before);
    if (work > 0)
        publish(r);
    return work;
}

static uint64_t min_ns(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t raft_role_next_timer(const struct replica *r)
{
    const struct replica_raft *role = &r->raft;
    uint64_t next = raft_next_tick(role->raft);

    next = min_ns(next, making_next_ns(r));
    next = min_ns(next, mend_next_ns(r));
    next = min_ns(next, pull_next_ns(r));
    next = min_ns(next, transfer_next_ns(r));
    if (role->repair.active && role->repair.ask_ns < next)
        next = role->repair.ask_ns;
    for (uint32_t i = 0; i < role->peer_count; i++) {
        const struct peer *peer = &role->peer[i];
        if (i != role->self && bootstrap_asks(r, peer) && role->hello_ns < next)
            next = role->hello_ns;
        if (peer->chunk_out.active && peer->chunk_out.progress_ns + r->options.resend_ns < next)
            next = peer->chunk_out.progress_ns + r->options.resend_ns;
    }
    if (role->requests.lost != role->requests.tail || role->admin.count > 0) {
        const uint64_t late = role->now_ns + r->options.resend_ns;
        next = late < next ? late : next;
    }
    /* What is due already found no room, for instance because the disk hangs: look again soon. */
    return next > role->now_ns ? next : role->now_ns + BLOCKED_RETRY_NS;
}
