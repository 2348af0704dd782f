/* replica/making.c: see making.h. */
#include "replica/making.h"

#include "replica/replica_internal.h"

#include <string.h>

enum { FAILURES_COUNTED = 9 }; /* SNAPSHOT_RETRY_NS << 9: the longest pause is 8 minutes */

#define TURN_NS_MAX (10 * 1000 * 1000 * 1000ull)

void making_open(struct replica *r)
{
    struct making *m = &r->raft.making;
    const struct snapshot_header *current = snapshot_current(r->persist.snapshot.snapshots);

    ASSERT(m->state == MAKING_IDLE);
    if (current != NULL)
        m->current = *current;
}

bool making_give_job(struct replica *r, const struct snapshot_job *job)
{
    struct making *m = &r->raft.making;

    ASSERT(m->owed <= SNAPSHOT_JOBS_MAX);
    if (m->owed == SNAPSHOT_JOBS_MAX)
        return false;
    const uint32_t taken = spsc_push(r->snapshot_jobs, job, sizeof *job, 1);
    ASSERT(taken == 1); /* what waits there has no answer */
    m->owed++;
    r->raft.pushes++;
    return true;
}

uint64_t making_next_number(struct replica *r)
{
    return ++r->raft.making.number;
}

bool making_writer_free(const struct replica *r)
{
    const enum making_state state = r->raft.making.state;

    return state == MAKING_IDLE || state == MAKING_PINNED;
}

static void let_pin_go(struct replica *r, raft_index index)
{
    if (published_get(&r->unpin) >= index)
        return;
    published_set(&r->unpin, index);
    r->raft.pushes++; /* the store is to look */
}

static void end(struct making *m)
{
    ASSERT(m->state != MAKING_IDLE);
    m->state = MAKING_IDLE;
    m->index = 0;
}

/* Another point is wanted in a while. */
static void fail(struct replica *r)
{
    struct making *m = &r->raft.making;

    let_pin_go(r, m->index);
    m->failed++;
    m->failures += m->failures < FAILURES_COUNTED;
    m->retry_ns = r->raft.now_ns + (SNAPSHOT_RETRY_NS << m->failures);
    MARK(SNAPSHOT_FAILED);
}

void making_give_up(struct replica *r)
{
    struct making *m = &r->raft.making;

    ASSERT(m->state != MAKING_NAMING);
    if (m->state == MAKING_IDLE || m->state == MAKING_GIVEN_UP)
        return;
    MARK(SNAPSHOT_GIVEN_UP);
    let_pin_go(r, m->index);
    if (m->state != MAKING_PINNED)
        published_set(&r->unwanted, m->number);
    if (m->state == MAKING_WRITING)
        m->state = MAKING_GIVEN_UP; /* its answer is still to come */
    else
        end(m);
}

/* ---- our own, from the pin to the file -------------------------------------------------------- */

/* The members write one after the other, each as long as we did the last time. */
static uint64_t turn_of(const struct replica *r, raft_index index)
{
    const struct raft_config *config = raft_config(r->raft.raft);
    uint32_t place = 0;

    if (config->count == 0)
        return r->raft.now_ns;
    while (place + 1 < config->count && config->member[place].node != r->options.node)
        place++;
    const uint64_t wait_ns = (place + index) % config->count * r->raft.making.last_ns;
    return r->raft.now_ns + (wait_ns < TURN_NS_MAX ? wait_ns : TURN_NS_MAX);
}

/* A pin that nobody wants is let go. */
static void take_pin(struct replica *r)
{
    struct replica_raft *role = &r->raft;
    struct making *m = &role->making;
    const raft_index pinned = published_get(&r->pinned);

    ASSERT(m->state == MAKING_IDLE);
    if (pinned == 0 || pinned <= published_get(&r->unpin) ||
        pinned == published_get(&r->emit_ended))
        return; /* or it is being let go already */
    if (points_find(&role->points, pinned) == NULL || pinned <= role->points.at[0].index ||
        pinned <= m->current.index) {
        MARK(PIN_UNWANTED);
        let_pin_go(r, pinned);
        return;
    }
    m->state = MAKING_PINNED;
    m->index = pinned;
    m->turn_ns = turn_of(r, pinned);
    MARK_IF(m->turn_ns > role->now_ns, SNAPSHOT_WAITS_ITS_TURN);
}

static void begin(struct replica *r)
{
    struct making *m = &r->raft.making;
    const struct point *point = points_find(&r->raft.points, m->index);

    ASSERT(m->state == MAKING_PINNED);
    if (published_get(&r->pinned) != m->index || point == NULL) {
        MARK(PIN_CUT_OFF);
        fail(r);
        end(m);
        return;
    }
    if (r->raft.now_ns < m->turn_ns || receive_writes(r))
        return;
    struct snapshot_job job = {
        .kind = SNAPSHOT_JOB_BEGIN,
        .own = true,
        .number = m->number + 1,
        .start = {.index = point->index,
                  .term = point->term,
                  .chain = point->chain,
                  .config_index = point->config_index,
                  .config_bytes = point->config_bytes,
                  .room = published_get(&r->pinned_bytes)},
    };
    static_assert(sizeof job.config == sizeof point->config, "what a point remembers goes along");
    memcpy(job.config, point->config, sizeof job.config);
    if (!making_give_job(r, &job))
        return;
    m->number = job.number;
    m->state = MAKING_WRITING;
    published_set(&r->emit, m->index);
}

/* The store let the pin go before it had emitted all of it: no end of the file will come. */
static void watch_pin(struct replica *r)
{
    struct making *m = &r->raft.making;

    ASSERT(m->state == MAKING_WRITING);
    if (published_get(&r->pinned) == m->index || published_get(&r->emit_ended) == m->index)
        return;
    MARK(PIN_CUT_OFF);
    fail(r);
    making_give_up(r);
}

static void on_written(struct replica *r, const struct snapshot_event *event)
{
    struct making *m = &r->raft.making;

    if (event->kind == SNAPSHOT_EVENT_FAILED && m->state == MAKING_WRITING)
        fail(r);
    if (event->kind == SNAPSHOT_EVENT_FAILED || m->state == MAKING_GIVEN_UP) {
        end(m);
        return;
    }
    ASSERT(m->state == MAKING_WRITING);
    ASSERT(event->header.index == m->index);
    m->last_ns = event->took_ns;
    m->ready = event->header;
    m->state = MAKING_READY;
}

/* ---- the base --------------------------------------------------------------------------------- */

void making_ready(struct replica *r, const struct snapshot_header *header)
{
    struct making *m = &r->raft.making;

    if (m->state == MAKING_PINNED)
        making_give_up(r); /* one at a time, and this one is there */
    ASSERT(m->state == MAKING_IDLE);
    ASSERT(header->index <= raft_commit(r->raft.raft));
    m->state = MAKING_READY;
    m->index = header->index;
    m->ready = *header;
}

static void fill_change(struct base_change *change, const struct point *base,
                        const struct snapshot_header *snapshot)
{
    *change = (struct base_change){
        .base = {.index = base->index,
                 .term = base->term,
                 .chain = base->chain,
                 .snapshot_index = snapshot->index,
                 .snapshot_bytes = snapshot->bytes,
                 .snapshot_digest = snapshot->digest,
                 .config_index = base->config_index,
                 .config_bytes = base->config_bytes},
    };
    ASSERT(base->config_bytes <= sizeof change->config);
    memcpy(change->config, base->config, base->config_bytes);
    change->base.config = change->config;
}

/* One that was pulled may stand beyond what the store was given. What it covers leaves the log, so the store gets
 * it first; unless it waits for the one before, then this one takes the place of all of that. */
static bool store_allows(const struct replica *r)
{
    return r->raft.fed >= r->raft.making.ready.index || feed_loads(r);
}

static void name(struct replica *r)
{
    struct replica_raft *role = &r->raft;
    struct making *m = &role->making;

    ASSERT(m->state == MAKING_READY);
    if (m->changing || role->repair.active || m->owed == SNAPSHOT_JOBS_MAX || !store_allows(r) ||
        raft_durable_index(role->raft) < m->ready.index || !step_can(r, 0, 0, true))
        return;
    const struct point *base = points_choose_base(r, &m->ready);
    MARK_IF(base->index < m->ready.index, LOG_TRAILS_SNAPSHOT);
    fill_change(&m->change, base, &m->ready);
    struct raft_event ev = {.type = RAFT_EV_COMPACT, .index = base->index};
    const bool taken = step_base(r, &ev, &m->change);
    ASSERT(taken); /* there was room, and the core refuses no compaction */
    ASSERT(raft_base(role->raft) == m->change.base.index);
    points_set_base(&role->points, m->change.base.index);
    m->state = MAKING_NAMING;
}

static void on_current(struct replica *r)
{
    struct making *m = &r->raft.making;

    ASSERT(m->changing);
    m->changing = false;
    if (m->state != MAKING_NAMING) {
        install_on_current(r);
        return;
    }
    m->current = m->ready;
    if (r->raft.fed < m->current.index)
        feed_pass_over(r, &m->current); /* the store was to load the one before, which is gone */
    mend_on_current(r);
    m->failures = 0;
    m->retry_ns = 0;
    end(m);
}

/* ---- the poll --------------------------------------------------------------------------------- */

static void take_event(struct replica *r, const struct snapshot_event *event)
{
    struct making *m = &r->raft.making;

    ASSERT(m->owed > 0);
    m->owed--;
    if (event->kind == SNAPSHOT_EVENT_CURRENT)
        on_current(r);
    else if (event->job == SNAPSHOT_JOB_BEGIN && event->number != r->raft.pull.number)
        on_written(r, event);
    else
        receive_on_event(r, event);
}

uint32_t making_poll(struct replica *r)
{
    struct making *m = &r->raft.making;
    const enum making_state before = m->state;
    struct snapshot_event event;
    uint32_t work = 0;

    while (work < SNAPSHOT_JOBS_MAX && spsc_pop(r->snapshot_events, &event, sizeof event, 1) == 1) {
        take_event(r, &event);
        work++;
    }
    if (m->state == MAKING_IDLE)
        take_pin(r);
    if (m->state == MAKING_PINNED)
        begin(r);
    if (m->state == MAKING_WRITING)
        watch_pin(r);
    if (m->state == MAKING_READY)
        name(r);
    trigger_poll(r);
    return work + (m->state != before);
}

bool making_is_idle(const struct replica *r)
{
    const struct making *m = &r->raft.making;

    return m->state == MAKING_IDLE && r->raft.fed >= m->proposed &&
           published_get(&r->pinned) <= published_get(&r->unpin);
}

uint64_t making_next_ns(const struct replica *r)
{
    const struct making *m = &r->raft.making;
    const uint64_t trigger_ns = trigger_next_ns(r);

    if (m->state == MAKING_PINNED && m->turn_ns < trigger_ns)
        return m->turn_ns;
    return trigger_ns;
}
