/* api/protobuf.c: what the few messages of the etcd API need of protobuf, and no more.
 *
 * A field:  key varint = number << 3 | wire, then by wire: a varint; 8 or 4 little-endian bytes;
 *           or a varint length and that many bytes.
 */
#include "api/protobuf.h"

#include "base/assert.h"

#include <string.h>

static bool read_varint(struct proto_reader *r, uint64_t *value);
static bool read_key(struct proto_reader *r, uint32_t *number, uint8_t *wire);
static bool read_value(struct proto_reader *r, struct proto_field *field);
static bool read_fixed(struct proto_reader *r, uint32_t bytes, uint64_t *value);
static bool skip_group(struct proto_reader *r, uint32_t number);
static bool writer_room(struct proto_writer *w, uint64_t bytes);
static void write_varint(struct proto_writer *w, uint64_t value);

void proto_read(struct proto_reader *r, const uint8_t *bytes, uint32_t length)
{
    *r = (struct proto_reader){.at = bytes, .end = length > 0 ? bytes + length : bytes};
}

bool proto_next(struct proto_reader *r, struct proto_field *field)
{
    if (r->bad)
        return false;
    if (r->at == r->end)
        return false;

    *field = (struct proto_field){0};
    bool good = read_key(r, &field->number, &field->wire);
    if (good && field->wire == PROTO_GROUP)
        good = skip_group(r, field->number);
    else if (good)
        good = read_value(r, field);
    r->bad = !good;
    ASSERT(r->at <= r->end);
    return good;
}

bool proto_take_int64(const struct proto_field *field, int64_t *value)
{
    if (field->wire != PROTO_VARINT)
        return false;
    *value = (int64_t)field->value;
    return true;
}

bool proto_take_bool(const struct proto_field *field, bool *value)
{
    if (field->wire != PROTO_VARINT)
        return false;
    *value = field->value != 0;
    return true;
}

bool proto_take_bytes(const struct proto_field *field, const uint8_t **bytes, uint32_t *length)
{
    if (field->wire != PROTO_BYTES)
        return false;
    *bytes = field->bytes;
    *length = field->length;
    return true;
}

uint32_t proto_varint_bytes(uint64_t value)
{
    const uint32_t bits = 64 - (uint32_t)__builtin_clzll(value | 1);
    return (bits + 6) / 7;
}

uint32_t proto_uint_bytes(uint32_t field, uint64_t value)
{
    if (value == 0)
        return 0;
    return proto_varint_bytes((uint64_t)field << 3) + proto_varint_bytes(value);
}

uint32_t proto_string_bytes(uint32_t field, uint32_t length)
{
    if (length == 0)
        return 0;
    ASSERT(length <= INT32_MAX); /* protobuf's own limit; the sum can't overflow */
    return proto_varint_bytes((uint64_t)field << 3) + proto_varint_bytes(length) + length;
}

void proto_put_uint(struct proto_writer *w, uint32_t field, uint64_t value)
{
    if (value == 0)
        return;
    if (!writer_room(w, proto_uint_bytes(field, value)))
        return;
    write_varint(w, (uint64_t)field << 3 | PROTO_VARINT);
    write_varint(w, value);
}

void proto_put_string(struct proto_writer *w, uint32_t field, const void *bytes, uint32_t length)
{
    if (length == 0)
        return;
    if (!writer_room(w, proto_string_bytes(field, length)))
        return;
    proto_put_head(w, field, length);
    memcpy(w->bytes + w->used, bytes, length);
    w->used += length;
}

void proto_put_head(struct proto_writer *w, uint32_t field, uint32_t length)
{
    if (!writer_room(w, proto_varint_bytes((uint64_t)field << 3) + proto_varint_bytes(length)))
        return;
    write_varint(w, (uint64_t)field << 3 | PROTO_BYTES);
    write_varint(w, length);
}

/* Bits above the 64th are dropped, as by the generated code of every language. */
static bool read_varint(struct proto_reader *r, uint64_t *value)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < PROTO_VARINT_BYTES_MAX; i++) {
        if (r->at == r->end)
            return false;
        const uint8_t byte = *r->at++;
        sum |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            *value = sum;
            return true;
        }
    }
    return false; /* longer than any 64-bit number */
}

static bool read_key(struct proto_reader *r, uint32_t *number, uint8_t *wire)
{
    uint64_t key;

    if (!read_varint(r, &key))
        return false;
    if (key >> 3 == 0 || key >> 3 > PROTO_FIELD_MAX)
        return false;
    *number = (uint32_t)(key >> 3);
    *wire = key & 7;
    return true;
}

static bool read_value(struct proto_reader *r, struct proto_field *field)
{
    switch (field->wire) {
    case PROTO_VARINT:
        return read_varint(r, &field->value);
    case PROTO_FIXED64:
        return read_fixed(r, 8, &field->value);
    case PROTO_FIXED32:
        return read_fixed(r, 4, &field->value);
    case PROTO_BYTES:
        break;
    default:
        return false; /* an end of group without a group, or no wire type at all */
    }

    uint64_t length;
    if (!read_varint(r, &length))
        return false;
    if (length > (uint64_t)(r->end - r->at))
        return false;
    field->bytes = r->at;
    field->length = (uint32_t)length;
    r->at += length;
    return true;
}

static bool read_fixed(struct proto_reader *r, uint32_t bytes, uint64_t *value)
{
    if ((uint64_t)(r->end - r->at) < bytes)
        return false;
    *value = 0;
    for (uint32_t i = 0; i < bytes; i++)
        *value |= (uint64_t)r->at[i] << (8 * i);
    r->at += bytes;
    return true;
}

/* Goes to the end of the group `number`; each turn consumes at least one byte of the message. */
static bool skip_group(struct proto_reader *r, uint32_t number)
{
    uint32_t open[PROTO_GROUP_DEPTH_MAX] = {number};
    uint32_t depth = 1;
    struct proto_field field = {0};

    while (depth > 0) {
        if (!read_key(r, &field.number, &field.wire))
            return false;
        if (field.wire == PROTO_GROUP_END) {
            if (open[--depth] != field.number)
                return false;
        } else if (field.wire == PROTO_GROUP) {
            if (depth == PROTO_GROUP_DEPTH_MAX)
                return false;
            open[depth++] = field.number;
        } else if (!read_value(r, &field)) {
            return false;
        }
    }
    return true;
}

static bool writer_room(struct proto_writer *w, uint64_t bytes)
{
    ASSERT(w->used <= w->size);
    if (w->size - w->used < bytes)
        w->full = true;
    return !w->full;
}

static void write_varint(struct proto_writer *w, uint64_t value)
{
    while (value >= 0x80) {
        w->bytes[w->used++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    w->bytes[w->used++] = (uint8_t)value;
    ASSERT(w->used <= w->size);
}
