/* tests/store/harness.h: a store in memory of its own, and one call for a whole piece of work. */
#ifndef TESTS_STORE_HARNESS_H
#define TESTS_STORE_HARNESS_H

#include "store/store.h"

struct harness {
    struct store *store;
    void *memory;
    size_t memory_bytes;
    struct store_sink sink;
    uint32_t budget;
    uint8_t *encoded; /* room for the largest command */
    /* Of the last piece of work: */
    struct store_outcome outcome;
    struct result_header header;
    bool has_header;
    uint8_t *result; /* the whole of it, all pieces in a row */
    uint64_t result_bytes;
    uint64_t result_room;
};

void harness_open(struct harness *h, uint64_t quota_bytes);
/* May also be pinned, and keep so much. */
void harness_open_pinned(struct harness *h, uint64_t quota_bytes, uint64_t pin_bytes);
void harness_close(struct harness *h);

/* Encodes, applies or reads in steps of h->budget, and gathers the pieces. */
void harness_apply(struct harness *h, const struct command *command, bool wanted);
void harness_read(struct harness *h, const struct command *query);

/* The items of the last result, one after the other: `at` starts at NULL. NULL: no more. */
const struct result_item *harness_next_item(const struct harness *h, const struct result_item *at);
const uint8_t *harness_item_key(const struct result_item *item);
const uint8_t *harness_item_value(const struct result_item *item);

struct command_bytes harness_text(const char *text);

#endif
