/* Goal:   spsc.h and byte_ring.h keep order and content at every fill, across the wrap of the
 * memory and, for spsc.h, across the wrap of its 32-bit indices. Method: one thread plays both
 * sides. Sizes down to one slot; random pushes and pops against a plain counter. Two threads at
 * once are the business of torture.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/byte_ring.h"
#include "base/prng.h"
#include "base/spsc.h"

#include <string.h>

struct item {
    uint64_t number;
    uint32_t check;
};

enum { SLOTS_MAX = 64, RING_BYTES = 256, PIECES_MAX = 64 };

static alignas(CACHE_LINE_BYTES) uint8_t memory[sizeof(struct spsc) + SLOTS_MAX * 16];

static struct item item_make(uint64_t number)
{
    return (struct item){.number = number, .check = (uint32_t)hash_u64(number, 1)};
}

static void assert_item(const struct item *item, uint64_t number)
{
    assert_int_equal(item->number, number);
    assert_int_equal(item->check, (uint32_t)hash_u64(number, 1));
}

static void full_ring_takes_what_fits(void **state)
{
    (void)state;
    struct spsc *const q = spsc_init(memory, 4, sizeof(struct item));
    struct item items[6];
    struct item out[6];

    for (uint64_t i = 0; i < 6; i++)
        items[i] = item_make(i);
    assert_int_equal(spsc_room(q, 6), 4);
    assert_int_equal(spsc_count(q, 1), 0);
    assert_int_equal(spsc_push(q, items, sizeof items[0], 3), 3);
    assert_int_equal(spsc_push(q, items + 3, sizeof items[0], 3), 1);
    assert_int_equal(spsc_push(q, items + 4, sizeof items[0], 2), 0);
    assert_int_equal(spsc_room(q, 1), 0);
    assert_int_equal(spsc_pop(q, out, sizeof out[0], 2), 2);
    assert_int_equal(spsc_count(q, 4), 2);
    assert_int_equal(spsc_push(q, items + 4, sizeof items[0], 2), 2);
    assert_int_equal(spsc_pop(q, out + 2, sizeof out[0], 4), 4);
    assert_int_equal(spsc_pop(q, out, sizeof out[0], 1), 0);
    for (uint64_t i = 0; i < 6; i++)
        assert_item(&out[i], i);
}

static void spsc_at_random(uint32_t slot_count, uint32_t index_first)
{
    struct spsc *const q = spsc_init(memory, slot_count, sizeof(struct item));
    struct item items[SLOTS_MAX + 2];
    uint64_t pushed = 0;
    uint64_t popped = 0;
    struct prng p;

    /* As if that many items had gone through before. */
    q->head_seen = q->tail_seen = index_first;
    atomic_init(&q->tail, index_first);
    atomic_init(&q->head, index_first);
    prng_seed(&p, slot_count);
    for (uint32_t round = 0; round < 5000; round++) {
        const uint32_t offered = (uint32_t)prng_below(&p, slot_count + 3);
        for (uint32_t i = 0; i < offered; i++)
            items[i] = item_make(pushed + i);
        const uint32_t taken = spsc_push(q, items, sizeof items[0], offered);
        const uint64_t room = slot_count - (pushed - popped);
        assert_int_equal(taken, offered < room ? offered : room);
        pushed += taken;

        const uint32_t wanted = (uint32_t)prng_below(&p, slot_count + 3);
        const uint32_t got = spsc_pop(q, items, sizeof items[0], wanted);
        assert_int_equal(got, wanted < pushed - popped ? wanted : pushed - popped);
        for (uint32_t i = 0; i < got; i++)
            assert_item(&items[i], popped + i);
        popped += got;
    }
    assert_true(popped > 1000);
}

static void spsc_keeps_order_at_every_size(void **state)
{
    (void)state;
    for (uint32_t slot_count = 1; slot_count <= SLOTS_MAX; slot_count *= 2)
        spsc_at_random(slot_count, 0);
}

static void spsc_indices_may_wrap(void **state)
{
    (void)state;
    spsc_at_random(1, UINT32_MAX - 100);
    spsc_at_random(8, UINT32_MAX - 100);
}

static void spsc_bytes_hold_all_slots(void **state)
{
    (void)state;
    for (uint32_t item_bytes = 1; item_bytes <= 100; item_bytes++) {
        const size_t bytes = spsc_bytes(16, item_bytes);
        assert_true(bytes >= offsetof(struct spsc, slot) + (size_t)16 * item_bytes);
        assert_int_equal(bytes % CACHE_LINE_BYTES, 0);
    }
}

static void byte_ring_wraps_without_splitting(void **state)
{
    (void)state;
    struct byte_ring r;

    byte_ring_init(&r, memory, RING_BYTES);
    assert_ptr_equal(byte_ring_reserve(&r, 100), memory);
    assert_ptr_equal(byte_ring_reserve(&r, 100), memory + 104);
    /* 48 are left at the end and none at the start: no room for more, twice the same answer. */
    assert_null(byte_ring_reserve(&r, 49));
    assert_null(byte_ring_reserve(&r, 49));
    byte_ring_release(&r, 100);
    assert_ptr_equal(byte_ring_reserve(&r, 49), memory); /* the 48 are skipped */
    byte_ring_release(&r, 100);
    byte_ring_release(&r, 49); /* skips them too */
    assert_ptr_equal(byte_ring_reserve(&r, 128), memory + 56);
    byte_ring_release(&r, 128);
    assert_int_equal(published_get(&r.head), r.tail);
}

static void byte_ring_piece_may_end_at_the_end(void **state)
{
    (void)state;
    struct byte_ring r;

    byte_ring_init(&r, memory, RING_BYTES);
    assert_ptr_equal(byte_ring_reserve(&r, 128), memory);
    assert_ptr_equal(byte_ring_reserve(&r, 121), memory + 128); /* rounded up, full */
    assert_null(byte_ring_reserve(&r, 1));
    byte_ring_release(&r, 128);
    assert_ptr_equal(byte_ring_reserve(&r, 1), memory);
    byte_ring_release(&r, 121);
    byte_ring_release(&r, 1);
    assert_int_equal(published_get(&r.head), r.tail);
}

/* The half that a piece may take at most always fits into an empty ring, wherever it stands. */
static void byte_ring_empty_fits_the_largest(void **state)
{
    (void)state;
    struct byte_ring r;

    byte_ring_init(&r, memory, RING_BYTES);
    for (uint32_t i = 0; i < RING_BYTES; i++) {
        assert_non_null(byte_ring_reserve(&r, 1));
        byte_ring_release(&r, 1);
        assert_non_null(byte_ring_reserve(&r, RING_BYTES / 2));
        byte_ring_release(&r, RING_BYTES / 2);
    }
}

struct piece {
    uint8_t *bytes;
    uint32_t length;
    uint8_t fill;
};

static void piece_check_and_release(struct byte_ring *r, const struct piece *piece)
{
    for (uint32_t i = 0; i < piece->length; i++)
        assert_int_equal(piece->bytes[i], piece->fill);
    byte_ring_release(r, piece->length);
}

static void byte_ring_pieces_never_overlap(void **state)
{
    (void)state;
    struct piece pieces[PIECES_MAX];
    uint32_t written = 0;
    uint32_t released = 0;
    struct byte_ring r;
    struct prng p;

    byte_ring_init(&r, memory, RING_BYTES);
    prng_seed(&p, 4);
    for (uint32_t round = 0; round < 100000; round++) {
        const uint32_t length = (uint32_t)prng_between(&p, 1, RING_BYTES / 2);
        uint8_t *const bytes = byte_ring_reserve(&r, length);
        if (bytes != NULL) {
            assert_true(bytes >= memory);
            assert_true(bytes + length <= memory + RING_BYTES);
            pieces[written % PIECES_MAX] = (struct piece){bytes, length, (uint8_t)written};
            memset(bytes, (uint8_t)written, length);
            written++;
        }
        if (released < written && (bytes == NULL || prng_chance(&p, 300000))) {
            piece_check_and_release(&r, &pieces[released % PIECES_MAX]);
            released++;
        }
    }
    assert_true(released > 10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full_ring_takes_what_fits),
        cmocka_unit_test(spsc_keeps_order_at_every_size),
        cmocka_unit_test(spsc_indices_may_wrap),
        cmocka_unit_test(spsc_bytes_hold_all_slots),
        cmocka_unit_test(byte_ring_wraps_without_splitting),
        cmocka_unit_test(byte_ring_piece_may_end_at_the_end),
        cmocka_unit_test(byte_ring_empty_fits_the_largest),
        cmocka_unit_test(byte_ring_pieces_never_overlap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
