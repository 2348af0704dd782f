#include "sim/check.h"

#include "base/assert.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GROW_MIN = 64 };

bool check_fail(struct check_report *report, const char *invariant, const char *format, ...)
{
    va_list arguments;

    if (report->invariant != NULL)
        return false; /* what follows the first may be its consequence */
    report->invariant = invariant;
    va_start(arguments, format);
    vsnprintf(report->detail, sizeof report->detail, format, arguments);
    va_end(arguments);
    return false;
}

void *check_grow(void *array, uint64_t *capacity, uint64_t count, size_t item_bytes)
{
    uint64_t wanted = *capacity < GROW_MIN ? GROW_MIN : *capacity;

    if (count <= *capacity)
        return array;
    while (wanted < count)
        wanted *= 2;
    uint8_t *grown = realloc(array, (size_t)wanted * item_bytes);
    ASSERT(grown != NULL);
    memset(grown + *capacity * item_bytes, 0, (size_t)(wanted - *capacity) * item_bytes);
    *capacity = wanted;
    return grown;
}
