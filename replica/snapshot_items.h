/* replica/snapshot_items.h: what crosses between the roles about snapshots.
 *
 *   raft --jobs--> persist --events--> raft        a file is begun, fed, ended, repaired; what became of it
 *   raft --base change (in to_persist)--> persist  in its place among the log's steps
 *   store --emitted chunks--> persist              of a snapshot that this node makes
 *   store, raft --reads--> persist --the same--> store, raft    chunks of the current snapshot
 *
 * Numbers    Each BEGIN has a number above all before it; TABLE, CHUNK and END name it. Raft gives no BEGIN
 *            before the one before is answered, and gives one up by publishing `unwanted`, the highest
 *            number that is not wanted: that needs no room in a ring, and overtakes what waits there.
 * Answers    Each job and each base change has just one event as its answer, and at most
 *            SNAPSHOT_JOBS_MAX are without one; so the ring of events is never full.
 * Ownership  `bytes` of TABLE, CHUNK and REPAIR are lent until the answer, a base change too. A
 *            snapshot_read is lent with its memory between its two rings. The buffer of an emitted chunk
 *            is free again when `chunks_done` has counted it.
 */
#ifndef REPLICA_SNAPSHOT_ITEMS_H
#define REPLICA_SNAPSHOT_ITEMS_H

#include "persist/snapshot.h"
#include "persist/wal.h"

enum {
    SNAPSHOT_JOBS_MAX = 16,    /* without an answer; slots of both rings */
    SNAPSHOT_EMIT_BUFFERS = 4, /* chunks between store and persist; slots of that ring */
    SNAPSHOT_LOAD_BUFFERS = 2, /* chunks that the store reads ahead */
    SNAPSHOT_PULL_BUFFERS = 2, /* chunks of a snapshot that is arriving */
    SNAPSHOT_SERVE_BUFFERS = 2, /* chunks of ours that peers pull */
    SNAPSHOT_READS_MAX = 4,    /* of one role under way; slots of those rings */
    SNAPSHOT_BLOCK_CHUNKS = 4, /* that go to the disk in one write, up to SHARE_BYTES_MAX */
};

/* Published by the store while it loads: all of the snapshot is missing. */
#define SNAPSHOT_LACKS_ALL UINT64_MAX

enum snapshot_job_kind {
    SNAPSHOT_JOB_BEGIN,  /* start, own. READY or FAILED */
    SNAPSHOT_JOB_TABLE,  /* chunk, bytes, length: of the table of a pulled one, before its chunks. TAKEN or FAILED */
    SNAPSHOT_JOB_CHUNK,  /* bytes, length: the next of a pulled one. TAKEN or FAILED */
    SNAPSHOT_JOB_END,    /* that was the last of a pulled one. TAKEN or FAILED */
    SNAPSHOT_JOB_REPAIR, /* chunk, bytes, length: of the current one. REPAIRED or FAILED */
};

struct snapshot_job {
    enum snapshot_job_kind kind;
    bool own;        /* BEGIN: its chunks come from the store */
    uint64_t number; /* of the BEGIN */
    uint32_t chunk;
    uint32_t length;
    const uint8_t *bytes;
    struct snapshot_start start; /* BEGIN; its `config` is not used: */
    uint8_t config[SNAPSHOT_CONFIG_BYTES_MAX];
};

enum snapshot_event_kind {
    SNAPSHOT_EVENT_READY,   /* whole, flushed, named; `header` is its own. One that takes the place of a
                               damaged current file of the same index is current by now */
    SNAPSHOT_EVENT_TAKEN,
    SNAPSHOT_EVENT_REPAIRED,
    SNAPSHOT_EVENT_CURRENT, /* the base change is durable in both copies of the manifest */
    SNAPSHOT_EVENT_FAILED,  /* result: a negative errno; -ECANCELED: it was not wanted any more; -EINVAL: those bytes
                               are not the true ones, and are to be brought once more */
};

struct snapshot_event {
    enum snapshot_event_kind kind;
    enum snapshot_job_kind job; /* that it answers, unless it is CURRENT */
    uint64_t number;
    uint32_t chunk;
    int result;
    uint64_t took_ns;              /* READY: from its first operation of the disk to its name */
    struct snapshot_header header; /* READY */
};

/* store -> persist: the next chunk of the snapshot at `index`; all but the last are full. */
struct snapshot_chunk {
    uint64_t index;
    const uint8_t *bytes;
    uint32_t length;
    bool last;
};

/* raft -> persist, lent until CURRENT: what wal_set_base() is told. */
struct base_change {
    struct wal_base base; /* its `config` lies here: */
    uint8_t config[WAL_CONFIG_BYTES_MAX];
    bool cut;
};

#endif
