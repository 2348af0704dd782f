/* node/datadir.h: the data directory: made once by init, then held by one process at a time.
 *
 * LOCK       A file in it, locked by flock() for the life of the process, so that the kernel gives
 *            it back however the process ends. It holds the pid, for the message to the second one.
 * Refused    What is no directory, not ours to write, held by another process, never initialised,
 *            or of another cluster or node: each with a sentence that says what to do.
 * Thread     The thread that starts the node.
 * Errors     Negative errno and a sentence in `error`.
 */
#ifndef NODE_DATADIR_H
#define NODE_DATADIR_H

#include "persist/superblock.h"

#include <stddef.h>
#include <stdint.h>

struct datadir {
    const char *path;
    int fd;      /* of the directory */
    int lock_fd; /* open as long as the directory is ours */
};

/* For init: makes it, with its parents, and takes the lock; refuses one that is not empty. */
int datadir_create(struct datadir *d, const char *path, char *error, size_t error_bytes);
/* For run: takes the lock of what init has made. */
int datadir_open(struct datadir *d, const char *path, char *error, size_t error_bytes);
void datadir_close(struct datadir *d);

/* Whether what the superblock says (cluster, node) is what the configuration says. */
int datadir_check_owner(const struct datadir *d, const struct superblock *found,
                        const struct superblock *wanted, char *error, size_t error_bytes);

/* mkdir -p that outlives a power cut, for the run and links directories too. 0 or negative errno. */
int datadir_make_folders(const char *path);

#endif
