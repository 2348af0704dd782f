/* tests/power/life_snapshot.c: snapshots beside the log: written in chunks, named, read back; see life.h. */
#include "tests/power/life.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tests/power/promise.h"

enum { CHUNK_BYTES = 4 * DISK_SECTOR };

static const struct snapshots_options options = {
    .bytes_max = HISTORY_SNAPSHOT_BYTES_MAX,
    .chunk_bytes = CHUNK_BYTES,
    .write_bytes = 2 * CHUNK_BYTES,
};

void life_snapshots_open(struct life *l)
{
    struct snapshots_found *found = &l->snapshots_found;

    l->snapshot_memory = aligned_alloc(DISK_SECTOR, snapshots_bytes(&options));
    ASSERT(l->snapshot_memory != NULL);
    if (snapshots_open(&l->snapshots, l->snapshot_memory, l->wal, &options, found) != 0) {
        say("refused: %s", found->sentence);
        exit(EXIT_REFUSED);
    }
}

static bool chunk_matches(struct life *l, uint32_t chunk, const uint8_t *expected, uint32_t length)
{
    static uint8_t content[CHUNK_BYTES];
    struct snapshot_read read = {
        .index = l->found.base.snapshot_index, .chunk = chunk, .content = content};

    if (snapshot_read_begin(l->snapshots, &read) != 0)
        return false;
    while (!snapshot_read_poll(l->snapshots, &read)) {
        (void)wal_poll(l->wal, life_now_ns());
        (void)snapshots_poll(l->snapshots, life_now_ns());
    }
    return read.result == 0 && read.length == length && memcmp(content, expected, length) == 0;
}

void life_snapshot_verify(struct life *l)
{
    static uint8_t content[HISTORY_SNAPSHOT_BYTES_MAX];
    const raft_index named = l->found.base.snapshot_index;
    const struct snapshots_found *found = &l->snapshots_found;

    if (named == 0)
        return;
    if (found->condition != SNAPSHOT_WHOLE || found->lost_copies > 0) {
        say("LOST: snapshot %" PRIu64 ": condition %d, %u lost copies: %s", named,
            (int)found->condition, found->lost_copies, found->sentence);
        exit(EXIT_LOST);
    }
    const uint32_t length = history_content(l->history, named, content);
    for (uint32_t at = 0; at < length; at += CHUNK_BYTES) {
        const uint32_t rest = length - at;
        if (!chunk_matches(l, at / CHUNK_BYTES, content + at,
                           rest < CHUNK_BYTES ? rest : CHUNK_BYTES)) {
            say("LOST: snapshot %" PRIu64 ": chunk %u is not as it was written", named,
                at / CHUNK_BYTES);
            exit(EXIT_LOST);
        }
    }
}

static void begin(struct life *l, const struct history_snapshot *s)
{
    const struct snapshot_start start = {
        .index = s->index,
        .term = s->term,
        .chain = s->chain,
        .room = HISTORY_SNAPSHOT_BYTES_MAX,
    };

    if (snapshot_begin(l->snapshots, &start) != 0)
        return; /* the one before is being removed, or there was no room a moment ago */
    l->making.length = history_content(l->history, s->index, l->making.content);
    l->making.handed_over = 0;
}

static void hand_over(struct life *l)
{
    struct life_snapshot *m = &l->making;
    const uint32_t rest = m->length - m->handed_over;
    const uint32_t length = rest < CHUNK_BYTES ? rest : CHUNK_BYTES;

    if (rest == 0)
        (void)snapshot_end(l->snapshots);
    else if (snapshot_append(l->snapshots, m->content + m->handed_over, length) == 0)
        m->handed_over += length;
}

void life_snapshot_poll(struct life *l)
{
    const struct history_snapshot *s = history_snapshot(l->history);
    const struct snapshot_header *current = snapshot_current(l->snapshots);

    if (s->index == 0 || (current != NULL && current->index == s->index))
        return;
    if (snapshot_stage(l->snapshots) == SNAPSHOT_IDLE)
        begin(l, s);
    else if (snapshot_stage(l->snapshots) == SNAPSHOT_TAKES)
        hand_over(l);
}

int life_snapshot_name(struct life *l, const struct wal_step *step)
{
    const struct history_snapshot *s = history_snapshot(l->history);
    const struct snapshot_header *ready = snapshot_ready(l->snapshots);

    if (ready == NULL || ready->index != s->index)
        return disk_lacks_room(snapshot_failure(l->snapshots)) ? -ENOSPC : -EAGAIN;
    const struct wal_base base = {
        .index = s->base,
        .term = s->base_term,
        .chain = s->base_chain,
        .snapshot_index = ready->index,
        .snapshot_bytes = ready->bytes,
        .snapshot_digest = ready->digest,
    };
    return wal_set_base(l->wal, step, &base, s->cut);
}
