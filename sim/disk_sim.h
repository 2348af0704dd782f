/* sim/disk_sim.h: the simulated disk behind persist/disk.h: files in memory, faults by a seed.
 *
 * Model      A file is its stable bytes and a list of writes that are not stable yet: in flight, or
 *            completed and cached. A WRITE_DSYNC is stable when it completes; a SYNC makes stable
 *            what had completed before it was submitted. CREATE, REMOVE and RENAME happen whole or not.
 *            Unfinished files are gone after a crash.
 * Crash      disk_sim_power_cut(): of each write that is not stable any subset of its 512-byte
 *            pieces survives. disk_sim_kill(): the process dies, its cache does not; each write
 *            that was in flight lands whole, in part, later (also after the next process has read
 *            the file), or never. Both must be called before the memory that the process gave to
 *            writes is used for anything else, and leave all slots closed for the next process.
 * Time       The caller's: nothing completes but in disk_sim_advance(), or at once in disk_wait().
 * Thread     One. Memory is taken as files grow, for the simulator is no lcore.
 */
#ifndef SIM_DISK_SIM_H
#define SIM_DISK_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include "persist/disk.h"

enum {
    DISK_SIM_PIECE = 512,                /* what the device writes whole or not at all */
    DISK_SIM_LATE_NS = 70 * 1000 * 1000, /* a dead process's writes landed up to this late */
};

struct disk_sim_options {
    uint64_t seed;
    uint64_t latency_ns_min, latency_ns_max; /* of each operation; they overtake each other */
    uint64_t create_ns_min, create_ns_max;   /* of CREATE, REMOVE and RENAME */
    uint32_t slow_per_million;               /* operations that take slow_ns instead */
    uint64_t slow_ns;
    uint64_t bytes_max; /* of all files: a CREATE beyond fails with -ENOSPC; 0: no limit */
};

/* NULL only for want of memory. The disk is empty. */
struct disk *disk_sim_new(const struct disk_sim_options *options);
void disk_sim_delete(struct disk *d);
/* A second disk with the same files, cache and operations in flight, and chances of its own: to
 * crash it and see what recovery makes of it while the first goes on. */
struct disk *disk_sim_fork(const struct disk *d, uint64_t seed);
/* The same, into a disk that is there already: quicker, for it takes over its memory. */
void disk_sim_assign(struct disk *to, const struct disk *from, uint64_t seed);

/* Completes what is due. Time does not go back. */
void disk_sim_advance(struct disk *d, uint64_t now_ns);
/* When something completes or lands next; UINT64_MAX: nothing will. */
uint64_t disk_sim_next_ns(const struct disk *d);

void disk_sim_power_cut(struct disk *d);
/* A power cut told exactly. The unstable operations are numbered from 0: completed writes that are
 * cached, then what is in flight (also CREATE, REMOVE, RENAME), each in order. Of those whose bit is set in
 * `survivors` everything lands; of `torn` (none: DISK_SIM_UNTORN) the pieces that `shape` names, and
 * of the others nothing. At most DISK_SIM_UNSTABLE_MAX of them can be told; the rest is lost. */
enum disk_sim_tear {
    DISK_SIM_FRONT, /* pieces before `piece` land */
    DISK_SIM_BACK,  /* pieces from it on */
    DISK_SIM_HOLE,  /* all but it */
    DISK_SIM_SPECK, /* it alone */
    DISK_SIM_TEARS,
};
enum { DISK_SIM_UNSTABLE_MAX = 64, DISK_SIM_UNTORN = UINT32_MAX };
struct disk_sim_cut {
    uint64_t survivors;
    uint32_t torn;
    uint32_t piece;
    enum disk_sim_tear shape;
};
void disk_sim_power_cut_exact(struct disk *d, const struct disk_sim_cut *cut);
/* How many there are, at most DISK_SIM_UNSTABLE_MAX; of each, if `pieces` is not NULL, how many
 * pieces it writes: 0 for what touches directories. */
uint32_t disk_sim_unstable(const struct disk *d, uint32_t pieces[DISK_SIM_UNSTABLE_MAX]);
void disk_sim_kill(struct disk *d);

/* The `nth` operation of `kind` that completes from now on, 1 being the next, has `result` instead
 * of its own: a negative errno, or DISK_SIM_SHORT for half of its length (-EIO if it has none). Part of a failed write
 * may land. One such order at a time; nth 0 takes it back. `sticky`: all later ones of the kind too. */
enum { DISK_SIM_SHORT = 1 };
struct disk_sim_fault {
    enum disk_op_kind kind;
    uint32_t nth;
    int64_t result;
    uint32_t count; /* so many in a row; 0 is 1 */
    bool sticky;
    bool any_kind;      /* `kind` is not looked at */
    const char *prefix; /* only files whose names begin with it; NULL: all */
};
void disk_sim_fail(struct disk *d, const struct disk_sim_fault *fault);
/* An order of disk_sim_fail() is still to come, or is being carried out. */
bool disk_sim_faulty(const struct disk *d);
/* Bit k: an operation of kind k ended as such an order said, since the disk was made: for want of
 * room (disk_lacks_room()), or otherwise. All that goes to an unfinished file counts as CREATE. */
struct disk_sim_failed {
    uint32_t lacked_room;
    uint32_t broke;
};
struct disk_sim_failed disk_sim_failed_kinds(const struct disk *d);
/* The `nth` completion from now on, of any kind, and all after it fail with -EIO until the next
 * crash; none of them does anything but what a write in flight may do at a crash. 0 takes it back. */
void disk_sim_fail_all_after(struct disk *d, uint32_t nth);
/* The `nth` operation from now on that is no READ and no FREE does nothing, and it and all after it fail with
 * -EIO until the next crash; the bytes of the writes among them are left to that. 0 takes it back. */
void disk_sim_die_at(struct disk *d, uint32_t nth);
/* One of the two orders was met, and not taken back yet. */
bool disk_sim_is_dead(const struct disk *d);
/* Nothing completes before it is released: a disk that hangs. */
void disk_sim_hold(struct disk *d, bool held);
/* Another limit of the bytes of all files; 0: none. And what they are now. */
void disk_sim_limit(struct disk *d, uint64_t bytes_max);
uint64_t disk_sim_used(const struct disk *d);
/* Operations completed since the disk was made, by what they were. */
uint64_t disk_sim_completed(const struct disk *d, enum disk_op_kind kind);

/* Another number after each submission and each completion. */
uint64_t disk_sim_version(const struct disk *d);
/* True when no write to [offset, offset + length) of the slot's file is in flight or cached only:
 * a power cut now would leave just these bytes. */
bool disk_sim_flushed(const struct disk *d, uint32_t slot, uint64_t offset, uint64_t length);
/* The stable bytes of a file, to look at or to damage; NULL: no such file. */
uint8_t *disk_sim_bytes(struct disk *d, const char *name, uint64_t *length);

#endif
