/* sim/disk_sim_internal.h: the simulated disk's tables, for the files disk_sim*.c and disk_harm.c. */
#ifndef SIM_DISK_SIM_INTERNAL_H
#define SIM_DISK_SIM_INTERNAL_H

#include "base/assert.h"
#include "base/mark.h"
#include "base/prng.h"
#include "sim/disk_harm.h"
#include "sim/disk_sim.h"

#include <stddef.h>

enum {
    FILES_MAX = 2 * DISK_FILES_MAX, /* names, and files without a name that late writes may reach */
    PENDING_MAX = 4 * DISK_OPS_MAX, /* in flight, cached, and late ones of dead processes */
    KINDS = DISK_OP_FREE + 1,
    PER_MILLION = 1000000,
};

struct sim_file {
    bool used;
    bool linked; /* has its name; else only slots and late writes know it */
    char name[DISK_NAME_BYTES];
    uint64_t length;
    uint64_t vouched_end; /* disk_harm.h */
    uint8_t *stable;
};

/* A sector that is not what it should be. */
struct harm {
    uint32_t file;
    bool unreadable;
    uint64_t offset;
    uint8_t truth[DISK_SECTOR];
};

struct harm_ledger {
    uint32_t count, capacity;
    struct harm *harm;
};

enum pending_state {
    PENDING_FREE,
    PENDING_FLIGHT, /* submitted */
    PENDING_DONE,   /* completed, waits for disk_reap() */
    PENDING_CACHED, /* a completed write, `copy` holds its bytes */
    PENDING_LATE,   /* a write of a dead process that will still land, likewise */
};

struct pending {
    enum pending_state state;
    struct disk_op op;
    uint32_t file; /* index, or FILES_MAX */
    uint64_t due_ns;
    uint64_t order; /* of submission; of completion once done */
    int64_t result;
    uint8_t *copy;
};

struct disk {
    struct disk_sim_options options;
    struct prng prng;
    uint64_t now_ns;
    uint64_t order_next;
    uint64_t bytes_used;
    uint64_t next_due_ns; /* no operation is due before */
    uint64_t completed[KINDS];
    struct disk_sim_fault fault;
    struct disk_sim_failed failed;
    uint32_t fail_all_after; /* completions until all fail; 0: off */
    uint32_t die_at;         /* changing operations until all fail; 0: off */
    bool dead;               /* all operations fail */
    bool keeps;              /* dead, and what they would have written waits for the crash */
    bool held;
    struct disk_harm_rates rates;
    uint64_t harmed_reads;
    uint32_t lie_at; /* reads until one returns zeros; 0: off */
    bool file_missing;
    uint32_t flight_count;
    uint32_t done_count;
    uint32_t pending_end;               /* entries at and above it are free */
    uint32_t file_end;                  /* likewise of files */
    uint32_t slot_end;                  /* likewise of slots */
    uint32_t slot_file[DISK_FILES_MAX]; /* file index + 1; 0: closed */
    struct sim_file file[FILES_MAX];
    struct pending pending[PENDING_MAX];
    struct harm_ledger ledger;
};

static inline struct sim_file *file_of(struct disk *d, uint32_t file)
{
    ASSERT(file < FILES_MAX);
    ASSERT(d->file[file].used);
    return &d->file[file];
}

static inline bool is_write(const struct pending *p)
{
    return p->op.kind == DISK_OP_WRITE || p->op.kind == DISK_OP_WRITE_DSYNC;
}

/* A completed write that is not stable: reads see it, a power cut may not. */
static inline bool is_cached(const struct pending *p)
{
    return p->state == PENDING_CACHED || (p->state == PENDING_DONE && p->copy != NULL);
}

static inline bool is_control(const struct disk_op *op)
{
    return op->kind == DISK_OP_CREATE || op->kind == DISK_OP_REMOVE || op->kind == DISK_OP_RENAME ||
           op->kind == DISK_OP_FREE;
}

static inline const uint8_t *write_bytes(const struct pending *p)
{
    return p->copy != NULL ? p->copy : p->op.bytes;
}

/* disk_sim.c */
uint8_t *disk_sim_copy_bytes(const uint8_t *bytes, uint64_t length);
/* Notes when there is something to do next; what a held disk delayed is due now. */
void disk_sim_schedule(struct disk *d);

/* disk_sim_files.c. FILES_MAX: there is no file of that name. */
uint32_t disk_sim_file_find(const struct disk *d, const char *name);
/* FILES_MAX: there is no room for another. */
uint32_t disk_sim_file_add(struct disk *d, const char *name, uint64_t length);
/* Files that nothing can reach any more give their memory back. */
void disk_sim_file_collect(struct disk *d);
void disk_sim_slot_set(struct disk *d, uint32_t slot, uint32_t file);

/* disk_sim_perform.c. Does what the operation is for; its result. */
int64_t disk_sim_perform(struct disk *d, struct pending *p);
/* A subset of the pieces of a write lands. */
void disk_sim_land_some(struct disk *d, struct pending *p);
/* The cached write of `file` that completed first at or after `order`; NULL: there is none. */
struct pending *disk_sim_next_cached(struct disk *d, uint32_t file, uint64_t order);
void disk_sim_pending_free(struct disk *d, struct pending *p);
/* Bytes become stable. */
void disk_sim_store(struct disk *d, uint32_t file, uint64_t offset, const uint8_t *bytes,
                    uint64_t length);
bool disk_sim_overlaps(const struct disk_op *op, uint64_t offset, uint64_t length);

/* disk_sim_fault.c. True when an ordered fault takes the place of the operation's own outcome: then the
 * second says what comes of it. */
bool disk_sim_fault_applies(struct disk *d, const struct pending *p);
int64_t disk_sim_faulty_result(struct disk *d, struct pending *p);

/* disk_harm.c, for the disk */
void disk_harm_assign(struct disk *to, const struct disk *from);
void disk_harm_forget_file(struct disk *d, uint32_t file);
/* These bytes were written: what was harmed there is mended. */
void disk_harm_landed(struct disk *d, uint32_t file, uint64_t offset, const uint8_t *bytes,
                      uint64_t length);
/* True: the write that becomes stable now was taken care of, and did not land. */
bool disk_harm_takes_write(struct disk *d, const struct pending *p);
/* What becomes of a read of `length` bytes; its result. `starting`: the reader is a process that
 * starts. */
int64_t disk_harm_read(struct disk *d, const struct pending *p, int64_t length, bool starting);

#endif
