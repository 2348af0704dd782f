/* persist/superblock.c: two copies, written in turn.
 *
 * At each moment at least one copy is whole and flushed: a change goes over the older one, and
 * counts only once it is valid there, which a torn write of one sector can't fake. The file gets its
 * name when both are written, so a copy that is not valid has been lost, whatever stands there.
 */
#include "persist/superblock.h"

#include "base/assert.h"
#include "base/crc32c.h"
#include "base/planted.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

enum {
    SUPERBLOCK_MAGIC = 0x50534b53, /* "SKSP" */
    SUPERBLOCK_VERSION = 1,
    SUPERBLOCK_SLOT = 0,                 /* the log's files have the others */
    SUPERBLOCK_BOOT_MAX = (1 << 24) - 1, /* seq keeps 24 bits of it */
};

struct superblock_bytes {
    uint32_t magic;
    uint16_t version;
    uint16_t node;
    uint64_t cluster;
    uint64_t incarnation;
    uint64_t generation;
    uint32_t boot;
    uint8_t reserved[24];
    uint32_t crc; /* over the 60 bytes before it */
};

static_assert(sizeof(struct superblock_bytes) == 64, "the struct is the format");
static_assert(offsetof(struct superblock_bytes, crc) == 60, "the checksum comes last");
static_assert(sizeof SUPERBLOCK_NAME_MAKING <= DISK_NAME_BYTES, "a name fits");

/* What was ever written, so that the next boot can be counted up from it. */
static bool fields_valid(const struct superblock_bytes *b)
{
    ASSERT(b->magic == SUPERBLOCK_MAGIC);
    ASSERT(b->version == SUPERBLOCK_VERSION); /* another's fields are not ours to judge */
    if (b->cluster == 0 || b->incarnation == 0 || b->node == 0)
        return false;
    return b->generation > 0 && b->generation < UINT64_MAX &&
           b->boot < SUPERBLOCK_BOOT_MAX - SUPERBLOCK_COPIES;
}

static enum superblock_state judge(const uint8_t *sector, struct superblock *out)
{
    struct superblock_bytes b;
    static const uint8_t zeros[sizeof b];

    memcpy(&b, sector, sizeof b);
    if (memcmp(&b, zeros, sizeof b) == 0)
        return SUPERBLOCK_EMPTY;
    if (b.magic != SUPERBLOCK_MAGIC ||
        b.crc != crc32c(0, &b, offsetof(struct superblock_bytes, crc)))
        return SUPERBLOCK_BAD;
    const bool other_version = b.version != SUPERBLOCK_VERSION;
    if (!other_version && !fields_valid(&b))
        return SUPERBLOCK_BAD;
    *out = (struct superblock){
        .cluster = b.cluster,
        .incarnation = b.incarnation,
        .generation = b.generation,
        .boot = b.boot,
        .node = b.node,
        .version = b.version,
    };
    return other_version ? SUPERBLOCK_OTHER_VERSION : SUPERBLOCK_VALID;
}

static int64_t perform(struct disk *d, const struct disk_op *op)
{
    ASSERT(disk_in_flight(d) == 0);
    const int submitted = disk_submit(d, op);
    if (submitted != 0)
        return submitted;
    return disk_wait(d).result;
}

/* Writes `s` to the copy that its generation names, and flushes it. */
static int write_copy(struct disk *d, uint8_t *buffer, const struct superblock *s)
{
    struct superblock_bytes b = {
        .magic = SUPERBLOCK_MAGIC,
        .version = SUPERBLOCK_VERSION,
        .node = s->node,
        .cluster = s->cluster,
        .incarnation = s->incarnation,
        .generation = s->generation,
        .boot = s->boot,
    };
    const struct disk_op op = {
        .kind = planted(PLANTED_BOOT_UNFLUSHED) ? DISK_OP_WRITE : DISK_OP_WRITE_DSYNC,
        .slot = SUPERBLOCK_SLOT,
        .offset = s->generation % SUPERBLOCK_COPIES * DISK_SECTOR,
        .bytes = buffer,
        .length = DISK_SECTOR,
    };

    ASSERT(s->generation > 0);
    ASSERT((uintptr_t)buffer % DISK_SECTOR == 0);
    b.crc = crc32c(0, &b, offsetof(struct superblock_bytes, crc));
    memset(buffer, 0, DISK_SECTOR);
    memcpy(buffer, &b, sizeof b);
    const int64_t written = perform(d, &op);
    if (written == DISK_SECTOR)
        return 0;
    return written < 0 ? (int)written : -EIO;
}

int superblock_format(struct disk *d, uint8_t *buffer, const struct superblock *fresh)
{
    struct disk_op op = {
        .kind = DISK_OP_CREATE,
        .bare = true,
        .name = SUPERBLOCK_NAME_MAKING,
        .slot = SUPERBLOCK_SLOT,
        .length = SUPERBLOCK_COPIES * DISK_SECTOR,
    };
    struct superblock s = *fresh;

    ASSERT(fresh->cluster != 0);
    ASSERT(fresh->incarnation != 0);
    ASSERT(fresh->node != 0);
    const int64_t created = perform(d, &op);
    if (created != (int64_t)op.length)
        return created < 0 ? (int)created : -EIO;
    for (s.generation = 1; s.generation <= SUPERBLOCK_COPIES; s.generation++) {
        const int written = write_copy(d, buffer, &s);
        if (written != 0)
            return written;
    }
    const struct disk_op name = {
        .kind = DISK_OP_RENAME,
        .from = SUPERBLOCK_NAME_MAKING,
        .name = SUPERBLOCK_NAME,
        .slot = SUPERBLOCK_SLOT,
    };
    return (int)perform(d, &name);
}

void superblock_look(struct disk *d, uint8_t *buffer, struct superblock_copy *out)
{
    ASSERT((uintptr_t)buffer % DISK_SECTOR == 0);
    for (uint32_t i = 0; i < SUPERBLOCK_COPIES; i++) {
        const struct disk_op op = {
            .kind = DISK_OP_READ,
            .slot = SUPERBLOCK_SLOT,
            .offset = (uint64_t)i * DISK_SECTOR,
            .bytes = buffer,
            .length = DISK_SECTOR,
        };
        out[i] = (struct superblock_copy){.state = SUPERBLOCK_BAD};
        if (perform(d, &op) == DISK_SECTOR)
            out[i].state = judge(buffer, &out[i].content);
    }
}

const char *superblock_state_text(enum superblock_state state)
{
    static const char *const text[] = {
        [SUPERBLOCK_EMPTY] = "empty",
        [SUPERBLOCK_VALID] = "valid",
        [SUPERBLOCK_BAD] = "damaged",
        [SUPERBLOCK_OTHER_VERSION] = "of another version",
    };

    ASSERT(state < sizeof text / sizeof text[0]);
    return text[state];
}

int superblock_read(struct disk *d, uint8_t *buffer, struct superblock *out)
{
    uint32_t count[SUPERBLOCK_OTHER_VERSION + 1] = {0};
    struct superblock_copy copy[SUPERBLOCK_COPIES];
    const int64_t size = disk_open(d, SUPERBLOCK_NAME, SUPERBLOCK_SLOT);

    ASSERT((uintptr_t)buffer % DISK_SECTOR == 0);
    if (size == -ENOENT)
        return -ENODATA;
    if (size < 0)
        return (int)size;
    out->generation = 0;
    superblock_look(d, buffer, copy);
    for (uint32_t i = 0; i < SUPERBLOCK_COPIES; i++) {
        count[copy[i].state]++;
        if (copy[i].state == SUPERBLOCK_VALID && copy[i].content.generation > out->generation)
            *out = copy[i].content;
    }
    /* A copy of another version may be the newer one: its writer knows, we do not. */
    if (count[SUPERBLOCK_OTHER_VERSION] > 0)
        return -EPROTO;
    if (count[SUPERBLOCK_VALID] == 0)
        return -EBADMSG;
    /* A lost copy may have been the newer one, and its boot one more: never give it again. */
    out->boot += SUPERBLOCK_COPIES - count[SUPERBLOCK_VALID];
    return 0;
}

const char *superblock_problem(int result)
{
    ASSERT(result <= 0);
    switch (result) {
    case 0:
        return "none";
    case -ENODATA:
        return "there is none: the directory was never initialised";
    case -EBADMSG:
        return "both copies are damaged";
    case -EPROTO:
        return "written by another version";
    default:
        return strerror(-result);
    }
}

int superblock_boot(struct disk *d, uint8_t *buffer, struct superblock *inout)
{
    struct superblock next = *inout;

    ASSERT(inout->generation > 0); /* read or formatted before */
    ASSERT(inout->boot < SUPERBLOCK_BOOT_MAX);
    next.boot++;
    next.generation++;
    const int result = write_copy(d, buffer, &next);
    if (result == 0)
        *inout = next;
    return result;
}
