/* persist/holes.c: entries that were durable and can't be read any more, and what fills them again.
 *
 * The chain of header checksums names every entry below one that is known, so a hole is filled from its
 * top downwards and nothing but the true bytes fits. What fills it stands in batches of their own,
 * which replace nothing and cut nothing (BATCH_FILLS), and in a table of ranges here, since they lie
 * out of order. The damaged place itself is never written to: where the header of a batch is lost, no
 * bytes put there could continue the chain of batches.
 */
#include "base/planted.h"
#include "persist/wal_internal.h"

#include <errno.h>
#include <string.h>

static void close_hole(struct wal_holes *t, uint32_t i)
{
    ASSERT(i < t->hole_count);
    t->hole_count--;
    memmove(&t->hole[i], &t->hole[i + 1], (t->hole_count - i) * sizeof t->hole[0]);
}

bool wal_hole_is_closed(const struct wal_hole *hole)
{
    ASSERT(hole->floor <= hole->below);
    ASSERT(hole->next >= hole->floor);
    return hole->next == hole->floor ||
           (hole->next == hole->below && hole->chain == hole->below_chain);
}

static void cut_fills(struct wal_holes *t, raft_index last)
{
    ASSERT(t->fill_count <= WAL_FILLS_MAX);
    while (t->fill_count > 0 && t->fill[t->fill_count - 1].first > last)
        t->fill_count--;
    if (t->fill_count > 0 && t->fill[t->fill_count - 1].last > last)
        t->fill[t->fill_count - 1].last = last;
}

void wal_holes_cut(struct wal_holes *t, raft_index last, uint32_t chain)
{
    while (t->hole_count > 0 && t->hole[t->hole_count - 1].last > last) {
        struct wal_hole *hole = &t->hole[t->hole_count - 1];
        ASSERT(hole->next <= hole->last);
        if (hole->next > last) {
            hole->next = last > hole->floor ? last : hole->floor;
            hole->chain = chain;
            if (last < hole->below) /* nobody knows the checksum there */
                hole->below = hole->floor;
        }
        hole->last = last;
        if (wal_hole_is_closed(hole))
            close_hole(t, t->hole_count - 1);
    }
    cut_fills(t, last);
}

/* The fill of a range of entries, in its place: the ranges ascend and none overlaps another. */
static int remember_fill(struct wal_holes *t, const struct wal_fill *fill)
{
    uint32_t i = t->fill_count;

    ASSERT(fill->first <= fill->last);
    if (t->fill_count == WAL_FILLS_MAX)
        return -EOVERFLOW;
    while (i > 0 && t->fill[i - 1].first > fill->first)
        i--;
    memmove(&t->fill[i + 1], &t->fill[i], (t->fill_count - i) * sizeof t->fill[0]);
    t->fill[i] = *fill;
    t->fill_count++;
    return 0;
}

static struct wal_hole *hole_at(struct wal_holes *t, raft_index next, uint32_t chain)
{
    ASSERT(t->hole_count <= WAL_HOLES_MAX);
    for (uint32_t i = 0; i < t->hole_count; i++)
        if (t->hole[i].next == next &&
            (t->hole[i].chain == chain || planted(PLANTED_REPAIR_ANY_RECORD)))
            return &t->hole[i];
    return NULL;
}

/* What the log contains, by records that fill a hole: terms run by run, and configurations. */
static int show_to_view(struct wal_view *v, const struct wal_fill *fill, const uint8_t *records,
                        uint32_t length)
{
    const struct record_header *first = record_at(records);
    int result = 0;

    ASSERT(first->index == fill->first);
    wal_view_drop_configs(v, fill->first, fill->last);
    for (uint32_t at = 0; at < length && result == 0;) {
        const struct record_header *record = record_at(records + at);
        if (record->type == RECORD_CONFIG)
            wal_view_put_config(v, record->index);
        if (record->term != first->term) {
            result = wal_view_set_term(v, first->index, record->index - 1, first->term);
            first = record;
        }
        at += record_bytes(record->payload_bytes);
    }
    return result == 0 ? wal_view_set_term(v, first->index, fill->last, first->term) : result;
}

/* These records go on below the place where the hole closes. */
static bool passes_end(const struct wal_hole *hole, const uint8_t *records, uint32_t length)
{
    const struct record_header *record = record_at(records);

    ASSERT(length > 0);
    if (record->index <= hole->floor)
        return true;
    for (uint32_t at = record_bytes(record->payload_bytes); at < length;
         at += record_bytes(record->payload_bytes)) {
        record = record_at(records + at);
        if (record->index == hole->below + 1 && record->chain == hole->below_chain)
            return true;
    }
    return false;
}

/* A fill may be older than the base: what it brings up to there is not looked at. */
static uint32_t skip_below_base(const struct wal_view *v, const uint8_t *records, uint32_t length)
{
    uint32_t at = 0;

    while (at < length && record_at(records + at)->index <= v->base)
        at += record_bytes(record_at(records + at)->payload_bytes);
    ASSERT(at <= length);
    return at;
}

int wal_holes_fill(struct wal *w, const uint8_t *records, uint32_t length, struct wal_place place)
{
    const uint32_t skipped = skip_below_base(&w->view, records, length);
    if (skipped == length)
        return -EINVAL;
    records += skipped;
    length -= skipped;
    const struct record_header *record = record_at(records);
    struct wal_fill fill = {.first = record->index, .place = place};
    const uint32_t below_chain = record->chain;
    uint32_t chain = 0;

    ASSERT(length > 0);
    for (uint32_t at = 0; at < length; at += record_bytes(record->payload_bytes)) {
        record = record_at(records + at);
        if (at > 0 && (record->index != fill.last + 1 || record->chain != chain))
            return -EINVAL;
        fill.last = record->index;
        chain = record->header_crc;
    }
    struct wal_hole *hole = hole_at(&w->holes, fill.last, chain);
    if (hole == NULL || passes_end(hole, records, length))
        return -EINVAL;
    int result = remember_fill(&w->holes, &fill);
    if (result == 0)
        result = show_to_view(&w->view, &fill, records, length);
    if (result != 0)
        return result;
    hole->next = fill.first - 1;
    hole->chain = below_chain;
    if (wal_hole_is_closed(hole))
        close_hole(&w->holes, (uint32_t)(hole - w->holes.hole));
    return 0;
}

const struct wal_fill *wal_holes_find(const struct wal_holes *t, raft_index index)
{
    ASSERT(index > 0);
    for (uint32_t i = 0; i < t->fill_count; i++)
        if (index >= t->fill[i].first && index <= t->fill[i].last)
            return &t->fill[i];
    return NULL;
}

raft_index wal_holes_limit(const struct wal_holes *t, raft_index first, raft_index last)
{
    const struct wal_fill *fill = wal_holes_find(t, first);

    ASSERT(first <= last);
    if (fill != NULL)
        return fill->last < last ? fill->last : last;
    for (uint32_t i = 0; i < t->fill_count; i++)
        if (t->fill[i].first > first && t->fill[i].first <= last)
            last = t->fill[i].first - 1;
    for (uint32_t i = 0; i < t->hole_count; i++) {
        const struct wal_hole *hole = &t->hole[i];
        if (first > hole->below && first <= hole->next)
            return first - 1;
        if (first <= hole->below && last > hole->below)
            last = hole->below;
    }
    return last;
}

void wal_holes_place(struct wal_holes *t, raft_index first, struct wal_place place)
{
    uint32_t i = 0;

    ASSERT(place.segment < WAL_SEGMENTS_MAX);
    while (i < t->fill_count && t->fill[i].first != first)
        i++;
    if (i < t->fill_count) /* else it was cut meanwhile */
        t->fill[i].place = place;
}

/* Everything down to what is committed must be shown anew. The floor of what this swallows. */
static raft_index forget_above(struct wal_holes *t, raft_index commit)
{
    raft_index floor = commit;

    while (t->hole_count > 0 && t->hole[t->hole_count - 1].last > commit) {
        const raft_index lower = t->hole[--t->hole_count].floor;
        floor = lower < floor ? lower : floor;
    }
    cut_fills(t, floor);
    return floor;
}

void wal_holes_rebase(struct wal_holes *t, raft_index base)
{
    uint32_t kept = 0;

    ASSERT(t->fill_count <= WAL_FILLS_MAX);
    for (uint32_t i = 0; i < t->fill_count; i++) {
        if (t->fill[i].last > base)
            t->fill[kept++] = t->fill[i];
    }
    t->fill_count = kept;
    kept = 0;
    for (uint32_t i = 0; i < t->hole_count; i++) {
        if (t->hole[i].next > base) /* else nothing is missing any more */
            t->hole[kept++] = t->hole[i];
    }
    t->hole_count = kept;
}

void wal_holes_shift(struct wal_holes *t)
{
    ASSERT(t->fill_count <= WAL_FILLS_MAX);
    for (uint32_t i = 0; i < t->fill_count; i++) {
        ASSERT(t->fill[i].place.segment > 0); /* the start lies in front of what is alive */
        t->fill[i].place.segment--;
    }
}

int wal_holes_skip(struct wal *w, const struct wal_end *end)
{
    struct wal_view *v = &w->view;
    struct wal_holes *t = &w->holes;
    struct wal_hole hole = {
        .last = end->index,
        .next = end->index,
        .chain = end->chain,
        .below = v->last,
        .below_chain = v->last_chain,
        .floor = w->commit > v->base ? w->commit : v->base,
    };

    ASSERT(hole.floor <= v->last);
    ASSERT(end->index > v->base);
    ASSERT(end->term > 0 || end->index == 0);
    if (end->index == v->last && end->chain == v->last_chain)
        return 0; /* whatever was lost has left no trace */
    if (end->index < hole.floor)
        return -EBADMSG;         /* nobody cuts what is committed */
    if (end->index <= v->last) { /* replaced or cut: what stood there is not what the log has */
        hole.below = hole.floor = forget_above(t, hole.floor);
        wal_view_drop_configs(v, hole.floor + 1, end->index);
    }
    const int skipped = wal_view_skip(v, end, hole.floor);
    if (skipped != 0 || wal_hole_is_closed(&hole))
        return skipped;
    if (t->hole_count == WAL_HOLES_MAX)
        return -EOVERFLOW;
    t->hole[t->hole_count++] = hole;
    return 0;
}
