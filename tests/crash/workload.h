/* tests/crash/workload.h: scripted lives of a log, drawn by number, seen from one point to the next.
 *
 * A point lies between any two things that happen to the disk: a submission, a completion. The same
 * (shape, variant) gives the same points, whatever is done with copies of the log in between.
 */
#ifndef TESTS_CRASH_WORKLOAD_H
#define TESTS_CRASH_WORKLOAD_H

#include "tests/persist/fixture.h"

enum { WORKLOAD_SHAPES = 100 };

struct workload {
    struct fixture *f;
    const struct script *script;
    uint32_t steps_left;
    uint32_t lives_left;
    uint32_t turns_left; /* before the next step */
    int started;         /* what the newest start said */
    uint64_t version;    /* of the disk at the last point */
    uint32_t turns;      /* of this life */
    bool polled;         /* what has completed was seen by the log */
    bool full;           /* the disk was told to have no room for a while */
    bool has_step;       /* drawn, and not taken yet */
    struct fixture_step step;
    bool has_base;            /* a step whose snapshot is being written beside others */
    bool base_seen;           /* since the last poll */
    struct fixture_step base; /* that one */
    bool mends;               /* the snapshot was lost, and is written anew */
};

/* Fresh disk, open log. NULL: the first start failed (with a fault ordered it may). */
struct workload *workload_new(uint32_t shape, uint64_t variant);
/* Not opened yet, to order faults before: workload_start() is 0 or what the start said. */
struct workload *workload_prepare(uint32_t shape, uint64_t variant);
int workload_start(struct workload *w);
void workload_delete(struct workload *w);
const char *workload_name(uint32_t shape);
bool workload_has_snapshots(uint32_t shape);

/* Goes on to the next point. False: it is over, or the log has failed, did not start again, or takes
 * no step for far too long; lives_left is 0 only when it is over. */
bool workload_next(struct workload *w);

#endif
