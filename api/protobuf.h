/* api/protobuf.h: the protobuf wire format, read without copies and written within bounds.
 *
 * Reading    proto_next() walks the fields of one message. It follows no nesting by itself: a
 *            message inside is a byte string, and the caller opens a reader on it, so depth is the
 *            caller's and there is no recursion. Groups, which nobody sends any more, are skipped
 *            up to PROTO_GROUP_DEPTH_MAX deep.
 * Leniency   Fields may come in any order and repeat (the last wins, as everywhere); unknown ones
 *            are the caller's to ignore. A known field of a wrong wire type is a malformed message.
 * Writing    Into a buffer that the caller sized; what does not fit sets `full` and writes nothing.
 * Thread     Pure functions.
 */
#ifndef API_PROTOBUF_H
#define API_PROTOBUF_H

#include <stdbool.h>
#include <stdint.h>

enum {
    PROTO_VARINT_BYTES_MAX = 10,
    PROTO_GROUP_DEPTH_MAX = 16,
    PROTO_FIELD_MAX = (1 << 29) - 1,
};

enum proto_wire {
    PROTO_VARINT = 0,
    PROTO_FIXED64 = 1,
    PROTO_BYTES = 2,
    PROTO_GROUP = 3,
    PROTO_GROUP_END = 4,
    PROTO_FIXED32 = 5,
};

struct proto_reader {
    const uint8_t *at;
    const uint8_t *end;
    bool bad; /* the message is malformed; nothing more comes out of it */
};

struct proto_field {
    uint32_t number;
    uint8_t wire;         /* enum proto_wire; never PROTO_GROUP_END */
    uint32_t length;      /* PROTO_BYTES */
    const uint8_t *bytes; /* PROTO_BYTES: within the message */
    uint64_t value;       /* the other wires */
};

void proto_read(struct proto_reader *r, const uint8_t *bytes, uint32_t length);
/* False: no field follows, or `bad`. */
bool proto_next(struct proto_reader *r, struct proto_field *field);

/* The field's value, or false when it has another wire type. */
bool proto_take_int64(const struct proto_field *field, int64_t *value);
bool proto_take_bool(const struct proto_field *field, bool *value);
bool proto_take_bytes(const struct proto_field *field, const uint8_t **bytes, uint32_t *length);

struct proto_writer {
    uint8_t *bytes;
    uint32_t size;
    uint32_t used;
    bool full;
};

uint32_t proto_varint_bytes(uint64_t value);
/* Bytes that proto_put_*() below will write; default values are left out, as in proto3. */
uint32_t proto_uint_bytes(uint32_t field, uint64_t value);
uint32_t proto_string_bytes(uint32_t field, uint32_t length);

void proto_put_uint(struct proto_writer *w, uint32_t field, uint64_t value);
void proto_put_string(struct proto_writer *w, uint32_t field, const void *bytes, uint32_t length);
/* Key and length of a byte string or message; its `length` bytes are for the caller to append. */
void proto_put_head(struct proto_writer *w, uint32_t field, uint32_t length);

#endif
