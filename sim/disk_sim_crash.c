/* sim/disk_sim_crash.c: what is left of a simulated disk when its power or its process goes. */
#include "sim/disk_sim_internal.h"

#include <string.h>

static void restart(struct disk *d)
{
    for (uint32_t i = 0; i < d->file_end; i++) {
        if (d->file[i].used && disk_name_unfinished(d->file[i].name))
            d->file[i].linked = false;
    }
    memset(d->slot_file, 0, d->slot_end * sizeof d->slot_file[0]);
    d->slot_end = 0;
    d->fail_all_after = 0;
    d->die_at = 0;
    d->dead = false;
    d->keeps = false;
    d->held = false;
    d->harmed_reads = 0;
    d->flight_count = 0;
    d->done_count = 0;
    disk_sim_file_collect(d);
    disk_sim_schedule(d);
}

/* CREATE, REMOVE and RENAME of the control thread: done, or not begun. */
static void end_control(struct disk *d, struct pending *p)
{
    if (!d->dead && prng_chance(&d->prng, PER_MILLION / 2))
        (void)disk_sim_perform(d, p);
}

void disk_sim_power_cut(struct disk *d)
{
    for (uint32_t i = 0; i < d->pending_end; i++) {
        if (d->pending[i].state == PENDING_FLIGHT && d->pending[i].file == FILES_MAX)
            end_control(d, &d->pending[i]);
    }
    for (uint32_t file = 0; file < d->file_end; file++) {
        /* Completed writes in their order, then those in flight, which may come in any. */
        struct pending *c = d->file[file].used ? disk_sim_next_cached(d, file, 0) : NULL;
        while (c != NULL) {
            disk_sim_land_some(d, c);
            c = disk_sim_next_cached(d, file, c->order + 1);
        }
    }
    for (uint32_t i = 0; i < d->pending_end; i++) {
        struct pending *p = &d->pending[i];
        if (p->state == PENDING_LATE || (p->state == PENDING_FLIGHT && is_write(p)))
            disk_sim_land_some(d, p);
    }
    while (d->pending_end > 0)
        disk_sim_pending_free(d, &d->pending[d->pending_end - 1]);
    restart(d);
}

/* What becomes of a write in flight when its process is killed. */
static void orphan(struct disk *d, struct pending *p)
{
    if (prng_chance(&d->prng, PER_MILLION / 2)) {
        disk_sim_land_some(d, p);
        p->state = PENDING_DONE; /* to be freed */
        return;
    }
    p->copy = disk_sim_copy_bytes(p->op.bytes, p->op.length);
    p->state = PENDING_LATE;
    p->due_ns = d->now_ns + prng_below(&d->prng, DISK_SIM_LATE_NS);
}

void disk_sim_kill(struct disk *d)
{
    for (uint32_t i = 0; i < d->pending_end; i++) {
        struct pending *p = &d->pending[i];
        if (p->state == PENDING_FLIGHT && p->file == FILES_MAX)
            end_control(d, p);
        else if (p->state == PENDING_FLIGHT && is_write(p))
            orphan(d, p);
        else if (p->state == PENDING_DONE && p->copy != NULL)
            p->state = PENDING_CACHED;
    }
    for (uint32_t i = d->pending_end; i > 0; i--) {
        struct pending *p = &d->pending[i - 1];
        if (p->state == PENDING_FLIGHT || p->state == PENDING_DONE)
            disk_sim_pending_free(d, p);
    }
    restart(d);
}

/* It could make a difference; in a file that is gone after a crash nothing does. */
static bool is_unstable(const struct disk *d, const struct pending *p)
{
    if (p->file != FILES_MAX && disk_name_unfinished(d->file[p->file].name))
        return false;
    if (is_cached(p))
        return true;
    if (p->op.kind == DISK_OP_FREE)
        return false;
    return p->state == PENDING_FLIGHT && (is_write(p) || p->file == FILES_MAX);
}

static bool comes_before(const struct pending *a, const struct pending *b)
{
    if (is_cached(a) != is_cached(b))
        return is_cached(a);
    return a->order < b->order;
}

/* Indexes into the table, in the order that disk_sim.h promises. */
static uint32_t collect(const struct disk *d, uint32_t out[DISK_SIM_UNSTABLE_MAX])
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < d->pending_end && count < DISK_SIM_UNSTABLE_MAX; i++) {
        if (!is_unstable(d, &d->pending[i]))
            continue;
        uint32_t at = count++;
        for (; at > 0 && comes_before(&d->pending[i], &d->pending[out[at - 1]]); at--)
            out[at] = out[at - 1];
        out[at] = i;
    }
    return count;
}

uint32_t disk_sim_unstable(const struct disk *d, uint32_t pieces[DISK_SIM_UNSTABLE_MAX])
{
    uint32_t index[DISK_SIM_UNSTABLE_MAX];
    const uint32_t count = collect(d, index);

    for (uint32_t i = 0; pieces != NULL && i < count; i++) {
        const struct pending *p = &d->pending[index[i]];
        pieces[i] = is_write(p) ? (uint32_t)(p->op.length / DISK_SIM_PIECE) : 0;
    }
    return count;
}

static bool piece_lands(const struct disk_sim_cut *cut, uint64_t piece)
{
    switch (cut->shape) {
    case DISK_SIM_FRONT:
        return piece < cut->piece;
    case DISK_SIM_BACK:
        return piece >= cut->piece;
    case DISK_SIM_HOLE:
        return piece != cut->piece;
    case DISK_SIM_SPECK:
        return piece == cut->piece;
    case DISK_SIM_TEARS:
        break;
    }
    ASSERT(false);
    return false;
}

static void land_exactly(struct disk *d, struct pending *p, const struct disk_sim_cut *cut,
                         bool whole)
{

    for (uint64_t piece = 0; piece < p->op.length / DISK_SIM_PIECE; piece++) {
        if (whole || piece_lands(cut, piece))
            disk_sim_store(d, p->file, p->op.offset + piece * DISK_SIM_PIECE,
                           write_bytes(p) + piece * DISK_SIM_PIECE, DISK_SIM_PIECE);
    }
}

void disk_sim_power_cut_exact(struct disk *d, const struct disk_sim_cut *cut)
{
    uint32_t index[DISK_SIM_UNSTABLE_MAX];
    const uint32_t count = collect(d, index);

    for (uint32_t i = 0; i < count; i++) {
        struct pending *p = &d->pending[index[i]];
        const bool whole = (cut->survivors >> i & 1) != 0;
        if (!is_write(p) && whole)
            (void)disk_sim_perform(d, p);
        else if (is_write(p) && (whole || cut->torn == i))
            land_exactly(d, p, cut, whole);
    }
    while (d->pending_end > 0)
        disk_sim_pending_free(d, &d->pending[d->pending_end - 1]);
    restart(d);
}
