/* tests/store/draw.c: see the header. */
#include "tests/store/draw.h"

#include <string.h>

/* Keys of a few families: short ones of few letters, NUL and 0xff among them; ones that differ only
 * behind a long common part, shorter than, as long as, and longer than what a node or a block
 * holds; and random ones. */
static uint32_t new_key(struct prng *p, uint8_t *key)
{
    static const uint8_t letters[] = {0, 1, 'a', 'b', 0xfe, 0xff};
    static const uint32_t commons[] = {0, 7, 44, 48, 50, 77, 80, 199, 200, 330};
    const uint32_t common = commons[prng_below(p, sizeof commons / sizeof commons[0])];
    uint32_t length = common + (uint32_t)prng_between(p, 1, 5);

    memset(key, 'p', common);
    for (uint32_t i = common; i < length; i++)
        key[i] = letters[prng_below(p, sizeof letters)];
    if (prng_chance(p, 200000)) {
        length = 16;
        for (uint32_t i = 0; i < length; i++)
            key[i] = (uint8_t)(prng_below(p, 9) * 29);
    }
    return length;
}

struct command_bytes draw_key(struct draw *d, uint8_t *key)
{
    struct command_bytes text = {.bytes = key};

    if (d->model->count == 0 || prng_chance(&d->prng, 500000)) {
        text.length = new_key(&d->prng, key);
        return text;
    }
    const struct entry *e = d->model->entry[prng_below(&d->prng, d->model->count)];
    memcpy(key, e->key, e->key_bytes);
    text.length = e->key_bytes;
    return text;
}

struct command_bytes draw_value(struct draw *d)
{
    struct prng *p = &d->prng;
    uint8_t *value = d->value;
    static const uint32_t most[] = {0,    8,    64,   100,  300,
                                    3000, 3200, 4200, 8300, DRAW_VALUE_BYTES_MAX};
    const uint32_t length =
        (uint32_t)prng_between(p, 0, most[prng_below(p, sizeof most / sizeof most[0])]);

    for (uint32_t i = 0; i < length; i++)
        value[i] = (uint8_t)(i < 8 ? prng_next(p) & 1 : i * 7 + length);
    return (struct command_bytes){.bytes = value, .length = length};
}

void draw_range(struct draw *d, struct command *c)
{
    struct prng *p = &d->prng;

    c->key = draw_key(d, d->key);
    switch (prng_below(p, 6)) {
    case 0:
        return; /* the one key */
    case 1:
        c->key = (struct command_bytes){.bytes = (const uint8_t *)"", .length = 1};
        c->range_end = c->key; /* all */
        return;
    case 2:
        c->range_end = (struct command_bytes){.bytes = (const uint8_t *)"", .length = 1};
        return;
    case 3: /* a prefix, as clients ask for it */
        c->key.length = (uint32_t)prng_between(p, 1, c->key.length);
        memcpy(d->end, d->key, c->key.length);
        if (d->end[c->key.length - 1] == 0xff)
            return;
        d->end[c->key.length - 1]++;
        c->range_end = (struct command_bytes){.bytes = d->end, .length = c->key.length};
        return;
    default:
        c->range_end = draw_key(d, d->end);
    }
}
