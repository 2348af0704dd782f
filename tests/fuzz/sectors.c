/* Goal:   headers on disk are decoded as what they are encoded from, or refused, whatever stands there.
 * Method: the first byte says which: segment header with manifest, batch header, record,
 *         header of a snapshot, row of its table. The rest is a sector of it, zeros behind it.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "base/assert.h"
#include "base/crc32c.h"
#include "base/crc64.h"
#include "base/prng.h"
#include "base/record.h"
#include "persist/batch.h"
#include "persist/segment.h"
#include "persist/snapshot_file.h"

enum kind { SEGMENT, BATCH, RECORD, SNAPSHOT, ROW, KINDS };

enum {
    CLUSTER = 77,
    NODE = 3,
    INCARNATION = 5,
    RECORD_ROOM = 512, /* of a drawn record */
    ROW_CHUNKS = SNAPSHOT_ROW_CHUNKS + 7,
};

/* The snapshot that a row is of. */
static const struct snapshot_header row_header = {
    .magic = SNAPSHOT_MAGIC,
    .cluster = CLUSTER,
    .index = 9,
    .term = 2,
    .chunk_bytes = SNAPSHOT_CHUNK_BYTES,
    .bytes = (uint64_t)ROW_CHUNKS * SNAPSHOT_CHUNK_BYTES,
};

static void draw_segment(struct prng *p, uint8_t *sector)
{
    struct segment_header h = {
        .kind = prng_below(p, 2) == 0 ? SEGMENT_ROLL : SEGMENT_RECOVERY,
        .cluster = CLUSTER,
        .incarnation = INCARNATION,
        .node = NODE,
        .generation = prng_between(p, 2, 9),
        .segment_bytes = prng_between(p, 3, 90) * DISK_SECTOR,
        .continues_generation = 1,
        .continues_offset = prng_between(p, 2, 90) * DISK_SECTOR,
    };
    if (prng_below(p, 2) == 0) {
        h.manifest.number = prng_between(p, 1, 9);
        h.manifest.start_generation = 1;
        h.manifest.start_number = prng_between(p, 1, 99);
        h.manifest.base_index = prng_below(p, 99);
        h.manifest.snapshot_index = h.manifest.base_index + prng_below(p, 9);
        h.manifest.config_bytes = (uint32_t)prng_below(p, SEGMENT_CONFIG_BYTES_MAX + 1);
    }
    segment_seal(&h);
    segment_encode(sector, &h);
}

static void draw_batch(struct prng *p, uint8_t *sector)
{
    struct batch_header h = {
        .kind = BATCH_NEW,
        .incarnation = INCARNATION,
        .boot = 1,
        .node = NODE,
        .generation = prng_between(p, 1, 9),
        .offset = prng_between(p, 2, 90) * DISK_SECTOR,
        .number = prng_between(p, 1, 99),
        .term = prng_between(p, 1, 9),
        .last_index = prng_between(p, 1, 99),
        .last_term = 1,
        .record_count = 1,
        .record_bytes = (uint32_t)prng_between(p, 8, 99) * RECORD_ALIGN,
    };
    batch_seal(&h);
    memcpy(sector, &h, sizeof h);
}

static void draw_record(struct prng *p, uint8_t *sector)
{
    static const uint8_t payload[RECORD_ROOM];
    const struct record_spec spec = {
        .type = prng_below(p, 2) == 0 ? RECORD_COMMAND : RECORD_CONFIG,
        .cluster = CLUSTER,
        .index = prng_between(p, 1, 99),
        .term = prng_between(p, 1, 9),
        .origin = {.request = prng_next(p), .boot = 1, .node = NODE},
        .payload = payload,
        .payload_bytes = (uint32_t)prng_between(p, 1, RECORD_ROOM - RECORD_HEADER_BYTES),
    };
    (void)record_encode(&spec, sector);
}

static void draw_snapshot(struct prng *p, uint8_t *sector)
{
    struct snapshot_header h = {
        .cluster = CLUSTER,
        .index = prng_between(p, 1, 99),
        .term = prng_between(p, 1, 9),
        .chunk_bytes = (uint32_t)prng_between(p, 1, 64) * DISK_SECTOR,
        .bytes = prng_between(p, 1, 1 << 30),
        .config_bytes = (uint32_t)prng_below(p, SNAPSHOT_CONFIG_BYTES_MAX + 1),
    };
    h.config_index = h.config_bytes > 0;
    snapshot_seal(&h);
    snapshot_encode(sector, &h);
}

static void draw_row(struct prng *p, uint8_t *sector)
{
    static uint64_t checksum[ROW_CHUNKS];

    for (uint32_t i = 0; i < ROW_CHUNKS; i++)
        checksum[i] = prng_next(p);
    snapshot_row_encode(sector, &row_header, (uint32_t)prng_below(p, 2), checksum);
}

static void (*const draws[KINDS])(struct prng *p, uint8_t *sector) = {
    [SEGMENT] = draw_segment,   [BATCH] = draw_batch, [RECORD] = draw_record,
    [SNAPSHOT] = draw_snapshot, [ROW] = draw_row,
};

size_t fuzz_draw(uint64_t number, uint8_t *out, size_t size_max)
{
    _Alignas(RECORD_ALIGN) uint8_t sector[DISK_SECTOR] = {0};
    struct prng p;

    if (size_max < 1 + DISK_SECTOR)
        return 0;
    prng_seed(&p, number);
    const enum kind kind = (enum kind)prng_below(&p, KINDS);
    draws[kind](&p, sector);
    out[0] = (uint8_t)kind;
    memcpy(out + 1, sector, sizeof sector);
    return 1 + DISK_SECTOR;
}

static void seal_crc32c(uint8_t *sector, size_t place)
{
    const uint32_t crc = crc32c(0, sector, place);

    memcpy(sector + place, &crc, sizeof crc);
}

static void seal_record(uint8_t *sector)
{
    struct record_header h;

    memcpy(&h, sector, sizeof h);
    if (h.payload_bytes <= DISK_SECTOR - RECORD_HEADER_BYTES)
        h.payload_crc = crc32c(0, sector + RECORD_HEADER_BYTES, h.payload_bytes);
    h.header_crc = crc32c(0, &h, offsetof(struct record_header, header_crc));
    memcpy(sector, &h, sizeof h);
}

static void seal_row(uint8_t *sector)
{
    const uint64_t crc = crc64(0, sector, offsetof(struct snapshot_row, row_crc));

    memcpy(sector + offsetof(struct snapshot_row, row_crc), &crc, sizeof crc);
}

void fuzz_seal(uint8_t *bytes, size_t size)
{
    if (size < 1 + DISK_SECTOR)
        return;
    switch ((enum kind)(bytes[0] % KINDS)) {
    case SEGMENT:
        seal_crc32c(bytes + 1, offsetof(struct segment_header, header_crc));
        return;
    case BATCH:
        seal_crc32c(bytes + 1, offsetof(struct batch_header, header_crc));
        return;
    case RECORD:
        seal_record(bytes + 1);
        return;
    case SNAPSHOT:
        seal_crc32c(bytes + 1, offsetof(struct snapshot_header, header_crc));
        return;
    case ROW:
        seal_row(bytes + 1);
        return;
    case KINDS:
        return;
    }
}

/* `decoded` is untouched, as 0xa5 all over. */
static bool is_untouched(const void *decoded, size_t size)
{
    const uint8_t *const bytes = decoded;

    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != 0xa5)
            return false;
    }
    return true;
}

static void try_segment(const uint8_t *sector)
{
    struct segment_header claimed, h;
    uint8_t again[DISK_SECTOR];

    memcpy(&claimed, sector, sizeof claimed);
    const struct segment_owner owner = {
        .cluster = CLUSTER, .incarnation = INCARNATION, .node = NODE};
    memset(&h, 0xa5, sizeof h);
    const enum segment_verdict verdict =
        segment_check_copy(sector, &owner, claimed.generation > 0 ? claimed.generation : 1, &h);
    ASSERT(verdict != SEGMENT_BAD || is_untouched(&h, sizeof h));
    if (verdict != SEGMENT_OK)
        return;
    segment_seal(&h);
    segment_encode(again, &h);
    ASSERT(memcmp(again, sector, SEGMENT_HEADER_BYTES) == 0);
}

static void try_batch(const uint8_t *sector)
{
    struct batch_header claimed, h;
    struct batch_body body;

    memcpy(&claimed, sector, sizeof claimed);
    const struct batch_place place = {.incarnation = INCARNATION,
                                      .generation = claimed.generation > 0 ? claimed.generation : 1,
                                      .offset = claimed.offset / DISK_SECTOR * DISK_SECTOR,
                                      .node = NODE};
    memset(&h, 0xa5, sizeof h);
    if (!batch_check_header(sector, &place, &h)) {
        ASSERT(is_untouched(&h, sizeof h));
        return;
    }
    if (h.record_bytes <= DISK_SECTOR - BATCH_HEADER_BYTES)
        (void)batch_check_body(&h, sector + BATCH_HEADER_BYTES, CLUSTER, &body);
    /* Reserved fields and the version before are read and not written. */
    memset(claimed.reserved, 0, sizeof claimed.reserved);
    claimed.version = BATCH_VERSION;
    batch_seal(&h);
    claimed.header_crc = h.header_crc;
    ASSERT(memcmp(&h, &claimed, sizeof h) == 0);
}

static void try_record(const uint8_t *sector)
{
    _Alignas(RECORD_ALIGN) uint8_t again[DISK_SECTOR];
    struct record_header h;

    if (record_check(sector, DISK_SECTOR, CLUSTER) != RECORD_OK)
        return;
    memcpy(&h, sector, sizeof h);
    const struct record_spec spec = {
        .type = (enum record_type)h.type,
        .cluster = h.cluster,
        .group = h.group,
        .index = h.index,
        .term = h.term,
        .chain = h.chain,
        .origin = {.request = h.origin_request, .boot = h.origin_boot, .node = h.origin_node},
        .payload = sector + RECORD_HEADER_BYTES,
        .payload_bytes = h.payload_bytes,
    };
    ASSERT(record_encode(&spec, again) == h.header_crc);
    ASSERT(memcmp(again, sector, record_bytes(h.payload_bytes)) == 0);
}

static void try_snapshot(const uint8_t *sector)
{
    struct snapshot_header h;
    uint8_t again[DISK_SECTOR];

    memset(&h, 0xa5, sizeof h);
    const enum snapshot_verdict verdict = snapshot_check_copy(sector, &h);
    ASSERT(verdict != SNAPSHOT_BAD || is_untouched(&h, sizeof h));
    if (verdict != SNAPSHOT_OK)
        return;
    snapshot_seal(&h);
    snapshot_encode(again, &h);
    ASSERT(memcmp(again, sector, SNAPSHOT_HEADER_BYTES) == 0);
    /* What follows from it stays within bounds. */
    const uint32_t rows = snapshot_row_count(h.bytes, h.chunk_bytes);
    ASSERT(rows == 0 || snapshot_row_offset(&h, SNAPSHOT_COPIES - 1, rows - 1) <
                            snapshot_file_bytes(h.bytes, h.chunk_bytes));
}

static void try_row(const uint8_t *sector)
{
    static uint64_t checksum[ROW_CHUNKS];
    uint8_t again[DISK_SECTOR];

    for (uint32_t row = 0; row < 2; row++) {
        uint64_t *const own = checksum + (size_t)row * SNAPSHOT_ROW_CHUNKS;
        const size_t bytes = snapshot_row_chunks(&row_header, row) * sizeof *own;
        memset(own, 0xa5, bytes);
        if (!snapshot_row_decode(sector, &row_header, row, own)) {
            ASSERT(is_untouched(own, bytes));
            continue;
        }
        snapshot_row_encode(again, &row_header, row, checksum);
        ASSERT(memcmp(again, sector, DISK_SECTOR) == 0);
    }
}

static void (*const tries[KINDS])(const uint8_t *sector) = {
    [SEGMENT] = try_segment,   [BATCH] = try_batch, [RECORD] = try_record,
    [SNAPSHOT] = try_snapshot, [ROW] = try_row,
};

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    _Alignas(RECORD_ALIGN) uint8_t sector[DISK_SECTOR] = {0};

    if (size < 1)
        return 0;
    memcpy(sector, bytes + 1, size - 1 < sizeof sector ? size - 1 : sizeof sector);
    tries[bytes[0] % KINDS](sector);
    return 0;
}
