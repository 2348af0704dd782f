/* sim/marks.h: which of the rare paths of base/mark.h a campaign has taken, and since which seed.
 *
 * A campaign that passed has shown something only about the paths it took: what it never reached
 * is told at its end, and may be made a failure.
 */
#ifndef SIM_MARKS_H
#define SIM_MARKS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/mark.h"

struct marks {
    uint64_t seen[MARK_COUNT];       /* counts after the last seed */
    uint64_t seeds[MARK_COUNT];      /* that reached it */
    uint64_t first_seed[MARK_COUNT]; /* of those */
};

/* Call it after each seed. */
void marks_take(struct marks *m, uint64_t seed);
/* On stdout: how many were reached and which were not; with `table` each with its counts. */
void marks_print(const struct marks *m, bool table);
/* At least this share of them was reached. */
bool marks_suffice(const struct marks *m, uint64_t percent);

#endif
