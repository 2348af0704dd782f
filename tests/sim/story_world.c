#include "tests/sim/story_world.h"

#include "base/assert.h"

#include <string.h>

enum { OPEN_MAX = 5, TRIES = 4000 };

static bool is_write(const struct history_call *call)
{
    return call->kind == HISTORY_PUT || call->kind == HISTORY_DELETE;
}

uint32_t world_begin(struct world *w, struct history_call call)
{
    const uint32_t number = w->story.call_count++;

    ASSERT(number < STORY_CALLS_MAX);
    w->story.call[number] = call;
    w->begin_at[number] = (int32_t)w->story.step_count;
    w->end_at[number] = WORLD_NOWHERE;
    w->index[number] = 0;
    w->floor[number] = w->last;
    story_add(&w->story, STORY_BEGIN, number);
    return number;
}

static void apply(struct world *w, const struct history_call *call)
{
    struct history_item *now = w->state[w->last];
    const int64_t next = w->revision[w->last - 1] + 1;
    bool made = call->kind == HISTORY_PUT;

    for (uint8_t k = call->key_first; k < call->key_end && k < WORLD_KEYS; k++) {
        const bool was = now[k].version != 0;
        if (call->kind == HISTORY_PUT)
            now[k] = (struct history_item){
                .key = k,
                .value = call->value,
                .version = now[k].version + 1,
                .create_revision = was ? now[k].create_revision : next,
                .mod_revision = next,
            };
        else
            now[k] = (struct history_item){.key = k};
        made = made || was;
    }
    if (made)
        w->revision[w->last] = next;
}

void world_commit(struct world *w, uint32_t call)
{
    w->last++;
    ASSERT(w->last < WORLD_INDEXES_MAX);
    memcpy(w->state[w->last], w->state[w->last - 1], sizeof w->state[0]);
    w->revision[w->last] = w->revision[w->last - 1];
    story_add(&w->story, STORY_COMMIT, call);
    if (call == STORY_CALLS_MAX)
        return;
    w->index[call] = w->last;
    apply(w, &w->story.call[call]);
}

void world_answer(const struct world *w, const struct history_call *call, uint64_t index,
                  struct story_step *step)
{
    const struct history_item *state = w->state[is_write(call) ? index - 1 : index];
    struct history_answer *a = &step->answer;

    *a =
        (struct history_answer){.fate = HISTORY_OK, .index = index, .revision = w->revision[index]};
    for (uint8_t k = call->key_first; k < call->key_end && k < WORLD_KEYS; k++) {
        if (state[k].version == 0)
            continue;
        a->count++;
        if ((is_write(call) && !call->prev_kv) || (call->limit != 0 && a->count > call->limit))
            continue;
        step->item[a->item_count] = state[k];
        step->item[a->item_count++].value = call->keys_only ? 0 : state[k].value;
    }
    a->more = call->limit != 0 && a->count > call->limit;
}

static struct story_step *add_end(struct world *w, uint32_t call, enum history_fate fate)
{
    w->end_at[call] = (int32_t)w->story.step_count;
    struct story_step *step = story_add(&w->story, STORY_END, call);
    step->answer.fate = (uint8_t)fate;
    return step;
}

void world_end(struct world *w, uint32_t call, uint64_t index)
{
    const struct history_call *c = &w->story.call[call];

    world_answer(w, c, index, add_end(w, call, HISTORY_OK));
    if (!is_write(c))
        w->node_read[c->node] = index;
}

/* ---- drawing ---------------------------------------------------------------------------------- */

static struct history_call draw_call(struct world *w)
{
    struct prng *p = &w->prng;
    struct history_call call = {
        .kind = (uint8_t)(prng_below(p, 8) < 3 ? HISTORY_PUT : prng_below(p, 4)),
        .key_first = (uint8_t)prng_below(p, WORLD_KEYS),
        .node = (uint16_t)prng_between(p, 1, WORLD_NODES),
        .boot = 1,
    };

    call.key_end = (uint8_t)(call.key_first + 1);
    if (call.kind != HISTORY_PUT && prng_below(p, 2) == 0)
        call.key_end = (uint8_t)prng_between(p, call.key_end, WORLD_KEYS);
    if (is_write(&call)) {
        call.prev_kv = prng_below(p, 3) == 0;
    } else {
        call.keys_only = prng_below(p, 8) == 0;
        call.limit = prng_below(p, 4) == 0 ? (uint32_t)prng_between(p, 1, 3) : 0;
    }
    if (call.kind == HISTORY_PUT)
        call.value = 1000 + w->story.call_count;
    return call;
}

/* Any call that has begun and not ended, or a write that may still take effect. */
static uint32_t draw_open(struct world *w)
{
    const uint32_t call = (uint32_t)prng_below(&w->prng, w->story.call_count);
    return w->end_at[call] == WORLD_NOWHERE ? call : STORY_CALLS_MAX;
}

static uint32_t open_count(const struct world *w)
{
    uint32_t open = 0;

    for (uint32_t i = 0; i < w->story.call_count; i++)
        open += w->end_at[i] == WORLD_NOWHERE;
    return open;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static void end_read(struct world *w, uint32_t call)
{
    const struct history_call *c = &w->story.call[call];
    const uint64_t floor = c->kind == HISTORY_READ ? w->floor[call] : 0;

    world_end(w, call, prng_between(&w->prng, larger(floor, w->node_read[c->node]), w->last));
}

static void end_drawn(struct world *w, bool unknowns)
{
    const uint32_t call = draw_open(w);

    if (call == STORY_CALLS_MAX)
        return;
    if (unknowns && prng_below(&w->prng, 8) == 0)
        add_end(w, call, HISTORY_UNKNOWN);
    else if (!is_write(&w->story.call[call]))
        end_read(w, call);
    else if (w->index[call] != 0)
        world_end(w, call, w->index[call]);
    else if (prng_below(&w->prng, 16) == 0)
        add_end(w, call, HISTORY_REFUSED);
}

/* Unknown writes too are committed, some of them long after their end. */
static void commit_drawn(struct world *w)
{
    const uint32_t call = (uint32_t)prng_below(&w->prng, w->story.call_count);
    const int32_t end = w->end_at[call];

    if (!is_write(&w->story.call[call]) || w->index[call] != 0)
        return;
    if (end == WORLD_NOWHERE || w->story.step[end].answer.fate == HISTORY_UNKNOWN)
        world_commit(w, call);
}

void world_draw(struct world *w, uint64_t seed, bool unknowns)
{
    memset(w, 0, sizeof *w);
    prng_seed(&w->prng, seed);
    w->revision[0] = STORY_REVISION_FIRST;
    world_begin(w, draw_call(w));
    for (uint32_t i = 0; i < TRIES && (w->story.call_count < WORLD_CALLS || open_count(w) > 0);
         i++) {
        const uint64_t action = prng_below(&w->prng, 16);
        if (action < 4 && w->story.call_count < WORLD_CALLS && open_count(w) < OPEN_MAX)
            world_begin(w, draw_call(w));
        else if (action < 9)
            commit_drawn(w);
        else if (action == 9 && w->last < WORLD_CALLS && prng_below(&w->prng, 4) == 0)
            world_commit(w, STORY_CALLS_MAX);
        else
            end_drawn(w, unknowns);
    }
}
