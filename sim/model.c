#include "sim/model.h"

#include "base/assert.h"

#include <stdlib.h>

void model_free(struct model *m)
{
    free(m->revision);
    for (uint32_t k = 0; k < HISTORY_KEYS; k++)
        free(m->key[k].versions);
    *m = (struct model){0};
}

void model_reset(struct model *m, int64_t revision_first)
{
    m->revision_first = revision_first;
    m->last = 0;
    for (uint32_t k = 0; k < HISTORY_KEYS; k++)
        m->key[k].count = 0;
}

int64_t model_revision(const struct model *m, uint64_t index)
{
    ASSERT(index <= m->last);
    return index == 0 ? m->revision_first : m->revision[index];
}

const struct model_version *model_at(const struct model *m, uint8_t key, int64_t revision)
{
    ASSERT(key < HISTORY_KEYS);
    const struct model_key *k = &m->key[key];
    uint64_t low = 0, high = k->count; /* versions below `low` are in force or replaced */

    while (low < high) {
        const uint64_t middle = low + (high - low) / 2;
        if (k->versions[middle].mod_revision <= revision)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0 || k->versions[low - 1].version == 0)
        return NULL;
    return &k->versions[low - 1];
}

static void append_version(struct model_key *k, struct model_version version)
{
    k->versions = check_grow(k->versions, &k->capacity, k->count + 1, sizeof *k->versions);
    k->versions[k->count++] = version;
}

static void next_index(struct model *m, int64_t revision)
{
    m->last++;
    m->revision = check_grow(m->revision, &m->revision_capacity, m->last + 1, sizeof *m->revision);
    m->revision[m->last] = revision;
}

void model_put(struct model *m, uint8_t key, uint64_t value)
{
    const int64_t revision = model_revision(m, m->last) + 1;
    const struct model_version *old = model_at(m, key, revision - 1);

    append_version(&m->key[key],
                   (struct model_version){
                       .mod_revision = revision,
                       .create_revision = old != NULL ? old->create_revision : revision,
                       .version = old != NULL ? old->version + 1 : 1,
                       .value = value,
                   });
    next_index(m, revision);
}

void model_delete(struct model *m, uint8_t key_first, uint8_t key_end)
{
    const int64_t head = model_revision(m, m->last);
    uint32_t deleted = 0;

    for (uint8_t k = key_first; k < key_end; k++) {
        if (model_at(m, k, head) == NULL)
            continue;
        append_version(&m->key[k], (struct model_version){.mod_revision = head + 1});
        deleted++;
    }
    next_index(m, deleted > 0 ? head + 1 : head);
}

void model_skip(struct model *m)
{
    next_index(m, model_revision(m, m->last));
}
