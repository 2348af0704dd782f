/* Goal:   a record that is not exactly what a leader wrote is refused, whatever was done to it, and
 *         the format of version 1 never changes unnoticed.
 * Method: one golden record, byte for byte; then a valid record is damaged in every way that has a
 *         name: each bit flipped, each length cut, each field out of its range under a right
 * checksum.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/crc32c.h"
#include "base/record.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

enum {
    SAMPLE_PAYLOAD_BYTES = 45, /* three bytes of padding */
    SAMPLE_BYTES = RECORD_HEADER_BYTES + 48,
    SAMPLE_CLUSTER = 77,
};

struct sample {
    alignas(RECORD_ALIGN) uint8_t bytes[SAMPLE_BYTES];
};

static struct record_spec sample_spec(void)
{
    static const char payload[SAMPLE_PAYLOAD_BYTES] =
        "a payload that is not a multiple of eight lo";

    return (struct record_spec){
        .type = RECORD_COMMAND,
        .cluster = SAMPLE_CLUSTER,
        .group = 0,
        .index = 1234567,
        .term = 89,
        .chain = 0xdeadbeef,
        .origin = {.request = 0x0102030405060708, .boot = 11, .node = 3},
        .payload = payload,
        .payload_bytes = SAMPLE_PAYLOAD_BYTES,
    };
}

static struct sample sample_make(void)
{
    const struct record_spec spec = sample_spec();
    struct sample s;

    memset(&s, 0xaa, sizeof s);
    (void)record_encode(&spec, s.bytes);
    return s;
}

/* The table of docs/formats.md, spelled out once by hand. */
static void bytes_are_the_format(void **state)
{
    (void)state;
    static const uint8_t golden[] = {
        0x53, 0x4b, 0x01, 0x03, 0x05, 0x00, 0x00, 0x00, /* magic, version, type, payload bytes */
        0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, /* cluster */
        0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, /* index */
        0x07, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, /* term */
        0x09, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, /* origin request */
        0x05, 0x00, 0x00, 0x00, 0x04, 0x00, 0x01, 0x00, /* origin boot, node; group */
        0x4c, 0xbb, 0x71, 0x9a, 0xef, 0xbe, 0xad, 0xde, /* payload checksum, chain */
        0x00, 0x00, 0x00, 0x00, 0xb5, 0x4a, 0x54, 0xc4, /* reserved, header checksum */
        'h',  'e',  'l',  'l',  'o',  0x00, 0x00, 0x00, /* payload, padding */
    };
    const struct record_spec spec = {
        .type = RECORD_COMMAND,
        .cluster = 0x1122334455667788,
        .group = 1,
        .index = 2,
        .term = 7,
        .chain = 0xdeadbeef,
        .origin = {.request = 9, .boot = 5, .node = 4},
        .payload = "hello",
        .payload_bytes = 5,
    };
    struct sample s;

    memset(&s, 0xaa, sizeof s);
    const uint32_t header_crc = record_encode(&spec, s.bytes);
    assert_memory_equal(s.bytes, golden, sizeof golden);
    assert_int_equal(header_crc, record_at(s.bytes)->header_crc);
    assert_int_equal(s.bytes[sizeof golden], 0xaa); /* nothing is written behind it */
}

static void good_record_is_accepted_at_any_address(void **state)
{
    (void)state;
    const struct sample s = sample_make();

    for (uint32_t shift = 0; shift < RECORD_ALIGN; shift++) {
        uint8_t moved[SAMPLE_BYTES + RECORD_ALIGN];
        memcpy(moved + shift, s.bytes, SAMPLE_BYTES);
        assert_int_equal(record_check(moved + shift, SAMPLE_BYTES, SAMPLE_CLUSTER), RECORD_OK);
        assert_int_equal(record_check(moved + shift, SAMPLE_BYTES, 0), RECORD_OK);
        assert_int_equal(record_check_header(moved + shift, RECORD_HEADER_BYTES, 0), RECORD_OK);
    }
}

static void payload_in_place_gives_the_same_bytes(void **state)
{
    (void)state;
    const struct sample s = sample_make();
    struct record_spec spec = sample_spec();
    struct sample in_place;

    memset(&in_place, 0x55, sizeof in_place);
    memcpy(in_place.bytes + RECORD_HEADER_BYTES, spec.payload, spec.payload_bytes);
    spec.payload = NULL;
    (void)record_encode(&spec, in_place.bytes);
    assert_memory_equal(s.bytes, in_place.bytes, SAMPLE_BYTES);
}

static void every_flipped_bit_is_detected(void **state)
{
    (void)state;
    struct sample s = sample_make();

    for (uint32_t bit = 0; bit < SAMPLE_BYTES * 8; bit++) {
        const bool in_header = bit < RECORD_HEADER_BYTES * 8;
        s.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(record_check(s.bytes, SAMPLE_BYTES, SAMPLE_CLUSTER),
                         in_header ? RECORD_BAD_HEADER : RECORD_BAD_PAYLOAD);
        assert_int_equal(record_check_header(s.bytes, SAMPLE_BYTES, SAMPLE_CLUSTER),
                         in_header ? RECORD_BAD_HEADER : RECORD_OK);
        s.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_int_equal(record_check(s.bytes, SAMPLE_BYTES, SAMPLE_CLUSTER), RECORD_OK);
}

/* Each length is checked in memory of just that size, so that ASan sees a read beyond it. */
static void every_shorter_input_is_short(void **state)
{
    (void)state;
    const struct sample s = sample_make();

    for (size_t length = 0; length < SAMPLE_BYTES; length++) {
        uint8_t *const cut = malloc(length + (length == 0));
        assert_non_null(cut);
        memcpy(cut, s.bytes, length);
        assert_int_equal(record_check(cut, length, SAMPLE_CLUSTER), RECORD_SHORT);
        assert_int_equal(record_check_header(cut, length, SAMPLE_CLUSTER),
                         length < RECORD_HEADER_BYTES ? RECORD_SHORT : RECORD_OK);
        free(cut);
    }
}

static void foreign_cluster_is_told_apart(void **state)
{
    (void)state;
    const struct sample s = sample_make();

    assert_int_equal(record_check(s.bytes, SAMPLE_BYTES, SAMPLE_CLUSTER + 1), RECORD_FOREIGN);
    assert_int_equal(record_check_header(s.bytes, SAMPLE_BYTES, SAMPLE_CLUSTER + 1),
                     RECORD_FOREIGN);
}

/* The sample with its header replaced and checksummed anew, as a wrong sender would do it. */
static void check_forged(const struct record_header *header, enum record_verdict expected)
{
    struct record_header forged = *header;
    struct sample s = sample_make();

    forged.header_crc = crc32c(0, &forged, offsetof(struct record_header, header_crc));
    memcpy(s.bytes, &forged, sizeof forged);
    assert_int_equal(record_check(s.bytes, SAMPLE_BYTES, 0), expected);
    assert_int_equal(record_check_header(s.bytes, SAMPLE_BYTES, 0), expected);
}

static void fields_out_of_range_are_refused(void **state)
{
    (void)state;
    const struct sample s = sample_make();
    const struct record_header good = *record_at(s.bytes);
    struct record_header bad[] = {good, good, good, good, good, good,
                                  good, good, good, good, good, good};

    bad[0].magic++;
    bad[1].version = RECORD_VERSION + 1;
    bad[2].version = 0;
    bad[3].type = 0;
    bad[4].type = RECORD_SNAPSHOT + 1;
    bad[5].payload_bytes = RECORD_PAYLOAD_BYTES_MAX + 1;
    bad[6].index = 0;
    bad[7].index = RECORD_WORD_MAX + 1;
    bad[8].term = 0;
    bad[9].term = RECORD_WORD_MAX + 1;
    bad[10].reserved = 1;
    bad[11].index = 1; /* nothing stands before it that its chain could name */

    check_forged(&good, RECORD_OK);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        check_forged(&bad[i], RECORD_BAD_HEADER);
}

static void some_types_have_no_payload(void **state)
{
    (void)state;
    const enum record_type types[] = {RECORD_EMPTY, RECORD_SNAPSHOT};

    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        const struct record_spec spec = {.type = types[i], .index = 1, .term = RECORD_WORD_MAX};
        struct sample s;
        (void)record_encode(&spec, s.bytes);
        assert_int_equal(record_check(s.bytes, RECORD_HEADER_BYTES, 0), RECORD_OK);

        struct record_header with_payload = *record_at(s.bytes);
        with_payload.payload_bytes = SAMPLE_PAYLOAD_BYTES;
        check_forged(&with_payload, RECORD_BAD_HEADER);
    }
}

static void largest_payload_passes(void **state)
{
    (void)state;
    const uint32_t total = record_bytes(RECORD_PAYLOAD_BYTES_MAX);
    uint8_t *const bytes = aligned_alloc(RECORD_ALIGN, total);
    struct record_spec spec = sample_spec();

    assert_non_null(bytes);
    memset(bytes, 0x5a, total);
    spec.payload = NULL;
    spec.payload_bytes = RECORD_PAYLOAD_BYTES_MAX;
    (void)record_encode(&spec, bytes);
    assert_int_equal(record_check(bytes, total, SAMPLE_CLUSTER), RECORD_OK);
    assert_int_equal(record_check(bytes, total - 1, SAMPLE_CLUSTER), RECORD_SHORT);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_the_format),
        cmocka_unit_test(good_record_is_accepted_at_any_address),
        cmocka_unit_test(payload_in_place_gives_the_same_bytes),
        cmocka_unit_test(every_flipped_bit_is_detected),
        cmocka_unit_test(every_shorter_input_is_short),
        cmocka_unit_test(foreign_cluster_is_told_apart),
        cmocka_unit_test(fields_out_of_range_are_refused),
        cmocka_unit_test(some_types_have_no_payload),
        cmocka_unit_test(largest_payload_passes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
