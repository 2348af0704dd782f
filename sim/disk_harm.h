/* sim/disk_harm.h: what a simulated disk does to bytes that it had reported stable, and to reads.
 *
 * Ledger     Each sector that does not hold, or does not return, what was written last has an entry
 *            with what it should hold. The entry goes when the sector is written again or its file is
 *            removed. Who reads back the wrong bytes must notice: an owner that refuses or stops
 *            while the ledger is empty and no read was harmed has no excuse.
 * Limit      No reader can notice that the very last writes are missing as long as nothing newer
 *            vouches for them. disk_harm_vouch() says up to where something does;
 *            disk_harm_settle() makes good all harm beyond, and a process that starts meets harmed
 *            reads only there. Both are the caller's duty in front of each start.
 * Thread     One.
 */
#ifndef SIM_DISK_HARM_H
#define SIM_DISK_HARM_H

#include "base/prng.h"
#include "sim/disk_sim.h"

enum disk_harm {
    DISK_HARM_FLIP,       /* a few bits */
    DISK_HARM_ZERO,       /* never written, as it seems */
    DISK_HARM_FOREIGN,    /* what belongs elsewhere: a sector of another file, or of this one */
    DISK_HARM_UNREADABLE, /* reads fail with -EIO */
    DISK_HARM_KINDS
};

enum { DISK_HARM_PREFIXES = 2 };

/* Chances per million. They concern files whose names begin with one of the prefixes. */
struct disk_harm_rates {
    const char *prefix[DISK_HARM_PREFIXES]; /* NULL: none */
    uint32_t lost;        /* of writes made stable: reported, and did not land */
    uint32_t misdirected; /* of the same: landed at another place of any such file */
    uint32_t read_error;  /* of reads: -EIO */
    uint32_t read_flip;   /* of reads: some bits of one sector */
    uint32_t read_stale;  /* of reads: one sector as it once was */
};

void disk_harm_set_rates(struct disk *d, const struct disk_harm_rates *rates);
/* The `nth` read from now on, 1 being the next, returns zeros, and the truth when it is done again; 0 takes
 * it back. */
void disk_harm_lie_once(struct disk *d, uint32_t nth);
/* Harms one sector of a file: false if there is no such file or sector. */
bool disk_harm_sector(struct disk *d, const char *name, uint64_t offset, enum disk_harm harm);
/* A file is gone, as if it had never been; of which no process may have a slot. False: there is none. */
bool disk_harm_remove(struct disk *d, const char *name);
/* One that was removed so is missed still; until the caller says that all is there again. */
bool disk_harm_missing(const struct disk *d);
void disk_harm_found(struct disk *d);
/* In front of `end` every loss in the file would be noticed. */
void disk_harm_vouch(struct disk *d, const char *name, uint64_t end);
/* Makes good what nobody vouches for; how many sectors. The file that is not named is vouched for up
 * to nowhere. */
uint32_t disk_harm_settle(struct disk *d);

struct disk_harm_place {
    const char *name; /* of the file */
    uint64_t offset;
    bool unreadable;
};
/* Harmed sector `i` of disk_harm_count(), in no order. */
struct disk_harm_place disk_harm_place(const struct disk *d, uint32_t i);

uint32_t disk_harm_count(const struct disk *d); /* sectors that are harmed now */
uint64_t disk_harm_reads(const struct disk *d); /* reads harmed in passing since the last crash */

#endif
