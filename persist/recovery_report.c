/* persist/recovery_report.c: what a start tells of the log that it found: its end, its hard state, its
 * holes, and the configurations that may be in force or undone.
 */
#include "persist/recovery_internal.h"

#include <errno.h>
#include <string.h>

void recovery_report(struct recovery *r)
{
    const struct wal *w = r->w;
    struct wal_recovered *out = r->out;

    ASSERT(r->w->commit <= r->w->view.last);
    out->term = w->term;
    out->vote = w->vote;
    out->vote_incarnation = w->vote_incarnation;
    out->commit = w->commit;
    out->base = (struct wal_base){
        .index = w->manifest.base_index,
        .term = w->manifest.base_term,
        .chain = w->manifest.base_chain,
        .snapshot_index = w->manifest.snapshot_index,
        .snapshot_bytes = w->manifest.snapshot_bytes,
        .snapshot_digest = w->manifest.snapshot_digest,
        .config_index = w->manifest.config_index,
        .config = w->manifest.config,
        .config_bytes = w->manifest.config_bytes,
    };
    wal_report(w, out);
    if (w->holes.hole_count > 0) {
        const struct wal_hole *first = &w->holes.hole[0];
        out->faulty_first = (first->below < first->next ? first->below : first->floor) + 1;
        out->faulty_last = w->holes.hole[w->holes.hole_count - 1].last;
    }
    out->bytes_read = r->scan.bytes_read;
}

static int read_once(struct wal *w, struct wal_read *read)
{
    w->reader.next = 0; /* each by itself: nothing is read ahead when the start is over */
    const int begun = wal_read_begin(w, read);

    ASSERT(begun == 0);
    while (!wal_read_poll(w)) {
        const struct disk_done done = disk_wait(w->disk);
        wal_on_done(w, &done);
    }
    return read->result;
}

/* The payload of the configuration at `index`, by way of the reader. */
static int read_config(struct recovery *r, raft_index index, uint8_t *payload,
                       struct wal_config *out)
{
    struct wal *w = r->w;
    const struct wal_view *v = &w->view;
    struct wal_read read = {
        .first = index, .last = index, .bytes = w->buffer[0].bytes, .size = w->options.batch_bytes};
    uint32_t run = v->run_count;

    ASSERT(index <= v->last);
    while (v->run_first[run - 1] > index)
        run--;
    read.term = v->run_term[run - 1];
    int result = read_once(w, &read);
    for (uint32_t look = 1; look < RECOVERY_LOOKS && result != 0; look++)
        result = read_once(w, &read);
    const struct record_header *record = record_at(read.bytes);
    if (result == 0 && record->payload_bytes > SEGMENT_CONFIG_BYTES_MAX)
        result = -EBADMSG;
    if (result != 0)
        return REFUSE(r, result, "the configuration at entry %llu can't be read",
                      (unsigned long long)index);
    memcpy(payload, record_payload(record), record->payload_bytes);
    *out = (struct wal_config){
        .index = index, .payload = payload, .payload_bytes = record->payload_bytes};
    return 0;
}

/* The one that was in force at the base. */
static void report_base_config(struct recovery *r)
{
    const struct segment_manifest *m = &r->w->manifest;
    struct wal_recovered *out = r->out;

    ASSERT(out->config_count == 0);
    memcpy(r->w->config_payload, m->config, m->config_bytes);
    out->config[out->config_count++] = (struct wal_config){
        .index = m->config_index,
        .payload = r->w->config_payload,
        .payload_bytes = m->config_bytes,
    };
}

/* What was seen of an entry before it became part of a hole is not what stands there any more: whatever
 * fills the hole tells anew. */
static void forget_configs_in_holes(struct wal *w)
{
    struct wal_view *v = &w->view;

    for (uint32_t i = v->config_count; i-- > 0;) {
        const raft_index index = v->config_index[i];
        if (wal_holes_limit(&w->holes, index, index) < index)
            wal_view_drop_configs(v, index, index);
    }
}

int recovery_report_configs(struct recovery *r)
{
    const struct wal_view *v = &r->w->view;
    struct wal_recovered *out = r->out;
    uint32_t from;

    forget_configs_in_holes(r->w);
    from = v->config_count;
    ASSERT(out->config_count == 0);
    ASSERT(out->commit <= v->last);
    while (from > 0 && v->config_index[from - 1] > out->commit)
        from--;
    if (from == 0 && v->config_forgotten)
        return REFUSE(r, -EOVERFLOW, "more than %d configurations were undone",
                      WAL_CONFIG_PLACES_MAX);
    if (from == 0 && r->w->manifest.config_index > 0)
        report_base_config(r);
    from -= from > 0;
    if (out->config_count + v->config_count - from > WAL_CONFIGS_MAX)
        return REFUSE(r, -EOVERFLOW, "%u configurations are not committed, more than can be",
                      v->config_count - from);
    for (uint32_t i = from; i < v->config_count; i++) {
        uint8_t *payload = r->w->config_payload + out->config_count * SEGMENT_CONFIG_BYTES_MAX;
        const int result =
            read_config(r, v->config_index[i], payload, &out->config[out->config_count]);
        if (result != 0)
            return result;
        out->config_count++;
    }
    return 0;
}
