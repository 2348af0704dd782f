#include "persist/file_name.h"

#include "base/assert.h"

#include <stdio.h>
#include <string.h>

enum { DIGITS = 16 };

void file_name_make(char name[DISK_NAME_BYTES], const char *prefix, uint64_t number)
{
    const int length =
        snprintf(name, DISK_NAME_BYTES, "%s%016llx", prefix, (unsigned long long)number);

    ASSERT(number != 0);
    ASSERT(length > DIGITS);
    ASSERT(length < DISK_NAME_BYTES);
}

uint64_t file_name_number(const char *name, const char *prefix)
{
    const size_t prefix_bytes = strlen(prefix);
    uint64_t number = 0;

    if (strncmp(name, prefix, prefix_bytes) != 0)
        return 0;
    const char *const digits = name + prefix_bytes;
    if (strnlen(digits, DIGITS + 1) != DIGITS)
        return 0;
    for (uint32_t i = 0; i < DIGITS; i++) {
        const char c = digits[i];
        if (c >= '0' && c <= '9')
            number = number << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            number = number << 4 | (uint64_t)(c - 'a' + 10);
        else
            return 0;
    }
    return number;
}
