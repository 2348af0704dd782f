#include "sim/check_members.h"

#include "base/assert.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { NOT_FOUND = UINT32_MAX };

/* One that stands, or stood, in somebody's log; index 0: what bootstrap agreed on. */
struct known {
    raft_index index;
    raft_term term;
    bool followed; /* held against the one before it */
    bool committed;
    struct raft_config config;
};

struct check_members {
    struct check_report *report;
    struct known *known; /* ascending by index; of one index in the order they were seen */
    uint64_t capacity;
    uint32_t count;
    uint32_t committed; /* place in known[] of the newest committed one */
};

struct check_members *check_members_create(void)
{
    struct check_members *c = calloc(1, sizeof *c);

    ASSERT(c != NULL);
    return c;
}

void check_members_destroy(struct check_members *c)
{
    free(c->known);
    free(c);
}

void check_members_reset(struct check_members *c, struct check_report *report)
{
    c->report = report;
    c->count = 0;
    c->committed = NOT_FOUND;
}

static bool same_member(const struct raft_member *a, const struct raft_member *b)
{
    return a->node == b->node && a->incarnation == b->incarnation && a->replaces == b->replaces &&
           a->priority == b->priority && a->voter == b->voter && a->voter_old == b->voter_old &&
           a->leaves == b->leaves && a->promote == b->promote;
}

static bool same_config(const struct raft_config *a, const struct raft_config *b)
{
    if (a->count != b->count || a->joint != b->joint)
        return false;
    for (uint32_t i = 0; i < a->count; i++)
        if (!same_member(&a->member[i], &b->member[i]))
            return false;
    return true;
}

static uint32_t bit_of(raft_node node)
{
    ASSERT(node >= 1);
    ASSERT(node <= 32);
    return 1U << (node - 1);
}

static uint32_t voters_of(const struct raft_config *config, bool old_half)
{
    uint32_t set = 0;

    for (uint32_t i = 0; i < config->count; i++)
        if (old_half ? config->member[i].voter_old : config->member[i].voter)
            set |= bit_of(config->member[i].node);
    return set;
}

static bool is_majority(uint32_t set, uint32_t voters)
{
    return __builtin_popcount(set & voters) * 2 > __builtin_popcount(voters);
}

bool check_members_quorum(const struct raft_config *config, uint32_t set)
{
    return is_majority(set, voters_of(config, false)) &&
           (!config->joint || is_majority(set, voters_of(config, true)));
}

/* The place of the newest one at or below `index` that stands in `log`. */
static uint32_t newest_in(const struct check_members *c, const struct check_view *log,
                          raft_index index)
{
    for (uint32_t i = c->count; i > 0; i--) {
        const struct known *k = &c->known[i - 1];
        if (k->index <= index && k->index <= log->last &&
            (k->index == 0 || log->term_at(log->log, k->index) == k->term))
            return i - 1;
    }
    return NOT_FOUND;
}

bool check_members_record(struct check_members *c, raft_index index, raft_term term,
                          const struct raft_config *config)
{
    uint32_t at = c->count;

    while (at > 0 && c->known[at - 1].index > index)
        at--;
    for (uint32_t i = at; i > 0 && c->known[i - 1].index == index; i--) {
        if (c->known[i - 1].term != term)
            continue;
        return same_config(&c->known[i - 1].config, config) ||
               check_fail(c->report, "one-configuration",
                          "two configurations at %" PRIu64 "@%" PRIu64, index, term);
    }
    c->known = check_grow(c->known, &c->capacity, c->count + 1U, sizeof *c->known);
    memmove(&c->known[at + 1], &c->known[at], (c->count - at) * sizeof *c->known);
    c->known[at] = (struct known){.index = index, .term = term, .config = *config};
    c->count++;
    if (c->committed != NOT_FOUND && c->committed >= at)
        c->committed++;
    return true;
}

/* No quorum of one lies outside all quorums of the other: all sets of the members of both. */
static bool quorums_overlap(const struct raft_config *a, const struct raft_config *b)
{
    const uint32_t all =
        voters_of(a, false) | voters_of(a, true) | voters_of(b, false) | voters_of(b, true);

    for (uint32_t set = all; set != 0; set = (set - 1) & all) /* every subset but the empty one */
        if (check_members_quorum(a, set) && check_members_quorum(b, all & ~set))
            return false;
    return true;
}

/* Who appended it leads; what stands before it in the same log is what it follows. */
static bool check_follows(struct check_members *c, const struct check_member_state *state,
                          const struct check_view *log, uint32_t at)
{
    struct known *k = &c->known[at];
    const uint32_t before = k->index > 0 ? newest_in(c, log, k->index - 1) : NOT_FOUND;

    k->followed = true;
    if (before == NOT_FOUND)
        return true; /* what bootstrap agreed on stands at index 0, and follows nothing */
    if (c->known[before].index > state->commit)
        return check_fail(c->report, "one-change-at-a-time",
                          "node %u appends a configuration at %" PRIu64 ", the one at %" PRIu64
                          " is not committed",
                          state->node, k->index, c->known[before].index);
    if (!quorums_overlap(&c->known[before].config, &k->config))
        return check_fail(c->report, "quorums-overlap",
                          "the configurations at %" PRIu64 " and %" PRIu64 " have disjoint quorums",
                          c->known[before].index, k->index);
    return true;
}

bool check_members_in_force(struct check_members *c, const struct check_member_state *state,
                            const struct check_view *log)
{
    const raft_term term = state->index == 0 ? 0 : log->term_at(log->log, state->index);

    if (state->index > log->last || (state->index > 0 && term == 0))
        return check_fail(c->report, "one-configuration",
                          "the configuration of node %u is that of %" PRIu64
                          ", its log ends at %" PRIu64,
                          state->node, state->index, log->last);
    if ((state->term != 0 && state->term == term) ||
        (state->index == 0 && state->config->count > 0))
        check_members_record(c, state->index, term, state->config);
    const uint32_t at = newest_in(c, log, log->last);
    /* Without a configuration in its log a node may know what bootstrap agreed on, or not. */
    if (state->index == 0 && state->config->count == 0 &&
        (at == NOT_FOUND || c->known[at].index == 0))
        return true;
    if (at == NOT_FOUND || c->known[at].index != state->index)
        return check_fail(c->report, "one-configuration",
                          "the configuration of node %u is that of %" PRIu64
                          ", the newest in its log is at %" PRIu64,
                          state->node, state->index, at == NOT_FOUND ? 0 : c->known[at].index);
    if (!same_config(&c->known[at].config, state->config))
        return check_fail(c->report, "one-configuration",
                          "node %u has another configuration at %" PRIu64 "@%" PRIu64, state->node,
                          state->index, term);
    if (state->term == 0 || c->known[at].followed)
        return true;
    return check_follows(c, state, log, at);
}

bool check_members_commit(struct check_members *c, raft_index index, raft_term term)
{
    for (uint32_t i = c->count; i > 0; i--) {
        if (c->known[i - 1].index != index || c->known[i - 1].term != term)
            continue;
        c->committed = i - 1;
        c->known[i - 1].committed = true;
        return true;
    }
    return check_fail(c->report, "one-configuration",
                      "a configuration is committed at %" PRIu64 "@%" PRIu64
                      " that nobody ever had",
                      index, term);
}

/* The one before place `i` in `log`; NOT_FOUND: that at `i` was in force at `from` already. */
static uint32_t one_before(const struct check_members *c, const struct check_view *log, uint32_t i,
                           raft_index from)
{
    const raft_index index = c->known[i].index;
    return index == 0 || index <= from ? NOT_FOUND : newest_in(c, log, index - 1);
}

bool check_members_decides(const struct check_members *c, const struct check_view *log,
                           raft_index from, uint32_t set)
{
    for (uint32_t i = newest_in(c, log, log->last); i != NOT_FOUND; i = one_before(c, log, i, from))
        if (check_members_quorum(&c->known[i].config, set))
            return true;
    return false;
}

bool check_members_votes(const struct check_members *c, const struct check_view *log,
                         raft_index from, raft_node node)
{
    for (uint32_t i = newest_in(c, log, log->last); i != NOT_FOUND;
         i = one_before(c, log, i, from)) {
        const struct raft_config *config = &c->known[i].config;
        if (((voters_of(config, false) | voters_of(config, true)) & bit_of(node)) != 0)
            return true;
    }
    return false;
}

const struct raft_config *check_members_committed(const struct check_members *c)
{
    return c->committed == NOT_FOUND ? NULL : &c->known[c->committed].config;
}

const struct raft_config *check_members_at(const struct check_members *c, raft_index index)
{
    for (uint32_t i = c->count; i > 0 && c->known[i - 1].index >= index; i--)
        if (c->known[i - 1].index == index && c->known[i - 1].committed)
            return &c->known[i - 1].config;
    return NULL;
}

static bool endures(const struct raft_config *config, uint32_t lost)
{
    const uint32_t voters = voters_of(config, false);
    const uint32_t voters_old = voters_of(config, true);
    int least = __builtin_popcount(voters);
    uint32_t counted = voters | voters_old;

    if (config->joint && __builtin_popcount(voters_old) < least)
        least = __builtin_popcount(voters_old);
    for (uint32_t i = 0; i < config->count; i++)
        if (config->member[i].promote)
            counted |= bit_of(config->member[i].node);
    return __builtin_popcount(counted & lost) * 2 < least;
}

/* Place of the first that may still be in force somewhere. */
static uint32_t first_alive(const struct check_members *c)
{
    return c->committed == NOT_FOUND ? 0 : c->committed;
}

bool check_members_endure(const struct check_members *c, uint32_t lost)
{
    for (uint32_t i = first_alive(c); i < c->count; i++)
        if (!endures(&c->known[i].config, lost))
            return false;
    return c->count > 0;
}

uint32_t check_members_named(const struct check_members *c)
{
    uint32_t named = 0;

    for (uint32_t i = first_alive(c); i < c->count; i++)
        for (uint32_t m = 0; m < c->known[i].config.count; m++)
            named |= bit_of(c->known[i].config.member[m].node);
    return named;
}
