/* persist/snapshot_inspect.h: what a snapshot file contains, without changing one byte of it.
 *
 * Everything is read and compared: both copies of header and table, each chunk with its checksum, all
 * of them with the digest. A row that is lost in both copies is made up for by what its chunks are: the digest
 * then says whether they are right.
 * Use        snapshot_inspect_open(), snapshot_inspect_poll() until it says false.
 * Memory     snapshot_inspect_bytes() of it, lent by the caller, DISK_SECTOR aligned.
 * Thread     Any one; nothing here is an lcore's.
 */
#ifndef PERSIST_SNAPSHOT_INSPECT_H
#define PERSIST_SNAPSHOT_INSPECT_H

#include "persist/snapshot_file.h"

struct snapshot_inspect;

enum { SNAPSHOT_FAULTS_MAX = 256 }; /* kept with their places; all are counted */

enum snapshot_fault_kind {
    SNAPSHOT_FAULT_HEADER, /* `number`: the copy */
    SNAPSHOT_FAULT_ROW,    /* `number`: the row; `copy` */
    SNAPSHOT_FAULT_CHUNK,  /* `number`: the chunk */
};

struct snapshot_fault {
    enum snapshot_fault_kind kind;
    uint32_t number;
    uint32_t copy;
    uint64_t offset, span; /* in the file */
    int result;            /* -EBADMSG, or why it can't be read */
};

struct snapshot_report {
    uint64_t file_bytes, file_bytes_expected;
    enum snapshot_verdict verdict;
    struct snapshot_header header; /* unless the verdict is SNAPSHOT_BAD */
    uint32_t chunk_count, chunks_read, chunks_bad;
    bool digest_fits; /* known when all is read */
    uint32_t fault_count;
    struct snapshot_fault fault[SNAPSHOT_FAULTS_MAX];
};

size_t snapshot_inspect_bytes(void);
/* Opens the file and reads its header. 0, or a negative errno when it can't be opened. */
int snapshot_inspect_open(struct snapshot_inspect **out, void *memory, struct disk *disk,
                          const char *name);
/* Reads one chunk more; false: the report is complete. */
bool snapshot_inspect_poll(struct snapshot_inspect *i);
const struct snapshot_report *snapshot_inspect_report(const struct snapshot_inspect *i);
/* Nothing at all is wrong. Once the report is complete. */
bool snapshot_is_sound(const struct snapshot_report *report);

#endif
