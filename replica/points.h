/* replica/points.h: where a snapshot of this node may stand, and where its log may begin.
 *
 * A point is an entry that was handed to the store, with what was in force there: the SNAPSHOT records, of
 * which the newest few are remembered, the snapshot of a start, and always the log's base. Between
 * any two it is known how long the log is.
 *
 * Thread     The raft role only.
 */
#ifndef REPLICA_POINTS_H
#define REPLICA_POINTS_H

#include "base/record.h"
#include "persist/snapshot.h"
#include "persist/wal.h"

struct replica;

enum { POINTS_MAX = 8 };

struct point {
    raft_index index;
    raft_term term;
    uint32_t chain; /* its header checksum */
    raft_index config_index; /* of the configuration in force; 0: none */
    uint32_t config_bytes;
    uint8_t config[SNAPSHOT_CONFIG_BYTES_MAX];
    uint64_t fed_bytes; /* of records up to it; see struct points */
};

struct points {
    struct point at[POINTS_MAX]; /* ascending; the first is the log's base */
    uint32_t count;
    struct point fed;   /* the newest entry that was fed: its config and fed_bytes only. A start begins with
                           all bytes of the log, so what follows the snapshot is counted twice: then
                           the log is cut a little more */
    raft_index newest;  /* SNAPSHOT record, or the snapshot of a start */
    uint64_t newest_bytes, newest_ns; /* fed_bytes there, and when it was fed */
};

/* `snapshot`: that of the manifest; NULL: there is none, or its header can't be read. */
void points_open(struct replica *r, const struct wal_recovered *log,
                 const struct snapshot_header *snapshot);
/* The next entry goes to the store. */
void points_on_fed(struct replica *r, const struct record_header *record);
/* The store continues from this snapshot, whatever was fed before; the log may have another base. */
void points_begin_at(struct replica *r, const struct snapshot_header *snapshot);
/* NULL: it is not remembered. */
const struct point *points_find(const struct points *points, raft_index index);
/* The base for a log with this snapshot: its point, or an older one, for peers that are behind. */
const struct point *points_choose_base(struct replica *r, const struct snapshot_header *snapshot);
/* Its segments are needed more than what is in them. */
bool points_log_is_cramped(const struct replica *r);
/* The log begins behind `index` from now on. */
void points_set_base(struct points *points, raft_index index);

#endif
