/* persist/wal.h: the replicated log on disk: append, flush in batches, cut, recover, read back.
 *
 * Unit       One record is one log entry (base/record.h). A batch is what one write makes durable:
 *            a header, records back to back, padding to DISK_SECTOR. Formats: docs/formats.md.
 * Group commit  Everything queued when a buffer is free goes out as one write with DSYNC; what
 *            arrives meanwhile forms the next batch. There is no timer that waits for company.
 * Base       Entries up to the log base are not in the log: a snapshot stands for them. Base, snapshot
 *            and configuration there are the manifest; wal_set_base() changes all of it or nothing.
 *            Segments below the log's start are used again for new ones, under a new generation.
 * Order      wal_durable() is the end of the longest flushed prefix of seqs; it never goes back.
 * Ownership  wal_append() copies the records into a batch buffer before it returns.
 * Thread     The persist lcore only; wal_open() before it runs.
 * Memory     wal_bytes() of it, lent by the caller, DISK_SECTOR aligned; afterwards none.
 * Errors     -EAGAIN from wal_append(): no buffer is free now; try again after wal_poll().
 *            -ENOSPC: no segment is prepared; likewise, and the node takes no entries meanwhile.
 *            A failed or short write or flush never returns: wal_failed() tells errno, and the
 *            owner stops the node with its own exit code; it is never retried.
 */
#ifndef PERSIST_WAL_H
#define PERSIST_WAL_H

#include <stddef.h>

#include "persist/disk.h"
#include "persist/share.h"
#include "raftcore/raft_types.h"

struct share;
struct wal;

enum {
    WAL_BATCH_BYTES_MAX = 4 << 20, /* one largest record and company */
    WAL_BATCH_BYTES_MIN = 4 * DISK_SECTOR,
    WAL_BUFFERS_MAX = 8,
    WAL_BUFFERS_DEFAULT = 4,
    WAL_FLIGHTS_DEFAULT = 1,
    WAL_CONFIGS_MAX = 4, /* the committed configuration and those above it; see RAFT_CONFIGS_MAX */
    WAL_AHEAD_MAX = 8,
    WAL_AHEAD_DEFAULT = 2,
    WAL_SPARES_MAX = 64,
    WAL_SPARES_DEFAULT = 16,
    WAL_ZEROS_BYTES_DEFAULT = 256 * 1024,
    /* About where zeros for a batch take as much of the disk's time as a first write adds to its flush
     * (0.13 ms: bench/results/). */
    WAL_ZEROS_BATCH_BYTES_DEFAULT = 256 * 1024,
    WAL_REFUSAL_BYTES = 256,
    WAL_CONFIG_BYTES_MAX = 256,
    /* Files of a log: slot 0 of disk.h is the superblock's, the last two are snapshots'. One that has so
     * many can't go on: whoever makes snapshots looks at wal_span() in time. */
    WAL_SEGMENTS_MAX = DISK_FILES_MAX - 3,
};

/* A log that has been silent for this long after a flush writes the durable mark, once. */
#define WAL_IDLE_MARK_NS (2 * 1000 * 1000ull)

struct wal_options {
    uint64_t cluster;
    uint64_t incarnation;
    uint64_t segment_bytes; /* a multiple of DISK_SECTOR, at least wal_segment_bytes_min() */
    uint32_t
        batch_bytes; /* largest batch: WAL_BATCH_BYTES_MIN .. _MAX, a multiple of DISK_SECTOR */
    uint32_t boot;   /* of this start; never used before */
    raft_node node;
    uint32_t buffer_count; /* batches being filled or written, 2 .. WAL_BUFFERS_MAX */
    uint32_t flights;  /* flushes in flight beside which a batch that is not full waits no more */
    uint32_t segments_ahead; /* prepared before they are needed, 1 .. WAL_AHEAD_MAX */
    uint32_t spares_max;     /* old segments kept to be used again, 0 .. WAL_SPARES_MAX */
    /* A new segment is filled in writes of so much: a multiple of DISK_SECTOR, at most
     * SHARE_BYTES_MAX. */
    uint32_t zeros_bytes;
    uint32_t zeros_batch_bytes; /* none for a log whose batches have more than that on average */
    uint32_t share_percent; /* of the disk's time for what is not the log: share.h */
    bool sync_by_fsync;     /* fdatasync after the write has completed, instead of RWF_DSYNC */
};

/* As a node has it that configures nothing of this; who, where and how large is the caller's. */
static inline struct wal_options wal_options_default(void)
{
    return (struct wal_options){
        .buffer_count = WAL_BUFFERS_DEFAULT,
        .flights = WAL_FLIGHTS_DEFAULT,
        .segments_ahead = WAL_AHEAD_DEFAULT,
        .spares_max = WAL_SPARES_DEFAULT,
        .zeros_bytes = WAL_ZEROS_BYTES_DEFAULT,
        .zeros_batch_bytes = WAL_ZEROS_BATCH_BYTES_DEFAULT,
        .share_percent = SHARE_PERCENT_DEFAULT,
    };
}

/* The largest step that wal_append() takes: what surely fits into one batch. */
static inline uint32_t wal_step_bytes_max(const struct wal_options *options)
{
    return options->batch_bytes - DISK_SECTOR;
}

/* A header in two copies, and whole batches behind it. */
static inline uint64_t wal_segment_bytes_min(const struct wal_options *options)
{
    return 2ull * DISK_SECTOR + 2ull * options->batch_bytes;
}

/* A CONFIG record of the log; its payload is a copy. */
struct wal_config {
    raft_index index;
    const uint8_t *payload;
    uint32_t payload_bytes;
};

/* Entries that were durable here and can't be read any more. The chain of header checksums names what
 * belongs there, from the top down: what fits next is the one record with index `next` and header
 * checksum `chain`. The hole is closed when that meets what lies below. */
struct wal_hole {
    raft_index last;      /* its top */
    raft_index next;      /* to be filled next */
    uint32_t chain;       /* header checksum of that record */
    raft_index below;     /* the last entry known in front of the damage */
    uint32_t below_chain; /* and its header checksum */
    raft_index floor;     /* committed by then: entries up to it are what they were, while those
                             above may have been replaced inside the hole */
};

enum {
    WAL_HOLES_MAX = 64,  /* more damage than that is no case for repair: another directory is */
    WAL_FILLS_MAX = 512, /* fills of up to a batch each */
};

/* What the log stands on. */
struct wal_base {
    raft_index index; /* the log begins with the entry after it; 0: with the first of all */
    raft_term term;
    uint32_t chain; /* header checksum of the record at `index` */
    raft_index
        snapshot_index; /* at least `index`; in between are entries for peers that are behind */
    uint64_t snapshot_bytes;
    uint64_t snapshot_digest;
    raft_index config_index; /* of the configuration in force at `index`; 0: none */
    const uint8_t *config;   /* payload of that record */
    uint32_t config_bytes;   /* at most WAL_CONFIG_BYTES_MAX */
};

/* What recovery found; all of it is durable. The arrays lie in the wal's memory until wal_close(). */
struct wal_recovered {
    raft_term term;
    raft_node vote;
    uint64_t vote_incarnation;
    raft_index last;
    raft_term last_term;
    uint32_t last_chain; /* header checksum of the last record */
    raft_index commit;
    struct wal_base base; /* its configuration lies there until the next wal_set_base() */
    uint32_t run_count;   /* above the base, at most RAFT_TERM_RUNS_MAX; with more it is refused */
    const raft_index *run_first;
    const raft_term *run_term;
    /* Those above `commit`, which may have to be undone, and the newest at or below; ascending. */
    uint32_t config_count;
    struct wal_config config[WAL_CONFIGS_MAX];
    uint64_t bytes_read;
    uint32_t torn_batches;                /* cut, above the durable mark */
    raft_index faulty_first, faulty_last; /* damage at or below the mark; first 0: none */
    uint32_t hole_count; /* not filled yet; ascending. Terms in a hole are guesses, but the last
                            entry's own; configurations in it are not known */
    struct wal_hole hole[WAL_HOLES_MAX];
    char refusal[WAL_REFUSAL_BYTES]; /* why wal_open() failed, a sentence */
};

enum wal_step_kind {
    WAL_STEP_NEXT, /* the log goes on, or is replaced from `first` on */
    WAL_STEP_FILL, /* records first .. last fill the top of what is left of a hole */
    WAL_STEP_CUT, /* no records: the log ends with entry `last`, of cut_term and cut_chain, which is in a
                      hole: another one than was there before, and what fills the hole follows from it */
};

/* One step's worth of persisting: a hard state, or records, or both; under one seq. FILL and CUT
 * have no seq and no hard state: wal_repairs_durable() counts them. */
struct wal_step {
    enum wal_step_kind kind;
    raft_term cut_term;
    uint32_t cut_chain;
    raft_seq seq;
    raft_term term; /* hard state, always given */
    raft_node vote;
    uint64_t vote_incarnation;
    raft_index commit;
    raft_index first, last; /* records; first > last: none. They replace whatever is at >= first */
    const uint8_t *bytes;   /* records back to back */
    uint32_t length;
    bool from_reserve; /* small, and must not wait for room: a new leader's own entry */
};

struct wal_read {
    raft_index first, last; /* read from first on, as many whole records as fit, at most to last */
    raft_term term; /* all of [first, last] is of this term; other records are passed over */
    uint8_t *bytes; /* DISK_SECTOR aligned is not needed */
    uint32_t size;  /* at least one largest record */
    bool background; /* nobody here waits for it: it has a share of the disk (share.h), and reads no more at
                        once than SHARE_BYTES_MAX or one batch */
    /* set by wal_read_poll(): */
    uint32_t count;
    uint32_t length;
    int result; /* 0; -ENOENT: not in the log; -EIO or -EBADMSG: damage */
};

struct wal_counters {
    uint64_t batches, records, bytes, flushes, segments;
    uint64_t recycled, removed; /* segments that fell below the log's start */
    uint64_t flush_ns_last; /* submission to completion of the newest, by the times given to poll */
};

/* What the log occupies: files from the one where a start would begin to the one that is written to,
 * and the bytes in them that are in use. What is prepared, or waits to be used again, does not count. */
struct wal_span {
    uint32_t segments; /* at least 1, and less than WAL_SEGMENTS_MAX */
    uint64_t bytes;
};

size_t wal_bytes(const struct wal_options *options);
/* Recovers, goes on in a new segment, and returns 0 when everything reported is durable; else a
 * negative errno with a sentence in recovered->refusal. */
int wal_open(struct wal **out, void *memory, struct disk *disk, const struct wal_options *options,
             struct wal_recovered *recovered);

/* 0, -EAGAIN, -ENOSPC; -EIO once wal_failed(). FILL: -EINVAL, not what is missing next; -EOVERFLOW,
 * the hole is in too many pieces. */
int wal_append(struct wal *w, const struct wal_step *step);
/* Steps of kind FILL and CUT that are durable, since the start. */
uint64_t wal_repairs_durable(const struct wal *w);
/* Runs of terms and the last entry as they are with all that was filled; arrays as in
 * wal_recovered. Only while nothing is on its way to the log. */
void wal_report(const struct wal *w, struct wal_recovered *out);
bool wal_hole_is_closed(const struct wal_hole *hole);
/* The log stands on `base` once step->seq is durable, and not a part of it before; the step has no
 * records. Neither the base nor its snapshot goes back, and one of them moves: the base may stay where it
 * is, also at 0, under a newer snapshot, or come after it later. The snapshot is committed. Entries above
 * the base stay, the log reaches the snapshot at least, and the entry at the base has its chain value; or
 * with `cut` (a snapshot from a peer takes the place of the log) none stays. A log that does not
 * reach the snapshot, or has another entry there, is cut. Once snapshots_open() was called, the snapshot
 * is READY or the current one (snapshot.h). 0; -EAGAIN: a change is under way, or no buffer is free;
 * -EIO once wal_failed(). */
int wal_set_base(struct wal *w, const struct wal_step *step, const struct wal_base *base, bool cut);
/* A change of the base is not durable yet in both copies of the manifest. */
bool wal_base_changes(const struct wal *w);
uint32_t wal_poll(struct wal *w, uint64_t now_ns); /* work done; 0: idle */
raft_seq wal_durable(const struct wal *w);
/* For checkers: where wal_durable() ends on disk. `back` 0: in the newest segment that has any of it; 1: in
 * the one before. All bytes of the range must be flushed. False: there is none so far back. */
struct wal_range {
    uint32_t slot; /* of disk.h */
    uint64_t offset, length;
};
bool wal_durable_range(const struct wal *w, uint32_t back, struct wal_range *out);
int wal_failed(const struct wal *w); /* 0, or the negative errno that stops the node */
/* Room in bytes: steps with records whose wal_step_cost() is not more in sum will be taken, also when
 * no segment can be prepared any more and a few steps without records come between. */
uint64_t wal_room(const struct wal *w);
/* What a step of `length` bytes of records takes of it at most: a batch of its own. */
uint64_t wal_step_cost(uint32_t length);
/* The largest step would be taken. */
bool wal_has_room(const struct wal *w);
/* When wal_poll() must be called next though nothing arrives; UINT64_MAX: no need. */
uint64_t wal_next_ns(const struct wal *w);
/* When the oldest batch in flight was submitted; 0: none. For whoever looks on: the rules of the slow disk
 * count from when a step was handed over, which covers what waits in front of the disk too. */
uint64_t wal_oldest_unflushed_ns(const struct wal *w);
const struct wal_counters *wal_counters(const struct wal *w);
struct wal_span wal_span(const struct wal *w); /* grows with the log, falls behind wal_set_base() */
/* For whoever else has something to do on this disk. */
struct share *wal_share(struct wal *w);

/* One read at a time. Begin: 0 or -EAGAIN. Poll: true when `read` is filled. */
int wal_read_begin(struct wal *w, struct wal_read *read);
bool wal_read_poll(struct wal *w);

#endif
