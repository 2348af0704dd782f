/* base/crc32c.h: CRC32C (Castagnoli) as ISA-L computes it, with the usual inversions, so that the
 * result is the one of RFC 3720, appendix B.4: crc32c(0, "123456789", 9) == 0xe3069283.
 * crc32c(crc32c(0, a), b) is the checksum of a followed by b.
 */
#ifndef BASE_CRC32C_H
#define BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

uint32_t crc32c(uint32_t before, const void *bytes, size_t length);

#endif
