/* store/command.c: the bytes of commands and queries.
 *
 * One form only: what decodes encodes to the same bytes again, so that two nodes that hold the
 * same record hold the same command. Everything unknown or out of its range is refused.
 *
 * | kind   | fixed part: offset, field, (bytes)                             | then            |
 * |--------|----------------------------------------------------------------|-----------------|
 * | PUT    | 0 kind, 1 flags, 2 zero (2), 4 key_bytes (4),                  | key, value,     |
 * |        | 8 value_bytes (4), 12 zero (4), 16 lease (8)                   | zeros up to 8   |
 * | DELETE | 0 kind, 1 flags, 2 zero (2), 4 key_bytes (4),                  | key, range end, |
 * |        | 8 range_end_bytes (4), 12 zero (4)                             | zeros up to 8   |
 * | RANGE  | 0 kind, 1 flags, 2 sort_order, 3 sort_target, 4 key_bytes (4), | key, range end, |
 * |        | 8 range_end_bytes (4), 12 zero (4), 16 limit (8),              | zeros up to 8   |
 * |        | 24 revision (8), 32 min_mod (8), 40 max_mod (8),               |                 |
 * |        | 48 min_create (8), 56 max_create (8)                           |                 |
 * | DIGEST | 0 kind, 1 zero (7)                                             |                 |
 */
#include "store/command.h"

#include "base/assert.h"
#include "base/record.h"
#include "base/zeros.h"

#include <string.h>

enum { COMMAND_ALIGN = 8, COMMAND_DIGEST_BYTES = 8 };

/* What all kinds but DIGEST begin with. */
struct command_start {
    uint8_t kind;
    uint8_t flags;
    uint8_t sort_order;
    uint8_t sort_target;
    uint32_t key_bytes;
    uint32_t tail_bytes; /* of the value or the range end */
    uint32_t zero;
};

struct command_put {
    struct command_start start;
    int64_t lease;
};

struct command_range {
    struct command_start start;
    int64_t limit;
    int64_t revision;
    int64_t min_mod, max_mod, min_create, max_create;
};

static_assert(sizeof(struct command_start) == 16, "the struct is the format");
static_assert(sizeof(struct command_put) == 24, "the struct is the format");
static_assert(sizeof(struct command_range) == 64, "the struct is the format");
static_assert(sizeof(struct command_range) <= COMMAND_FIXED_BYTES_MAX, "callers size by it");
static_assert(COMMAND_TEXT_BYTES_MAX == COMMAND_ITEM_BYTES_MAX - sizeof(struct result_item),
              "what fits in a command fits in a result");
static_assert(COMMAND_TEXT_BYTES_MAX + sizeof(struct command_put) <= RECORD_PAYLOAD_BYTES_MAX,
              "the largest put fits in a record");
static_assert(COMMAND_TEXT_BYTES_MAX % COMMAND_ALIGN == 0, "padding stays within the bounds");

/* Of the fixed part; 0 for no kind of ours. */
static uint32_t fixed_bytes(uint8_t kind)
{
    switch (kind) {
    case COMMAND_PUT:
        return sizeof(struct command_put);
    case COMMAND_DELETE_RANGE:
        return sizeof(struct command_start);
    case QUERY_RANGE:
        return sizeof(struct command_range);
    case QUERY_DIGEST:
        return COMMAND_DIGEST_BYTES;
    default:
        return 0;
    }
}

static uint8_t known_flags(uint8_t kind)
{
    switch (kind) {
    case COMMAND_PUT:
        return COMMAND_PREV_KV | COMMAND_IGNORE_VALUE | COMMAND_IGNORE_LEASE;
    case COMMAND_DELETE_RANGE:
        return COMMAND_PREV_KV;
    case QUERY_RANGE:
        return QUERY_KEYS_ONLY | QUERY_COUNT_ONLY;
    default:
        return 0;
    }
}

static uint32_t padded(uint32_t bytes)
{
    return (bytes + COMMAND_ALIGN - 1) & ~(uint32_t)(COMMAND_ALIGN - 1);
}

/* Whether the two strings may stand in a command: a key there is, and an item of both fits. */
static bool text_fits(uint32_t key_bytes, uint32_t tail_bytes)
{
    return key_bytes > 0 && (uint64_t)key_bytes + tail_bytes <= COMMAND_TEXT_BYTES_MAX;
}

static struct command_bytes tail_of(const struct command *command)
{
    return command->kind == COMMAND_PUT ? command->value : command->range_end;
}

/* Rules between the fields, after each is in its own range. */
static bool fields_agree(const struct command *command)
{
    if ((command->flags & ~known_flags(command->kind)) != 0)
        return false;
    if (command->sort_order > SORT_DESCEND || command->sort_target > SORT_VALUE)
        return false;
    if (command->kind != QUERY_RANGE && (command->sort_order != 0 || command->sort_target != 0))
        return false;
    if ((command->flags & COMMAND_IGNORE_LEASE) != 0 && command->lease != 0)
        return false;
    return (command->flags & COMMAND_IGNORE_VALUE) == 0 || command->value.length == 0;
}

uint32_t command_bytes(const struct command *command)
{
    const uint32_t fixed = fixed_bytes(command->kind);
    const struct command_bytes tail = tail_of(command);

    if (fixed == 0 || !fields_agree(command))
        return 0;
    if (command->kind == QUERY_DIGEST)
        return fixed;
    if (!text_fits(command->key.length, tail.length))
        return 0;
    return padded(fixed + command->key.length + tail.length);
}

static void put_text(uint8_t *out, struct command_bytes text)
{
    ASSERT(text.length == 0 || text.bytes != NULL);
    if (text.length > 0)
        memcpy(out, text.bytes, text.length);
}

uint32_t command_encode(const struct command *command, uint8_t *out)
{
    const uint32_t length = command_bytes(command);
    const uint32_t fixed = fixed_bytes(command->kind);
    const struct command_bytes tail = tail_of(command);
    struct command_range fields = {
        .start = {.kind = command->kind,
                  .flags = command->flags,
                  .sort_order = command->sort_order,
                  .sort_target = command->sort_target,
                  .key_bytes = command->key.length,
                  .tail_bytes = tail.length},
        .limit = command->kind == COMMAND_PUT ? command->lease : command->limit,
        .revision = command->revision,
        .min_mod = command->min_mod,
        .max_mod = command->max_mod,
        .min_create = command->min_create,
        .max_create = command->max_create,
    };

    ASSERT(length > 0);
    ASSERT(fixed <= sizeof fields);
    if (command->kind == QUERY_DIGEST)
        fields = (struct command_range){.start = {.kind = QUERY_DIGEST}};
    memset(out + length - COMMAND_ALIGN, 0, COMMAND_ALIGN); /* the padding, if there is any */
    memcpy(out, &fields, fixed);
    if (command->kind == QUERY_DIGEST)
        return length;
    put_text(out + fixed, command->key);
    put_text(out + fixed + command->key.length, tail);
    return length;
}

static_assert(offsetof(struct command_put, lease) == offsetof(struct command_range, limit),
              "encode and decode share the place");

/* The fields of the fixed part that only some kinds have. */
static void take_numbers(const struct command_range *fields, struct command *command)
{
    if (command->kind == COMMAND_PUT)
        command->lease = fields->limit;
    if (command->kind != QUERY_RANGE)
        return;
    command->limit = fields->limit;
    command->revision = fields->revision;
    command->min_mod = fields->min_mod;
    command->max_mod = fields->max_mod;
    command->min_create = fields->min_create;
    command->max_create = fields->max_create;
}

bool command_decode(const uint8_t *bytes, uint32_t length, struct command *command)
{
    const uint32_t fixed = length > 0 ? fixed_bytes(bytes[0]) : 0;
    struct command_range fields = {.start = {.kind = 0}};

    if (fixed == 0 || length < fixed)
        return false;
    if (bytes[0] == QUERY_DIGEST) {
        *command = (struct command){.kind = QUERY_DIGEST};
        return length == fixed && bytes_are_zero(bytes + 1, fixed - 1);
    }
    memcpy(&fields, bytes, fixed);
    const struct command_start start = fields.start;
    if (start.zero != 0 || !text_fits(start.key_bytes, start.tail_bytes))
        return false;
    const uint32_t used = fixed + start.key_bytes + start.tail_bytes;
    if (length != padded(used) || !bytes_are_zero(bytes + used, length - used))
        return false;

    const struct command_bytes tail = {
        .bytes = start.tail_bytes > 0 ? bytes + fixed + start.key_bytes : NULL,
        .length = start.tail_bytes,
    };
    *command = (struct command){
        .kind = start.kind,
        .flags = start.flags,
        .sort_order = start.sort_order,
        .sort_target = start.sort_target,
        .key = {.bytes = bytes + fixed, .length = start.key_bytes},
    };
    if (start.kind == COMMAND_PUT)
        command->value = tail;
    else
        command->range_end = tail;
    take_numbers(&fields, command);
    return fields_agree(command);
}
