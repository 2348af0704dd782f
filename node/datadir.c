/* node/datadir.c: see datadir.h. */
#include "node/datadir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static const char LOCK_NAME[] = "LOCK";

/* The name of a folder is lost with the power as long as the folder that it stands in was not flushed. */
static int flush_parent(const char *path)
{
    char parent[PATH_MAX];
    int result = 0;

    (void)snprintf(parent, sizeof parent, "%s", path); /* dirname() writes into it */
    const int fd = open(dirname(parent), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (fsync(fd) != 0)
        result = -errno;
    close(fd);
    return result;
}

int datadir_make_folders(const char *path)
{
    char part[PATH_MAX];
    const size_t length = strlen(path);

    if (length == 0 || length >= sizeof part)
        return -ENAMETOOLONG;
    for (size_t i = 1; i <= length; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        const int result = mkdir(part, 0755) == 0 ? flush_parent(part) : -errno;
        if (result != 0 && result != -EEXIST)
            return result;
    }
    return 0;
}

static int open_folder(struct datadir *d, char *error, size_t error_bytes)
{
    d->fd = open(d->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (d->fd >= 0)
        return 0;
    const int result = -errno;
    switch (result) {
    case -ENOENT:
        snprintf(error, error_bytes,
                 "data directory %s does not exist; make it once with: skiff init --config FILE",
                 d->path);
        break;
    case -ENOTDIR:
        snprintf(error, error_bytes,
                 "data directory %s is a file, or lies below one; name a directory as `data` in "
                 "the configuration",
                 d->path);
        break;
    case -EACCES:
    case -EPERM:
        snprintf(error, error_bytes,
                 "data directory %s can't be opened: %s; it must belong to the "
                 "user who runs skiff",
                 d->path, strerror(-result));
        break;
    default:
        snprintf(error, error_bytes,
                 "data directory %s can't be opened: %s; the kernel's log may say more of that disk",
                 d->path, strerror(-result));
        break;
    }
    return result;
}

/* Who holds it: the pid that the holder wrote. */
static long lock_holder(int lock_fd)
{
    char text[32] = "";

    if (pread(lock_fd, text, sizeof text - 1, 0) <= 0)
        return 0;
    return strtol(text, NULL, 10);
}

static int take_lock(struct datadir *d, char *error, size_t error_bytes)
{
    d->lock_fd = openat(d->fd, LOCK_NAME, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (d->lock_fd < 0) {
        const int result = -errno;
        snprintf(error, error_bytes, "data directory %s can't be written: %s%s", d->path,
                 strerror(-result),
                 result == -EACCES ? "; it must belong to the user who runs skiff" : "");
        return result;
    }
    if (flock(d->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return 0;
    const int result = -errno;
    if (result == -EWOULDBLOCK)
        snprintf(error, error_bytes,
                 "data directory %s is in use by the skiff with pid %ld; stop that one first "
                 "(scripts/stop), or use a configuration with another `data`",
                 d->path, lock_holder(d->lock_fd));
    else
        snprintf(error, error_bytes,
                 "data directory %s can't be locked: %s; it must be on a local file system",
                 d->path, strerror(-result));
    close(d->lock_fd);
    return result;
}

/* What the second process will read. Not knowing the pid is no reason to refuse to run. */
static void write_holder(const struct datadir *d)
{
    char text[32];
    const int length = snprintf(text, sizeof text, "%ld\n", (long)getpid());

    if (ftruncate(d->lock_fd, 0) != 0 || pwrite(d->lock_fd, text, (size_t)length, 0) != length)
        fprintf(stderr, "skiff: %s/%s: the pid can't be written: %s\n", d->path, LOCK_NAME,
                strerror(errno));
}

static int open_and_lock(struct datadir *d, const char *path, char *error, size_t error_bytes)
{
    d->path = path;
    int result = open_folder(d, error, error_bytes);
    if (result != 0)
        return result;
    result = take_lock(d, error, error_bytes);
    if (result != 0) {
        close(d->fd);
        return result;
    }
    write_holder(d);
    return 0;
}

/* Whether it holds anything but the lock, and what an init that did not end has left. */
static int check_empty(const struct datadir *d, char *error, size_t error_bytes)
{
    /* First of all the name that says most. */
    if (faccessat(d->fd, SUPERBLOCK_NAME, F_OK, 0) == 0) {
        snprintf(error, error_bytes,
                 "data directory %s is initialised already (it has a %s); start the node "
                 "with: skiff run --config FILE",
                 d->path, SUPERBLOCK_NAME);
        return -EEXIST;
    }
    const int copy = openat(d->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = copy >= 0 ? fdopendir(copy) : NULL;
    int result = 0;

    if (folder == NULL) {
        result = -errno;
        snprintf(error, error_bytes, "data directory %s can't be read: %s", d->path,
                 strerror(-result));
        if (copy >= 0)
            close(copy);
        return result;
    }
    const struct dirent *entry;
    while (result == 0 && (entry = readdir(folder)) != NULL) {
        const char *name = entry->d_name;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, LOCK_NAME) == 0 ||
            strcmp(name, SUPERBLOCK_NAME_MAKING) == 0)
            continue;
        result = -ENOTEMPTY;
        snprintf(error, error_bytes,
                 "data directory %s is not empty (it has a %s); init makes a new one, so name "
                 "another as `data` or empty this one",
                 d->path, name);
    }
    closedir(folder);
    return result;
}

int datadir_create(struct datadir *d, const char *path, char *error, size_t error_bytes)
{
    int result = datadir_make_folders(path);

    if (result == 0)
        result = flush_parent(path); /* it may be there by an init that was cut off */
    if (result != 0 && result != -ENOTDIR) {
        snprintf(error, error_bytes, "data directory %s can't be made: %s", path,
                 strerror(-result));
        return result;
    }
    result = open_and_lock(d, path, error, error_bytes);
    if (result != 0)
        return result;
    result = check_empty(d, error, error_bytes);
    if (result != 0)
        datadir_close(d);
    return result;
}

int datadir_open(struct datadir *d, const char *path, char *error, size_t error_bytes)
{
    int result = open_and_lock(d, path, error, error_bytes);

    if (result != 0)
        return result;
    if (faccessat(d->fd, SUPERBLOCK_NAME, F_OK, 0) == 0)
        return 0;
    result = -errno;
    snprintf(error, error_bytes,
             "data directory %s has no superblock: it is empty or not skiff's. A new node is made "
             "with: skiff init --config FILE. A node whose disk was lost must not start empty: its "
             "vote and its acknowledgements are gone",
             path);
    datadir_close(d);
    return result;
}

void datadir_close(struct datadir *d)
{
    close(d->lock_fd); /* gives the lock back */
    close(d->fd);
}

int datadir_check_owner(const struct datadir *d, const struct superblock *found,
                        const struct superblock *wanted, char *error, size_t error_bytes)
{
    switch (superblock_owner(found, wanted->cluster, wanted->node)) {
    case SUPERBLOCK_OF_OTHER_CLUSTER:
        snprintf(error, error_bytes,
                 "data directory %s belongs to cluster %" PRIu64 ", the configuration says cluster "
                 "%" PRIu64 "; name the right directory as `data`",
                 d->path, found->cluster, wanted->cluster);
        return -EXDEV;
    case SUPERBLOCK_OF_OTHER_NODE:
        snprintf(error, error_bytes,
                 "data directory %s belongs to node %u of this cluster, the configuration says "
                 "node %u; name the right directory as `data`",
                 d->path, found->node, wanted->node);
        return -EXDEV;
    case SUPERBLOCK_OURS:
        break;
    }
    return 0;
}
