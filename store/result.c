/* store/result.c: results into the lent sink, in whole pieces. */
#include "store/store_internal.h"

#include <string.h>

enum { RESULT_ALIGN = 8 };

static_assert(sizeof(struct result_header) % RESULT_ALIGN == 0, "items stay aligned");
static_assert(sizeof(struct result_item) % RESULT_ALIGN == 0, "items stay aligned");

static uint32_t item_value_bytes(const struct item *item, bool with_value)
{
    return with_value ? item->value_bytes : 0;
}

uint64_t result_item_bytes(const struct store *s, uint32_t ref, bool with_value)
{
    const struct item *item = item_at(&s->items, ref);
    const uint64_t bytes =
        sizeof(struct result_item) + (uint64_t)item->key_bytes + item_value_bytes(item, with_value);

    ASSERT(bytes <= COMMAND_ITEM_BYTES_MAX);
    return (bytes + RESULT_ALIGN - 1) & ~(uint64_t)(RESULT_ALIGN - 1);
}

bool result_fits(const struct store_sink *sink, uint64_t bytes)
{
    ASSERT(sink != NULL);
    ASSERT(sink->used <= sink->size);
    ASSERT(sink->used % RESULT_ALIGN == 0);
    ASSERT(sink->used > 0 || bytes <= sink->size); /* else the work could never end */
    return bytes <= sink->size - sink->used;
}

bool result_header(struct store_sink *sink, const struct result_header *header)
{
    if (!result_fits(sink, sizeof *header))
        return false;
    memcpy(sink->bytes + sink->used, header, sizeof *header);
    sink->used += (uint32_t)sizeof *header;
    return true;
}

bool result_item(const struct store *s, struct store_sink *sink, uint32_t ref, bool with_value)
{
    const struct item *item = item_at(&s->items, ref);
    const uint64_t bytes = result_item_bytes(s, ref, with_value);
    const struct result_item fields = {
        .create_revision = item->create_revision,
        .mod_revision = item->mod_revision,
        .version = item->version,
        .lease = item->lease,
        .key_bytes = item->key_bytes,
        .value_bytes = item_value_bytes(item, with_value),
    };

    if (!result_fits(sink, bytes))
        return false;
    uint8_t *out = sink->bytes + sink->used;
    const uint64_t text = (uint64_t)fields.key_bytes + fields.value_bytes;
    ASSERT(bytes >= sizeof fields + text);
    memset(out + bytes - RESULT_ALIGN, 0, RESULT_ALIGN); /* the padding, if there is any */
    memcpy(out, &fields, sizeof fields);
    item_read(&s->items, ref, out + sizeof fields, (uint32_t)text);
    sink->used += (uint32_t)bytes;
    return true;
}
