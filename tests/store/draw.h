/* tests/store/draw.h: keys that are alike in nasty ways, values of all shapes, ranges over them. */
#ifndef TESTS_STORE_DRAW_H
#define TESTS_STORE_DRAW_H

#include "base/prng.h"
#include "tests/store/reference.h"

enum { DRAW_KEY_BYTES_MAX = 400, DRAW_VALUE_BYTES_MAX = 20000 };

struct draw {
    struct prng prng;
    const struct model *model; /* whose keys are drawn half of the time */
    uint8_t key[DRAW_KEY_BYTES_MAX];
    uint8_t end[DRAW_KEY_BYTES_MAX];
    uint8_t value[DRAW_VALUE_BYTES_MAX];
};

/* Into `key`, of DRAW_KEY_BYTES_MAX. */
struct command_bytes draw_key(struct draw *d, uint8_t *key);
/* Into d->value; good until the next one. */
struct command_bytes draw_value(struct draw *d);
/* Key and range end, in d->key and d->end. */
void draw_range(struct draw *d, struct command *c);

#endif
