/* persist/disk_uring.c: io_uring behind the seam disk.h: operations on their way.
 *
 * A completion names its operation by index and generation, never by address: a completion that
 * comes twice, or for what has long been reused, is a bug of somebody and is caught here.
 */
#include "persist/disk_uring_internal.h"

static void push_done(struct disk *d, uint64_t cookie, int64_t result)
{
    ASSERT(d->done_count < DISK_OPS_MAX);
    d->done[(d->done_first + d->done_count) % DISK_OPS_MAX] =
        (struct disk_done){.cookie = cookie, .result = result};
    d->done_count++;
}

/* The registered memory that all bytes of an operation are in; -1: none. */
static int registered_index(const struct disk *d, const struct disk_op *op)
{
    ASSERT(d->enabled);
    for (uint32_t i = 0; d->registered > 0 && i < d->lent_count; i++) {
        const struct lent *l = &d->lent[i];
        if (op->bytes < l->bytes || op->length > l->length)
            continue;
        if ((uint64_t)(op->bytes - l->bytes) <= l->length - op->length)
            return (int)i;
    }
    return -1;
}

static void prepare_write(const struct disk *d, const struct disk_op *op, struct io_uring_sqe *sqe)
{
    const int slot = (int)op->slot;
    const int index = registered_index(d, op);

    if (index >= 0)
        io_uring_prep_write_fixed(sqe, slot, op->bytes, (unsigned)op->length, op->offset, index);
    else
        io_uring_prep_write(sqe, slot, op->bytes, (unsigned)op->length, op->offset);
    sqe->rw_flags = op->kind == DISK_OP_WRITE_DSYNC ? RWF_DSYNC : 0;
}

static void prepare_read(const struct disk *d, const struct disk_op *op, struct io_uring_sqe *sqe)
{
    const int slot = (int)op->slot;
    const int index = registered_index(d, op);

    if (index >= 0)
        io_uring_prep_read_fixed(sqe, slot, op->bytes, (unsigned)op->length, op->offset, index);
    else
        io_uring_prep_read(sqe, slot, op->bytes, (unsigned)op->length, op->offset);
}

static void prepare_sqe(const struct disk *d, const struct disk_op *op, struct io_uring_sqe *sqe)
{
    switch ((enum disk_op_kind)op->kind) {
    case DISK_OP_WRITE:
    case DISK_OP_WRITE_DSYNC:
        prepare_write(d, op, sqe);
        break;
    case DISK_OP_SYNC:
        io_uring_prep_fsync(sqe, (int)op->slot, IORING_FSYNC_DATASYNC);
        break;
    case DISK_OP_READ:
        prepare_read(d, op, sqe);
        break;
    case DISK_OP_CREATE:
    case DISK_OP_REMOVE:
    case DISK_OP_RENAME:
    case DISK_OP_FREE:
        ASSERT(false); /* not through the ring */
    }
    sqe->flags = IOSQE_FIXED_FILE;
}

void disk_send(struct disk *d)
{
    if (!d->unsent || d->closing)
        return;
    ASSERT(d->enabled); /* before, everything is over when it was submitted */
    /* EAGAIN, EBUSY, EINTR: the kernel takes them at the next turn. Anything else it refuses per
     * operation, in a completion. */
    d->unsent = io_uring_submit(&d->ring) < 0 || io_uring_sq_ready(&d->ring) > 0;
}

int disk_submit(struct disk *d, const struct disk_op *op)
{
    ASSERT(op->slot < DISK_FILES_MAX);
    ASSERT(op->offset % DISK_SECTOR == 0);
    ASSERT(op->length % DISK_SECTOR == 0);
    ASSERT((uintptr_t)op->bytes % DISK_SECTOR == 0);
    if (!d->enabled) {
        if (d->done_count == DISK_OPS_MAX)
            return -EAGAIN;
        if (op->kind == DISK_OP_READ && disk_uring_start_read(d, op))
            return 0;
        push_done(d, op->cookie, disk_uring_perform_now(d, op));
        return 0;
    }
    if (d->free_count == 0)
        return -EAGAIN;
    const uint16_t index = d->free_op[--d->free_count];
    struct op *entry = &d->op[index];
    ASSERT(!entry->in_flight);
    entry->in_flight = true;
    entry->generation++;
    entry->cookie = op->cookie;
    entry->kind = op->kind;
    entry->slot = op->slot;
    d->in_flight++;
    if (disk_uring_is_control(op)) {
        struct disk_job job = disk_uring_job(d, op);
        job.ticket = index;
        disk_control_push(&d->control, &job);
        return 0;
    }
    struct io_uring_sqe *sqe = io_uring_get_sqe(&d->ring);
    ASSERT(sqe != NULL); /* as many as there are entries in our table */
    prepare_sqe(d, op, sqe);
    io_uring_sqe_set_data64(sqe, (uint64_t)entry->generation << 32 | index);
    d->unsent = true;
    return 0;
}

static struct op *end_op(struct disk *d, uint32_t index)
{
    struct op *entry = &d->op[index];

    ASSERT(index < DISK_OPS_MAX);
    ASSERT(entry->in_flight);
    ASSERT(d->in_flight > 0);
    entry->in_flight = false;
    d->in_flight--;
    d->free_op[d->free_count++] = (uint16_t)index;
    return entry;
}

static uint32_t reap_ring(struct disk *d, struct disk_done *done, uint32_t count)
{
    struct io_uring_cqe *cqe;
    unsigned head;
    uint32_t reaped = 0;

    io_uring_for_each_cqe(&d->ring, head, cqe)
    {
        if (reaped == count)
            break;
        const uint64_t data = io_uring_cqe_get_data64(cqe);
        const struct op *entry = end_op(d, (uint32_t)data);
        ASSERT(entry->generation == (uint32_t)(data >> 32));
        done[reaped++] = (struct disk_done){.cookie = entry->cookie, .result = cqe->res};
    }
    io_uring_cq_advance(&d->ring, reaped);
    return reaped;
}

static void reap_control(struct disk *d)
{
    struct disk_job_done job;

    ASSERT(d->enabled);
    while (disk_control_pop(&d->control, &job)) {
        const struct op *entry = end_op(d, job.ticket);
        disk_uring_install_file(d, entry->slot, job.fd);
        push_done(d, entry->cookie, job.result);
    }
}

static uint32_t take_done(struct disk *d, struct disk_done *done, uint32_t count)
{
    uint32_t taken = 0;

    ASSERT(d->done_first < DISK_OPS_MAX);
    while (taken < count && d->done_count > 0) {
        done[taken++] = d->done[d->done_first];
        d->done_first = (d->done_first + 1) % DISK_OPS_MAX;
        d->done_count--;
    }
    return taken;
}

uint32_t disk_reap(struct disk *d, struct disk_done *done, uint32_t count)
{
    uint32_t reaped = 0;

    if (d->enabled) {
        disk_send(d);
        reaped = reap_ring(d, done, count);
        reap_control(d);
    }
    return reaped + take_done(d, done + reaped, count - reaped);
}

struct disk_done disk_wait(struct disk *d)
{
    struct disk_done done;

    ASSERT(!d->enabled); /* an lcore never waits */
    if (take_done(d, &done, 1) == 0)
        done = disk_uring_start_wait(d);
    return done;
}

uint32_t disk_in_flight(const struct disk *d)
{
    ASSERT(d->in_flight + d->free_count == DISK_OPS_MAX);
    return d->in_flight + d->start_reads;
}
