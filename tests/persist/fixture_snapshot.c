/* tests/persist/fixture_snapshot.c: the snapshots of the fixture's log, on the same disk.
 *
 * What a snapshot contains follows from its index, so what is read back needs no model.
 */
#include "tests/persist/fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAMES_MAX = 8 };

static const struct snapshots_options options = {
    .bytes_max = FIXTURE_SNAPSHOT_BYTES,
    .chunk_bytes = FIXTURE_CHUNK_BYTES,
    .write_bytes = 2 * FIXTURE_CHUNK_BYTES,
};

uint32_t fixture_snapshot_content(raft_index index, uint8_t *content)
{
    struct prng p;

    prng_seed(&p, hash_u64(index, 0x5a));
    const uint32_t length = (uint32_t)prng_between(&p, 1, FIXTURE_SNAPSHOT_BYTES);
    for (uint32_t i = 0; i < length; i++)
        content[i] = (uint8_t)prng_next(&p);
    return length;
}

int fixture_snapshot_expect(struct fixture *f, const uint8_t *content, uint32_t length)
{
    const uint32_t chunks = snapshot_chunk_count(length, FIXTURE_CHUNK_BYTES);
    uint64_t checksum[FIXTURE_SNAPSHOT_BYTES / FIXTURE_CHUNK_BYTES + 1];

    for (uint32_t i = 0; i < chunks; i++) {
        const uint32_t at = i * FIXTURE_CHUNK_BYTES;
        const uint32_t rest = length - at < FIXTURE_CHUNK_BYTES ? length - at : FIXTURE_CHUNK_BYTES;
        uint8_t chunk[FIXTURE_CHUNK_BYTES] = {0};
        memcpy(chunk, content + at, rest);
        checksum[i] = snapshot_checksum(chunk, (rest + DISK_SECTOR - 1) / DISK_SECTOR * DISK_SECTOR);
    }
    const int front = snapshot_expect(f->snapshots, 0, (const uint8_t *)checksum, 1); /* in two parts */
    if (front != 0 || chunks == 1)
        return front;
    return snapshot_expect(f->snapshots, 1, (const uint8_t *)&checksum[1], chunks - 1);
}

static int begin(struct fixture *f, raft_index index, const struct fixture_state *state)
{
    static const uint8_t config[16] = {1, 2, 3};
    const bool again = index == fixture_now(f)->snapshot; /* it was damaged */
    uint8_t content[FIXTURE_SNAPSHOT_BYTES];
    const uint32_t length = fixture_snapshot_content(index, content);
    const struct snapshot_start start = {
        .index = index,
        .term = state->entry[index].term,
        .chain = state->entry[index].chain,
        .config_index = index / 2,
        .config = config,
        .config_bytes = index / 2 > 0 ? sizeof config : 0,
        .room = again ? length : FIXTURE_SNAPSHOT_BYTES,
        .digest_known = again,
        .digest = fixture_now(f)->snapshot_digest,
    };

    const int result = snapshot_begin(f->snapshots, &start);
    ASSERT(result == 0 || result == -EAGAIN);
    const int expected = result == 0 && again ? fixture_snapshot_expect(f, content, length) : 0;
    ASSERT(expected == 0);
    f->making = index;
    f->made_chunks = 0;
    /* The retry is not due: whoever wants to wait asks again. */
    return result != 0 && snapshot_failure(f->snapshots) != 0 ? -ECANCELED : -EAGAIN;
}

static int hand_over(struct fixture *f, raft_index index)
{
    uint8_t content[FIXTURE_SNAPSHOT_BYTES];
    const uint32_t length = fixture_snapshot_content(index, content);
    const uint32_t at = f->made_chunks * FIXTURE_CHUNK_BYTES;

    if (at >= length) {
        const int ended = snapshot_end(f->snapshots);
        ASSERT(ended == 0);
        return -EAGAIN;
    }
    const uint32_t rest = length - at;
    const int result = snapshot_append(f->snapshots, content + at,
                                       rest < FIXTURE_CHUNK_BYTES ? rest : FIXTURE_CHUNK_BYTES);
    ASSERT(result == 0 || result == -EAGAIN);
    f->made_chunks += result == 0;
    return -EAGAIN;
}

int fixture_snapshot_make(struct fixture *f, raft_index index, struct fixture_state *state)
{
    const struct snapshot_header *h = snapshot_current(f->snapshots);
    const enum snapshot_stage stage = snapshot_stage(f->snapshots);

    if (wal_failed(f->wal) != 0)
        return -EIO;
    if (h == NULL || h->index != index)
        h = snapshot_ready(f->snapshots);
    if (h != NULL && h->index == index) {
        state->snapshot_bytes = h->bytes;
        state->snapshot_digest = h->digest;
        return 0;
    }
    if (stage == SNAPSHOT_IDLE)
        return begin(f, index, state);
    if (f->making != index && f->making != 0 && stage != SNAPSHOT_DROPS)
        snapshot_abandon(f->snapshots);
    else if (stage == SNAPSHOT_TAKES)
        return hand_over(f, index);
    return -EAGAIN;
}

int fixture_snapshot_mend(struct fixture *f)
{
    const struct snapshot_header *h = snapshot_current(f->snapshots);
    struct fixture_state *now = &f->state[f->state_count - 1];

    ASSERT(f->lost == now->snapshot);
    if (wal_failed(f->wal) == 0 && h != NULL)
        f->lost = 0;
    return f->lost == 0 ? 0 : fixture_snapshot_make(f, f->lost, now);
}

void fixture_snapshot_lose(struct fixture *f, bool files)
{
    char names[NAMES_MAX][DISK_NAME_BYTES];
    const int64_t count = disk_list(f->disk, SNAPSHOT_NAME_PREFIX, names, NAMES_MAX);

    ASSERT(count <= NAMES_MAX);
    for (int64_t i = 0; i < count; i++) {
        uint64_t length;
        struct disk_op removal = {.kind = DISK_OP_REMOVE, .slot = DISK_FILES_MAX - 1};
        memcpy(removal.name, names[i], DISK_NAME_BYTES);
        uint8_t *const bytes = disk_sim_bytes(f->disk, names[i], &length);
        if (files && disk_submit(f->disk, &removal) == 0)
            (void)disk_wait(f->disk);
        else if (bytes != NULL && length >= SNAPSHOT_DATA_OFFSET)
            memset(bytes, 0xee, SNAPSHOT_DATA_OFFSET);
    }
    f->lost = FIXTURE_LOST_ANY;
}

/* One chunk, whatever else is on its way. */
static int read_chunk(struct fixture *f, uint32_t chunk, uint8_t *content, uint32_t *length)
{
    struct snapshot_read read = {
        .index = fixture_now(f)->snapshot, .chunk = chunk, .content = content};
    const int begun = snapshot_read_begin(f->snapshots, &read);

    ASSERT(begun == 0);
    while (!snapshot_read_poll(f->snapshots, &read))
        fixture_turn(f, 1000 * 1000);
    *length = read.length;
    return read.result;
}

int fixture_snapshot_read(struct fixture *f)
{
    uint8_t content[FIXTURE_SNAPSHOT_BYTES];
    uint8_t read[FIXTURE_CHUNK_BYTES];
    const uint32_t total = fixture_snapshot_content(fixture_now(f)->snapshot, content);
    uint32_t length = 0;
    uint32_t at = 0;

    for (uint32_t chunk = 0; at < total; chunk++) {
        const int result = read_chunk(f, chunk, read, &length);
        if (result != 0)
            return result;
        if (length == 0 || length > total - at || memcmp(read, content + at, length) != 0)
            return -EILSEQ; /* served, and wrong */
        at += length;
    }
    return 0;
}

/* A byte of it is flipped for a moment: nobody may be given that. */
static bool damage_is_seen(struct fixture *f)
{
    const struct snapshot_header *h = snapshot_current(f->snapshots);
    char name[DISK_NAME_BYTES];
    uint64_t length;

    snapshot_name(name, h->index);
    uint8_t *const bytes = disk_sim_bytes(f->disk, name, &length);
    const uint64_t at = SNAPSHOT_DATA_OFFSET + hash_u64(h->index, f->options.boot) % h->bytes;
    bytes[at] ^= 1;
    const int result = fixture_snapshot_read(f);
    bytes[at] ^= 1;
    return result == -EBADMSG;
}

static bool complain(struct fixture *f, const char *what, int result)
{
    const struct snapshots_found *found = &f->snapshots_found;

    snprintf(f->error, sizeof f->error, "snapshot %llu: %s (condition %d, %d): %s",
             (unsigned long long)fixture_now(f)->snapshot, what, (int)found->condition, result,
             found->sentence);
    return false;
}

void fixture_snapshot_open(struct fixture *f)
{
    if (f->snapshot_memory == NULL)
        f->snapshot_memory = aligned_alloc(DISK_SECTOR, snapshots_bytes(&options));
    ASSERT(f->snapshot_memory != NULL);
    f->making = 0;
    f->snapshots_result =
        snapshots_open(&f->snapshots, f->snapshot_memory, f->wal, &options, &f->snapshots_found);
}

bool fixture_snapshot_check(struct fixture *f)
{
    const raft_index named = fixture_now(f)->snapshot;
    const enum snapshot_condition expected = named > 0 ? SNAPSHOT_WHOLE : SNAPSHOT_NONE;

    const bool faulty = disk_sim_faulty(f->disk);
    const bool whole = f->snapshots_found.condition == expected;
    const bool excused = faulty || (named > 0 && named == f->lost);

    if (f->snapshots_result != 0 || (!whole && !excused))
        return complain(f, "not as the manifest names it", f->snapshots_result);
    if (named == 0 || faulty || !whole)
        return true;
    const int read = fixture_snapshot_read(f);
    if (read != 0)
        return complain(f, "read back", read);
    return damage_is_seen(f) || complain(f, "a damaged chunk is served", 0);
}
