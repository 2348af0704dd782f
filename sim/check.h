/* sim/check.h: what a checker says when an invariant is broken.
 *
 * Checkers are pure: they are told what happened (a leader was seen, an entry was committed, an
 * answer arrived) and hold it against all that happened before. They know neither cluster nor
 * network, so that tests feed them histories which must be rejected.
 */
#ifndef SIM_CHECK_H
#define SIM_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CHECK_DETAIL_BYTES = 240 };

struct check_report {
    const char *invariant; /* NULL: nothing is broken */
    char detail[CHECK_DETAIL_BYTES];
};

/* Notes the first broken invariant of a run; returns false always, for `return check_fail(...)`. */
__attribute__((format(printf, 3, 4))) bool
check_fail(struct check_report *report, const char *invariant, const char *format, ...);

/* Memory for at least `count` items of `item_bytes`, new ones zero; the simulator is no lcore and
 * may allocate. */
void *check_grow(void *array, uint64_t *capacity, uint64_t count, size_t item_bytes);

#endif
