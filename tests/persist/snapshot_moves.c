/* Goal:   the snapshot that a log stands on and the base of the log move each in its own time: entries
 *         between the two stay for peers that are behind, a lost snapshot gives way to a newer one or is
 *         written anew, and each start finds just what the last durable manifest says.
 * Method: logs over the simulated disk, looked at after restarts by the fixture's model, which knows base,
 *         snapshot and every record; files are taken away or damaged in between.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "tests/persist/fixture.h"

enum { ENTRIES = 40, NAMES_MAX = 4, TURN_NS = 50 * 1000 };

static struct fixture *fixture_with_log(uint64_t seed)
{
    struct fixture *f = fixture_new(seed);

    f->with_snapshots = true;
    f->options.sync_by_fsync = seed % 2 == 1;
    assert_int_equal(fixture_open(f), 0);
    for (uint32_t i = 0; i < ENTRIES; i++)
        fixture_extend(f, 1, 1500);
    return f;
}

static void move(struct fixture *f, raft_index base, raft_index snapshot)
{
    const struct fixture_state *now = fixture_now(f);
    const struct fixture_step step = {
        .base = base, .snapshot = snapshot, .term = now->term, .vote = now->vote};

    fixture_append_wait(f, &step);
}

static int64_t count_files(struct fixture *f)
{
    char names[NAMES_MAX][DISK_NAME_BYTES];

    return disk_list(f->disk, SNAPSHOT_NAME_PREFIX, names, NAMES_MAX);
}

/* A start that finds all as it should be; and the log goes on. */
static void check_after_start(struct fixture *f, raft_index base, raft_index snapshot)
{
    disk_sim_power_cut(f->disk);
    if (fixture_open(f) != 0)
        fail_msg("%s", f->error);
    assert_int_equal(f->recovered.base.index, base);
    assert_int_equal(f->recovered.base.snapshot_index, snapshot);
    assert_int_equal(f->snapshots_found.condition, SNAPSHOT_WHOLE);
    assert_int_equal(snapshot_current(f->snapshots)->index, snapshot);
    fixture_extend(f, 1, 100);
    fixture_settle(f);
}

/* A node that keeps its log for others makes snapshots all the same, from its first on. */
static void snapshot_moves_and_the_base_stays(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 6; seed++) {
        struct fixture *f = fixture_with_log(seed);
        const raft_index base = seed / 2 * 7;
        if (base > 0)
            move(f, base, base);
        for (raft_index snapshot = base + 3; snapshot <= ENTRIES; snapshot += 9) {
            move(f, base, snapshot);
            if (snapshot % 2 == 0)
                fixture_idle(f);
            else
                fixture_settle(f);
            check_after_start(f, base, snapshot);
            fixture_idle(f);
            assert_int_equal(count_files(f), 1);
        }
        fixture_delete(f);
    }
}

/* What was kept is cut later, up to what the same snapshot covers; the last of it with nothing between. */
static void base_comes_after_its_snapshot(void **state)
{
    (void)state;
    struct fixture *f = fixture_with_log(10);

    move(f, 4, 31);
    fixture_idle(f);
    check_after_start(f, 4, 31);
    const uint32_t segments = wal_span(f->wal).segments;
    for (raft_index base = 13; base <= 31; base += 9) {
        move(f, base, 31);
        fixture_idle(f);
        check_after_start(f, base, 31);
    }
    assert_int_equal(snapshot_counters(f->snapshots)->written, 0); /* by this start */
    assert_true(wal_span(f->wal).segments < segments + 3);
    fixture_delete(f);
}

enum loss { LOST_FILE, LOST_HEADERS, LOST_CHUNK, LOSSES };

static void lose(struct fixture *f, raft_index snapshot, enum loss loss)
{
    char name[DISK_NAME_BYTES];
    uint64_t length;

    snapshot_name(name, snapshot);
    uint8_t *const bytes = disk_sim_bytes(f->disk, name, &length);
    if (loss == LOST_HEADERS)
        memset(bytes, 0xee, (size_t)2 * DISK_SECTOR);
    if (loss == LOST_CHUNK)
        bytes[SNAPSHOT_DATA_OFFSET] ^= 1;
    if (loss != LOST_FILE)
        return;
    const struct disk_op op = {.kind = DISK_OP_REMOVE, .slot = DISK_FILES_MAX - 2};
    struct disk_op removal = op;
    memcpy(removal.name, name, sizeof name);
    assert_int_equal(disk_submit(f->disk, &removal), 0);
    (void)disk_wait(f->disk);
}

/* The next start; what is lost of the snapshot is no reason not to. */
static void start_with_loss(struct fixture *f, raft_index snapshot, enum loss loss)
{
    static const enum snapshot_condition expected[LOSSES] = {SNAPSHOT_MISSING, SNAPSHOT_DAMAGED,
                                                             SNAPSHOT_WHOLE};

    disk_sim_power_cut(f->disk);
    lose(f, snapshot, loss);
    assert_int_equal(fixture_try_open(f), -1);
    assert_int_equal(f->snapshots_result, 0);
    assert_int_equal(snapshot_condition(f->snapshots), expected[loss]);
}

/* Ours is lost, and what a peer has is newer, though we have all of its entries: the log keeps them. */
static void lost_snapshot_gives_way_to_a_newer_one(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 4 * LOSSES; i++) {
        const enum loss loss = (enum loss)(i % LOSSES);
        const raft_index base = i / LOSSES % 2 == 0 ? 6 : 21; /* stays; moves */
        const bool crashes = i / LOSSES >= 2;
        struct fixture *f = fixture_with_log(i);
        move(f, 6, 17);
        fixture_idle(f);
        start_with_loss(f, 17, loss);
        move(f, base, 25);
        if (crashes)
            fixture_settle(f); /* the second copy of the manifest may be missing */
        else
            fixture_idle(f);
        check_after_start(f, base, 25);
        fixture_idle(f);
        assert_int_equal(count_files(f), 1);
        fixture_delete(f);
    }
}

static struct snapshot_start start_again(const struct fixture *f)
{
    static const uint8_t config[16] = {1, 2, 3}; /* as the fixture has it */
    const struct fixture_state *now = fixture_now(f);
    const raft_index index = now->snapshot;

    return (struct snapshot_start){
        .index = index,
        .term = now->entry[index].term,
        .chain = now->entry[index].chain,
        .config_index = index / 2,
        .config = config,
        .config_bytes = sizeof config,
        .room = now->snapshot_bytes,
        .digest_known = true,
        .digest = now->snapshot_digest,
    };
}

/* Until it is current; without a manifest, since that names it already. False: `turns` were over. */
static bool write_again(struct fixture *f, uint32_t turns)
{
    const struct snapshot_start start = start_again(f);
    uint8_t content[FIXTURE_SNAPSHOT_BYTES];
    const uint32_t total = fixture_snapshot_content(start.index, content);
    uint32_t at = 0;

    assert_int_equal(snapshot_begin(f->snapshots, &start), 0);
    assert_int_equal(fixture_snapshot_expect(f, content, total), 0);
    for (uint32_t turn = 0; turn < turns; turn++) {
        const uint32_t rest = total - at;
        const uint32_t length = rest < FIXTURE_CHUNK_BYTES ? rest : FIXTURE_CHUNK_BYTES;
        if (snapshot_stage(f->snapshots) == SNAPSHOT_TAKES && rest > 0)
            at += snapshot_append(f->snapshots, content + at, length) == 0 ? length : 0;
        else if (snapshot_stage(f->snapshots) == SNAPSHOT_TAKES)
            assert_int_equal(snapshot_end(f->snapshots), 0);
        assert_null(snapshot_ready(f->snapshots));
        if (snapshot_stage(f->snapshots) == SNAPSHOT_IDLE)
            return true;
        fixture_turn(f, TURN_NS);
    }
    return false;
}

/* The power may be cut anywhere in that: the next start finds it missing, or whole, and a log that
 * does not mind. */
static void lost_snapshot_is_written_anew(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 20 * LOSSES; i++) {
        const enum loss loss = (enum loss)(i % LOSSES);
        struct fixture *f = fixture_with_log(i);
        move(f, 6, 17);
        fixture_idle(f);
        start_with_loss(f, 17, loss);
        const bool done = write_again(f, i / LOSSES * 2);
        assert_true(!done || snapshot_condition(f->snapshots) == SNAPSHOT_WHOLE);
        disk_sim_power_cut(f->disk);
        const int opened = fixture_try_open(f);
        assert_int_equal(f->snapshots_result, 0);
        if (done && opened != 0)
            fail_msg("%u: %s", i, f->error);
        if (opened != 0)
            assert_true(write_again(f, 1000));
        check_after_start(f, 6, 17);
        assert_int_equal(count_files(f), 1);
        fixture_delete(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(snapshot_moves_and_the_base_stays),
        cmocka_unit_test(base_comes_after_its_snapshot),
        cmocka_unit_test(lost_snapshot_gives_way_to_a_newer_one),
        cmocka_unit_test(lost_snapshot_is_written_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
