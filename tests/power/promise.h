/* tests/power/promise.h: what the driver says, for whoever reads its pipe, and for the log of its disk.
 *
 * Thread     One.
 * Errors     A pipe that nobody reads, or a mark that can't be put, ends the process.
 */
#ifndef TESTS_POWER_PROMISE_H
#define TESTS_POWER_PROMISE_H

#include <stdint.h>

enum {
    EXIT_LOST = 1,
    EXIT_COMMAND_LINE = 2,
    EXIT_REFUSED = 3,
    EXIT_FAILED = 70,
};

/* One line, written at once: nothing may stay in a buffer of a process that will be killed. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Puts "what=number" into the log of the dm-log-writes device `mark`; NULL: there is none. */
void promise(const char *mark, const char *what, uint64_t number);

#endif
