/* persist/disk_uring_open.c: io_uring behind the seam disk.h: the directory, the ring and what is
 * registered with it, from open to close.
 */
#include "persist/disk_uring_internal.h"

#include <errno.h>
#include <fcntl.h>
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
    result = d->read_only ? 0 : disk_uring_start_open(d);
    if (result != 0)
        goto exit_ring;
    what = "the control thread can't be prepared";
    result = disk_control_open(&d->control, d->directory_fd, d->event_fd,
                               (d->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC |
                                   (d->direct ? O_DIRECT : 0));
    if (result != 0)
        goto close_start;
    what = "leftovers (*.new) can't be removed";
    result = d->read_only ? 0 : disk_control_sweep(&d->control);
    if (result != 0)
        goto close_control;
    *out = d;
    return 0;

close_control:
    disk_control_close(&d->control);
close_start:
    if (!d->read_only)
        disk_uring_start_close(d);
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
    ASSERT(d->start_reads == 0);
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
    disk_uring_start_close(d);
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

void disk_uring_close(struct disk *d)
{
    struct disk_done done[DISK_OPS_MAX];

    d->closing = true;
    for (int waited = 0; d->in_flight > 0 && waited < CLOSE_WAIT_MS; waited++) {
        (void)disk_reap(d, done, DISK_OPS_MAX);
        (void)poll(NULL, 0, d->in_flight > 0 ? 1 : 0);
    }
    disk_control_close(&d->control);
    if (!d->read_only && !d->enabled)
        disk_uring_start_close(d);
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
