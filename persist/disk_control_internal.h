/* persist/disk_control_internal.h: what touches directories: making, renaming and removing files.
 *
 * A job is done by the control thread, or by the caller itself in disk_control_perform(). Both end
 * only when the result would survive a power cut.
 */
#ifndef PERSIST_DISK_CONTROL_INTERNAL_H
#define PERSIST_DISK_CONTROL_INTERNAL_H

#include <pthread.h>
#include <stdbool.h>

#include "persist/disk.h"

struct spsc;

struct disk_job {
    enum disk_op_kind kind;
    bool bare; /* CREATE */
    char name[DISK_NAME_BYTES];
    char from[DISK_NAME_BYTES]; /* RENAME */
    uint64_t length; /* CREATE; RENAME, if it is cut */
    uint32_t ticket; /* the caller's */
    int fd;          /* REMOVE: to be closed; -1: none */
};

struct disk_job_done {
    int64_t result;
    uint32_t ticket;
    int fd; /* CREATE: the new file */
};

struct disk_control {
    int directory_fd;
    int wake_fd;  /* eventfd the thread sleeps on */
    int event_fd; /* rung after each job */
    int open_flags;
    bool running;
    pthread_t thread;
    struct spsc *jobs;
    struct spsc *done;
    uint8_t *zeros;
};

int disk_control_open(struct disk_control *c, int directory_fd, int event_fd, int open_flags);
void disk_control_close(struct disk_control *c);
/* The thread takes jobs from here on. */
int disk_control_start(struct disk_control *c);
/* At most DISK_OPS_MAX may be on their way. */
void disk_control_push(struct disk_control *c, const struct disk_job *job);
bool disk_control_pop(struct disk_control *c, struct disk_job_done *done);
struct disk_job_done disk_control_perform(const struct disk_control *c, const struct disk_job *job);
/* Removes what a dead process had begun to make. */
int disk_control_sweep(const struct disk_control *c);

#endif
