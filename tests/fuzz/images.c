/* Goal:   a start never ends by an assertion, whatever stands on the disk, and refuses without touching
 *         anything, or starts, and finds the same when it is started again.
 * Method: a small log with three lives, bases, a snapshot and a superblock, made once. The input is a list of
 *         changes of its bytes, each in the front of a sector, whose checksums are put right or not; then
 *         the superblock is read and the log opened.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "base/crc32c.h"
#include "base/crc64.h"
#include "persist/batch.h"
#include "persist/segment.h"
#include "persist/superblock.h"
#include "tests/persist/fixture.h"

enum {
    SEED = 7,
    LIVES = 3,
    STEPS = 12,
    CHANGES_MAX = 16,
    FRONT_BYTES = SEGMENT_HEADER_BYTES, /* of a sector: headers, and some of the first record */
    SUPERBLOCK_CRC = 60,                /* docs/formats.md */
};

struct change {
    uint8_t file;
    uint8_t sealed; /* odd: the checksum of what stands there is put right */
    uint16_t sector;
    uint16_t at;
    uint8_t width; /* bytes of `value`, modulo 9 */
    uint8_t adds;  /* odd: to what stands there */
    uint64_t value;
};

static struct fixture *origin, *scratch;
static char names[DISK_FILES_MAX][DISK_NAME_BYTES];
static uint32_t name_count;

/* Ends on a base in its middle. */
static void lead_life(struct fixture *f)
{
    const int opened = fixture_open(f);

    ASSERT(opened == 0);
    for (uint32_t i = 0; i < STEPS; i++) {
        fixture_append_random(f);
        fixture_turn(f, 100 * 1000);
    }
    fixture_set_base(f, (fixture_now(f)->base + fixture_now(f)->last) / 2, false);
    fixture_append_random(f);
    fixture_idle(f);
    disk_sim_power_cut(f->disk);
}

static void make_origin(void)
{
    static _Alignas(DISK_SECTOR) uint8_t sector[DISK_SECTOR];
    const struct superblock fresh = {.cluster = FIXTURE_CLUSTER, .incarnation = 5, .node = 1};

    origin = fixture_new(SEED);
    origin->with_snapshots = true;
    for (uint32_t life = 0; life < LIVES; life++)
        lead_life(origin);
    const int made = superblock_format(origin->disk, sector, &fresh);
    ASSERT(made == 0);
    scratch = fixture_new(SEED);
    const int64_t count = disk_list(origin->disk, "", names, DISK_FILES_MAX);
    ASSERT(count > 1);
    name_count = (uint32_t)count;
}

/* Of nothing that lies on a disk: all is about changes, so any number is valid. */
size_t fuzz_draw(uint64_t number, uint8_t *out, size_t size_max)
{
    struct change c = {.width = 8, .value = number};

    if (size_max < sizeof c)
        return 0;
    c.file = (uint8_t)(number >> 8);
    c.sealed = 1;
    c.sector = (uint16_t)(number >> 16);
    c.at = (uint16_t)(number >> 32);
    memcpy(out, &c, sizeof c);
    return sizeof c;
}

void fuzz_seal(uint8_t *bytes, size_t size)
{
    for (size_t at = 0; at + sizeof(struct change) <= size; at += sizeof(struct change))
        bytes[at + offsetof(struct change, sealed)] = 1;
}

static void seal_row(uint8_t *sector)
{
    const uint64_t crc = crc64(0, sector, offsetof(struct snapshot_row, row_crc));

    memcpy(sector + offsetof(struct snapshot_row, row_crc), &crc, sizeof crc);
}

static void seal(uint8_t *sector)
{
    uint32_t magic;
    size_t place = SUPERBLOCK_CRC;

    memcpy(&magic, sector, sizeof magic);
    if (magic == SNAPSHOT_ROW_MAGIC) {
        seal_row(sector);
        return;
    }
    if (magic == BATCH_MAGIC)
        place = offsetof(struct batch_header, header_crc);
    else if (magic == SEGMENT_MAGIC)
        place = offsetof(struct segment_header, header_crc);
    else if (magic == SNAPSHOT_MAGIC)
        place = offsetof(struct snapshot_header, header_crc);
    const uint32_t crc = crc32c(0, sector, place);
    memcpy(sector + place, &crc, sizeof crc);
}

static void make_change(struct disk *d, const struct change *c)
{
    uint64_t length;
    uint64_t value = 0;
    const size_t width = c->width % (sizeof value + 1);

    uint8_t *const bytes = disk_sim_bytes(d, names[c->file % name_count], &length);
    if (bytes == NULL || length < DISK_SECTOR)
        return;
    uint8_t *const sector = bytes + c->sector % (length / DISK_SECTOR) * DISK_SECTOR;
    uint8_t *const at = sector + c->at % (FRONT_BYTES - sizeof value);
    memcpy(&value, at, width);
    value = c->adds % 2 == 1 ? value + c->value : c->value;
    memcpy(at, &value, width);
    if (c->sealed % 2 == 1)
        seal(sector);
}

/* Refused, and the file as it was; or a later boot. */
static void try_superblock(struct disk *d)
{
    static _Alignas(DISK_SECTOR) uint8_t sector[DISK_SECTOR];
    uint8_t before[SUPERBLOCK_COPIES * DISK_SECTOR];
    struct superblock s, again;
    uint64_t length;

    const uint8_t *bytes = disk_sim_bytes(d, "superblock", &length);
    ASSERT(length == sizeof before);
    memcpy(before, bytes, sizeof before);
    const int result = superblock_read(d, sector, &s);
    bytes = disk_sim_bytes(d, "superblock", &length);
    ASSERT(memcmp(bytes, before, sizeof before) == 0);
    if (result != 0)
        return;
    const uint32_t boot = s.boot;
    const int booted = superblock_boot(d, sector, &s);
    ASSERT(booted == 0);
    const int read = superblock_read(d, sector, &again);
    ASSERT(read == 0);
    ASSERT(again.boot >
           boot); /* more than one: a copy is lost, and stays so if the other is in its place */
    ASSERT(again.incarnation == s.incarnation);
}

/* -1 of the fixture: it is not the log that was written, which no change here leaves it. */
static void try_log(struct fixture *f)
{
    const uint64_t before = fixture_hash(f);
    const int opened = fixture_try_open(f);

    if (opened < 0 && opened != -1) {
        ASSERT(fixture_hash(f) == before);
        return;
    }
    const struct wal_recovered found = f->recovered;
    disk_sim_power_cut(f->disk);
    const int again = fixture_try_open(f);
    ASSERT(again >= 0 || again == -1);
    ASSERT(f->recovered.last == found.last);
    ASSERT(f->recovered.last_chain == found.last_chain);
    ASSERT(f->recovered.term == found.term);
    ASSERT(f->recovered.base.index == found.base.index);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct change c;

    if (origin == NULL)
        make_origin();
    fixture_assign(scratch, origin, SEED);
    for (size_t i = 0; i < CHANGES_MAX && (i + 1) * sizeof c <= size; i++) {
        memcpy(&c, bytes + i * sizeof c, sizeof c);
        make_change(scratch->disk, &c);
    }
    try_superblock(scratch->disk);
    try_log(scratch);
    return 0;
}
