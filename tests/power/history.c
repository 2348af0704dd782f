#include "tests/power/history.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/prng.h"
#include "base/record.h"

enum {
    RECORDS_MAX = 6,             /* of a step */
    PAYLOAD_BYTES_MAX = 1500,    /* as most are */
    LARGE_BYTES_MAX = 32 * 1024, /* a record that comes alone, over several sectors */
    REPLACED_MAX = 8,            /* entries that a new leader replaces at most */
    COMMIT_DISTANCE = 64,        /* what is replaced is never committed */
    SNAPSHOT_STEPS = 12,         /* from its beginning to its name */
    JUMP_MAX = 40,               /* how far behind the log a snapshot from elsewhere ends at most */
};

static_assert((int)SNAPSHOT_STEPS < (int)HISTORY_SNAPSHOT_EVERY, "one at a time");

struct history {
    uint64_t seed;
    bool with_snapshots;
    uint64_t step;
    raft_term term;
    raft_node vote;
    raft_index last;
    raft_index commit;
    raft_index base;                     /* the log begins behind it */
    raft_index named;                    /* snapshot of the manifest */
    struct history_snapshot snapshot;    /* the newest begun */
    uint32_t chain[HISTORY_ENTRIES_MAX]; /* header checksum by index; [0] is 0 */
    raft_term entry_term[HISTORY_ENTRIES_MAX];
    _Alignas(RECORD_ALIGN) uint8_t bytes[HISTORY_STEP_BYTES_MAX];
    uint8_t payload[LARGE_BYTES_MAX];
};

struct history *history_new(uint64_t seed, bool with_snapshots)
{
    struct history *h = calloc(1, sizeof *h);

    ASSERT(h != NULL);
    h->seed = seed;
    h->with_snapshots = with_snapshots;
    h->term = 1;
    return h;
}

void history_delete(struct history *h)
{
    free(h);
}

uint64_t history_step(const struct history *h)
{
    return h->step;
}

/* Puts one record more behind `length` bytes of them; returns the new length. */
static uint32_t add_record(struct history *h, struct prng *p, uint32_t payload_bytes,
                           uint32_t length)
{
    for (uint32_t at = 0; at < payload_bytes; at += 8) {
        const uint64_t word = prng_next(p);
        const uint32_t rest = payload_bytes - at;
        memcpy(h->payload + at, &word, rest < 8 ? rest : 8);
    }
    const struct record_spec spec = {
        .type = RECORD_COMMAND,
        .cluster = HISTORY_CLUSTER,
        .index = h->last + 1,
        .term = h->term,
        .chain = h->chain[h->last],
        .payload = h->payload,
        .payload_bytes = payload_bytes,
    };

    ASSERT(spec.index < HISTORY_ENTRIES_MAX);
    ASSERT(length + record_bytes(payload_bytes) <= sizeof h->bytes);
    h->chain[spec.index] = record_encode(&spec, h->bytes + length);
    h->entry_term[spec.index] = h->term;
    h->last = spec.index;
    return length + record_bytes(payload_bytes);
}

static uint32_t add_records(struct history *h, struct prng *p)
{
    uint32_t length = 0;

    if (prng_below(p, 16) == 0)
        return add_record(h, p, (uint32_t)prng_below(p, LARGE_BYTES_MAX), 0);
    for (uint64_t count = prng_between(p, 1, RECORDS_MAX); count > 0; count--)
        length = add_record(h, p, (uint32_t)prng_below(p, PAYLOAD_BYTES_MAX), length);
    return length;
}

const struct history_snapshot *history_snapshot(const struct history *h)
{
    return &h->snapshot;
}

uint32_t history_content(const struct history *h, raft_index index, uint8_t *content)
{
    struct prng p;

    prng_seed(&p, hash_u64(hash_u64(h->seed, index), 0x5a));
    const uint32_t length = (uint32_t)prng_between(&p, 1, HISTORY_SNAPSHOT_BYTES_MAX);
    for (uint32_t i = 0; i < length; i++)
        content[i] = (uint8_t)prng_next(&p);
    return length;
}

/* One of what is committed, with a base at or below it; or one that ends where the log can't be yet when
 * it is due. */
static void begin_snapshot(struct history *h, struct prng *p)
{
    struct history_snapshot *s = &h->snapshot;
    const bool cut = prng_below(p, 4) == 0;

    if (!cut && h->commit <= h->named)
        return;
    *s = (struct history_snapshot){.cut = cut, .due = h->step + SNAPSHOT_STEPS};
    if (cut) {
        s->index = h->last + SNAPSHOT_STEPS * RECORDS_MAX + prng_between(p, 1, JUMP_MAX);
        ASSERT(s->index < HISTORY_ENTRIES_MAX);
        s->term = h->term;
        s->chain = (uint32_t)hash_u64(h->seed, s->index);
        s->base = s->index;
        s->base_term = s->term;
        s->base_chain = s->chain;
        return;
    }
    s->index = prng_between(p, h->named + 1, h->commit);
    s->term = h->entry_term[s->index];
    s->chain = h->chain[s->index];
    s->base = prng_between(p, h->base > 0 ? h->base : 1, s->index);
    s->base_term = h->entry_term[s->base];
    s->base_chain = h->chain[s->base];
}

static void name_snapshot(struct history *h)
{
    const struct history_snapshot *s = &h->snapshot;

    ASSERT(s->index > h->named);
    h->named = s->index;
    h->base = s->base;
    if (!s->cut)
        return;
    ASSERT(s->index > h->last);
    h->last = h->commit = s->index;
    h->chain[s->index] = s->chain;
    h->entry_term[s->index] = s->term;
}

/* Records, a term, or both; their length. *first > h->last: no records. */
static uint32_t write_step(struct history *h, struct prng *p, raft_index *first)
{
    const uint64_t kind = prng_below(p, 32);

    if (kind < 3) {
        h->term++;
        h->vote = (raft_node)prng_between(p, 1, 3);
    }
    if (kind == 0) {
        /* The tail is another leader's: what it wrote replaces ours. */
        const uint64_t replaced = prng_below(p, REPLACED_MAX + 1);
        const raft_index open = h->last - h->commit;
        h->last -= replaced < open ? replaced : open;
    }
    *first = h->last + 1;
    const uint32_t length = kind == 0 || kind > 2 ? add_records(h, p) : 0;
    if (h->last > h->commit + COMMIT_DISTANCE)
        h->commit = h->last - COMMIT_DISTANCE;
    return length;
}

void history_next(struct history *h, struct wal_step *out)
{
    struct prng p;
    uint32_t length = 0;
    raft_index first = 1;

    h->step++;
    prng_seed(&p, hash_u64(h->seed, h->step));
    if (h->step == h->snapshot.due)
        name_snapshot(h);
    else
        length = write_step(h, &p, &first);
    *out = (struct wal_step){
        .term = h->term,
        .vote = h->vote,
        .vote_incarnation = h->vote != 0 ? HISTORY_INCARNATION : 0,
        .commit = h->commit,
        .first = length > 0 ? first : 1,
        .last = length > 0 ? h->last : 0,
        .bytes = h->bytes,
        .length = length,
    };
    if (h->with_snapshots && h->step % HISTORY_SNAPSHOT_EVERY == 0)
        begin_snapshot(h, &p);
}

bool history_matches(const struct history *h, const struct wal_recovered *found)
{
    if (h->step == 0) /* nothing was ever written, not even a term */
        return found->last == 0 && found->term == 0 && found->vote == 0;
    if (h->term != found->term || h->vote != found->vote || h->commit != found->commit)
        return false;
    if (h->base != found->base.index || h->named != found->base.snapshot_index)
        return false;
    return h->last == found->last && h->chain[h->last] == found->last_chain;
}

bool history_has(const struct history *h, const void *record, uint32_t length)
{
    if (record_check(record, length, HISTORY_CLUSTER) != RECORD_OK)
        return false;
    const struct record_header *header = record_at(record);
    return header->index <= h->last && header->header_crc == h->chain[header->index];
}
