/* Goal:   a header whose checksum is right and that no writer would have sealed is refused, field by
 *         field, and ends no process: whoever can write to the disk can make a checksum too.
 * Method: headers of batches by hand; and a small log of several lives whose headers, one field at a
 *         time, get numbers up to 2^64 and a new checksum before a start.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/crc32c.h"
#include "persist/batch.h"
#include "persist/segment.h"
#include "tests/persist/fixture.h"

enum { NAMES_MAX = 32 };

/* `width` bytes of a header at `at` get a value, and the header its checksum. */
static void forge(uint8_t *header, uint32_t bytes, uint32_t at, uint32_t width, uint64_t value)
{
    memcpy(header + at, &value, width);
    const uint32_t crc = crc32c(0, header, bytes - 4);
    memcpy(header + bytes - 4, &crc, sizeof crc);
}

/* A start over the log in which a header says what no writer ever says. */
static void start_with_forged(const struct fixture *f, const char *name, uint64_t offset,
                              uint32_t bytes)
{
    static const uint64_t values[] = {0,         1, 4096, 1ull << 62, 1ull << 63, UINT64_MAX - 1,
                                      UINT64_MAX};
    static struct fixture *t;
    uint64_t length;

    if (t == NULL)
        t = fixture_new(1);
    for (uint32_t at = 4; at + 4 < bytes && at < 176;
         at += 4) { /* the manifest's configuration is behind */
        for (uint32_t i = 0; i < 2 * sizeof values / sizeof values[0]; i++) {
            const uint32_t width = i % 2 == 0 && at + 8 < bytes ? 8 : 4;
            fixture_assign(t, f, i);
            uint8_t *file = disk_sim_bytes(t->disk, name, &length);
            forge(file + offset, bytes, at, width, values[i / 2]);
            if (bytes == SEGMENT_HEADER_BYTES) /* the other copy says the same */
                memcpy(file + DISK_SECTOR, file, DISK_SECTOR);
            (void)fixture_try_open(t); /* whatever comes of it, but an end */
        }
    }
}

/* Lengths, counts and numbers near 2^64 read nothing that is not there. */
static void forged_numbers_end_no_process(void **state)
{
    (void)state;
    for (uint64_t seed = 30; seed < 32; seed++) {
        struct fixture *f = seed % 2 == 0 ? fixture_lives(seed) : fixture_lives_cut(seed);
        static char names[NAMES_MAX][DISK_NAME_BYTES];
        const int64_t count = disk_list(f->disk, SEGMENT_NAME_PREFIX, names, NAMES_MAX);
        for (int64_t i = 0; i < count; i++) {
            uint64_t length;
            const uint8_t *bytes = disk_sim_bytes(f->disk, names[i], &length);
            start_with_forged(f, names[i], 0, SEGMENT_HEADER_BYTES);
            for (uint64_t at = SEGMENT_DATA_OFFSET; at < length; at += 3 * DISK_SECTOR)
                if (memcmp(bytes + at, "SKBH", 4) == 0)
                    start_with_forged(f, names[i], at, BATCH_HEADER_BYTES);
        }
        fixture_delete(f);
    }
}

/* What is not what a writer would have sealed. */
static void impossible_headers_are_none(void **state)
{
    (void)state;
    static const struct {
        uint32_t at, width;
        uint64_t value;
    } wrong[] = {
        {6, 2, 0},
        {6, 2, 3}, /* kind */
        {40, 8, 0},
        {40, 8, UINT64_MAX}, /* number */
        {48, 8, UINT64_MAX}, /* first seq above the last */
        {72, 8, 1ull << 40}, /* a mark that is not older */
        {80, 8, 0},
        {80, 8, UINT64_MAX}, /* term below that of the last entry, or malformed */
        {96, 8, 1ull << 40}, /* committed beyond the end */
        {104, 8, 0},
        {112, 8, 0}, /* no last entry, but its term; or the other way round */
        {124, 4, 0},
        {124, 4, 1ull << 20}, /* no records, or too many, in so many bytes */
        {128, 4, 0},
        {128, 4, 65}, /* records in no bytes; not aligned */
        {140, 4, 4},
        {140, 4, BATCH_CUTS}, /* flags: unknown; with records */
    };
    const struct batch_place place = {.node = 3, .generation = 7, .offset = SEGMENT_DATA_OFFSET};
    struct batch_header h = {
        .kind = BATCH_NEW,
        .node = place.node,
        .generation = place.generation,
        .offset = place.offset,
        .number = 5,
        .first_seq = 1,
        .last_seq = 2,
        .term = 4,
        .commit = 2,
        .last_index = 3,
        .last_term = 4,
        .record_count = 1,
        .record_bytes = RECORD_HEADER_BYTES,
    };
    uint8_t bytes[BATCH_HEADER_BYTES];
    struct batch_header out;

    batch_seal(&h);
    memcpy(bytes, &h, sizeof h);
    assert_true(batch_check_header(bytes, &place, &out));
    for (uint32_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        memcpy(bytes, &h, sizeof h);
        forge(bytes, sizeof bytes, wrong[i].at, wrong[i].width, wrong[i].value);
        if (batch_check_header(bytes, &place, &out))
            fail_msg("%llu at %u is taken", (unsigned long long)wrong[i].value, wrong[i].at);
    }
    h.record_count = h.record_bytes = 0;
    batch_seal(&h);
    memcpy(bytes, &h, sizeof h);
    forge(bytes, sizeof bytes, 140, 4, BATCH_FILLS); /* with nothing */
    assert_false(batch_check_header(bytes, &place, &out));
}

/* The log does not get shorter but by records that replace others, or by a base. */
static void header_that_contradicts_its_records(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(20);
    struct batch_header h;

    assert_int_equal(fixture_open(f), 0);
    fixture_extend(f, 3, 100);
    fixture_idle(f); /* the mark is the batch that lies */
    disk_sim_power_cut(f->disk);
    const uint8_t *const records = fixture_batch(f, 3);
    memcpy(&h, records, sizeof h);
    uint8_t *const mark = fixture_batch(f, 3) + batch_bytes(h.record_bytes);
    memcpy(&h, mark, sizeof h);
    assert_int_equal(h.record_count, 0);
    h.last_index = 2;
    h.last_chain = fixture_now(f)->entry[2].chain;
    h.commit = 0;
    batch_seal(&h);
    memcpy(mark, &h, sizeof h);
    assert_int_equal(fixture_try_open(f), -EBADMSG);
    assert_non_null(strstr(f->error, "and its records do not agree"));
    fixture_delete(f);
}

/* Not a generation that was ever given: nobody's file. */
static void name_beyond_all_generations(void **state)
{
    (void)state;
    struct fixture *f = fixture_lives(19);
    const struct disk_op op = {
        .kind = DISK_OP_CREATE, .slot = 9, .length = DISK_SECTOR, .name = "wal-ffffffffffffffff"};

    assert_int_equal(disk_submit(f->disk, &op), 0);
    assert_int_equal(disk_wait(f->disk).result, DISK_SECTOR);
    disk_sim_power_cut(f->disk);
    assert_int_equal(fixture_open(f), 0);
    fixture_delete(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(impossible_headers_are_none),
        cmocka_unit_test(header_that_contradicts_its_records),
        cmocka_unit_test(forged_numbers_end_no_process),
        cmocka_unit_test(name_beyond_all_generations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
