/* sim/workload.c: clients at the doors of the nodes, one call at a time each.
 *
 * Keys are few, so that calls meet. A call whose fate is unknown, or that was refused, is sometimes
 * issued again under a new name.
 */
#include "base/assert.h"
#include "sim/sim_internal.h"

#include <inttypes.h>
#include <string.h>

enum { VALUE_SMALL_MAX = 120, DOOR_BURST = 16 };

/* False: the door takes nothing now. */
static bool issue(struct sim *s, struct sim_node *n, struct sim_slot *slot,
                  struct history_call call)
{
    const uint64_t number = s->call_count + 1;

    ASSERT(slot->call == 0);
    ASSERT(n->replica != NULL);
    call.node = sim_id(n);
    call.boot = n->boot;
    const struct request request = {
        .tag = number, /* door 0 */
        .bytes = slot->bytes,
        .length = call_encode(&call, slot->bytes),
        .kind = call.kind == HISTORY_READ         ? REQUEST_READ
                : call.kind == HISTORY_READ_LOCAL ? REQUEST_READ_LOCAL
                                                  : REQUEST_PROPOSE,
    };
    struct spsc *ring = request.kind == REQUEST_READ_LOCAL ? n->door->to_store : n->door->to_raft;
    if (spsc_push(ring, &request, sizeof request, 1) == 0)
        return false;

    s->call = check_grow(s->call, &s->call_capacity, number, sizeof *s->call);
    s->call[number - 1] = call;
    s->call_count = number;
    check_history_begin(s->history, &s->call[number - 1]);
    slot->call = number;
    slot->search_name = check_linear_begin(s->linear, &call);
    slot->header_seen = false;
    slot->more = false;
    slot->count = 0;
    slot->item_count = 0;
    n->busy = true;
    return true;
}

static struct history_call draw_range(struct sim *s)
{
    const uint8_t first = (uint8_t)prng_below(&s->prng, HISTORY_KEYS);
    const bool wide = prng_below(&s->prng, 3) == 0;
    const uint64_t keys = wide ? prng_between(&s->prng, 1, HISTORY_KEYS - first) : 1;

    return (struct history_call){.key_first = first, .key_end = (uint8_t)(first + keys)};
}

static struct history_call draw_read(struct sim *s)
{
    struct history_call call = draw_range(s);

    call.kind = prng_below(&s->prng, 3) == 0 ? HISTORY_READ_LOCAL : HISTORY_READ;
    call.keys_only = prng_below(&s->prng, 8) == 0;
    call.limit = prng_below(&s->prng, 4) == 0 ? (uint32_t)prng_between(&s->prng, 1, 8) : 0;
    return call;
}

static struct history_call draw_call(struct sim *s)
{
    if (sim_chance(s, s->plan.reads))
        return draw_read(s);
    struct history_call call = draw_range(s);
    call.prev_kv = prng_below(&s->prng, 4) == 0;
    if (prng_below(&s->prng, 6) == 0) {
        call.kind = HISTORY_DELETE;
        return call;
    }
    const bool large = sim_chance(s, s->plan.large_values);
    call.kind = HISTORY_PUT;
    call.key_end = (uint8_t)(call.key_first + 1);
    call.value =
        call_value(s, (uint32_t)prng_between(&s->prng, SIM_VALUE_BYTES_MIN,
                                             large ? s->plan.value_bytes_max : VALUE_SMALL_MAX));
    return call;
}

/* What is issued again is the same in all but its name. */
static struct history_call next_call(struct sim *s, struct sim_slot *slot)
{
    if (slot->again == 0)
        return draw_call(s);
    const struct history_call *old = &s->call[slot->again - 1];
    sim_happen(s, SIM_CALL_AGAIN);
    return (struct history_call){
        .kind = old->kind,
        .key_first = old->key_first,
        .key_end = old->key_end,
        .prev_kv = old->prev_kv,
        .keys_only = old->keys_only,
        .limit = old->limit,
        .value = old->value,
    };
}

uint64_t workload_put(struct sim *s, struct sim_node *n, uint8_t key, uint64_t value)
{
    struct sim_slot *slot = &n->slot[SIM_SLOT_OWN];
    const struct history_call call = {
        .kind = HISTORY_PUT, .key_first = key, .key_end = (uint8_t)(key + 1), .value = value};

    if (n->replica == NULL || slot->call != 0 || !issue(s, n, slot, call))
        return 0;
    return slot->call;
}

uint64_t workload_get(struct sim *s, struct sim_node *n, uint8_t key)
{
    struct sim_slot *slot = &n->slot[SIM_SLOT_OWN];
    const struct history_call call = {
        .kind = HISTORY_READ, .key_first = key, .key_end = (uint8_t)(key + 1)};

    if (n->replica == NULL || slot->call != 0 || !issue(s, n, slot, call))
        return 0;
    return slot->call;
}

static void end_in_checkers(struct sim *s, struct sim_slot *slot, const struct history_answer *end)
{
    check_history_end(s->history, &s->call[slot->call - 1], end);
    check_linear_end(s->linear, slot->search_name, end);
}

static void plan_next(struct sim *s)
{
    s->work_next_ns = UINT64_MAX;
    for (uint32_t i = 0; i < s->node_count; i++) {
        const struct sim_node *n = &s->node[i];
        for (uint32_t c = 0; n->replica != NULL && c < s->plan.clients; c++) {
            if (n->slot[c].call == 0 && n->slot[c].next_ns < s->work_next_ns)
                s->work_next_ns = n->slot[c].next_ns;
        }
    }
}

void workload_start(struct sim *s, struct sim_node *n)
{
    for (uint32_t c = 0; c < SIM_SLOTS_MAX; c++) {
        ASSERT(n->slot[c].call == 0);
        n->slot[c].next_ns =
            s->quiet ? UINT64_MAX : s->now_ns + sim_around(&s->prng, s->plan.think_ns);
    }
    plan_next(s);
}

/* Nobody will ever answer: what was asked for may be applied or not. */
void workload_crash(struct sim *s, struct sim_node *n)
{
    for (uint32_t c = 0; c < SIM_SLOTS_MAX; c++) {
        struct sim_slot *slot = &n->slot[c];
        if (slot->call == 0)
            continue;
        end_in_checkers(s, slot, &(struct history_answer){.fate = HISTORY_UNKNOWN});
        sim_happen(s, SIM_CALL_UNKNOWN);
        slot->again = prng_below(&s->prng, 2) == 0 ? slot->call : 0;
        slot->call = 0;
    }
    plan_next(s);
}

void workload_now(struct sim *s, struct sim_node *n, bool held_too)
{
    for (uint32_t c = 0; c < s->plan.clients && !s->quiet; c++)
        if (held_too || n->slot[c].next_ns != UINT64_MAX)
            n->slot[c].next_ns = s->now_ns;
    plan_next(s);
}

void workload_hold(struct sim *s, struct sim_node *n)
{
    for (uint32_t c = 0; c < s->plan.clients; c++)
        if (prng_below(&s->prng, 2) == 0)
            n->slot[c].next_ns = UINT64_MAX;
    plan_next(s);
}

void workload_release(struct sim *s, struct sim_node *n)
{
    for (uint32_t c = 0; c < s->plan.clients && !s->quiet; c++)
        if (n->slot[c].next_ns == UINT64_MAX)
            n->slot[c].next_ns = s->now_ns + sim_around(&s->prng, s->plan.think_ns);
    plan_next(s);
}

static void tick_node(struct sim *s, struct sim_node *n)
{
    for (uint32_t c = 0; c < s->plan.clients; c++) {
        struct sim_slot *slot = &n->slot[c];
        if (slot->call != 0 || slot->next_ns > s->now_ns)
            continue;
        /* A write would keep its client waiting for all the time of a siege. */
        struct history_call call = siege_wants_reads(s, n) ? draw_read(s) : next_call(s, slot);
        /* A copy or an impostor has a boot number that was used before; what it has read locally
         * would pass for what that boot had. */
        if (n->who != SIM_ITSELF && call.kind == HISTORY_READ_LOCAL)
            call.kind = HISTORY_READ;
        if (issue(s, n, slot, call))
            slot->again = 0;
        else
            slot->next_ns = s->now_ns + sim_around(&s->prng, s->plan.think_ns);
    }
}

void workload_tick(struct sim *s)
{
    for (uint32_t i = 0; i < s->node_count; i++) {
        if (s->node[i].replica != NULL)
            tick_node(s, &s->node[i]);
    }
    plan_next(s);
}

void workload_quiet(struct sim *s)
{
    s->quiet = true;
    for (uint32_t i = 0; i < s->node_count; i++)
        for (uint32_t c = 0; c < SIM_SLOTS_MAX; c++)
            s->node[i].slot[c].next_ns = UINT64_MAX;
    plan_next(s);
}

uint32_t workload_open(const struct sim *s)
{
    uint32_t open = 0;

    for (uint32_t i = 0; i < s->node_count; i++)
        for (uint32_t c = 0; c < SIM_SLOTS_MAX && sim_is_served(s, &s->node[i]); c++)
            open += s->node[i].slot[c].call != 0;
    return open;
}

/* Only a snapshot that was installed since the call began can have passed over it. */
static void check_passed(struct sim *s, const struct sim_node *n, uint64_t number)
{
    const struct history_call *call = &s->call[number - 1];

    if (number > n->passed_call || call->index > n->passed_index)
        check_fail(&s->report, "exact-fate",
                   "node %u does not know the fate of call %" PRIu64 ", committed at %" PRIu64
                   ": the snapshot at %" PRIu64 " passed over those up to %" PRIu64,
                   sim_id(n), number, call->index, n->passed_index, n->passed_call);
}

static enum history_fate fate_of(struct sim *s, const struct sim_node *n,
                                 const struct sim_slot *slot, const struct answer *answer)
{
    switch ((enum answer_status)answer->status) {
    case ANSWER_OK:
        if (answer->refusal != STORE_NONE)
            check_fail(&s->report, "exact-fate", "the store refuses a call: %u", answer->refusal);
        sim_happen(s, SIM_CALL_OK);
        return HISTORY_OK;
    case ANSWER_UNKNOWN:
        check_passed(s, n, slot->call);
        sim_happen(s, SIM_CALL_PASSED);
        return HISTORY_PASSED;
    case ANSWER_BAD:
        check_fail(&s->report, "exact-fate", "a well-formed call is refused as bad");
        break;
    case ANSWER_CORRUPT:
        check_fail(&s->report, "exact-fate", "the members' states are said to differ");
        break;
    case ANSWER_NOT_LEADER:
    case ANSWER_REFUSED:
        check_fail(&s->report, "exact-fate", "a call is answered as if it was an admin request");
        break;
    case ANSWER_TIMED_OUT:
    case ANSWER_BUSY:
    case ANSWER_NO_ROOM:
        break;
    }
    sim_happen(s, SIM_CALL_REFUSED);
    return HISTORY_REFUSED;
}

static void end_call(struct sim *s, struct sim_node *n, struct sim_slot *slot,
                     const struct answer *answer)
{
    const struct history_answer end = {
        .fate = (uint8_t)fate_of(s, n, slot, answer),
        .index = answer->index,
        .revision = (int64_t)answer->revision,
        .count = slot->count,
        .more = slot->more,
        .item_count = slot->item_count,
        .items = slot->item,
    };

    const enum history_kind kind = (enum history_kind)s->call[slot->call - 1].kind;

    end_in_checkers(s, slot, &end);
    slot->again = end.fate != HISTORY_OK && prng_below(&s->prng, 2) == 0 ? slot->call : 0;
    slot->call = 0;
    slot->next_ns = s->quiet ? UINT64_MAX : s->now_ns + sim_around(&s->prng, s->plan.think_ns);
    if (end.fate == HISTORY_OK && (kind == HISTORY_PUT || kind == HISTORY_DELETE))
        siege_on_write(s, n);
}

static void take_answer(struct sim *s, struct sim_node *n, const struct answer *answer)
{
    struct sim_slot *slot = NULL;

    if (answer->tag != 0 && answer->tag == n->admin.tag) {
        members_answer(s, n, answer);
        return;
    }
    for (uint32_t c = 0; c < SIM_SLOTS_MAX; c++)
        if (n->slot[c].call == answer->tag)
            slot = &n->slot[c];
    /* A copy may have the boot number of the true directory, and find what that one was asked for. */
    if (slot == NULL && n->who == SIM_CLONE)
        return;
    if (slot == NULL || answer->tag == 0) {
        check_fail(&s->report, "exact-fate", "node %u answers a call that is not open", sim_id(n));
        return;
    }
    if (answer->status == ANSWER_OK)
        call_parse_piece(s, slot, answer);
    if (!answer->more)
        end_call(s, n, slot, answer);
}

static uint32_t drain(struct sim *s, struct sim_node *n, struct spsc *ring)
{
    struct answer answer;
    uint32_t taken = 0;

    while (taken < DOOR_BURST && spsc_pop(ring, &answer, sizeof answer, 1) == 1) {
        sim_mix(s, answer.tag ^ answer.revision << 20 ^ answer.status);
        take_answer(s, n, &answer);
        request_door_release(n->door, &answer);
        taken++;
    }
    return taken;
}

void workload_answers(struct sim *s, struct sim_node *n)
{
    if (!s->healed && sim_chance(s, s->plan.asker_skip)) {
        n->busy = true; /* looks again at the next turn */
        return;
    }
    const uint32_t taken = drain(s, n, n->door->from_raft) + drain(s, n, n->door->from_store);
    if (taken > 0) {
        n->busy = true; /* a role may have waited for room */
        plan_next(s);
    }
}
