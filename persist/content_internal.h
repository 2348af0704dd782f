/* persist/content_internal.h: what the log contains and where it lies, as a start finds it and appends change it.
 *
 *   view.c      last entry, term runs, configurations
 *   holes.c     entries that can't be read, and what fills them again
 *   places.c    where an entry lies: sparse, bounded
 */
#ifndef PERSIST_CONTENT_INTERNAL_H
#define PERSIST_CONTENT_INTERNAL_H

#include "persist/wal.h"

struct record_header;
struct wal;

enum {
    WAL_PLACES_MAX = 16384,     /* one each 64 KiB of a log of 1 GiB */
    WAL_CONFIG_PLACES_MAX = 64, /* remembered while the log is read; see WAL_CONFIGS_MAX for how
                                   many can be undone */
};

/* Where a batch begins: index into the table of segments, and the offset. */
struct wal_place {
    uint32_t segment;
    uint64_t offset;
};

/* Sparse map from index to place, ascending in both. places.c */
struct wal_places {
    uint32_t count;
    uint64_t spacing_bytes; /* a batch nearer than this to the one before is left out */
    struct {
        raft_index first;
        struct wal_place place;
    } entry[WAL_PLACES_MAX];
};

/* The content of the log. view.c */
struct wal_view {
    raft_index base; /* the log begins behind it */
    raft_term base_term;
    uint32_t base_chain;
    uint32_t first_chain; /* what the record at base + 1 says about the one before it */
    raft_index last;
    raft_term last_term;
    uint32_t last_chain;
    uint32_t run_count;
    raft_index *run_first;
    raft_term *run_term;
    uint32_t config_count;
    bool config_forgotten; /* an older one than those kept */
    raft_index config_index[WAL_CONFIG_PLACES_MAX];
};

/* A range of entries that stands in a batch of its own, out of order. */
struct wal_fill {
    raft_index first, last;
    struct wal_place place;
};

/* holes.c */
struct wal_holes {
    uint32_t hole_count; /* ascending, none overlaps another */
    uint32_t fill_count; /* likewise */
    struct wal_hole hole[WAL_HOLES_MAX];
    struct wal_fill fill[WAL_FILLS_MAX];
};

static inline bool wal_place_before(struct wal_place a, struct wal_place b)
{
    return a.segment != b.segment ? a.segment < b.segment : a.offset < b.offset;
}


/* view.c. Empty, on this base. */
void wal_view_begin(struct wal_view *v, raft_index base, raft_term term, uint32_t chain);
/* 0, or -EOVERFLOW when there are more than RAFT_TERM_RUNS_MAX. */
int wal_view_add(struct wal_view *v, const struct record_header *record);
void wal_view_cut(struct wal_view *v, raft_index last);
/* Entries first .. last are of `term`, whatever was known of them. Likewise. */
int wal_view_set_term(struct wal_view *v, raft_index first, raft_index last, raft_term term);
/* The log ends with an entry that is not at hand, nor is what lies between it and `floor`. Terms
 * there become guesses that ascend. Likewise. */
struct wal_end {
    raft_index index;
    uint32_t chain;
    raft_term term; /* of that entry; what it is at most, unless term_known */
    bool term_known;
};
int wal_view_skip(struct wal_view *v, const struct wal_end *end, raft_index floor);
void wal_view_drop_configs(struct wal_view *v, raft_index first, raft_index last);
void wal_view_put_config(struct wal_view *v, raft_index index);

/* holes.c */
/* The log ends with entry `last`, whose header checksum is `chain`, before it goes on. */
void wal_holes_cut(struct wal_holes *t, raft_index last, uint32_t chain);
/* Records that stand back to back at `records` and, in a batch, at `place`. 0; -EINVAL: they are not what
 * is missing next; -EOVERFLOW. */
int wal_holes_fill(struct wal *w, const uint8_t *records, uint32_t length, struct wal_place place);
/* The log ends like that, with or without what lies between: opens a hole if anything is missing. */
int wal_holes_skip(struct wal *w, const struct wal_end *end);
/* The highest index up to `last` that stands in the log behind entry `first` as one looks for `first`:
 * below `first` if that is missing. */
raft_index wal_holes_limit(const struct wal_holes *t, raft_index first, raft_index last);
/* Entries up to the base are missed by nobody. */
void wal_holes_rebase(struct wal_holes *t, raft_index base);
/* The first segment leaves the table. */
void wal_holes_shift(struct wal_holes *t);
/* Where the fill that begins with entry `first` stands. */
void wal_holes_place(struct wal_holes *t, raft_index first, struct wal_place place);
const struct wal_fill *wal_holes_find(const struct wal_holes *t, raft_index index); /* or NULL */

/* places.c. `first` is the lowest index in the batch at `place`, which comes behind all others. */
void wal_places_add(struct wal_places *p, raft_index first, struct wal_place place);
/* Forgets all places at or behind `end`. */
void wal_places_cut(struct wal_places *p, struct wal_place end);
/* The first segment leaves the table. */
void wal_places_shift(struct wal_places *p);
/* The batch from where to look for `index`; false: nothing that old is known. `next` is the place of
 * the one known after it. */
bool wal_places_find(const struct wal_places *p, raft_index index, struct wal_place *at,
                     struct wal_place *next);

#endif
