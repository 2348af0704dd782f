/* Goal:   a poll that is left in its middle has done what stands before that moment and nothing behind
 *         it, and goes on from there; one that is dropped never does, and its fibre serves again.
 * Method: a worker that counts on a published word, left after each number of moments, alone and beside
 *         another one. */
#include "base/published.h"
#include "sim/fibre.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { STEPS = 8 };

struct worker {
    struct published word;
    bool pinned;
};

static void work(void *context)
{
    struct worker *w = context;

    for (uint64_t i = 1; i <= STEPS; i++) {
        fibre_pin(w->pinned);
        published_set(&w->word, i);
        fibre_pin(false);
    }
}

static void left_at_each_moment(void **state)
{
    struct fibre *fibre = fibre_new();

    (void)state;
    for (uint32_t moments = 0; moments < STEPS; moments++) {
        struct worker w = {.pinned = false};
        assert_false(fibre_begin(fibre, work, &w, moments));
        assert_true(fibre_is_left(fibre));
        assert_int_equal(published_get(&w.word), moments);
        assert_true(fibre_go_on(fibre, FIBRE_TO_ITS_END));
        assert_false(fibre_is_left(fibre));
        assert_int_equal(published_get(&w.word), STEPS);
    }
    fibre_delete(fibre);
}

static void ends_before(void **state)
{
    struct fibre *fibre = fibre_new();
    struct worker w = {.pinned = false};

    (void)state;
    assert_true(fibre_begin(fibre, work, &w, STEPS + 3));
    assert_int_equal(fibre_moments_left(fibre), 3);
    w = (struct worker){.pinned = true}; /* what is pinned has no moments */
    assert_true(fibre_begin(fibre, work, &w, 0));
    assert_int_equal(published_get(&w.word), STEPS);
    fibre_delete(fibre);
}

static void two_side_by_side(void **state)
{
    struct fibre *one = fibre_new(), *other = fibre_new();
    struct worker a = {.pinned = false}, b = {.pinned = false};

    (void)state;
    assert_false(fibre_begin(one, work, &a, 2));
    assert_false(fibre_begin(other, work, &b, 5));
    assert_false(fibre_go_on(one, 0)); /* the moment at which it stands is past */
    assert_int_equal(published_get(&a.word), 3);
    fibre_drop(one);
    assert_true(fibre_go_on(other, FIBRE_TO_ITS_END));
    assert_int_equal(published_get(&b.word), STEPS);
    assert_int_equal(published_get(&a.word), 3);
    assert_true(fibre_begin(one, work, &a, FIBRE_TO_ITS_END));
    assert_int_equal(published_get(&a.word), STEPS);
    fibre_delete(one);
    fibre_delete(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(left_at_each_moment),
        cmocka_unit_test(ends_before),
        cmocka_unit_test(two_side_by_side),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
