/* sim/harm.c: which disks are harmed, when, and by how much: the atlas of faults.
 *
 * Atlas      A run chooses the nodes whose disks may be harmed: a minority of the first voters; with
 *            the fault `harm-anywhere` all of them. Meanwhile disks are wiped, swapped and copied,
 *            and members change. When phase two begins the nodes that are harmed or lost are held
 *            against every configuration that may be in force (faults_within_atlas()). If each of
 *            them can do without, one good copy of each committed entry and a healthy quorum remain,
 *            and progress is asked for; else safety alone.
 * Limit      A node cannot see that the last batches it acknowledged are missing while no newer one
 *            carries their mark: with a crash that is two faults at once on one node, and outside
 *            of what Skiff claims. So in front of each start the log is searched for its highest
 *            durable mark, and harm beyond it is made good. The search reads bytes as docs/formats.md
 *            has them and shares no code with recovery.
 * Snapshots  A snapshot's file is judged by the digest that the manifest names, so each loss in it is
 *            seen, also that of the whole file. None of them is a reason not to start.
 */
#include "base/assert.h"
#include "persist/batch.h"
#include "persist/segment.h"
#include "persist/snapshot_file.h"
#include "sim/disk_harm.h"
#include "sim/sim_internal.h"

#include <errno.h>
#include <string.h>

enum {
    ROT_TRIES = 16, /* to find a sector that was ever written */
    TAIL_SECTORS = 8,
    FULL_ALL_ONE_IN = 4,
};

/* What one pass over a log looks for. */
struct mark_search {
    const struct sim_node *n;
    uint64_t mark;       /* the highest there is */
    uint64_t generation; /* of the newest file with a new batch of the marked ones or the next */
    uint64_t last_generation, last_offset; /* of the last good new batch that is marked */
};

typedef void (*on_batch)(struct mark_search *search, const struct batch_header *h, uint64_t *end);

static void note_mark(struct mark_search *search, const struct batch_header *h, uint64_t *end)
{
    (void)end;
    if (h->mark_number > search->mark)
        search->mark = h->mark_number;
}

/* Everything in front of a batch is older than it; what is older than the one behind the mark is
 * marked. */
static void note_end(struct mark_search *search, const struct batch_header *h, uint64_t *end)
{
    if (h->number > search->mark + 1)
        return;
    *end = h->offset + (h->number <= search->mark ? batch_bytes(h->record_bytes) : 0);
    if (h->kind == BATCH_NEW && h->generation > search->generation)
        search->generation = h->generation;
}

static void note_last(struct mark_search *search, const struct batch_header *h, uint64_t *end)
{
    (void)end;
    if (h->kind != BATCH_NEW || h->generation < search->last_generation)
        return;
    if (h->number > search->mark)
        return; /* it may never have been finished, and says nothing then */
    search->last_generation = h->generation; /* offsets ascend within a segment */
    search->last_offset = h->offset;
}

/* Goes through all that can be read of a segment; 0 or the end that `note` found. */
static uint64_t look_at_segment(struct mark_search *search, struct disk *disk, const char *name,
                                on_batch note)
{
    struct batch_place place = {
        .incarnation = search->n->incarnation,
        .generation = segment_generation(name),
        .node = sim_id(search->n),
    };
    struct batch_header h;
    uint64_t length, end = 0;
    const uint8_t *bytes = disk_sim_bytes(disk, name, &length);

    ASSERT(bytes != NULL);
    for (place.offset = DISK_SECTOR; place.offset + DISK_SECTOR <= length;) {
        const bool good = batch_check_header(bytes + place.offset, &place, &h);
        if (good)
            note(search, &h, &end);
        place.offset += good ? batch_bytes(h.record_bytes) : DISK_SECTOR;
    }
    return end;
}

/* False: neither of its copies is whole. */
static bool read_header(const struct sim_node *n, struct disk *disk, const char *name,
                        struct segment_header *h)
{
    const struct segment_owner owner = {
        .cluster = n->options.cluster,
        .incarnation = n->incarnation,
        .node = sim_id(n),
    };
    uint64_t length;
    const uint8_t *bytes = disk_sim_bytes(disk, name, &length);

    ASSERT(length >= SEGMENT_DATA_OFFSET);
    return segment_check(bytes, &owner, segment_generation(name), h) == SEGMENT_OK;
}

/* The header of a segment that a start made says what it had found durable. */
static void note_header(struct mark_search *search, struct disk *disk, const char *name)
{
    struct segment_header h;

    if (!read_header(search->n, disk, name, &h) || h.kind != SEGMENT_RECOVERY)
        return;
    if (h.copied_number > search->mark)
        search->mark = h.copied_number;
    if (h.continues_number > search->mark)
        search->mark = h.continues_number;
}

uint32_t harm_settle(struct sim *s, const struct sim_node *n, struct disk *disk)
{
    struct mark_search search = {.n = n};
    char(*const names)[DISK_NAME_BYTES] = s->names;

    if (disk_harm_count(disk) == 0 && (s->plan.harmed >> n->number & 1) == 0)
        return 0;
    if (n->swapped != NULL)
        return 0; /* it will not get as far as the log */
    const uint32_t count = (uint32_t)disk_list(disk, SEGMENT_NAME_PREFIX, names, DISK_FILES_MAX);
    for (uint32_t i = 0; i < count; i++) {
        note_header(&search, disk, names[i]);
        (void)look_at_segment(&search, disk, names[i], note_mark);
    }
    for (uint32_t i = 0; i < count; i++)
        disk_harm_vouch(disk, names[i], look_at_segment(&search, disk, names[i], note_end));
    for (uint32_t i = 0; i < count; i++)
        if (segment_generation(names[i]) < search.generation)
            disk_harm_vouch(disk, names[i], UINT64_MAX);
    const uint32_t snapshots =
        (uint32_t)disk_list(disk, SNAPSHOT_NAME_PREFIX, names, DISK_FILES_MAX);
    for (uint32_t i = 0; i < snapshots; i++)
        disk_harm_vouch(disk, names[i], UINT64_MAX);
    return disk_harm_settle(disk);
}

/* Harm that leaves a start without the knowledge of where the log goes on, or ends: a segment's header
 * is whole in neither copy, or there is no good batch behind the place. */
static bool bars_start(struct disk *disk, uint32_t i, const struct mark_search *search)
{
    const struct disk_harm_place place = disk_harm_place(disk, i);
    const uint64_t generation = segment_generation(place.name);
    struct segment_header h;

    if (generation == 0) /* a snapshot's */
        return false;
    if (place.offset < SEGMENT_DATA_OFFSET) /* a crash may have torn the other copy */
        return place.unreadable || !read_header(search->n, disk, place.name, &h);
    return generation > search->last_generation ||
           (generation == search->last_generation && place.offset >= search->last_offset);
}

static bool may_be_refused(struct sim *s, const struct sim_node *n, struct disk *disk)
{
    struct mark_search search = {.n = n};
    char(*const names)[DISK_NAME_BYTES] = s->names;
    const uint32_t count = (uint32_t)disk_list(disk, SEGMENT_NAME_PREFIX, names, DISK_FILES_MAX);

    for (uint32_t i = 0; i < count; i++) {
        note_header(&search, disk, names[i]);
        (void)look_at_segment(&search, disk, names[i], note_mark);
    }
    for (uint32_t i = 0; i < count; i++)
        (void)look_at_segment(&search, disk, names[i], note_last);
    for (uint32_t i = 0; i < disk_harm_count(disk); i++)
        if (bars_start(disk, i, &search))
            return true;
    return disk_harm_count(disk) > WAL_HOLES_MAX;
}

bool harm_excuses(struct sim *s, const struct sim_node *n, struct disk *disk, int error)
{
    if (error == -ENOSPC)
        return n->full_until_ns != 0;
    if (error != -EBADMSG && error != -EIO && error != -EOVERFLOW)
        return false;
    return disk_harm_reads(disk) > 0 || may_be_refused(s, n, disk);
}

bool harm_met(const struct sim_node *n)
{
    return disk_harm_count(n->disk) > 0 || disk_harm_reads(n->disk) > 0;
}

void harm_begin(struct sim *s, const struct sim_node *n)
{
    struct disk_harm_rates rates = s->plan.harm;

    rates.prefix[0] = SEGMENT_NAME_PREFIX;
    rates.prefix[1] = SNAPSHOT_NAME_PREFIX;
    if ((s->plan.harmed >> n->number & 1) != 0)
        disk_harm_set_rates(n->disk, &rates);
}

/* One of those whose disks may be harmed, dead or alive. */
static struct sim_node *draw_harmed(struct sim *s, struct prng *p)
{
    const uint32_t from = (uint32_t)prng_below(p, s->node_count);

    for (uint32_t i = 0; i < s->node_count; i++) {
        const uint32_t node = (from + i) % s->node_count;
        if ((s->plan.harmed >> node & 1) != 0)
            return &s->node[node];
    }
    return NULL;
}

static bool was_written(const uint8_t *sector)
{
    for (uint32_t i = 0; i < DISK_SECTOR; i++)
        if (sector[i] != 0)
            return true;
    return false;
}

static void rot(struct sim *s, struct prng *p, const struct sim_node *n, const char *name,
                uint64_t offset)
{
    const enum disk_harm kind = (enum disk_harm)prng_below(p, DISK_HARM_KINDS);
    const bool done = disk_harm_sector(n->disk, name, offset, kind);

    ASSERT(done);
    sim_happen(s, SIM_ROT);
    sim_trace(s, "node %u: %s rots at %llu, kind %d", sim_id(n), name, (unsigned long long)offset,
              (int)kind);
}

void harm_tail(struct sim *s, struct prng *p, struct sim_node *n)
{
    struct mark_search search = {.n = n, .mark = UINT64_MAX};
    const uint32_t count =
        (uint32_t)disk_list(n->disk, SEGMENT_NAME_PREFIX, s->names, DISK_FILES_MAX);

    ASSERT(n->replica == NULL);
    if ((s->plan.harmed >> n->number & 1) == 0 || n->swapped != NULL)
        return;
    for (uint32_t i = 0; i < count; i++)
        (void)look_at_segment(&search, n->disk, s->names[i], note_last);
    const uint64_t back = (1 + prng_below(p, TAIL_SECTORS)) * DISK_SECTOR;
    if (search.last_offset < SEGMENT_DATA_OFFSET + back)
        return;
    for (uint32_t i = 0; i < count; i++)
        if (segment_generation(s->names[i]) == search.last_generation)
            rot(s, p, n, s->names[i], search.last_offset - back);
}

/* A file of a snapshot is gone. Only a start looks for it. */
static void take_away(struct sim *s, struct sim_node *n, const char *name)
{
    if (n->replica != NULL || n->swapped != NULL || !disk_harm_remove(n->disk, name))
        return;
    sim_happen(s, SIM_SNAPSHOT_GONE);
    sim_trace(s, "node %u: %s is gone", sim_id(n), name);
}

static void rot_one_of(struct sim *s, struct prng *p, struct sim_node *n, uint32_t count)
{
    for (uint32_t i = 0; count > 0 && i < ROT_TRIES; i++) {
        const char *name = s->names[prng_below(p, count)];
        uint64_t length;
        const uint8_t *bytes = disk_sim_bytes(n->disk, name, &length);
        if (length < DISK_SECTOR)
            continue; /* just made */
        const uint64_t offset = prng_below(p, length / DISK_SECTOR) * DISK_SECTOR;
        if (!was_written(bytes + offset))
            continue;
        rot(s, p, n, name, offset);
        return;
    }
}

void harm_rot(struct sim *s, struct prng *p)
{
    struct sim_node *n = draw_harmed(s, p);

    if (n == NULL)
        return;
    const bool snapshot = s->plan.snapshots && prng_below(p, 2) == 0;
    const char *prefix = snapshot ? SNAPSHOT_NAME_PREFIX : SEGMENT_NAME_PREFIX;
    uint32_t count = (uint32_t)disk_list(n->disk, prefix, s->names, DISK_FILES_MAX);
    /* Nobody reads a snapshot's file before its next start. A crash may take files along. */
    if (snapshot && count > 0 && n->replica != NULL && prng_below(p, 2) == 0) {
        faults_crash(s, p, n, sim_around(p, s->plan.down_ns));
        count = (uint32_t)disk_list(n->disk, prefix, s->names, DISK_FILES_MAX);
    }
    if (snapshot && count > 0 && prng_below(p, 4) == 0)
        take_away(s, n, s->names[0]);
    else
        rot_one_of(s, p, n, count);
}

/* One of its files: gone, without either copy of its header, or with a sector that is not what it was. */
static void lose_snapshot(struct sim *s, struct prng *p, struct sim_node *n, uint32_t count)
{
    const char *name = s->names[prng_below(p, count)];
    const uint64_t kind = prng_below(p, 4);
    uint64_t length;

    (void)disk_sim_bytes(n->disk, name, &length);
    if (kind == 0)
        take_away(s, n, name);
    else if (kind == 1 && length >= SNAPSHOT_DATA_OFFSET)
        for (uint32_t copy = 0; copy < SNAPSHOT_COPIES; copy++)
            rot(s, p, n, name, (uint64_t)copy * DISK_SECTOR);
    else
        rot_one_of(s, p, n, count);
}

/* What it needs for its state was lost while it was down, and often a part of its log with that. */
void harm_start(struct sim *s, struct sim_node *n)
{
    struct prng *p = &s->prng;

    if (s->healed || n->who != SIM_ITSELF || n->swapped != NULL || s->plan.snapshot_loss == 0 ||
        (s->plan.harmed >> n->number & 1) == 0 || !sim_chance(s, s->plan.snapshot_loss))
        return;
    uint32_t count = (uint32_t)disk_list(n->disk, SNAPSHOT_NAME_PREFIX, s->names, DISK_FILES_MAX);
    if (count == 0)
        return;
    lose_snapshot(s, p, n, count);
    if (prng_below(p, 3) != 0)
        return;
    count = (uint32_t)disk_list(n->disk, SEGMENT_NAME_PREFIX, s->names, DISK_FILES_MAX);
    rot_one_of(s, p, n, count);
}

/* To the last byte, or to less than the reserve that the node keeps. */
static void fill_disk(struct sim *s, struct prng *p, struct sim_node *n)
{
    if (n->full_until_ns != 0 || n->swapped != NULL)
        return;
    const uint64_t reserve = n->replica == NULL ? 0 : published_get(&n->counters->disk_reserve);
    const uint64_t leaves = prng_below(p, 2) == 0 ? prng_below(p, reserve + 1) : 0;
    disk_sim_limit(n->disk, disk_sim_used(n->disk) + 1 + leaves);
    n->full_until_ns = s->now_ns + sim_around(p, 4 * s->plan.down_ns);
    sim_happen(s, SIM_DISK_FULL);
    sim_trace(s, "node %u: disk full", sim_id(n));
}

void harm_fill(struct sim *s, struct prng *p)
{
    const uint32_t one = (uint32_t)prng_below(p, s->node_count);
    const bool all = prng_below(p, FULL_ALL_ONE_IN) == 0;

    for (uint32_t i = 0; i < s->node_count; i++)
        if (all || i == one)
            fill_disk(s, p, &s->node[i]);
}

void harm_lift_limit(struct sim *s, struct sim_node *n)
{
    n->full_until_ns = 0;
    disk_sim_limit(n->disk, s->plan.disk.bytes_max);
}

void harm_make_room(struct sim *s)
{
    for (uint32_t i = 0; i < s->node_count; i++) {
        struct sim_node *n = &s->node[i];
        if (n->full_until_ns != 0 && n->full_until_ns <= s->now_ns)
            harm_lift_limit(s, n);
    }
}

uint64_t harm_next_ns(const struct sim *s)
{
    uint64_t next = UINT64_MAX;

    for (uint32_t i = 0; i < s->node_count; i++) {
        const struct sim_node *n = &s->node[i];
        if (n->full_until_ns != 0 && n->full_until_ns < next)
            next = n->full_until_ns;
    }
    return next;
}

/* Of the disk that is the node's own, wherever it is now. What is left of a snapshot that is lost may have
 * been removed, and its harm with that. */
static bool is_harmed(const struct sim_node *n)
{
    const struct disk *own = n->kept != NULL      ? n->kept
                             : n->swapped != NULL ? n->swapped->disk
                                                  : n->disk;
    return n->ruined || n->lacks_snapshot || disk_harm_count(own) > 0 || disk_harm_missing(own);
}

uint32_t harm_victims(const struct sim *s)
{
    uint32_t victims = 0;

    for (uint32_t i = 0; i < s->node_count; i++)
        if (is_harmed(&s->node[i]))
            victims |= 1U << i;
    return victims;
}

uint32_t harm_allowed(const struct sim *s)
{
    const bool anywhere = (s->plan.on & plan_fault_bit(PLAN_HARM_ANYWHERE)) != 0;
    return anywhere ? harm_victims(s) : s->plan.harmed;
}

void harm_end(struct sim *s)
{
    for (uint32_t i = 0; i < s->node_count; i++) {
        struct sim_node *n = &s->node[i];
        disk_harm_set_rates(n->disk, &(struct disk_harm_rates){0});
        if (n->kept != NULL)
            disk_harm_set_rates(n->kept, &(struct disk_harm_rates){0});
        if (n->full_until_ns != 0)
            n->full_until_ns = s->now_ns;
    }
    harm_make_room(s);
}
