/* replica/requests.c: requests from the doors into the table, and out of it as proposals and reads.
 */
#include "replica/replica_internal.h"

/* Why no write is taken now; OK: they are. */
static enum answer_status write_refusal(struct replica *r)
{
    if (digests_corrupt(r))
        return ANSWER_CORRUPT;
    return room_for_writes(r) ? ANSWER_OK : ANSWER_NO_ROOM;
}

static void take_write(struct replica *r, const struct request *request)
{
    struct request_table *t = &r->raft.requests;
    const enum answer_status refusal = write_refusal(r);

    if (refusal != ANSWER_OK)
        door_refuse(r, request->tag, refusal);
    else if (request->length > REQUEST_BYTES_MAX || request->length > r->options.record_payload_bytes_max)
        door_refuse(r, request->tag, ANSWER_BAD);
    else if (t->tail - t->lost > t->mask)
        door_refuse(r, request->tag, ANSWER_BUSY);
    else
        t->slot[t->tail++ & t->mask] =
            (struct request_slot){.request = *request, .arrived_ns = r->raft.now_ns};
}

static void take_read(struct replica *r, const struct request *request)
{
    struct read_table *t = &r->raft.reads;

    if (t->tail - t->head > t->mask)
        door_refuse(r, request->tag, ANSWER_BUSY);
    else
        t->slot[t->tail++ & t->mask] =
            (struct read_slot){.request = *request, .arrived_ns = r->raft.now_ns};
}

/* Reads whose lease had run out when their turn came: as if they had just arrived, but not younger. */
static uint32_t take_late_reads(struct replica *r)
{
    struct read_table *t = &r->raft.reads;
    uint32_t taken = 0;
    struct read_slot late;

    while (taken < REQUEST_BURST && t->tail - t->head <= t->mask &&
           spsc_pop(r->late_reads, &late, sizeof late, 1) == 1) {
        t->slot[t->tail++ & t->mask] =
            (struct read_slot){.request = late.request, .arrived_ns = late.arrived_ns};
        taken++;
    }
    return taken;
}

static uint32_t take_door(struct replica *r, struct request_door *door)
{
    uint32_t taken = 0;
    struct request request;

    /* Room for a refusal is looked for before the request is taken: its answer is reserved. */
    while (taken < REQUEST_BURST && spsc_room(door->from_raft, 1) > 0 &&
           spsc_pop(door->to_raft, &request, sizeof request, 1) == 1) {
        if (request.kind == REQUEST_PROPOSE)
            take_write(r, &request);
        else if (request.kind == REQUEST_READ)
            take_read(r, &request);
        else if (request.kind == REQUEST_ADMIN)
            admin_take(r, &request);
        else
            door_refuse(r, request.tag, ANSWER_BAD);
        taken++;
    }
    return taken;
}

/* The head moves up to `counter`; what it passes is lost. */
static void lose_up_to(struct request_table *t, uint64_t counter)
{
    ASSERT(counter <= t->sent);
    if (counter <= t->head)
        return;
    MARK(FATE_UNKNOWN);
    t->head = counter;
    if (t->acked < counter)
        t->acked = counter;
    if (t->next < t->acked)
        t->next = t->acked;
}

/* No entry can come any more that would tell what was in a snapshot. */
static void settle_doubt(struct replica *r)
{
    const struct replica_raft *role = &r->raft;
    struct request_table *t = &r->raft.requests;
    const bool all_fed =
        t->doubt <= t->acked && t->acked_last != 0 && role->fed >= t->acked_last;

    if (t->doubt > t->head && (role->fed_term > t->stream_term || all_fed))
        lose_up_to(t, t->doubt);
}

static uint32_t answer_lost(struct replica *r)
{
    struct request_table *t = &r->raft.requests;
    uint32_t count = 0;

    while (t->lost < t->head &&
           door_refuse(r, t->slot[t->lost & t->mask].request.tag, ANSWER_UNKNOWN)) {
        t->lost++;
        count++;
    }
    return count;
}

void requests_on_pass_over(struct replica *r, raft_term term)
{
    struct request_table *t = &r->raft.requests;

    /* Entries up to the snapshot's last are of its term or earlier ones. */
    if (term >= t->stream_term && !planted(PLANTED_PASSED_OVER_AGAIN))
        t->doubt = t->sent;
    r->raft.fed_term = term;
    settle_doubt(r);
}

/* In another term than the stream's: when nothing of it is left in doubt, begin the new stream. */
static void follow_term(struct replica *r)
{
    struct replica_raft *role = &r->raft;
    struct request_table *t = &role->requests;
    const raft_term term = raft_term_now(role->raft);

    if (t->stream_term == term || raft_leader(role->raft) == 0)
        return;
    if (t->head != t->sent && role->fed_term <= t->stream_term &&
        !planted(PLANTED_FATE_NOT_AWAITED)) {
        MARK(FATE_WAITS);
        return; /* an entry of a later term must be committed first */
    }
    MARK_IF(t->head != t->sent, FATE_DECIDED);
    t->sent = t->head;
    t->acked = t->head;
    t->next = t->head;
    t->doubt = t->head;
    t->acked_last = 0;
    t->stream_base = t->head;
    t->stream_term = term;
    t->progress_ns = role->now_ns;
}

/* The leader's own requests become entries. */
static uint32_t propose(struct replica *r)
{
    struct replica_raft *role = &r->raft;
    struct request_table *t = &role->requests;
    struct record_spec specs[RAFT_PROPOSE_MAX];
    uint32_t work = 0;

    for (uint32_t burst = 0; burst < PROPOSE_BURST && t->sent != t->tail; burst++) {
        const uint64_t bytes_max = record_bytes(r->options.record_payload_bytes_max);
        uint32_t count = 0;
        uint64_t bytes = 0;
        if (!step_can(r, bytes_max, RAFT_PROPOSE_MAX, false))
            break;
        while (count < RAFT_PROPOSE_MAX && t->sent + count != t->tail) {
            const struct request *request = &t->slot[(t->sent + count) & t->mask].request;
            bytes += record_bytes(request->length);
            if (bytes > bytes_max)
                break;
            specs[count++] = (struct record_spec){
                .type = RECORD_COMMAND,
                .origin = {.request = request->tag, .boot = r->options.boot, .node = r->options.node},
                .payload = request->bytes,
                .payload_bytes = request->length,
            };
        }
        step_propose(r, specs, count);
        t->sent += count;
        t->next = t->sent;
        t->acked = t->sent;
        t->acked_last = raft_last(role->raft);
        work += count;
    }
    return work;
}

/* Takes `count` requests out of the queue that were never sent; what stands in doubt before them
 * moves up, and keeps its positions in the stream. */
static void drop_unsent(struct request_table *t, uint64_t count)
{
    for (uint64_t i = t->sent; i > t->lost; i--)
        t->slot[(i - 1 + count) & t->mask] = t->slot[(i - 1) & t->mask];
    t->lost += count;
    t->head += count;
    t->doubt += count;
    t->acked += count;
    t->next += count;
    t->sent += count;
    t->stream_base += count;
}

/* What no leader was sent by now will never be applied: what arrived up to `late_ns` of it is
 * answered, and forgotten. */
static uint32_t refuse_unsent(struct replica *r, uint64_t late_ns, enum answer_status status)
{
    struct request_table *t = &r->raft.requests;
    uint32_t count = 0;

    while (count < REQUEST_BURST && t->sent + count != t->tail) {
        const struct request_slot *slot = &t->slot[(t->sent + count) & t->mask];
        if (slot->arrived_ns > late_ns || !door_refuse(r, slot->request.tag, status))
            break;
        count++;
    }
    if (count > 0) {
        MARK_IF(status == ANSWER_TIMED_OUT, REQUEST_EXPIRED);
        MARK_IF(t->sent != t->head, EXPIRED_BEHIND_DOUBT);
        drop_unsent(t, count);
    }
    return count;
}

/* A read may be refused at any time; that it was confirmed is no reason to wait for ever. */
static uint32_t expire_reads(struct replica *r, uint64_t late_ns)
{
    struct read_table *t = &r->raft.reads;
    uint32_t count = 0;

    while (count < REQUEST_BURST && t->head != t->tail) {
        const struct read_slot *slot = &t->slot[t->head & t->mask];
        if (slot->arrived_ns > late_ns || !door_refuse(r, slot->request.tag, ANSWER_TIMED_OUT))
            break;
        t->head++;
        count++;
    }
    MARK_IF(count > 0, READ_EXPIRED);
    if (t->confirmed < t->head)
        t->confirmed = t->head;
    return count;
}

static uint32_t expire(struct replica *r)
{
    if (r->raft.now_ns < r->options.request_timeout_ns)
        return 0;
    const uint64_t late_ns = r->raft.now_ns - r->options.request_timeout_ns;
    return refuse_unsent(r, late_ns, ANSWER_TIMED_OUT) + expire_reads(r, late_ns);
}

static void ask_reads(struct replica *r)
{
    struct read_table *t = &r->raft.reads;

    if (t->confirmed == t->tail || t->asked == t->tail - 1 || !step_can(r, 0, 0, true))
        return;
    t->asked = t->tail - 1;
    struct raft_event ev = {.type = RAFT_EV_READ, .number = t->asked};
    step_event(r, &ev);
}

uint32_t requests_poll(struct replica *r)
{
    struct replica_raft *role = &r->raft;
    uint32_t work = 0;

    /* Before the doors: they would take each place that gets free, and the store waits for one. */
    if (r->options.lease_reads)
        work += take_late_reads(r);
    for (uint32_t i = 0; i < r->options.door_count; i++) {
        work += take_door(r, r->options.door[role->door_next]);
        role->door_next = role->door_next + 1 < r->options.door_count ? role->door_next + 1 : 0;
    }
    work += expire(r);
    const enum answer_status refusal = write_refusal(r);
    if (refusal != ANSWER_OK)
        work += refuse_unsent(r, role->now_ns, refusal);
    settle_doubt(r);
    work += answer_lost(r);
    follow_term(r);
    ask_reads(r);
    if (raft_role(role->raft) == RAFT_LEADER &&
        role->requests.stream_term == raft_term_now(role->raft))
        work += propose(r);
    return work;
}

static uint64_t tag_at(const struct request_table *t, uint64_t counter)
{
    return t->slot[counter & t->mask].request.tag;
}

/* The store answers it. Those in front of it that are lost move up, into its place. */
static void take_head(struct request_table *t)
{
    ASSERT(t->head < t->sent);
    for (uint64_t i = t->head; i > t->lost; i--)
        t->slot[i & t->mask] = t->slot[(i - 1) & t->mask];
    t->lost++;
    t->head++;
    if (t->acked < t->head) {
        MARK(COMMIT_BEFORE_ACK);
        t->acked = t->head;
    }
    if (t->next < t->acked)
        t->next = t->acked;
}

void requests_on_committed(struct replica *r, const struct record_header *record)
{
    struct replica_raft *role = &r->raft;
    struct request_table *t = &role->requests;

    role->fed_term = record->term;
    if (record->origin_node != r->options.node || record->origin_boot != r->options.boot)
        return;
    /* Entries of one stream are committed in its order, and a stream of a later term begins only
     * when the one before is settled: so this is the head, or the first whose entry was not in a
     * snapshot. But records come by the wire: one that names us and is not ours is somebody's forgery,
     * and no reason to stop. */
    uint64_t at = t->head;
    while (at < t->doubt && tag_at(t, at) != record->origin_request)
        at++;
    const bool ours = at != t->sent && tag_at(t, at) == record->origin_request;
    ASSERT_SLOW(ours);
    if (!ours) {
        admit_count(r, FRAME_UNEXPECTED_VERDICT);
        return;
    }
    lose_up_to(t, at);
    take_head(t);
}
