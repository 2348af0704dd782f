/* persist/disk_uring_start.c: operations before disk_uring_enable().
 *
 * All but reads are plain system calls, done in disk_submit(). Reads go through a small ring of the thread
 * that starts the node, which ends when the other is enabled: a start looks at one piece of the log while
 * the next is being read.
 */
#include "persist/disk_uring_internal.h"

#include <errno.h>
#include <sys/uio.h>
#include <unistd.h>

enum { START_READS_MAX = 4 };

int disk_uring_start_open(struct disk *d)
{
    struct io_uring_restriction reads[] = {
        {.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_READ},
    };
    struct io_uring_params p = {.flags = IORING_SETUP_R_DISABLED};

    ASSERT(!d->enabled);
    int result = io_uring_queue_init_params(START_READS_MAX, &d->start, &p);
    if (result != 0)
        return result;
    const unsigned fd = (unsigned)d->start.ring_fd;
    result = io_uring_register(fd, IORING_REGISTER_RESTRICTIONS, reads, 1);
    if (result == 0)
        result = io_uring_register(fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
    if (result < 0)
        io_uring_queue_exit(&d->start);
    return result;
}

void disk_uring_start_close(struct disk *d)
{
    ASSERT(!d->read_only);
    while (d->start_reads > 0)
        (void)disk_uring_start_wait(d);
    io_uring_queue_exit(&d->start);
}

bool disk_uring_start_read(struct disk *d, const struct disk_op *op)
{
    ASSERT(op->kind == DISK_OP_READ);
    if (d->read_only || d->start_reads == START_READS_MAX)
        return false;
    struct io_uring_sqe *sqe = io_uring_get_sqe(&d->start);
    ASSERT(sqe != NULL); /* there are as many */
    io_uring_prep_read(sqe, d->fd[op->slot], op->bytes, (unsigned)op->length, op->offset);
    io_uring_sqe_set_data64(sqe, op->cookie);
    (void)io_uring_submit(&d->start); /* what it does not take now, it takes in the wait */
    d->start_reads++;
    return true;
}

struct disk_done disk_uring_start_wait(struct disk *d)
{
    struct io_uring_cqe *cqe = NULL;
    int result = -EINTR;

    ASSERT(d->start_reads > 0);
    while (result == -EINTR || result == -EAGAIN || result == -EBUSY) {
        result = io_uring_submit_and_wait(&d->start, 1);
        if (result >= 0)
            result = io_uring_peek_cqe(&d->start, &cqe);
    }
    ASSERT(result == 0); /* anything else is in a completion */
    const struct disk_done done = {.cookie = io_uring_cqe_get_data64(cqe), .result = cqe->res};
    io_uring_cqe_seen(&d->start, cqe);
    d->start_reads--;
    return done;
}

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
