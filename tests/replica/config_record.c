/* Goal:   a CONFIG payload is read back as it was written, and each configuration has one form.
 * Method: configurations of both versions both ways; every byte of each set to every value: what is
 *         still taken must encode to the same bytes again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "raftcore/raft.h"
#include "replica/config_record.h"

enum { VERSION_OFFSET = 12, QUOTA = 12345 };

static const struct raft_config plain = {
    .count = 3,
    .member = {{.node = 1, .incarnation = 11, .voter = true},
               {.node = 2, .incarnation = 12, .voter = true},
               {.node = 7, .incarnation = 17}},
};

static const struct raft_config full = {
    .count = 4,
    .joint = true,
    .member = {{.node = 1, .incarnation = 11, .voter = true, .voter_old = true, .priority = 3},
               {.node = 2, .incarnation = 12, .voter_old = true, .leaves = true},
               {.node = 3, .incarnation = 13, .voter = true},
               {.node = 7, .incarnation = 17, .promote = true, .replaces = 2}},
};

static void comes_back(const struct raft_config *config, uint8_t version)
{
    uint8_t bytes[CONFIG_PAYLOAD_BYTES_MAX];
    uint8_t again[CONFIG_PAYLOAD_BYTES_MAX];
    struct raft_config read;
    uint64_t quota = 0;
    const uint32_t length = config_record_encode(config, QUOTA, bytes);

    assert_int_equal(bytes[VERSION_OFFSET], version);
    assert_true(config_record_decode(bytes, length, &read, &quota));
    assert_int_equal(quota, QUOTA);
    assert_int_equal(config_record_encode(&read, quota, again), length);
    assert_memory_equal(bytes, again, length);
    assert_int_equal(read.joint, config->joint);
    for (uint32_t at = 0; at < length; at++)
        assert_false(config_record_decode(bytes, at, &read, &quota));

    for (uint32_t at = 0; at < length; at++) {
        const uint8_t before = bytes[at];
        for (uint32_t value = 0; value <= UINT8_MAX; value++) {
            bytes[at] = (uint8_t)value;
            if (!config_record_decode(bytes, length, &read, &quota))
                continue;
            assert_true(raft_config_is_sound(&read));
            assert_int_equal(config_record_encode(&read, quota, again), length);
            assert_memory_equal(bytes, again, length);
        }
        bytes[at] = before;
    }
}

static void plain_has_version_0(void **state)
{
    (void)state;
    comes_back(&plain, 0);
}

static void full_has_version_1(void **state)
{
    (void)state;
    comes_back(&full, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_has_version_0),
        cmocka_unit_test(full_has_version_1),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
