/* replica/request_table.h: requests that wait on this node, and what became of them.
 *
 * Writes form a queue in order of arrival. In each term they are sent to its leader as one stream,
 * in queue order, and enter the log in that order; so the next entry with this node and boot as
 * origin is always that of the queue's head.
 *
 *      lost <= head <= acked <= next <= sent <= tail  (counters; slot = counter & mask)
 *      |       |       |        |       |       '-- newest request
 *      |       |       |        |       '-- never sent in the stream's term from here on
 *      |       |       |        '-- next to transmit (goes back to acked when an acknowledgement is late)
 *      |       |       '-- the leader has everything below
 *      |       '-- oldest whose entry has not been committed
 *      '-- from here to head: their fate can't be known, which is to be answered yet
 *
 * Fate (exact)  An entry of a later term than the stream's is committed: whatever of the stream
 *               has not come by then never will. It is sent again in the new term.
 * Doubt         A snapshot that is installed passes over entries which nobody here has seen. What of
 *               the stream had been sent by then, up to `doubt`, may be among them. It is not, if its
 *               own entry is seen to be committed after all; then those in front of it are, which were
 *               sent earlier, or never were entries. So when one comes, all in front of it are lost; and
 *               when none can come, all up to `doubt`: an entry of a later term is committed, or those up to
 *               `doubt` are acknowledged and all is fed that the leader's log had by then.
 *
 * Reads wait for a confirmation round, then for the store to get to the index it gave.
 *
 * Thread     The raft role only.
 */
#ifndef REPLICA_REQUEST_TABLE_H
#define REPLICA_REQUEST_TABLE_H

#include "base/request.h"
#include "raftcore/raft_types.h"

struct request_slot {
    struct request request;
    uint64_t arrived_ns;
};

struct request_table {
    struct request_slot *slot;
    uint64_t mask;
    uint64_t lost, head, acked, next, sent, tail;
    uint64_t doubt; /* at most sent; at or below head: none is in doubt */
    raft_index acked_last; /* entries of what is below `acked` stand at or below it; 0: not known */
    uint64_t stream_base; /* counter of the stream's position 0 */
    raft_term stream_term;
    uint64_t progress_ns; /* last acknowledgement that told something new */
};

struct read_slot {
    struct request request;
    uint64_t arrived_ns;
    raft_index index;  /* when confirmed */
    uint64_t until_ns; /* confirmed by lease: it must be served before; 0: whenever */
};

/* head <= confirmed <= tail; the number of a read is its counter. */
struct read_table {
    struct read_slot *slot;
    uint64_t mask;
    uint64_t head, confirmed, tail;
    uint64_t asked; /* highest number the core was told of */
};

#endif
