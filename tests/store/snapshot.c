/* Goal:   the emitted bytes are the state at the pin, whatever is written while they are emitted; and a
 *         pin costs no memory that does not come back.
 * Method: random writes go to a store and to the simplest thing that could be right, an array of keys in
 *         order. When the store is pinned, the content is written from the array, once, by the byte
 *         table of docs/formats.md. Then writes and pieces of the emission alternate, at random sizes and
 *         budgets, also inside an apply and a read; the bytes must be those. The store proves now and then
 *         that all blocks are accounted for. A failure prints the seed; SNAPSHOT_SEED and SNAPSHOT_ROUNDS
 *         in the environment run others.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/assert.h"
#include "store/snapshot.h"
#include "tests/store/content.h"
#include "tests/store/draw.h"
#include "tests/store/harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 150, KEYS = 600, QUOTA_BYTES = 32 << 20, PIECE_BYTES_MAX = 70000 };

struct scene {
    struct harness h;
    struct model model;
    struct draw draw;
    struct content wanted;
    uint64_t emitted_bytes; /* of it */
    uint64_t cut_off;       /* pins */
    uint64_t kept;          /* pieces that came when something was kept */
    uint32_t piece_bytes;   /* the largest, in this round */
    uint8_t piece[PIECE_BYTES_MAX];
};

static uint32_t draw_budget(struct prng *p)
{
    return (uint32_t)(prng_chance(p, 300000) ? 1 : prng_between(p, 1, 300));
}

static void emit_piece(struct scene *s)
{
    struct prng *p = &s->draw.prng;
    const uint32_t size = (uint32_t)prng_between(p, 1, s->piece_bytes);

    if (store_pinned(s->h.store) == 0 || store_emitted(s->h.store))
        return;
    s->kept += store_kept_bytes(s->h.store) > 0;
    const uint32_t length = store_emit(s->h.store, s->piece, size, draw_budget(p));
    assert_in_range(length, 0, size);
    assert_in_range(s->emitted_bytes + length, 0, s->wanted.length);
    assert_memory_equal(s->piece, s->wanted.bytes + s->emitted_bytes, length);
    s->emitted_bytes += length;
    assert_int_equal(store_emitted(s->h.store), s->emitted_bytes == s->wanted.length);
}

/* A piece of work of the store, pieces of the emission between its slices. */
static void work_through(struct scene *s)
{
    enum store_progress progress;

    do {
        progress = store_work(s->h.store, &s->h.sink, draw_budget(&s->draw.prng));
        s->h.sink.used = 0;
        if (prng_chance(&s->draw.prng, 300000))
            emit_piece(s);
        if (prng_chance(&s->draw.prng, 1000))
            store_verify(s->h.store);
    } while (progress != STORE_DONE);
}

static void apply(struct scene *s, const struct command *c)
{
    const uint32_t length = command_encode(c, s->h.encoded);

    store_begin_apply(s->h.store, store_applied(s->h.store) + 1, s->h.encoded, length, true);
    work_through(s);
    assert_int_equal(store_outcome(s->h.store).refusal, STORE_NONE);
}

static void put(struct scene *s)
{
    struct command c = {.kind = COMMAND_PUT};

    c.key = draw_key(&s->draw, s->draw.key);
    c.value = draw_value(&s->draw);
    apply(s, &c);
    model_put(&s->model, &c);
}

static void delete (struct scene *s)
{
    struct command c = {.kind = COMMAND_DELETE_RANGE};

    draw_range(&s->draw, &c);
    const uint32_t first = model_lower_bound(&s->model, c.key);
    uint32_t end = model_range_end(&s->model, &c, first);
    if (end - first > s->model.count / 4 && !prng_chance(&s->draw.prng, 20000)) {
        c.range_end.length = 0; /* else soon there is nothing */
        end = model_range_end(&s->model, &c, first);
    }
    c.flags = prng_chance(&s->draw.prng, 500000) ? COMMAND_PREV_KV : 0;
    apply(s, &c);
    model_delete(&s->model, first, end);
}

static void read(struct scene *s)
{
    struct command c = {.kind = QUERY_RANGE, .sort_target = SORT_VALUE};

    draw_range(&s->draw, &c);
    store_begin_read(s->h.store, s->h.encoded, command_encode(&c, s->h.encoded));
    work_through(s);
}

static void step(struct scene *s)
{
    const uint64_t dice = prng_below(&s->draw.prng, 100);

    if (dice < 55 && s->model.count < KEYS)
        put(s);
    else if (dice < 85)
        delete (s);
    else if (dice < 88)
        read(s);
    else
        emit_piece(s);
    if (prng_chance(&s->draw.prng, 5000))
        store_verify(s->h.store);
}

static void pin(struct scene *s)
{
    struct store *store = s->h.store;

    assert_int_equal(store_pinned(store), 0);
    assert_true(store_pin(store));
    assert_int_equal(store_pinned(store), store_applied(store));
    content_of_model(&s->wanted, &s->model,
                     &(struct content_facts){.index = store_applied(store),
                                             .quota_bytes = QUOTA_BYTES,
                                             .digest = store_digest(store)});
    assert_int_equal(store_pinned_bytes(store), s->wanted.length);
    s->emitted_bytes = 0;
    assert_false(store_pin(store)); /* one at a time */
}

static void unpin(struct scene *s)
{
    bool is_free = false;

    while (!is_free) {
        is_free = store_unpin(s->h.store, draw_budget(&s->draw.prng));
        assert_int_equal(store_pinned(s->h.store), 0);
        if (prng_chance(&s->draw.prng, 100000)) {
            store_verify(s->h.store);
            put(s); /* what is given back slowly keeps nobody */
        }
    }
    assert_int_equal(store_kept_bytes(s->h.store), 0);
    store_verify(s->h.store);
}

/* Some pins are let go in the middle, the rest is emitted to the end. */
static void round_of(struct scene *s)
{
    static const uint32_t most[] = {10, 50, 300, 2000, PIECE_BYTES_MAX};
    const bool give_up = prng_chance(&s->draw.prng, 200000);
    const uint64_t steps = prng_between(&s->draw.prng, 1, 2000);

    s->piece_bytes = most[prng_below(&s->draw.prng, sizeof most / sizeof most[0])];
    for (uint64_t i = 0; i < steps; i++)
        step(s);
    pin(s);
    for (uint64_t i = 0; i < steps && store_pinned(s->h.store) != 0; i++)
        step(s);
    while (!give_up && store_pinned(s->h.store) != 0 && !store_emitted(s->h.store))
        emit_piece(s);
    s->cut_off += store_pinned(s->h.store) == 0;
    unpin(s);
}

static uint64_t number_of(const char *name, uint64_t otherwise)
{
    const char *const value = getenv(name);

    return value != NULL ? strtoull(value, NULL, 10) : otherwise;
}

/* More rounds than one; `pin_bytes` decides whether pins are cut off. */
static struct scene *run(uint64_t pin_bytes, uint64_t seed)
{
    struct scene *s = calloc(1, sizeof *s);
    const uint64_t rounds = number_of("SNAPSHOT_ROUNDS", ROUNDS);

    ASSERT(s != NULL);
    printf("SNAPSHOT_SEED=%llu\n", (unsigned long long)seed);
    s->model.revision = 1;
    s->draw.model = &s->model;
    prng_seed(&s->draw.prng, seed);
    harness_open_pinned(&s->h, QUOTA_BYTES, pin_bytes);
    put(s);
    for (uint64_t i = 0; i < rounds; i++)
        round_of(s);
    return s;
}

static void end(struct scene *s)
{
    harness_close(&s->h);
    model_delete(&s->model, 0, s->model.count);
    content_free(&s->wanted);
    free(s);
}

static void emission_is_the_state_at_the_pin(void **state)
{
    struct scene *s = run(QUOTA_BYTES, number_of("SNAPSHOT_SEED", 1));

    (void)state;
    assert_int_equal(s->cut_off, 0);
    assert_true(s->kept > 1000);
    end(s);
}

static void a_pin_over_its_cap_is_cut_off(void **state)
{
    struct scene *s = run(40000, number_of("SNAPSHOT_SEED", 2));

    (void)state;
    assert_true(s->cut_off > 3);
    assert_true(s->kept > 100);
    end(s);
}

/* Every key is replaced by another of the largest kind of the same charge, with the quota nearly full:
 * twice the quota is in use then, and the emission still gets all of the first. */
static void a_pin_of_a_full_store_is_never_cut_off(void **state)
{
    static uint8_t value[2900];
    static uint8_t out[1 << 20];
    uint32_t key;
    struct command c = {.kind = COMMAND_PUT,
                        .key = {.bytes = (const uint8_t *)&key, .length = sizeof key}};
    struct harness h;
    uint32_t keys = 0;

    (void)state;
    for (uint32_t size = 0; size <= sizeof value; size += sizeof value) {
        harness_open_pinned(&h, 8 << 20, 8 << 20);
        c.value = (struct command_bytes){.bytes = value, .length = size};
        for (key = 0; h.outcome.refusal == STORE_NONE; key++)
            harness_apply(&h, &c, false);
        keys = key - 1;
        assert_true(store_pin(h.store));
        const uint64_t length = store_pinned_bytes(h.store);
        assert_in_range(length, 1,
                        store_snapshot_bytes_max(&(struct store_options){.quota_bytes = 8 << 20}));
        for (key = 0; key < keys; key++)
            harness_apply(&h, &c, false);
        assert_int_not_equal(store_pinned(h.store), 0);
        assert_int_equal(store_kept_bytes(h.store), store_logical_bytes(h.store));
        store_verify(h.store);
        uint64_t emitted = 0;
        while (!store_emitted(h.store))
            emitted += store_emit(h.store, out, sizeof out, 100);
        assert_int_equal(emitted, length);
        assert_int_equal(store_kept_bytes(h.store), 0);
        assert_true(store_unpin(h.store, 1));
        store_verify(h.store);
        harness_close(&h);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(emission_is_the_state_at_the_pin),
        cmocka_unit_test(a_pin_over_its_cap_is_cut_off),
        cmocka_unit_test(a_pin_of_a_full_store_is_never_cut_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
