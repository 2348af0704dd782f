/* persist/disk_uring.c: io_uring behind the seam disk.h. The only file that includes liburing.
 *
 * Before disk_uring_enable() operations are plain system calls, done in disk_submit(); see the header.
 * A completion names its operation by index and generation, never by address: a completion that
 * comes twice, or for what has long been reused, is a bug of somebody and is caught here.
 */
#include "persist/disk_uring.h"

#include "base/assert.h"
#include "persist/disk_control_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    CQ_ENTRIES = 2 * DISK_OPS_MAX, /* never fewer than operations in flight: it can't overflow */
    CLOSE_WAIT_MS = 5000,
};

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
};

/* True when files of this directory can be read and written past the page cache by sectors. */
static bool supports_direct(int directory_fd)
{
    struct statx x;
    const int fd = openat(directory_fd, ".", O_TMPFILE | O_RDWR | O_DIRECT | O_CLOEXEC, 0600);

    ASSERT(directory_fd >= 0);
    if (fd < 0)
        return false;
    const int result = statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &x);
    (void)close(fd);
    if (result != 0 || (x.stx_mask & STATX_DIOALIGN) == 0)
        return true; /* an older kernel: it took the flag, and 4096 is the common denominator */
    if (x.stx_dio_mem_align == 0 || x.stx_dio_offset_align == 0)
        return false;
    return x.stx_dio_mem_align <= DISK_SECTOR && x.stx_dio_offset_align <= DISK_SECTOR;
}

/* liburing 2.3's library has no functions for restrictions and enabling, but this one. */
static int restrict_ring(struct io_uring *ring)
{
    struct io_uring_restriction r[] = {
        {.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_READ},
        {.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_READ_FIXED},
        {.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_WRITE},
        {.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_WRITE_FIXED},
        {.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_FSYNC},
        {.opcode = IORING_RESTRICTION_SQE_FLAGS_REQUIRED, .sqe_flags = IOSQE_FIXED_FILE},
        {.opcode = IORING_RESTRICTION_REGISTER_OP, .register_op = IORING_REGISTER_FILES_UPDATE},
    };
    return io_uring_register((unsigned)ring->ring_fd, IORING_REGISTER_RESTRICTIONS, r,
                             sizeof r / sizeof r[0]);
}

static int make_ring(struct disk *d)
{
    ASSERT(d->event_fd >= 0);
    struct io_uring_params p = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_R_DISABLED | IORING_SETUP_CQSIZE,
        .cq_entries = CQ_ENTRIES,
    };
    int result = io_uring_queue_init_params(DISK_OPS_MAX, &d->ring, &p);
    if (result != 0)
        return result;
    result = io_uring_register_files_sparse(&d->ring, DISK_FILES_MAX);
    if (result == 0)
        result = io_uring_register_eventfd(&d->ring, d->event_fd);
    if (result < 0)
        io_uring_queue_exit(&d->ring);
    return result;
}

static void init_tables(struct disk *d)
{
    for (uint32_t i = 0; i < DISK_FILES_MAX; i++)
        d->fd[i] = -1;
    for (uint32_t i = 0; i < DISK_OPS_MAX; i++)
        d->free_op[i] = (uint16_t)i;
    d->free_count = DISK_OPS_MAX;
}

int disk_uring_open(const char *directory, const struct disk_uring_options *options,
                    struct disk **out, char *error, size_t error_bytes)
{
    const char *what = "out of memory";
    int result = -ENOMEM;

    struct disk *d = calloc(1, sizeof *d);
    if (d == NULL)
        goto fail;
    init_tables(d);
    what = "the directory can't be opened";
    d->directory_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    result = -errno;
    if (d->directory_fd < 0)
        goto free_disk;
    d->direct = !options->buffered && supports_direct(d->directory_fd);
    what = "no eventfd";
    d->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    result = -errno;
    if (d->event_fd < 0)
        goto close_directory;
    d->read_only = options->read_only;
    d->registered_bytes_max = options->registered_bytes_max;
    /* Linux 6.18 counts the rings themselves against RLIMIT_MEMLOCK. */
    what =
        "io_uring can't be set up (is it disabled by sysctl kernel.io_uring_disabled, or the limit "
        "of locked memory, LimitMEMLOCK, used up?)";
    result = d->read_only ? 0 : make_ring(d);
    if (result != 0)
        goto close_event;
    what = "the control thread can't be prepared";
    result = disk_control_open(&d->control, d->directory_fd, d->event_fd,
                               (d->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC |
                                   (d->direct ? O_DIRECT : 0));
    if (result != 0)
        goto exit_ring;
    what = "leftovers (*.new) can't be removed";
    result = d->read_only ? 0 : disk_control_sweep(&d->control);
    if (result != 0)
        goto close_control;
    *out = d;
    return 0;

close_control:
    disk_control_close(&d->control);
exit_ring:
    if (!d->read_only)
        io_uring_queue_exit(&d->ring);
close_event:
    (void)close(d->event_fd);
close_directory:
    (void)close(d->directory_fd);
free_disk:
    free(d);
fail:
    (void)snprintf(error, error_bytes, "%s: %s: %s", directory, what, strerror(-result));
    return result;
}

void disk_lend(struct disk *d, uint8_t *bytes, uint64_t length)
{
    ASSERT(!d->enabled);
    ASSERT(d->lent_count < DISK_LENT_MAX);
    ASSERT((uintptr_t)bytes % DISK_SECTOR == 0);
    d->lent[d->lent_count++] = (struct lent){.bytes = bytes, .length = length};
}

/* The kernel pins the pages here and now, instead of at each operation. It must be asked in front of the
 * restrictions, which forbid it. A refusal is no error: nothing depends on it. */
static void register_memory(struct disk *d)
{
    struct iovec vector[DISK_LENT_MAX];
    int64_t bytes = 0;

    ASSERT(!d->enabled);
    if (d->lent_count == 0)
        return;
    const uint64_t share = d->registered_bytes_max / d->lent_count / DISK_SECTOR * DISK_SECTOR;
    if (share == 0)
        return;
    for (uint32_t i = 0; i < d->lent_count; i++) {
        struct lent *l = &d->lent[i];
        l->length = l->length < share ? l->length : share;
        vector[i] = (struct iovec){.iov_base = l->bytes, .iov_len = l->length};
        bytes += (int64_t)l->length;
    }
    const int result = io_uring_register_buffers(&d->ring, vector, d->lent_count);
    d->registered = result < 0 ? result : bytes;
}

int64_t disk_uring_registered(const struct disk *d)
{
    ASSERT(d->enabled);
    return d->registered;
}

int disk_uring_enable(struct disk *d)
{
    ASSERT(!d->enabled);
    ASSERT(!d->read_only); /* it has no ring */
    ASSERT(d->in_flight == 0);
    ASSERT(d->done_count == 0);
    register_memory(d);
    int result = restrict_ring(&d->ring);
    if (result < 0)
        return result;
    result = io_uring_register((unsigned)d->ring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
    if (result < 0)
        return result;
    result = io_uring_register_files_update(&d->ring, 0, d->fd, DISK_FILES_MAX);
    if (result < 0)
        return result;
    d->enabled = true;
    return disk_control_start(&d->control);
}

bool disk_uring_is_direct(const struct disk *d)
{
    return d->direct;
}

int disk_uring_fd(const struct disk *d)
{
    return d->event_fd;
}

static void push_done(struct disk *d, uint64_t cookie, int64_t result)
{
    ASSERT(d->done_count < DISK_OPS_MAX);
    d->done[(d->done_first + d->done_count) % DISK_OPS_MAX] =
        (struct disk_done){.cookie = cookie, .result = result};
    d->done_count++;
}

static void set_file(struct disk *d, uint32_t slot, int fd)
{
    d->fd[slot] = fd;
    if (!d->enabled || d->closing)
        return;
    const int updated = io_uring_register_files_update(&d->ring, slot, &d->fd[slot], 1);
    ASSERT(updated == 1); /* the slot is in the table and the descriptor is ours */
}

/* The control thread's. */
static bool is_control(const struct disk_op *op)
{
    return op->kind == DISK_OP_CREATE || op->kind == DISK_OP_REMOVE ||
           op->kind == DISK_OP_RENAME || op->kind == DISK_OP_FREE;
}

static struct disk_job job_of(struct disk *d, const struct disk_op *op)
{
    struct disk_job job = {
        .kind = (enum disk_op_kind)op->kind, .bare = op->bare, .length = op->length, .fd = -1};

    ASSERT(op->slot < DISK_FILES_MAX);
    ASSERT(is_control(op));
    memcpy(job.name, op->name, sizeof job.name);
    memcpy(job.from, op->from, sizeof job.from);
    if (op->kind == DISK_OP_REMOVE && d->fd[op->slot] >= 0) {
        job.fd = d->fd[op->slot];
        set_file(d, op->slot, -1);
    }
    return job;
}

static void install_file(struct disk *d, uint32_t slot, int fd)
{
    ASSERT(slot < DISK_FILES_MAX);
    if (fd < 0)
        return; /* a REMOVE, or a CREATE that failed */
    if (d->fd[slot] >= 0)
        (void)close(d->fd[slot]);
    set_file(d, slot, fd);
}

/* An operation before the ring is enabled. */
static int64_t perform_now(struct disk *d, const struct disk_op *op)
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
        const struct disk_job job = job_of(d, op);
        const struct disk_job_done done = disk_control_perform(&d->control, &job);
        install_file(d, op->slot, done.fd);
        return done.result;
    }
    }
    return result < 0 ? -errno : result;
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
        push_done(d, op->cookie, perform_now(d, op));
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
    if (is_control(op)) {
        struct disk_job job = job_of(d, op);
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
        install_file(d, entry->slot, job.fd);
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
    const uint32_t taken = take_done(d, &done, 1);
    ASSERT(taken == 1); /* it was over when it was submitted */
    return done;
}

int64_t disk_open(struct disk *d, const char *name, uint32_t slot)
{
    struct stat s;

    ASSERT(!d->enabled);
    ASSERT(slot < DISK_FILES_MAX);
    const int fd = openat(d->directory_fd, name, d->control.open_flags);
    if (fd < 0)
        return -errno;
    if (fstat(fd, &s) != 0) {
        const int result = -errno;
        (void)close(fd);
        return result;
    }
    install_file(d, slot, fd);
    return s.st_size;
}

int64_t disk_list(struct disk *d, const char *prefix, char (*names)[DISK_NAME_BYTES],
                  uint32_t count)
{
    ASSERT(!d->enabled);
    int64_t found = 0;
    struct dirent *e;
    const int fd = openat(d->directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    DIR *directory = fdopendir(fd);
    if (directory == NULL) {
        found = -errno;
        (void)close(fd);
        return found;
    }
    for (errno = 0; (e = readdir(directory)) != NULL; errno = 0) {
        const size_t length = strlen(e->d_name);
        if (strncmp(e->d_name, prefix, strlen(prefix)) != 0 || length >= DISK_NAME_BYTES)
            continue;
        if (found < count) {
            memset(names[found], 0, DISK_NAME_BYTES);
            memcpy(names[found], e->d_name, length);
        }
        found++;
    }
    if (errno != 0)
        found = -errno;
    (void)closedir(directory);
    return found;
}

uint32_t disk_in_flight(const struct disk *d)
{
    ASSERT(d->in_flight + d->free_count == DISK_OPS_MAX);
    return d->in_flight;
}

void disk_uring_close(struct disk *d)
{
    struct disk_done done[DISK_OPS_MAX];

    d->closing = true;
    for (int waited = 0; d->in_flight > 0 && waited < CLOSE_WAIT_MS; waited++) {
        (void)disk_reap(d, done, DISK_OPS_MAX);
        (void)poll(NULL, 0, d->in_flight > 0 ? 1 : 0);
    }
    disk_control_close(&d->control);
    if (!d->read_only)
        io_uring_queue_exit(&d->ring);
    for (uint32_t i = 0; i < DISK_FILES_MAX; i++) {
        if (d->fd[i] >= 0)
            (void)close(d->fd[i]);
    }
    (void)close(d->event_fd);
    (void)close(d->directory_fd);
    free(d);
}
