/* sim/disk_sim_perform.c: what an operation does to files and to the writes that are not stable yet. */
#include "sim/disk_sim_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { BARE_BYTE = 0xa5 }; /* nobody may count on what nobody has written */

bool disk_sim_overlaps(const struct disk_op *op, uint64_t offset, uint64_t length)
{
    return op->offset < offset + length && offset < op->offset + op->length;
}

/* Copies what `op` and [offset, offset + length) share from `bytes` of the one to the other's. */
static void copy_overlap(uint8_t *to, uint64_t to_offset, uint64_t to_length, const uint8_t *from,
                         const struct disk_op *op)
{
    if (!disk_sim_overlaps(op, to_offset, to_length))
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

void disk_sim_store(struct disk *d, uint32_t file, uint64_t offset, const uint8_t *bytes,
                    uint64_t length)
{
    ASSERT(offset + length <= file_of(d, file)->length);
    memcpy(file_of(d, file)->stable + offset, bytes, length);
    if (d->ledger.count > 0)
        disk_harm_landed(d, file, offset, bytes, length);
}

/* Extremes are drawn often: they are where bugs are. */
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
    const uint32_t file = disk_sim_file_add(d, op->name, op->length);
    if (file == FILES_MAX)
        return -ENFILE;
    if (op->bare)
        memset(d->file[file].stable, BARE_BYTE, op->length);
    disk_sim_slot_set(d, op->slot, file);
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
