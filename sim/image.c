/* sim/image.c: what a start would find if a node's machine lost its power now: its disk is copied, the copy
 * crashes and is recovered. The node goes on.
 */
#include "base/assert.h"
#include "sim/sim_internal.h"

#include <inttypes.h>
#include <stdlib.h>

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

void image_open(struct sim *s, const struct sim_node *n, struct sim_image *image)
{
    struct wal_options options = n->options.wal;

    options.boot = n->boot + 1;
    image->disk = copy_disk(s, n);
    image->now_ns = s->now_ns;
    image->committed = s->log;
    harm_settle(s, n, image->disk);
    if (s->image_bytes < wal_bytes(&options)) {
        free(s->image_memory);
        s->image_bytes = (wal_bytes(&options) + DISK_SECTOR - 1) / DISK_SECTOR * DISK_SECTOR;
        s->image_memory = aligned_alloc(DISK_SECTOR, s->image_bytes);
        ASSERT(s->image_memory != NULL);
    }
    image->failed =
        wal_open(&image->wal, s->image_memory, image->disk, &options, &image->found);
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

void image_read(struct sim_image *image, struct wal_read *read)
{
    const int begun = wal_read_begin(image->wal, read);

    ASSERT(begun == 0);
    for (uint32_t turn = 0; !wal_read_poll(image->wal); turn++) {
        ASSERT(turn < READ_TURNS_MAX);
        const uint64_t next = disk_sim_next_ns(image->disk);
        image->now_ns = next != UINT64_MAX && next > image->now_ns ? next : image->now_ns + 1;
        disk_sim_advance(image->disk, image->now_ns);
        wal_poll(image->wal, image->now_ns);
    }
}

static void check_image(struct sim *s, struct sim_node *n, const struct sim_image *image)
{
    const struct raft *raft = replica_raft(n->replica);
    const struct wal_recovered *found = &image->found;
    const struct check_view view = {.term_at = image_term_at, .log = image, .last = found->last};
    const struct check_hard_state state = {.term = found->term, .vote = found->vote};
    const raft_index durable = raft_durable_index(raft);

    check_promise_recovered(s->promise, sim_id(n), &state, &view);
    observe_image_snapshot(s, n, image);
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
    else
        check_image(s, n, &image);
    image_close(&image);
    sim_happen(s, SIM_IMAGE);
}
