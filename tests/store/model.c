/* Goal:   whatever is put, deleted and read, in steps of whatever size, the store is a sorted list.
 * Method: random commands and queries, over keys that are alike in nasty ways, go to the store and
 * to
 *         the simplest thing that could be right: an array of keys in order. Every result is
 *         compared byte by byte; the store proves its own invariants now and then. A second store
 *         gets the same commands with other budgets and nobody waiting: the digests must stay
 *         equal. A failure prints seed and step; MODEL_SEED and MODEL_STEPS in the environment run
 *         others.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/assert.h"
#include "base/prng.h"
#include "tests/store/draw.h"
#include "tests/store/harness.h"
#include "tests/store/reference.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS = 300000 };

struct scene {
    struct harness store; /* compared with the model */
    struct harness twin;  /* compared with the store */
    struct model model;
    struct draw draw;
    const struct entry *wanted[MODEL_KEYS_MAX]; /* of a query */
    uint32_t wanted_count;
};

static void check_item(const struct result_item *item, const struct entry *e, bool with_value)
{
    assert_int_equal(item->create_revision, e->create);
    assert_int_equal(item->mod_revision, e->mod);
    assert_int_equal(item->version, e->version);
    assert_int_equal(item->lease, 0);
    assert_int_equal(item->key_bytes, e->key_bytes);
    assert_int_equal(item->value_bytes, with_value ? e->value_bytes : 0);
    assert_memory_equal(harness_item_key(item), e->key, e->key_bytes);
    if (with_value && e->value_bytes > 0)
        assert_memory_equal(harness_item_value(item), e->value, e->value_bytes);
}

static void check_items(const struct harness *h, const struct entry *const *entry, uint32_t count,
                        bool with_value)
{
    const struct result_item *item = NULL;

    assert_int_equal(h->header.items, count);
    for (uint32_t i = 0; i < count; i++) {
        item = harness_next_item(h, item);
        assert_non_null(item);
        check_item(item, entry[i], with_value);
    }
    if (h->has_header)
        assert_null(harness_next_item(h, item));
}

/* The twin applies the same with another budget. */
static void apply_both(struct scene *s, const struct command *c, bool wanted)
{
    harness_apply(&s->store, c, wanted);
    s->twin.budget = (uint32_t)prng_between(&s->draw.prng, 1, 50);
    harness_apply(&s->twin, c, false);
    assert_int_equal(s->store.outcome.refusal, s->twin.outcome.refusal);
    assert_int_equal(s->store.outcome.revision, s->twin.outcome.revision);
    assert_false(s->twin.has_header);
    assert_int_equal(store_digest(s->store.store), store_digest(s->twin.store));
    if (!wanted)
        assert_false(s->store.has_header);
}

static void step_put(struct scene *s)
{
    struct command c = {.kind = COMMAND_PUT, .key = draw_key(&s->draw, s->draw.key)};
    const uint32_t at = model_lower_bound(&s->model, c.key);
    const bool exists = model_has(&s->model, at, c.key);
    const bool wanted = prng_chance(&s->draw.prng, 700000);

    if (prng_chance(&s->draw.prng, 300000))
        c.flags |= COMMAND_PREV_KV;
    if (prng_chance(&s->draw.prng, 100000))
        c.flags |= COMMAND_IGNORE_LEASE;
    if (prng_chance(&s->draw.prng, 100000))
        c.flags |= COMMAND_IGNORE_VALUE;
    else
        c.value = draw_value(&s->draw);
    if ((c.flags & COMMAND_IGNORE_LEASE) == 0 && prng_chance(&s->draw.prng, 20000))
        c.lease = 7;

    enum store_refusal refusal = STORE_NONE;
    if (c.lease != 0)
        refusal = STORE_LEASE_NOT_FOUND;
    else if (!exists && (c.flags & (COMMAND_IGNORE_LEASE | COMMAND_IGNORE_VALUE)) != 0)
        refusal = STORE_KEY_NOT_FOUND;
    if (s->model.count == MODEL_KEYS_MAX && !exists)
        return;
    apply_both(s, &c, wanted);
    assert_int_equal(s->store.outcome.refusal, refusal);
    const bool previous =
        wanted && exists && (c.flags & COMMAND_PREV_KV) != 0 && refusal == STORE_NONE;
    assert_int_equal(s->store.has_header, previous);
    if (previous) {
        const struct entry *const old = s->model.entry[at];
        assert_int_equal(s->store.header.count, 1);
        check_items(&s->store, &old, 1, true);
    }
    if (refusal == STORE_NONE)
        model_put(&s->model, &c);
}

static void step_delete(struct scene *s)
{
    struct command c = {.kind = COMMAND_DELETE_RANGE};
    const bool wanted = prng_chance(&s->draw.prng, 700000);
    const bool previous = prng_chance(&s->draw.prng, 500000);

    draw_range(&s->draw, &c);
    c.flags = previous ? COMMAND_PREV_KV : 0;
    const uint32_t first = model_lower_bound(&s->model, c.key);
    uint32_t end = model_range_end(&s->model, &c, first);
    if (end - first > s->model.count / 10 && !prng_chance(&s->draw.prng, 2000)) {
        c.range_end.length = 0; /* else soon there is nothing */
        end = model_range_end(&s->model, &c, first);
    }
    apply_both(s, &c, wanted);
    assert_int_equal(s->store.outcome.refusal, STORE_NONE);
    assert_int_equal(s->store.has_header, wanted);
    if (wanted) {
        assert_int_equal(s->store.header.count, end - first);
        check_items(&s->store, (const struct entry *const *)s->model.entry + first,
                    previous ? end - first : 0, true);
    }
    model_delete(&s->model, first, end);
}

static const struct command *sorting; /* of the query at hand: qsort() passes nothing on */

static int compare_wanted(const void *a_place, const void *b_place)
{
    const struct entry *a = *(const struct entry *const *)a_place;
    const struct entry *b = *(const struct entry *const *)b_place;
    const int by_key = compare_bytes(a->key, a->key_bytes, b->key, b->key_bytes);
    int order = 0;

    if (sorting->sort_target == SORT_KEY)
        order = by_key;
    else if (sorting->sort_target == SORT_VERSION)
        order = (a->version > b->version) - (a->version < b->version);
    else if (sorting->sort_target == SORT_CREATE)
        order = (a->create > b->create) - (a->create < b->create);
    else if (sorting->sort_target == SORT_MOD)
        order = (a->mod > b->mod) - (a->mod < b->mod);
    else
        order = compare_bytes(a->value, a->value_bytes, b->value, b->value_bytes);
    if (order == 0)
        return by_key;
    return sorting->sort_order == SORT_DESCEND ? -order : order;
}

static bool entry_passes(const struct command *c, const struct entry *e)
{
    return e->mod >= c->min_mod && e->create >= c->min_create &&
           (c->max_mod == 0 || e->mod <= c->max_mod) &&
           (c->max_create == 0 || e->create <= c->max_create);
}

static void draw_filters(struct scene *s, struct command *c)
{
    const uint64_t head = (uint64_t)s->model.revision;
    int64_t *const field[] = {&c->min_mod, &c->max_mod, &c->min_create, &c->max_create};

    for (uint32_t i = 0; i < sizeof field / sizeof field[0]; i++) {
        if (prng_chance(&s->draw.prng, 250000))
            *field[i] = (int64_t)(head - prng_below(&s->draw.prng, head < 500 ? head : 500));
    }
}

static void step_range(struct scene *s)
{
    struct command c = {.kind = QUERY_RANGE};
    struct prng *p = &s->draw.prng;

    draw_range(&s->draw, &c);
    c.limit = prng_chance(p, 500000) ? (int64_t)prng_below(p, 40) - 1 : 0;
    c.sort_order = (uint8_t)prng_below(p, 3);
    c.sort_target = (uint8_t)(prng_chance(p, 500000) ? prng_below(p, 5) : SORT_KEY);
    if (prng_chance(p, 200000))
        c.flags |= QUERY_KEYS_ONLY;
    if (prng_chance(p, 100000))
        c.flags |= QUERY_COUNT_ONLY;
    if (prng_chance(p, 300000))
        draw_filters(s, &c);
    if (prng_chance(p, 200000))
        c.revision = (int64_t)prng_below(p, (uint64_t)s->model.revision + 3) - 1;
    harness_read(&s->store, &c);
    assert_int_equal(s->store.outcome.revision, s->model.revision);
    if (c.revision > 0 && c.revision != s->model.revision) {
        assert_int_equal(s->store.outcome.refusal,
                         c.revision < s->model.revision ? STORE_COMPACTED : STORE_FUTURE_REVISION);
        assert_false(s->store.has_header);
        return;
    }

    const uint32_t first = model_lower_bound(&s->model, c.key);
    const uint32_t end = model_range_end(&s->model, &c, first);
    s->wanted_count = 0;
    for (uint32_t i = first; i < end; i++) {
        if (entry_passes(&c, s->model.entry[i]))
            s->wanted[s->wanted_count++] = s->model.entry[i];
    }
    sorting = &c;
    qsort(s->wanted, s->wanted_count, sizeof s->wanted[0], compare_wanted);
    bool more = false;
    if (c.limit > 0 && s->wanted_count > c.limit) {
        s->wanted_count = (uint32_t)c.limit;
        more = true;
    }
    if ((c.flags & QUERY_COUNT_ONLY) != 0) {
        s->wanted_count = 0;
        more = false;
    }
    assert_int_equal(s->store.outcome.refusal, STORE_NONE);
    assert_int_equal(s->store.header.count, end - first);
    assert_int_equal(s->store.header.more, more);
    check_items(&s->store, s->wanted, s->wanted_count, (c.flags & QUERY_KEYS_ONLY) == 0);
}

static void step_skip(struct scene *s)
{
    store_skip(s->store.store, store_applied(s->store.store) + 1);
    store_skip(s->twin.store, store_applied(s->twin.store) + 1);
}

static void check_whole(struct scene *s)
{
    const struct command query = {.kind = QUERY_DIGEST};

    store_verify(s->store.store);
    assert_int_equal(store_key_count(s->store.store), s->model.count);
    assert_int_equal(store_revision(s->store.store), s->model.revision);
    assert_int_equal(store_applied(s->store.store), store_applied(s->twin.store));
    assert_int_equal(store_logical_bytes(s->store.store), store_logical_bytes(s->twin.store));
    harness_read(&s->store, &query);
    assert_int_equal(s->store.header.digest, store_digest(s->twin.store));
    assert_int_equal(s->store.header.count, s->model.count);
}

/* In some stretches of the run the store grows, in others it shrinks, so that nodes split and merge
 * at every height. */
static void step(struct scene *s, uint64_t number)
{
    const uint64_t dice = prng_below(&s->draw.prng, 100);
    const bool shrinking = number / 10000 % 3 == 2;
    const uint64_t puts = shrinking ? 25 : 85;

    s->store.budget =
        prng_chance(&s->draw.prng, 500000) ? 1 : (uint32_t)prng_between(&s->draw.prng, 1, 200);
    if (dice < puts)
        step_put(s);
    else if (dice < puts + (shrinking ? 65 : 2))
        step_delete(s);
    else if (dice < 99)
        step_range(s);
    else
        step_skip(s);
    if (number % 2000 == 0)
        check_whole(s);
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text != NULL ? strtoull(text, NULL, 0) : otherwise;
}

static void store_is_a_sorted_list(void **state)
{
    static struct scene s;
    const uint64_t seed = from_environment("MODEL_SEED", 1);
    const uint64_t steps = from_environment("MODEL_STEPS", STEPS);

    (void)state;
    s.draw.model = &s.model;
    prng_seed(&s.draw.prng, seed);
    harness_open(&s.store, 256 << 20);
    harness_open(&s.twin, 256 << 20);
    s.model.revision = 1;
    for (uint64_t i = 0; i < steps; i++) {
        if (i % 10000 == 0)
            print_message("replay: MODEL_SEED=%llu; step %llu, %u keys\n", (unsigned long long)seed,
                          (unsigned long long)i, s.model.count);
        step(&s, i);
    }
    model_delete(&s.model, 0, s.model.count);
    harness_close(&s.store);
    harness_close(&s.twin);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(store_is_a_sorted_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
