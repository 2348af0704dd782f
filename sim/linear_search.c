#include "sim/linear_search.h"

#include "base/assert.h"
#include "base/prng.h"

#include <string.h>

static bool is_done(const struct linear_config *c, uint16_t call)
{
    return (c->done[call / 64] >> call % 64 & 1) != 0;
}

static void flip_done(struct linear_config *c, uint16_t call)
{
    c->done[call / 64] ^= 1ULL << call % 64;
    c->hash ^= hash_u64(call, 1);
}

static uint16_t *bucket_of(struct linear_search *s, int64_t revision)
{
    return &s->bucket[(uint64_t)revision % LINEAR_BUCKETS];
}

void linear_search_reset(struct linear_search *s, int64_t revision_first)
{
    for (uint32_t i = 0; i < LINEAR_CALLS_MAX; i++)
        s->call[i].name = 0;
    for (uint32_t i = 0; i < LINEAR_BUCKETS; i++)
        s->bucket[i] = LINEAR_NONE;
    memset(s->count, 0, sizeof s->count);
    s->unknown_count = 0;
    s->blurred = 0;
    s->config_count = 1;
    s->config[0] = (struct linear_config){0};
    linear_state_reset(&s->config[0].state, revision_first);
}

void linear_search_add(struct linear_search *s, uint16_t call)
{
    uint16_t *bucket = bucket_of(s, s->call[call].answer.revision);

    ASSERT(s->call[call].answer.fate == HISTORY_OK);
    s->call[call].same_bucket = *bucket;
    *bucket = call;
}

static void leave_bucket(struct linear_search *s, uint16_t call)
{
    uint16_t *at = bucket_of(s, s->call[call].answer.revision);

    while (*at != call)
        at = &s->call[*at].same_bucket;
    *at = s->call[call].same_bucket;
}

void linear_search_drop(struct linear_search *s, uint16_t call)
{
    if (s->call[call].answer.fate == HISTORY_OK)
        leave_bucket(s, call);
    for (uint32_t i = 0; i < s->config_count; i++)
        if (is_done(&s->config[i], call))
            flip_done(&s->config[i], call);
    s->call[call].name = 0;
}

bool linear_search_done_everywhere(const struct linear_search *s, uint16_t call)
{
    for (uint32_t i = 0; i < s->config_count; i++)
        if (!is_done(&s->config[i], call))
            return false;
    return true;
}

/* ---- one step --------------------------------------------------------------------------------- */

/* All that is answered at the state's revision speaks of this state, for no other has it. What had
 * begun by `now`, or is a local read, takes effect here. */
static bool settle(struct linear_search *s, struct linear_config *c, uint64_t now)
{
    const int64_t revision = c->state.revision;

    for (uint16_t i = *bucket_of(s, revision); i != LINEAR_NONE; i = s->call[i].same_bucket) {
        const struct linear_call *l = &s->call[i];
        if (l->answer.revision != revision || linear_made_revision(&l->call, &l->answer) ||
            is_done(c, i))
            continue;
        const bool fits = l->call.kind == HISTORY_DELETE
                              ? linear_state_write(&c->state, &l->call, &l->answer)
                              : linear_state_read(&c->state, &l->call, &l->answer);
        if (!fits)
            return false;
        if (l->began < now || l->call.kind == HISTORY_READ_LOCAL)
            flip_done(c, i);
    }
    return true;
}

/* True: the configuration was met before in this search. */
static bool remembered(struct linear_search *s, const struct linear_config *c)
{
    const uint64_t hash = c->hash ^ c->state.hash;
    uint32_t slot = (uint32_t)(hash % LINEAR_MEMORY_SLOTS);

    while (s->memory[slot].generation == s->generation) {
        const struct linear_config *old = &s->config[s->memory[slot].config];
        if (old->hash == c->hash && linear_state_equal(&old->state, &c->state) &&
            memcmp(old->done, c->done, sizeof c->done) == 0)
            return true;
        slot = (slot + 1) % LINEAR_MEMORY_SLOTS;
    }
    s->memory[slot].generation = s->generation;
    s->memory[slot].config = s->config_count;
    return false;
}

/* The place of a new configuration, a copy of `from`; NULL: there is no room. */
static struct linear_config *branch(struct linear_search *s, uint32_t from)
{
    if (s->config_count == LINEAR_CONFIGS_MAX) {
        s->full = true;
        return NULL;
    }
    s->config[s->config_count] = s->config[from];
    return &s->config[s->config_count];
}

/* The new configuration counts if it fits what is answered at its revision and is new. */
static void keep(struct linear_search *s, struct linear_config *c, uint64_t now)
{
    if (settle(s, c, now) && !remembered(s, c))
        s->config_count++;
}

static void try_answered(struct linear_search *s, uint32_t from, uint16_t call, uint64_t now)
{
    const struct linear_call *l = &s->call[call];
    struct linear_config *c = branch(s, from);

    if (c == NULL || !linear_state_write(&c->state, &l->call, &l->answer))
        return;
    flip_done(c, call);
    keep(s, c, now);
}

/* The first item of any answer at hand that was made by `revision`; NULL: none shows one. */
static const struct history_item *evidence_of(const struct linear_search *s, int64_t revision)
{
    for (uint32_t i = 0; i < LINEAR_CALLS_MAX; i++) {
        const struct linear_call *l = &s->call[i];
        if (l->name == 0 || l->answer.fate != HISTORY_OK)
            continue;
        for (uint32_t at = 0; at < l->answer.item_count; at++)
            if (l->item[at].mod_revision == revision)
                return &l->item[at];
    }
    return NULL;
}

static bool may_have_made(const struct history_call *call, const struct history_item *evidence)
{
    if (evidence == NULL)
        return true;
    return call->kind == HISTORY_PUT && call->key_first == evidence->key &&
           (evidence->value == 0 || evidence->value == call->value);
}

static void try_unknown(struct linear_search *s, uint32_t from, uint16_t call, uint64_t now)
{
    struct linear_config *c = branch(s, from);

    if (c == NULL || !linear_state_guess(&c->state, &s->call[call].call))
        return;
    s->count[LINEAR_GUESS]++;
    flip_done(c, call);
    keep(s, c, now);
}

static void try_blurred(struct linear_search *s, uint32_t from, uint64_t now)
{
    struct linear_config *c = branch(s, from);

    if (c == NULL)
        return;
    c->state.revision++;
    for (uint8_t k = 0; k < HISTORY_KEYS; k++)
        if ((s->blurred >> k & 1) != 0)
            linear_state_forget(&c->state, k, (uint8_t)(k + 1));
    keep(s, c, now);
}

/* Whoever may have made the next revision does. An answer that claims it leaves no choice. */
static void advance(struct linear_search *s, uint32_t from, uint64_t now)
{
    const int64_t revision = s->config[from].state.revision + 1;
    bool claimed = false;

    for (uint16_t i = *bucket_of(s, revision); i != LINEAR_NONE; i = s->call[i].same_bucket) {
        const struct linear_call *l = &s->call[i];
        if (l->answer.revision != revision || !linear_made_revision(&l->call, &l->answer))
            continue;
        claimed = true;
        if (l->began < now)
            try_answered(s, from, i, now);
    }
    if (claimed)
        return;
    const struct history_item *evidence = evidence_of(s, revision);
    for (uint32_t i = 0; i < s->unknown_count; i++) {
        const struct linear_call *l = &s->call[s->unknown[i]];
        if (l->began < now && !is_done(&s->config[from], s->unknown[i]) &&
            may_have_made(&l->call, evidence))
            try_unknown(s, from, s->unknown[i], now);
    }
    if (s->blurred != 0)
        try_blurred(s, from, now);
}

/* ---- the search ------------------------------------------------------------------------------- */

/* Nothing is known but that all which was answered at `revision` or before has taken effect. */
static void give_up(struct linear_search *s, int64_t revision, uint64_t now)
{
    struct linear_config *c = &s->config[0];

    s->count[LINEAR_GAVE_UP]++;
    *c = (struct linear_config){0};
    linear_state_reset(&c->state, revision);
    linear_state_forget(&c->state, 0, HISTORY_KEYS);
    for (uint16_t i = 0; i < LINEAR_CALLS_MAX; i++) {
        const struct linear_call *l = &s->call[i];
        if (l->name != 0 && l->answer.fate == HISTORY_OK && l->answer.revision <= revision &&
            l->began < now)
            flip_done(c, i);
    }
    s->config_count = 1;
}

static void keep_done(struct linear_search *s, uint16_t call)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < s->config_count; i++) {
        if (!is_done(&s->config[i], call))
            continue;
        if (kept != i)
            s->config[kept] = s->config[i];
        kept++;
    }
    s->config_count = kept;
}

/* One configuration's turn: it explains the call as it stands, or leads on to others that may. */
static void visit(struct linear_search *s, uint32_t from, uint16_t call)
{
    const struct linear_call *l = &s->call[call];
    struct linear_config *c = &s->config[from];

    /* Reads that have begun since the revision was reached still see it, before it passes. */
    if (is_done(c, call) || !settle(s, c, l->ended) || is_done(c, call))
        return;
    if (c->state.revision < l->answer.revision)
        advance(s, from, l->ended);
    else if (l->call.kind == HISTORY_READ_LOCAL)
        flip_done(c, call); /* too old to be judged */
}

bool linear_search_explain(struct linear_search *s, uint16_t call)
{
    const struct linear_call *l = &s->call[call];
    const int64_t revision = l->answer.revision;

    s->generation++;
    s->full = false;
    if (l->call.kind == HISTORY_READ_LOCAL && revision < s->config[0].state.revision &&
        !is_done(&s->config[0], call))
        s->count[LINEAR_OLD]++;
    for (uint32_t i = 0; i < s->config_count && !s->full; i++)
        visit(s, i, call);
    if (s->full)
        give_up(s, revision, l->ended);
    keep_done(s, call);
    if (s->config_count == 0)
        return false;
    s->count[LINEAR_EXPLAINED]++;
    return true;
}
