/* base/histogram.h: log-linear histogram of nanoseconds: 64 steps per power of two, so a quantile is
 * off by less than 1.6 %, in fixed memory. One writer; merge or copy to read elsewhere.
 */
#ifndef BASE_HISTOGRAM_H
#define BASE_HISTOGRAM_H

#include <stdint.h>

enum {
    HISTOGRAM_STEP_BITS = 6,
    HISTOGRAM_BUCKETS = (64 - HISTOGRAM_STEP_BITS + 1) << HISTOGRAM_STEP_BITS,
};

struct histogram {
    uint64_t count;
    uint64_t sum;
    uint64_t min;
    uint64_t max;
    uint64_t bucket[HISTOGRAM_BUCKETS];
};

void histogram_reset(struct histogram *h);
void histogram_add(struct histogram *h, uint64_t value);
void histogram_merge(struct histogram *into, const struct histogram *from);
/* The smallest value that at least `per_million` of all samples do not exceed; 0 when empty. */
uint64_t histogram_quantile(const struct histogram *h, uint32_t per_million);

#endif
