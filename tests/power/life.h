/* tests/power/life.h: one life of a log and its snapshots on a real file system, as wal_driver.c leads it.
 *
 *   life_open_disk --> life_take_boot --> life_open_log --> life_verify --> life_take_step ... life_settle
 *
 * Each step is the history's, handed to the log as a node would: snapshots are written beside it, and
 * the step that names one waits until it has its name.
 *
 * Thread     One.
 * Errors     What may not be ends the process with its exit code and a sentence: promise.h.
 */
#ifndef TESTS_POWER_LIFE_H
#define TESTS_POWER_LIFE_H

#include <stdbool.h>
#include <stdint.h>

#include "persist/snapshot.h"
#include "persist/superblock.h"
#include "persist/wal.h"
#include "tests/power/history.h"

struct life_options {
    const char *directory;
    const char *mark; /* name of a dm-log-writes device */
    uint64_t seed;
    uint64_t acked;
    uint64_t steps; /* to take in this life */
    uint32_t boot;  /* acknowledged */
    uint32_t flights;
    uint32_t segment_kib;
    bool buffered;
    bool sync_by_fsync;
    bool no_snapshots; /* the log grows for ever */
};

/* The file that is written beside the log: life_snapshot.c. */
struct life_snapshot {
    uint32_t length; /* of its content */
    uint32_t handed_over;
    uint8_t content[HISTORY_SNAPSHOT_BYTES_MAX];
};

struct life {
    struct life_options o;
    struct disk *disk;
    struct superblock superblock;
    uint8_t *sector;
    struct wal_options wal_options;
    void *memory;
    struct wal *wal;
    struct wal_recovered found;
    void *snapshot_memory;
    struct snapshots *snapshots;
    struct snapshots_found snapshots_found;
    struct life_snapshot making;
    struct history *history;
    uint64_t found_step;
    uint64_t acked;
    uint64_t refused_since_ns;
    bool full; /* as last said */
};

uint64_t life_now_ns(void);
void life_open_disk(struct life *l);
void life_take_boot(struct life *l);
/* All that wants the disk before its ring is enabled. */
void life_open_log(struct life *l);
/* What was found is a state that may be, every record of it and its snapshot can be read back, and all
 * of that is durable. */
void life_verify(struct life *l);
void life_poll(struct life *l);
void life_take_step(struct life *l);
/* Until everything taken is durable. */
void life_settle(struct life *l);
void life_close(struct life *l);

/* life_snapshot.c */
void life_snapshots_open(struct life *l);
void life_snapshot_verify(struct life *l);
/* One thing more on the way to the snapshot that the history began. */
void life_snapshot_poll(struct life *l);
/* wal_set_base() to the snapshot that this step names; -EAGAIN until it has its name, -ENOSPC if there was
 * no room for it. */
int life_snapshot_name(struct life *l, const struct wal_step *step);

#endif
