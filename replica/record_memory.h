/* replica/record_memory.h: where the newest records lie: a ring by age with one writer.
 *
 * The raft role writes each record once; it never changes after that. A table maps log indexes to
 * the records; a truncated record only loses its entry. The persist and the store role read
 * records through addresses handed to them by rings, so memory may only be written again when
 * both are past every handoff that could name it. Each counts the handoffs it is done with in a
 * published word. Reuse therefore goes in three steps, an eighth of the memory at a time:
 *
 *   retire   the oldest records lose their table entries: no new handoff can name them
 *   mark     how many handoffs each reader had been given by then is noted
 *   release  both readers' counts have reached the marks: the bytes are free
 *
 * Entries that lost their place are read back from the log when a peer or the store needs them, so
 * only what is not yet durable must stay; that is why memory can't be wedged by a slow reader.
 *
 * Thread     The raft role only.
 * Memory     `bytes` and `table` are lent for ever.
 */
#ifndef REPLICA_RECORD_MEMORY_H
#define REPLICA_RECORD_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/published.h"
#include "base/record.h"
#include "raftcore/raft_types.h"

enum { RECORD_READERS = 2 /* persist and store */ };

struct record_reader {
    uint64_t given;              /* handoffs pushed to it; raft's own count */
    const struct published *done; /* handoffs it has finished with */
};

struct record_memory {
    uint8_t *bytes;
    uint64_t size;  /* a power of two */
    uint64_t head;  /* position: everything below may be written again */
    uint64_t tail;  /* position: the next record */
    uint64_t *table; /* position of entry i at table[i & table_mask] */
    uint32_t table_mask;
    raft_index first, last; /* entries in the table; first == last + 1: none */
    bool retiring;
    uint64_t retire_upto;
    uint64_t retire_mark[RECORD_READERS];
    struct record_reader reader[RECORD_READERS];
};

/* An empty table that expects entry `next` first. */
void record_memory_init(struct record_memory *m, raft_index next);

/* Room for `length` contiguous bytes and `count` table entries; may retire and release on the way.
 * Entries above `durable` are never retired. False: not now. */
bool record_memory_room(struct record_memory *m, uint64_t length, uint32_t count,
                        raft_index durable);

/* `length` contiguous bytes; there is room for them. What is written there becomes visible to
 * others by a handoff, and to the table by record_memory_add(). */
uint8_t *record_memory_take(struct record_memory *m, uint64_t length);

/* Entries from `index` on lose their place: they are being replaced. */
void record_memory_truncate(struct record_memory *m, raft_index index);

/* No entry has a place any more, and the next one is `next`: the log begins there. */
void record_memory_begin_at(struct record_memory *m, raft_index next);

/* The record at `bytes`, in memory just taken, is the entry last + 1. */
void record_memory_add(struct record_memory *m, const uint8_t *bytes);

/* NULL: no longer, or not yet, in memory. */
const struct record_header *record_memory_at(const struct record_memory *m, raft_index index);

#endif
