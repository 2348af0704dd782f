#include "base/crc64.h"

#include <isa-l/crc64.h>

uint64_t crc64(uint64_t before, const void *bytes, size_t length)
{
    return crc64_ecma_refl(before, bytes, length);
}
