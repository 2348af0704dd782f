/* replica/admin.c: an operator's request becomes an event of the core, and its fate an answer.
 *
 * Only the leader begins anything. What it began it follows even when it leads no longer: a change
 * is its first entry, and a snapshot its point, so whatever is committed at that index tells; a transfer ends with the first
 * leader of a later term. What is not settled within the time of a request is UNKNOWN.
 */
#include "replica/replica_internal.h"

#include <string.h>

void admin_take(struct replica *r, const struct request *request)
{
    struct admin_table *t = &r->raft.admin;
    struct admin_slot *slot = t->slot;

    if (t->count == ADMIN_WAITING_MAX) {
        door_refuse(r, request->tag, ANSWER_BUSY);
        return;
    }
    if (request->length != sizeof slot->request) {
        door_refuse(r, request->tag, ANSWER_BAD);
        return;
    }
    while (slot->state != ADMIN_FREE)
        slot++;
    ASSERT(slot < t->slot + ADMIN_WAITING_MAX); /* not all are taken */
    *slot = (struct admin_slot){
        .state = ADMIN_ASKED,
        .arrived_ns = r->raft.now_ns,
        .answer = {.tag = request->tag},
    };
    memcpy(&slot->request, request->bytes, sizeof slot->request);
    t->count++;
}

static void end(struct admin_slot *slot, enum answer_status status)
{
    ASSERT(slot->state != ADMIN_FREE);
    slot->state = ADMIN_DONE;
    slot->answer.status = (uint8_t)status;
}

static void end_refused(struct admin_slot *slot, enum admin_refusal why)
{
    slot->answer.refusal = (uint8_t)why;
    end(slot, ANSWER_REFUSED);
}

static void end_not_leader(const struct replica *r, struct admin_slot *slot)
{
    slot->answer.leader = raft_leader(r->raft.raft);
    end(slot, ANSWER_NOT_LEADER);
}

/* One event for the core. True: it was taken. */
static bool step_taken(struct replica *r, struct admin_slot *slot, struct raft_event *ev)
{
    step_event(r, ev);
    const enum admin_refusal why = (enum admin_refusal)r->raft.fx.refusal;
    if (why != ADMIN_REFUSAL_NONE) {
        end_refused(slot, why);
        return false;
    }
    slot->state = ADMIN_RUNNING;
    slot->term = raft_term_now(r->raft.raft);
    return true;
}

static void begin_transfer(struct replica *r, struct admin_slot *slot)
{
    struct raft_event ev = {.type = RAFT_EV_TRANSFER, .peer = slot->request.target};

    if (slot->request.target == r->options.node)
        end(slot, ANSWER_OK); /* it leads already */
    else if (step_taken(r, slot, &ev))
        slot->target = raft_transfer_target(r->raft.raft);
}

static void begin_change(struct replica *r, struct admin_slot *slot)
{
    struct raft_config config;
    const enum admin_refusal why = members_edit(r, &slot->request, &config);
    struct raft_event ev = {
        .type = RAFT_EV_CHANGE, .config = &config, .forced = slot->request.forced};

    if (why != ADMIN_REFUSAL_NONE)
        end_refused(slot, why);
    else if (!step_disk_room(r, STEP_BYTES_RESERVE)) /* the reserve is for new leaders */
        end_refused(slot, ADMIN_REFUSAL_NO_ROOM);
    else if (step_taken(r, slot, &ev))
        slot->index = r->raft.fx.append.first;
}

static void begin_snapshot(struct replica *r, struct admin_slot *slot)
{
    if (!making_is_idle(r)) { /* its store would pass the point over */
        end_refused(slot, ADMIN_REFUSAL_MAKING);
        return;
    }
    slot->index = trigger_propose(r);
    if (slot->index == 0)
        return; /* the next poll tries again */
    slot->state = ADMIN_RUNNING;
    slot->term = raft_term_now(r->raft.raft);
}

static void begin(struct replica *r, struct admin_slot *slot)
{
    const struct admin_request *request = &slot->request;

    if (request->kind > ADMIN_SNAPSHOT || request->edit_count > ADMIN_EDITS_MAX)
        end(slot, ANSWER_BAD);
    else if (raft_role(r->raft.raft) != RAFT_LEADER)
        end_not_leader(r, slot);
    else if (!step_can(r, 0, 0, true))
        return; /* the next poll tries again */
    else if (request->kind == ADMIN_TRANSFER)
        begin_transfer(r, slot);
    else if (request->kind == ADMIN_SNAPSHOT)
        begin_snapshot(r, slot);
    else
        begin_change(r, slot);
}

static void follow_transfer(const struct replica *r, struct admin_slot *slot)
{
    const struct raft *raft = r->raft.raft;
    const raft_node leader = raft_leader(raft);
    const raft_node wish = slot->request.target;

    if (raft_term_now(raft) == slot->term) {
        if (raft_role(raft) == RAFT_LEADER && raft_transfer_target(raft) != slot->target)
            end_refused(slot, ADMIN_REFUSAL_GIVEN_UP);
        return;
    }
    if (leader == 0)
        return;
    if (leader == r->options.node)
        end_refused(slot, ADMIN_REFUSAL_GIVEN_UP); /* elected once more */
    else if (wish == 0 || wish == leader)
        end(slot, ANSWER_OK);
    else
        end_not_leader(r, slot);
}

/* True: the entry that was begun with is committed. If it never will be, the slot is DONE. */
static bool is_committed(const struct replica *r, struct admin_slot *slot)
{
    const struct raft *raft = r->raft.raft;

    if (raft_commit(raft) < slot->index)
        return false; /* even if it was truncated here: another node may still have it and lead */
    const raft_term term = raft_term_at(raft, slot->index, NULL);
    if (term == 0) /* behind the log base: what was committed there can't be told any more */
        end(slot, ANSWER_UNKNOWN);
    else if (term != slot->term)
        end_not_leader(r, slot);
    return term == slot->term;
}

static void follow_change(const struct replica *r, struct admin_slot *slot)
{
    const raft_index newest = raft_config_index(r->raft.raft);

    if (!is_committed(r, slot) || newest > raft_commit(r->raft.raft) ||
        raft_config(r->raft.raft)->joint)
        return;
    ASSERT(newest >= slot->index);
    slot->answer.index = newest;
    end(slot, ANSWER_OK);
}

static void follow_snapshot(const struct replica *r, struct admin_slot *slot)
{
    if (!is_committed(r, slot))
        return;
    slot->answer.index = slot->index;
    end(slot, ANSWER_OK);
}

static void follow(const struct replica *r, struct admin_slot *slot)
{
    if (slot->request.kind == ADMIN_TRANSFER)
        follow_transfer(r, slot);
    else if (slot->request.kind == ADMIN_SNAPSHOT)
        follow_snapshot(r, slot);
    else
        follow_change(r, slot);
}

/* True: something was done for it. */
static bool advance(struct replica *r, struct admin_slot *slot)
{
    const bool late = r->raft.now_ns - slot->arrived_ns > r->options.request_timeout_ns;
    const enum admin_state before = slot->state;

    if (slot->state == ADMIN_ASKED)
        begin(r, slot);
    if (slot->state == ADMIN_RUNNING)
        follow(r, slot);
    if (late && slot->state == ADMIN_ASKED)
        end(slot, ANSWER_BUSY);
    if (late && slot->state == ADMIN_RUNNING)
        end(slot, ANSWER_UNKNOWN);
    if (slot->state == ADMIN_DONE && door_answer(r, &slot->answer)) {
        slot->state = ADMIN_FREE;
        r->raft.admin.count--;
    }
    return slot->state != before;
}

uint32_t admin_poll(struct replica *r)
{
    struct admin_table *t = &r->raft.admin;
    uint32_t work = 0;

    for (uint32_t i = 0; i < ADMIN_WAITING_MAX && t->count > 0; i++) {
        if (t->slot[i].state != ADMIN_FREE)
            work += advance(r, &t->slot[i]);
    }
    return work;
}
