/* tests/store/reference.h: the simplest store that could be right: an array of keys in order. */
#ifndef TESTS_STORE_REFERENCE_H
#define TESTS_STORE_REFERENCE_H

#include "store/command.h"

enum { MODEL_KEYS_MAX = 20000 };

struct entry {
    uint8_t *key;
    uint8_t *value;
    uint32_t key_bytes;
    uint32_t value_bytes;
    int64_t create, mod, version;
};

struct model {
    struct entry *entry[MODEL_KEYS_MAX];
    uint32_t count;
    int64_t revision;
};

/* As memcmp does, the shorter first. */
int compare_bytes(const uint8_t *a, uint32_t a_bytes, const uint8_t *b, uint32_t b_bytes);

/* Position of the first key that is not smaller; count if there is none. */
uint32_t model_lower_bound(const struct model *m, struct command_bytes key);
/* Whether the key stands at that position. */
bool model_has(const struct model *m, uint32_t at, struct command_bytes key);
/* Position behind the last key of the command's range, which begins at `first`. */
uint32_t model_range_end(const struct model *m, const struct command *c, uint32_t first);

/* A put that is not refused. */
void model_put(struct model *m, const struct command *c);
/* Of the keys at positions [first, end). */
void model_delete(struct model *m, uint32_t first, uint32_t end);

#endif
