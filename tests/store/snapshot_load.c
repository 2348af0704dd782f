/* Goal:   what was emitted is the state again, byte by byte; and nothing else is ever taken for one.
 * Method: a random store is emitted, its content loaded in random pieces and budgets; the store that comes
 *         out must emit the same bytes, and go on as the first one does under the same commands. Then
 *         content is changed in each byte, cut at each length, made longer, or has numbers that contradict
 *         each other under a checksum that is right: all of it must be refused, however it is cut, and a good
 *         load must work after it.
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

#include <stdlib.h>
#include <string.h>

enum { QUOTA_BYTES = 16 << 20, KEYS = 400, SMALL_KEYS = 6 };

struct scene {
    struct harness from;
    struct harness to;
    struct model model;
    struct draw draw;
    struct content content;
};

static void write(struct scene *s, struct harness *other)
{
    struct command c = {.kind = COMMAND_PUT};

    c.key = draw_key(&s->draw, s->draw.key);
    if (prng_chance(&s->draw.prng, 200000)) {
        c.kind = COMMAND_DELETE_RANGE;
    } else {
        c.value = draw_value(&s->draw);
    }
    const uint32_t first = model_lower_bound(&s->model, c.key);
    harness_apply(&s->from, &c, false);
    if (other != NULL)
        harness_apply(other, &c, false);
    if (c.kind == COMMAND_PUT)
        model_put(&s->model, &c);
    else
        model_delete(&s->model, first, model_range_end(&s->model, &c, first));
}

static void open(struct scene *s, uint64_t seed, uint32_t keys)
{
    *s = (struct scene){.model.revision = 1};
    s->draw.model = &s->model;
    prng_seed(&s->draw.prng, seed);
    harness_open_pinned(&s->from, QUOTA_BYTES, QUOTA_BYTES);
    harness_open_pinned(&s->to, QUOTA_BYTES, QUOTA_BYTES);
    do {
        write(s, NULL);
    } while (s->model.count < keys);
}

static void close(struct scene *s)
{
    harness_close(&s->from);
    harness_close(&s->to);
    model_delete(&s->model, 0, s->model.count);
    content_free(&s->content);
}

static void emit(struct harness *h, struct content *out)
{
    assert_true(store_pin(h->store));
    out->length = 0;
    out->room = store_pinned_bytes(h->store);
    out->bytes = realloc(out->bytes, out->room);
    ASSERT(out->bytes != NULL);
    while (!store_emitted(h->store))
        out->length += store_emit(h->store, out->bytes + out->length,
                                  (uint32_t)(out->room - out->length), 1000);
    assert_int_equal(out->length, out->room);
    assert_true(store_unpin(h->store, 1));
}

/* In pieces of at most `piece` bytes, each copied to where nothing lies behind it. */
static enum store_load_verdict load(struct scene *s, const struct content *content, uint64_t index,
                                    uint32_t piece)
{
    struct prng *p = &s->draw.prng;

    store_load_begin(s->to.store, index);
    for (uint64_t at = 0; at < content->length;) {
        const uint64_t left = content->length - at;
        const uint32_t length = (uint32_t)prng_between(p, 1, piece < left ? piece : left);
        uint8_t *bytes = malloc(length);
        ASSERT(bytes != NULL);
        memcpy(bytes, content->bytes + at, length);
        for (uint32_t used = 0; used < length;) {
            used += store_load(s->to.store, bytes + used, length - used,
                               (uint32_t)prng_between(p, 1, 100));
            if (store_load_verdict(s->to.store) != STORE_LOAD_GOOD)
                break;
        }
        free(bytes);
        if (store_load_verdict(s->to.store) != STORE_LOAD_GOOD)
            break;
        at += length;
    }
    return store_load_end(s->to.store);
}

static void check_equal(const struct scene *s)
{
    assert_int_equal(store_applied(s->to.store), store_applied(s->from.store));
    assert_int_equal(store_revision(s->to.store), store_revision(s->from.store));
    assert_int_equal(store_digest(s->to.store), store_digest(s->from.store));
    assert_int_equal(store_key_count(s->to.store), store_key_count(s->from.store));
    assert_int_equal(store_logical_bytes(s->to.store), store_logical_bytes(s->from.store));
    store_verify(s->to.store);
}

static void what_was_emitted_is_the_state_again(void **state)
{
    struct content again = {.bytes = NULL};
    struct scene s;

    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        open(&s, seed, KEYS);
        const uint64_t index = store_applied(s.from.store);
        emit(&s.from, &s.content);
        /* Whatever was there, a pin in the middle of its emission too, is forgotten. */
        for (uint32_t i = 0; i < 50; i++) {
            struct command c = {.kind = COMMAND_PUT, .key = draw_key(&s.draw, s.draw.key)};
            harness_apply(&s.to, &c, false);
            if (i == 20)
                assert_true(store_pin(s.to.store));
        }
        const uint64_t before = store_applied(s.to.store);
        store_load_begin(s.to.store, index);
        assert_int_equal(store_applied(s.to.store), before);
        const uint32_t piece = seed % 2 == 0 ? 100 : 65536;
        assert_int_equal(load(&s, &s.content, index, piece), STORE_LOAD_GOOD);
        check_equal(&s);
        emit(&s.to, &again);
        assert_int_equal(again.length, s.content.length);
        assert_memory_equal(again.bytes, s.content.bytes, again.length);
        for (uint32_t i = 0; i < 1000; i++)
            write(&s, &s.to);
        check_equal(&s);
        close(&s);
    }
    content_free(&again);
}

/* It must be refused; and the good one is loaded after it now and then. */
static void check_refused(struct scene *s, const struct content *bad)
{
    const uint64_t index = store_applied(s->from.store);
    const uint32_t piece = prng_chance(&s->draw.prng, 500000) ? 7 : 1000;

    assert_int_not_equal(load(s, bad, index, piece), STORE_LOAD_GOOD);
    if (!prng_chance(&s->draw.prng, 10000))
        return;
    assert_int_equal(load(s, &s->content, index, piece), STORE_LOAD_GOOD);
    check_equal(s);
}

static void copy_of(const struct content *from, struct content *to)
{
    to->length = from->length;
    to->room = from->length + 100;
    to->bytes = realloc(to->bytes, to->room);
    ASSERT(to->bytes != NULL);
    memcpy(to->bytes, from->bytes, from->length);
    memset(to->bytes + from->length, 0, 100);
}

static void damaged_content_is_refused(void **state)
{
    struct content bad = {.bytes = NULL};
    struct scene s;

    (void)state;
    for (uint64_t seed = 0; seed < 3; seed++) {
        open(&s, seed, SMALL_KEYS);
        emit(&s.from, &s.content);
        copy_of(&s.content, &bad);
        const uint64_t stride = s.content.length / 3000 + 1;
        for (uint64_t at = 0; at < s.content.length; at += at < 1000 ? 1 : stride) {
            bad.bytes[at] ^= (uint8_t)prng_between(&s.draw.prng, 1, 255);
            check_refused(&s, &bad);
            bad.bytes[at] = s.content.bytes[at];
            bad.length = at;
            check_refused(&s, &bad);
            bad.length = s.content.length;
        }
        for (bad.length = s.content.length + 1; bad.length <= bad.room; bad.length++)
            check_refused(&s, &bad);
        close(&s);
    }
    content_free(&bad);
}

static void put_word(struct content *c, uint64_t offset, uint64_t value)
{
    memcpy(c->bytes + offset, &value, sizeof value);
}

/* Numbers of the header and of the first item, each as no store can have it. */
static void numbers_that_contradict_are_refused(void **state)
{
    struct content bad = {.bytes = NULL};
    struct scene s;

    (void)state;
    open(&s, 7, SMALL_KEYS);
    emit(&s.from, &s.content);
    const uint64_t index = store_applied(s.from.store);
    const uint64_t revision = (uint64_t)store_revision(s.from.store);
    const uint64_t logical = store_logical_bytes(s.from.store);
    const uint64_t keys = store_key_count(s.from.store);
    const struct {
        uint64_t offset, value;
    } wrong[] = {
        {8, index + 1},
        {8, 0},
        {16, 0},
        {16, index + 2},
        {16, 1},
        {32, logical - 1},
        {32, logical + 1},
        {32, 0},
        {40, keys - 1},
        {40, keys + 1},
        {40, UINT64_MAX},
        {48, 0},
        {64, revision + 1},
        {64, 0},
        {72, 1},
        {72, revision + 1},
        {80, 0},
        {80, revision},
        {88, 1},
        {88, UINT64_MAX},
        {96, 0},
        {96, UINT32_MAX},
        {96, 1ull << 40 | 1},
    };
    for (uint32_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        copy_of(&s.content, &bad);
        put_word(&bad, wrong[i].offset, wrong[i].value);
        content_seal(bad.bytes);
        check_refused(&s, &bad);
    }
    copy_of(&s.content, &bad);
    put_word(&bad, 24, QUOTA_BYTES + 1);
    content_seal(bad.bytes);
    assert_int_equal(load(&s, &bad, index, 1000), STORE_LOAD_NO_ROOM);
    copy_of(&s.content, &bad);
    put_word(&bad, 32, QUOTA_BYTES + 1);
    content_seal(bad.bytes);
    assert_int_equal(load(&s, &bad, index, 1000), STORE_LOAD_NO_ROOM);
    assert_int_equal(load(&s, &s.content, index + 1, 1000), STORE_LOAD_MALFORMED);
    content_free(&bad);
    close(&s);
}

/* Two items in the other order, and one twice: each item by itself is sound. */
static void the_order_of_keys_is_checked(void **state)
{
    struct content bad = {.bytes = NULL};
    struct command c = {.kind = COMMAND_PUT, .key = harness_text("a"), .value = harness_text("x")};
    struct scene s;

    (void)state;
    s = (struct scene){.model.revision = 1};
    prng_seed(&s.draw.prng, 1);
    harness_open_pinned(&s.from, QUOTA_BYTES, QUOTA_BYTES);
    harness_open_pinned(&s.to, QUOTA_BYTES, QUOTA_BYTES);
    harness_apply(&s.from, &c, false);
    c.key = harness_text("b");
    harness_apply(&s.from, &c, false);
    emit(&s.from, &s.content);
    const uint64_t item = CONTENT_ITEM_BYTES + 2;
    assert_int_equal(s.content.length, CONTENT_HEADER_BYTES + 2 * item);
    copy_of(&s.content, &bad);
    memcpy(bad.bytes + CONTENT_HEADER_BYTES, s.content.bytes + CONTENT_HEADER_BYTES + item, item);
    memcpy(bad.bytes + CONTENT_HEADER_BYTES + item, s.content.bytes + CONTENT_HEADER_BYTES, item);
    check_refused(&s, &bad);
    copy_of(&s.content, &bad);
    memcpy(bad.bytes + CONTENT_HEADER_BYTES, s.content.bytes + CONTENT_HEADER_BYTES + item, item);
    check_refused(&s, &bad);
    content_free(&bad);
    close(&s);
}

/* The same key twice, under numbers and a digest that are right for it: the digest of two items is the sum of
 * theirs. */
static void a_key_comes_once(void **state)
{
    struct content twice = {.bytes = NULL};
    const struct command c = {
        .kind = COMMAND_PUT, .key = harness_text("a"), .value = harness_text("x")};
    struct scene s = {.model.revision = 1};

    (void)state;
    prng_seed(&s.draw.prng, 1);
    harness_open_pinned(&s.from, QUOTA_BYTES, QUOTA_BYTES);
    harness_open_pinned(&s.to, QUOTA_BYTES, QUOTA_BYTES);
    harness_apply(&s.from, &c, false);
    emit(&s.from, &s.content);
    copy_of(&s.content, &twice);
    const uint64_t item = s.content.length - CONTENT_HEADER_BYTES;
    memcpy(twice.bytes + s.content.length, s.content.bytes + CONTENT_HEADER_BYTES, item);
    twice.length += item;
    put_word(&twice, 32, 2 * store_logical_bytes(s.from.store));
    put_word(&twice, 40, 2);
    put_word(&twice, 48, 2 * store_digest(s.from.store));
    content_seal(twice.bytes);
    check_refused(&s, &twice);
    content_free(&twice);
    close(&s);
}

/* A header that fits, and items that no memory was taken for. */
static void items_beyond_what_the_header_says_are_refused(void **state)
{
    static uint8_t value[100000];
    struct scene s = {.model.revision = 1};
    uint8_t key[2] = {'k', 0};
    const struct command c = {
        .kind = COMMAND_PUT, .key = {key, sizeof key}, .value = {value, sizeof value}};

    (void)state;
    prng_seed(&s.draw.prng, 1);
    harness_open_pinned(&s.from, 2 * QUOTA_BYTES, 2 * QUOTA_BYTES);
    harness_open_pinned(&s.to, QUOTA_BYTES, 0);
    while (store_logical_bytes(s.from.store) < QUOTA_BYTES / 2 * 3) {
        harness_apply(&s.from, &c, false);
        assert_int_equal(s.from.outcome.refusal, STORE_NONE);
        key[1]++;
    }
    emit(&s.from, &s.content);
    put_word(&s.content, 24, QUOTA_BYTES);
    put_word(&s.content, 32, QUOTA_BYTES);
    content_seal(s.content.bytes);
    assert_int_equal(load(&s, &s.content, store_applied(s.from.store), 65536),
                     STORE_LOAD_MALFORMED);
    close(&s);
}

/* A store without a key has content too. */
static void an_empty_state_is_loaded(void **state)
{
    struct scene s = {.model.revision = 1};

    (void)state;
    prng_seed(&s.draw.prng, 1);
    harness_open_pinned(&s.from, QUOTA_BYTES, QUOTA_BYTES);
    harness_open_pinned(&s.to, QUOTA_BYTES, QUOTA_BYTES);
    store_skip(s.from.store, 1);
    emit(&s.from, &s.content);
    assert_int_equal(s.content.length, CONTENT_HEADER_BYTES);
    assert_int_equal(load(&s, &s.content, 1, 1), STORE_LOAD_GOOD);
    check_equal(&s);
    close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_emitted_is_the_state_again),
        cmocka_unit_test(damaged_content_is_refused),
        cmocka_unit_test(numbers_that_contradict_are_refused),
        cmocka_unit_test(the_order_of_keys_is_checked),
        cmocka_unit_test(a_key_comes_once),
        cmocka_unit_test(items_beyond_what_the_header_says_are_refused),
        cmocka_unit_test(an_empty_state_is_loaded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
