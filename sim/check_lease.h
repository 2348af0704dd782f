/* sim/check_lease.h: what reads by lease rest on, held against the frames that leave.
 *
 * A leader reads by its lease until 7/8 of election_min after it has sent a round of heartbeats that a
 * quorum answers. So whoever has answered one helps to elect nobody else for so long: it grants no
 * vote in a later term, and does not stand itself. (A PreVote binds nobody: one that was granted may
 * leave behind the answer to a round that was heard after it.) Only a candidate that the leader has
 * asked to take over is helped. A stale read needs much more to go wrong, in the right order; this
 * sees the promise broken, whatever comes of it.
 *
 * Time      The simulation's. Clocks of nodes are up to 5 % fast or slow, and that is all they may be.
 */
#ifndef SIM_CHECK_LEASE_H
#define SIM_CHECK_LEASE_H

#include "raftcore/raft_types.h"
#include "sim/check.h"

struct check_lease;

struct check_lease *check_lease_create(void);
void check_lease_destroy(struct check_lease *c);
/* `promise_ns`: election_min; 0: nothing is checked, for leases are off. */
void check_lease_reset(struct check_lease *c, struct check_report *report, uint64_t promise_ns);

/* A heartbeat of the leader of `term` left it, with the number of a round; 0: of none. */
void check_lease_asks(struct check_lease *c, raft_term term, uint64_t round, uint64_t now_ns);
/* An incarnation of `node` answered it. */
void check_lease_answers(struct check_lease *c, raft_node node, uint64_t incarnation,
                         raft_term term, uint64_t round);
/* A request for votes in `term` says that the leader before wants it. */
void check_lease_hands_over(struct check_lease *c, raft_term term);
/* It helps somebody to lead in `term`, be it itself: a vote left it. */
bool check_lease_helps(struct check_lease *c, raft_node node, uint64_t incarnation, raft_term term,
                       uint64_t now_ns);

#endif
