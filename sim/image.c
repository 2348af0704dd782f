/* sim/image.c: what a start would find if a node's machine lost its power now: its disk is copied, the copy
 * crashes and is recovered. The node goes on.
 */
#include "base/assert.h"
#include "sim/sim_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { READ_TURNS_MAX = 1 << 16 };

/* Nothing of what befalls the node's own disk befalls its copy. */
static struct disk *copy_disk(struct sim *s, const struct sim_node *n)
{
    struct disk *disk = disk_sim_fork(n->disk, prng_next(&s->prng));

    ASSERT(disk != NULL);
    disk_sim_fail(disk, &(struct disk_sim_fault){.kind = DISK_OP_WRITE});
    disk_sim_hold(disk, false);
    disk_harm_set_rates(disk, &(struct disk_harm_rates){0});
    disk_sim_limit(disk, 0);
    disk_sim_power_cut(disk);
    return disk;
}

static uint8_t *take_memory(struct sim *s, size_t bytes)
{
    if (s->image_bytes < bytes) {
        free(s->image_memory);
        s->image_bytes = bytes;
        s->image_memory = aligned_alloc(DISK_SECTOR, bytes);
        ASSERT(s->image_memory != NULL);
    }
    return s->image_memory;
}

static size_t sectors(size_t bytes)
{
    return (bytes + DISK_SECTOR - 1) / DISK_SECTOR * DISK_SECTOR;
}

void image_open(struct sim *s, const struct sim_node *n, struct sim_image *image)
{
    const struct snapshots_options snapshots = {
        .bytes_max = 2 * n->options.quota_bytes,
        .chunk_bytes = n->options.snapshots.chunk_bytes,
        .write_bytes = n->options.snapshots.chunk_bytes,
    };
    struct snapshots_found found;
    struct wal_options options = n->options.wal;

    options.boot = n->boot + 1;
    image->disk = copy_disk(s, n);
    image->now_ns = s->now_ns;
    image->committed = s->log;
    harm_settle(s, n, image->disk);
    const size_t wal_memory = sectors(wal_bytes(&options));
    uint8_t *memory = take_memory(s, wal_memory + sectors(snapshots_bytes(&snapshots)));
    image->failed = wal_open(&image->wal, memory, image->disk, &options, &image->found);
    if (image->failed != 0)
        return;
    image->failed =
        snapshots_open(&image->snapshots, memory + wal_memory, image->wal, &snapshots, &found);
    if (image->failed != 0)
        memcpy(image->found.refusal, found.sentence, sizeof found.sentence);
}

void image_close(struct sim_image *image)
{
    disk_sim_delete(image->disk);
}

raft_term image_term_at(const void *log, raft_index index)
{
    const struct sim_image *image = log;
    const struct wal_recovered *found = &image->found;
    uint32_t low = 0, high = found->run_count; /* runs below `low` begin at or before index */

    if (index < found->base.index)
        return check_log_term_at(image->committed, index);
    if (index == found->base.index)
        return found->base.term;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (found->run_first[middle] <= index)
            low = middle + 1;
        else
            high = middle;
    }
    return low == 0 || index > found->last ? 0 : found->run_term[low - 1];
}

static void turn(struct sim_image *image)
{
    const uint64_t next = disk_sim_next_ns(image->disk);

    image->now_ns = next != UINT64_MAX && next > image->now_ns ? next : image->now_ns + 1;
    disk_sim_advance(image->disk, image->now_ns);
    wal_poll(image->wal, image->now_ns);
    snapshots_poll(image->snapshots, image->now_ns);
}

void image_read(struct sim_image *image, struct wal_read *read)
{
    const int begun = wal_read_begin(image->wal, read);
    uint32_t turns = 0;

    ASSERT(begun == 0);
    for (; !wal_read_poll(image->wal); turn(image))
        ASSERT(turns++ < READ_TURNS_MAX);
}

void image_read_chunk(struct sim_image *image, struct snapshot_read *read)
{
    const int begun = snapshot_read_begin(image->snapshots, read);
    uint32_t turns = 0;

    ASSERT(begun == 0);
    for (; !snapshot_read_poll(image->snapshots, read); turn(image))
        ASSERT(turns++ < READ_TURNS_MAX);
}

static void check_image(struct sim *s, struct sim_node *n, struct sim_image *image, bool harmed)
{
    const struct raft *raft = replica_raft(n->replica);
    const struct wal_recovered *found = &image->found;
    const struct check_view view = {.term_at = image_term_at, .log = image, .last = found->last};
    const struct check_hard_state state = {.term = found->term, .vote = found->vote};
    const raft_index last = raft_durable_index(raft);
    /* The core counts an installed snapshot as durable at once, and promises nothing of it by then. */
    const bool flushed = raft_entry_seq(raft, last) <= wal_durable(replica_wal(n->replica));
    const raft_index durable = flushed ? last : 0;

    if (n->who == SIM_ITSELF) /* an old copy has promised nothing of what the true one did since */
        check_promise_recovered(s->promise, sim_id(n), &state, &view);
    observe_image_snapshot(s, n, image, harmed);
    if (durable > 0 && image_term_at(image, durable) != raft_term_at(raft, durable, NULL))
        check_fail(&s->report, "durable-before-ack",
                   "node %u holds %" PRIu64 "@%" PRIu64 " for durable, its disk has @%" PRIu64,
                   sim_id(n), durable, raft_term_at(raft, durable, NULL),
                   image_term_at(image, durable));
}

void image_check(struct sim *s, struct sim_node *n)
{
    struct sim_image image;

    n->image_due = false;
    image_open(s, n, &image);
    const bool harmed = disk_harm_count(image.disk) > 0;
    if (harmed && (harm_excuses(s, n, image.disk, image.failed) ||
                   (image.failed == 0 && image.found.hole_count > 0)))
        sim_happen(s, SIM_HARM_REFUSED); /* as it should */
    else if (image.failed != 0)
        check_fail(&s->report, "recovery", "an image of node %u's disk does not open: %s",
                   sim_id(n), image.found.refusal);
    else /* what is left of a lost snapshot is removed before it is written anew */
        check_image(s, n, &image, harmed || disk_harm_missing(image.disk) || n->lacks_snapshot);
    image_close(&image);
    sim_happen(s, SIM_IMAGE);
}
