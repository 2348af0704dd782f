#include "sim/check_promise.h"

#include "base/assert.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { TERMS_MAX = 1 << 20 }; /* a run that gets there is a livelock */

struct promises {
    raft_node *vote; /* by term */
    uint64_t vote_capacity;
    raft_term vote_term;   /* newest in which it voted */
    raft_term term;        /* newest that it has spoken of durably */
    raft_term *entry_term; /* by index, up to `last` */
    uint64_t entry_capacity;
    raft_index last;
};

struct check_promise {
    struct check_report *report;
    struct promises node[RAFT_MEMBERS_MAX + 1];
};

struct check_promise *check_promise_create(void)
{
    struct check_promise *c = calloc(1, sizeof *c);

    ASSERT(c != NULL);
    return c;
}

void check_promise_destroy(struct check_promise *c)
{
    for (uint32_t n = 0; n <= RAFT_MEMBERS_MAX; n++) {
        free(c->node[n].vote);
        free(c->node[n].entry_term);
    }
    free(c);
}

void check_promise_reset(struct check_promise *c, struct check_report *report)
{
    c->report = report;
    for (uint32_t n = 0; n <= RAFT_MEMBERS_MAX; n++) {
        struct promises *p = &c->node[n];
        if (p->vote != NULL)
            memset(p->vote, 0, p->vote_capacity * sizeof *p->vote);
        p->vote_term = 0;
        p->term = 0;
        p->last = 0;
    }
}

static struct promises *promises_of(struct check_promise *c, raft_node node)
{
    ASSERT(node >= 1);
    ASSERT(node <= RAFT_MEMBERS_MAX);
    return &c->node[node];
}

static void raise_term(struct promises *p, raft_term term)
{
    if (term > p->term)
        p->term = term;
}

bool check_promise_vote(struct check_promise *c, raft_node node, raft_term term,
                        raft_node candidate)
{
    struct promises *p = promises_of(c, node);

    if (term == 0 || term >= TERMS_MAX)
        return check_fail(c->report, "one-vote-a-term", "node %u votes in term %" PRIu64, node,
                          term);
    p->vote = check_grow(p->vote, &p->vote_capacity, term + 1, sizeof *p->vote);
    if (p->vote[term] != 0 && p->vote[term] != candidate)
        return check_fail(c->report, "one-vote-a-term",
                          "node %u votes for %u and for %u in term %" PRIu64, node, p->vote[term],
                          candidate, term);
    p->vote[term] = candidate;
    if (term > p->vote_term)
        p->vote_term = term;
    raise_term(p, term);
    return true;
}

bool check_promise_match(struct check_promise *c, raft_node node, raft_term term, raft_index match,
                         const struct check_view *log)
{
    struct promises *p = promises_of(c, node);

    raise_term(p, term);
    if (match > log->last)
        return check_fail(c->report, "durable-before-ack",
                          "node %u acknowledges %" PRIu64 " and has entries up to %" PRIu64, node,
                          match, log->last);
    check_promise_kept(c, node, log);
    p->entry_term = check_grow(p->entry_term, &p->entry_capacity, match + 1, sizeof *p->entry_term);
    for (raft_index i = p->last + 1; i <= match; i++)
        p->entry_term[i] = log->term_at(log->log, i);
    if (match > p->last)
        p->last = match;
    return true;
}

void check_promise_kept(struct check_promise *c, raft_node node, const struct check_view *log)
{
    struct promises *p = promises_of(c, node);

    /* Equal at one (index, term) is equal below, so this ends at once but after a truncation. */
    while (p->last > 0 &&
           (p->last > log->last || log->term_at(log->log, p->last) != p->entry_term[p->last]))
        p->last--;
}

bool check_promise_recovered(struct check_promise *c, raft_node node,
                             const struct check_hard_state *state, const struct check_view *log)
{
    const struct promises *p = promises_of(c, node);

    if (state->term < p->term)
        return check_fail(c->report, "durable-before-ack",
                          "node %u recovers term %" PRIu64 " after it has spoken in %" PRIu64, node,
                          state->term, p->term);
    if (p->vote_term > 0 && state->term == p->vote_term && state->vote != p->vote[p->vote_term])
        return check_fail(c->report, "durable-before-ack",
                          "node %u voted for %u in term %" PRIu64 " and recovers a vote for %u",
                          node, p->vote[p->vote_term], state->term, state->vote);
    if (p->last > log->last)
        return check_fail(c->report, "durable-before-ack",
                          "node %u acknowledged up to %" PRIu64 " and recovers %" PRIu64, node,
                          p->last, log->last);
    if (p->last > 0 && log->term_at(log->log, p->last) != p->entry_term[p->last])
        return check_fail(c->report, "durable-before-ack",
                          "node %u acknowledged %" PRIu64 "@%" PRIu64 " and recovers @%" PRIu64,
                          node, p->last, p->entry_term[p->last], log->term_at(log->log, p->last));
    return true;
}

uint32_t check_promise_holders(const struct check_promise *c, raft_index index, raft_term term)
{
    uint32_t holders = 0;

    for (uint32_t n = 1; n <= RAFT_MEMBERS_MAX; n++) {
        const struct promises *p = &c->node[n];
        if (p->last >= index && p->entry_term[index] == term)
            holders |= 1U << (n - 1);
    }
    return holders;
}

uint32_t check_promise_voters(const struct check_promise *c, raft_term term, raft_node candidate)
{
    uint32_t voters = 0;

    for (uint32_t n = 1; n <= RAFT_MEMBERS_MAX; n++) {
        const struct promises *p = &c->node[n];
        if (p->vote_term >= term && p->vote[term] == candidate)
            voters |= 1U << (n - 1);
    }
    return voters;
}

raft_index check_promise_last(const struct check_promise *c, raft_node node)
{
    ASSERT(node <= RAFT_MEMBERS_MAX);
    return c->node[node].last;
}
