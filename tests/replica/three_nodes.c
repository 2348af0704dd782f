/* Goal:   the whole way of a write and of a read, on a net and disks without faults: three nodes
 *         elect a leader, every node takes writes and answers them with rising revisions, values
 *         of 1 MiB go through followers, reads on every node see what was acknowledged, also in
 *         several pieces, and after a restart of all nodes the store is what it was.
 *         A record that can't be read back any more is no record: the node stops and says why, and
 *         the others go on.
 * Method: three replicas of world.h; the whole log of one of them gone once it is open, and
 *         before its store was filled from it.
 */
#include "persist/segment.h"
#include "sim/disk_harm.h"
#include "tests/replica/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { NODES = 3, BIG = WORLD_BIG - 1024, SEGMENTS_MAX = 8, MORE_THAN_A_WINDOW = 6 };

/* A result larger than a piece comes in pieces, whole and in order. */
static void read_in_pieces(struct world *w, uint32_t n)
{
    uint8_t bytes[128];
    const struct command query = {.kind = QUERY_RANGE, .key = {(const uint8_t *)"large", 5},
                                  .range_end = {(const uint8_t *)"largf", 5}};
    const struct answer *answer =
        world_ask(w, n, REQUEST_READ, bytes, command_encode(&query, bytes));

    assert_int_equal(answer->status, ANSWER_OK);
    assert_int_equal(answer->refusal, STORE_NONE);
    assert_true(w->machine[n].client.pieces >= 2);
}

static void restart_all(struct world *w)
{
    for (uint32_t n = 0; n < NODES; n++)
        world_kill(w, n);
    for (uint32_t n = 0; n < NODES; n++)
        world_start(w, n);
}

static void writes_and_reads_on_every_node(void **state)
{
    struct world *w = world_open(NODES, NODES);
    static uint8_t big[BIG];
    uint64_t revision = 1;

    (void)state;
    const uint32_t leader = world_leader(w);
    for (uint32_t i = 0; i < 300; i++) {
        world_put(w, i % NODES, "key", big, i);
        assert_true(w->machine[i % NODES].client.answer.revision > revision);
        revision = w->machine[i % NODES].client.answer.revision;
    }
    assert_int_equal(revision, 301);
    for (uint32_t n = 0; n < NODES; n++)
        world_read_is(w, n, "key", 299);
    world_put(w, (leader + 1) % NODES, "large", big, sizeof big);
    world_put(w, leader, "large too", big, sizeof big);
    world_put(w, 2, "large three", big, sizeof big);
    for (uint32_t n = 0; n < NODES; n++) {
        world_read_is(w, n, "large", sizeof big);
        read_in_pieces(w, n);
    }

    restart_all(w);
    world_leader(w);
    for (uint32_t n = 0; n < NODES; n++) {
        world_read_is(w, n, "key", 299);
        world_read_is(w, n, "large too", sizeof big);
    }
    for (uint32_t n = 1; n < NODES; n++)
        assert_int_equal(store_digest(replica_store(w->machine[n].replica)),
                         store_digest(replica_store(w->machine[0].replica)));
    world_close(w);
}

static void lose_the_whole_log(struct disk *d)
{
    char name[DISK_NAME_BYTES];
    uint32_t harmed = 0;

    for (uint64_t segment = 1; segment <= SEGMENTS_MAX; segment++) {
        segment_name(name, segment);
        for (uint64_t at = SEGMENT_DATA_OFFSET; disk_harm_sector(d, name, at, DISK_HARM_ZERO);
             at += DISK_SECTOR)
            harmed++;
    }
    assert_true(harmed > 0);
}

static void damage_read_back_stops_the_node(void **state)
{
    static uint8_t value[BIG];
    struct world *w = world_open(NODES, NODES);
    struct machine *one = &w->machine[0];

    (void)state;
    for (uint32_t i = 0; i < MORE_THAN_A_WINDOW; i++) /* of the log's reader, which a start has used */
        world_put(w, 0, "key", value, sizeof value);
    const uint64_t applied = published_get(&one->view.applied);
    restart_all(w);
    lose_the_whole_log(one->disk);
    w->may_stop = true;
    world_put(w, 1, "key", value, 100);
    world_run_ms(w, 1000);
    assert_int_equal(published_get(&one->view.stop), REPLICA_STOP_LOG_DAMAGED);
    assert_true(published_get(&one->view.applied) < applied); /* nothing was taken from there */
    world_read_is(w, 2, "key", 100);
    world_close(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_and_reads_on_every_node),
        cmocka_unit_test(damage_read_back_stops_the_node),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
