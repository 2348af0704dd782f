/* persist/recovery_internal.h: one start of the log, from the files found to the segment it goes on
 * in. chain.c finds the segments, recovery.c walks and judges them, recovery_report.c says what they are,
 * resume.c goes on.
 */
#ifndef PERSIST_RECOVERY_INTERNAL_H
#define PERSIST_RECOVERY_INTERNAL_H

#include <stdio.h>

#include "persist/wal_internal.h"

enum {
    /* Batches above the mark: at most those in flight when the last one was composed, and itself. */
    KEPT_MAX = WAL_BUFFERS_MAX,
    KEPT_RING = 2 * WAL_BUFFERS_MAX,

    /* A disk may return what is not there, or fail, and read well when it is asked again: what is not
     * good is read so often before anybody judges it. What is lost for a moment would cost a repair,
     * which other nodes must help with; what is taken for the end of the log is cut off. */
    RECOVERY_LOOKS = 2,
};

static_assert(KEPT_RING > KEPT_MAX, "the batch in front of the first copy is known too");

/* One good batch of the walk. */
struct kept {
    uint64_t number;
    struct wal_place place;
    uint64_t bytes;
    raft_seq last_seq;
    uint32_t header_crc;
    raft_index first_index; /* lowest of its records; 0: none that are the log's next */
    raft_index goes_on;     /* see struct wal_segment; 0: not known */
    raft_index fills;       /* lowest of those that fill a hole; 0: none */
};

struct recovery {
    struct wal *w;
    struct wal_recovered *out;
    struct wal_scan scan;
    uint32_t file_count; /* names in w->names, by generation, file i in slot WAL_SLOT_FIRST + i */

    struct wal_place at; /* the walk: where the next batch must stand */
    uint64_t number;     /* and its number */
    uint32_t previous_crc;
    raft_seq last_seq;
    bool lost;   /* batches in front of r->at are lost: where the log ended then is not known yet */
    bool looked; /* for marks, up to the end */
    bool damaged; /* something at or below the mark can't be read */
    uint64_t mark_number;        /* the durable mark */
    uint64_t highest_behind;     /* of all valid headers where the walk first stopped, and behind */
    struct kept kept[KEPT_RING]; /* batch n at n % KEPT_RING */
};

/* The sentence for the operator, and the code as its value. */
#define REFUSE(r, code, ...) \
    (snprintf((r)->out->refusal, sizeof(r)->out->refusal, __VA_ARGS__), (code))

/* recovery.c. In this order, with recovery_load_chain() between the two: they only read. */
void recovery_begin(struct recovery *r, struct wal *w, struct wal_recovered *out);
int recovery_read(struct recovery *r);

/* chain.c. Fills w->segment with the segments of the log, oldest first; 0 or the refusal. */
int recovery_load_chain(struct recovery *r);
enum segment_verdict recovery_read_header(struct recovery *r, uint32_t segment,
                                          struct segment_header *out);
int recovery_refuse_header(struct recovery *r, uint64_t generation, enum segment_verdict verdict,
                           const struct segment_header *h);
/* The header of a batch that is valid at this place; false: there is none. */
bool recovery_header_at(struct recovery *r, struct wal_place place, uint64_t limit,
                        struct batch_header *out);

/* recovery_report.c. What the log is; recovery_resume() makes all of it durable and changes nothing of it. */
void recovery_report(struct recovery *r);
/* The configurations that may still be undone, and the one that is then in force; once nothing is written
 * any more, for they are read back. */
int recovery_report_configs(struct recovery *r);

/* resume.c. Steps 0 to 5 of docs/recovery.md: from here on there are writes. */
int recovery_resume(struct recovery *r);

#endif
