/* tests/crash/failing.c: the n-th call to the disk fails, n from 1 to the end.
 *
 * What must hold: a failed, cancelled or short write or flush of the log stops it for good, nothing
 * is submitted any more, and appending says -EIO; at a start it refuses. A file for which there is no
 * room is tried again later and stops nothing, but a start; one that can't be made for another reason
 * stops the log too. A read that fails is never taken for the end of the log. Whatever happened, the next start without faults finds everything that was reported
 * durable.
 */
#include "tests/crash/failing.h"

#include "persist/segment.h"
#include "tests/crash/workload.h"

#include <errno.h>
#include <stdio.h>

enum {
    CALLS_MAX = 20000, /* more than one workload makes */
    AFTER_TURNS = 40,
};

#define KINDS_OF_LOG   (1u << DISK_OP_WRITE | 1u << DISK_OP_WRITE_DSYNC | 1u << DISK_OP_SYNC)
#define KINDS_OF_FILES (1u << DISK_OP_CREATE | 1u << DISK_OP_RENAME)

/* Where snapshots are written, calls for files of the log fail, then calls for theirs: where there is no room
 * the one stops, the other does not. */
enum family { FAMILY_ALL, FAMILY_LOG, FAMILY_SNAPSHOTS, FAMILIES };
static const char *const prefixes[FAMILIES] = {NULL, SEGMENT_NAME_PREFIX, SNAPSHOT_NAME_PREFIX};

static int complain(char error[FAILING_ERROR_BYTES], const struct disk_sim_fault *fault,
                    const char *what, const char *detail)
{
    snprintf(error, FAILING_ERROR_BYTES, "call %u ends with %lld %s: %s%s", fault->nth,
             (long long)fault->result, fault->sticky ? "from then on" : "once", what, detail);
    return -1;
}

/* A log that has failed is silent: what is in flight ends, and nothing is added. */
static const char *check_stopped(struct fixture *f)
{
    const struct fixture_step step = {.term = fixture_now(f)->term + 1, .vote = 1};
    const uint64_t version = disk_sim_version(f->disk);
    const uint64_t flights = disk_in_flight(f->disk);
    const uint32_t durable = f->durable;

    if (fixture_append(f, &step) != -EIO)
        return "a failed log takes a step";
    for (uint32_t i = 0; i < AFTER_TURNS; i++)
        fixture_turn(f, 100 * 1000);
    if (disk_sim_version(f->disk) > version + flights)
        return "a failed log submits";
    return f->durable == durable ? NULL : "a failed log reports more as durable";
}

/* What the rules say about a workload in which calls of these kinds have failed. */
static const char *judge(struct workload *w, struct disk_sim_failed failed, enum family family,
                         struct failing_counters *counters)
{
    const uint32_t kinds = failed.broke | failed.lacked_room;
    const uint32_t writes = family == FAMILY_SNAPSHOTS ? failed.broke : kinds;
    const bool stops = (writes & KINDS_OF_LOG) != 0 || (failed.broke & KINDS_OF_FILES) != 0;

    if (w->started == -1)
        return w->f->error; /* it started, and found something else */
    if (w->started != 0) {
        counters->refused++;
        return kinds != 0 ? NULL : "a start is refused without cause";
    }
    if (wal_failed(w->f->wal) != 0) {
        counters->stopped++;
        return stops ? check_stopped(w->f) : "the log stops without cause";
    }
    counters->went_on += kinds != 0;
    return stops ? "a failure of the log is passed over" : NULL;
}

struct task {
    uint32_t shape;
    uint64_t variant;
    enum family family;
};

/* One run. 1: the fault was ordered behind the last call; 0: fine; -1: not. */
static int run(const struct task *task, const struct disk_sim_fault *fault,
               struct failing_counters *counters, char error[FAILING_ERROR_BYTES])
{
    struct workload *w = workload_prepare(task->shape, task->variant);
    struct fixture *f = w->f;

    counters->runs++;
    disk_sim_fail(f->disk, fault);
    const int started = workload_start(w);
    while (started == 0 && workload_next(w))
        continue;
    const struct disk_sim_failed failed = disk_sim_failed_kinds(f->disk);
    int result = (failed.broke | failed.lacked_room) == 0 ? 1 : 0;
    const char *wrong = judge(w, failed, task->family, counters);
    if (wrong != NULL)
        result = complain(error, fault, wrong, "");
    disk_sim_fail(f->disk, &(struct disk_sim_fault){.nth = 0});
    /* Room comes back by itself. */
    if (result == 0 && w->started == 0 && wal_failed(f->wal) == 0)
        fixture_settle(f);
    disk_sim_power_cut(f->disk);
    if (result >= 0 && fixture_try_open(f) != 0)
        result = complain(error, fault, "the next start: ", f->error);
    workload_delete(w);
    return result;
}

/* The fault at each call in turn. */
static int each_call(const struct task *task, struct disk_sim_fault fault,
                     struct failing_counters *counters, char error[FAILING_ERROR_BYTES])
{
    int ended = 0;

    for (fault.nth = 1; fault.nth < CALLS_MAX && ended == 0; fault.nth++)
        ended = run(task, &fault, counters, error);
    if (ended < 0)
        return -1;
    return ended == 1 ? 0 : complain(error, &fault, "a workload does not end", "");
}

static int each_way(const struct task *task, struct failing_counters *counters,
                    char error[FAILING_ERROR_BYTES])
{
    static const int64_t results[] = {-EIO, -ENOSPC, -ECANCELED, DISK_SIM_SHORT, -EAGAIN};
    /* A disk that still writes and reads no more must not look like an empty one. */
    struct disk_sim_fault fault = {
        .kind = DISK_OP_READ, .result = -EIO, .sticky = true, .prefix = prefixes[task->family]};

    int result = each_call(task, fault, counters, error);
    fault.any_kind = true;
    for (uint32_t way = 0; way < 2 * sizeof results / sizeof results[0] && result == 0; way++) {
        fault.result = results[way / 2];
        fault.sticky = way % 2 == 1;
        result = each_call(task, fault, counters, error);
    }
    return result;
}

int failing_check(uint32_t shape, uint64_t variant, struct failing_counters *counters,
                  char error[FAILING_ERROR_BYTES])
{
    struct task task = {.shape = shape, .variant = variant};

    if (!workload_has_snapshots(shape))
        return each_way(&task, counters, error);
    task.family = FAMILY_LOG;
    const int result = each_way(&task, counters, error);
    if (result != 0)
        return result;
    task.family = FAMILY_SNAPSHOTS;
    return each_way(&task, counters, error);
}
