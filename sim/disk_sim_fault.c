/* sim/disk_sim_fault.c: operations that were told to fail, and disks that die. */
#include "sim/disk_sim_internal.h"

#include <errno.h>
#include <string.h>

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

bool disk_sim_fault_applies(struct disk *d, const struct pending *p)
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

int64_t disk_sim_faulty_result(struct disk *d, struct pending *p)
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
