/* Goal:   the protobuf reader takes every well-formed message, refuses every malformed one, and
 *         never reads beyond it; what the writer writes, it reads.
 * Method: round trips over values at the edges of varints; hand-made messages cut off at every
 *         byte; random bytes in buffers of exact size (under ASan a read beyond would stop the
 * run).
 */
#include "api/protobuf.h"
#include "base/prng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { FUZZ_ROUNDS = 200000, FUZZ_BYTES_MAX = 64 };

static const uint64_t edges[] = {1,          0x7f,       0x80,       0x3fff,
                                 0x4000,     UINT32_MAX, 1ULL << 32, 1ULL << 56,
                                 1ULL << 62, 1ULL << 63, UINT64_MAX};

static void round_trip(void **state)
{
    uint8_t bytes[256];

    (void)state;
    for (size_t i = 0; i < sizeof edges / sizeof edges[0]; i++) {
        struct proto_writer w = {.bytes = bytes, .size = sizeof bytes};
        struct proto_reader r;
        struct proto_field f;

        proto_put_uint(&w, 1, edges[i]);
        assert_int_equal(w.used, proto_uint_bytes(1, edges[i]));
        proto_put_string(&w, PROTO_FIELD_MAX, "a\0b", 3);
        proto_put_uint(&w, 2, 0); /* a default: nothing is written */
        proto_put_string(&w, 2, "", 0);
        assert_false(w.full);
        assert_int_equal(w.used,
                         proto_uint_bytes(1, edges[i]) + proto_string_bytes(PROTO_FIELD_MAX, 3));

        proto_read(&r, bytes, w.used);
        assert_true(proto_next(&r, &f));
        assert_int_equal(f.number, 1);
        assert_int_equal(f.wire, PROTO_VARINT);
        assert_true(f.value == edges[i]);
        assert_true(proto_next(&r, &f));
        assert_int_equal(f.number, PROTO_FIELD_MAX);
        assert_int_equal(f.length, 3);
        assert_memory_equal(f.bytes, "a\0b", 3);
        assert_false(proto_next(&r, &f));
        assert_false(r.bad);
    }
}

static void writer_is_bounded(void **state)
{
    uint8_t bytes[8];

    (void)state;
    memset(bytes, 0xee, sizeof bytes);
    struct proto_writer w = {.bytes = bytes, .size = 4};
    proto_put_string(&w, 1, "abc", 3);
    assert_true(w.full);
    assert_int_equal(w.used, 0);
    proto_put_uint(&w, 1, 1); /* once full, always full: no message with a hole */
    assert_int_equal(w.used, 0);
    for (size_t i = 0; i < sizeof bytes; i++)
        assert_int_equal(bytes[i], 0xee);
}

/* Fields read until the end; -1: malformed. In a copy of exact size, for ASan's eyes. */
static int fields_of(const void *message, size_t length)
{
    uint8_t *copy = malloc(length > 0 ? length : 1);
    struct proto_reader r;
    struct proto_field f;
    int count = 0;

    assert_non_null(copy);
    memcpy(copy, message, length);
    proto_read(&r, copy, (uint32_t)length);
    while (proto_next(&r, &f)) {
        if (f.wire == PROTO_BYTES) {
            assert_true(f.bytes >= copy);
            assert_true(f.bytes + f.length <= copy + length);
        }
        count++;
    }
    const bool bad = r.bad;
    assert_false(proto_next(&r, &f)); /* the end is final */
    free(copy);
    return bad ? -1 : count;
}

static void truncated(void **state)
{
    /* varint, 64 bits, bytes, 32 bits, and a group with a group inside */
    static const uint8_t message[] = {0x08, 0x96, 0x01, 0x11, 1,    2,    3,    4,    5, 6,
                                      7,    8,    0x1a, 3,    'a',  'b',  'c',  0x25, 1, 2,
                                      3,    4,    0x2b, 0x33, 0x08, 0x01, 0x34, 0x2c};
    static const size_t whole[] = {0, 3, 12, 17, 22, sizeof message}; /* ends of fields */

    (void)state;
    for (size_t length = 0; length <= sizeof message; length++) {
        int expected = -1;
        for (size_t i = 0; i < sizeof whole / sizeof whole[0]; i++)
            expected = whole[i] == length ? (int)i : expected;
        assert_int_equal(fields_of(message, length), expected);
    }
}

static void malformed(void **state)
{
    static const struct {
        const char *bytes;
        size_t length;
    } cases[] = {
        {"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12}, /* a varint of 11 bytes */
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11},     /* the same as a key */
        {"\x00\x01", 2},                                          /* field 0 */
        {"\x80\x80\x80\x80\x10\x01", 6},                          /* a field above 2^29 */
        {"\x0e\x01", 2},                                          /* wire type 6 */
        {"\x0c", 1},                                              /* a group ends unopened */
        {"\x0b\x14", 2},                                          /* another group ends */
        {"\x0a\x05"
         "abc",
         5},                                                  /* longer than the message */
        {"\x0a\xff\xff\xff\xff\x0f", 6},                      /* 4 GiB */
        {"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11}, /* 2^64 - 1 */
    };
    uint8_t groups[2 * (PROTO_GROUP_DEPTH_MAX + 1)];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(fields_of(cases[i].bytes, cases[i].length), -1);

    memset(groups, 0x0b, sizeof groups / 2);
    memset(groups + sizeof groups / 2, 0x0c, sizeof groups / 2);
    assert_int_equal(fields_of(groups, sizeof groups), -1);        /* one too deep */
    assert_int_equal(fields_of(groups + 1, sizeof groups - 2), 1); /* just not */
}

static void wrong_wire_types(void **state)
{
    const struct proto_field text = {.number = 1, .wire = PROTO_BYTES};
    const struct proto_field number = {.number = 1, .wire = PROTO_VARINT, .value = 5};
    const uint8_t *bytes;
    uint32_t length;
    int64_t value;
    bool flag;

    (void)state;
    assert_false(proto_take_int64(&text, &value));
    assert_false(proto_take_bool(&text, &flag));
    assert_false(proto_take_bytes(&number, &bytes, &length));
    assert_true(proto_take_int64(&number, &value));
    assert_int_equal(value, 5);
    assert_true(proto_take_bool(&number, &flag));
    assert_true(flag);
}

static void random_bytes(void **state)
{
    struct prng prng;
    uint8_t bytes[FUZZ_BYTES_MAX];

    (void)state;
    prng_seed(&prng, 20);
    for (uint32_t round = 0; round < FUZZ_ROUNDS; round++) {
        const uint32_t length = (uint32_t)prng_below(&prng, FUZZ_BYTES_MAX + 1);
        for (uint32_t i = 0; i < length; i++)
            bytes[i] = (uint8_t)prng_next(&prng);
        (void)fields_of(bytes, length);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),       cmocka_unit_test(writer_is_bounded),
        cmocka_unit_test(truncated),        cmocka_unit_test(malformed),
        cmocka_unit_test(wrong_wire_types), cmocka_unit_test(random_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
