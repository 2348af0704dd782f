/* tests/crash/failing.h: each call to the disk fails in turn, once and for good, in each way. */
#ifndef TESTS_CRASH_FAILING_H
#define TESTS_CRASH_FAILING_H

#include <stdint.h>

enum { FAILING_ERROR_BYTES = 768 };

struct failing_counters {
    uint64_t runs;
    uint64_t stopped; /* the log stopped for good */
    uint64_t refused; /* a start did not succeed */
    uint64_t went_on; /* no room for a file: tried again later; or a read failed */
};

/* All of it for one workload: 0, or -1 with a sentence. */
int failing_check(uint32_t shape, uint64_t variant, struct failing_counters *counters,
                  char error[FAILING_ERROR_BYTES]);

#endif
