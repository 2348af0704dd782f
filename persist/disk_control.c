/* persist/disk_control.c: whole files are made under an unfinished name, filled with zeros, flushed,
 * renamed, and the directory is flushed: a name that exists stands for a file that is complete. Bare
 * ones are left to be finished by whoever asks for them.
 *
 * Zeros are written and not merely allocated: a first write to an allocated block changes the
 * file's metadata too, and its flush takes twice as long. Here they are written at once, which only a
 * start does; while the log runs, persist/prepare.c writes them itself, within its share of the disk.
 */
#include "persist/disk_control_internal.h"

#include "base/assert.h"
#include "base/spsc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum {
    ZEROS_BYTES = 256 * 1024,
    FILE_MODE = 0600,
    KIND_STOP = DISK_OP_FREE + 1, /* a job that ends the thread */
};

static int fill_with_zeros(const struct disk_control *c, int fd, uint64_t length)
{
    ASSERT(length > 0);
    ASSERT(length % DISK_SECTOR == 0);
    const int allocated = posix_fallocate(fd, 0, (off_t)length);
    if (allocated != 0)
        return -allocated; /* a full disk is told before anything was written */
    for (uint64_t at = 0; at < length;) {
        const uint64_t rest = length - at;
        const ssize_t n = pwrite(fd, c->zeros, rest < ZEROS_BYTES ? rest : ZEROS_BYTES, (off_t)at);
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        at += (uint64_t)n;
    }
    return fdatasync(fd) == 0 ? 0 : -errno;
}

/* Room under a name that a start would remove. */
static int64_t create_bare(const struct disk_control *c, const struct disk_job *job, int *fd_out)
{
    ASSERT(disk_name_unfinished(job->name));
    ASSERT(job->length > 0);
    const int fd = openat(c->directory_fd, job->name, O_CREAT | O_TRUNC | c->open_flags, FILE_MODE);
    if (fd < 0)
        return -errno;
    const int allocated = posix_fallocate(fd, 0, (off_t)job->length);
    if (allocated == 0) {
        *fd_out = fd;
        return (int64_t)job->length;
    }
    (void)unlinkat(c->directory_fd, job->name, 0);
    (void)close(fd);
    return -allocated;
}

static int64_t create_file(const struct disk_control *c, const struct disk_job *job, int *fd_out)
{
    char name[DISK_NAME_BYTES + sizeof DISK_UNFINISHED];
    int result;

    ASSERT(job->kind == DISK_OP_CREATE);
    ASSERT(job->name[0] != 0);
    (void)snprintf(name, sizeof name, "%.*s%s", DISK_NAME_BYTES - 1, job->name, DISK_UNFINISHED);
    const int fd = openat(c->directory_fd, name, O_CREAT | O_TRUNC | c->open_flags, FILE_MODE);
    if (fd < 0)
        return -errno;
    result = fill_with_zeros(c, fd, job->length);
    if (result != 0)
        goto remove;
    if (renameat(c->directory_fd, name, c->directory_fd, job->name) != 0) {
        result = -errno;
        goto remove;
    }
    if (fsync(c->directory_fd) != 0) {
        result = -errno;
        goto close;
    }
    *fd_out = fd;
    return (int64_t)job->length;

remove:
    (void)unlinkat(c->directory_fd, name, 0);
close:
    (void)close(fd);
    return result;
}

static int64_t remove_file(const struct disk_control *c, const struct disk_job *job)
{
    ASSERT(job->name[0] != 0);
    if (unlinkat(c->directory_fd, job->name, 0) != 0)
        return -errno;
    return fsync(c->directory_fd) == 0 ? 0 : -errno;
}

static int cut_file(const struct disk_control *c, const char *name, uint64_t length)
{
    const int fd = openat(c->directory_fd, name, O_WRONLY | O_CLOEXEC);
    int result = 0;

    if (fd < 0)
        return -errno;
    if (ftruncate(fd, (off_t)length) != 0 || fdatasync(fd) != 0)
        result = -errno;
    (void)close(fd);
    return result;
}

static int64_t rename_file(const struct disk_control *c, const struct disk_job *job)
{
    ASSERT(job->name[0] != 0);
    ASSERT(job->from[0] != 0);
    const int cut = job->length == 0 ? 0 : cut_file(c, job->from, job->length);
    if (cut != 0)
        return cut;
    if (renameat(c->directory_fd, job->from, c->directory_fd, job->name) != 0)
        return -errno;
    return fsync(c->directory_fd) == 0 ? 0 : -errno;
}

/* Blocks that are kept for root are nobody's here, though a node of root's could have them. */
static int64_t free_bytes(const struct disk_control *c)
{
    struct statvfs s;

    ASSERT(c->directory_fd >= 0);
    if (fstatvfs(c->directory_fd, &s) != 0)
        return -errno;
    const uint64_t blocks_max = INT64_MAX / (s.f_frsize > 0 ? s.f_frsize : 1);
    return (int64_t)((s.f_bavail < blocks_max ? s.f_bavail : blocks_max) * s.f_frsize);
}

struct disk_job_done disk_control_perform(const struct disk_control *c, const struct disk_job *job)
{
    struct disk_job_done done = {.ticket = job->ticket, .fd = -1};

    if (job->kind == DISK_OP_CREATE) {
        done.result = job->bare ? create_bare(c, job, &done.fd) : create_file(c, job, &done.fd);
        return done;
    }
    if (job->kind == DISK_OP_RENAME) {
        done.result = rename_file(c, job);
        return done;
    }
    if (job->kind == DISK_OP_FREE) {
        done.result = free_bytes(c);
        return done;
    }
    ASSERT(job->kind == DISK_OP_REMOVE);
    done.result = remove_file(c, job);
    if (job->fd >= 0)
        (void)close(job->fd); /* frees the blocks, which takes long: not on an lcore */
    return done;
}

static void ring_bell(int fd)
{
    const uint64_t one = 1;
    const ssize_t written = write(fd, &one, sizeof one);

    ASSERT(fd >= 0);
    (void)written; /* full: it is ringing already */
}

/* The control thread: not an lcore, it may wait. */
static void *control_main(void *argument)
{
    struct disk_control *c = argument;
    struct disk_job job;
    uint64_t rung;

    for (;;) {
        while (spsc_pop(c->jobs, &job, sizeof job, 1) == 1) {
            if ((int)job.kind == KIND_STOP)
                return NULL;
            const struct disk_job_done done = disk_control_perform(c, &job);
            const uint32_t pushed = spsc_push(c->done, &done, sizeof done, 1);
            ASSERT(pushed == 1); /* as many slots as jobs there can be */
            ring_bell(c->event_fd);
        }
        if (read(c->wake_fd, &rung, sizeof rung) < 0 && errno != EINTR)
            return NULL;
    }
}

static struct spsc *ring_new(uint32_t item_bytes)
{
    void *memory = aligned_alloc(CACHE_LINE_BYTES, spsc_bytes(2 * DISK_OPS_MAX, item_bytes));
    return memory == NULL ? NULL : spsc_init(memory, 2 * DISK_OPS_MAX, item_bytes);
}

int disk_control_open(struct disk_control *c, int directory_fd, int event_fd, int open_flags)
{
    ASSERT(directory_fd >= 0);
    ASSERT(event_fd >= 0);
    *c = (struct disk_control){
        .directory_fd = directory_fd,
        .event_fd = event_fd,
        .open_flags = open_flags,
        .wake_fd = eventfd(0, EFD_CLOEXEC),
        .jobs = ring_new(sizeof(struct disk_job)),
        .done = ring_new(sizeof(struct disk_job_done)),
        .zeros = aligned_alloc(DISK_SECTOR, ZEROS_BYTES),
    };
    if (c->wake_fd < 0 || c->jobs == NULL || c->done == NULL || c->zeros == NULL) {
        const int result = c->wake_fd < 0 ? -errno : -ENOMEM;
        disk_control_close(c);
        return result;
    }
    memset(c->zeros, 0, ZEROS_BYTES);
    return 0;
}

int disk_control_start(struct disk_control *c)
{
    ASSERT(!c->running);
    const int result = pthread_create(&c->thread, NULL, control_main, c);
    c->running = result == 0;
    return -result;
}

void disk_control_push(struct disk_control *c, const struct disk_job *job)
{
    const uint32_t pushed = spsc_push(c->jobs, job, sizeof *job, 1);

    ASSERT(pushed == 1); /* as many slots as operations there can be */
    ring_bell(c->wake_fd);
}

bool disk_control_pop(struct disk_control *c, struct disk_job_done *done)
{
    return spsc_pop(c->done, done, sizeof *done, 1) == 1;
}

void disk_control_close(struct disk_control *c)
{
    struct disk_job_done done;

    if (c->running) {
        const struct disk_job stop = {.kind = (enum disk_op_kind)KIND_STOP, .fd = -1};
        disk_control_push(c, &stop);
        (void)pthread_join(c->thread, NULL);
        c->running = false;
        while (disk_control_pop(c, &done)) {
            if (done.fd >= 0)
                (void)close(done.fd);
        }
    }
    free(c->jobs);
    free(c->done);
    free(c->zeros);
    if (c->wake_fd >= 0)
        (void)close(c->wake_fd);
}

int disk_control_sweep(const struct disk_control *c)
{
    const int fd = openat(c->directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    DIR *directory = fdopendir(fd);
    if (directory == NULL) {
        const int result = -errno;
        (void)close(fd);
        return result;
    }
    int result = 0;
    struct dirent *e;
    for (errno = 0; (e = readdir(directory)) != NULL; errno = 0) {
        if (disk_name_unfinished(e->d_name) && unlinkat(c->directory_fd, e->d_name, 0) != 0)
            result = -errno;
    }
    if (errno != 0) /* of readdir(): there may be more */
        result = -errno;
    (void)closedir(directory);
    return result;
}
