/* persist/view.c: what the log contains, as far as the core must know it: last entry, runs of
 * equal terms, where configurations stand. Records are shown to it in the order of the log; one
 * whose index is not above the last replaces that entry and everything above it.
 */
#include "persist/wal_internal.h"

#include <errno.h>
#include <string.h>

static void remember_config(struct wal_view *v, raft_index index)
{
    ASSERT(v->config_count <= WAL_CONFIG_PLACES_MAX);
    if (v->config_count == WAL_CONFIG_PLACES_MAX) {
        memmove(v->config_index, v->config_index + 1,
                (WAL_CONFIG_PLACES_MAX - 1) * sizeof v->config_index[0]);
        v->config_count--;
        v->config_forgotten = true;
    }
    v->config_index[v->config_count++] = index;
}

void wal_view_cut(struct wal_view *v, raft_index last)
{
    ASSERT(last <= v->last);
    while (v->run_count > 0 && v->run_first[v->run_count - 1] > last)
        v->run_count--;
    while (v->config_count > 0 && v->config_index[v->config_count - 1] > last)
        v->config_count--;
    v->last = last;
    v->last_term = v->run_count > 0 ? v->run_term[v->run_count - 1] : 0;
}

int wal_view_add(struct wal_view *v, const struct record_header *record)
{
    if (record->index <= v->last)
        wal_view_cut(v, record->index - 1);
    ASSERT(record->index == v->last + 1);
    if (v->run_count == 0 || v->run_term[v->run_count - 1] != record->term) {
        if (v->run_count == v->runs_max)
            return -EOVERFLOW;
        v->run_first[v->run_count] = record->index;
        v->run_term[v->run_count] = record->term;
        v->run_count++;
    }
    if (record->type == RECORD_CONFIG)
        remember_config(v, record->index);
    v->last = record->index;
    v->last_term = record->term;
    v->last_chain = record->header_crc;
    return 0;
}
