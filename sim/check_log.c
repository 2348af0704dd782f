#include "sim/check_log.h"

#include "base/assert.h"
#include "base/prng.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    SEEN_MIN = 1024,
    COMPLETE_WALK_MAX = 64, /* equal at one (index, term) is equal below: log matching */
    TERMS_MAX = 1 << 20,    /* a run that gets there is a livelock */
};

/* A record that was sent, by (index, term). */
struct seen {
    raft_index index; /* 0: the slot is empty */
    raft_term term;
    struct record_origin origin;
    uint32_t header_crc;
    uint8_t type;
};

struct check_log {
    struct check_report *report;
    raft_node *leader; /* by term */
    uint64_t leader_capacity;
    struct seen *seen; /* open addressing; a power of two */
    uint64_t seen_capacity;
    uint64_t seen_count;
    struct check_entry *entry; /* by index; [0] is not used */
    uint64_t entry_capacity;
    raft_index last;
    raft_term term; /* newest that was led */
};

struct check_log *check_log_create(void)
{
    struct check_log *c = calloc(1, sizeof *c);

    ASSERT(c != NULL);
    return c;
}

void check_log_destroy(struct check_log *c)
{
    free(c->leader);
    free(c->seen);
    free(c->entry);
    free(c);
}

void check_log_reset(struct check_log *c, struct check_report *report)
{
    c->report = report;
    if (c->leader != NULL)
        memset(c->leader, 0, c->leader_capacity * sizeof *c->leader);
    if (c->seen != NULL)
        memset(c->seen, 0, c->seen_capacity * sizeof *c->seen);
    c->seen_count = 0;
    c->last = 0;
    c->term = 0;
}

bool check_log_leads(struct check_log *c, raft_node node, raft_term term, bool *fresh)
{
    *fresh = false;
    if (term == 0 || term >= TERMS_MAX)
        return check_fail(c->report, "election-safety", "node %u leads in term %" PRIu64, node,
                          term);
    c->leader = check_grow(c->leader, &c->leader_capacity, term + 1, sizeof *c->leader);
    if (c->leader[term] == node)
        return true;
    if (c->leader[term] != 0)
        return check_fail(c->report, "election-safety",
                          "nodes %u and %u both lead in term %" PRIu64, c->leader[term], node,
                          term);
    c->leader[term] = node;
    if (term > c->term)
        c->term = term;
    *fresh = true;
    return true;
}

bool check_log_complete(struct check_log *c, raft_node node, raft_term term,
                        const struct check_view *log)
{
    uint32_t walked = 0;

    for (raft_index i = c->last; i > 0 && walked < COMPLETE_WALK_MAX; i--) {
        if (c->entry[i].committer_term >= term)
            continue; /* may have been committed after this election */
        walked++;
        if (i <= log->last && log->term_at(log->log, i) == c->entry[i].term)
            continue;
        return check_fail(c->report, "leader-completeness",
                          "node %u leads term %" PRIu64 " without entry %" PRIu64 "@%" PRIu64
                          " committed in term %" PRIu64,
                          node, term, i, c->entry[i].term, c->entry[i].committer_term);
    }
    return true;
}

bool check_log_counted(struct check_log *c, raft_node node, raft_term term, raft_index commit,
                       const struct check_view *log)
{
    const raft_term entry_term = log->term_at(log->log, commit);

    ASSERT(commit <= log->last);
    if (entry_term == term)
        return true;
    return check_fail(c->report, "commit-own-term",
                      "node %u leads term %" PRIu64 " and commits up to %" PRIu64 "@%" PRIu64, node,
                      term, commit, entry_term);
}

static struct seen *seen_slot(struct seen *table, uint64_t capacity, raft_index index,
                              raft_term term)
{
    uint64_t at = hash_u64(index, term) & (capacity - 1);

    while (table[at].index != 0 && (table[at].index != index || table[at].term != term))
        at = (at + 1) & (capacity - 1); /* ends: the table is never full */
    return &table[at];
}

static void seen_reserve(struct check_log *c)
{
    if (c->seen_count * 2 < c->seen_capacity)
        return;
    const uint64_t capacity = c->seen_capacity == 0 ? SEEN_MIN : c->seen_capacity * 2;
    struct seen *grown = calloc(capacity, sizeof *grown);

    ASSERT(grown != NULL);
    for (uint64_t i = 0; i < c->seen_capacity; i++) {
        const struct seen *old = &c->seen[i];
        if (old->index != 0)
            *seen_slot(grown, capacity, old->index, old->term) = *old;
    }
    free(c->seen);
    c->seen = grown;
    c->seen_capacity = capacity;
}

bool check_log_record(struct check_log *c, const struct record_header *header)
{
    seen_reserve(c);
    struct seen *seen = seen_slot(c->seen, c->seen_capacity, header->index, header->term);

    if (seen->index != 0) {
        if (seen->header_crc == header->header_crc)
            return true;
        return check_fail(c->report, "log-matching",
                          "two records at %" PRIu64 "@%" PRIu64 ": checksums %08x and %08x",
                          header->index, header->term, seen->header_crc, header->header_crc);
    }
    *seen = (struct seen){
        .index = header->index,
        .term = header->term,
        .origin = {.request = header->origin_request,
                   .boot = header->origin_boot,
                   .node = header->origin_node},
        .header_crc = header->header_crc,
        .type = header->type,
    };
    c->seen_count++;
    return true;
}

static bool choose(struct check_log *c, raft_node node, raft_term node_term, raft_index index,
                   raft_term term)
{
    if (c->seen_capacity == 0)
        seen_reserve(c);
    const struct seen *seen = seen_slot(c->seen, c->seen_capacity, index, term);

    if (index != c->last + 1)
        return check_fail(c->report, "state-machine-safety",
                          "node %u commits %" PRIu64 " while %" PRIu64 " is the last committed",
                          node, index, c->last);
    if (seen->index == 0)
        return check_fail(c->report, "state-machine-safety",
                          "node %u commits %" PRIu64 "@%" PRIu64 ", which nobody ever sent", node,
                          index, term);
    c->entry = check_grow(c->entry, &c->entry_capacity, index + 1, sizeof *c->entry);
    c->entry[index] = (struct check_entry){
        .term = term,
        .committer_term = node_term,
        .origin = seen->origin,
        .header_crc = seen->header_crc,
        .type = seen->type,
    };
    c->last = index;
    return true;
}

bool check_log_committed(struct check_log *c, raft_node node, raft_term node_term, raft_index index,
                         raft_term term)
{
    ASSERT(index > 0);
    if (index > c->last)
        return choose(c, node, node_term, index, term);
    struct check_entry *entry = &c->entry[index];

    if (entry->term != term)
        return check_fail(c->report, "state-machine-safety",
                          "node %u holds %" PRIu64 "@%" PRIu64 " for committed, it is @%" PRIu64,
                          node, index, term, entry->term);
    if (node_term < entry->committer_term)
        entry->committer_term = node_term; /* it was committed in that term already */
    return true;
}

bool check_log_digest(struct check_log *c, raft_node node, raft_index applied, uint64_t digest)
{
    if (applied == 0)
        return true;
    if (applied > c->last)
        return check_fail(c->report, "state-machine-safety",
                          "node %u applied %" PRIu64 ", committed is %" PRIu64, node, applied,
                          c->last);
    struct check_entry *entry = &c->entry[applied];

    if (entry->has_digest && entry->digest != digest)
        return check_fail(c->report, "equal-digests",
                          "node %u at %" PRIu64 ": digest %016" PRIx64 ", others %016" PRIx64, node,
                          applied, digest, entry->digest);
    entry->has_digest = true;
    entry->digest = digest;
    return true;
}

raft_term check_log_term(const struct check_log *c)
{
    return c->term;
}

raft_index check_log_last(const struct check_log *c)
{
    return c->last;
}

raft_term check_log_term_at(const struct check_log *c, raft_index index)
{
    return index == 0 || index > c->last ? 0 : c->entry[index].term;
}

const struct check_entry *check_log_entry(const struct check_log *c, raft_index index)
{
    ASSERT(index > 0);
    ASSERT(index <= c->last);
    return &c->entry[index];
}
