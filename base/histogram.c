/* base/histogram.c: values below 64 have a bucket each; above, each power of two has 64.
 *
 * A quantile answers with the upper end of its bucket, never less than the truth: a latency is
 * reported a little too slow rather than too fast.
 */
#include "base/histogram.h"

#include "base/assert.h"

#include <string.h>

enum { STEPS = 1 << HISTOGRAM_STEP_BITS, PER_MILLION = 1000000 };

static uint32_t bucket_of(uint64_t value)
{
    if (value < STEPS)
        return (uint32_t)value;
    const uint32_t shift = 63 - (uint32_t)__builtin_clzll(value) - HISTOGRAM_STEP_BITS;
    const uint32_t step = (uint32_t)(value >> shift) & (STEPS - 1);
    return ((shift + 1) << HISTOGRAM_STEP_BITS) + step;
}

/* The largest value that bucket_of() maps to `bucket`. */
static uint64_t bucket_end(uint32_t bucket)
{
    if (bucket < STEPS)
        return bucket;
    const uint32_t shift = (bucket >> HISTOGRAM_STEP_BITS) - 1;
    const uint64_t first = (uint64_t)(STEPS + (bucket & (STEPS - 1))) << shift;
    return first + (((uint64_t)1 << shift) - 1);
}

void histogram_reset(struct histogram *h)
{
    memset(h, 0, sizeof *h);
    h->min = UINT64_MAX;
}

void histogram_add(struct histogram *h, uint64_t value)
{
    const uint32_t bucket = bucket_of(value);

    ASSERT(bucket < HISTOGRAM_BUCKETS);
    h->count++;
    h->sum += value;
    h->min = value < h->min ? value : h->min;
    h->max = value > h->max ? value : h->max;
    h->bucket[bucket]++;
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    into->count += from->count;
    into->sum += from->sum;
    into->min = from->min < into->min ? from->min : into->min;
    into->max = from->max > into->max ? from->max : into->max;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        into->bucket[i] += from->bucket[i];
}

uint64_t histogram_quantile(const struct histogram *h, uint32_t per_million)
{
    ASSERT(per_million <= PER_MILLION);
    if (h->count == 0)
        return 0;

    /* ceil(count * per_million / PER_MILLION), in two parts so that nothing overflows. */
    const uint64_t rest = h->count % PER_MILLION * per_million;
    const uint64_t share =
        h->count / PER_MILLION * per_million + (rest + PER_MILLION - 1) / PER_MILLION;
    const uint64_t rank = share > 0 ? share : 1;
    uint64_t seen = 0;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += h->bucket[i];
        if (seen >= rank)
            return bucket_end(i) < h->max ? bucket_end(i) : h->max;
    }
    ASSERT(seen == h->count);
    return h->max;
}
