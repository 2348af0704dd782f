/* replica/step.c: one raft_step() and the handing over of its effects.
 *
 * Before a step there must be room for the largest thing it can ask for of persist: step_can(). What
 * it wants to send may exceed the ring to tx; then the rest stays in the effects, and no other step
 * is taken before it is gone. So a ring of two slots works like one of a thousand, only slower.
 */
#include "replica/config_record.h"
#include "replica/replica_internal.h"

#include <stdalign.h>
#include <string.h>

bool step_disk_room(const struct replica *r, uint32_t bytes)
{
    return r->raft.given_bytes + wal_step_cost(bytes) <= published_get(&r->disk_room);
}

bool step_can(struct replica *r, uint64_t bytes, uint32_t count, bool control)
{
    struct replica_raft *role = &r->raft;
    const uint32_t slots = r->to_persist->mask + 1;
    /* A control step takes a slot at most; data leaves some for control. */
    const uint32_t reserve = control ? 1 : slots >= 16 ? 8 : 2;
    /* One entry more than asked for: a step that makes us leader appends one of its own. */
    const uint64_t length = bytes + STEP_BYTES_RESERVE;

    if (!step_deliver(r))
        return false;
    if (!control && !step_disk_room(r, (uint32_t)bytes)) {
        MARK(LOG_FULL);
        return false; /* votes and heartbeats go on, entries wait */
    }
    if (spsc_room(r->to_persist, reserve) < reserve) {
        MARK(PERSIST_RING_FULL);
        return false;
    }
    /* A follower's window is the core's business: it refuses what would outrun it. */
    if (!control && raft_role(role->raft) == RAFT_LEADER && raft_room(role->raft) < count) {
        MARK(PROPOSAL_WINDOW_FULL);
        return false;
    }
    return record_memory_room(&role->memory, length, count + 1, raft_durable_index(role->raft));
}

bool step_repair(struct replica *r, const struct wal_step *step)
{
    struct replica_raft *role = &r->raft;
    const struct persist_item item = {.step = *step};

    ASSERT(step->kind != WAL_STEP_NEXT);
    if (step->length > 0 && !step_disk_room(r, step->length))
        return false;
    if (spsc_push(r->to_persist, &item, sizeof item, 1) == 0)
        return false;
    role->given_bytes += persist_cost(step);
    role->memory.reader[0].given++;
    role->pushes++;
    return true;
}

/* The hard state as the next step for the log says it. */
static struct wal_step hard_state_step(struct replica_raft *role, raft_seq seq)
{
    const struct raft_effects *fx = &role->fx;

    if (fx->hard_state.set && !planted(PLANTED_TERM_NOT_PERSISTED)) {
        role->hard_term = fx->hard_state.term;
        role->hard_vote = fx->hard_state.vote;
        role->hard_vote_incarnation = fx->hard_state.vote_incarnation;
    }
    return (struct wal_step){
        .seq = seq,
        .term = role->hard_term,
        .vote = role->hard_vote,
        .vote_incarnation = role->hard_vote_incarnation,
        .commit = raft_commit(role->raft),
        .first = 1,
    };
}

static void push_step(struct replica *r, const struct persist_item *item)
{
    const uint32_t taken = spsc_push(r->to_persist, item, sizeof *item, 1);

    ASSERT(taken == 1); /* step_can() */
    r->raft.given_bytes += persist_cost(&item->step);
    r->raft.memory.reader[0].given++;
    r->raft.pushes++;
}

/* What the step appended or voted, to persist. The records stand at `bytes` already. */
static void give_persist(struct replica *r, const uint8_t *bytes, uint32_t length)
{
    struct replica_raft *role = &r->raft;
    const struct raft_effects *fx = &role->fx;
    const bool appends = fx->append.first <= fx->append.last;

    if (!fx->hard_state.set && !appends)
        return;
    struct persist_item item = {
        .step = hard_state_step(role, appends ? fx->append.seq : fx->hard_state.seq)};
    if (appends) {
        item.step.first = fx->append.first;
        item.step.last = fx->append.last;
        item.step.bytes = bytes;
        item.step.length = length;
        item.step.from_reserve = fx->append.empty;
    }
    push_step(r, &item);
}

/* Everything after the bytes of new records: called once after each step. */
static void after_step(struct replica *r)
{
    struct replica_raft *role = &r->raft;
    const struct raft_effects *fx = &role->fx;

    role->fx_sends_done = 0;
    if (role->config_changes != raft_config_changes(role->raft))
        members_learn(r);
    for (uint32_t i = 0; i < fx->load_count; i++) {
        struct peer *peer = peer_of(r, fx->load[i].peer);
        if (peer == NULL)
            continue; /* a member without a link: as if nothing arrived there */
        load_start(&peer->load, fx->load[i].first, fx->load[i].last, fx->load[i].term);
    }
    for (uint32_t i = 0; i < fx->snapshot_count; i++) {
        struct peer *peer = peer_of(r, fx->snapshot[i].peer);
        if (peer != NULL)
            transfer_offer(r, peer, fx->snapshot[i].index);
    }
    if (fx->convicted != 0) {
        struct peer *liar = peer_of(r, fx->convicted);
        if (liar != NULL)
            liar->liar_boot = liar->boot;
    }
    if (fx->read.number != 0) {
        struct read_table *reads = &role->reads;
        for (; reads->confirmed < reads->tail && reads->confirmed <= fx->read.number;
             reads->confirmed++) {
            struct read_slot *slot = &reads->slot[reads->confirmed & reads->mask];
            slot->index = fx->read.index;
            slot->until_ns = fx->read.until_ns;
        }
    }
    if (raft_role(role->raft) == RAFT_LEADER && role->led_term != raft_term_now(role->raft)) {
        role->led_term = raft_term_now(role->raft);
        role->elections++;
    }
    step_deliver(r);
}

/* Places `length` bytes of finished records as the newest entries, from `first` on. */
static const uint8_t *place_records(struct replica_raft *role, raft_index first, const uint8_t *records,
                                    uint32_t length)
{
    uint8_t *place = record_memory_take(&role->memory, length);

    memcpy(place, records, length);
    record_memory_truncate(&role->memory, first);
    for (uint32_t at = 0; at < length;) {
        const struct record_header *header = record_at(place + at);
        record_memory_add(&role->memory, place + at);
        role->last_chain = header->header_crc;
        role->log_was_empty = false;
        at += record_bytes(header->payload_bytes);
    }
    return place;
}

/* The first entry of a new leader: EMPTY, or the first configuration. */
static const uint8_t *place_own_entry(struct replica *r, uint32_t *length)
{
    struct replica_raft *role = &r->raft;
    uint8_t payload[CONFIG_PAYLOAD_BYTES_MAX];
    alignas(RECORD_ALIGN) uint8_t record[STEP_BYTES_RESERVE];
    struct record_spec spec = {
        .type = RECORD_EMPTY,
        .cluster = r->options.cluster,
        .index = role->fx.append.first,
        .term = role->fx.append.term,
        .chain = role->last_chain,
    };
    static_assert(sizeof record >= RECORD_HEADER_BYTES + CONFIG_PAYLOAD_BYTES_MAX + RECORD_ALIGN,
                  "a configuration fits into the reserve of a control step");

    if (role->fx.append.config) {
        spec.type = RECORD_CONFIG;
        spec.payload = payload;
        spec.payload_bytes = config_record_encode(raft_config(role->raft), r->options.quota_bytes,
                                                  payload);
    }
    record_encode(&spec, record);
    *length = record_bytes(spec.payload_bytes);
    return place_records(role, spec.index, record, *length);
}

void step_event(struct replica *r, struct raft_event *ev)
{
    struct replica_raft *role = &r->raft;
    const uint8_t *bytes = NULL;
    uint32_t length = 0;

    ASSERT(role->fx_sends_done == role->fx.send_count);
    ev->now_ns = role->now_ns;
    ev->memory_first = role->memory.first;
    raft_step(role->raft, ev, &role->fx);
    if (role->fx.append.first <= role->fx.append.last) {
        ASSERT(role->fx.append.empty); /* other entries come by the two functions below */
        bytes = place_own_entry(r, &length);
    }
    give_persist(r, bytes, length);
    after_step(r);
}

bool step_base(struct replica *r, struct raft_event *ev, const struct base_change *change)
{
    struct replica_raft *role = &r->raft;
    const struct raft_effects *fx = &role->fx;

    ASSERT(!role->making.changing);
    ASSERT(role->fx_sends_done == fx->send_count);
    ev->now_ns = role->now_ns;
    ev->memory_first = role->memory.first;
    raft_step(role->raft, ev, &role->fx);
    ASSERT(fx->append.first > fx->append.last);
    const raft_seq seq = ev->type == RAFT_EV_COMPACT ? fx->compact_seq : fx->install.seq;
    if (seq == 0) {
        give_persist(r, NULL, 0);
    } else {
        push_step(r, &(struct persist_item){.step = hard_state_step(role, seq), .change = change});
        role->making.changing = true;
        role->making.owed++;
    }
    after_step(r);
    return seq != 0;
}

void step_message(struct replica *r, const struct raft_msg *msg, const uint8_t *records)
{
    struct replica_raft *role = &r->raft;
    const struct raft_effects *fx = &role->fx;
    struct raft_event ev = {
        .type = RAFT_EV_MESSAGE,
        .msg = msg,
        .now_ns = role->now_ns,
        .memory_first = role->memory.first,
    };

    if (msg->type != RAFT_MSG_APPEND || msg->count == 0) {
        step_event(r, &ev);
        return;
    }
    ASSERT(role->fx_sends_done == role->fx.send_count);
    raft_step(role->raft, &ev, &role->fx);
    const uint8_t *bytes = NULL;
    uint32_t length = 0;
    if (fx->append.first <= fx->append.last) {
        /* The appended entries are the last ones of the message. */
        ASSERT(!fx->append.empty);
        ASSERT(fx->append.last - fx->append.first < msg->count);
        const uint64_t count = fx->append.last - fx->append.first + 1;
        const uint64_t skip = msg->count - count;
        uint32_t offset = 0;
        for (uint64_t i = 0; i < skip; i++)
            offset += msg->entries[i].bytes;
        length = msg->bytes - offset;
        bytes = place_records(role, fx->append.first, records + offset, length);
    }
    give_persist(r, bytes, length);
    after_step(r);
}

void step_propose(struct replica *r, const struct record_spec *specs, uint32_t count)
{
    struct replica_raft *role = &r->raft;
    struct raft_event ev = {
        .type = RAFT_EV_PROPOSE,
        .now_ns = role->now_ns,
        .memory_first = role->memory.first,
        .entries = role->entry,
        .count = count,
    };
    uint32_t length = 0;

    ASSERT(count <= RAFT_PROPOSE_MAX);
    ASSERT(role->fx_sends_done == role->fx.send_count);
    for (uint32_t i = 0; i < count; i++) {
        role->entry[i] = (struct raft_entry){.bytes = record_bytes(specs[i].payload_bytes)};
        length += role->entry[i].bytes;
    }
    raft_step(role->raft, &ev, &role->fx);
    ASSERT(role->fx.append.last + 1 - role->fx.append.first == count); /* we lead: all are taken */
    uint8_t *place = record_memory_take(&role->memory, length);
    uint32_t at = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct record_spec spec = specs[i];
        spec.cluster = r->options.cluster;
        spec.index = role->fx.append.first + i;
        spec.term = role->fx.append.term;
        spec.chain = role->last_chain;
        role->last_chain = record_encode(&spec, place + at);
        record_memory_add(&role->memory, place + at);
        at += role->entry[i].bytes;
    }
    role->proposals += count;
    give_persist(r, place, length);
    after_step(r);
}

/* The entries of `load` that fit one message, as the core wants them named. */
static uint32_t name_loaded(struct replica_raft *role, const struct load *load)
{
    uint32_t count = 0;
    uint32_t at = load->used;
    uint32_t bytes = 0;

    while (count < RAFT_APPEND_ENTRIES_MAX && at < load->length) {
        const struct record_header *header = record_at(load->bytes + at);
        const uint32_t length = record_bytes(header->payload_bytes);
        if (count > 0 && bytes + length > FRAME_BODY_BYTES_MAX)
            break;
        role->entry[count++] = (struct raft_entry){.term = header->term, .bytes = length};
        bytes += length;
        at += length;
    }
    return count;
}

void step_loaded(struct replica *r, struct peer *peer)
{
    struct replica_raft *role = &r->raft;
    struct load *load = &peer->load;

    ASSERT(load->state == LOAD_READY);
    load->asked = false;
    struct raft_event ev = {
        .type = RAFT_EV_LOADED,
        .peer = peer->node,
        .first = load->first,
        .entries = role->entry,
        .count = name_loaded(role, load),
    };
    step_event(r, &ev);
}

/* The body of an APPEND, gathered from record memory or the peer's load into `body`. */
static void gather(struct replica *r, struct peer *peer, const struct raft_send *send, uint8_t *body)
{
    struct replica_raft *role = &r->raft;
    uint32_t at = 0;

    for (uint32_t i = 0; i < send->msg.count; i++) {
        const raft_index index = send->msg.prev_index + 1 + i;
        const struct record_header *header;
        if (send->loaded) {
            struct load *load = &peer->load;
            ASSERT(load->first == index);
            header = record_at(load->bytes + load->used);
            load->used += record_bytes(header->payload_bytes);
            load->first++;
            if (load->used == load->length)
                load->state = LOAD_IDLE;
        } else {
            header = record_memory_at(&role->memory, index);
        }
        const uint32_t length = record_bytes(header->payload_bytes);
        ASSERT(at + length <= send->msg.bytes);
        memcpy(body + at, header, length);
        at += length;
    }
    ASSERT(at == send->msg.bytes);
}

/* A record too large for a frame: it goes as chunks, beside everything else. */
static void send_large(struct replica *r, struct peer *peer, const struct raft_send *send)
{
    const struct raft_msg *m = &send->msg;
    const raft_index index = m->prev_index + 1;
    struct load *load = &peer->load;
    const struct record_header *header;

    ASSERT(m->count == 1);
    if (send->loaded) {
        ASSERT(load->first == index);
        header = record_at(load->bytes + load->used);
    } else {
        header = record_memory_at(&r->raft.memory, index);
    }
    if (header != NULL) {
        const struct frame_chunk key = {
            .term = m->term,
            .index = index,
            .checksum = header->header_crc,
            .total = m->bytes,
            .prev_index = m->prev_index,
            .prev_term = m->prev_term,
            .commit = m->commit,
        };
        chunks_begin(r, peer, &key, (const uint8_t *)header);
    }
    if (send->loaded) {
        load->used += m->bytes;
        load->first++;
        if (load->used == load->length)
            load->state = LOAD_IDLE;
    }
}

/* One message of the step. False: no room now. */
static bool deliver_one(struct replica *r, const struct raft_send *send)
{
    struct peer *peer = peer_of(r, send->msg.to);

    if (peer == NULL) { /* the configuration names a node that our file does not */
        r->raft.foreign_sends++;
        return true;
    }
    if (send->msg.bytes > FRAME_BODY_BYTES_MAX) {
        send_large(r, peer, send);
        return true;
    }
    if (send->msg.count > 0 && !send->loaded &&
        record_memory_at(&r->raft.memory, send->msg.prev_index + 1) == NULL)
        return true; /* retired since the core named it: the core will ask for a load */
    if (spsc_room(r->to_tx, 1) == 0)
        return false;
    struct frame f = {.type = FRAME_RAFT, .raft = send->msg, .body_bytes = send->msg.bytes};
    f.raft.entries = NULL;
    if (send->msg.bytes == 0)
        return emit_frame(r, peer, &f, send->after_seq, NULL);
    uint8_t *body = byte_ring_reserve(&r->scratch, send->msg.bytes);
    if (body == NULL)
        return false;
    gather(r, peer, send, body);
    return emit_frame(r, peer, &f, send->after_seq, body);
}

bool step_deliver(struct replica *r)
{
    struct replica_raft *role = &r->raft;

    while (role->fx_sends_done < role->fx.send_count) {
        if (!deliver_one(r, &role->fx.send[role->fx_sends_done])) {
            MARK(TX_RING_FULL);
            return false;
        }
        role->fx_sends_done++;
    }
    return true;
}
