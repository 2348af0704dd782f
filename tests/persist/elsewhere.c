/* Goal:   a batch counts at its own place alone, and a file in its own directory alone.
 * Method: batches and files that are good in themselves are put where they do not belong.
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

static void batch_is_bound_to_its_place(void **state)
{
    (void)state;
    struct batch_header h = {.kind = BATCH_NEW,
                             .incarnation = 1,
                             .boot = 1,
                             .node = 1,
                             .generation = 5,
                             .offset = DISK_SECTOR,
                             .number = 1};
    const struct batch_place right = {
        .incarnation = 1, .node = 1, .generation = 5, .offset = DISK_SECTOR};
    struct batch_place wrong[] = {right, right, right, right};
    struct batch_header out;

    wrong[0].incarnation++;
    wrong[1].node++;
    wrong[2].generation--;
    wrong[3].offset += DISK_SECTOR;
    batch_seal(&h);
    assert_true(batch_check_header((const uint8_t *)&h, &right, &out));
    for (uint32_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(batch_check_header((const uint8_t *)&h, &wrong[i], &out));
    for (uint32_t bit = 0; bit < 8 * sizeof h; bit++) {
        ((uint8_t *)&h)[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_false(batch_check_header((const uint8_t *)&h, &right, &out));
        ((uint8_t *)&h)[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

static void seal_anew(uint8_t *sector, struct segment_header *h)
{
    h->header_crc = crc32c(0, h, offsetof(struct segment_header, header_crc));
    for (uint32_t copy = 0; copy < SEGMENT_COPIES; copy++)
        memcpy(sector + (size_t)copy * DISK_SECTOR, h, sizeof *h);
}

static void files_from_elsewhere_are_refused(void **state)
{
    (void)state;
    struct fixture *f = fixture_lives(12);
    static const struct {
        const char *says;
        int result;
    } cases[] = {
        {"version 3", -EPROTO},  {"cluster 78", -EXDEV},     {"node 4", -EXDEV},
        {"incarnation", -EXDEV}, {"is to be boot", -EINVAL}, {"missing", -EBADMSG},
    };

    for (uint32_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture *t = fixture_twin(f);
        struct segment_header h;
        char name[DISK_NAME_BYTES];
        uint64_t length;
        fixture_segment_name(t, 0, name);
        uint8_t *bytes = disk_sim_bytes(t->disk, name, &length);
        memcpy(&h, bytes, sizeof h);
        h.version = (uint16_t)(h.version + (i == 0));
        h.cluster += i == 1;
        h.node = (raft_node)(h.node + (i == 2));
        h.incarnation += i == 3;
        t->options.boot -= i == 4; /* fixture_open() adds one */
        if (i == 5) {
            h.kind = SEGMENT_RECOVERY;
            h.continues_generation = h.generation - 1;
            char previous[DISK_NAME_BYTES];
            segment_name(previous, h.continues_generation);
            uint64_t previous_length;
            while (disk_sim_bytes(t->disk, previous, &previous_length) != NULL)
                segment_name(previous, --h.continues_generation);
        }
        seal_anew(bytes, &h);
        assert_int_equal(fixture_open(t), cases[i].result);
        if (strstr(t->error, cases[i].says) == NULL)
            fail_msg("%u: %s", i, t->error);
        fixture_delete(t);
    }
    fixture_delete(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batch_is_bound_to_its_place),
        cmocka_unit_test(files_from_elsewhere_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
