/* sim/check_promise.h: what a node has promised by frames that left it, held against what it has
 * after a crash.
 *
 *   one vote a term     a node votes for one candidate in a term, in all its lives together
 *   durable before ack  entries acknowledged and votes given survive any loss of what was unflushed
 *   durable quorum      what is committed was promised by a majority
 *
 * A promise of entries ends when a later leader has its node replace them: check_promise_kept()
 * notices that while the node lives. A crash may then bring back the old entries or the new ones.
 */
#ifndef SIM_CHECK_PROMISE_H
#define SIM_CHECK_PROMISE_H

#include "raftcore/raft_types.h"
#include "sim/check.h"
#include "sim/check_log.h"

struct check_promise;

struct check_hard_state {
    raft_term term;
    raft_node vote; /* in `term`; 0: none */
};

struct check_promise *check_promise_create(void);
void check_promise_destroy(struct check_promise *c);
void check_promise_reset(struct check_promise *c, struct check_report *report);

/* A vote of `node` for `candidate` left it. */
bool check_promise_vote(struct check_promise *c, raft_node node, raft_term term,
                        raft_node candidate);
/* `node` acknowledged its log up to `match`, in `term`. `log` is what it holds. */
bool check_promise_match(struct check_promise *c, raft_node node, raft_term term, raft_index match,
                         const struct check_view *log);
/* A living node's log as it is now: entries it has replaced are no longer promised. */
void check_promise_kept(struct check_promise *c, raft_node node, const struct check_view *log);
/* What recovery found, after a crash or in an image of one. */
bool check_promise_recovered(struct check_promise *c, raft_node node,
                             const struct check_hard_state *state, const struct check_view *log);
/* Nodes that promised `index` of `term`, as a set: bit (node - 1). */
uint32_t check_promise_holders(const struct check_promise *c, raft_index index, raft_term term);
/* Nodes whose vote in `term` for `candidate` has left them, likewise. */
uint32_t check_promise_voters(const struct check_promise *c, raft_term term, raft_node candidate);
raft_index check_promise_last(const struct check_promise *c, raft_node node);

#endif
