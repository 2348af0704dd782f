/* sim/fibre.h: one poll of a role that may be left in its middle, and gone on with later.
 *
 * Model      The poll runs on a stack of its own. After a number of moments (base/moment.h) it is left
 *            where it stands; the rest of the world goes on, as the other lcores of a machine do while
 *            one has lost its CPU; then it is gone on with. Between two moments nobody can tell.
 * Order      Whatever it did before it was left is visible, what comes after is not. It still has
 *            the time that it was called with.
 * Thread     The simulator's only one. One fibre runs at a time, and none within another.
 * Memory     A stack for each fibre, taken once. A poll that is never gone on with, since its process
 *            has died, costs nothing: fibre_drop().
 */
#ifndef SIM_FIBRE_H
#define SIM_FIBRE_H

#include <stdbool.h>
#include <stdint.h>

struct fibre;

#define FIBRE_TO_ITS_END UINT32_MAX

struct fibre *fibre_new(void);
void fibre_delete(struct fibre *f); /* NULL: nothing */

/* Begins `work(context)`, and leaves it after so many moments. True: it has ended before. */
bool fibre_begin(struct fibre *f, void (*work)(void *context), void *context, uint32_t moments);
/* Goes on with it likewise. */
bool fibre_go_on(struct fibre *f, uint32_t moments);
void fibre_drop(struct fibre *f); /* what was left stays so */
bool fibre_is_left(const struct fibre *f);
/* Moments that the last of these two calls did not need. */
uint32_t fibre_moments_left(const struct fibre *f);

/* What the simulator itself looks at within a poll is no moment of the poll: true before, false
 * behind. */
void fibre_pin(bool pinned);

#endif
