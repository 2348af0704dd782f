/* sim/disk_sim_files.c: names, slots, and when a file's memory can go.
 *
 * A file lives as long as its name, a slot or a write of a dead process can reach it.
 */
#include "sim/disk_sim_internal.h"

#include <stdlib.h>
#include <string.h>

void disk_sim_slot_set(struct disk *d, uint32_t slot, uint32_t file)
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

uint32_t disk_sim_file_add(struct disk *d, const char *name, uint64_t length)
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
