/* tests/store/content.h: the content of a snapshot, by the byte table of docs/formats.md and nothing
 * else: from an array of keys.
 */
#ifndef TESTS_STORE_CONTENT_H
#define TESTS_STORE_CONTENT_H

#include "tests/store/reference.h"

enum { CONTENT_HEADER_BYTES = 64, CONTENT_ITEM_BYTES = 40 };

struct content {
    uint8_t *bytes;
    uint64_t length;
    uint64_t room;
};

/* What the array does not know. */
struct content_facts {
    uint64_t index;
    uint64_t quota_bytes;
    uint64_t digest;
};

void content_of_model(struct content *c, const struct model *m, const struct content_facts *facts);
/* The header's checksum, after a change. */
void content_seal(uint8_t *bytes);
void content_free(struct content *c);

#endif
