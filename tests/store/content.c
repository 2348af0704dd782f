/* tests/store/content.c: see the header. */
#include "tests/store/content.h"

#include "base/assert.h"
#include "base/crc64.h"

#include <stdlib.h>
#include <string.h>

enum { KEY_CHARGE_BYTES = 48, CRC_OFFSET = 56 };

static void append(struct content *c, const void *bytes, uint64_t length)
{
    if (c->length + length > c->room) {
        c->room = 2 * (c->length + length);
        c->bytes = realloc(c->bytes, c->room);
        ASSERT(c->bytes != NULL);
    }
    if (length > 0)
        memcpy(c->bytes + c->length, bytes, length);
    c->length += length;
}

void content_seal(uint8_t *bytes)
{
    const uint64_t crc = crc64(0, bytes, CRC_OFFSET);

    memcpy(bytes + CRC_OFFSET, &crc, sizeof crc);
}

void content_of_model(struct content *c, const struct model *m, const struct content_facts *facts)
{
    const uint16_t version[2] = {1, 0};
    uint64_t logical = 0;

    c->length = 0;
    for (uint32_t i = 0; i < m->count; i++)
        logical += m->entry[i]->key_bytes + m->entry[i]->value_bytes + KEY_CHARGE_BYTES;
    const uint64_t words[] = {facts->index,
                              (uint64_t)m->revision,
                              facts->quota_bytes,
                              logical,
                              m->count,
                              facts->digest,
                              0};
    append(c, "SKSC", 4);
    append(c, version, sizeof version);
    append(c, words, sizeof words);
    ASSERT(c->length == CONTENT_HEADER_BYTES);
    content_seal(c->bytes);
    for (uint32_t i = 0; i < m->count; i++) {
        const struct entry *e = m->entry[i];
        const int64_t numbers[] = {e->mod, e->create, e->version, 0};
        const uint32_t lengths[] = {e->key_bytes, e->value_bytes};
        append(c, numbers, sizeof numbers);
        append(c, lengths, sizeof lengths);
        append(c, e->key, e->key_bytes);
        append(c, e->value, e->value_bytes);
    }
}

void content_free(struct content *c)
{
    free(c->bytes);
    *c = (struct content){.bytes = NULL};
}
