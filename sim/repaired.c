/* sim/repaired.c: when phase two has come to rest: what the disks of living nodes had lost is good again.
 *
 * Restart    Harm to an old sector is met when somebody reads it, at the latest by a start. So each node
 *            whose disk is harmed is started once more. It may refuse where harm_excuses() knows a
 *            reason: what is lost says where the log goes on, or ends. Such a node is gone.
 * Demand     Within the patience of phase two every member that runs has every committed entry on its
 *            disk, as its next start would read it: the record with the checksum that was committed,
 *            its bytes whole. Within the atlas each of them is intact on some living node, so there is
 *            no other excuse.
 */
#include "base/assert.h"
#include "sim/sim_internal.h"

#include <inttypes.h>

uint32_t repaired_restart(struct sim *s)
{
    const uint32_t victims = harm_victims(s);
    uint32_t count = 0;

    for (uint32_t i = 0; i < s->node_count; i++) {
        struct sim_node *n = &s->node[i];
        if ((victims >> i & 1) == 0 || !sim_is_served(s, n))
            continue;
        sim_trace(s, "node %u: started once more, its disk is harmed", sim_id(n));
        cluster_crash(s, n, SIM_KILL);
        n->down_until_ns = s->now_ns;
        count++;
    }
    return count;
}

bool repaired_lacks(struct sim *s)
{
    for (uint32_t i = 0; i < s->node_count; i++) {
        const struct sim_node *n = &s->node[i];
        if (!sim_is_served(s, n) || published_get(&n->counters->holes) == 0)
            continue;
        check_fail(&s->report, "repaired",
                   "node %u still has holes in its log, entries that others have", sim_id(n));
        return true;
    }
    return false;
}

static bool check_entry(struct sim *s, const struct sim_node *n, struct sim_image *image,
                        raft_index index)
{
    static _Alignas(DISK_SECTOR) uint8_t bytes[PLAN_PAYLOAD_BYTES_MAX + DISK_SECTOR];
    const struct check_entry *entry = check_log_entry(s->log, index);
    const struct record_header *record = record_at(bytes);
    struct wal_read read = {
        .first = index, .last = index, .term = entry->term, .bytes = bytes, .size = sizeof bytes};

    image_read(image, &read);
    if (read.result != 0 || read.count != 1)
        return check_fail(&s->report, "repaired",
                          "node %u has lost entry %" PRIu64 "@%" PRIu64 ", and can't read it: %d",
                          sim_id(n), index, entry->term, read.result);
    if (record->index != index || record->header_crc != entry->header_crc ||
        record_check(bytes, read.length, s->plan.options.cluster) != RECORD_OK)
        return check_fail(&s->report, "repaired",
                          "node %u has another record at %" PRIu64 "@%" PRIu64
                          " than was committed",
                          sim_id(n), index, entry->term);
    return true;
}

static bool check_node(struct sim *s, struct sim_node *n)
{
    struct sim_image image;
    bool good = true;

    image_open(s, n, &image);
    if (image.failed != 0)
        good = check_fail(&s->report, "repaired", "the log of node %u would not open again: %s",
                          sim_id(n), image.found.refusal);
    else if (image.found.hole_count > 0)
        good = check_fail(&s->report, "repaired", "the log of node %u has holes after its repair",
                          sim_id(n));
    good = good && observe_image_snapshot(s, n, &image, false);
    for (raft_index i = image.found.base.index + 1; good && i <= check_log_last(s->log); i++)
        good = check_entry(s, n, &image, i);
    image_close(&image);
    return good;
}

bool repaired_check(struct sim *s)
{
    for (uint32_t i = 0; i < s->node_count; i++) {
        struct sim_node *n = &s->node[i];
        if (sim_is_served(s, n) && !check_node(s, n))
            return false;
        if (n->ruined && sim_is_member(s, n))
            sim_happen(s, SIM_HARM_GONE);
    }
    sim_happen(s, SIM_REPAIR_CHECKED);
    return true;
}
