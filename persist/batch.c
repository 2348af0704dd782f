/* persist/batch.c: what a reader demands is what the writer promises, field by field. */
#include "persist/batch.h"

#include "base/crc32c.h"
#include "base/planted.h"

#include <string.h>

enum { BATCH_CHECKED_BYTES = offsetof(struct batch_header, header_crc) };

static bool flags_valid(const struct batch_header *h)
{
    ASSERT(h->version > 0);
    if (h->version == 1)
        return h->flags == 0;
    switch (h->flags) {
    case 0:
        return true;
    case BATCH_FILLS:
        return h->record_count > 0;
    case BATCH_CUTS:
        return h->record_count == 0;
    default:
        return false;
    }
}

/* Rules that hold for each batch that was ever composed. */
static bool fields_valid(const struct batch_header *h)
{
    if ((h->kind != BATCH_NEW && h->kind != BATCH_COPY) || !flags_valid(h))
        return false;
    if (h->number == 0 || h->number > BATCH_NUMBER_MAX || h->mark_number >= h->number)
        return false;
    if (h->first_seq > h->last_seq)
        return false;
    if (h->record_bytes % RECORD_ALIGN != 0)
        return false;
    if (h->record_bytes < (uint64_t)h->record_count * RECORD_HEADER_BYTES)
        return false;
    if ((h->record_count == 0) != (h->record_bytes == 0))
        return false;
    if (h->last_index > RAFT_WORD_MAX || h->commit > h->last_index)
        return false;
    if ((h->last_index == 0) != (h->last_term == 0))
        return false;
    return h->last_term <= h->term && h->term <= RAFT_WORD_MAX;
}

void batch_seal(struct batch_header *header)
{
    header->magic = BATCH_MAGIC;
    header->version = BATCH_VERSION;
    memset(header->reserved, 0, sizeof header->reserved);
    ASSERT(fields_valid(header)); /* what we would refuse to read must never be written */
    header->header_crc = crc32c(0, header, BATCH_CHECKED_BYTES);
}

bool batch_check_header(const uint8_t *bytes, const struct batch_place *place,
                        struct batch_header *out)
{
    struct batch_header h;

    ASSERT(place->generation != 0);
    ASSERT(place->offset % DISK_SECTOR == 0);
    memcpy(&h, bytes, sizeof h);
    if (h.magic != BATCH_MAGIC || h.version == 0 || h.version > BATCH_VERSION)
        return false;
    if (h.header_crc != crc32c(0, &h, BATCH_CHECKED_BYTES))
        return false;
    if (h.node != place->node || h.incarnation != place->incarnation)
        return false;
    const bool here = h.generation == place->generation && h.offset == place->offset;
    if (!here && !planted(PLANTED_BATCH_UNBOUND))
        return false;
    if (!fields_valid(&h))
        return false;
    *out = h;
    return true;
}

bool batch_check_body(const struct batch_header *header, const uint8_t *records, uint64_t cluster,
                      struct batch_body *out)
{
    struct batch_body body = {0};
    uint32_t crc = 0;
    uint32_t at = 0;

    ASSERT(cluster != 0);
    for (uint32_t i = 0; i < header->record_count; i++) {
        const enum record_verdict verdict =
            planted(PLANTED_BODY_UNCHECKED)
                ? record_check_header(record_at(records + at), header->record_bytes - at, cluster)
                : record_check(records + at, header->record_bytes - at, cluster);
        if (verdict != RECORD_OK)
            return false;
        struct record_header record;
        memcpy(&record, records + at, sizeof record);
        crc = crc32c(crc, &record.header_crc, sizeof record.header_crc);
        if (body.first_index == 0 || record.index < body.first_index)
            body.first_index = record.index;
        at += record_bytes(record.payload_bytes);
    }
    if (at != header->record_bytes || crc != header->records_crc)
        return false;
    *out = body;
    return true;
}
