/* persist/snapshot.h: the snapshot files of a node: written and read in chunks, beside the log.
 *
 * A snapshot is content that persist does not look into, cut into chunks; its file format is
 * persist/snapshot_file.h. There is at most one that the log's manifest names, the current one, and
 * at most one that is being written:
 *
 *   IDLE --snapshot_begin--> TAKES --snapshot_end--> ENDS --(table, header, flush, name)--> READY
 *   READY --wal_set_base() that names it, both copies of the manifest durable--> IDLE: it is current
 *   TAKES, ENDS --a failure, snapshot_abandon()--> DROPS --(file removed)--> IDLE
 *
 * Which      What is written is one of these, and snapshot_begin() is told by its index:
 *            the manifest's own index    the current one anew, because it is missing or damaged beyond
 *                                        snapshot_repair(); the digest is known. What is left of
 *                                        the old file goes first. There is no READY: the manifest names
 *                                        it already, so with its name it is current (IDLE, WHOLE).
 *            a later one, up to commit   our own, or a peer's because ours is lost: READY, then
 *                                        wal_set_base() with the base where it is or later, no cut.
 *            a later one above commit    a peer's, to be installed: READY, then wal_set_base() at its
 *                                        index, with cut unless the log has that entry.
 *
 * Order      A manifest may name only what is READY or current; wal_set_base() asserts it. The file of the
 *            snapshot before is removed when both copies of the manifest name the new one.
 * Damage     Content is handed out only after its chunk was compared with its checksum, and the checksums
 *            with the digest in the manifest. A current snapshot whose file is damaged or missing
 *            does not keep the log from its work, nor the node from voting: what it lacks comes from
 *            whoever has the same snapshot, chunk by chunk (snapshot_repair()) or as a whole
 *            (snapshot_begin() with its index and digest).
 * Share      Every write and flush of a file, and every read for others, asks persist/share.h, so that the
 *            log never waits for more than one of them. A store that is loaded has the disk as the
 *            log has: reads for it ask nobody, and go ahead of who asks for them.
 * Errors     A file for which the disk has no room (disk_lacks_room()) was promised to nobody: it is
 *            removed and never written to again, snapshot_failure() tells errno, and
 *            SNAPSHOT_RETRY_NS later another one may be begun. Any other write, flush or name that
 *            fails, or is short, says that the disk under the log can't be relied on: wal_failed(),
 *            and the node stops. A read that fails is damage, and stops nothing. Once wal_failed()
 *            nothing is submitted here either.
 * Ownership  What is handed in is copied before the call returns; what is read lies in the caller's
 *            memory.
 * Thread     That of the log. snapshots_open() after wal_open() and before the first wal_poll().
 * Memory     snapshots_bytes() of it, lent by the caller, DISK_SECTOR aligned; afterwards none.
 */
#ifndef PERSIST_SNAPSHOT_H
#define PERSIST_SNAPSHOT_H

#include "persist/snapshot_file.h"
#include "persist/wal.h"

struct snapshots;

enum { SNAPSHOT_SENTENCE_BYTES = 256 };

/* After a failure no other is begun before so long. */
#define SNAPSHOT_RETRY_NS (1000 * 1000 * 1000ull)

struct snapshots_options {
    uint64_t bytes_max;   /* content of the largest */
    uint32_t chunk_bytes; /* SNAPSHOT_CHUNK_BYTES, or less in tests */
    uint32_t write_bytes; /* of one operation: a chunk at least, SHARE_BYTES_MAX at most */
};

enum snapshot_condition {
    SNAPSHOT_NONE,    /* the manifest names none */
    SNAPSHOT_WHOLE,   /* header and table are good, and are those of the digest */
    SNAPSHOT_MISSING, /* there is no file */
    SNAPSHOT_DAMAGED, /* its header or table is lost, or it is not the one that the manifest names */
};

/* What a start found. */
struct snapshots_found {
    enum snapshot_condition condition;
    uint32_t lost_copies;                   /* of header and rows, the other copy being good */
    uint32_t removed;                       /* files that nothing names */
    char sentence[SNAPSHOT_SENTENCE_BYTES]; /* why it is refused, or what is damaged */
};

struct snapshot_start {
    raft_index index; /* above that of the current one; or its own, if that is damaged or missing */
    raft_term term;
    uint32_t chain; /* header checksum of the record at `index` */
    raft_index config_index;
    const uint8_t *config; /* in force at `index` */
    uint32_t config_bytes;
    uint64_t room;     /* the content is at most so long: taken on the disk now */
    bool digest_known; /* it comes from a peer: room is just its length, snapshot_expect() goes first */
    uint64_t digest;
};

enum snapshot_stage {
    SNAPSHOT_IDLE,
    SNAPSHOT_TAKES,
    SNAPSHOT_ENDS,
    SNAPSHOT_READY,
    SNAPSHOT_DROPS
};

struct snapshot_read {
    raft_index index; /* of the current snapshot */
    uint32_t chunk;
    bool table;       /* not the content but the table is meant, cut into chunks of the same size: no disk is
                         read */
    uint8_t *content; /* at least chunk_bytes of the snapshot's header; any alignment */
    bool background;  /* it has a share of the disk (share.h): nobody here waits for it */
    /* set by snapshot_read_poll(): */
    uint32_t length;
    uint64_t offset; /* of the chunk in the file, to report damage with */
    uint32_t span;   /* bytes of it there */
    int result; /* 0; -ENOENT: it is not, or no more, the current one; -EBADMSG: damaged; -EIO and the
                   like: can't be read */
};

struct snapshot_counters {
    uint64_t written, dropped;
    uint64_t chunks_damaged, chunks_repaired;
    uint64_t chunks_refused; /* of peers, and tables, that were not what the digest says */
};

size_t snapshots_bytes(const struct snapshots_options *options);
/* Looks at the file that the manifest names, and removes all others; docs/recovery.md has the table.
 * 0, damaged or not; or a negative errno, and found->sentence is why the node must not start. */
int snapshots_open(struct snapshots **out, void *memory, struct wal *w,
                   const struct snapshots_options *options, struct snapshots_found *found);
/* After wal_poll(), which brings the completions. Work done; 0: idle. */
uint32_t snapshots_poll(struct snapshots *s, uint64_t now_ns);
/* When snapshots_poll() must be called next though nothing completes; UINT64_MAX: no need. */
uint64_t snapshots_next_ns(const struct snapshots *s);
/* The current one; NULL: there is none, or it is damaged or missing, see snapshot_condition(). */
const struct snapshot_header *snapshot_current(const struct snapshots *s);
enum snapshot_condition snapshot_condition(const struct snapshots *s);

/* 0; -EAGAIN: one is being written or dropped, or the retry is not due; -EFBIG: room is above bytes_max. */
int snapshot_begin(struct snapshots *s, const struct snapshot_start *start);
/* Of what comes from a peer: checksums of its chunks, 8 bytes each, from chunk `first` on: 0, or the one behind those
 * that are there. 0; -EINVAL: all are there and are not what the digest follows from, so none is kept; -ECANCELED as
 * below. */
int snapshot_expect(struct snapshots *s, uint32_t first, const uint8_t *checksums, uint32_t count);
/* The next chunk: all but the last have chunk_bytes. 0; -EAGAIN: after snapshots_poll(); -EINVAL: it has not
 * the checksum that is expected, and is not taken; -EFBIG: more than the room, and the file is dropped; -ECANCELED:
 * nothing is being taken, see snapshot_failure(). */
int snapshot_append(struct snapshots *s, const uint8_t *content, uint32_t length);
/* That was the last chunk; there was one. 0 or -ECANCELED. */
int snapshot_end(struct snapshots *s);
/* Whatever is being written, or READY and not given to wal_set_base(), is dropped. */
void snapshot_abandon(struct snapshots *s);
enum snapshot_stage snapshot_stage(const struct snapshots *s);
/* Content of the one that is being written that was taken, and how much there may be; 0 of 0: none is. */
struct snapshot_progress {
    raft_index index;
    uint64_t bytes, bytes_max;
};
struct snapshot_progress snapshot_progress(const struct snapshots *s);
/* Why the last one was dropped: a negative errno, -ECANCELED after snapshot_abandon(); 0: since snapshot_begin()
 * nothing failed. */
int snapshot_failure(const struct snapshots *s);
/* What wal_set_base() is told of it: index, term, bytes, digest. NULL: none is READY. */
const struct snapshot_header *snapshot_ready(const struct snapshots *s);

/* One read in the background and one that is not at a time. Begin: 0 or -EAGAIN. Poll, of one that was
 * begun: true when it is filled. Who asks for one chunk after the other is served from memory mostly. */
int snapshot_read_begin(struct snapshots *s, struct snapshot_read *read);
bool snapshot_read_poll(struct snapshots *s, struct snapshot_read *read);

/* The true content of a chunk of the current snapshot, to be written where it is damaged. 0: on its way;
 * -EAGAIN: another is; -EINVAL: it is not the true one; -ENOENT: there is no such chunk here. */
int snapshot_repair(struct snapshots *s, uint32_t chunk, const uint8_t *content, uint32_t length);
/* 1: on its way; 0: the last one is durable; else the negative errno by which it failed. */
int snapshot_repair_result(const struct snapshots *s);

const struct snapshot_counters *snapshot_counters(const struct snapshots *s);

#endif
