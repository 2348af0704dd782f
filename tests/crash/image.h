/* tests/crash/image.h: what a crash at one point leaves, told by an index, and what recovery makes of it.
 *
 * At a point with n unstable operations there are: every subset of them that survives whole (sampled
 * above IMAGE_SUBSET_MAX), each write torn in several ways among drawn survivors, and kills, after
 * which writes land late. Each of these images is recovered; and once more with a second crash: in
 * the middle of the recovery, or after it when the log has gone on.
 */
#ifndef TESTS_CRASH_IMAGE_H
#define TESTS_CRASH_IMAGE_H

#include "tests/persist/fixture.h"

enum {
    IMAGE_SUBSET_MAX = 12, /* up to so many unstable operations all subsets are tried */
    IMAGE_TEARS = 2,       /* of each write and shape: so many pieces are drawn */
    IMAGE_KILLS = 4,
    IMAGE_DEPTH_MAX = 14, /* changing operations of a recovery at which the second crash may come */
};

struct image {
    uint32_t index;  /* below image_count() */
    bool deep;       /* with a second crash */
    uint64_t number; /* whatever is drawn follows from it */
};

uint32_t image_count(const struct fixture *f);
/* Crashes a copy of `f`, which is made in `scratch`, and recovers it. 0, or -1 with a sentence in
 * scratch->error. */
int image_check(const struct fixture *f, struct fixture *scratch, const struct image *image);

#endif
