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

enum { BARE_BYTE = 0xa5 }; /* nobody may count on what nobody has written */

static void slot_set(struct disk *d, uint32_t slot, uint32_t file)
{
    ASSERT(slot < DISK_FILES_MAX);
    d->slot_file[slot] = file + 1;
    if (slot >= d->slot_end)
        d->slot_end = slot + 1;
}

uint32_t disk_sim_file_find(const struct disk *d, const char *name)
{
    for (uint32_t i = 0; i < d->file_end; i++) {
        if (d->file[i].used && d->file[i].linked && strcmp(d->file[i].name, name) == 0)
            return i;
    }
    return FILES_MAX;
}

static bool file_wanted(const struct disk *d, uint32_t file)
{
    if (d->file[file].linked)
        return true;
    for (uint32_t i = 0; i < d->slot_end; i++) {
        if (d->slot_file[i] == file + 1)
            return true;
    }
    for (uint32_t i = 0; i < d->pending_end; i++) {
        const struct pending *p = &d->pending[i];
        if (p->state != PENDING_FREE && p->state != PENDING_CACHED && p->file == file)
            return true;
    }
    return false;
}

/* Of a file that nobody can reach. */
static void drop_cached(struct disk *d, uint32_t file)
{
    for (uint32_t i = d->pending_end; i > 0; i--) {
        struct pending *p = &d->pending[i - 1];
        if (p->state == PENDING_CACHED && p->file == file)
            disk_sim_pending_free(d, p);
    }
}

void disk_sim_file_collect(struct disk *d)
{
    for (uint32_t i = 0; i < d->file_end; i++) {
        struct sim_file *f = &d->file[i];
        if (!f->used || file_wanted(d, i))
            continue;
        drop_cached(d, i);
        d->bytes_used -= f->length;
        disk_harm_forget_file(d, i);
        free(f->stable);
        *f = (struct sim_file){0};
    }
}

static uint32_t file_add(struct disk *d, const char *name, uint64_t length)
{
    for (uint32_t i = 0; i < FILES_MAX; i++) {
        struct sim_file *f = &d->file[i];
        if (f->used)
            continue;
        f->stable = calloc(1, length);
        if (f->stable == NULL)
            return FILES_MAX;
        if (i >= d->file_end)
            d->file_end = i + 1;
        f->used = true;
        f->linked = true;
        f->length = length;
        memcpy(f->name, name, DISK_NAME_BYTES);
        d->bytes_used += length;
        return i;
    }
    return FILES_MAX;
}

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

static bool overlaps(const struct disk_op *op, uint64_t offset, uint64_t length)
{
    return op->offset < offset + length && offset < op->offset + op->length;
}

/* Copies what `op` and [offset, offset + length) share from `bytes` of the one to the other's. */
static void copy_overlap(uint8_t *to, uint64_t to_offset, uint64_t to_length, const uint8_t *from,
                         const struct disk_op *op)
{
    if (!overlaps(op, to_offset, to_length))
        return;
    const uint64_t end = op->offset + op->length;
    const uint64_t to_end = to_offset + to_length;
    const uint64_t first = op->offset > to_offset ? op->offset : to_offset;
    const uint64_t last = end < to_end ? end : to_end;
    memcpy(to + (first - to_offset), from + (first - op->offset), last - first);
}

/* Older cached writes must not bring back what a stable one has replaced. */
static void supersede(struct disk *d, uint32_t file, const struct disk_op *op, const uint8_t *bytes)
{
    for (uint32_t i = 0; i < d->pending_end; i++) {
        struct pending *p = &d->pending[i];
        if (is_cached(p) && p->file == file)
            copy_overlap(p->copy, p->op.offset, p->op.length, bytes, op);
    }
}

void disk_sim_pending_free(struct disk *d, struct pending *p)
{
    free(p->copy);
    *p = (struct pending){0};
    while (d->pending_end > 0 && d->pending[d->pending_end - 1].state == PENDING_FREE)
        d->pending_end--;
}

struct pending *disk_sim_next_cached(struct disk *d, uint32_t file, uint64_t order)
{
    struct pending *found = NULL;

    for (uint32_t i = 0; i < d->pending_end; i++) {
        struct pending *p = &d->pending[i];
        if (is_cached(p) && p->file == file && p->order >= order &&
            (found == NULL || p->order < found->order))
            found = p;
    }
    return found;
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

void disk_sim_store(struct disk *d, uint32_t file, uint64_t offset, const uint8_t *bytes,
                    uint64_t length)
{
    ASSERT(offset + length <= file_of(d, file)->length);
    memcpy(file_of(d, file)->stable + offset, bytes, length);
    if (d->ledger.count > 0)
        disk_harm_landed(d, file, offset, bytes, length);
}

/* A subset of the pieces of a write lands. Extremes are drawn often: they are where bugs are. */
void disk_sim_land_some(struct disk *d, struct pending *p)
{
    const uint64_t pieces = p->op.length / DISK_SIM_PIECE;
    const uint32_t shape = (uint32_t)prng_below(&d->prng, 5);
    const uint64_t cut = pieces == 0 ? 0 : prng_below(&d->prng, pieces);

    for (uint64_t i = 0; i < pieces; i++) {
        bool lands = false;
        if (shape == 0)
            lands = true;
        else if (shape == 1)
            lands = i < cut; /* the device wrote from the front */
        else if (shape == 2)
            lands = i >= cut; /* from the back */
        else if (shape == 3)
            lands = prng_chance(&d->prng, PER_MILLION / 2);
        if (lands)
            disk_sim_store(d, p->file, p->op.offset + i * DISK_SIM_PIECE,
                           write_bytes(p) + i * DISK_SIM_PIECE, DISK_SIM_PIECE);
    }
}

/* A write becomes stable, or seems to. */
static void flush_write(struct disk *d, const struct pending *p)
{
    if (!disk_harm_takes_write(d, p))
        disk_sim_store(d, p->file, p->op.offset, write_bytes(p), p->op.length);
}

static int64_t do_read(struct disk *d, struct pending *p)
{
    const struct sim_file *f = file_of(d, p->file);
    const struct disk_op *op = &p->op;

    if (op->offset >= f->length)
        return 0;
    const uint64_t length =
        op->length < f->length - op->offset ? op->length : f->length - op->offset;
    memcpy(op->bytes, f->stable + op->offset, length);
    struct pending *c = disk_sim_next_cached(d, p->file, 0);
    while (c != NULL) {
        copy_overlap(op->bytes, op->offset, length, c->copy, &c->op);
        c = disk_sim_next_cached(d, p->file, c->order + 1);
    }
    return (int64_t)length;
}

/* Makes stable what had completed before the SYNC was submitted. */
static void do_sync(struct disk *d, const struct pending *sync)
{
    struct pending *c = disk_sim_next_cached(d, sync->file, 0);

    while (c != NULL && c->order < sync->order) {
        const uint64_t order = c->order;
        flush_write(d, c);
        free(c->copy);
        c->copy = NULL;
        if (c->state == PENDING_CACHED)
            disk_sim_pending_free(d, c);
        c = disk_sim_next_cached(d, sync->file, order + 1);
    }
}

static int64_t do_create(struct disk *d, struct pending *p)
{
    const struct disk_op *op = &p->op;
    const uint32_t old = disk_sim_file_find(d, op->name);

    if (d->options.bytes_max != 0 && d->bytes_used + op->length > d->options.bytes_max)
        return -ENOSPC;
    if (old != FILES_MAX)
        d->file[old].linked = false;
    const uint32_t file = file_add(d, op->name, op->length);
    if (file == FILES_MAX)
        return -ENFILE;
    if (op->bare)
        memset(d->file[file].stable, BARE_BYTE, op->length);
    slot_set(d, op->slot, file);
    disk_sim_file_collect(d);
    return (int64_t)op->length;
}

static int64_t do_remove(struct disk *d, struct pending *p)
{
    const uint32_t file = disk_sim_file_find(d, p->op.name);

    d->slot_file[p->op.slot] = 0;
    if (file == FILES_MAX)
        return -ENOENT;
    d->file[file].linked = false;
    disk_sim_file_collect(d);
    return 0;
}

static int64_t do_rename(struct disk *d, struct pending *p)
{
    const uint32_t file = disk_sim_file_find(d, p->op.from);
    const uint32_t old = disk_sim_file_find(d, p->op.name);

    if (file == FILES_MAX)
        return -ENOENT;
    if (p->op.length != 0) {
        ASSERT(p->op.length <= d->file[file].length);
        d->bytes_used -= d->file[file].length - p->op.length;
        d->file[file].length = p->op.length;
    }
    memcpy(d->file[file].name, p->op.name, DISK_NAME_BYTES);
    if (old != FILES_MAX && old != file)
        d->file[old].linked = false;
    disk_sim_file_collect(d);
    return 0;
}

/* All that the limit leaves; without one more than anybody asks for. */
static int64_t free_bytes(const struct disk *d)
{
    const uint64_t most = d->options.bytes_max == 0 ? INT64_MAX : d->options.bytes_max;

    ASSERT(most <= INT64_MAX);
    return most > d->bytes_used ? (int64_t)(most - d->bytes_used) : 0;
}

int64_t disk_sim_perform(struct disk *d, struct pending *p)
{
    switch ((enum disk_op_kind)p->op.kind) {
    case DISK_OP_WRITE:
        return (int64_t)p->op.length;
    case DISK_OP_WRITE_DSYNC:
        flush_write(d, p);
        supersede(d, p->file, &p->op, p->op.bytes);
        return (int64_t)p->op.length;
    case DISK_OP_SYNC:
        do_sync(d, p);
        return 0;
    case DISK_OP_READ:
        return do_read(d, p);
    case DISK_OP_CREATE:
        return do_create(d, p);
    case DISK_OP_REMOVE:
        return do_remove(d, p);
    case DISK_OP_RENAME:
        return do_rename(d, p);
    case DISK_OP_FREE:
        return free_bytes(d);
    }
    ASSERT(false);
    return -EINVAL;
}

static bool is_control(const struct disk_op *op)
{
    return op->kind == DISK_OP_CREATE || op->kind == DISK_OP_REMOVE ||
           op->kind == DISK_OP_RENAME || op->kind == DISK_OP_FREE;
}

static bool fault_means(const struct disk *d, const struct pending *p)
{
    const struct disk_sim_fault *f = &d->fault;
    const char *const name = is_control(&p->op) ? p->op.name : d->file[p->file].name;

    if (f->nth == 0 || (f->kind != p->op.kind && !f->any_kind))
        return false;
    return f->prefix == NULL || strncmp(name, f->prefix, strlen(f->prefix)) == 0;
}

static bool only_looks(const struct pending *p)
{
    return p->op.kind == DISK_OP_READ || p->op.kind == DISK_OP_FREE;
}

/* True when an ordered fault takes the place of the operation's own outcome. */
static bool fault_applies(struct disk *d, const struct pending *p)
{
    if (d->fail_all_after > 0 && --d->fail_all_after == 0)
        d->dead = true;
    if (d->die_at > 0 && !only_looks(p) && --d->die_at == 0) {
        d->dead = true;
        d->keeps = true;
    }
    if (d->dead)
        return true;
    if (!fault_means(d, p))
        return false;
    if (d->fault.nth > 1) {
        d->fault.nth--;
        return false;
    }
    return true;
}

static int64_t faulty_result(struct disk *d, struct pending *p)
{
    if (d->dead)
        return -EIO; /* the write stays what it was: it may land in part at the crash */
    const int64_t result = d->fault.result;
    const bool making = p->file != FILES_MAX && disk_name_unfinished(d->file[p->file].name);
    const uint32_t kind = making ? DISK_OP_CREATE : p->op.kind;
    if (disk_lacks_room(result))
        d->failed.lacked_room |= 1u << kind;
    else
        d->failed.broke |= 1u << kind;
    if (!d->fault.sticky && d->fault.count <= 1)
        d->fault.nth = 0;
    else if (!d->fault.sticky)
        d->fault.count--;
    if (is_write(p))
        disk_sim_land_some(d, p);
    if (result != DISK_SIM_SHORT)
        return result;
    return p->op.length > 0 ? (int64_t)(p->op.length / 2) : -EIO;
}

/* `starting`: somebody waits for it, which only a process that starts does. */
static void complete(struct disk *d, struct pending *p, bool starting)
{
    ASSERT(p->state == PENDING_FLIGHT);
    if (fault_applies(d, p)) {
        if (d->keeps && is_write(p))
            p->copy = disk_sim_copy_bytes(p->op.bytes, p->op.length);
        else if (d->dead && is_write(p))
            disk_sim_land_some(d, p);
        p->result = faulty_result(d, p);
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
    slot_set(d, slot, file);
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

void disk_sim_fail(struct disk *d, const struct disk_sim_fault *fault)
{
    d->fault = *fault;
}

bool disk_sim_faulty(const struct disk *d)
{
    return d->fault.nth != 0;
}

struct disk_sim_failed disk_sim_failed_kinds(const struct disk *d)
{
    return d->failed;
}

void disk_sim_fail_all_after(struct disk *d, uint32_t nth)
{
    d->fail_all_after = nth;
    d->dead = false;
}

void disk_sim_die_at(struct disk *d, uint32_t nth)
{
    d->die_at = nth;
    d->dead = false;
    d->keeps = false;
}

bool disk_sim_is_dead(const struct disk *d)
{
    return d->dead;
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
            overlaps(&p->op, offset, length))
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
