/* Goal:   the checker of snapshots rejects each way of having another one than the replay makes, and each base
 *         that is not what was committed, and nothing else.
 * Method: one point told by hand; each test changes one thing of a true copy. */
#include "sim/check_snapshot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum {
    CLUSTER = 7,
    CHUNK = DISK_SECTOR,
    LENGTH = 2 * CHUNK + 100,
    CHUNKS = 3,
    NODE = 2,
    POINT = 3,
    CONFIG = 1,
};

static struct {
    struct check_report report;
    struct check_snapshot *snapshot;
    struct check_log *log;
    uint8_t content[LENGTH];
    struct snapshot_header header;
} told;

static void commit(raft_index index, uint8_t type)
{
    const struct record_header record = {
        .type = type, .index = index, .term = 2, .header_crc = 100 + (uint32_t)index};

    assert_true(check_log_record(told.log, &record));
    assert_true(check_log_committed(told.log, 1, 2, index, 2));
}

static int open_told(void **state)
{
    static const uint8_t config[] = {1, 2, 3};

    (void)state;
    memset(&told, 0, sizeof told);
    told.snapshot = check_snapshot_create();
    told.log = check_log_create();
    check_snapshot_reset(told.snapshot, CLUSTER, CHUNK, &told.report);
    check_log_reset(told.log, &told.report);
    for (uint32_t i = 0; i < LENGTH; i++)
        told.content[i] = (uint8_t)(i * 7 + i / 251);
    commit(1, RECORD_CONFIG);
    commit(2, RECORD_COMMAND);
    commit(3, RECORD_SNAPSHOT);
    check_snapshot_config(told.snapshot, CONFIG, config, sizeof config);
    check_snapshot_point(told.snapshot, POINT, check_log_entry(told.log, POINT), told.content,
                         LENGTH);
    told.header = *check_snapshot_known(told.snapshot, POINT);
    return 0;
}

static int close_told(void **state)
{
    (void)state;
    check_snapshot_destroy(told.snapshot);
    check_log_destroy(told.log);
    return 0;
}

static void accepted(void)
{
    if (told.report.invariant != NULL)
        fail_msg("%s: %s", told.report.invariant, told.report.detail);
}

static void rejected(const char *invariant)
{
    assert_non_null(told.report.invariant);
    assert_string_equal(told.report.invariant, invariant);
    told.report.invariant = NULL;
}

static void has_table(uint64_t offset, const uint64_t *table, uint64_t length)
{
    const struct check_snapshot_part part = {.index = POINT,
                                             .table = true,
                                             .offset = offset,
                                             .bytes = (const uint8_t *)table + offset,
                                             .length = length};

    check_snapshot_bytes(told.snapshot, NODE, &part);
}

/* Of the content, as the file has it. */
static void make_table(uint64_t table[CHUNKS])
{
    for (uint32_t i = 0; i < CHUNKS; i++) {
        uint8_t chunk[CHUNK] = {0};
        const uint32_t left = LENGTH - i * CHUNK;
        memcpy(chunk, told.content + i * CHUNK, left < CHUNK ? left : CHUNK);
        table[i] = snapshot_checksum(chunk, snapshot_chunk_span(&told.header, i));
    }
}

static void has(raft_index index, uint64_t offset, const uint8_t *bytes, uint64_t length)
{
    const struct check_snapshot_part part = {
        .index = index, .offset = offset, .bytes = bytes, .length = length};

    check_snapshot_bytes(told.snapshot, NODE, &part);
}

static void true_copy(void **state)
{
    (void)state;
    assert_int_equal(check_snapshot_last(told.snapshot), POINT);
    check_snapshot_header(told.snapshot, NODE, &told.header);
    has(POINT, 0, told.content, LENGTH);
    has(POINT, CHUNK, told.content + CHUNK, 9);
    uint64_t table[CHUNKS];
    make_table(table);
    has_table(0, table, sizeof table);
    has_table(sizeof table[0], table, sizeof table - sizeof table[0]);
    accepted();
}

static void other_header(void **state)
{
    struct snapshot_header h[7];

    (void)state;
    for (uint32_t i = 0; i < 7; i++)
        h[i] = told.header;
    h[0].term++;
    h[1].digest ^= 1;
    h[2].bytes--;
    h[3].chain++;
    h[4].config_index++;
    h[5].config[0] ^= 1;
    h[6].index++; /* no point */
    for (uint32_t i = 0; i < 7; i++) {
        check_snapshot_header(told.snapshot, NODE, &h[i]);
        rejected("snapshot-equals-replay");
    }
}

static void other_bytes(void **state)
{
    uint8_t changed[LENGTH];

    (void)state;
    memcpy(changed, told.content, LENGTH);
    changed[LENGTH - 1] ^= 4;
    uint64_t table[CHUNKS + 1] = {0};
    make_table(table);
    has_table(0, table, sizeof table); /* beyond */
    rejected("snapshot-equals-replay");
    table[CHUNKS - 1] ^= 1;
    has_table(0, table, CHUNKS * sizeof table[0]);
    rejected("snapshot-equals-replay");
    has(POINT, 0, changed, LENGTH);
    rejected("snapshot-equals-replay");
    has(POINT, 1, told.content, 50); /* another place */
    rejected("snapshot-equals-replay");
    has(POINT, LENGTH - 1, told.content, 2); /* beyond */
    rejected("snapshot-equals-replay");
    has(POINT + 1, 0, told.content, 1);
    rejected("snapshot-equals-replay");
}

static struct wal_base true_base(raft_index index)
{
    return (struct wal_base){
        .index = index,
        .term = 2,
        .chain = 100 + (uint32_t)index,
        .snapshot_index = POINT,
        .snapshot_bytes = LENGTH,
        .snapshot_digest = told.header.digest,
        .config_index = CONFIG,
        .config = told.header.config,
        .config_bytes = told.header.config_bytes,
    };
}

static void true_bases(void **state)
{
    (void)state;
    for (raft_index i = 0; i <= POINT; i++) {
        const struct wal_base base = i == 0 ? (struct wal_base){0} : true_base(i);
        check_snapshot_base(told.snapshot, NODE, &base, told.log);
    }
    accepted();
}

static void other_bases(void **state)
{
    const uint8_t other[] = {1, 2, 4};
    struct wal_base b[9];

    (void)state;
    for (uint32_t i = 0; i < 9; i++)
        b[i] = true_base(2);
    b[0].index = 4; /* not committed */
    b[1].term++;
    b[2].chain++;
    b[3].snapshot_index = 2; /* no point */
    b[4].snapshot_digest++;
    b[5].snapshot_bytes++;
    b[6].config_index = 0; /* forgotten */
    b[7].config = other;
    b[8].snapshot_index = 1; /* below the base */
    for (uint32_t i = 0; i < 9; i++) {
        check_snapshot_base(told.snapshot, NODE, &b[i], told.log);
        rejected("base-is-committed");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(true_copy, open_told, close_told),
        cmocka_unit_test_setup_teardown(other_header, open_told, close_told),
        cmocka_unit_test_setup_teardown(other_bytes, open_told, close_told),
        cmocka_unit_test_setup_teardown(true_bases, open_told, close_told),
        cmocka_unit_test_setup_teardown(other_bases, open_told, close_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
