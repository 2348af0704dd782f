/* sim/check_snapshot.h: what snapshots hold, over all nodes and boots of a run.
 *
 * Method     The committed entries are replayed by a store that belongs to no node. At each snapshot
 *            point the checker is told what that store emits, and makes the file's header and digest
 *            of it. Everything that nodes have or send of that point is held against these bytes.
 *
 *   snapshot-equals-replay  a file that a manifest names, an offer of it, and each piece that travels are
 *                           what the replay makes at that index, byte for byte
 *   base-is-committed       the manifest's base, its chain and its configuration are those of the
 *                           committed entry, and it stands at or below a snapshot
 */
#ifndef SIM_CHECK_SNAPSHOT_H
#define SIM_CHECK_SNAPSHOT_H

#include "persist/snapshot_file.h"
#include "persist/wal.h"
#include "sim/check.h"
#include "sim/check_log.h"

struct check_snapshot;

struct check_snapshot_part {
    raft_index index; /* of the snapshot */
    bool table;       /* of the checksums of its chunks, not of its content */
    uint64_t offset;  /* in that */
    const uint8_t *bytes;
    uint64_t length;
};

struct check_snapshot *check_snapshot_create(void);
void check_snapshot_destroy(struct check_snapshot *c);
void check_snapshot_reset(struct check_snapshot *c, uint64_t cluster, uint32_t chunk_bytes,
                          struct check_report *report);

/* A configuration is committed; in the order of the log. */
void check_snapshot_config(struct check_snapshot *c, raft_index index, const uint8_t *payload,
                           uint32_t length);
/* The replay's content at the point `index`; in the order of the log. */
void check_snapshot_point(struct check_snapshot *c, raft_index index,
                          const struct check_entry *entry, const uint8_t *content, uint64_t length);

/* `node` has, or offers, a snapshot with this header; only what a header says of the content and of its
 * place in the log is looked at. */
bool check_snapshot_header(struct check_snapshot *c, raft_node node,
                           const struct snapshot_header *header);
/* These bytes of the content, or of the table, are in `node`'s file, or leave it. */
bool check_snapshot_bytes(struct check_snapshot *c, raft_node node,
                          const struct check_snapshot_part *part);
/* What `node`'s log stands on; `log` has what is committed. */
bool check_snapshot_base(struct check_snapshot *c, raft_node node, const struct wal_base *base,
                         const struct check_log *log);

/* Of the point; NULL: there is none at this index. */
const struct snapshot_header *check_snapshot_known(const struct check_snapshot *c,
                                                   raft_index index);
raft_index check_snapshot_last(const struct check_snapshot *c); /* newest point; 0: none */

#endif
