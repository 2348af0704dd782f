/* persist/window.c: see window_internal.h. */
#include "persist/window_internal.h"

#include "base/assert.h"

#include <string.h>

enum { LOW_DIVISOR = 2 };

void wal_window_begin(struct wal_window *v, struct wal_place place)
{
    ASSERT(v->reading == 0);
    ASSERT(place.offset % DISK_SECTOR == 0);
    v->place = place;
    v->first = v->end = 0;
}

bool wal_window_pass(struct wal_window *v, struct wal_place place)
{
    ASSERT(place.offset % DISK_SECTOR == 0);
    if (place.segment != v->place.segment || place.offset < v->place.offset ||
        place.offset - v->place.offset > v->end - v->first)
        return false;
    v->first += place.offset - v->place.offset;
    v->place = place;
    ASSERT(v->first <= v->end);
    return true;
}

void wal_window_drop(struct wal_window *v)
{
    ASSERT(v->first <= v->end);
    v->place.offset += v->end - v->first;
    v->first = v->end;
}

uint8_t *wal_window_at(struct wal_window *v, struct wal_place place, uint64_t need)
{
    ASSERT(need > 0);
    ASSERT(need % DISK_SECTOR == 0);
    if (!wal_window_pass(v, place) || need > wal_window_valid(v))
        return NULL;
    return v->memory + v->first;
}

uint64_t wal_window_valid(const struct wal_window *v)
{
    ASSERT(v->end <= v->size);
    return v->end - v->first;
}

bool wal_window_is_low(const struct wal_window *v)
{
    return wal_window_valid(v) <= v->size / LOW_DIVISOR;
}

uint64_t wal_window_read(struct wal_window *v, uint64_t length, uint64_t limit, struct disk_op *op)
{
    const uint64_t valid = wal_window_valid(v);
    const uint64_t offset = v->place.offset + valid;
    const uint64_t rest = offset < limit ? limit - offset : 0;

    ASSERT(v->reading == 0);
    ASSERT(limit % DISK_SECTOR == 0);
    ASSERT(length % DISK_SECTOR == 0);
    length = length < rest ? length : rest;
    length = length < v->size - valid ? length : v->size - valid;
    if (length == 0)
        return 0;
    if (v->end + length > v->size || valid == 0) {
        memmove(v->memory, v->memory + v->first, valid);
        v->first = 0;
        v->end = valid;
    }
    op->offset = offset;
    op->bytes = v->memory + v->end;
    op->length = v->reading = length;
    return length;
}

void wal_window_on_read(struct wal_window *v, bool whole)
{
    ASSERT(v->reading > 0);
    ASSERT(v->reading <= v->size - v->end);
    if (whole)
        v->end += v->reading;
    v->reading = 0;
}
