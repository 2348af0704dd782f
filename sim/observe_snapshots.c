/* sim/observe_snapshots.c: what check_snapshot.h is told: what a node's snapshot file holds when its manifest
 * names it, what it offers and sends of it, and what its log stands on. */
#include "base/assert.h"
#include "sim/sim_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { IMAGE_ONE_IN = 8 }; /* of the changes of a base, that have an image recovered beside them */

/* The content as it lies on the disk, chunk by chunk. */
static bool check_content(struct sim *s, const struct sim_node *n, struct disk *disk,
                          const struct snapshot_header *h)
{
    char name[DISK_NAME_BYTES];
    uint64_t length;

    snapshot_name(name, h->index);
    const uint8_t *bytes = disk_sim_bytes(disk, name, &length);
    if (bytes == NULL || length < snapshot_file_bytes(h->bytes, h->chunk_bytes))
        return check_fail(&s->report, "snapshot-equals-replay",
                          "node %u has no file of its snapshot at %" PRIu64, sim_id(n), h->index);
    for (uint32_t i = 0; i < snapshot_chunk_count(h->bytes, h->chunk_bytes); i++) {
        const struct check_snapshot_part part = {
            .index = h->index,
            .offset = (uint64_t)i * h->chunk_bytes,
            .bytes = bytes + snapshot_chunk_offset(h, i),
            .length = snapshot_chunk_length(h, i),
        };
        if (!check_snapshot_bytes(s->snapshot, sim_id(n), &part))
            return false;
    }
    return true;
}

/* What a snapshot brings is not applied here any more: a call that was in doubt by then may be in it. */
static void pass_over(const struct sim *s, struct sim_node *n, raft_index index)
{
    if (index <= store_applied(replica_store(n->replica)))
        return;
    n->passed_index = index;
    n->passed_call = s->call_count;
}

/* The file that the manifest names has changed: for one of a peer, too, that takes the place of one that
 * was lost before the store had it. */
static void observe_file(struct sim *s, struct sim_node *n, const struct snapshot_header *h)
{
    n->seen.snapshot = h->index;
    pass_over(s, n, h->index);
    disk_harm_found(n->disk);
    sim_happen(s, SIM_SNAPSHOT_FILE);
    sim_trace(s, "node %u has the snapshot at %" PRIu64, sim_id(n), h->index);
    if (check_snapshot_header(s->snapshot, sim_id(n), h) && disk_harm_count(n->disk) == 0)
        check_content(s, n, n->disk, h);
}

static void observe_install(struct sim *s, struct sim_node *n, raft_index base)
{
    sim_happen(s, SIM_SNAPSHOT_INSTALL);
    sim_trace(s, "node %u installs the snapshot at %" PRIu64, sim_id(n), base);
}

static void observe_base(struct sim *s, struct sim_node *n, const struct raft *raft)
{
    const raft_index base = raft_base(raft);
    const raft_term term = raft_term_at(raft, base, NULL);

    pass_over(s, n, base);
    if (base > n->seen.commit)
        observe_install(s, n, base);
    else
        sim_happen(s, SIM_LOG_CUT);
    n->seen.base = base;
    if (term != check_log_term_at(s->log, base))
        check_fail(&s->report, "base-is-committed",
                   "the log of node %u begins behind %" PRIu64 "@%" PRIu64 ", committed is @%" PRIu64,
                   sim_id(n), base, term, check_log_term_at(s->log, base));
    n->image_due = n->image_due || prng_below(&s->prng, IMAGE_ONE_IN) == 0;
}

/* Between any two of its stages the power may go. */
static void strike_at_stage(struct sim *s, struct sim_node *n)
{
    if (s->healed || !sim_chance(s, s->plan.snapshot_ambush))
        return;
    n->ambushed = true;
    sim_happen(s, SIM_SNAPSHOT_AMBUSH);
}

void observe_snapshots(struct sim *s, struct sim_node *n)
{
    const struct raft *raft = replica_raft(n->replica);
    const struct snapshots *snapshots = replica_snapshots(n->replica);
    const struct snapshot_header *h = snapshot_current(snapshots);
    const enum snapshot_stage stage = snapshot_stage(snapshots);
    const bool cut = raft_base(raft) != n->seen.base;
    const bool other = h != NULL && h->index != n->seen.snapshot;

    if (cut)
        observe_base(s, n, raft);
    if (other)
        observe_file(s, n, h);
    if (n->who == SIM_ITSELF)
        n->lacks_snapshot = published_get(&n->counters->snapshot_lost) != 0;
    if (cut || other || stage != n->seen.snapshot_stage)
        strike_at_stage(s, n);
    n->seen.snapshot_stage = stage;
}

static void observe_offer(struct sim *s, const struct sim_node *n, const struct frame *f)
{
    const struct frame_snapshot *o = &f->snapshot;
    struct snapshot_header h = {
        .cluster = s->plan.options.cluster,
        .index = o->index,
        .term = o->term,
        .bytes = o->bytes,
        .digest = o->digest,
        .config_index = o->config_index,
        .chunk_bytes = o->chunk_bytes,
        .chain = o->chain,
        .config_bytes = f->body_bytes,
    };

    sim_happen(s, SIM_SNAPSHOT_OFFER);
    ASSERT(f->body_bytes <= sizeof h.config); /* the decoder's promise */
    memcpy(h.config, f->body, f->body_bytes);
    check_snapshot_header(s->snapshot, sim_id(n), &h);
}

static void observe_piece(struct sim *s, const struct sim_node *n, const struct frame *f)
{
    const struct frame_snapshot *p = &f->snapshot;
    const struct snapshot_header *h = check_snapshot_known(s->snapshot, p->index);
    const struct check_snapshot_part part = {.index = p->index,
                                             .table = p->chunk_bytes != 0,
                                             .offset = p->offset,
                                             .bytes = f->body,
                                             .length = f->body_bytes};

    sim_happen(s, SIM_SNAPSHOT_PIECE);
    const bool named = h != NULL && p->term == h->term && p->bytes == h->bytes && p->digest == h->digest;
    if (!named || (p->chunk_bytes != 0 && p->chunk_bytes != h->chunk_bytes))
        check_fail(&s->report, "snapshot-equals-replay",
                   "node %u sends a piece of a snapshot at %" PRIu64 "@%" PRIu64
                   ", digest %016" PRIx64 ", which nobody can have",
                   sim_id(n), p->index, p->term, p->digest);
    else
        check_snapshot_bytes(s->snapshot, sim_id(n), &part);
}

void observe_snapshot_frame(struct sim *s, const struct sim_node *n, const struct frame *f)
{
    if (f->type == FRAME_SNAPSHOT_OFFER)
        observe_offer(s, n, f);
    else if (f->type == FRAME_SNAPSHOT_PIECE)
        observe_piece(s, n, f);
}

/* Each chunk, as whoever reads it would get it. */
static bool check_chunks(struct sim *s, const struct sim_node *n, struct sim_image *image,
                         const struct snapshot_header *h)
{
    static _Alignas(DISK_SECTOR) uint8_t content[SNAPSHOT_CHUNK_BYTES_MAX];

    for (uint32_t i = 0; i < snapshot_chunk_count(h->bytes, h->chunk_bytes); i++) {
        struct snapshot_read read = {.index = h->index, .chunk = i, .content = content};
        image_read_chunk(image, &read);
        const struct check_snapshot_part part = {
            .index = h->index,
            .offset = (uint64_t)i * h->chunk_bytes,
            .bytes = content,
            .length = read.length,
        };
        if (read.result != 0)
            return check_fail(&s->report, "snapshot-equals-replay",
                              "node %u can't read chunk %u of its snapshot at %" PRIu64 ": %d",
                              sim_id(n), i, h->index, read.result);
        if (!check_snapshot_bytes(s->snapshot, sim_id(n), &part))
            return false;
    }
    return true;
}

bool observe_image_snapshot(struct sim *s, const struct sim_node *n, struct sim_image *image,
                            bool harm)
{
    const struct wal_base *base = &image->found.base;
    const struct snapshot_header *h = check_snapshot_known(s->snapshot, base->snapshot_index);

    if (base->snapshot_index == 0)
        return true;
    if (!check_snapshot_base(s->snapshot, sim_id(n), base, s->log))
        return false;
    if (harm)
        return true;
    if (snapshot_condition(image->snapshots) != SNAPSHOT_WHOLE)
        return check_fail(&s->report, "snapshot-equals-replay",
                          "the file of node %u's snapshot at %" PRIu64 " is lost: condition %d",
                          sim_id(n), h->index, (int)snapshot_condition(image->snapshots));
    return check_chunks(s, n, image, h);
}
