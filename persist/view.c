/* persist/view.c: what the log contains, as far as the core must know it: last entry, runs of
 * equal terms, where configurations stand. Records are shown to it in the order of the log; one
 * whose index is not above the last replaces that entry and everything above it.
 */
#include "persist/wal_internal.h"

#include <errno.h>
#include <string.h>

void wal_view_begin(struct wal_view *v, raft_index base, raft_term term, uint32_t chain)
{
    v->base = v->last = base;
    v->base_term = v->last_term = term;
    v->base_chain = v->first_chain = v->last_chain = chain;
    v->run_count = 0;
    v->config_count = 0;
    v->config_forgotten = false;
}

void wal_view_cut(struct wal_view *v, raft_index last)
{
    ASSERT(last >= v->base);
    ASSERT(last <= v->last);
    while (v->run_count > 0 && v->run_first[v->run_count - 1] > last)
        v->run_count--;
    while (v->config_count > 0 && v->config_index[v->config_count - 1] > last)
        v->config_count--;
    v->last = last;
    v->last_term = v->run_count > 0 ? v->run_term[v->run_count - 1] : v->base_term;
    if (last == v->base)
        v->last_chain = v->first_chain = v->base_chain;
}

int wal_view_add(struct wal_view *v, const struct record_header *record)
{
    if (record->index <= v->last) {
        MARK(REPLAY_REPLACED);
        wal_view_cut(v, record->index - 1);
    }
    ASSERT(record->index == v->last + 1);
    if (record->index == v->base + 1)
        v->first_chain = record->chain;
    if (v->run_count == 0 || v->run_term[v->run_count - 1] != record->term) {
        if (v->run_count == RAFT_TERM_RUNS_MAX)
            return -EOVERFLOW;
        v->run_first[v->run_count] = record->index;
        v->run_term[v->run_count] = record->term;
        v->run_count++;
    }
    if (record->type == RECORD_CONFIG)
        wal_view_put_config(v, record->index);
    v->last = record->index;
    v->last_term = record->term;
    v->last_chain = record->header_crc;
    return 0;
}

/* The run that `index` is in; run_count: it is above all of them. */
static uint32_t run_of(const struct wal_view *v, raft_index index)
{
    uint32_t run = v->run_count;

    ASSERT(index > 0);
    while (run > 0 && v->run_first[run - 1] > index)
        run--;
    return run == 0 ? v->run_count : run - 1;
}

static int insert_run(struct wal_view *v, uint32_t at, raft_index first, raft_term term)
{
    ASSERT(at <= v->run_count);
    if (v->run_count == RAFT_TERM_RUNS_MAX)
        return -EOVERFLOW;
    memmove(v->run_first + at + 1, v->run_first + at, (v->run_count - at) * sizeof *v->run_first);
    memmove(v->run_term + at + 1, v->run_term + at, (v->run_count - at) * sizeof *v->run_term);
    v->run_first[at] = first;
    v->run_term[at] = term;
    v->run_count++;
    return 0;
}

static void remove_run(struct wal_view *v, uint32_t at)
{
    ASSERT(at < v->run_count);
    v->run_count--;
    memmove(v->run_first + at, v->run_first + at + 1, (v->run_count - at) * sizeof *v->run_first);
    memmove(v->run_term + at, v->run_term + at + 1, (v->run_count - at) * sizeof *v->run_term);
}

int wal_view_set_term(struct wal_view *v, raft_index first, raft_index last, raft_term term)
{
    ASSERT(first <= last);
    ASSERT(last <= v->last);
    const uint32_t behind = run_of(v, last);
    ASSERT(behind < v->run_count);
    /* What follows keeps its term. */
    if (last < v->last && (behind + 1 == v->run_count || v->run_first[behind + 1] > last + 1)) {
        const int split = insert_run(v, behind + 1, last + 1, v->run_term[behind]);
        if (split != 0)
            return split;
    }
    uint32_t at = 0;
    while (at < v->run_count && v->run_first[at] < first)
        at++;
    while (at < v->run_count && v->run_first[at] <= last)
        remove_run(v, at);
    if (at < v->run_count && v->run_term[at] == term)
        remove_run(v, at); /* one run with what follows */
    if (at > 0 && v->run_term[at - 1] == term)
        return 0;
    return insert_run(v, at, first, term);
}

int wal_view_skip(struct wal_view *v, const struct wal_end *end, raft_index floor)
{
    int result = 0;

    ASSERT(floor <= end->index);
    ASSERT(floor <= v->last);
    if (end->index < v->last)
        wal_view_cut(v, end->index);
    if (v->run_count == 0 && end->index > 0)
        result = insert_run(v, 0, v->last + 1, v->last_term > 0 ? v->last_term : 1);
    v->last = end->index;
    if (result != 0 || end->index == 0)
        return result;
    /* Terms never go down: if the last known one is higher, its entry was replaced in the hole, and a
     * configuration that stood above the floor may have been. */
    const raft_term guess = v->run_term[v->run_count - 1];
    if (guess > end->term && end->index > floor) {
        wal_view_drop_configs(v, floor + 1, end->index);
        result = wal_view_set_term(v, floor + 1, end->index, end->term);
    } else if (guess < end->term && end->term_known) {
        result = wal_view_set_term(v, end->index, end->index, end->term);
    }
    v->last_term = v->run_term[v->run_count - 1];
    v->last_chain = end->chain;
    return result;
}

void wal_view_drop_configs(struct wal_view *v, raft_index first, raft_index last)
{
    uint32_t kept = 0;

    ASSERT(v->config_count <= WAL_CONFIG_PLACES_MAX);
    for (uint32_t i = 0; i < v->config_count; i++)
        if (v->config_index[i] < first || v->config_index[i] > last)
            v->config_index[kept++] = v->config_index[i];
    v->config_count = kept;
}

void wal_view_put_config(struct wal_view *v, raft_index index)
{
    uint32_t at = v->config_count;

    ASSERT(index > 0);
    while (at > 0 && v->config_index[at - 1] > index)
        at--;
    if (at > 0 && v->config_index[at - 1] == index)
        return;
    if (v->config_count == WAL_CONFIG_PLACES_MAX) {
        if (at == 0)
            return; /* older than all that are kept */
        memmove(v->config_index, v->config_index + 1, (at - 1) * sizeof v->config_index[0]);
        v->config_index[at - 1] = index;
        v->config_forgotten = true;
        return;
    }
    memmove(v->config_index + at + 1, v->config_index + at,
            (v->config_count - at) * sizeof v->config_index[0]);
    v->config_index[at] = index;
    v->config_count++;
}
