/* persist/inspect.h: what the files of a data directory contain, without changing one byte of them.
 *
 * Two readings   The first goes over every live sector and goes on behind what is bad, so it finds
 *            all damage. The second is that of a start itself, up to where it would write: what it
 *            would recover, or the sentence by which it would refuse.
 * Use        inspect_open(), inspect_poll() until it says false, then the report is complete; the
 *            caller can show how far it is between two polls.
 * Disk       Only lists, opens and reads. A node that runs meanwhile goes on writing: then the end of
 *            the log that is found is that of a moment.
 * Memory     inspect_bytes() of it, lent by the caller, DISK_SECTOR aligned.
 * Thread     Any one; nothing here is an lcore's.
 */
#ifndef PERSIST_INSPECT_H
#define PERSIST_INSPECT_H

#include <stddef.h>

#include "persist/segment.h"
#include "persist/wal.h"

struct inspect;

enum {
    INSPECT_FAULTS_MAX = 256, /* kept with their places; all are counted */
    INSPECT_FILES_MAX = DISK_FILES_MAX,
};

enum inspect_role {
    INSPECT_LIVE,       /* part of the log */
    INSPECT_DEAD,       /* a whole segment that the log does not lead to */
    INSPECT_UNFINISHED, /* without a valid header: its making was interrupted, or it is damaged */
};

struct inspect_segment {
    char name[DISK_NAME_BYTES];
    uint64_t file_bytes;
    enum inspect_role role;
    enum segment_verdict verdict;
    struct segment_header header; /* unless the verdict is SEGMENT_BAD */
    uint32_t header_copies;       /* whole ones */
    /* Of what lives in it; 0 where there is nothing. */
    uint64_t end; /* of the last good batch */
    uint64_t batch_count, record_count;
    uint64_t first_number, last_number;
    raft_index first_index, last_index; /* lowest and newest of its records */
    raft_term first_term, last_term;
};

enum inspect_fault_kind {
    INSPECT_TORN,    /* above the durable mark: nobody was promised it */
    INSPECT_DAMAGED, /* at or below it */
};

/* What should be a batch and is none; or several in a row, of which no header is left. */
struct inspect_fault {
    uint64_t generation;
    uint64_t offset;
    uint64_t first_number, last_number;
    raft_index first_index, last_index; /* entries that it holds; 0: none, or not known */
    enum inspect_fault_kind kind;
    bool header_valid; /* the header is whole, the records are not */
};

struct inspect_report {
    uint64_t bytes_total, bytes_read; /* of the first reading */
    uint64_t mark_number;             /* the durable mark */
    uint32_t fault_count, damaged_count;
    struct inspect_fault fault[INSPECT_FAULTS_MAX];
    uint32_t segment_count;
    struct inspect_segment segment[INSPECT_FILES_MAX]; /* by generation */
    int start_result; /* of a start: 0, or the negative errno by which it would refuse */
    struct wal_recovered start;
};

size_t inspect_bytes(void);
/* Files, headers and the chain. 0, or a negative errno when the directory can't be read. */
int inspect_open(struct inspect **out, void *memory, struct disk *disk,
                 const struct segment_owner *owner);
/* Reads one segment more; false: the report is complete. */
bool inspect_poll(struct inspect *i);
const struct inspect_report *inspect_report(const struct inspect *i);

#endif
