/* sim/disk_sim.c: files as stable bytes plus the writes that are not stable yet.
 *
 * Every operation waits in one table for its time. A write leaves it for the stable bytes (DSYNC)
 * or stays as cached until a SYNC or a crash decides. The order of completed writes is the order
 * in which reads see them and a crash applies what survives; a cached write that a stable one
 * covers takes over its bytes, so it can be applied again without harm.
 */
#include "sim/disk_sim.h"

#include "base/moment.h"
#include "sim/disk_sim_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct disk *disk_sim_new(const struct disk_sim_options *options)
{
    struct disk *d = calloc(1, sizeof *d);

    if (d == NULL)
        return NULL;
    ASSERT(options->latency_ns_min <= options->latency_ns_max);
    ASSERT(options->create_ns_min <= options->create_ns_max);
    d->options = *options;
    d->next_due_ns = UINT64_MAX;
    prng_seed(&d->prng, options->seed);
    return d;
}

void disk_sim_delete(struct disk *d)
{
    for (uint32_t i = 0; i < d->pending_end; i++)
        free(d->pending[i].copy);
    for (uint32_t i = 0; i < d->file_end; i++)
        free(d->file[i].stable);
    free(d->ledger.harm);
    free(d);
}

uint8_t *disk_sim_copy_bytes(const uint8_t *bytes, uint64_t length)
{
    uint8_t *copy = malloc(length);

    ASSERT(copy != NULL); /* a simulator without memory has nothing better to do */
    memcpy(copy, bytes, length);
    return copy;
}

static void file_assign(struct sim_file *to, const struct sim_file *from)
{
    uint8_t *stable = to->stable;

    if (to->length != from->length || from->stable == NULL) {
        free(stable);
        stable = from->stable == NULL ? NULL : malloc(from->length);
        ASSERT(stable != NULL || from->stable == NULL);
    }
    *to = *from;
    to->stable = stable;
    if (stable != NULL)
        memcpy(stable, from->stable, from->length);
}

void disk_sim_assign(struct disk *to, const struct disk *from, uint64_t seed)
{
    const uint32_t files = to->file_end > from->file_end ? to->file_end : from->file_end;
    const uint32_t slots = to->slot_end > from->slot_end ? to->slot_end : from->slot_end;
    const uint32_t pending = to->pending_end;

    for (uint32_t i = 0; i < pending; i++)
        free(to->pending[i].copy);
    /* Entries at and above the two ends are zeros in both. */
    memcpy(to, from, offsetof(struct disk, slot_file));
    prng_seed(&to->prng, seed);
    memcpy(to->slot_file, from->slot_file, slots * sizeof to->slot_file[0]);
    for (uint32_t i = 0; i < files; i++)
        file_assign(&to->file[i], &from->file[i]);
    memcpy(to->pending, from->pending,
           (pending > from->pending_end ? pending : from->pending_end) * sizeof to->pending[0]);
    for (uint32_t i = 0; i < to->pending_end; i++) {
        if (from->pending[i].copy != NULL)
            to->pending[i].copy =
                disk_sim_copy_bytes(from->pending[i].copy, from->pending[i].op.length);
    }
    disk_harm_assign(to, from);
}

struct disk *disk_sim_fork(const struct disk *d, uint64_t seed)
{
    struct disk *fork = calloc(1, sizeof *fork);

    if (fork != NULL)
        disk_sim_assign(fork, d, seed);
    return fork;
}

static struct pending *next_done(struct disk *d)
{
    struct pending *found = NULL;

    for (uint32_t i = 0; i < d->pending_end; i++) {
        struct pending *p = &d->pending[i];
        if (p->state == PENDING_DONE && (found == NULL || p->order < found->order))
            found = p;
    }
    return found;
}

/* `starting`: somebody waits for it, which only a process that starts does. */
static void complete(struct disk *d, struct pending *p, bool starting)
{
    ASSERT(p->state == PENDING_FLIGHT);
    if (disk_sim_fault_applies(d, p)) {
        if (d->keeps && is_write(p))
            p->copy = disk_sim_copy_bytes(p->op.bytes, p->op.length);
        else if (d->dead && is_write(p))
            disk_sim_land_some(d, p);
        p->result = disk_sim_faulty_result(d, p);
    } else {
        p->result = disk_sim_perform(d, p);
        if (p->op.kind == DISK_OP_READ)
            p->result = disk_harm_read(d, p, p->result, starting);
        if (p->op.kind == DISK_OP_WRITE)
            p->copy = disk_sim_copy_bytes(p->op.bytes, p->op.length);
    }
    d->completed[p->op.kind]++;
    p->state = PENDING_DONE;
    p->order = d->order_next++;
    d->flight_count--;
    d->done_count++;
}

static void land_late(struct disk *d, struct pending *p)
{
    MARK(LATE_WRITE_LANDED);
    disk_sim_land_some(d, p);
    disk_sim_pending_free(d, p);
    disk_sim_file_collect(d);
}

/* What is due first among those in flight and those that land late. */
static struct pending *earliest(struct disk *d, bool flights_only)
{
    struct pending *found = NULL;

    for (uint32_t i = 0; i < d->pending_end; i++) {
        struct pending *p = &d->pending[i];
        const bool counts =
            p->state == PENDING_FLIGHT || (p->state == PENDING_LATE && !flights_only);
        if (!counts || (d->held && p->state == PENDING_FLIGHT))
            continue;
        if (found == NULL || p->due_ns < found->due_ns ||
            (p->due_ns == found->due_ns && p->order < found->order))
            found = p;
    }
    return found;
}

void disk_sim_schedule(struct disk *d)
{
    const struct pending *p = earliest(d, false);

    d->next_due_ns = p == NULL ? UINT64_MAX : p->due_ns;
    if (d->next_due_ns < d->now_ns)
        d->next_due_ns = d->now_ns;
}

void disk_sim_advance(struct disk *d, uint64_t now_ns)
{
    ASSERT(now_ns >= d->now_ns);
    d->now_ns = now_ns;
    if (now_ns < d->next_due_ns)
        return;
    struct pending *p = earliest(d, false);
    while (p != NULL && p->due_ns <= now_ns) {
        if (p->state == PENDING_FLIGHT)
            complete(d, p, false);
        else
            land_late(d, p);
        p = earliest(d, false);
    }
    disk_sim_schedule(d);
}

uint64_t disk_sim_next_ns(const struct disk *d)
{
    return d->next_due_ns;
}

/* The file of a fresh slot is found at submission: what the slot means later is another file. */
static uint32_t file_at_submit(const struct disk *d, const struct disk_op *op)
{
    if (is_control(op))
        return FILES_MAX;
    ASSERT(d->slot_file[op->slot] != 0);
    const uint32_t file = d->slot_file[op->slot] - 1;
    if (op->kind == DISK_OP_WRITE || op->kind == DISK_OP_WRITE_DSYNC)
        ASSERT(op->offset + op->length <= d->file[file].length); /* the log never grows a file */
    return file;
}

static uint64_t draw_latency(struct disk *d, const struct disk_op *op)
{
    const struct disk_sim_options *o = &d->options;

    if (is_control(op))
        return prng_between(&d->prng, o->create_ns_min, o->create_ns_max);
    if (o->slow_per_million != 0 && prng_chance(&d->prng, o->slow_per_million))
        return o->slow_ns;
    return prng_between(&d->prng, o->latency_ns_min, o->latency_ns_max);
}

static struct pending *pending_take(struct disk *d)
{
    for (uint32_t i = 0; i < PENDING_MAX; i++) {
        if (d->pending[i].state != PENDING_FREE)
            continue;
        if (i >= d->pending_end)
            d->pending_end = i + 1;
        return &d->pending[i];
    }
    return NULL;
}

int disk_submit(struct disk *d, const struct disk_op *op)
{
    moment();
    ASSERT(op->slot < DISK_FILES_MAX);
    ASSERT(op->offset % DISK_SECTOR == 0);
    ASSERT(op->length % DISK_SECTOR == 0);
    ASSERT((uintptr_t)op->bytes % DISK_SECTOR == 0);
    if (d->flight_count + d->done_count >= DISK_OPS_MAX)
        return -EAGAIN;
    struct pending *p = pending_take(d);
    if (p == NULL)
        return -EAGAIN;
    *p = (struct pending){
        .state = PENDING_FLIGHT,
        .op = *op,
        .file = file_at_submit(d, op),
        .due_ns = d->now_ns + draw_latency(d, op),
        .order = d->order_next++,
    };
    d->flight_count++;
    if (!d->held && p->due_ns < d->next_due_ns)
        d->next_due_ns = p->due_ns;
    return 0;
}

/* What was submitted is under way at once here: a real disk may begin that early too. */
void disk_send(struct disk *d)
{
    ASSERT(d->flight_count <= DISK_OPS_MAX);
}

void disk_lend(struct disk *d, uint8_t *bytes, uint64_t length)
{
    ASSERT(d->flight_count == 0); /* at a start */
    ASSERT((uintptr_t)bytes % DISK_SECTOR == 0);
    (void)length;
}

static struct disk_done take_done(struct disk *d, struct pending *p)
{
    const struct disk_done done = {.cookie = p->op.cookie, .result = p->result};

    ASSERT(p->state == PENDING_DONE);
    d->done_count--;
    if (p->copy != NULL)
        p->state = PENDING_CACHED;
    else
        disk_sim_pending_free(d, p);
    return done;
}

uint32_t disk_reap(struct disk *d, struct disk_done *done, uint32_t count)
{
    uint32_t reaped = 0;

    moment();
    while (reaped < count && d->done_count > 0)
        done[reaped++] = take_done(d, next_done(d));
    return reaped;
}

struct disk_done disk_wait(struct disk *d)
{
    struct disk_done done;

    if (disk_reap(d, &done, 1) == 1)
        return done;
    ASSERT(d->flight_count > 0);
    /* Some of what a dead process left behind lands between our operations. */
    struct pending *late = prng_chance(&d->prng, PER_MILLION / 8) ? earliest(d, false) : NULL;
    if (late != NULL && late->state == PENDING_LATE)
        land_late(d, late);
    struct pending *p = earliest(d, true);
    ASSERT(p != NULL); /* a held disk can't be waited for */
    complete(d, p, true);
    return take_done(d, p);
}

int64_t disk_open(struct disk *d, const char *name, uint32_t slot)
{
    const uint32_t file = disk_sim_file_find(d, name);

    ASSERT(slot < DISK_FILES_MAX);
    if (file == FILES_MAX)
        return -ENOENT;
    disk_sim_slot_set(d, slot, file);
    return (int64_t)d->file[file].length;
}

int64_t disk_list(struct disk *d, const char *prefix, char (*names)[DISK_NAME_BYTES],
                  uint32_t count)
{
    uint32_t found = 0;

    for (uint32_t i = 0; i < d->file_end; i++) {
        const struct sim_file *f = &d->file[i];
        if (!f->used || !f->linked || strncmp(f->name, prefix, strlen(prefix)) != 0)
            continue;
        if (disk_name_unfinished(f->name))
            continue; /* a start, which alone may ask, has removed it before */
        if (found < count)
            memcpy(names[found], f->name, DISK_NAME_BYTES);
        found++;
    }
    return found;
}

uint32_t disk_in_flight(const struct disk *d)
{
    return d->flight_count;
}

void disk_sim_hold(struct disk *d, bool held)
{
    d->held = held;
    disk_sim_schedule(d);
}

uint64_t disk_sim_completed(const struct disk *d, enum disk_op_kind kind)
{
    return d->completed[kind];
}

uint64_t disk_sim_version(const struct disk *d)
{
    return d->order_next;
}

void disk_sim_limit(struct disk *d, uint64_t bytes_max)
{
    d->options.bytes_max = bytes_max;
}

uint64_t disk_sim_used(const struct disk *d)
{
    return d->bytes_used;
}

bool disk_sim_flushed(const struct disk *d, uint32_t slot, uint64_t offset, uint64_t length)
{
    ASSERT(slot < DISK_FILES_MAX);
    if (d->slot_file[slot] == 0)
        return false;
    for (uint32_t i = 0; i < d->pending_end; i++) {
        const struct pending *p = &d->pending[i];
        const bool unstable = p->state == PENDING_FLIGHT || p->copy != NULL;
        if (unstable && p->file == d->slot_file[slot] - 1 && is_write(p) &&
            disk_sim_overlaps(&p->op, offset, length))
            return false;
    }
    return true;
}

uint8_t *disk_sim_bytes(struct disk *d, const char *name, uint64_t *length)
{
    const uint32_t file = disk_sim_file_find(d, name);

    if (file == FILES_MAX)
        return NULL;
    *length = d->file[file].length;
    return d->file[file].stable;
}
