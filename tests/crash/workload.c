/* tests/crash/workload.c: see workload.h. A shape is a script, a way of flushing, and flushes in flight. */
#include "tests/crash/workload.h"

#include "base/assert.h"

#include <errno.h>
#include <stdlib.h>

struct script {
    const char *name;
    struct fixture_mix mix;
    uint32_t steps;
    uint32_t turns_max;       /* between two steps; 0: all at once */
    uint32_t segment_sectors; /* small segments are rolled often */
    uint32_t lives;
    uint32_t idle_in_16; /* chances of silence after a step, so that the mark is written */
    uint32_t full_in_16; /* chances of a disk that has no room for a file for a while */
    bool snapshots;      /* bases name snapshots that were written */
    bool beside;         /* and other steps are taken while one is being written */
    uint32_t loses_in_16; /* chances that a start finds its snapshot lost */
};

enum {
    SCRIPTS = WORKLOAD_SHAPES / 4,
    TURN_NS = 60 * 1000,
    IDLE_TURNS = 60,
    TURNS_MAX = 100000,
    FULL_CREATES = 3,
    AHEAD_MAX = 3,
    SPARES_MAX = 3,
    BESIDE_SHARE_PERCENT = 60,
};

static const struct script scripts[SCRIPTS] = {
    {"appends", {.count_max = 4, .payload_max = 200}, 24, 5, 24, 1, 0, 0},
    {"large", {.count_max = 5, .payload_max = 1800}, 20, 6, 24, 1, 0, 0},
    {"rolls", {.count_max = 6, .payload_max = 1500}, 28, 5, 10, 1, 0, 0},
    {"replaces",
     {.count_max = 6, .payload_max = 600, .replaces = 8, .tail_max = 16},
     24,
     5,
     12,
     1,
     0,
     0},
    {"votes", {.count_max = 2, .payload_max = 100, .votes = 10}, 30, 4, 16, 1, 0, 0},
    {"configs",
     {.count_max = 3, .payload_max = 300, .replaces = 4, .configs = 6, .tail_max = 6},
     24,
     5,
     12,
     1,
     0,
     0},
    {"bursts",
     {.count_max = 8, .payload_max = 900, .votes = 1, .replaces = 1, .tail_max = 6},
     40,
     1,
     12,
     1,
     0,
     0},
    {"idle", {.count_max = 3, .payload_max = 400, .votes = 2}, 12, 4, 12, 1, 8, 0},
    {"lives",
     {.count_max = 6, .payload_max = 900, .votes = 2, .replaces = 2, .tail_max = 8},
     8,
     4,
     10,
     4,
     1,
     0},
    {"short lives",
     {.count_max = 3, .payload_max = 500, .votes = 4, .replaces = 2, .tail_max = 4},
     3,
     3,
     10,
     8,
     0,
     0},
    {"disk full", {.count_max = 6, .payload_max = 1200, .votes = 4}, 24, 5, 10, 1, 0, 3},
    {"mixed",
     {.count_max = 8, .payload_max = 1200, .votes = 2, .replaces = 2, .configs = 2, .tail_max = 8},
     14,
     5,
     10,
     2,
     1,
     1},
    {"bases",
     {.count_max = 6, .payload_max = 900, .replaces = 1, .configs = 1, .tail_max = 6, .bases = 5},
     24,
     5,
     11,
     1,
     1,
     0},
    {"recycling", {.count_max = 6, .payload_max = 1500, .bases = 6}, 40, 5, 10, 1, 0, 0},
    {"installs",
     {.count_max = 5,
      .payload_max = 700,
      .votes = 1,
      .configs = 1,
      .tail_max = 6,
      .bases = 1,
      .installs = 4,
      .jump_max = 6},
     20,
     5,
     11,
     2,
     1,
     0},
    {"recycling lives",
     {.count_max = 6,
      .payload_max = 1500,
      .votes = 1,
      .replaces = 1,
      .tail_max = 4,
      .bases = 5,
      .installs = 1,
      .jump_max = 6},
     14,
     4,
     10,
     4,
     1,
     1},
    {"snapshots",
     {.count_max = 4, .payload_max = 300, .configs = 1, .bases = 6},
     14,
     5,
     12,
     1,
     1,
     0,
     true},
    {"snapshot installs",
     {.count_max = 3,
      .payload_max = 300,
      .votes = 1,
      .tail_max = 4,
      .bases = 2,
      .installs = 4,
      .jump_max = 6},
     10,
     4,
     12,
     2,
     1,
     0,
     true},
    {"snapshot lives",
     {.count_max = 3, .payload_max = 500, .replaces = 1, .tail_max = 3, .bases = 6},
     6,
     4,
     10,
     4,
     0,
     0,
     true},
    {"snapshots, disk full",
     {.count_max = 4, .payload_max = 900, .votes = 1, .bases = 6, .installs = 1, .jump_max = 6},
     14,
     4,
     10,
     2,
     1,
     3,
     true},
    {"beside snapshots",
     {.count_max = 4,
      .payload_max = 900,
      .votes = 1,
      .replaces = 1,
      .configs = 1,
      .tail_max = 4,
      .bases = 6,
      .commits = 12},
     30,
     12,
     12,
     1,
     1,
     0,
     true,
     true},
    {"recycling beside snapshots",
     {.count_max = 6, .payload_max = 1500, .votes = 1, .bases = 6, .commits = 14},
     24,
     12,
     10,
     2,
     1,
     0,
     true,
     true},
    {"beside installs",
     {.count_max = 2,
      .payload_max = 500,
      .votes = 2,
      .tail_max = 4,
      .bases = 1,
      .installs = 4,
      .jump_max = 30,
      .commits = 8},
     20,
     12,
     12,
     2,
     1,
     0,
     true,
     true},
    {"snapshots above the base",
     {.count_max = 4,
      .payload_max = 700,
      .replaces = 1,
      .configs = 1,
      .tail_max = 4,
      .bases = 6,
      .commits = 12,
      .stays = 10},
     24,
     12,
     12,
     2,
     1,
     0,
     true,
     true},
    {"lost snapshots",
     {.count_max = 3,
      .payload_max = 500,
      .configs = 1,
      .tail_max = 4,
      .bases = 4,
      .installs = 1,
      .jump_max = 8,
      .commits = 12,
      .stays = 6},
     10,
     10,
     12,
     5,
     1,
     1,
     true,
     true,
     10},
};

const char *workload_name(uint32_t shape)
{
    return scripts[shape % SCRIPTS].name;
}

bool workload_has_snapshots(uint32_t shape)
{
    return scripts[shape % SCRIPTS].snapshots;
}

struct workload *workload_prepare(uint32_t shape, uint64_t variant)
{
    struct workload *w = calloc(1, sizeof *w);
    const uint64_t seed = hash_u64(hash_u64(0x77a1, shape), variant);

    ASSERT(w != NULL);
    ASSERT(shape < WORKLOAD_SHAPES);
    w->script = &scripts[shape % SCRIPTS];
    w->f = fixture_new(seed);
    w->f->options.sync_by_fsync = shape / SCRIPTS % 2 == 1;
    w->f->options.flights = 1 + shape / SCRIPTS / 2 * 2;
    w->f->options.buffer_count = 2 + (uint32_t)prng_below(&w->f->prng, WAL_BUFFERS_MAX - 1);
    w->f->options.segment_bytes = w->script->segment_sectors * DISK_SECTOR;
    w->f->options.segments_ahead = 1 + (uint32_t)prng_below(&w->f->prng, AHEAD_MAX);
    w->f->options.spares_max = (uint32_t)prng_below(&w->f->prng, SPARES_MAX + 1);
    w->f->with_snapshots = w->script->snapshots;
    if (w->script->beside) /* so that more than one snapshot comes to its end */
        w->f->options.share_percent = BESIDE_SHARE_PERCENT;
    w->steps_left = w->script->steps;
    w->lives_left = w->script->lives;
    w->polled = true;
    return w;
}

int workload_start(struct workload *w)
{
    w->started = fixture_try_open(w->f);
    return w->started;
}

struct workload *workload_new(uint32_t shape, uint64_t variant)
{
    struct workload *w = workload_prepare(shape, variant);

    if (workload_start(w) == 0)
        return w;
    workload_delete(w);
    return NULL;
}

void workload_delete(struct workload *w)
{
    fixture_delete(w->f);
    free(w);
}

/* The end of one life and the beginning of the next. */
static bool next_life(struct workload *w)
{
    struct fixture *f = w->f;

    ASSERT(w->lives_left > 0);
    w->lives_left--;
    if (w->lives_left == 0)
        return false;
    if (prng_chance(&f->prng, 500000))
        disk_sim_kill(f->disk);
    else
        disk_sim_power_cut(f->disk);
    if (w->full) /* a start needs room */
        disk_sim_fail(f->disk, &(struct disk_sim_fault){.nth = 0});
    w->full = false;
    if (w->script->loses_in_16 > 0 && prng_below(&f->prng, 16) < w->script->loses_in_16)
        fixture_snapshot_lose(f, prng_chance(&f->prng, 500000));
    w->turns = 0;
    w->steps_left = w->script->steps;
    w->has_step = false;
    w->has_base = false;
    w->polled = true;
    const int started = workload_start(w);
    w->mends = started == 0 && f->lost != 0 && prng_chance(&f->prng, 500000);
    return started == 0;
}

/* After a step was taken: how long until the next, and what happens meanwhile. */
static void draw_pause(struct workload *w)
{
    struct fixture *f = w->f;

    w->turns_left = (uint32_t)prng_below(&f->prng, w->script->turns_max + 1);
    if (prng_below(&f->prng, 16) < w->script->idle_in_16)
        w->turns_left = IDLE_TURNS;
    if (prng_below(&f->prng, 16) >= w->script->full_in_16)
        return;
    if (disk_sim_faulty(f->disk))
        return; /* one order at a time, and this one may be from outside */
    w->full = true;
    disk_sim_fail(f->disk,
                  &(struct disk_sim_fault){
                      .kind = DISK_OP_CREATE, .nth = 1, .result = -ENOSPC, .count = FULL_CREATES});
}

/* While a base waits for its snapshot no other is drawn: at once it is a step like all others. */
static void draw_step(struct workload *w)
{
    struct fixture_mix mix = w->script->mix;

    if (w->has_base || w->mends)
        mix.bases = mix.installs = 0;
    w->step = fixture_draw(w->f, &mix);
    w->has_step = true;
    if (!w->script->beside || w->step.snapshot == 0)
        return;
    w->base = w->step;
    w->has_base = true;
    w->has_step = false;
}

/* Its snapshot goes on by one thing, or the log is told. */
static void go_on_with_base(struct workload *w)
{
    struct fixture *f = w->f;
    const struct fixture_state *now = fixture_now(f);

    ASSERT(w->has_base);
    w->base_seen = true;
    if (w->base.cut && w->base.base <= now->last) {
        /* The log has got there by itself. */
        if (f->making != 0)
            snapshot_abandon(f->snapshots);
        f->making = 0;
        w->has_base = false;
        return;
    }
    if (w->base.term <= now->term) { /* others were taken meanwhile */
        w->base.term = now->term;
        w->base.vote = now->vote;
    }
    const int taken = fixture_append(f, &w->base);
    if (taken == 0 && w->base.cut)
        w->has_step = false; /* it was to follow entries that are gone */
    w->has_base = taken != 0 && taken != -ECANCELED;
}

/* True: a step was taken, and time need not pass for it. */
static bool take_step(struct workload *w)
{
    struct fixture *f = w->f;

    if (!w->has_step)
        draw_step(w);
    if (!w->has_step)
        return true; /* the base */
    const int taken = fixture_append(f, &w->step);
    /* A snapshot for which there is no room is given up, and its base with it. */
    w->has_step = taken != 0 && taken != -ECANCELED;
    if (w->has_step)
        return false; /* no buffer, no room, or a snapshot is being written: time must pass */
    w->steps_left--;
    draw_pause(w);
    return true;
}

/* One thing: a poll, a step, or some time. False: this life is over. */
static bool go_on(struct workload *w)
{
    struct fixture *f = w->f;

    if (wal_failed(f->wal) != 0 || w->turns++ == TURNS_MAX)
        return false;
    if (!w->polled) {
        fixture_poll(f);
        w->polled = true;
        w->base_seen = false;
        return true;
    }
    if (w->has_base && !w->base_seen) {
        go_on_with_base(w);
        return true;
    }
    if (w->mends && !w->base_seen) {
        w->base_seen = true;
        w->mends = fixture_snapshot_mend(f) != 0;
        return true;
    }
    if (w->turns_left == 0 && w->steps_left > 0 && take_step(w))
        return true;
    if (w->steps_left == 0 && w->turns_left == 0)
        return next_life(w);
    w->turns_left -= w->turns_left > 0;
    fixture_advance(f, TURN_NS);
    w->polled = false;
    return true;
}

bool workload_next(struct workload *w)
{
    while (go_on(w)) {
        const uint64_t version = disk_sim_version(w->f->disk);
        if (version != w->version) {
            w->version = version;
            return true;
        }
    }
    return false;
}
