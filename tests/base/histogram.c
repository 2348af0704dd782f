/* Goal:   a quantile is never below the true one and at most 1/64 above it, at every size of value.
 * Method: the same samples into the histogram and into a sorted array; every quantile compared.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/histogram.h"
#include "base/prng.h"

#include <stdlib.h>

enum { SAMPLES = 20000, PER_MILLION = 1000000 };

static struct histogram histogram; /* 30 KiB: not for the stack */
static struct histogram half[2];
static uint64_t sorted[SAMPLES];

static int compare_u64(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a;
    const uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void check_quantile(const struct histogram *h, uint32_t per_million)
{
    const uint64_t rank = ((uint64_t)SAMPLES * per_million + PER_MILLION - 1) / PER_MILLION;
    const uint64_t exact = sorted[rank > 0 ? rank - 1 : 0];
    const uint64_t found = histogram_quantile(h, per_million);

    assert_true(found >= exact);
    assert_true(found - exact <= exact / 64);
}

static void quantiles_follow_the_sorted_samples(void **state)
{
    (void)state;
    struct prng p;

    prng_seed(&p, 1);
    histogram_reset(&histogram);
    for (uint32_t i = 0; i < SAMPLES; i++) {
        sorted[i] = prng_next(&p) >> prng_below(&p, 64); /* every magnitude alike */
        histogram_add(&histogram, sorted[i]);
    }
    qsort(sorted, SAMPLES, sizeof sorted[0], compare_u64);
    for (uint32_t per_million = 0; per_million <= PER_MILLION; per_million += 500)
        check_quantile(&histogram, per_million);
    assert_int_equal(histogram.count, SAMPLES);
    assert_true(histogram.min == sorted[0]);
    assert_true(histogram.max == sorted[SAMPLES - 1]);
    assert_true(histogram_quantile(&histogram, PER_MILLION) == histogram.max);
}

static void small_values_are_exact(void **state)
{
    (void)state;
    histogram_reset(&histogram);
    for (uint64_t value = 1; value <= 100; value++)
        histogram_add(&histogram, value);
    for (uint32_t percent = 1; percent <= 100; percent++)
        assert_int_equal(histogram_quantile(&histogram, percent * 10000), percent);
    assert_int_equal(histogram.sum, 5050);
}

static void merged_halves_equal_the_whole(void **state)
{
    (void)state;
    struct prng p;

    prng_seed(&p, 2);
    histogram_reset(&histogram);
    histogram_reset(&half[0]);
    histogram_reset(&half[1]);
    for (uint32_t i = 0; i < SAMPLES; i++) {
        const uint64_t value = prng_below(&p, 1000000);
        histogram_add(&histogram, value);
        histogram_add(&half[i % 2], value);
    }
    histogram_merge(&half[0], &half[1]);
    assert_memory_equal(&half[0], &histogram, sizeof histogram);
}

static void empty_and_extreme_values(void **state)
{
    (void)state;
    histogram_reset(&histogram);
    assert_int_equal(histogram_quantile(&histogram, 500000), 0);
    histogram_reset(&half[0]);
    histogram_merge(&histogram, &half[0]);
    assert_int_equal(histogram_quantile(&histogram, 500000), 0);

    histogram_add(&histogram, 0);
    assert_int_equal(histogram_quantile(&histogram, PER_MILLION), 0);
    histogram_add(&histogram, UINT64_MAX);
    assert_true(histogram_quantile(&histogram, 500000) == 0);
    assert_true(histogram_quantile(&histogram, 500001) == UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantiles_follow_the_sorted_samples),
        cmocka_unit_test(small_values_are_exact),
        cmocka_unit_test(merged_halves_equal_the_whole),
        cmocka_unit_test(empty_and_extreme_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
