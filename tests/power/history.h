/* tests/power/history.h: what a log and its snapshots must contain, step by step, as a function of a seed.
 *
 * Step N of a seed is always the same: the same records, the same term and vote. So whoever
 * recovers a log knows what it may contain without having seen it written: one of the states after
 * step `acknowledged` or a later one. No two states are equal, since each step brings a record
 * whose header checksum names the whole log up to it, a new term, or another base.
 *
 * Every HISTORY_SNAPSHOT_EVERY steps a snapshot is begun, of what is committed then or, as if it came
 * from elsewhere, of entries behind the end of the log; a step some later names it, and the log stands
 * on another base from there on. What is in a snapshot follows from its index.
 *
 * Thread     One.
 * Memory     Taken in history_new(); a log longer than HISTORY_ENTRIES_MAX is not tested.
 */
#ifndef TESTS_POWER_HISTORY_H
#define TESTS_POWER_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

#include "persist/wal.h"

enum {
    HISTORY_CLUSTER = 77,
    HISTORY_INCARNATION = 0x1234,
    HISTORY_NODE = 1,
    HISTORY_BATCH_BYTES = 16 * DISK_SECTOR,
    HISTORY_STEP_BYTES_MAX = HISTORY_BATCH_BYTES - DISK_SECTOR,
    HISTORY_ENTRIES_MAX = 1 << 20,
    HISTORY_SNAPSHOT_EVERY = 24,
    HISTORY_SNAPSHOT_BYTES_MAX = 96 * 1024,
};

struct history;

struct history_snapshot {
    raft_index index; /* 0: there was none yet */
    raft_term term;
    uint32_t chain;  /* header checksum of the record at `index` */
    uint64_t due;    /* the step that names it */
    raft_index base; /* where the log begins then; the others are its own */
    raft_term base_term;
    uint32_t base_chain;
    bool cut; /* it takes the place of the log */
};

/* Another history with snapshots than without. */
struct history *history_new(uint64_t seed, bool with_snapshots);
void history_delete(struct history *h);

/* Steps taken so far. */
uint64_t history_step(const struct history *h);
/* The newest that was begun. The step that history_next() has just taken names it if it is `due`. */
const struct history_snapshot *history_snapshot(const struct history *h);
/* At most HISTORY_SNAPSHOT_BYTES_MAX; its length. */
uint32_t history_content(const struct history *h, raft_index index, uint8_t *content);
/* Takes the next step; `out` tells it but for its seq. Its bytes are good until the next call. */
void history_next(struct history *h, struct wal_step *out);
/* True when a log that was recovered is what this state says; records are not looked at. */
bool history_matches(const struct history *h, const struct wal_recovered *found);
/* True when this is the record that stands at its index. */
bool history_has(const struct history *h, const void *record, uint32_t length);

#endif
