/* tests/store/harness.c: see the header. */

#include "tests/store/harness.h"

#include "base/assert.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { ENCODED_BYTES = COMMAND_TEXT_BYTES_MAX + COMMAND_FIXED_BYTES_MAX };

void harness_open(struct harness *h, uint64_t quota_bytes)
{
    harness_open_pinned(h, quota_bytes, 0);
}

void harness_open_pinned(struct harness *h, uint64_t quota_bytes, uint64_t pin_bytes)
{
    const struct store_options options = {.quota_bytes = quota_bytes, .pin_bytes = pin_bytes};

    *h = (struct harness){.budget = 100};
    h->memory_bytes = store_bytes(&options);
    h->memory = mmap(NULL, h->memory_bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    ASSERT(h->memory != MAP_FAILED);
    h->store = store_init(h->memory, h->memory_bytes, &options);
    h->sink.size = sizeof(struct result_header) + COMMAND_ITEM_BYTES_MAX;
    h->sink.bytes = malloc(h->sink.size);
    h->encoded = malloc(ENCODED_BYTES);
    h->result_room = h->sink.size;
    h->result = malloc(h->result_room);
    ASSERT(h->sink.bytes != NULL);
    ASSERT(h->encoded != NULL);
    ASSERT(h->result != NULL);
}

void harness_close(struct harness *h)
{
    ASSERT(munmap(h->memory, h->memory_bytes) == 0);
    free(h->sink.bytes);
    free(h->encoded);
    free(h->result);
}

static void drain(struct harness *h)
{
    if (h->result_bytes + h->sink.used > h->result_room) {
        h->result_room = 2 * (h->result_bytes + h->sink.used);
        h->result = realloc(h->result, h->result_room);
        ASSERT(h->result != NULL);
    }
    memcpy(h->result + h->result_bytes, h->sink.bytes, h->sink.used);
    h->result_bytes += h->sink.used;
    h->sink.used = 0;
}

static void work(struct harness *h, bool wanted)
{
    enum store_progress progress;

    h->result_bytes = 0;
    h->sink.used = 0;
    do {
        progress = store_work(h->store, wanted ? &h->sink : NULL, h->budget);
        ASSERT(progress != STORE_SINK_FULL || h->sink.used > 0);
        if (progress == STORE_SINK_FULL)
            drain(h);
    } while (progress != STORE_DONE);
    drain(h);
    h->outcome = store_outcome(h->store);
    h->has_header = h->result_bytes > 0;
    h->header = (struct result_header){.count = 0};
    if (!h->has_header)
        return;
    ASSERT(h->result_bytes >= sizeof h->header);
    memcpy(&h->header, h->result, sizeof h->header);
}

void harness_apply(struct harness *h, const struct command *command, bool wanted)
{
    const uint32_t length = command_encode(command, h->encoded);

    store_begin_apply(h->store, store_applied(h->store) + 1, h->encoded, length, wanted);
    work(h, wanted);
}

void harness_read(struct harness *h, const struct command *query)
{
    const uint32_t length = command_encode(query, h->encoded);

    store_begin_read(h->store, h->encoded, length);
    work(h, true);
}

static uint64_t item_bytes(const struct result_item *item)
{
    return (sizeof *item + (uint64_t)item->key_bytes + item->value_bytes + 7) & ~(uint64_t)7;
}

const struct result_item *harness_next_item(const struct harness *h, const struct result_item *at)
{
    const uint8_t *place = h->result + sizeof(struct result_header);
    const uint8_t *end = h->result + h->result_bytes;

    if (!h->has_header)
        return NULL;
    if (at != NULL)
        place = (const uint8_t *)at + item_bytes(at);
    ASSERT(place <= end);
    if (place == end)
        return NULL;
    const struct result_item *item = (const void *)place;
    ASSERT(place + item_bytes(item) <= end);
    return item;
}

const uint8_t *harness_item_key(const struct result_item *item)
{
    return (const uint8_t *)(item + 1);
}

const uint8_t *harness_item_value(const struct result_item *item)
{
    return harness_item_key(item) + item->key_bytes;
}

struct command_bytes harness_text(const char *text)
{
    return (struct command_bytes){.bytes = (const uint8_t *)text, .length = (uint32_t)strlen(text)};
}
