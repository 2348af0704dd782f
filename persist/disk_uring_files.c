/* persist/disk_uring_files.c: which file of the directory is in which slot, here and in the ring's table. */
#include "persist/disk_uring_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void set_file(struct disk *d, uint32_t slot, int fd)
{
    d->fd[slot] = fd;
    if (!d->enabled || d->closing)
        return;
    const int updated = io_uring_register_files_update(&d->ring, slot, &d->fd[slot], 1);
    ASSERT(updated == 1); /* the slot is in the table and the descriptor is ours */
}

struct disk_job disk_uring_job(struct disk *d, const struct disk_op *op)
{
    struct disk_job job = {
        .kind = (enum disk_op_kind)op->kind, .bare = op->bare, .length = op->length, .fd = -1};

    ASSERT(op->slot < DISK_FILES_MAX);
    ASSERT(disk_uring_is_control(op));
    memcpy(job.name, op->name, sizeof job.name);
    memcpy(job.from, op->from, sizeof job.from);
    if (op->kind == DISK_OP_REMOVE && d->fd[op->slot] >= 0) {
        job.fd = d->fd[op->slot];
        set_file(d, op->slot, -1);
    }
    return job;
}

void disk_uring_install_file(struct disk *d, uint32_t slot, int fd)
{
    ASSERT(slot < DISK_FILES_MAX);
    if (fd < 0)
        return; /* a REMOVE, or a CREATE that failed */
    if (d->fd[slot] >= 0)
        (void)close(d->fd[slot]);
    set_file(d, slot, fd);
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
    disk_uring_install_file(d, slot, fd);
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
