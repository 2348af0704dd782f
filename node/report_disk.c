/* node/report_disk.c: what a node has on disk, for its status: log, snapshot, and what is being done about
 * them. */
#include "node/report_disk.h"

#include "persist/snapshot.h"

#include <inttypes.h>
#include <limits.h>
#include <sys/stat.h>
#include <time.h>

/* What is under way; a node that loads while it writes nothing, or while it receives, loads. */
struct work {
    const char *verb; /* NULL: nothing */
    uint64_t index, percent;
};

static uint64_t percent_of(uint64_t part, uint64_t whole)
{
    if (whole == 0)
        return 0;
    return part >= whole ? 100 : part / (whole / 100 + 1);
}

static struct work work_of(const struct replica_counters *c)
{
    const uint64_t loading = published_get(&c->loading_index);
    const uint64_t writing = published_get(&c->writing_index);

    if (loading != 0)
        return (struct work){
            .verb = "loads",
            .index = loading,
            .percent = percent_of(published_get(&c->loading_bytes), published_get(&c->snapshot_bytes)),
        };
    if (writing == 0)
        return (struct work){0};
    return (struct work){
        .verb = published_get(&c->writing_own) != 0 ? "writes" : "receives",
        .index = writing,
        .percent = percent_of(published_get(&c->writing_bytes), published_get(&c->writing_bytes_max)),
    };
}

/* By its file, which tells it across restarts; 0 if that can't be asked. */
static uint64_t age_s(const struct node *n, uint64_t index)
{
    const time_t now = time(NULL);
    char name[DISK_NAME_BYTES], path[PATH_MAX];
    struct stat s;

    snapshot_name(name, index);
    snprintf(path, sizeof path, "%s/%s", n->config->data, name);
    if (stat(path, &s) != 0 || s.st_mtime > now)
        return 0;
    return (uint64_t)(now - s.st_mtime);
}

static const char *condition_name(uint64_t condition)
{
    static const char *const names[] = {
        [SNAPSHOT_NONE] = "none",
        [SNAPSHOT_WHOLE] = "whole",
        [SNAPSHOT_MISSING] = "missing",
        [SNAPSHOT_DAMAGED] = "damaged",
    };
    return condition < sizeof names / sizeof names[0] ? names[condition] : "unknown";
}

void report_disk_json(const struct node *n, FILE *out)
{
    const struct replica_counters *c = n->counters;
    const uint64_t index = published_get(&c->snapshot_index);
    const struct work work = work_of(c);

    fprintf(out,
            ",\"disk_free\":%" PRIu64 ",\"disk_reserve\":%" PRIu64 ",\"below_reserve\":%" PRIu64
            ",\"log\":{\"base\":%" PRIu64 ",\"segments\":%" PRIu64 ",\"bytes\":%" PRIu64 "}",
            published_get(&c->disk_free), published_get(&c->disk_reserve),
            published_get(&c->below_reserve), published_get(&c->log_base),
            published_get(&c->log_segments), published_get(&c->log_bytes));
    fprintf(out,
            ",\"snapshot\":{\"condition\":\"%s\",\"index\":%" PRIu64 ",\"bytes\":%" PRIu64
            ",\"age_s\":%" PRIu64 ",\"work\":\"%s\",\"work_index\":%" PRIu64 ",\"work_percent\":%" PRIu64
            ",\"written\":%" PRIu64 ",\"failed\":%" PRIu64 ",\"chunks_repaired\":%" PRIu64
            ",\"chunks_refused\":%" PRIu64 "}",
            condition_name(published_get(&c->snapshot_condition)), index,
            published_get(&c->snapshot_bytes), index == 0 ? 0 : age_s(n, index),
            work.verb == NULL ? "none" : work.verb, work.index, work.percent,
            published_get(&c->snapshots_written), published_get(&c->snapshots_failed),
            published_get(&c->chunks_repaired), published_get(&c->chunks_refused));
}

static void row_age(uint64_t seconds, FILE *out)
{
    if (seconds < 120)
        fprintf(out, "%" PRIu64 " s", seconds);
    else if (seconds < 2 * 3600)
        fprintf(out, "%" PRIu64 " min", seconds / 60);
    else
        fprintf(out, "%" PRIu64 " h", seconds / 3600);
}

static void row_snapshot(const struct node *n, FILE *out)
{
    const struct replica_counters *c = n->counters;
    const uint64_t index = published_get(&c->snapshot_index);
    const uint64_t condition = published_get(&c->snapshot_condition);
    const struct work work = work_of(c);

    if (condition == SNAPSHOT_MISSING || condition == SNAPSHOT_DAMAGED)
        fprintf(out, "; its snapshot is %s, fetches what it lacks from the others",
                condition_name(condition));
    else if (index != 0) {
        fprintf(out, "; snapshot of ");
        row_age(age_s(n, index), out);
        fprintf(out, " ago");
    }
    if (work.verb != NULL)
        fprintf(out, "; %s snapshot %" PRIu64 ", %" PRIu64 " %%", work.verb, work.index, work.percent);
}

void report_disk_row(const struct node *n, FILE *out)
{
    const struct replica_counters *c = n->counters;

    if (published_get(&c->no_room) != 0)
        fprintf(out, "; no room on the disk, takes no writes");
    else if (published_get(&c->writes_refused) != 0)
        fprintf(out, "; too few nodes have room on their disks, takes no writes");
    if (published_get(&c->below_reserve) != 0)
        fprintf(out, "; %" PRIu64 " MiB free on the disk, less than its reserve of %" PRIu64,
                published_get(&c->disk_free) >> 20, published_get(&c->disk_reserve) >> 20);
    row_snapshot(n, out);
}
