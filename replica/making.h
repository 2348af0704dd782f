/* replica/making.h: how this node comes to its own snapshots, and cuts its log behind them.
 *
 * Thread     The raft role only; `change` is lent to persist while NAMING.
 */
#ifndef REPLICA_MAKING_H
#define REPLICA_MAKING_H

#include "replica/snapshot_items.h"

enum { SNAPSHOT_POINTS_MAX = 8 };

/* A place of the log at which a snapshot may stand, or the log's base: an entry that was handed to the
 * store, and what was in force there. */
struct snapshot_point {
    raft_index index;
    raft_term term;
    uint32_t chain; /* its header checksum */
    raft_index config_index;
    uint32_t config_bytes;
    uint8_t config[SNAPSHOT_CONFIG_BYTES_MAX];
    uint64_t fed_bytes; /* of records, up to it, since the start */
};

enum making_state {
    MAKING_IDLE,
};

struct making {
    enum making_state state;
    struct base_change change;
};

#endif
