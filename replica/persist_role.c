/* replica/persist_role.c: steps from raft into the log, the durable seq back, old records read.
 *
 * What raft hands over is taken in order. When the log has no buffer or no segment the item waits
 * here, and behind it the ring fills: that is what slows raft down.
 */
#include "replica/replica_internal.h"

#include <errno.h>

/* One read at a time; the rest waits in its ring. */
static uint32_t begin_read(struct replica *r)
{
    struct replica_persist *role = &r->persist;
    struct load *load;

    if (role->reading != NULL || spsc_room(r->loaded, 1) == 0 ||
        spsc_pop(r->to_load, &load, sizeof load, 1) == 0)
        return 0;
    role->read = (struct wal_read){
        .first = load->first,
        .last = load->last,
        .term = load->term,
        .bytes = load->bytes,
        .size = load->size,
        .background =
            load != &r->raft.store_load, /* reads of our own clients may wait for that one */
    };
    const int begun = wal_read_begin(role->wal, &role->read);
    ASSERT(begun == 0); /* none is under way */
    role->reading = load;
    return 1;
}

static uint32_t take_steps(struct replica *r)
{
    struct replica_persist *role = &r->persist;
    uint32_t work = 0;

    while (work < STEP_BURST) {
        if (!role->has_pending &&
            spsc_pop(r->to_persist, &role->pending, sizeof role->pending, 1) == 0)
            break;
        const int result = role->pending.change == NULL
                               ? wal_append(role->wal, &role->pending.step)
                               : persist_snapshot_base(r, &role->pending);
        role->has_pending = result != 0;
        ASSERT(result != -EINVAL); /* what fills a hole is checked before it is given */
        if (result == -EOVERFLOW)
            published_set(&r->log_failed, REPLICA_STOP_LOG_BEYOND_REPAIR);
        if (role->has_pending) {
            MARK(STEP_WAITS);
            break;
        }
        role->taken_bytes += persist_cost(&role->pending.step);
        published_set(&r->persist_done, published_get(&r->persist_done) + 1);
        work++;
    }
    return work;
}

static uint32_t finish_read(struct replica *r)
{
    struct replica_persist *role = &r->persist;
    struct load *load = role->reading;

    if (load == NULL || !wal_read_poll(role->wal))
        return 0;
    load->length = role->read.length;
    load->result = role->read.result;
    if (load->result == 0 && role->read.count > 0)
        load->last = load->first + role->read.count - 1;
    role->reading = NULL;
    const uint32_t taken = spsc_push(r->loaded, &load, sizeof load, 1);
    ASSERT(taken == 1); /* begin_read() saw room, and one read is under way at a time */
    return 1;
}

static void publish_reserve(struct replica *r)
{
    const struct reserve_report report = reserve_report(&r->persist.reserve);

    published_set(&r->options.counters->disk_free, report.free_bytes);
    published_set(&r->options.counters->disk_reserve, report.needed_bytes);
    published_set(&r->options.counters->below_reserve, report.lacks);
    published_set(&r->below_reserve, report.lacks);
    published_set(&r->nears_reserve, report.nears);
}

static void publish_snapshots(struct replica *r)
{
    const struct persist_snapshot *p = &r->persist.snapshot;
    struct replica_counters *c = r->options.counters;
    const struct snapshot_header *current = snapshot_current(p->snapshots);
    const struct snapshot_progress progress = snapshot_progress(p->snapshots);
    const struct snapshot_counters *counters = snapshot_counters(p->snapshots);

    published_set(&c->snapshot_condition, snapshot_condition(p->snapshots));
    published_set(&c->snapshot_index, current == NULL ? 0 : current->index);
    published_set(&c->snapshot_bytes, current == NULL ? 0 : current->bytes);
    published_set(&c->writing_index, progress.index);
    published_set(&c->writing_bytes, progress.bytes);
    published_set(&c->writing_bytes_max, progress.bytes_max);
    published_set(&c->writing_own, p->begin.own);
    published_set(&c->snapshots_written, counters->written);
    published_set(&c->snapshots_dropped, counters->dropped);
    published_set(&c->chunks_repaired, counters->chunks_repaired);
    published_set(&c->chunks_refused, counters->chunks_refused);
    if (p->store_reading != NULL && current != NULL)
        published_set(&c->loading_bytes,
                      (uint64_t)p->store_reading->chunk * current->chunk_bytes);
}

/* What only the status wants to know. */
static void publish_report(struct replica *r, uint64_t now_ns)
{
    struct replica_persist *role = &r->persist;
    const struct wal_span span = wal_span(role->wal);

    if (now_ns < role->report_ns)
        return;
    role->report_ns = now_ns + r->options.heartbeat_ns;
    published_set(&r->options.counters->log_segments, span.segments);
    published_set(&r->options.counters->log_bytes, span.bytes);
    publish_snapshots(r);
}

static void publish(struct replica *r)
{
    struct wal *wal = r->persist.wal;
    const struct wal_counters *counters = wal_counters(wal);

    published_set(&r->options.view->durable, wal_durable(wal));
    published_set(&r->repairs_durable, wal_repairs_durable(wal));
    published_set(&r->disk_room, r->persist.taken_bytes + wal_room(wal));
    published_set(&r->log_cramped, 2 * wal_span(wal).segments > WAL_SEGMENTS_MAX);
    published_set(&r->options.counters->no_room, !wal_has_room(wal));
    publish_reserve(r);
    published_set(&r->options.counters->flushes, counters->flushes);
    published_set(&r->options.counters->flushed_bytes, counters->bytes);
    published_set(&r->options.counters->flush_ns, counters->flush_ns_last);
}

uint32_t persist_role_poll(struct replica *r, uint64_t now_ns)
{
    struct replica_persist *role = &r->persist;
    uint32_t work;

    if (published_get(&r->log_failed) != REPLICA_STOP_NONE ||
        published_get(&r->options.view->stop) != REPLICA_STOP_NONE)
        return 0;
    work = take_steps(r);
    work += wal_poll(role->wal, now_ns);
    work += persist_snapshot_poll(r, now_ns);
    work += reserve_poll(&role->reserve, now_ns);
    work += begin_read(r);
    work += finish_read(r);
    if (wal_failed(role->wal) != 0) {
        published_set(&r->log_failed, REPLICA_STOP_LOG_FAILED);
        return 1;
    }
    if (work > 0) {
        publish(r);
        publish_report(r, now_ns);
    }
    return work;
}

uint64_t persist_role_next_timer(const struct replica *r)
{
    const uint64_t next[] = {
        wal_next_ns(r->persist.wal),
        snapshots_next_ns(r->persist.snapshot.snapshots),
        reserve_next_ns(&r->persist.reserve),
    };
    uint64_t first = UINT64_MAX;

    for (uint32_t i = 0; i < sizeof next / sizeof next[0]; i++)
        first = next[i] < first ? next[i] : first;
    return first;
}
