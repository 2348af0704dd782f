/* persist/reserve.c: see reserve.h. */
#include "persist/reserve.h"

#include "persist/snapshot_internal.h"

static const struct disk_op look_op = {
    .kind = DISK_OP_FREE,
    .cookie = (uint64_t)WAL_OP_RESERVE << WAL_OP_SHIFT,
};

/* `free_bytes`: of a look, or why there is none. */
static void note(struct reserve *r, int64_t free_bytes)
{
    const struct wal *w = r->w;
    const bool creating = w->prepare.state == WAL_PREPARE_CREATING;
    const uint64_t taken = creating ? w->options.segment_bytes : 0; /* it was granted already */

    ASSERT(!creating || w->prepare.spare == 0);
    if (free_bytes < 0)
        return;
    r->known = true;
    r->may_give_up = true;
    r->free_bytes = (uint64_t)free_bytes > taken ? (uint64_t)free_bytes - taken : 0;
    r->held_bytes = w->snapshots == NULL ? 0 : snapshot_held_bytes(w->snapshots);
}

void reserve_open(struct reserve *r, struct wal *w, uint64_t snapshot_bytes)
{
    ASSERT(w->reserve == NULL);
    ASSERT(w->submit_number == w->oldest_number); /* nothing is in flight */
    *r = (struct reserve){.w = w, .snapshot_bytes = snapshot_bytes};
    note(r, wal_do(w, &look_op));
    w->reserve = r;
}

/* Segments that are not there yet, nor has their room been taken. */
static uint32_t segments_missing(const struct wal *w)
{
    const uint32_t there = w->prepare.ready_count + w->recycle.spare_count +
                           (w->prepare.state != WAL_PREPARE_NONE);

    ASSERT(w->prepare.ready_count <= w->options.segments_ahead);
    return there < w->options.segments_ahead ? w->options.segments_ahead - there : 0;
}

static uint64_t needed_bytes(const struct reserve *r)
{
    ASSERT(r->w != NULL);
    return r->snapshot_bytes + segments_missing(r->w) * r->w->options.segment_bytes;
}

/* Less than it needs and `more`. */
static bool has_less(const struct reserve *r, uint64_t more)
{
    ASSERT(more <= RESERVE_NEAR_SEGMENTS * r->w->options.segment_bytes);
    return r->known && r->free_bytes + r->held_bytes < needed_bytes(r) + more;
}

static bool lacks(const struct reserve *r)
{
    return has_less(r, 0);
}

bool reserve_grants(struct reserve *r, uint64_t bytes)
{
    ASSERT(bytes > 0);
    if (r == NULL || !r->known)
        return true;
    if (r->free_bytes < bytes || r->free_bytes + r->held_bytes < r->snapshot_bytes + bytes) {
        MARK(RESERVE_KEPT);
        return false;
    }
    r->free_bytes -= bytes;
    return true;
}

void reserve_on_look(struct reserve *r, int64_t result)
{
    ASSERT(r->looks);
    r->looks = false;
    note(r, result);
}

/* A spare that nobody needs in order to have as many segments prepared as there should be. */
static uint32_t give_up_spare(struct reserve *r)
{
    struct wal *w = r->w;
    const struct wal_prepare *p = &w->prepare;
    ASSERT(p->ready_count <= w->options.segments_ahead);
    const uint32_t ahead = p->ready_count + (p->state != WAL_PREPARE_NONE);

    if (!r->may_give_up || !lacks(r) || w->recycle.spare_count == 0 ||
        ahead + w->recycle.spare_count <= w->options.segments_ahead || !wal_recycle_give_up(w))
        return 0;
    MARK(SPARE_GIVEN_UP);
    r->may_give_up = false;
    return 1;
}

uint32_t reserve_poll(struct reserve *r, uint64_t now_ns)
{
    const uint32_t work = give_up_spare(r);

    if (r->looks || now_ns < reserve_next_ns(r) || wal_failed(r->w) != 0)
        return work;
    if (disk_submit(r->w->disk, &look_op) != 0)
        return work;
    disk_send(r->w->disk);
    r->looks = true;
    r->looked_ns = now_ns;
    return work + 1;
}

uint64_t reserve_next_ns(const struct reserve *r)
{
    ASSERT(r->w->reserve == r);
    if (r->looks)
        return UINT64_MAX;
    return r->looked_ns + (lacks(r) ? RESERVE_AGAIN_NS : RESERVE_LOOK_NS);
}

struct reserve_report reserve_report(const struct reserve *r)
{
    const uint64_t near_bytes = RESERVE_NEAR_SEGMENTS * r->w->options.segment_bytes;
    struct reserve_report report = {.lacks = lacks(r), .nears = has_less(r, near_bytes)};

    ASSERT(!report.lacks || r->known);
    if (r->known) {
        report.free_bytes = r->free_bytes + r->held_bytes;
        report.needed_bytes = needed_bytes(r);
    }
    return report;
}

uint64_t reserve_at_first(const struct wal_options *options, uint64_t snapshot_bytes)
{
    ASSERT(options->segments_ahead <= WAL_AHEAD_MAX);
    return snapshot_bytes + (1 + options->segments_ahead) * options->segment_bytes;
}
