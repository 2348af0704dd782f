#include "sim/check_snapshot.h"

#include "base/assert.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { CONTENTS_KEPT = 32 }; /* of the newest points; of older ones the header */

/* A snapshot point, and what the replay makes of it. */
struct point {
    struct snapshot_header header;
    uint8_t *content; /* NULL: too old */
    uint8_t *table;   /* likewise: the checksums of its chunks */
};

struct config {
    raft_index index;
    uint32_t length;
    uint8_t payload[WAL_CONFIG_BYTES_MAX];
};

struct check_snapshot {
    struct check_report *report;
    uint64_t cluster;
    uint32_t chunk_bytes;
    struct point *point; /* ascending */
    uint64_t point_capacity;
    uint64_t point_count;
    struct config *config; /* likewise */
    uint64_t config_capacity;
    uint64_t config_count;
    uint64_t *checksum; /* of the chunks of one */
    uint64_t checksum_capacity;
    uint8_t *sectors; /* one chunk and the zeros behind it */
    uint64_t sectors_capacity;
};

struct check_snapshot *check_snapshot_create(void)
{
    struct check_snapshot *c = calloc(1, sizeof *c);

    ASSERT(c != NULL);
    return c;
}

static void forget_bytes(struct point *p)
{
    free(p->content);
    free(p->table);
    p->content = p->table = NULL;
}

static uint8_t *kept(const void *bytes, uint64_t length)
{
    uint8_t *copy = malloc(length);

    ASSERT(copy != NULL);
    memcpy(copy, bytes, length);
    return copy;
}

static uint64_t table_bytes(const struct snapshot_header *h)
{
    return snapshot_table_bytes(h->bytes, h->chunk_bytes);
}

static void forget(struct check_snapshot *c)
{
    for (uint64_t i = 0; i < c->point_count; i++)
        forget_bytes(&c->point[i]);
    c->point_count = 0;
    c->config_count = 0;
}

void check_snapshot_destroy(struct check_snapshot *c)
{
    forget(c);
    free(c->point);
    free(c->config);
    free(c->checksum);
    free(c->sectors);
    free(c);
}

void check_snapshot_reset(struct check_snapshot *c, uint64_t cluster, uint32_t chunk_bytes,
                          struct check_report *report)
{
    forget(c);
    c->report = report;
    c->cluster = cluster;
    c->chunk_bytes = chunk_bytes;
}

void check_snapshot_config(struct check_snapshot *c, raft_index index, const uint8_t *payload,
                           uint32_t length)
{
    ASSERT(length <= WAL_CONFIG_BYTES_MAX);
    ASSERT(c->config_count == 0 || index > c->config[c->config_count - 1].index);
    c->config = check_grow(c->config, &c->config_capacity, c->config_count + 1, sizeof *c->config);
    struct config *config = &c->config[c->config_count++];
    config->index = index;
    config->length = length;
    memcpy(config->payload, payload, length);
}

/* The newest at or below `index`; NULL: there is none. */
static const struct config *config_at(const struct check_snapshot *c, raft_index index)
{
    for (uint64_t i = c->config_count; i > 0; i--)
        if (c->config[i - 1].index <= index)
            return &c->config[i - 1];
    return NULL;
}

static uint64_t digest_of(struct check_snapshot *c, const struct snapshot_header *header,
                          const uint8_t *content)
{
    const uint32_t count = snapshot_chunk_count(header->bytes, header->chunk_bytes);

    c->checksum = check_grow(c->checksum, &c->checksum_capacity, count, sizeof *c->checksum);
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t length = snapshot_chunk_length(header, i);
        const uint32_t span = snapshot_chunk_span(header, i);
        c->sectors = check_grow(c->sectors, &c->sectors_capacity, span, 1);
        memset(c->sectors, 0, span);
        memcpy(c->sectors, content + (uint64_t)i * header->chunk_bytes, length);
        c->checksum[i] = snapshot_checksum(c->sectors, span);
    }
    return snapshot_digest(header, c->checksum);
}

void check_snapshot_point(struct check_snapshot *c, raft_index index,
                          const struct check_entry *entry, const uint8_t *content, uint64_t length)
{
    const struct config *config = config_at(c, index);
    struct snapshot_header header = {
        .cluster = c->cluster,
        .index = index,
        .term = entry->term,
        .bytes = length,
        .chunk_bytes = c->chunk_bytes,
        .chain = entry->header_crc,
    };

    ASSERT(index > check_snapshot_last(c));
    if (config != NULL) {
        header.config_index = config->index;
        header.config_bytes = config->length;
        memcpy(header.config, config->payload, config->length);
    }
    snapshot_seal(&header); /* the digest covers the version */
    header.digest = digest_of(c, &header, content);
    snapshot_seal(&header);
    if (c->point_count >= CONTENTS_KEPT)
        forget_bytes(&c->point[c->point_count - CONTENTS_KEPT]);
    c->point = check_grow(c->point, &c->point_capacity, c->point_count + 1, sizeof *c->point);
    c->point[c->point_count++] = (struct point){
        .header = header,
        .content = kept(content, length),
        .table = kept(c->checksum, table_bytes(&header)),
    };
}

static const struct point *point_at(const struct check_snapshot *c, raft_index index)
{
    uint64_t low = 0, high = c->point_count; /* points below `low` are below `index` */

    while (low < high) {
        const uint64_t middle = low + (high - low) / 2;
        if (c->point[middle].header.index < index)
            low = middle + 1;
        else
            high = middle;
    }
    return low < c->point_count && c->point[low].header.index == index ? &c->point[low] : NULL;
}

bool check_snapshot_header(struct check_snapshot *c, raft_node node,
                           const struct snapshot_header *header)
{
    const struct point *p = point_at(c, header->index);
    struct snapshot_header sealed = *header;

    if (p == NULL)
        return check_fail(c->report, "snapshot-equals-replay",
                          "node %u has a snapshot at %" PRIu64 ", which is no point", node,
                          header->index);
    snapshot_seal(&sealed);
    if (memcmp(&sealed, &p->header, sizeof sealed) == 0)
        return true;
    const struct snapshot_header *e = &p->header;
    return check_fail(c->report, "snapshot-equals-replay",
                      "node %u has a snapshot at %" PRIu64 "@%" PRIu64 " of %" PRIu64
                      " bytes, digest %016" PRIx64 ", configuration %" PRIu64 "; expected @%" PRIu64
                      ", %" PRIu64 ", %016" PRIx64 ", %" PRIu64,
                      node, header->index, header->term, header->bytes, header->digest,
                      header->config_index, e->term, e->bytes, e->digest, e->config_index);
}

bool check_snapshot_bytes(struct check_snapshot *c, raft_node node,
                          const struct check_snapshot_part *part)
{
    const struct point *p = point_at(c, part->index);
    uint64_t bytes = 0;

    if (p != NULL)
        bytes = part->table ? table_bytes(&p->header) : p->header.bytes;
    const uint8_t *truth = p == NULL ? NULL : part->table ? p->table : p->content;
    if (part->offset <= bytes && part->length <= bytes - part->offset &&
        (truth == NULL || memcmp(truth + part->offset, part->bytes, part->length) == 0))
        return true;
    return check_fail(c->report, "snapshot-equals-replay",
                      "node %u has other bytes %" PRIu64 " to %" PRIu64
                      " of a snapshot%s at %" PRIu64 " than the replay, which has %" PRIu64,
                      node, part->offset, part->offset + part->length,
                      part->table ? "'s table" : "", part->index, bytes);
}

static bool check_base_config(struct check_snapshot *c, raft_node node, const struct wal_base *base)
{
    const struct config *config = config_at(c, base->index);

    if (config == NULL ? base->config_index == 0
                       : base->config_index == config->index &&
                             base->config_bytes == config->length &&
                             memcmp(base->config, config->payload, config->length) == 0)
        return true;
    return check_fail(c->report, "base-is-committed",
                      "the base of node %u at %" PRIu64 " has the configuration of %" PRIu64
                      ", in force is that of %" PRIu64,
                      node, base->index, base->config_index, config == NULL ? 0 : config->index);
}

bool check_snapshot_base(struct check_snapshot *c, raft_node node, const struct wal_base *base,
                         const struct check_log *log)
{
    const struct snapshot_header *snapshot = check_snapshot_known(c, base->snapshot_index);

    if (base->index == 0)
        return true;
    if (base->index > check_log_last(log))
        return check_fail(c->report, "base-is-committed",
                          "the log of node %u begins behind %" PRIu64 ", committed is %" PRIu64,
                          node, base->index, check_log_last(log));
    const struct check_entry *entry = check_log_entry(log, base->index);
    if (base->term != entry->term || base->chain != entry->header_crc)
        return check_fail(c->report, "base-is-committed",
                          "the base of node %u is %" PRIu64 "@%" PRIu64
                          ", chain %08x; committed is @%" PRIu64 ", %08x",
                          node, base->index, base->term, base->chain, entry->term,
                          entry->header_crc);
    if (base->snapshot_index < base->index || snapshot == NULL ||
        base->snapshot_digest != snapshot->digest || base->snapshot_bytes != snapshot->bytes)
        return check_fail(c->report, "base-is-committed",
                          "the base of node %u at %" PRIu64 " stands on a snapshot at %" PRIu64
                          ", digest %016" PRIx64,
                          node, base->index, base->snapshot_index, base->snapshot_digest);
    return check_base_config(c, node, base);
}

const struct snapshot_header *check_snapshot_known(const struct check_snapshot *c, raft_index index)
{
    const struct point *p = point_at(c, index);
    return p == NULL ? NULL : &p->header;
}

raft_index check_snapshot_last(const struct check_snapshot *c)
{
    return c->point_count == 0 ? 0 : c->point[c->point_count - 1].header.index;
}
