/* persist/disk.h: the seam to the disk. disk_uring.c is real files, sim/disk_sim.c the simulator's.
 *
 * Model      A data directory of few files, each opened into a slot. Operations are submitted with
 *            a cookie and complete in any order. A WRITE_DSYNC covers just its own range; a SYNC
 *            covers writes that had completed before it was submitted.
 * Control    CREATE, REMOVE and RENAME touch directories: the disk's control thread does them, with all
 *            flushes that make them last, and they complete like the others. It answers FREE too: real
 *            file systems do so behind those that came before it.
 * Unfinished A name that ends in DISK_UNFINISHED: a start removes such files before it looks at any other, so
 *            that a crash leaves no half of a file. Who makes one bare writes it, flushes it (SYNC), and
 *            gives it its name (RENAME); then it is there for good.
 * Sending    What was submitted may wait for company until disk_send() hands all of it over at once;
 *            who submits sends before its poll ends. A poll that forgets is late, not stuck:
 *            disk_reap() sends too.
 * Ownership  Bytes of an operation are the disk's until its completion was reaped.
 * Thread     One lcore (persist). Before it runs, the thread that starts the node, which may
 *            disk_wait().
 * Errors     A completion's result is the byte count or a negative errno. Short is not an error
 *            here: the caller compares.
 */
#ifndef PERSIST_DISK_H
#define PERSIST_DISK_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum {
    DISK_SECTOR = 4096,    /* offsets, lengths and addresses are multiples of it */
    DISK_FILES_MAX = 1024, /* slots; 64 GiB of 64 MiB segments */
    DISK_NAME_BYTES = 32,
    DISK_OPS_MAX = 256, /* in flight */
    DISK_LENT_MAX = 16, /* batch buffers and a window */
};

#define DISK_UNFINISHED ".new"

static inline uint64_t disk_align_up(uint64_t bytes)
{
    return (bytes + DISK_SECTOR - 1) & ~(uint64_t)(DISK_SECTOR - 1);
}

struct disk;

enum disk_op_kind {
    DISK_OP_WRITE,
    DISK_OP_WRITE_DSYNC,
    DISK_OP_SYNC,
    DISK_OP_READ,
    DISK_OP_CREATE, /* name, slot, length: a file of zeros, flushed, its directory too; replaces */
    DISK_OP_REMOVE, /* name: unlink, directory flush; the slot is closed */
    DISK_OP_RENAME, /* from, name: the slot's file has another name, directory flush; replaces. Before
                       that it is cut to `length`, flushed, unless length is 0 */
    DISK_OP_FREE,   /* the result is how many bytes new files may take on the file system */
};

struct disk_op {
    uint8_t kind;
    bool
        bare; /* CREATE of an unfinished name: there is room for it, its bytes are not known, nothing is
                  flushed */
    uint32_t slot;
    uint64_t offset;
    uint8_t *bytes;
    uint64_t length;
    uint64_t cookie;
    char name[DISK_NAME_BYTES];
    char from[DISK_NAME_BYTES];
};

struct disk_done {
    uint64_t cookie;
    int64_t result;
};

/* What has no room, or no descriptor, now: a file that could not be made for it may be tried again
 * later with a new one. Any other error says that the disk can't be relied on. */
static inline bool disk_lacks_room(int64_t result)
{
    return result == -ENOSPC || result == -EDQUOT || result == -EMFILE || result == -ENFILE ||
           result == -ENOMEM;
}

static inline bool disk_name_unfinished(const char *name)
{
    const size_t length = strlen(name);
    const size_t suffix = sizeof DISK_UNFINISHED - 1;

    return length > suffix && strcmp(name + length - suffix, DISK_UNFINISHED) == 0;
}

/* 0, or -EAGAIN: too many in flight. */
int disk_submit(struct disk *d, const struct disk_op *op);
void disk_send(struct disk *d);
/* Completions, in the order they are noticed. */
uint32_t disk_reap(struct disk *d, struct disk_done *done, uint32_t count);
/* Waits until one completes. Only before the lcores run. */
struct disk_done disk_wait(struct disk *d);

/* Start of the node only. Opens an existing file into `slot`, in the place of what was open there;
 * size in bytes or negative errno. */
int64_t disk_open(struct disk *d, const char *name, uint32_t slot);
/* Start of the node only. Writes and reads will often use these bytes, which stay where they are until
 * the disk is closed: a disk may prepare itself for it. At most DISK_LENT_MAX ranges. */
void disk_lend(struct disk *d, uint8_t *bytes, uint64_t length);
/* Names with the prefix, up to `count`, in any order; how many there are, or a negative errno. */
int64_t disk_list(struct disk *d, const char *prefix, char (*names)[DISK_NAME_BYTES],
                  uint32_t count);
/* How many in-flight operations can still complete. */
uint32_t disk_in_flight(const struct disk *d);

#endif
