/* persist/reserve.h: room that the log leaves to what will cut it.
 *
 * Entries leave the log when a snapshot stands for them, and that is written beside it. A disk that the
 * log had filled to the end could never be relieved of anything. So the log makes no new file that
 * would leave less than the largest snapshot may take, and a node says when it is that far: it has less than
 * its reserve, which is that snapshot and the segments that are yet to be prepared.
 *
 * Looks      Others write to the file system too, and nobody tells what they take or give back: it is asked
 *            when a node starts, then each RESERVE_LOOK_NS, and each RESERVE_AGAIN_NS while there is too
 *            little. What a file system does not tell (the limit of a quota) is not known here either.
 * Snapshot   What one that is being written has taken, and one that goes will give back, is counted as
 *            free: that is what the reserve is for.
 * Spares     Old segments kept to be used again are prepared as good as new. Those beyond that are given up,
 *            one a look, while there is too little.
 * Errors     A look that fails tells nothing: what was known stays. Who has never known lacks nothing.
 * Thread     That of the log. reserve_open() after wal_open() and before the first wal_poll(), and behind
 *            snapshots_open() where there is one; without it the log takes all the room there is.
 * Memory     The struct.
 */
#ifndef PERSIST_RESERVE_H
#define PERSIST_RESERVE_H

#include "persist/wal.h"

enum { RESERVE_NEAR_SEGMENTS = 2 };

#define RESERVE_LOOK_NS  (1000 * 1000 * 1000ull)
#define RESERVE_AGAIN_NS (100 * 1000 * 1000ull)

struct reserve {
    struct wal *w;
    uint64_t snapshot_bytes; /* a file of the largest */
    bool looks;              /* one is on its way */
    bool known;
    bool may_give_up; /* a spare: a look has shown what the last one brought */
    uint64_t free_bytes;
    uint64_t held_bytes; /* by snapshots, at that look */
    uint64_t looked_ns;
};

struct reserve_report {
    uint64_t free_bytes, needed_bytes; /* both 0: not known */
    bool lacks;
    bool nears; /* it lacks, or would with RESERVE_NEAR_SEGMENTS more: time for a snapshot */
};

/* `snapshot_bytes`: snapshot_file_bytes() of the largest; 0: there are none. */
void reserve_open(struct reserve *r, struct wal *w, uint64_t snapshot_bytes);
/* After wal_poll(), which brings the answer. Work done; 0: idle. */
uint32_t reserve_poll(struct reserve *r, uint64_t now_ns);
/* When reserve_poll() must be called next though nothing completes. */
uint64_t reserve_next_ns(const struct reserve *r);
struct reserve_report reserve_report(const struct reserve *r);
/* What a new node needs to begin with: the first segment, those prepared, and the largest snapshot. */
uint64_t reserve_at_first(const struct wal_options *options, uint64_t snapshot_bytes);

#endif
