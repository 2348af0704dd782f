/* Goal:   the index keeps its order and its fill at every height, and what a store holds does not
 *         depend on the way it came there.
 * Method: 200 000 keys come in order, backwards and at random, and go again in another order; the
 *         store proves its invariants at several points. Stores with the same keys, values and
 *         revisions after different histories have the same digest, and another one after any
 *         difference.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/store/harness.h"

#include <stdio.h>
#include <string.h>

enum { KEYS = 200000, KEY_BYTES = 16, STRIDE = 77773 /* shares no factor with KEYS */ };

enum way { FORWARDS, BACKWARDS, SCATTERED };

static uint64_t number_of(enum way way, uint64_t i)
{
    if (way == FORWARDS)
        return i;
    return way == BACKWARDS ? KEYS - 1 - i : i * STRIDE % KEYS;
}

static void change(struct harness *h, uint8_t kind, uint64_t number)
{
    char key[KEY_BYTES + 1];
    struct command c = {.kind = kind};

    (void)snprintf(key, sizeof key, "key/%012llu", (unsigned long long)number);
    c.key = harness_text(key);
    harness_apply(h, &c, false);
}

static void check_order(struct harness *h, uint64_t wanted)
{
    const struct command all = {.kind = QUERY_RANGE,
                                .flags = QUERY_KEYS_ONLY,
                                .key = {.bytes = (const uint8_t *)"", .length = 1},
                                .range_end = {.bytes = (const uint8_t *)"", .length = 1}};
    const struct result_item *before = NULL;
    uint64_t keys = 0;

    store_verify(h->store);
    harness_read(h, &all);
    assert_int_equal(h->header.count, wanted);
    for (const struct result_item *at = harness_next_item(h, NULL); at != NULL;
         at = harness_next_item(h, at)) {
        if (before != NULL)
            assert_true(memcmp(harness_item_key(before), harness_item_key(at), KEY_BYTES) < 0);
        before = at;
        keys++;
    }
    assert_int_equal(keys, wanted);
}

static void come_and_go(enum way come, enum way go)
{
    struct harness h;

    harness_open(&h, 64 << 20);
    h.budget = 1000;
    for (uint64_t i = 0; i < KEYS; i++)
        change(&h, COMMAND_PUT, number_of(come, i));
    check_order(&h, KEYS);
    for (uint64_t i = 0; i < KEYS; i++) {
        change(&h, COMMAND_DELETE_RANGE, number_of(go, i));
        if (i % (KEYS / 8) == 0)
            check_order(&h, KEYS - i - 1);
    }
    check_order(&h, 0);
    harness_close(&h);
}

static void keys_come_and_go_in_any_order(void **state)
{
    (void)state;
    for (enum way come = FORWARDS; come <= SCATTERED; come++) {
        for (enum way go = FORWARDS; go <= SCATTERED; go++)
            come_and_go(come, go);
    }
}

/* Revisions 2 and 3 are spent on a key that goes again, 4 to 103 on a hundred keys. The length of its
 * value decides how many blocks it leaves, and so where the others lie. */
static void open_with_history(struct harness *h, const char *gone, uint32_t value_bytes)
{
    static const uint8_t value[1000];
    const struct command put = {
        .kind = COMMAND_PUT, .key = harness_text(gone), .value = {value, value_bytes}};
    const struct command cut = {.kind = COMMAND_DELETE_RANGE, .key = put.key};

    harness_open(h, 1 << 20);
    harness_apply(h, &put, false);
    harness_apply(h, &cut, false);
    for (uint64_t i = 0; i < 100; i++)
        change(h, COMMAND_PUT, i);
}

static void the_digest_is_of_the_content(void **state)
{
    const struct command refused = {.kind = COMMAND_PUT, .key = harness_text("k"), .lease = 1};
    struct harness a;
    struct harness b;

    (void)state;
    open_with_history(&a, "a key that sorts before", 0);
    open_with_history(&b, "z that sorts behind", 1000);
    assert_true(store_digest(a.store) != 0);
    assert_int_equal(store_digest(a.store), store_digest(b.store));
    harness_apply(&a, &refused, false); /* moves the index, and nothing else */
    assert_int_equal(store_digest(a.store), store_digest(b.store));
    change(&a, COMMAND_DELETE_RANGE, 1000);
    assert_int_equal(store_digest(a.store), store_digest(b.store));
    assert_int_equal(store_revision(a.store), store_revision(b.store));

    change(&a, COMMAND_PUT, 7);
    assert_true(store_digest(a.store) != store_digest(b.store));
    change(&b, COMMAND_PUT, 8); /* the same texts, but other revisions */
    assert_true(store_digest(a.store) != store_digest(b.store));
    harness_close(&a);
    harness_close(&b);
}

/* A delete goes on over many steps; until the last of them the head is the old one. */
static void the_head_moves_at_the_end(void **state)
{
    const uint8_t nul[1] = {0};
    const struct command all = {
        .kind = COMMAND_DELETE_RANGE, .key = {nul, 1}, .range_end = {nul, 1}};
    uint8_t bytes[64];
    struct harness h;
    uint32_t steps = 0;

    (void)state;
    open_with_history(&h, "x", 1);
    const int64_t head = store_revision(h.store);
    const uint64_t applied = store_applied(h.store);
    const uint32_t length = command_encode(&all, bytes);
    store_begin_apply(h.store, applied + 1, bytes, length, false);
    while (store_work(h.store, NULL, 1) == STORE_AGAIN) {
        assert_int_equal(store_revision(h.store), head);
        assert_int_equal(store_applied(h.store), applied);
        steps++;
    }
    assert_int_equal(steps, 99);
    assert_int_equal(store_outcome(h.store).revision, head + 1);
    assert_int_equal(store_applied(h.store), applied + 1);
    change(&h, COMMAND_DELETE_RANGE, 1);
    assert_int_equal(h.outcome.revision, head + 1); /* there was nothing to delete */
    harness_close(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_come_and_go_in_any_order),
        cmocka_unit_test(the_digest_is_of_the_content),
        cmocka_unit_test(the_head_moves_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
