/* base/zeros.h: reserved bytes of a format are zero, or what stands there is refused. */
#ifndef BASE_ZEROS_H
#define BASE_ZEROS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Reads all of them, whatever the first is: this is for short fields, and without a branch each. */
static inline bool bytes_are_zero(const void *bytes, size_t length)
{
    const uint8_t *const at = bytes;
    uint8_t any = 0;

    for (size_t i = 0; i < length; i++)
        any |= at[i];
    return any == 0;
}

#endif
