/* Goal:   a start begins with its snapshot, whatever became of the file: no read finds a store without it, and
 *         what the disk has lost comes from the others, as a chunk, as a whole, or as a newer snapshot.
 * Method: replicas of world.h. All have the same snapshot; one is killed, its file is damaged, and it is
 *         started, at first alone: a local read must wait. When the others are there it must be answered, from the
 *         state that they have. Once its log has lost an entry too, and what the others can offer at first is older
 *         than the snapshot that was lost.
 */
#include "base/mark.h"
#include "persist/segment.h"
#include "persist/snapshot.h"
#include "replica/making.h"
#include "sim/disk_sim.h"
#include "tests/replica/world.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { NODES = 3, VICTIM = 0, PUTS = 20, VALUE_BYTES = 3000, CHUNK = 2 };

static const char *const some_key = "key-3";

static void put_some(struct world *w, uint8_t fill)
{
    uint8_t value[VALUE_BYTES];
    char key[32];

    memset(value, fill, sizeof value);
    for (uint32_t i = 0; i < PUTS; i++) {
        snprintf(key, sizeof key, "key-%u", i);
        world_put(w, world_leader(w), key, value, sizeof value);
    }
}

static const struct snapshot_header *current(const struct world *w, uint32_t n)
{
    return snapshot_current(replica_snapshots(w->machine[n].replica));
}

static void make(struct world *w)
{
    assert_true(trigger_propose(w->machine[world_leader(w)].replica) > 0);
    world_run_ms(w, 1500);
}

/* All have one snapshot, of nothing but which their state is made; then nobody runs. */
static struct world *world_at_rest(struct snapshot_header *snapshot)
{
    struct world *w = world_make(NODES, NODES);

    w->small_log = true;
    for (uint32_t n = 0; n < NODES; n++)
        world_start(w, n);
    put_some(w, 1);
    make(w);
    *snapshot = *current(w, VICTIM);
    for (uint32_t n = 0; n < NODES; n++) {
        assert_int_equal(current(w, n)->digest, snapshot->digest);
        world_kill(w, n);
    }
    return w;
}

static uint8_t *file_of(struct world *w, const struct snapshot_header *snapshot)
{
    char name[32];
    uint64_t length;

    snprintf(name, sizeof name, "snap-%016" PRIx64, snapshot->index);
    uint8_t *bytes = disk_sim_bytes(w->machine[VICTIM].disk, name, &length);
    assert_non_null(bytes);
    assert_int_equal(length, snapshot_file_bytes(snapshot->bytes, snapshot->chunk_bytes));
    return bytes;
}

static void read_locally(struct world *w)
{
    uint8_t bytes[256];
    const struct command query = {
        .kind = QUERY_RANGE, .key = {(const uint8_t *)some_key, (uint32_t)strlen(some_key)}};

    world_push(w, VICTIM, REQUEST_READ_LOCAL, bytes, command_encode(&query, bytes));
}

/* The victim alone: the read waits, and nothing is applied. */
static void start_alone(struct world *w)
{
    const struct machine *m = &w->machine[VICTIM];

    world_start(w, VICTIM);
    read_locally(w);
    world_run_ms(w, 400);
    assert_false(m->client.answered);
    assert_int_equal(published_get(&m->view.applied), 0);
    assert_int_equal(published_get(&m->view.stop), 0);
}

/* The others come, and the read is answered with what stands there now. */
static void start_others(struct world *w)
{
    const struct machine *m = &w->machine[VICTIM];

    for (uint32_t n = 0; n < NODES; n++)
        if (n != VICTIM && w->machine[n].replica == NULL)
            world_start(w, n);
    world_run_ms(w, 3000);
    assert_true(m->client.answered);
    assert_int_equal(m->client.items_seen, 1);
    assert_int_equal(m->client.value_bytes, VALUE_BYTES);
    assert_int_equal(published_get(&m->view.digest), published_get(&w->machine[1].view.digest));
    assert_int_equal(published_get(&m->counters.snapshot_lost), 0);
}

static void a_sound_file_is_loaded_before_any_read(void **state)
{
    struct snapshot_header snapshot;
    struct world *w = world_at_rest(&snapshot);
    const struct machine *m = &w->machine[VICTIM];

    (void)state;
    world_start(w, VICTIM);
    read_locally(w);
    for (uint32_t turn = 0; turn < 50000 && !m->client.answered; turn++) {
        world_turn(w);
        assert_true(!m->client.answered || published_get(&m->view.applied) >= snapshot.index);
    }
    assert_int_equal(m->client.items_seen, 1);
    start_others(w);
    world_close(w);
}

static void a_bad_chunk_comes_from_a_peer(void **state)
{
    struct snapshot_header snapshot;
    struct world *w = world_at_rest(&snapshot);
    const uint64_t offset = snapshot_chunk_offset(&snapshot, CHUNK) + 1000;
    const uint8_t before = file_of(w, &snapshot)[offset];

    (void)state;
    assert_true(snapshot_chunk_count(snapshot.bytes, snapshot.chunk_bytes) > CHUNK + 2);
    file_of(w, &snapshot)[offset] ^= 0x55;
    start_alone(w);
    assert_true(mark_count[MARK_STATE_DAMAGED] > 0);
    start_others(w);
    assert_int_equal(file_of(w, &snapshot)[offset], before);
    assert_int_equal(current(w, VICTIM)->digest, snapshot.digest);
    world_close(w);
}

/* Each of the others brings it in turn: who does not bring the true one is not asked again. */
static void a_false_chunk_repairs_nothing(void **state)
{
    (void)state;
    for (uint32_t liar = 1; liar < NODES; liar++) {
        struct snapshot_header snapshot;
        struct world *w = world_at_rest(&snapshot);
        const uint64_t offset = snapshot_chunk_offset(&snapshot, CHUNK) + 1000;
        const uint8_t before = file_of(w, &snapshot)[offset];
        const uint64_t lost = mark_count[MARK_SNAPSHOT_LOST];
        file_of(w, &snapshot)[offset] ^= 0x55;
        w->lies[liar] = true;
        start_alone(w);
        start_others(w);
        assert_int_equal(file_of(w, &snapshot)[offset], before);
        assert_int_equal(mark_count[MARK_SNAPSHOT_LOST], lost);
        world_close(w);
    }
    assert_true(mark_count[MARK_CHUNK_REFUSED] > 0);
}

/* Nobody has the true chunk, nor a true table of all: the node waits, and lives. */
static void lies_repair_nothing(void **state)
{
    struct snapshot_header snapshot;
    struct world *w = world_at_rest(&snapshot);
    const struct machine *m = &w->machine[VICTIM];

    (void)state;
    file_of(w, &snapshot)[snapshot_chunk_offset(&snapshot, CHUNK)] ^= 1;
    w->lies[1] = w->lies[2] = true;
    start_alone(w);
    world_start(w, 1);
    world_start(w, 2);
    world_run_ms(w, 2000);
    assert_false(m->client.answered);
    assert_int_equal(published_get(&m->view.stop), 0);
    assert_int_equal(published_get(&m->counters.snapshot_lost), 1);
    w->lies[1] = w->lies[2] = false;
    start_others(w);
    assert_true(current(w, VICTIM)->index >= snapshot.index); /* the others were asked for a newer one, too */
    assert_int_equal(current(w, VICTIM)->digest, current(w, 1)->digest);
    world_close(w);
}

static void a_file_without_headers_comes_as_a_whole(void **state)
{
    struct snapshot_header snapshot;
    struct world *w = world_at_rest(&snapshot);

    (void)state;
    memset(file_of(w, &snapshot), 0, SNAPSHOT_DATA_OFFSET);
    start_alone(w);
    assert_null(current(w, VICTIM));
    start_others(w);
    assert_int_equal(current(w, VICTIM)->digest, snapshot.digest);
    world_close(w);
}

/* Nobody has the old one any more, and the store has taken in a part of it. */
static void a_newer_snapshot_takes_its_place(void **state)
{
    struct snapshot_header snapshot;
    struct world *w = world_at_rest(&snapshot);

    (void)state;
    for (uint32_t n = 0; n < NODES; n++)
        if (n != VICTIM)
            world_start(w, n);
    put_some(w, 2);
    make(w);
    const raft_index newer = current(w, 1)->index;
    assert_true(newer > snapshot.index);
    file_of(w, &snapshot)[snapshot_chunk_offset(&snapshot, CHUNK)] ^= 1;
    world_start(w, VICTIM);
    read_locally(w);
    start_others(w);
    assert_true(current(w, VICTIM)->index >= newer);
    assert_true(mark_count[MARK_STATE_OVERTAKEN] > 0);
    world_close(w);
}

/* The log of the victim keeps all there ever was, those of the others nothing below their snapshots. */
static struct world *world_with_one_long_log(void)
{
    struct world *w = world_make(NODES, NODES);

    w->small_log = true;
    w->snapshots.trailing_bytes = w->snapshots.needed_bytes = 1ull << 40;
    world_start(w, VICTIM);
    w->snapshots.trailing_bytes = w->snapshots.needed_bytes = 0;
    for (uint32_t n = 0; n < NODES; n++)
        if (n != VICTIM)
            world_start(w, n);
    return w;
}

static void can_make_snapshots(struct world *w, uint32_t n, bool can)
{
    const struct disk_sim_fault full = {.kind = DISK_OP_CREATE, .nth = can ? 0 : 1, .result = -ENOSPC,
                                        .sticky = true, .prefix = "snap-"};

    disk_sim_fail(w->machine[n].disk, &full);
}

static void others_can_make_snapshots(struct world *w, bool can)
{
    for (uint32_t n = 0; n < NODES; n++)
        if (n != VICTIM)
            can_make_snapshots(w, n, can);
}

/* One bit of the first value of this kind in the victim's log. */
static void lose_one_value(struct world *w, uint8_t fill)
{
    uint8_t value[VALUE_BYTES];
    uint8_t *found = NULL;
    char name[DISK_NAME_BYTES];
    uint64_t length;

    memset(value, fill, sizeof value);
    for (uint64_t generation = 1; found == NULL && generation < 9; generation++) {
        segment_name(name, generation);
        uint8_t *const bytes = disk_sim_bytes(w->machine[VICTIM].disk, name, &length);
        if (bytes != NULL)
            found = memmem(bytes, length, value, sizeof value);
    }
    assert_non_null(found);
    found[100] ^= 1;
}

/* What was in memory still is gone too. */
static void restart_all(struct world *w)
{
    for (uint32_t n = 0; n < NODES; n++)
        if (w->machine[n].replica != NULL)
            world_kill(w, n);
    for (uint32_t n = 0; n < NODES; n++)
        world_start(w, n);
}

/* The victim comes back with a log that begins with `base`, or later, and with the others' state. */
static void heals(struct world *w, raft_index base)
{
    const struct machine *m = &w->machine[VICTIM];

    world_run_ms(w, 3000);
    assert_int_equal(published_get(&m->counters.holes), 0);
    assert_in_range(published_get(&m->counters.log_base), base, RAFT_WORD_MAX);
    put_some(w, 9);
    world_run_ms(w, 200);
    for (uint32_t n = 0; n < NODES; n++) {
        assert_int_equal(published_get(&m->view.applied), published_get(&w->machine[n].view.applied));
        assert_int_equal(published_get(&m->view.digest), published_get(&w->machine[n].view.digest));
    }
    world_close(w);
}

static void own_snapshot_covers_a_hole(void **state)
{
    struct world *w = world_with_one_long_log();

    (void)state;
    put_some(w, 1);
    make(w);
    put_some(w, 2);
    const raft_index base = current(w, VICTIM)->index;
    world_kill(w, VICTIM);
    lose_one_value(w, 1);
    restart_all(w);
    heals(w, base);
}

/* The others' logs begin behind all that the victim has. */
static void newer_snapshot_takes_the_place_of_a_log_with_a_hole(void **state)
{
    struct world *w = world_with_one_long_log();

    (void)state;
    put_some(w, 1);
    make(w);
    put_some(w, 2);
    world_run_ms(w, 100);
    world_kill(w, VICTIM);
    put_some(w, 3);
    make(w);
    lose_one_value(w, 2);
    restart_all(w);
    heals(w, current(w, 1)->index);
}

/* Likewise, but the victim has what comes behind that snapshot: it stays. */
static void snapshot_within_the_log_covers_a_hole(void **state)
{
    struct world *w = world_with_one_long_log();

    (void)state;
    put_some(w, 1);
    can_make_snapshots(w, VICTIM, false);
    make(w);
    put_some(w, 2);
    world_run_ms(w, 100);
    assert_null(current(w, VICTIM));
    can_make_snapshots(w, VICTIM, true);
    const raft_index base = current(w, 1)->index;
    world_kill(w, VICTIM);
    lose_one_value(w, 1);
    restart_all(w);
    heals(w, base);
}

/* Nobody brings back the entry, for the others have cut it away behind a snapshot that is older than the one which
 * the victim's manifest names: that one can't become its base, and must not be taken. A newer one can. */
static void an_older_snapshot_fills_no_hole(void **state)
{
    struct world *w = world_with_one_long_log();
    struct snapshot_header lost;

    (void)state;
    put_some(w, 1);
    make(w);
    const raft_index older = current(w, 1)->index;
    others_can_make_snapshots(w, false);
    put_some(w, 2);
    make(w);
    lost = *current(w, VICTIM);
    assert_true(lost.index > older);
    assert_int_equal(current(w, 1)->index, older);
    assert_int_equal(published_get(&w->machine[VICTIM].counters.log_base), 0);
    world_kill(w, VICTIM);
    lose_one_value(w, 1);
    memset(file_of(w, &lost), 0, SNAPSHOT_DATA_OFFSET);
    restart_all(w);
    read_locally(w);
    world_run_ms(w, 3000);
    assert_int_equal(published_get(&w->machine[VICTIM].counters.holes), 1);
    assert_int_equal(published_get(&w->machine[VICTIM].view.stop), 0);
    assert_null(current(w, VICTIM));
    others_can_make_snapshots(w, true);
    start_others(w);
    assert_int_equal(published_get(&w->machine[VICTIM].counters.holes), 0);
    assert_true(current(w, VICTIM)->index > lost.index);
    world_close(w);
}

/* A leader that waits for its snapshot takes requests, and they are committed. When a newer snapshot takes the
 * place of what it was to apply, it can't tell any more what became of them, and says so. */
static void passes_over_its_own_requests(uint64_t patience_ms)
{
    const struct admin_request transfer = {.kind = ADMIN_TRANSFER, .target = VICTIM + 1};
    struct world *w = world_with_one_long_log();
    const struct machine *m = &w->machine[VICTIM];
    uint8_t bytes[256];
    const struct command put = {.kind = COMMAND_PUT,
                                .key = {(const uint8_t *)some_key, (uint32_t)strlen(some_key)},
                                .value = {(const uint8_t *)"v", 1}};

    put_some(w, 1);
    others_can_make_snapshots(w, false);
    make(w);
    const struct snapshot_header lost = *current(w, VICTIM);
    world_kill(w, VICTIM);
    memset(file_of(w, &lost), 0, SNAPSHOT_DATA_OFFSET);
    world_start(w, VICTIM);
    world_run_ms(w, 200);
    if (world_leader(w) != VICTIM)
        world_ask(w, world_leader(w), REQUEST_ADMIN, &transfer, sizeof transfer);
    assert_int_equal(world_leader(w), VICTIM);
    world_push(w, VICTIM, REQUEST_PROPOSE, bytes, command_encode(&put, bytes));
    world_run_ms(w, patience_ms);
    assert_int_equal(published_get(&m->view.applied), 0);
    others_can_make_snapshots(w, true);
    world_run_ms(w, 6000);
    assert_true(m->client.answered);
    assert_int_equal(m->client.answer.status, ANSWER_UNKNOWN);
    world_close(w);
}

static void leader_that_passes_over_its_own_requests(void **state)
{
    (void)state;
    passes_over_its_own_requests(50);
}

/* The first point that it proposes comes to nothing at all others. Its own store will never get there. */
static void leader_that_waits_proposes_again(void **state)
{
    (void)state;
    passes_over_its_own_requests(3000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sound_file_is_loaded_before_any_read),
        cmocka_unit_test(a_bad_chunk_comes_from_a_peer),
        cmocka_unit_test(a_false_chunk_repairs_nothing),
        cmocka_unit_test(lies_repair_nothing),
        cmocka_unit_test(a_file_without_headers_comes_as_a_whole),
        cmocka_unit_test(a_newer_snapshot_takes_its_place),
        cmocka_unit_test(own_snapshot_covers_a_hole),
        cmocka_unit_test(newer_snapshot_takes_the_place_of_a_log_with_a_hole),
        cmocka_unit_test(snapshot_within_the_log_covers_a_hole),
        cmocka_unit_test(an_older_snapshot_fills_no_hole),
        cmocka_unit_test(leader_that_passes_over_its_own_requests),
        cmocka_unit_test(leader_that_waits_proposes_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
