/* base/assert.h: assertions for programmer errors, on in every build.
 *
 * ASSERT is for what only a bug of ours can break. Bytes from the NIC, a client or the disk are
 * never asserted on (they are counted and dropped, or refused), and neither is a full ring or pool
 * (that is back-pressure).
 */
#ifndef BASE_ASSERT_H
#define BASE_ASSERT_H

#include <assert.h> /* static_assert */

_Noreturn void assert_failed(const char *expression, const char *file, int line);

#define ASSERT(expression)                                                                         \
    (__builtin_expect(!!(expression), 1) ? (void)0 : assert_failed(#expression, __FILE__, __LINE__))

/* A proof that costs more than the step it proves: only in simulator and test builds. */
#ifdef SIM_BUILD
#define ASSERT_SLOW(expression) ASSERT(expression)
#else
#define ASSERT_SLOW(expression) ((void)sizeof(expression))
#endif

#endif
