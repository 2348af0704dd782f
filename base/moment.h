/* base/moment.h: where one lcore may be overtaken by the others.
 *
 * Each operation on what lcores share (spsc.h, published.h, and what is made of them) begins with
 * moment(): what the others do between two of them an lcore can't tell from their having done it at
 * the later one. In the shipped build it is nothing. Simulator builds call a hook, which may leave the
 * lcore there and come back to it much later, when the rest of the world has gone on.
 */
#ifndef BASE_MOMENT_H
#define BASE_MOMENT_H

#include <stddef.h>

extern void (*moment_hook)(void); /* NULL: nobody is overtaken */

static inline void moment(void)
{
#ifdef SIM_BUILD
    if (__builtin_expect(moment_hook != NULL, 0))
        moment_hook();
#endif
}

#endif
