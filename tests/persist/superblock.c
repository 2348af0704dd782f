/* Goal:   at each moment one whole superblock is on disk; a boot number is never given twice.
 * Method: the simulated disk; each operation of format and boot is the last one before a power cut;
 *         then each copy is damaged.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "persist/superblock.h"
#include "sim/disk_sim.h"

static const struct superblock fresh = {.cluster = 7, .incarnation = 9, .node = 2};
static alignas(DISK_SECTOR) uint8_t buffer[DISK_SECTOR];

static struct disk *disk_new(uint64_t seed)
{
    struct disk *d = disk_sim_new(&(struct disk_sim_options){.seed = seed, .latency_ns_max = 100});
    assert_non_null(d);
    return d;
}

static void format_read_boot(void **state)
{
    (void)state;
    struct disk *d = disk_new(1);
    struct superblock s;

    assert_int_equal(superblock_read(d, buffer, &s), -ENODATA);
    assert_int_equal(superblock_format(d, buffer, &fresh), 0);
    for (uint32_t boot = 0; boot < 10; boot++) {
        disk_sim_power_cut(d);
        assert_int_equal(superblock_read(d, buffer, &s), 0);
        assert_int_equal(s.boot, boot);
        assert_int_equal(s.node, fresh.node);
        assert_true(s.cluster == fresh.cluster);
        assert_true(s.incarnation == fresh.incarnation);
        assert_int_equal(superblock_boot(d, buffer, &s), 0);
        assert_int_equal(s.boot, boot + 1);
    }
    disk_sim_delete(d);
}

static void power_cut_at_each_operation(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 500; seed++) {
        struct disk *d = disk_new(seed);
        struct superblock s;
        uint32_t boot = 0;
        /* Format: there, or as if it had never begun, so that it can be done again. */
        disk_sim_fail_all_after(d, 1 + (uint32_t)(seed % 6));
        const int formatted = superblock_format(d, buffer, &fresh);
        disk_sim_power_cut(d);
        int result = superblock_read(d, buffer, &s);
        if (formatted == 0)
            assert_int_equal(result, 0);
        if (result != 0) {
            assert_int_equal(result, -ENODATA);
            assert_int_equal(superblock_format(d, buffer, &fresh), 0);
            assert_int_equal(superblock_read(d, buffer, &s), 0);
        }
        for (uint32_t life = 0; life < 20; life++) {
            disk_sim_fail_all_after(d, 1 + (uint32_t)((seed + life) % 3));
            result = superblock_boot(d, buffer, &s);
            if (result == 0)
                boot = s.boot;
            disk_sim_power_cut(d);
            assert_int_equal(superblock_read(d, buffer, &s), 0);
            assert_true(s.boot >= boot); /* what was told to the world is not forgotten */
            assert_true(s.boot <= boot + 1);
            boot = s.boot;
        }
        disk_sim_delete(d);
    }
}

static void damaged_copies(void **state)
{
    (void)state;
    struct disk *d = disk_new(3);
    struct superblock s;
    uint64_t length;

    assert_int_equal(superblock_format(d, buffer, &fresh), 0);
    assert_int_equal(superblock_read(d, buffer, &s), 0);
    assert_int_equal(superblock_boot(d, buffer, &s), 0);
    assert_int_equal(superblock_boot(d, buffer, &s), 0);
    uint8_t *bytes = disk_sim_bytes(d, "superblock", &length);
    assert_int_equal(length, 2 * DISK_SECTOR);
    for (uint32_t bit = 0; bit < 64 * 8; bit++) {
        /* Generation 4 stands in the first copy, generation 3 in the second. */
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(superblock_read(d, buffer, &s), 0);
        assert_int_equal(s.boot, 2); /* the lost copy's: it is not given again */
        bytes[DISK_SECTOR + bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(superblock_read(d, buffer, &s), -EBADMSG);
        bytes[DISK_SECTOR + bit / 8] ^= (uint8_t)(1u << bit % 8);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    bytes[4]++; /* version */
    const uint32_t crc = crc32c(0, bytes, 60);
    memcpy(bytes + 60, &crc, sizeof crc);
    assert_int_equal(superblock_read(d, buffer, &s), -EPROTO);
    disk_sim_delete(d);
}

/* With a right checksum, and numbers that nobody ever writes: damaged, not believed and not asserted on. */
static void impossible_numbers_are_damage(void **state)
{
    static const struct {
        uint32_t offset, width;
        uint64_t value;
    } cases[] = {
        {6, 2, 0},           /* node */
        {8, 8, 0},           /* cluster */
        {16, 8, 0},          /* incarnation */
        {24, 8, 0},          /* generation */
        {24, 8, UINT64_MAX}, /* none comes after it */
        {32, 4, 0xffffff},   /* boot: likewise */
        {32, 4, UINT32_MAX},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct disk *d = disk_new(5);
        struct superblock s;
        uint64_t length;
        assert_int_equal(superblock_format(d, buffer, &fresh), 0);
        uint8_t *bytes = disk_sim_bytes(d, "superblock", &length);
        for (uint32_t copy = 0; copy < SUPERBLOCK_COPIES; copy++) {
            memcpy(bytes + cases[i].offset, &cases[i].value, cases[i].width);
            const uint32_t crc = crc32c(0, bytes, 60);
            memcpy(bytes + 60, &crc, sizeof crc);
            const bool last = copy + 1 == SUPERBLOCK_COPIES;
            assert_int_equal(superblock_read(d, buffer, &s), last ? -EBADMSG : 0);
            bytes += DISK_SECTOR;
        }
        disk_sim_delete(d);
    }
}

/* A sector that was never written, as it seems: the boot that stood there is not given again. */
static void zeroed_copy_is_lost(void **state)
{
    (void)state;
    for (uint32_t boots = 0; boots < 4; boots++) {
        for (uint32_t copy = 0; copy < SUPERBLOCK_COPIES; copy++) {
            struct disk *d = disk_new(4);
            struct superblock s;
            uint64_t length;
            assert_int_equal(superblock_format(d, buffer, &fresh), 0);
            assert_int_equal(superblock_read(d, buffer, &s), 0);
            for (uint32_t i = 0; i < boots; i++)
                assert_int_equal(superblock_boot(d, buffer, &s), 0);
            uint8_t *bytes = disk_sim_bytes(d, SUPERBLOCK_NAME, &length);
            memset(bytes + copy * DISK_SECTOR, 0, DISK_SECTOR);
            assert_int_equal(superblock_read(d, buffer, &s), 0);
            assert_true(s.boot >= boots);
            memset(bytes, 0, length);
            assert_int_equal(superblock_read(d, buffer, &s), -EBADMSG);
            disk_sim_delete(d);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(format_read_boot),    cmocka_unit_test(power_cut_at_each_operation),
        cmocka_unit_test(damaged_copies),      cmocka_unit_test(impossible_numbers_are_damage),
        cmocka_unit_test(zeroed_copy_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
