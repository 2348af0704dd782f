/* persist/wal_internal.h: struct wal and what the files of the log share among themselves.
 *
 *   wal.c       its turn: what completed, then what can be submitted
 *   open.c      its memory, and a start
 *   append.c    the open batch is filled; room.c says for how long yet
 *   submit.c    batches get their place, are written and flushed
 *   durable.c   what completes makes the log durable, in order
 *   base.c      the manifest changes
 *   prepare.c   the next segments, made ahead
 *   recycle.c   segments below the log's start are used again or removed
 *   recovery.c  what a start decides; scan.c reads for it, recovery_report.c tells
 *   view.c, holes.c, places.c    what the log contains: content_internal.h
 *   reserve.c   room that is left to snapshots
 *   reader.c    old records back from disk
 *   window.c    bytes of a segment in memory while the next ones are read, for scan.c and reader.c
 *   snapshot_*  the files that a base names: snapshot_internal.h
 *
 * A batch is a number; its buffer is number % buffer_count:
 *
 *      oldest_number <= submit_number <= open_number < oldest_number + buffer_count
 *      |-- in flight or flushed --|-- closed, waits --|-- being filled
 *
 *   FILLING --wal_append (full), submit_next (its turn)--> CLOSED --submit_next--> WRITING
 *   WRITING --wal_on_batch_written--> FLUSHED, or with sync_by_fsync: --> UNSYNCED
 *   UNSYNCED --submit_sync--> SYNCING --wal_on_batch_synced--> FLUSHED
 *   FLUSHED --advance_durable, oldest first--> the buffer is free for number + buffer_count
 */
#ifndef PERSIST_WAL_INTERNAL_H
#define PERSIST_WAL_INTERNAL_H

#include "base/mark.h"
#include "persist/batch.h"
#include "persist/content_internal.h"
#include "persist/segment.h"
#include "persist/wal.h"
#include "persist/window_internal.h"

enum {
    WAL_SLOT_FIRST = 1,
    WAL_SLOT_SNAPSHOT = DISK_FILES_MAX - 2,
    WAL_REAP_MAX = 64, /* completions in one turn */
    /* Of the last segment, for steps without records: so much at least, and one part in so many. */
    WAL_RESERVE_BYTES_MIN = 4 * DISK_SECTOR,
    WAL_RESERVE_DIVISOR = 16,
};

/* Disk full while a segment was being prepared: tried again so much later. */
#define WAL_PREPARE_RETRY_NS (100 * 1000 * 1000ull)

/* What a cookie is about: its highest byte; the rest is a batch number. */
enum wal_op {
    WAL_OP_BATCH_WRITE = 1,
    WAL_OP_BATCH_SYNC,
    WAL_OP_PREPARE,
    WAL_OP_ZEROS,
    WAL_OP_READ,
    WAL_OP_BASE,
    WAL_OP_REMOVE,   /* the rest is a slot */
    WAL_OP_SNAPSHOT, /* the rest is enum snapshot_op */
    WAL_OP_RESERVE,  /* a look */
};
enum { WAL_OP_SHIFT = 56 };

static inline uint64_t wal_cookie(enum wal_op op, uint64_t number)
{
    return (uint64_t)op << WAL_OP_SHIFT | number;
}

struct wal_segment {
    uint64_t generation;
    uint64_t bytes;
    uint64_t end;          /* of the batches that count; the current one's: where the next goes */
    uint64_t first_number; /* of its first batch; 0: it has none */
    raft_index goes_on;    /* where the log goes on with that batch; 0: not known */
    uint32_t first_crc;    /* header checksum of the batch before that one */
    uint32_t slot;
    bool own; /* made by this process: no write of another can still reach it */
};

enum wal_buffer_state {
    WAL_BUFFER_FREE,
    WAL_BUFFER_FILLING,
    WAL_BUFFER_CLOSED,
    WAL_BUFFER_WRITING,
    WAL_BUFFER_UNSYNCED, /* written, waits for its SYNC to be submitted */
    WAL_BUFFER_SYNCING,
    WAL_BUFFER_FLUSHED,
};

struct wal_buffer {
    enum wal_buffer_state state;
    bool has_steps;   /* else the batch carries nothing but the mark */
    bool repairs;     /* it is a step of kind FILL or CUT */
    raft_index fills; /* lowest entry that it fills; 0: none */
    uint8_t *bytes;
    struct batch_header header; /* sealed and placed when submitted */
    raft_index first_index;     /* lowest index of its records; 0: none */
    struct wal_place place;
    uint64_t submitted_ns;
};

/* The diagram is in prepare.c. */
enum wal_prepare_state {
    WAL_PREPARE_NONE,
    WAL_PREPARE_CREATING,
    WAL_PREPARE_ZEROING,   /* one piece after another, as long as it pays */
    WAL_PREPARE_FLUSHING,  /* the file */
    WAL_PREPARE_NAMING,    /* it gets its name */
    WAL_PREPARE_DROPPING,  /* its removal waits to be submitted */
    WAL_PREPARE_UNWRITTEN, /* its header waits to be submitted */
    WAL_PREPARE_WRITING,
    WAL_PREPARE_UNSYNCED,
    WAL_PREPARE_SYNCING,
};

/* A segment with a header and without batches. */
struct wal_prepared {
    struct wal_segment segment;
    struct segment_header header;
};

struct wal_prepare {
    enum wal_prepare_state state; /* of `making` */
    struct wal_prepared making;
    bool in_flight;    /* ZEROING to NAMING: what the state says was submitted */
    uint64_t zeroed;   /* bytes of `making` */
    uint64_t spare;    /* `making` is a spare, of this generation; 0: a new file */
    uint8_t *zeros;    /* options.zeros_bytes of them */
    uint64_t retry_ns; /* not before */
    uint8_t *headers;  /* SEGMENT_DATA_OFFSET bytes */
    uint32_t ready_count;
    struct wal_prepared ready[WAL_AHEAD_MAX]; /* in the order of the log */
};

enum wal_base_state {
    WAL_BASE_NONE,
    WAL_BASE_WAITS,     /* for the batches before it to be durable */
    WAL_BASE_UNWRITTEN, /* a copy of the header waits to be submitted */
    WAL_BASE_WRITING,
    WAL_BASE_UNSYNCED,
    WAL_BASE_SYNCING,
};

/* A change of the manifest on its way. */
struct wal_base_change {
    enum wal_base_state state;
    uint32_t copy;    /* of the header, being written */
    uint64_t barrier; /* batches from this one on wait for it; 0: none do */
    bool cut;
    struct segment_manifest manifest; /* start and number are set when it is composed */
    struct segment_header header;     /* with it, of the segment that was in use then */
    uint32_t slot;                    /* of that segment */
    uint8_t *sector;
};

struct wal_recycle {
    uint64_t below_generation; /* older segments are not needed, for the durable manifest says so */
    uint32_t spare_count;
    struct wal_segment spare[WAL_SPARES_MAX];
};

struct wal_reader {
    struct wal_read *read; /* NULL: none */
    raft_index next;       /* wanted now; between reads: what followed the last one */
    bool reads_on;         /* it begins where the one before ended */
    bool reads_ahead;      /* and the disk may be busy for it before it is asked */
    struct wal_place at;   /* the batch looked at */
    struct wal_place
        left; /* where the last read stopped, in front of `next`; segment UINT32_MAX: not known */
    bool in_fill;          /* what is read fills a hole, and stands out of order */
    struct wal_place stop; /* the first record stands before it; segment UINT32_MAX: no limit */
    raft_index last;       /* read to here at most: what follows stands elsewhere */
    int damage;            /* why something on the way could not be read; 0: everything could */
    bool shared;           /* what is in flight has the share of the disk */
    bool wants;            /* it was refused, and asks again */
    bool careful;          /* a disk read failed: no more than needed is read at once */
    /* Of WAL_BATCH_BYTES_MAX: an earlier start may have had other settings. What is durable never changes. */
    struct wal_window window;
    uint64_t
        needed_bytes; /* from `at` on: what the read in flight, if careful, is to bring and no more */
};

struct reserve;
struct snapshots;

struct wal {
    struct disk *disk;
    struct snapshots
        *snapshots;          /* NULL: not opened; then the caller vouches for what a base names */
    struct reserve *reserve; /* NULL: not opened; all room is the log's */
    struct share share;      /* of the disk, for what is not the log */
    struct wal_options options;
    int failed;
    uint64_t now_ns;

    uint64_t oldest_number;
    uint64_t submit_number;
    uint64_t open_number;
    uint32_t flights;      /* submitted and not flushed, mark batches not counted */
    uint32_t previous_crc; /* header checksum of batch submit_number - 1 */
    raft_seq last_seq;     /* appended */
    uint64_t closed_bytes; /* on disk, of the batches that are closed and not submitted */
    raft_term term;        /* hard state */
    raft_node vote;
    uint64_t vote_incarnation;
    raft_index commit;

    raft_seq durable_seq;
    uint64_t durable_number;
    struct wal_place durable_end;
    bool mark_wanted; /* something was flushed that no mark covers yet */
    uint64_t idle_since_ns;

    uint32_t segment_count; /* the last one is written to */
    uint64_t full_bytes;    /* in use in those before it */
    uint64_t generation_next;
    struct segment_manifest manifest; /* durable */
    struct segment_header header;     /* of the current segment */
    struct wal_base_change base;
    struct wal_recycle recycle;
    struct wal_prepare prepare;
    struct wal_counters counters;
    struct wal_reader reader;
    struct wal_view view;
    struct wal_holes holes;
    uint64_t repairs_durable;
    struct wal_buffer buffer[WAL_BUFFERS_MAX];
    uint8_t *config_payload;
    char (*names)[DISK_NAME_BYTES]; /* of a start: WAL_SEGMENTS_MAX + 1 */
    bool slot_taken[DISK_FILES_MAX];
    struct wal_segment segment[WAL_SEGMENTS_MAX];
    struct wal_places places;
};

static inline struct wal_buffer *wal_buffer_of(struct wal *w, uint64_t number)
{
    return &w->buffer[number % w->options.buffer_count];
}

static inline struct wal_segment *wal_current(struct wal *w)
{
    ASSERT(w->segment_count > 0);
    return &w->segment[w->segment_count - 1];
}

/* Where the log goes on with a batch: with its first record, or behind its last entry. */
static inline raft_index wal_batch_goes_on(const struct batch_header *h, const uint8_t *records)
{
    const bool brings = h->record_count > 0 && (h->flags & BATCH_FILLS) == 0;
    return brings ? record_at(records)->index : h->last_index + 1;
}

static inline struct batch_place wal_batch_place(const struct wal *w, struct wal_place place)
{
    ASSERT(place.segment < w->segment_count);
    return (struct batch_place){
        .incarnation = w->options.incarnation,
        .node = w->options.node,
        .generation = w->segment[place.segment].generation,
        .offset = place.offset,
    };
}

static inline bool wal_is_filling(const struct wal *w)
{
    return w->open_number - w->oldest_number < w->options.buffer_count &&
           w->buffer[w->open_number % w->options.buffer_count].state == WAL_BUFFER_FILLING;
}

/* open.c. The memory of a log, laid out and empty. */
struct wal *wal_init(void *memory, struct disk *disk, const struct wal_options *options);

/* wal.c. A failed or short operation of the log: nothing is submitted any more. */
void wal_fail(struct wal *w, int64_t result);
void wal_on_done(struct wal *w, const struct disk_done *done);

/* append.c. The buffer of the open batch, begun if it is not; NULL: all are in use. */
struct wal_buffer *wal_open_buffer(struct wal *w);
/* Sees to it that there is an open batch without steps. 0 or -EAGAIN, and then nothing has changed. */
int wal_begin_batch(struct wal *w);
/* What holds after a batch. */
void wal_state_to_header(const struct wal *w, struct batch_header *h);

/* room.c. On disk, of everything that waits to be submitted. */
uint64_t wal_queued_bytes(const struct wal *w);
/* For steps without records when no segment can be prepared any more. */
uint64_t wal_reserve_bytes(const struct wal *w);
/* Batches of so many bytes in sum surely find their place in the segments that there are. */
uint64_t wal_free_bytes(const struct wal *w);

/* submit.c. What is due and the disk takes; how many batches. */
uint32_t wal_submit_batches(struct wal *w);
/* Writes a batch without records; nothing may be queued. False: the disk takes none now. */
bool wal_submit_mark(struct wal *w);
/* With sync_by_fsync: the flushes of what has been written. */
uint32_t wal_submit_syncs(struct wal *w);

/* durable.c. Results are as in disk_done. */
void wal_on_batch_written(struct wal *w, struct wal_buffer *b, int64_t result);
void wal_on_batch_synced(struct wal *w, struct wal_buffer *b, int64_t result);

/* scan.c: for a start, which waits for what it needs. While it looks at that the next piece is being read. */
struct wal_scan {
    struct wal *wal;
    struct wal_window window; /* in the batch buffers, all of them */
    uint64_t bytes_read;
    uint32_t unreadable; /* sectors */
    /* The one of them that is last in the log; those of headers of segments are left out. */
    struct wal_place unreadable_last;
};

void wal_scan_init(struct wal_scan *s, struct wal *w);
/* The bytes from `place` on, `need` of them; sectors that can't be read are zeros. NULL: they are
 * not all in front of `limit`, or do not fit into the window. Valid until the next call. */
uint8_t *wal_scan_at(struct wal_scan *s, struct wal_place place, uint64_t need, uint64_t limit);
/* Likewise into the caller's memory: what the window holds and goes on with stays. */
void wal_scan_read(struct wal_scan *s, struct wal_place place, uint8_t *bytes, uint64_t length);
/* Waits until nothing is being read any more. */
void wal_scan_settle(struct wal_scan *s);
/* Likewise, and what was read is forgotten. */
void wal_scan_forget(struct wal_scan *s);
/* One operation from submission to completion; result as in disk_done. */
int64_t wal_do(struct wal *w, const struct disk_op *op);
/* Writes and flushes as the options say: 0 or a negative errno. */
int wal_do_write(struct wal *w, const struct disk_op *op);

/* recovery.c */
int wal_recover(struct wal *w, struct wal_recovered *out);

/* prepare.c */
uint32_t wal_prepare_poll(struct wal *w);
void wal_prepare_on_done(struct wal *w, int64_t result);
void wal_prepare_on_zeros(struct wal *w, int64_t result);
uint64_t wal_prepare_next_ns(const struct wal *w);
/* Makes the oldest prepared segment the current one; there must be one. */
void wal_roll(struct wal *w);
/* A segment's header as this process writes it: kind and what it continues are the caller's. */
struct segment_header wal_segment_header(const struct wal *w, const struct wal_segment *s,
                                         enum segment_kind kind);

/* base.c */
uint32_t wal_base_poll(struct wal *w);
void wal_base_on_done(struct wal *w, int64_t result);
/* The batch must wait for a manifest. */
bool wal_base_holds(const struct wal *w, uint64_t number);

/* recycle.c */
uint32_t wal_recycle_poll(struct wal *w);
void wal_recycle_on_removed(struct wal *w, uint32_t slot);
/* A spare that can be used again, or NULL; pop takes it out of the store. */
const struct wal_segment *wal_recycle_peek(const struct wal *w);
void wal_recycle_pop(struct wal *w);
/* The spare that would be used next is removed. False: the disk takes no operation now. */
bool wal_recycle_give_up(struct wal *w);

/* reserve.c. A new file of the log may take so much: it does now. `r` NULL: anything. */
bool reserve_grants(struct reserve *r, uint64_t bytes);
void reserve_on_look(struct reserve *r, int64_t result);

/* reader.c */
void wal_reader_on_done(struct wal *w, int64_t result);
uint64_t wal_reader_next_ns(const struct wal *w);
/* The first segment leaves the table; no read may be in flight. */
void wal_reader_shift(struct wal *w);

#endif
