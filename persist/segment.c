/* persist/segment.c: encode and judge the header of a segment. */
#include "persist/segment.h"

#include "base/crc32c.h"
#include "base/planted.h"
#include "persist/batch.h"
#include "persist/file_name.h"

#include <string.h>

enum { SEGMENT_CHECKED_BYTES = offsetof(struct segment_header, header_crc) };

static bool manifest_valid(const struct segment_manifest *m)
{
    if (m->config_bytes > SEGMENT_CONFIG_BYTES_MAX)
        return false;
    if (m->number == 0)
        return m->base_index == 0 && m->start_generation == 0;
    if (m->start_generation == 0 || m->start_number == 0)
        return false;
    if (m->start_number > BATCH_NUMBER_MAX || m->cut_number > BATCH_NUMBER_MAX)
        return false;
    return m->base_index <= m->snapshot_index && m->snapshot_index <= RAFT_WORD_MAX &&
           m->config_index <= m->base_index && m->base_term <= RAFT_WORD_MAX;
}

static bool fields_valid(const struct segment_header *h)
{
    if (h->kind != SEGMENT_ROLL && h->kind != SEGMENT_RECOVERY)
        return false;
    if (h->generation == 0 || h->continues_generation >= h->generation)
        return false;
    if (h->kind == SEGMENT_ROLL && h->continues_generation == 0)
        return false;
    if (h->segment_bytes % DISK_SECTOR != 0 || h->continues_offset % DISK_SECTOR != 0)
        return false;
    if (h->continues_number > BATCH_NUMBER_MAX || h->copied_number > BATCH_NUMBER_MAX)
        return false;
    return h->manifest.start_generation <= h->generation && manifest_valid(&h->manifest);
}

void segment_seal(struct segment_header *header)
{
    header->magic = SEGMENT_MAGIC;
    header->version = SEGMENT_VERSION;
    ASSERT(fields_valid(header)); /* what we would refuse to read must never be written */
    header->header_crc = crc32c(0, header, SEGMENT_CHECKED_BYTES);
}

void segment_encode(uint8_t *sector, const struct segment_header *header)
{
    ASSERT(header->magic == SEGMENT_MAGIC);
    memset(sector, 0, DISK_SECTOR);
    memcpy(sector, header, sizeof *header);
}

enum segment_verdict segment_check_copy(const uint8_t *bytes, const struct segment_owner *owner,
                                        uint64_t generation, struct segment_header *out)
{
    struct segment_header h;

    ASSERT(generation != 0);
    ASSERT(owner->cluster != 0);
    memcpy(&h, bytes, sizeof h);
    /* The checksum has the same place in every version, so that another version can be named. */
    if (h.magic != SEGMENT_MAGIC || h.header_crc != crc32c(0, &h, SEGMENT_CHECKED_BYTES))
        return SEGMENT_BAD;
    if (h.version != SEGMENT_VERSION) {
        *out = h;
        return SEGMENT_OTHER_VERSION;
    }
    if (h.generation != generation && !planted(PLANTED_OLD_GENERATION_ACCEPTED))
        return SEGMENT_BAD;
    if (!fields_valid(&h))
        return SEGMENT_BAD;
    *out = h;
    if (h.cluster != owner->cluster || h.node != owner->node)
        return SEGMENT_FOREIGN;
    return h.incarnation == owner->incarnation ? SEGMENT_OK : SEGMENT_FOREIGN;
}

enum segment_verdict segment_check(const uint8_t *bytes, const struct segment_owner *owner,
                                   uint64_t generation, struct segment_header *out)
{
    enum segment_verdict verdict = SEGMENT_BAD;
    struct segment_header h;

    for (uint32_t copy = 0; copy < SEGMENT_COPIES; copy++) {
        const enum segment_verdict found =
            segment_check_copy(bytes + (size_t)copy * DISK_SECTOR, owner, generation, &h);
        if (found == SEGMENT_BAD)
            continue;
        const bool better = found == SEGMENT_OK &&
                            (verdict != SEGMENT_OK || h.manifest.number > out->manifest.number);
        if (verdict != SEGMENT_BAD && !better)
            continue;
        *out = h;
        verdict = found;
    }
    return verdict;
}

void segment_name(char name[DISK_NAME_BYTES], uint64_t generation)
{
    file_name_make(name, SEGMENT_NAME_PREFIX, generation);
}

void segment_name_unfinished(char name[DISK_NAME_BYTES], uint64_t generation)
{
    segment_name(name, generation);
    const size_t length = strlen(name);
    ASSERT(length + sizeof DISK_UNFINISHED <= DISK_NAME_BYTES);
    memcpy(name + length, DISK_UNFINISHED, sizeof DISK_UNFINISHED);
    ASSERT(disk_name_unfinished(name));
}

uint64_t segment_generation(const char *name)
{
    const uint64_t generation = file_name_number(name, SEGMENT_NAME_PREFIX);
    return generation <= SEGMENT_GENERATION_MAX ? generation : 0;
}
