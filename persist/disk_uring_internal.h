/* persist/disk_uring_internal.h: struct disk of real files, and what its files share among themselves.
 *
 *   disk_uring.c        operations through the ring
 *   disk_uring_open.c   from an empty struct to an enabled ring, and its end
 *   disk_uring_start.c  operations before the ring is enabled, and the ring for reads till then
 *   disk_uring_files.c  which file is in which slot
 */
#ifndef PERSIST_DISK_URING_INTERNAL_H
#define PERSIST_DISK_URING_INTERNAL_H

#include "persist/disk_uring.h"

#include "base/assert.h"
#include "persist/disk_control_internal.h"

#include <liburing.h>

struct op {
    uint64_t cookie;
    uint32_t generation; /* of this entry of the table */
    uint32_t slot;
    uint8_t kind;
    bool in_flight;
};

/* Memory that operations often use; what is registered of it has the same number there. */
struct lent {
    uint8_t *bytes;
    uint64_t length;
};

struct disk {
    int directory_fd;
    int event_fd;
    bool direct;
    bool read_only;
    bool enabled;
    bool closing; /* by another thread than the ring's: it may wait for completions, no more */
    bool unsent;  /* there are sqes that the kernel did not take yet */
    uint32_t in_flight;
    uint32_t free_count;
    uint16_t free_op[DISK_OPS_MAX];
    struct op op[DISK_OPS_MAX];
    uint32_t done_first, done_count; /* a ring of results that did not come through io_uring */
    struct disk_done done[DISK_OPS_MAX];
    int fd[DISK_FILES_MAX]; /* by slot; -1: closed */
    uint32_t lent_count;
    struct lent lent[DISK_LENT_MAX];
    uint64_t registered_bytes_max;
    int64_t registered; /* bytes, or the refusal */
    struct disk_control control;
    struct io_uring ring;
    struct io_uring start; /* until `ring` is enabled: reads */
    uint32_t start_reads;  /* in flight there */
};

/* The control thread's. */
static inline bool disk_uring_is_control(const struct disk_op *op)
{
    return op->kind == DISK_OP_CREATE || op->kind == DISK_OP_REMOVE || op->kind == DISK_OP_RENAME ||
           op->kind == DISK_OP_FREE;
}

/* disk_uring_start.c. An operation before the ring is enabled: its result. */
int64_t disk_uring_perform_now(struct disk *d, const struct disk_op *op);
/* Reads meanwhile. Open: 0 or negative errno. False: not now, nor with a disk that is only read. */
int disk_uring_start_open(struct disk *d);
void disk_uring_start_close(struct disk *d);
bool disk_uring_start_read(struct disk *d, const struct disk_op *op);
struct disk_done disk_uring_start_wait(struct disk *d); /* one must be in flight */

/* disk_uring_files.c. What the control thread is to do; a file that it removes leaves its slot here and now. */
struct disk_job disk_uring_job(struct disk *d, const struct disk_op *op);
/* The file is in that slot from here on; what was there before is closed. A negative fd: nothing changes. */
void disk_uring_install_file(struct disk *d, uint32_t slot, int fd);

#endif
