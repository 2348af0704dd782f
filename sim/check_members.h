/* sim/check_members.h: the configurations of a run, and what was decided under them.
 *
 *   one configuration    what stands at an (index, term) is one for all nodes; a node's configuration
 *                        in force is the newest one in its log, also after a truncation or a start
 *   one change at a time who leads appends a configuration when the one before it is committed
 *   quorums overlap      each quorum of a configuration meets each quorum of the next one
 *   decided by a quorum  check_members_decides(): who must have voted, or have an entry on disk
 *
 * A set of nodes has bit (node - 1) for each. Quorums are counted here from the flags alone; nothing
 * of raftcore is asked.
 */
#ifndef SIM_CHECK_MEMBERS_H
#define SIM_CHECK_MEMBERS_H

#include "raftcore/raft_types.h"
#include "sim/check.h"
#include "sim/check_log.h"

struct check_members;

/* A node as its turn left it. */
struct check_member_state {
    raft_node node;
    raft_term term; /* that it leads, or led when it appended that; 0: it did not */
    raft_index commit;
    raft_index index; /* of the configuration in force; 0: from bootstrap, or none */
    const struct raft_config *config;
};

struct check_members *check_members_create(void);
void check_members_destroy(struct check_members *c);
void check_members_reset(struct check_members *c, struct check_report *report);

/* A CONFIG record that leaves a node, or of a leader's log. */
bool check_members_record(struct check_members *c, raft_index index, raft_term term,
                          const struct raft_config *config);
bool check_members_in_force(struct check_members *c, const struct check_member_state *state,
                            const struct check_view *log);
/* The entry at `index` of `term`, a CONFIG, is committed: the first that is, or the next. */
bool check_members_commit(struct check_members *c, raft_index index, raft_term term);

/* True: `set` is a quorum, in both halves of a joint one. */
bool check_members_quorum(const struct raft_config *config, uint32_t set);
/* True: `set` is a quorum of a configuration in `log` that was in force since `from`, the index of
 * the one in force then. */
bool check_members_decides(const struct check_members *c, const struct check_view *log,
                           raft_index from, uint32_t set);
/* True: `node` votes in one of those; both halves count. */
bool check_members_votes(const struct check_members *c, const struct check_view *log,
                         raft_index from, raft_node node);
/* The newest committed one; NULL: none is. */
const struct raft_config *check_members_committed(const struct check_members *c);
/* The one that was committed at `index`; NULL: none was. */
const struct raft_config *check_members_at(const struct check_members *c, raft_index index);
/* True: whatever comes of the configurations that may be in force somewhere, the newest committed one
 * and all later ones, it can go on without `lost`, also once its learners are promoted. */
bool check_members_endure(const struct check_members *c, uint32_t lost);
/* All nodes that are named by one of them. */
uint32_t check_members_named(const struct check_members *c);

#endif
