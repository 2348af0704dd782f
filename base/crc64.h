/* base/crc64.h: CRC-64/XZ (the polynomial of ECMA-182, reflected, with the usual inversions) as ISA-L
 * computes it: crc64(0, "123456789", 9) == 0x995dc9bbdf1939fa. For what is too large to be told apart
 * by the 32 bits of crc32c.h. crc64(crc64(0, a), b) is the checksum of a followed by b.
 */
#ifndef BASE_CRC64_H
#define BASE_CRC64_H

#include <stddef.h>
#include <stdint.h>

uint64_t crc64(uint64_t before, const void *bytes, size_t length);

#endif
