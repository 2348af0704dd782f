/* persist/places.c: where an entry lies, in bounded memory.
 *
 * One entry of the table is (lowest index in a batch, place of the batch), ascending in both. A full
 * table is thinned to half and from then on takes batches at twice the distance, so its size never
 * depends on the log's; a reader walks a little further instead. When entries of the log are
 * replaced, the places from there on are dropped and the replacing batch is always noted: so
 * nobody walks through what was replaced, unless the thinning dropped just that batch.
 */
#include "persist/wal_internal.h"

static uint32_t first_at_or_above(const struct wal_places *p, raft_index index)
{
    uint32_t low = 0;
    uint32_t high = p->count;

    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (p->entry[middle].first < index)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void thin(struct wal_places *p)
{
    ASSERT(p->count == WAL_PLACES_MAX);
    for (uint32_t i = 1; 2 * i < p->count; i++)
        p->entry[i] = p->entry[2 * i];
    p->count = (p->count + 1) / 2;
    p->spacing_bytes = p->spacing_bytes == 0 ? DISK_SECTOR : 2 * p->spacing_bytes;
}

void wal_places_add(struct wal_places *p, raft_index first, struct wal_place place)
{
    const uint32_t keep = first_at_or_above(p, first);
    const bool replaces = keep < p->count;

    ASSERT(first > 0);
    p->count = keep;
    if (keep > 0) {
        const struct wal_place before = p->entry[keep - 1].place;
        ASSERT(wal_place_before(before, place));
        if (!replaces && before.segment == place.segment &&
            place.offset - before.offset < p->spacing_bytes)
            return;
    }
    if (p->count == WAL_PLACES_MAX)
        thin(p);
    p->entry[p->count].first = first;
    p->entry[p->count].place = place;
    p->count++;
}

void wal_places_cut(struct wal_places *p, struct wal_place end)
{
    ASSERT(p->count <= WAL_PLACES_MAX);
    while (p->count > 0 && !wal_place_before(p->entry[p->count - 1].place, end))
        p->count--;
}

void wal_places_shift(struct wal_places *p)
{
    uint32_t kept = 0;

    ASSERT(p->count <= WAL_PLACES_MAX);
    for (uint32_t i = 0; i < p->count; i++) {
        if (p->entry[i].place.segment == 0)
            continue;
        p->entry[kept] = p->entry[i];
        p->entry[kept++].place.segment--;
    }
    p->count = kept;
}

bool wal_places_find(const struct wal_places *p, raft_index index, struct wal_place *at,
                     struct wal_place *next)
{
    const uint32_t above = first_at_or_above(p, index + 1);

    if (above == 0)
        return false;
    *at = p->entry[above - 1].place;
    if (above < p->count)
        *next = p->entry[above].place;
    else
        *next = (struct wal_place){.segment = UINT32_MAX};
    ASSERT(wal_place_before(*at, *next));
    return true;
}
