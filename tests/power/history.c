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
};

struct history {
    uint64_t seed;
    uint64_t step;
    raft_term term;
    raft_node vote;
    raft_index last;
    raft_index commit;
    uint32_t chain[HISTORY_ENTRIES_MAX]; /* header checksum by index; [0] is 0 */
    _Alignas(RECORD_ALIGN) uint8_t bytes[HISTORY_STEP_BYTES_MAX];
    uint8_t payload[LARGE_BYTES_MAX];
};

struct history *history_new(uint64_t seed)
{
    struct history *h = calloc(1, sizeof *h);

    ASSERT(h != NULL);
    h->seed = seed;
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

void history_next(struct history *h, struct wal_step *out)
{
    struct prng p;
    uint32_t length = 0;
    raft_index first = 1, last = 0;

    h->step++;
    prng_seed(&p, hash_u64(h->seed, h->step));
    const uint64_t kind = prng_below(&p, 32);
    if (kind < 3) {
        h->term++;
        h->vote = (raft_node)prng_between(&p, 1, 3);
    }
    if (kind == 0) {
        /* The tail is another leader's: what it wrote replaces ours. */
        const uint64_t replaced = prng_below(&p, REPLACED_MAX + 1);
        h->last -= replaced < h->last ? replaced : h->last;
    }
    if (kind == 0 || kind > 2) {
        first = h->last + 1;
        length = add_records(h, &p);
        last = h->last;
    }
    if (h->last > h->commit + COMMIT_DISTANCE)
        h->commit = h->last - COMMIT_DISTANCE;
    *out = (struct wal_step){
        .term = h->term,
        .vote = h->vote,
        .vote_incarnation = h->vote != 0 ? HISTORY_INCARNATION : 0,
        .commit = h->commit,
        .first = first,
        .last = last,
        .bytes = h->bytes,
        .length = length,
    };
}

bool history_matches(const struct history *h, const struct wal_recovered *found)
{
    if (h->step == 0) /* nothing was ever written, not even a term */
        return found->last == 0 && found->term == 0 && found->vote == 0;
    if (h->term != found->term || h->vote != found->vote || h->commit != found->commit)
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
