/* persist/disk_uring.h: the seam disk.h on real files: io_uring for data, a thread for directories.
 *
 * Two lives   From disk_uring_open() to disk_uring_enable() operations are ordinary system calls that are
 *             over when disk_submit() returns: a start may take its time, and the ring must be enabled by
 *             the one thread that will submit to it. Only reads go through a small ring of their own,
 *             so that the next is on its way while a start looks at what it has. Afterwards writes, flushes and
 *             reads go through the ring, CREATE and REMOVE to the control thread.
 * Ring        Single issuer, restricted to read, write and fsync on registered files. Whatever is
 *             submitted between two disk_send() costs one system call together. Completions are
 *             seen without a system call; each also rings the eventfd, for an lcore that sleeps.
 * Registered  The fronts of what was lent (disk_lend()), an equal share of options.registered_bytes_max
 *             each, so that batches of ordinary size need not be pinned page by page at each write. The
 *             kernel counts them against RLIMIT_MEMLOCK, of all processes of the user together; if it
 *             refuses, everything works by plain reads and writes, and the caller says so once.
 * O_DIRECT    Where the file system has it, by statx(STATX_DIOALIGN); else through the page cache,
 *             with the same flushes: disk_uring_is_direct() tells, and the caller says so in its log.
 * Directory   Made and locked by the caller before, so nobody else works in it. Files *.new are
 *             leftovers of a process that died; they are removed.
 * Thread      disk_uring_enable() and all of disk.h after it: the persist lcore. The rest: the thread
 *             that starts and ends the node, when no lcore runs.
 * Memory      Taken in disk_uring_open().
 */
#ifndef PERSIST_DISK_URING_H
#define PERSIST_DISK_URING_H

#include <stdbool.h>
#include <stddef.h>

#include "persist/disk.h"

enum { DISK_URING_REGISTERED_BYTES_DEFAULT = 2 << 20 };

struct disk_uring_options {
    uint64_t registered_bytes_max; /* 0: no memory is registered */
    bool buffered;                 /* never O_DIRECT */
    bool
        read_only; /* nothing is swept, made or written: such operations end with -EROFS; no ring */
};

/* 0, or a negative errno with a sentence in `error`. */
int disk_uring_open(const char *directory, const struct disk_uring_options *options,
                    struct disk **out, char *error, size_t error_bytes);
/* The calling thread submits from here on. 0 or negative errno. */
int disk_uring_enable(struct disk *d);
bool disk_uring_is_direct(const struct disk *d);
/* Once enabled: how many bytes of memory are registered, or the negative errno of the refusal. */
int64_t disk_uring_registered(const struct disk *d);
/* Readable when something completed; who sleeps on it reads it when he wakes. */
int disk_uring_fd(const struct disk *d);
/* Waits for what is in flight, at most some seconds, since its bytes are the caller's memory. */
void disk_uring_close(struct disk *d);

#endif
