/* Goal:   what others store or replay by value never changes: the random sequence of a seed, the
 *         checksum of given bytes, the names of planted bugs.
 * Method: golden values; those of xoshiro256** and splitmix64 are the ones that the authors' own
 *         programs print, those of CRC32C stand in RFC 3720, appendix B.4, that of CRC-64/XZ in the
 *         format of .xz files.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/crc32c.h"
#include "base/crc64.h"
#include "base/planted.h"
#include "base/prng.h"

#include <string.h>

static void xoshiro_matches_its_reference(void **state)
{
    (void)state;
    struct prng p = {.state = {1, 2, 3, 4}};
    static const uint64_t golden[] = {
        11520u, 0u, 1509978240u, 1215971899390074240u, 1216172134540287360u, 607988272756665600u,
    };

    for (size_t i = 0; i < sizeof golden / sizeof golden[0]; i++)
        assert_true(prng_next(&p) == golden[i]);
}

static void seed_goes_through_splitmix(void **state)
{
    (void)state;
    struct prng p;

    prng_seed(&p, 0);
    assert_true(p.state[0] == 0xe220a8397b1dcdaf);
    assert_true(p.state[1] == 0x6e789e6aa1b965f4);
    assert_true(p.state[2] == 0x06c45d188009454f);
    assert_true(p.state[3] == 0xf88bb8a8724c81ec);
}

static void bounded_draws_stay_in_bounds_and_reach_them(void **state)
{
    (void)state;
    struct prng p;
    uint32_t seen[7] = {0};
    uint32_t heads = 0;

    prng_seed(&p, 3);
    for (uint32_t i = 0; i < 70000; i++) {
        const uint64_t drawn = prng_between(&p, 10, 16);
        assert_in_range(drawn, 10, 16);
        seen[drawn - 10]++;
        heads += prng_chance(&p, 250000);
    }
    for (uint32_t i = 0; i < 7; i++)
        assert_in_range(seen[i], 9500, 10500);
    assert_in_range(heads, 17000, 18000);
    assert_int_equal(prng_below(&p, 1), 0);
    assert_false(prng_chance(&p, 0));
    assert_true(prng_chance(&p, 1000000));
}

static void between_covers_the_whole_range(void **state)
{
    (void)state;
    struct prng p = {.state = {1, 2, 3, 4}};

    assert_true(prng_between(&p, 0, UINT64_MAX) == 11520); /* the draw itself */
    assert_true(prng_between(&p, UINT64_MAX, UINT64_MAX) == UINT64_MAX);
}

static void crc_matches_the_rfc(void **state)
{
    (void)state;
    uint8_t block[32];

    assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
    assert_int_equal(crc32c(0, NULL, 0), 0);
    memset(block, 0, sizeof block);
    assert_int_equal(crc32c(0, block, sizeof block), 0x8a9136aa);
    memset(block, 0xff, sizeof block);
    assert_int_equal(crc32c(0, block, sizeof block), 0x62a8ab43);
    for (uint8_t i = 0; i < 32; i++)
        block[i] = i;
    assert_int_equal(crc32c(0, block, sizeof block), 0x46dd794e);
}

static void crc_of_parts_is_crc_of_the_whole(void **state)
{
    (void)state;
    static const char text[] = "the quick brown fox jumps over the lazy dog";
    const uint32_t whole = crc32c(0, text, sizeof text);

    for (size_t cut = 0; cut <= sizeof text; cut++)
        assert_int_equal(crc32c(crc32c(0, text, cut), text + cut, sizeof text - cut), whole);
}

static void crc64_matches_xz(void **state)
{
    (void)state;
    static const char text[] = "123456789";

    assert_true(crc64(0, text, 9) == 0x995dc9bbdf1939fa);
    assert_true(crc64(0, NULL, 0) == 0);
    for (size_t cut = 0; cut <= 9; cut++)
        assert_true(crc64(crc64(0, text, cut), text + cut, 9 - cut) == 0x995dc9bbdf1939fa);
}

static void planted_bugs_have_names(void **state)
{
    (void)state;
    assert_false(planted_choose("no-such-bug"));
    for (uint32_t bug = PLANTED_NONE; bug < PLANTED_COUNT; bug++) {
        assert_true(planted_choose(planted_name((enum planted_bug)bug)));
        assert_false(planted((enum planted_bug)bug)); /* this is not the planted build */
    }
    assert_true(planted_choose("none"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(xoshiro_matches_its_reference),
        cmocka_unit_test(seed_goes_through_splitmix),
        cmocka_unit_test(bounded_draws_stay_in_bounds_and_reach_them),
        cmocka_unit_test(between_covers_the_whole_range),
        cmocka_unit_test(crc_matches_the_rfc),
        cmocka_unit_test(crc_of_parts_is_crc_of_the_whole),
        cmocka_unit_test(crc64_matches_xz),
        cmocka_unit_test(planted_bugs_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
