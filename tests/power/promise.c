#include "tests/power/promise.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/power/dm_mark.h"

void say(const char *format, ...)
{
    char line[512];
    va_list arguments;

    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line - 1, format, arguments);
    va_end(arguments);
    if (length > (int)sizeof line - 2)
        length = (int)sizeof line - 2;
    line[length] = '\n';
    if (write(STDOUT_FILENO, line, (size_t)length + 1) < 0)
        exit(EXIT_COMMAND_LINE); /* nobody listens */
}

void promise(const char *mark, const char *what, uint64_t number)
{
    char text[64];

    (void)snprintf(text, sizeof text, "%s=%" PRIu64, what, number);
    if (mark != NULL && dm_mark(mark, text) != 0) {
        say("no mark: %s", strerror(errno));
        exit(EXIT_COMMAND_LINE);
    }
}
