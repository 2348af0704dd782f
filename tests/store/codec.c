/* Goal:   a command has one form in bytes, and bytes that are none are refused without reading
 *         beyond their end.
 * Method: random commands are encoded and decoded; then valid bytes become invalid by a changed
 * byte,
 *         a cut and an addition. What is still accepted must encode to the very same bytes. All
 *         input ends at the end of its own allocation, so that ASan sees a read beyond it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/assert.h"
#include "base/prng.h"
#include "tests/store/harness.h"

#include <stdlib.h>
#include <string.h>

enum { TEXT_MAX = 64, BYTES_MAX = COMMAND_FIXED_BYTES_MAX + 2 * TEXT_MAX, ROUNDS = 200000 };

static const uint8_t text[TEXT_MAX] = "the bytes of a key, of a value or of the end of a range";

static struct command_bytes draw_text(struct prng *p, uint64_t least)
{
    const uint32_t length = (uint32_t)prng_between(p, least, TEXT_MAX);
    return (struct command_bytes){.bytes = length > 0 ? text : NULL, .length = length};
}

static struct command draw_command(struct prng *p)
{
    static const uint8_t kinds[] = {COMMAND_PUT, COMMAND_DELETE_RANGE, QUERY_RANGE, QUERY_DIGEST};
    struct command c = {.kind = kinds[prng_below(p, 4)]};

    if (c.kind == QUERY_DIGEST)
        return c;
    c.key = draw_text(p, 1);
    if (c.kind == COMMAND_PUT) {
        c.flags = (uint8_t)prng_below(p, 8);
        if ((c.flags & COMMAND_IGNORE_VALUE) == 0)
            c.value = draw_text(p, 0);
        if ((c.flags & COMMAND_IGNORE_LEASE) == 0)
            c.lease = (int64_t)prng_next(p);
        return c;
    }
    c.range_end = draw_text(p, 0);
    c.flags = (uint8_t)prng_below(p, 2);
    if (c.kind == COMMAND_DELETE_RANGE)
        return c;
    c.flags = (uint8_t)(prng_below(p, 4) * QUERY_KEYS_ONLY);
    c.sort_order = (uint8_t)prng_below(p, 3);
    c.sort_target = (uint8_t)prng_below(p, 5);
    c.limit = (int64_t)prng_next(p);
    c.revision = (int64_t)prng_next(p);
    c.min_mod = (int64_t)prng_next(p);
    c.max_mod = (int64_t)prng_next(p);
    c.min_create = (int64_t)prng_next(p);
    c.max_create = (int64_t)prng_next(p);
    return c;
}

static void assert_same_text(struct command_bytes a, struct command_bytes b)
{
    assert_int_equal(a.length, b.length);
    if (a.length > 0)
        assert_memory_equal(a.bytes, b.bytes, a.length);
}

static void assert_same_command(const struct command *a, const struct command *b)
{
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->flags, b->flags);
    assert_int_equal(a->sort_order, b->sort_order);
    assert_int_equal(a->sort_target, b->sort_target);
    assert_int_equal(a->lease, b->lease);
    assert_int_equal(a->limit, b->limit);
    assert_int_equal(a->revision, b->revision);
    assert_int_equal(a->min_mod, b->min_mod);
    assert_int_equal(a->max_mod, b->max_mod);
    assert_int_equal(a->min_create, b->min_create);
    assert_int_equal(a->max_create, b->max_create);
    assert_same_text(a->key, b->key);
    assert_same_text(a->range_end, b->range_end);
    assert_same_text(a->value, b->value);
}

/* Decodes from an allocation of exactly that length. */
static bool accepts(const uint8_t *bytes, uint32_t length)
{
    uint8_t *exact = malloc(length);
    uint8_t again[BYTES_MAX + 8];
    struct command c;

    ASSERT(exact != NULL || length == 0);
    if (length > 0)
        memcpy(exact, bytes, length);
    const bool accepted = command_decode(exact, length, &c);
    if (accepted) {
        assert_int_equal(command_bytes(&c), length);
        assert_int_equal(command_encode(&c, again), length);
        assert_memory_equal(again, bytes, length);
    }
    free(exact);
    return accepted;
}

static void decoding_undoes_encoding(void **state)
{
    struct prng p;

    (void)state;
    prng_seed(&p, 1);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        const struct command c = draw_command(&p);
        struct command d;
        uint8_t bytes[BYTES_MAX];
        const uint32_t length = command_encode(&c, bytes);
        assert_int_equal(length, command_bytes(&c));
        assert_int_equal(length % 8, 0);
        assert_true(command_decode(bytes, length, &d));
        assert_same_command(&c, &d);
    }
}

static void other_bytes_are_refused_or_canonical(void **state)
{
    struct prng p;

    (void)state;
    prng_seed(&p, 2);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        const struct command c = draw_command(&p);
        uint8_t bytes[BYTES_MAX + 8] = {0};
        const uint32_t length = command_encode(&c, bytes);
        assert_false(accepts(bytes, (uint32_t)prng_below(&p, length)));
        assert_false(accepts(bytes, length + (uint32_t)prng_between(&p, 1, 8)));
        bytes[prng_below(&p, length)] ^= (uint8_t)prng_between(&p, 1, 255);
        (void)accepts(bytes, length);
        for (uint32_t at = 0; at < length; at++) {
            if (prng_chance(&p, 100000))
                bytes[at] = (uint8_t)prng_next(&p);
        }
        (void)accepts(bytes, length);
    }
}

static void each_rule_refuses(void **state)
{
    const struct command_bytes key = harness_text("key");
    const struct command wrong[] = {
        {.kind = 0, .key = key},
        {.kind = 3, .key = key},
        {.kind = COMMAND_PUT},
        {.kind = QUERY_RANGE},
        {.kind = COMMAND_PUT, .key = key, .flags = QUERY_KEYS_ONLY},
        {.kind = COMMAND_DELETE_RANGE, .key = key, .flags = COMMAND_IGNORE_VALUE},
        {.kind = QUERY_RANGE, .key = key, .flags = COMMAND_PREV_KV},
        {.kind = QUERY_RANGE, .key = key, .sort_order = SORT_DESCEND + 1},
        {.kind = QUERY_RANGE, .key = key, .sort_target = SORT_VALUE + 1},
        {.kind = QUERY_DIGEST, .flags = QUERY_KEYS_ONLY},
        {.kind = COMMAND_PUT, .key = key, .flags = COMMAND_IGNORE_VALUE, .value = key},
        {.kind = COMMAND_PUT, .key = key, .flags = COMMAND_IGNORE_LEASE, .lease = 1},
        {.kind = COMMAND_PUT, .key = key, .value = {text, COMMAND_TEXT_BYTES_MAX - 2}},
        {.kind = COMMAND_PUT, .key = {text, UINT32_MAX}, .value = {text, 1}},
    };

    (void)state;
    for (uint32_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(command_bytes(&wrong[i]), 0);
    const struct command longest = {
        .kind = COMMAND_PUT, .key = key, .value = {text, COMMAND_TEXT_BYTES_MAX - 3}};
    assert_true(command_bytes(&longest) > COMMAND_TEXT_BYTES_MAX);
}

/* A query in the log and a command among the reads do nothing, but that the index moves. */
static void the_wrong_door_is_malformed(void **state)
{
    const struct command query = {.kind = QUERY_RANGE, .key = harness_text("k")};
    const struct command put = {.kind = COMMAND_PUT, .key = harness_text("k")};
    struct harness h;

    (void)state;
    harness_open(&h, 1 << 20);
    harness_apply(&h, &query, true);
    assert_int_equal(h.outcome.refusal, STORE_MALFORMED);
    assert_int_equal(store_applied(h.store), 1);
    harness_read(&h, &put);
    assert_int_equal(h.outcome.refusal, STORE_MALFORMED);
    assert_int_equal(store_applied(h.store), 1);
    assert_int_equal(h.outcome.revision, 1);
    assert_int_equal(store_key_count(h.store), 0);
    harness_close(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decoding_undoes_encoding),
        cmocka_unit_test(other_bytes_are_refused_or_canonical),
        cmocka_unit_test(each_rule_refuses),
        cmocka_unit_test(the_wrong_door_is_malformed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
