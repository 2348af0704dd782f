/* node/disk_watch.c: see disk_watch.h. */
#include "node/disk_watch.h"

#include "persist/reserve.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

/* A segment is in the making for less time than this, unless there is no room for it. */
#define NO_ROOM_NS (1000 * 1000 * 1000ull)

static const uint64_t MIB = 1 << 20;

/* A full disk stops writes, and nothing else; whoever wonders why finds it in the log. */
static bool full(struct disk_watch *w, const struct node *n, uint64_t now_ns,
                 char sentence[DISK_WATCH_BYTES])
{
    const struct config *config = n->config;

    if (published_get(&n->counters->no_room) == 0)
        w->room_ns = now_ns;
    const bool no_room = now_ns - w->room_ns > NO_ROOM_NS;
    if (no_room == w->no_room)
        return false;
    w->no_room = no_room;
    if (no_room)
        snprintf(sentence, DISK_WATCH_BYTES,
                 "no room in %s for the next %" PRIu64 " MiB of log: no writes are taken until "
                 "there is; make room on that file system",
                 config->data, config->log.segment_mib);
    else
        snprintf(sentence, DISK_WATCH_BYTES, "there is room in %s again: writes are taken",
                 config->data);
    return true;
}

static bool below(struct disk_watch *w, const struct node *n, char sentence[DISK_WATCH_BYTES])
{
    const uint64_t there = published_get(&n->counters->disk_free) / MIB;
    const uint64_t needed = published_get(&n->counters->disk_reserve) / MIB;
    const bool below_reserve = published_get(&n->counters->below_reserve) != 0;
    const struct config *config = n->config;

    if (below_reserve == w->below_reserve)
        return false;
    w->below_reserve = below_reserve;
    if (below_reserve)
        snprintf(sentence, DISK_WATCH_BYTES,
                 "%" PRIu64 " MiB are free in %s, and %" PRIu64 " MiB are the reserve: a snapshot "
                 "of store.quota_mib, and the next segments of the log. While that is so on most "
                 "nodes no writes are taken; make room on that file system, or configure less",
                 there, config->data, needed);
    else
        snprintf(sentence, DISK_WATCH_BYTES,
                 "%" PRIu64 " MiB are free in %s again, %" PRIu64 " MiB are the reserve", there,
                 config->data, needed);
    return true;
}

/* One line a snapshot. */
static bool snapshot(struct disk_watch *w, const struct node *n, char sentence[DISK_WATCH_BYTES])
{
    const struct replica_counters *c = n->counters;
    const uint64_t written = published_get(&c->snapshots_written);
    const uint64_t index = published_get(&c->snapshot_index);

    if (written == w->written)
        return false;
    w->written = written;
    const uint64_t segments = published_get(&c->log_segments);
    snprintf(sentence, DISK_WATCH_BYTES,
             "a snapshot of entries up to %" PRIu64 " (%" PRIu64 " KiB) %s; the log begins behind entry %" PRIu64
             " and has %" PRIu64 " file%s",
             index, (published_get(&c->snapshot_bytes) + 1023) / 1024,
             published_get(&c->writing_own) != 0 ? "was made" : "came from another node",
             published_get(&c->log_base), segments, segments == 1 ? "" : "s");
    return true;
}

static bool loading(struct disk_watch *w, const struct node *n, char sentence[DISK_WATCH_BYTES])
{
    const uint64_t index = published_get(&n->counters->loading_index);

    if (index == w->loading_index)
        return false;
    if (index != 0)
        snprintf(sentence, DISK_WATCH_BYTES,
                 "takes in the snapshot of entries up to %" PRIu64 "; reads and writes wait here "
                 "meanwhile",
                 index);
    else
        snprintf(sentence, DISK_WATCH_BYTES, "the snapshot is taken in");
    w->loading_index = index;
    return true;
}

bool disk_watch_turn(struct disk_watch *w, const struct node *n, uint64_t now_ns,
                     char sentence[DISK_WATCH_BYTES])
{
    return full(w, n, now_ns, sentence) || below(w, n, sentence) || loading(w, n, sentence) ||
           snapshot(w, n, sentence);
}

/* Of `folder`, or of the nearest one above it that is there already. */
static bool ask_file_system(const char *folder, struct statvfs *out)
{
    char path[PATH_MAX];

    snprintf(path, sizeof path, "%s", folder);
    for (char *slash = path; slash != NULL; slash = strrchr(path, '/')) {
        if (slash != path)
            *slash = '\0';
        if (path[0] != '\0' && statvfs(path, out) == 0)
            return true;
    }
    return false;
}

void disk_watch_check(const struct config *config, FILE *out)
{
    const struct replica_options replica = {
        .quota_bytes = config->store.quota_mib * MIB,
        .snapshots = replica_snapshots_default(),
    };
    const struct wal_options log = {
        .segment_bytes = config->log.segment_mib * MIB,
        .segments_ahead = (uint32_t)config->log.segments_ahead,
    };
    const uint64_t snapshot_bytes = replica_snapshot_file_bytes(&replica);
    const uint64_t needed = reserve_at_first(&log, snapshot_bytes) / MIB;
    struct statvfs s;

    if (!ask_file_system(config->data, &s))
        return;
    const uint64_t there = s.f_bavail / (MIB / s.f_frsize);
    if (there < needed)
        fprintf(out,
                "skiff: %" PRIu64 " MiB are free on the file system of %s. A new node needs %" PRIu64
                " MiB: %" PRIu64 " for the largest snapshot, the rest for %" PRIu64 " files of its log; "
                "with less it takes no writes. Give it more, or make store.quota_mib or "
                "log.segment_mib smaller\n",
                there, config->data, needed, (snapshot_bytes + MIB - 1) / MIB,
                config->log.segments_ahead + 1);
}
