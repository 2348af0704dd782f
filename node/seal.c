/* node/seal.c: the mark, and the last words of who allocates under it. */
#include "node/seal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static _Thread_local const char *sealed_role;

void seal_begin(const char *role)
{
    sealed_role = role;
}

void seal_end(void)
{
    sealed_role = NULL;
}

void seal_check(size_t bytes)
{
    char line[160];

    if (__builtin_expect(sealed_role == NULL, 1))
        return;
    const char *role = sealed_role;
    sealed_role = NULL; /* abort() and what it calls may allocate */
    const int length =
        snprintf(line, sizeof line, "skiff: bug: %zu bytes allocated under the sealed role %s\n",
                 bytes, role);
    if (length > 0 && write(STDERR_FILENO, line, (size_t)length) < 0)
        abort();
    abort();
}
