/* persist/disk_uring_start.c: operations before disk_uring_enable(): plain system calls, done in disk_submit(). */
#include "persist/disk_uring_internal.h"

#include <errno.h>
#include <sys/uio.h>
#include <unistd.h>

/* An operation before the ring is enabled. */
int64_t disk_uring_perform_now(struct disk *d, const struct disk_op *op)
{
    struct iovec vector = {.iov_base = op->bytes, .iov_len = op->length};
    const int fd = d->fd[op->slot];
    ssize_t result = -1;

    ASSERT(!d->enabled);
    if (d->read_only && op->kind != DISK_OP_READ && op->kind != DISK_OP_FREE)
        return -EROFS;
    switch ((enum disk_op_kind)op->kind) {
    case DISK_OP_WRITE:
        result = pwritev2(fd, &vector, 1, (off_t)op->offset, 0);
        break;
    case DISK_OP_WRITE_DSYNC:
        result = pwritev2(fd, &vector, 1, (off_t)op->offset, RWF_DSYNC);
        break;
    case DISK_OP_SYNC:
        result = fdatasync(fd);
        break;
    case DISK_OP_READ:
        result = preadv2(fd, &vector, 1, (off_t)op->offset, 0);
        break;
    case DISK_OP_CREATE:
    case DISK_OP_REMOVE:
    case DISK_OP_RENAME:
    case DISK_OP_FREE: {
        const struct disk_job job = disk_uring_job(d, op);
        const struct disk_job_done done = disk_control_perform(&d->control, &job);
        disk_uring_install_file(d, op->slot, done.fd);
        return done.result;
    }
    }
    return result < 0 ? -errno : result;
}
