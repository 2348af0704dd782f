/* replica/admin_table.h: requests of operators (base/admin.h) that wait on this node.
 *
 *   FREE -- admin_take() --> ASKED -- the core took it --> RUNNING -- its fate is known --> DONE
 *    ^                         '-------- the core refused it --------------------------------^ |
 *    '-------------------------------------------------- the answer has found room ------------'
 *
 * Thread     The raft role only.
 */
#ifndef REPLICA_ADMIN_TABLE_H
#define REPLICA_ADMIN_TABLE_H

#include "base/admin.h"
#include "base/request.h"
#include "raftcore/raft_types.h"

enum { ADMIN_WAITING_MAX = 4 }; /* the core runs one change and one transfer at a time */

enum admin_state { ADMIN_FREE, ADMIN_ASKED, ADMIN_RUNNING, ADMIN_DONE };

struct admin_slot {
    enum admin_state state;
    struct admin_request request;
    uint64_t arrived_ns;
    raft_term term;       /* RUNNING: in which we took it */
    raft_index index;     /* RUNNING, a change: of its first entry */
    raft_node target;     /* RUNNING, a transfer: whom the core has chosen */
    struct answer answer; /* its tag from the start; DONE: all of it */
};

struct admin_table {
    uint32_t count; /* of slots that are not FREE */
    struct admin_slot slot[ADMIN_WAITING_MAX];
};

#endif
