/* tests/store/reference.c: see the header. */
#include "tests/store/reference.h"

#include "base/assert.h"

#include <stdlib.h>
#include <string.h>

int compare_bytes(const uint8_t *a, uint32_t a_bytes, const uint8_t *b, uint32_t b_bytes)
{
    const int order = memcmp(a, b, a_bytes < b_bytes ? a_bytes : b_bytes);
    return order != 0 ? order : (a_bytes > b_bytes) - (a_bytes < b_bytes);
}

uint32_t model_lower_bound(const struct model *m, struct command_bytes key)
{
    uint32_t low = 0;
    uint32_t high = m->count;

    while (low < high) {
        const uint32_t middle = (low + high) / 2;
        const struct entry *e = m->entry[middle];
        if (compare_bytes(e->key, e->key_bytes, key.bytes, key.length) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool model_has(const struct model *m, uint32_t at, struct command_bytes key)
{
    return at < m->count && m->entry[at]->key_bytes == key.length &&
           memcmp(m->entry[at]->key, key.bytes, key.length) == 0;
}

uint32_t model_range_end(const struct model *m, const struct command *c, uint32_t first)
{
    if (c->range_end.length == 0)
        return first + model_has(m, first, c->key);
    if (c->range_end.length == 1 && c->range_end.bytes[0] == 0)
        return m->count;
    const uint32_t end = model_lower_bound(m, c->range_end);
    return end > first ? end : first;
}

static uint8_t *copy_bytes(struct command_bytes from)
{
    uint8_t *to = malloc(from.length + 1);

    ASSERT(to != NULL);
    if (from.length > 0)
        memcpy(to, from.bytes, from.length);
    return to;
}

static void free_entry(struct entry *e)
{
    free(e->key);
    free(e->value);
    free(e);
}

void model_put(struct model *m, const struct command *c)
{
    const uint32_t at = model_lower_bound(m, c->key);
    struct entry *e;

    m->revision++;
    if (model_has(m, at, c->key)) {
        e = m->entry[at];
        e->version++;
    } else {
        ASSERT(m->count < MODEL_KEYS_MAX);
        e = calloc(1, sizeof *e);
        ASSERT(e != NULL);
        memmove(m->entry + at + 1, m->entry + at, (m->count - at) * sizeof(m->entry[0]));
        m->entry[at] = e;
        m->count++;
        *e = (struct entry){.key = copy_bytes(c->key),
                            .key_bytes = c->key.length,
                            .create = m->revision,
                            .version = 1};
    }
    e->mod = m->revision;
    if ((c->flags & COMMAND_IGNORE_VALUE) != 0)
        return;
    free(e->value);
    e->value = copy_bytes(c->value);
    e->value_bytes = c->value.length;
}

void model_delete(struct model *m, uint32_t first, uint32_t end)
{
    for (uint32_t i = first; i < end; i++)
        free_entry(m->entry[i]);
    memmove(m->entry + first, m->entry + end, (m->count - end) * sizeof(m->entry[0]));
    m->count -= end - first;
    m->revision += end > first;
}
