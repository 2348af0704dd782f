/* replica/points.c: see points.h. */
#include "replica/points.h"

#include "replica/replica_internal.h"

#include <string.h>

static struct point point_of(const struct snapshot_header *snapshot)
{
    struct point point = {
        .index = snapshot->index,
        .term = snapshot->term,
        .chain = snapshot->chain,
        .config_index = snapshot->config_index,
        .config_bytes = snapshot->config_bytes,
    };

    memcpy(point.config, snapshot->config, sizeof point.config);
    return point;
}

static void remove_at(struct points *points, uint32_t at)
{
    ASSERT(at < points->count);
    points->count--;
    memmove(&points->at[at], &points->at[at + 1], (points->count - at) * sizeof points->at[0]);
}

/* In its place; with no place left the oldest but the base goes, which would be a base in a while. */
static void put(struct points *points, const struct point *point)
{
    uint32_t at = points->count;

    ASSERT(points_find(points, point->index) == NULL);
    while (at > 0 && points->at[at - 1].index > point->index)
        at--;
    ASSERT(at > 0); /* nothing is below the base */
    if (points->count == POINTS_MAX && at == 1)
        return;
    if (points->count == POINTS_MAX) {
        remove_at(points, 1);
        at--;
    }
    memmove(&points->at[at + 1], &points->at[at], (points->count - at) * sizeof points->at[0]);
    points->at[at] = *point;
    points->count++;
}

static void copy_config(struct point *to, const struct point *from)
{
    to->config_index = from->config_index;
    to->config_bytes = from->config_bytes;
    memcpy(to->config, from->config, sizeof to->config);
}

void points_open(struct replica *r, const struct wal_recovered *log,
                 const struct snapshot_header *snapshot)
{
    struct points *points = &r->raft.points;
    struct point *base = &points->at[0];

    ASSERT(log->base.config_bytes <= sizeof base->config);
    *points = (struct points){.count = 1, .newest_ns = r->raft.now_ns};
    *base = (struct point){
        .index = log->base.index,
        .term = log->base.term,
        .chain = log->base.chain,
        .config_index = log->base.config_index,
        .config_bytes = log->base.config_bytes,
    };
    if (base->config_bytes > 0)
        memcpy(base->config, log->base.config, base->config_bytes);
    points->newest = log->base.snapshot_index;
    points->fed.fed_bytes = wal_span(r->persist.wal).bytes;
    copy_config(&points->fed, base);
    points->newest_bytes = points->fed.fed_bytes;
    if (snapshot == NULL)
        return;
    struct point point = point_of(snapshot);
    point.fed_bytes = points->fed.fed_bytes;
    copy_config(&points->fed, &point);
    if (point.index > base->index)
        put(points, &point);
}

void points_on_fed(struct replica *r, const struct record_header *record)
{
    struct points *points = &r->raft.points;
    struct point *fed = &points->fed;

    fed->fed_bytes += record_bytes(record->payload_bytes);
    if (record->type == RECORD_CONFIG && record->payload_bytes <= sizeof fed->config &&
        !(fed->config_index > 0 && planted(PLANTED_POINT_CONFIG_STALE))) {
        fed->config_index = record->index;
        fed->config_bytes = record->payload_bytes;
        memcpy(fed->config, record_payload(record), record->payload_bytes);
    } else if (record->type == RECORD_SNAPSHOT) {
        struct point point = *fed;
        point.index = record->index;
        point.term = record->term;
        point.chain = record->header_crc;
        put(points, &point);
        points->newest = point.index;
        points->newest_bytes = point.fed_bytes;
        points->newest_ns = r->raft.now_ns;
    }
}

void points_begin_at(struct replica *r, const struct snapshot_header *snapshot)
{
    struct points *points = &r->raft.points;
    struct point point = point_of(snapshot);

    point.fed_bytes = points->fed.fed_bytes;
    copy_config(&points->fed, &point);
    points->newest = point.index;
    points->newest_bytes = point.fed_bytes;
    points->newest_ns = r->raft.now_ns;
    if (raft_base(r->raft.raft) == point.index) {
        points->at[0] = point;
        points->count = 1;
    } else if (points_find(points, point.index) == NULL) {
        put(points, &point);
    }
}

const struct point *points_find(const struct points *points, raft_index index)
{
    for (uint32_t i = 0; i < points->count; i++)
        if (points->at[i].index == index)
            return &points->at[i];
    return NULL;
}

bool points_log_is_cramped(const struct replica *r)
{
    return published_get(&r->log_cramped) != 0 || r->raft.no_room ||
           published_get(&r->nears_reserve) != 0;
}

/* A snapshot that came from elsewhere may stand at a point that was forgotten: then as much of the log
 * counts as above it as is above the next point below. */
static void remember(struct points *points, const struct snapshot_header *snapshot)
{
    struct point point = point_of(snapshot);

    for (uint32_t i = 0; i < points->count && points->at[i].index < point.index; i++)
        point.fed_bytes = points->at[i].fed_bytes;
    if (points_find(points, point.index) == NULL)
        put(points, &point);
}

/* With its base there a leader's log would lack what a peer that answers still needs. */
static bool lacks_needed(struct replica *r, const struct point *base)
{
    return raft_role(r->raft.raft) == RAFT_LEADER && raft_keep_from(r->raft.raft) <= base->index;
}

const struct point *points_choose_base(struct replica *r, const struct snapshot_header *snapshot)
{
    struct points *points = &r->raft.points;
    const struct replica_snapshots *o = &r->options.snapshots;
    const bool cramped = points_log_is_cramped(r);
    uint32_t at;

    remember(points, snapshot);
    const struct point *chosen = points_find(points, snapshot->index);
    if (chosen == NULL)
        chosen = &points->at[0]; /* all places are taken by others: it will be cut the next time */
    ASSERT(chosen->index <= raft_durable_index(r->raft.raft));
    for (at = points->count; at > 0 && !cramped; at--) {
        const struct point *point = &points->at[at - 1];
        const uint64_t above = points->fed.fed_bytes - point->fed_bytes;
        if (point->index >= chosen->index)
            continue;
        if (above > o->trailing_bytes &&
            (above > o->needed_bytes || !lacks_needed(r, chosen)))
            break;
        MARK_IF(above > o->trailing_bytes, LOG_KEPT_FOR_PEER);
        chosen = point;
    }
    return chosen;
}

void points_set_base(struct points *points, raft_index index)
{
    ASSERT(points_find(points, index) != NULL);
    while (points->at[0].index < index)
        remove_at(points, 0);
}
