#include "sim/check_lease.h"

#include "base/assert.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    ROUNDS = 4096, /* the newest of those that share a place; an answer to another is not looked at */
    TERMS = 256,   /* of hand-overs, likewise */

    /* Of election_min: more than the 7/8 that a leader counts on, by a clock that is 5 % slow (0.921),
     * and less than what the fastest clock makes of all of it (0.952). */
    PART = 15,
    OF_WHOLE = 16,
};

struct asked {
    raft_term term;
    uint64_t round;
    uint64_t sent_ns; /* first */
};

struct vow {
    uint64_t incarnation;
    raft_term term;
    uint64_t until_ns;
};

struct check_lease {
    struct check_report *report;
    uint64_t promise_ns;
    struct asked asked[ROUNDS];
    raft_term handed_over[TERMS];
    struct vow vow[RAFT_MEMBERS_MAX + 1]; /* by node */
};

struct check_lease *check_lease_create(void)
{
    struct check_lease *c = calloc(1, sizeof *c);

    ASSERT(c != NULL);
    return c;
}

void check_lease_destroy(struct check_lease *c)
{
    free(c);
}

void check_lease_reset(struct check_lease *c, struct check_report *report, uint64_t promise_ns)
{
    memset(c, 0, sizeof *c);
    c->report = report;
    c->promise_ns = promise_ns / OF_WHOLE * PART;
}

static struct asked *place_of(struct check_lease *c, raft_term term, uint64_t round)
{
    return &c->asked[(term * 31 + round) % ROUNDS];
}

void check_lease_asks(struct check_lease *c, raft_term term, uint64_t round, uint64_t now_ns)
{
    struct asked *asked = place_of(c, term, round);

    if (c->promise_ns == 0 || round == 0 || (asked->term == term && asked->round == round))
        return;
    *asked = (struct asked){.term = term, .round = round, .sent_ns = now_ns};
}

void check_lease_answers(struct check_lease *c, raft_node node, uint64_t incarnation,
                         raft_term term, uint64_t round)
{
    const struct asked *asked = place_of(c, term, round);
    struct vow *vow = &c->vow[node];

    ASSERT(node <= RAFT_MEMBERS_MAX);
    if (c->promise_ns == 0 || round == 0 || asked->term != term || asked->round != round)
        return;
    const uint64_t until_ns = asked->sent_ns + c->promise_ns;
    if (vow->incarnation == incarnation && vow->until_ns >= until_ns)
        return;
    *vow = (struct vow){.incarnation = incarnation, .term = term, .until_ns = until_ns};
}

void check_lease_hands_over(struct check_lease *c, raft_term term)
{
    c->handed_over[term % TERMS] = term;
}

bool check_lease_helps(struct check_lease *c, raft_node node, uint64_t incarnation, raft_term term,
                       uint64_t now_ns)
{
    const struct vow *vow = &c->vow[node];

    ASSERT(node <= RAFT_MEMBERS_MAX);
    if (vow->incarnation != incarnation || term <= vow->term || now_ns >= vow->until_ns ||
        c->handed_over[term % TERMS] == term)
        return true;
    return check_fail(c->report, "lease-promise",
                      "node %u helps to elect in term %" PRIu64 ", %" PRIu64
                      " us before its promise to the leader of term %" PRIu64 " ends",
                      node, term, (vow->until_ns - now_ns) / 1000, vow->term);
}
