/* persist/snapshot_internal.h: what the files of persist/snapshot.h share.
 *
 *   snapshot_open.c     what a start makes of the files it finds
 *   snapshot_writer.c   one file, from its first chunk to its name; or dropped: what others ask of it,
 *   snapshot_block.c    the stream of what is written,
 *   snapshot_step.c     and the operations around it
 *   snapshot_current.c  the one that the manifest names: a new one becomes it, the old is removed
 *   snapshot_reader.c   chunks back from disk, and put right again
 *
 * Steps of the writer. Each but TAKE and TABLE is one operation of the disk:
 *
 *   NONE --begin--> CREATE --> TAKE --end--> TABLE --> HEADER --> SYNC --> NAME --> WAIT --> NONE
 *                   CLEAR --> CREATE            a damaged current file of the same index goes first
 *   any of these --no room, abandon--> DRAIN (what is in flight) --> DROP --> DROP_NAMED --> NONE
 */
#ifndef PERSIST_SNAPSHOT_INTERNAL_H
#define PERSIST_SNAPSHOT_INTERNAL_H

#include "persist/snapshot.h"
#include "persist/wal_internal.h"

enum snapshot_step {
    SNAPSHOT_STEP_NONE,
    SNAPSHOT_STEP_CLEAR,
    SNAPSHOT_STEP_CREATE,
    SNAPSHOT_STEP_TAKE,
    SNAPSHOT_STEP_TABLE,
    SNAPSHOT_STEP_HEADER,
    SNAPSHOT_STEP_SYNC,
    SNAPSHOT_STEP_NAME,
    SNAPSHOT_STEP_WAIT, /* for a manifest that names it */
    SNAPSHOT_STEP_DRAIN,
    SNAPSHOT_STEP_DROP,       /* the name it was written under */
    SNAPSHOT_STEP_DROP_NAMED, /* a NAME that failed may have happened all the same */
};

/* What a cookie is about. */
enum snapshot_op {
    SNAPSHOT_OP_STEP, /* of the writer */
    SNAPSHOT_OP_BLOCK,
    SNAPSHOT_OP_REMOVE,
    SNAPSHOT_OP_READ, /* in the background */
    SNAPSHOT_OP_LOAD, /* likewise, but not; into the first window, */
    SNAPSHOT_OP_LOAD_AHEAD, /* or the second */
    SNAPSHOT_OP_REPAIR,
};

enum {
    SNAPSHOT_BLOCKS = 2,  /* one is filled while the other is written */
    SNAPSHOT_WINDOWS = 2, /* likewise the other way round */
};

/* What goes out in one write: a file is written from its first chunk to the last row of its table. */
struct snapshot_block {
    enum { SNAPSHOT_BLOCK_OPEN, SNAPSHOT_BLOCK_CLOSED, SNAPSHOT_BLOCK_WRITING } state;
    uint64_t offset; /* in the file */
    uint32_t length;
    uint8_t *bytes; /* options.write_bytes */
};

struct snapshot_file {
    uint32_t slot;
    struct snapshot_header header;
    uint64_t *checksum; /* of each chunk */
};

struct snapshot_writer {
    enum snapshot_step step;
    enum snapshot_step dropped_at; /* from DRAIN on: the step that was given up */
    bool submitted;                /* the operation of this step */
    bool may_be_named;             /* NAME was submitted */
    bool digest_known;
    bool is_last; /* no chunk comes after the one that was not full */
    bool ended;   /* snapshot_end() was called */
    uint64_t digest;
    uint64_t room;
    uint32_t expected; /* with digest_known: file.checksum has so many of the table; they are true when it has all */
    uint32_t chunk_count;
    uint32_t row_next; /* of both copies, to be put into a block */
    uint32_t filling;  /* block; the other is on its way or empty */
    uint64_t end;      /* of what was put into blocks */
    struct snapshot_file file;
    struct snapshot_block block[SNAPSHOT_BLOCKS];
    uint8_t *headers; /* SNAPSHOT_DATA_OFFSET bytes */
    int failure;
    uint64_t retry_ns;
};

/* The one before the current, until it is gone. */
struct snapshot_old {
    enum { SNAPSHOT_OLD_NONE, SNAPSHOT_OLD_THERE, SNAPSHOT_OLD_REMOVING } state;
    uint32_t slot;
    raft_index index;
    uint64_t file_bytes; /* 0: not known */
};

/* Chunks that one operation reads. */
struct snapshot_window {
    enum {
        SNAPSHOT_WINDOW_EMPTY,
        SNAPSHOT_WINDOW_READING,
        SNAPSHOT_WINDOW_FORGOTTEN, /* being read, and of the past */
        SNAPSHOT_WINDOW_READ
    } state;
    uint32_t first, count;
    int64_t result;
    uint8_t *bytes; /* options.write_bytes */
};

struct snapshot_reader {
    struct snapshot_read *read; /* NULL: none */
    uint32_t next;              /* the chunk behind the one that was asked for last */
    bool reads_on;              /* that is the one which is asked for */
    bool careful;               /* a disk read failed: no more than needed is read at once */
    uint32_t window_count;      /* with two, one is read ahead */
    struct snapshot_window window[SNAPSHOT_WINDOWS];
};

enum snapshot_mend {
    SNAPSHOT_MEND_NONE,
    SNAPSHOT_MEND_UNWRITTEN,
    SNAPSHOT_MEND_WRITING,
    SNAPSHOT_MEND_UNSYNCED,
    SNAPSHOT_MEND_SYNCING,
};

struct snapshot_repair {
    enum snapshot_mend state;
    int result;
    uint32_t slot;
    uint32_t span;
    uint64_t offset;
    uint8_t *bytes;
};

struct snapshots {
    struct wal *w;
    struct snapshots_options options;
    uint64_t now_ns;
    bool shared; /* an operation of ours has the share of the disk */
    enum snapshot_op shared_op;
    bool wants;      /* one was refused at the last poll */
    bool read_first; /* whose turn it is among ourselves */
    enum snapshot_condition condition;
    struct snapshot_file current; /* header and table: only if WHOLE */
    struct snapshot_writer writer;
    struct snapshot_old old;
    struct snapshot_reader load;   /* in the foreground */
    struct snapshot_reader reader; /* in the background */
    struct snapshot_repair repair;
    struct snapshot_counters counters;
};

static inline uint64_t snapshot_cookie(enum snapshot_op op)
{
    return wal_cookie(WAL_OP_SNAPSHOT, (uint64_t)op);
}

/* snapshot_current.c. Submits an operation that needs the share of the disk; false: not now. */
bool snapshot_submit(struct snapshots *s, const struct disk_op *op);
/* A failed operation of a file: the log is told, unless there was no room only. True: no room. */
bool snapshot_lacks_room(struct snapshots *s, int64_t result);
/* A completion of ours. */
void snapshots_on_done(struct snapshots *s, uint64_t number, int64_t result);
uint32_t snapshot_old_poll(struct snapshots *s);
/* Room that the file in the making has taken, and that one that goes will give back. */
uint64_t snapshot_held_bytes(const struct snapshots *s);
/* The current one, to be removed. */
struct snapshot_old snapshot_old_of(const struct snapshots *s);
/* What was written is the current one from here on. */
void snapshot_promote(struct snapshots *s);
/* For wal_set_base(): a manifest may name this. */
bool snapshot_is_there(const struct snapshots *s, const struct wal_base *base);
/* Both copies of the log's manifest say the same, and it is durable. */
void snapshot_on_manifest(struct snapshots *s);

/* snapshot_writer.c. It is not to be; the file goes when nothing is in flight to it any more. */
void snapshot_writer_drop(struct snapshots *s, int failure);

/* snapshot_block.c. Room for `length` bytes at the end of the stream; NULL: both blocks are full. */
uint8_t *snapshot_block_take(struct snapshots *s, uint32_t length);
/* What was taken last, of that length, is not to be written. */
void snapshot_block_give_back(struct snapshots *s, uint32_t length);
/* Full blocks go out; at the end, in TABLE, also the one that is not. Work done. */
uint32_t snapshot_block_write(struct snapshots *s);
bool snapshot_blocks_are_empty(const struct snapshot_writer *w);
void snapshot_writer_on_block(struct snapshots *s, int64_t result);

/* snapshot_step.c */
uint32_t snapshot_writer_poll(struct snapshots *s);
void snapshot_writer_on_step(struct snapshots *s, int64_t result);

/* snapshot_reader.c */
uint32_t snapshot_reader_poll(struct snapshots *s, struct snapshot_reader *r);
void snapshot_reader_on_read(struct snapshots *s, enum snapshot_op op, int64_t result);
/* Nothing is being read from a file. */
bool snapshot_readers_rest(const struct snapshots *s);
/* What was read is of the past: another file is current, or its bytes are others. */
void snapshot_readers_forget(struct snapshots *s);
uint32_t snapshot_repair_poll(struct snapshots *s);
void snapshot_repair_on_done(struct snapshots *s, int64_t result);

#endif
