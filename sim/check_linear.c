#include "sim/check_linear.h"

#include "base/assert.h"
#include "sim/linear_search.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    LOOKAHEAD_CALLS = 64, /* ended calls known beyond the one that is looked at */
    UNKNOWN_MAX = 128,    /* unknown writes that are kept apart */
};

struct check_linear {
    struct check_report *report;
    uint64_t position; /* of the newest beginning or end */
    uint64_t names;
    uint16_t open[LINEAR_CALLS_MAX]; /* in the order in which they began */
    uint32_t open_count;
    uint16_t ended[LINEAR_CALLS_MAX]; /* a ring, in the order in which they ended */
    uint32_t ended_first, ended_count;
    uint16_t free[LINEAR_CALLS_MAX];
    uint32_t free_count;
    struct {
        uint32_t boot;
        int64_t revision; /* newest that an ended read of that boot was told */
    } local[HISTORY_NODES_MAX];
    struct linear_search search;
};

const char *linear_count_text(enum linear_count count)
{
    static const char *const text[] = {
#define LINEAR_COUNT_TEXT(name, words) words,
        LINEAR_COUNT_LIST(LINEAR_COUNT_TEXT)
#undef LINEAR_COUNT_TEXT
    };

    ASSERT(count < LINEAR_COUNT_COUNT);
    return text[count];
}

struct check_linear *check_linear_create(void)
{
    struct check_linear *l = calloc(1, sizeof *l);

    ASSERT(l != NULL);
    return l;
}

void check_linear_destroy(struct check_linear *l)
{
    free(l);
}

void check_linear_reset(struct check_linear *l, int64_t revision_first, struct check_report *report)
{
    l->report = report;
    l->position = 0;
    l->open_count = 0;
    l->ended_first = l->ended_count = 0;
    memset(l->local, 0, sizeof l->local);
    linear_search_reset(&l->search, revision_first);
    l->free_count = LINEAR_CALLS_MAX;
    for (uint32_t i = 0; i < LINEAR_CALLS_MAX; i++)
        l->free[i] = (uint16_t)(LINEAR_CALLS_MAX - 1 - i);
}

uint64_t check_linear_count(const struct check_linear *l, enum linear_count count)
{
    ASSERT(count < LINEAR_COUNT_COUNT);
    return l->search.count[count];
}

static void drop(struct check_linear *l, uint16_t call)
{
    linear_search_drop(&l->search, call);
    l->free[l->free_count++] = call;
}

/* ---- unknown writes --------------------------------------------------------------------------- */

static void forget_unknown(struct check_linear *l, uint32_t at)
{
    struct linear_search *s = &l->search;
    const uint16_t call = s->unknown[at];

    s->unknown_count--;
    memmove(&s->unknown[at], &s->unknown[at + 1], (s->unknown_count - at) * sizeof s->unknown[0]);
    drop(l, call);
}

/* Those that have taken effect in every configuration are no longer unknown. */
static void settle_unknown(struct check_linear *l)
{
    for (uint32_t i = l->search.unknown_count; i > 0; i--)
        if (linear_search_done_everywhere(&l->search, l->search.unknown[i - 1]))
            forget_unknown(l, i - 1);
}

static void blur_oldest(struct check_linear *l)
{
    struct linear_search *s = &l->search;
    const struct history_call *call = &s->call[s->unknown[0]].call;

    for (uint8_t k = call->key_first; k < call->key_end; k++)
        s->blurred |= 1U << k;
    s->count[LINEAR_BLUR]++;
    forget_unknown(l, 0);
}

static void add_unknown(struct check_linear *l, uint16_t call)
{
    struct linear_search *s = &l->search;

    if (s->unknown_count == UNKNOWN_MAX)
        settle_unknown(l);
    if (s->unknown_count == UNKNOWN_MAX)
        blur_oldest(l);
    s->unknown[s->unknown_count++] = call;
}

/* ---- windows ---------------------------------------------------------------------------------- */

static bool is_write(const struct history_call *call)
{
    return call->kind == HISTORY_PUT || call->kind == HISTORY_DELETE;
}

static bool explain(struct check_linear *l, uint16_t call)
{
    struct linear_search *s = &l->search;
    const struct linear_call *c = &s->call[call];
    const int64_t revision = s->config[0].state.revision;
    const uint32_t configs = s->config_count;

    if (!linear_search_explain(s, call))
        return check_fail(l->report, "linearizable-search",
                          "no order explains the %s of keys %u to %u by node %u, answered at "
                          "revision %" PRId64 " with %" PRId64 " keys; %u states were possible at "
                          "revision %" PRId64,
                          is_write(&c->call) ? "write" : "read", c->call.key_first,
                          c->call.key_end - 1, c->call.node, c->answer.revision, c->answer.count,
                          configs, revision);
    drop(l, call);
    return true;
}

/* Looks at ended calls as long as all that began before they ended is known, and `ahead` more. */
static bool look(struct check_linear *l, uint32_t ahead)
{
    const struct linear_search *s = &l->search;

    while (l->ended_count > ahead) {
        const uint16_t call = l->ended[l->ended_first];
        if (l->open_count > 0 && s->call[l->open[0]].began < s->call[call].ended)
            return true;
        l->ended_first = (l->ended_first + 1) % LINEAR_CALLS_MAX;
        l->ended_count--;
        if (!explain(l, call))
            return false;
    }
    return true;
}

static void close_open(struct check_linear *l, uint16_t call)
{
    uint32_t at = 0;

    while (l->open[at] != call)
        at++;
    ASSERT(at < l->open_count);
    l->open_count--;
    memmove(&l->open[at], &l->open[at + 1], (l->open_count - at) * sizeof l->open[0]);
}

static uint64_t new_name(struct check_linear *l, uint16_t place)
{
    return ++l->names * LINEAR_CALLS_MAX + place;
}

/* The call has no answer, or none that is waited for: an end that comes later finds nothing. */
static void close_unknown(struct check_linear *l, uint16_t call)
{
    close_open(l, call);
    l->search.call[call].name = new_name(l, call);
    if (is_write(&l->search.call[call].call))
        add_unknown(l, call);
    else
        drop(l, call);
}

/* A free place, made if need be by waiting no longer for what has been open for longest. */
static bool make_room(struct check_linear *l)
{
    if (l->free_count > 0)
        return true;
    if (!look(l, 0))
        return false;
    while (l->free_count == 0) {
        ASSERT(l->open_count > 0); /* unknown writes alone never fill the table */
        l->search.count[LINEAR_ASIDE]++;
        close_unknown(l, l->open[0]);
        if (!look(l, 0))
            return false;
    }
    return true;
}

uint64_t check_linear_begin(struct check_linear *l, const struct history_call *call)
{
    ASSERT(call->key_first < call->key_end);
    ASSERT(call->key_end <= HISTORY_KEYS);
    ASSERT(call->node < HISTORY_NODES_MAX);
    if (!make_room(l))
        return 0; /* the run has failed */
    const uint16_t place = l->free[--l->free_count];
    struct linear_call *c = &l->search.call[place];
    c->call = *call;
    c->answer.fate = HISTORY_OPEN;
    c->name = new_name(l, place);
    c->began = ++l->position;
    c->revision_floor = l->local[call->node].boot == call->boot ? l->local[call->node].revision : 0;
    l->open[l->open_count++] = place;
    return c->name;
}

/* Reads by one node are served by one store, which never goes back. */
static bool check_local(struct check_linear *l, const struct linear_call *c)
{
    const uint16_t node = c->call.node;

    if (is_write(&c->call))
        return true;
    if (c->call.kind == HISTORY_READ_LOCAL && c->answer.revision < c->revision_floor)
        return check_fail(l->report, "linearizable-search",
                          "node %u reads revision %" PRId64 " after a read of %" PRId64
                          " had ended",
                          node, c->answer.revision, c->revision_floor);
    if (l->local[node].boot != c->call.boot || l->local[node].revision < c->answer.revision)
        l->local[node].revision = c->answer.revision;
    l->local[node].boot = c->call.boot;
    return true;
}

static bool end_ok(struct check_linear *l, uint16_t place, const struct history_answer *answer)
{
    struct linear_call *c = &l->search.call[place];

    ASSERT(answer->item_count <= HISTORY_KEYS);
    close_open(l, place);
    c->answer = *answer;
    c->answer.items = c->item;
    if (answer->item_count > 0)
        memcpy(c->item, answer->items, answer->item_count * sizeof c->item[0]);
    linear_search_add(&l->search, place);
    l->ended[(l->ended_first + l->ended_count++) % LINEAR_CALLS_MAX] = place;
    return check_local(l, c) && look(l, LOOKAHEAD_CALLS);
}

bool check_linear_end(struct check_linear *l, uint64_t name, const struct history_answer *answer)
{
    const uint16_t place = (uint16_t)(name % LINEAR_CALLS_MAX);
    struct linear_call *c = &l->search.call[place];

    if (name == 0 || c->name != name)
        return true; /* set aside before */
    ASSERT(c->answer.fate == HISTORY_OPEN);
    c->ended = ++l->position;
    if (answer->fate == HISTORY_OK)
        return end_ok(l, place, answer);
    if (answer->fate == HISTORY_UNKNOWN || answer->fate == HISTORY_PASSED) {
        close_unknown(l, place);
    } else {
        close_open(l, place);
        drop(l, place);
    }
    return look(l, LOOKAHEAD_CALLS);
}

bool check_linear_finish(struct check_linear *l)
{
    while (l->open_count > 0)
        close_unknown(l, l->open[0]);
    return look(l, 0);
}
