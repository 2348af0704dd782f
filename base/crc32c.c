#include "base/crc32c.h"

#include "base/assert.h"

#include <isa-l/crc.h>

uint32_t crc32c(uint32_t before, const void *bytes, size_t length)
{
    ASSERT(length <= INT32_MAX); /* ISA-L counts in int */
    return ~crc32_iscsi((unsigned char *)(uintptr_t)bytes, (int)length, ~before);
}
