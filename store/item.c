/* store/item.c: chains of blocks, and all that walks along them. */
#include "store/item_internal.h"

#include "base/prng.h"

static uint32_t min_u32(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

uint64_t items_small_count(uint64_t bytes)
{
    /* The densest load is one block for each smallest item. A longer item has one more block for
     * each 120 bytes at most, so it needs fewer a byte. */
    const uint64_t in_flight = 2 + (ITEM_LARGE_FROM + ITEM_SMALL_BYTES - 1) / ITEM_SMALL_BYTES;
    return bytes / (STORE_KEY_CHARGE_BYTES + 1) + in_flight;
}

uint64_t items_large_count(uint64_t bytes)
{
    const uint64_t in_flight = 2 + COMMAND_TEXT_BYTES_MAX / ITEM_LARGE_BYTES;
    return bytes / (ITEM_LARGE_FROM + 1) + in_flight;
}

static bool block_is_large(uint32_t remaining)
{
    return remaining > ITEM_LARGE_FROM;
}

static uint32_t block_text_bytes(uint32_t remaining)
{
    ASSERT(remaining > 0); /* there is no empty block */
    return min_u32(remaining, block_is_large(remaining) ? ITEM_LARGE_BYTES : ITEM_SMALL_BYTES);
}

static const struct slab *slab_for(const struct items *items, uint32_t remaining)
{
    return block_is_large(remaining) ? &items->large : &items->small;
}

struct item_place item_text(const struct items *items, uint32_t ref)
{
    struct item *item = item_at(items, ref);
    const uint32_t length = item_text_bytes(item);
    const uint32_t here = min_u32(length, ITEM_FIRST_BYTES);

    ASSERT_SLOW(item->key_bytes > 0);
    ASSERT_SLOW(length <= COMMAND_TEXT_BYTES_MAX);
    ASSERT_SLOW((item->next != 0) == (length > here));
    return (struct item_place){
        .bytes = item->text, .length = here, .next = item->next, .remaining = length - here};
}

/* Goes `length` bytes on, at most to the end of the block at hand; there to the next block. */
static void place_advance(const struct items *items, struct item_place *place, uint32_t length)
{
    ASSERT(length <= place->length);
    place->bytes += length;
    place->length -= length;
    if (place->length > 0 || place->remaining == 0)
        return;

    struct item_block *block = slab_at(slab_for(items, place->remaining), place->next);
    place->bytes = block->text;
    place->length = block_text_bytes(place->remaining);
    place->next = block->next;
    place->remaining -= place->length;
    ASSERT((place->next != 0) == (place->remaining > 0));
}

static void place_skip(const struct items *items, struct item_place *place, uint32_t length)
{
    ASSERT(length <= place->length + place->remaining);
    while (length > 0) {
        const uint32_t step = min_u32(length, place->length);
        place_advance(items, place, step);
        length -= step;
    }
}

/* For a text of which so much remains; `link` will name it. */
static struct item_block *take_block(struct items *items, uint32_t remaining, uint32_t *link)
{
    struct slab *slab = block_is_large(remaining) ? &items->large : &items->small;
    const uint32_t ref = slab_take(slab);
    struct item_block *block = slab_at(slab, ref);

    ASSERT(ref != 0);
    block->zero = 0;
    *link = ref;
    return block;
}

uint32_t item_make(struct items *items, uint32_t key_bytes, uint32_t value_bytes,
                   struct item_making *making)
{
    const uint32_t ref = slab_take(&items->small);
    struct item *item = item_at(items, ref);
    const uint32_t text_bytes = key_bytes + value_bytes;

    ASSERT(key_bytes > 0);
    ASSERT((uint64_t)key_bytes + value_bytes <= COMMAND_TEXT_BYTES_MAX);
    item->older = 0;
    item->next = 0;
    item->key_bytes = key_bytes;
    item->value_bytes = value_bytes;
    *making = (struct item_making){
        .link = &item->next,
        .bytes = item->text,
        .room = min_u32(text_bytes, ITEM_FIRST_BYTES),
        .remaining = text_bytes - min_u32(text_bytes, ITEM_FIRST_BYTES),
    };
    return ref;
}

void item_make_text(struct items *items, struct item_making *making, const uint8_t *bytes,
                    uint32_t length)
{
    ASSERT(length <= item_making_left(making));
    while (length > 0) {
        if (making->room == 0) {
            struct item_block *block = take_block(items, making->remaining, making->link);
            block->next = 0;
            making->link = &block->next;
            making->bytes = block->text;
            making->room = block_text_bytes(making->remaining);
            making->remaining -= making->room;
        }
        const uint32_t step = min_u32(length, making->room);
        memcpy(making->bytes, bytes, step);
        making->bytes += step;
        making->room -= step;
        bytes += step;
        length -= step;
    }
}

void item_count_blocks(const struct item *item, struct item_blocks *blocks)
{
    const uint32_t text_bytes = item_text_bytes(item);
    uint32_t remaining = text_bytes - min_u32(text_bytes, ITEM_FIRST_BYTES);

    ASSERT(text_bytes > 0);
    blocks->small++;
    while (remaining > 0) {
        blocks->large += block_is_large(remaining);
        blocks->small += !block_is_large(remaining);
        remaining -= block_text_bytes(remaining);
    }
}

void item_give(struct items *items, uint32_t ref)
{
    const struct item *item = item_at(items, ref);
    uint32_t remaining = item_text_bytes(item);
    uint32_t next = item->next;

    remaining -= min_u32(remaining, ITEM_FIRST_BYTES);
    slab_give(&items->small, ref);
    while (remaining > 0) {
        struct slab *slab = block_is_large(remaining) ? &items->large : &items->small;
        const uint32_t block = next;
        next = ((struct item_block *)slab_at(slab, block))->next;
        slab_give(slab, block);
        remaining -= block_text_bytes(remaining);
    }
    ASSERT(next == 0);
}

void item_make_same(struct items *items, struct item_making *making, uint32_t from)
{
    struct item_place source = item_text(items, from);

    ASSERT(item_making_left(making) == item_text_left(&source));
    while (source.length > 0) {
        item_make_text(items, making, source.bytes, source.length);
        place_advance(items, &source, source.length);
    }
    ASSERT(item_making_left(making) == 0);
}

void item_read(const struct items *items, uint32_t ref, uint8_t *out, uint32_t length)
{
    struct item_place place = item_text(items, ref);

    item_read_on(items, &place, out, length);
}

void item_read_on(const struct items *items, struct item_place *place, uint8_t *out,
                  uint32_t length)
{
    ASSERT(length <= item_text_left(place));
    for (uint32_t done = 0; done < length;) {
        const uint32_t step = min_u32(length - done, place->length);
        memcpy(out + done, place->bytes, step);
        place_advance(items, place, step);
        done += step;
    }
}

static int compare_lengths(uint32_t a, uint32_t b)
{
    return a < b ? -1 : a > b;
}

int item_compare_key(const struct items *items, uint32_t ref, const uint8_t *key, uint32_t length)
{
    const struct item *item = item_at(items, ref);
    const uint32_t both = min_u32(item->key_bytes, length);
    struct item_place place = item_text(items, ref);

    ASSERT(length > 0);
    for (uint32_t done = 0; done < both;) {
        const uint32_t step = min_u32(both - done, place.length);
        const int order = memcmp(place.bytes, key + done, step);
        if (order != 0)
            return order;
        place_advance(items, &place, step);
        done += step;
    }
    return compare_lengths(item->key_bytes, length);
}

/* Compares the next `length` bytes of two texts, however their blocks are cut. */
static int compare_texts(const struct items *items, struct item_place *a, struct item_place *b,
                         uint32_t length)
{
    ASSERT(length <= a->length + a->remaining);
    ASSERT(length <= b->length + b->remaining);
    while (length > 0) {
        const uint32_t step = min_u32(length, min_u32(a->length, b->length));
        const int order = memcmp(a->bytes, b->bytes, step);
        if (order != 0)
            return order;
        place_advance(items, a, step);
        place_advance(items, b, step);
        length -= step;
    }
    return 0;
}

int item_compare_keys(const struct items *items, uint32_t a, uint32_t b)
{
    const uint32_t a_bytes = item_at(items, a)->key_bytes;
    const uint32_t b_bytes = item_at(items, b)->key_bytes;
    struct item_place at_a = item_text(items, a);
    struct item_place at_b = item_text(items, b);
    const int order = compare_texts(items, &at_a, &at_b, min_u32(a_bytes, b_bytes));

    return order != 0 ? order : compare_lengths(a_bytes, b_bytes);
}

int item_compare_values(const struct items *items, uint32_t a, uint32_t b)
{
    const struct item *item_a = item_at(items, a);
    const struct item *item_b = item_at(items, b);
    struct item_place at_a = item_text(items, a);
    struct item_place at_b = item_text(items, b);

    place_skip(items, &at_a, item_a->key_bytes);
    place_skip(items, &at_b, item_b->key_bytes);
    const uint32_t both = min_u32(item_a->value_bytes, item_b->value_bytes);
    const int order = compare_texts(items, &at_a, &at_b, both);
    return order != 0 ? order : compare_lengths(item_a->value_bytes, item_b->value_bytes);
}

/* One step of a multiply-and-fold hash, as in wyhash (Wang Yi, 2019): the two halves of a 128-bit
 * product. The factor is an odd constant with no pattern (the golden ratio). */
static uint64_t fold(uint64_t hash, uint64_t word)
{
    const unsigned __int128 product =
        (unsigned __int128)(hash ^ word ^ 0xa0761d6478bd642f) * 0x9e3779b97f4a7c15;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Two lanes take the words in turn, since one product does not wait for that of the other lane. */
static void take_word(struct item_hashing *h, uint64_t word)
{
    const uint64_t folded = fold(h->lane, word);

    h->lane = h->other_lane;
    h->other_lane = folded;
}

void item_hash_text(struct item_hashing *h, const uint8_t *bytes, uint32_t length)
{
    uint32_t at = 0;

    ASSERT(h->word_bytes < sizeof h->word);
    if (h->word_bytes > 0) {
        at = min_u32((uint32_t)sizeof h->word - h->word_bytes, length);
        memcpy((uint8_t *)&h->word + h->word_bytes, bytes, at);
        h->word_bytes += at;
        if (h->word_bytes < sizeof h->word)
            return;
        take_word(h, h->word);
        h->word_bytes = 0;
    }
    for (; at + sizeof h->word <= length; at += (uint32_t)sizeof h->word) {
        uint64_t word;
        memcpy(&word, bytes + at, sizeof word);
        take_word(h, word);
    }
    if (at == length)
        return;
    h->word = 0;
    h->word_bytes = length - at;
    memcpy(&h->word, bytes + at, h->word_bytes);
}

struct item_hashing item_hash_begin(const struct item *item)
{
    struct item_hashing h = {.lane = (uint64_t)item->key_bytes << 32 | item->value_bytes};

    ASSERT_SLOW(item->key_bytes > 0);
    take_word(&h, (uint64_t)item->mod_revision);
    take_word(&h, (uint64_t)item->create_revision);
    take_word(&h, (uint64_t)item->version);
    take_word(&h, (uint64_t)item->lease);
    return h;
}

/* The lengths tell the zeros that fill the last word from zeros of the text. */
uint64_t item_hash_end(const struct item_hashing *h)
{
    struct item_hashing ended = *h;

    if (ended.word_bytes > 0)
        take_word(&ended, ended.word);
    return hash_u64(ended.lane, ended.other_lane);
}

uint64_t item_hash(const struct items *items, uint32_t ref)
{
    struct item_hashing h = item_hash_begin(item_at(items, ref));
    struct item_place place = item_text(items, ref);

    while (place.length > 0) {
        item_hash_text(&h, place.bytes, place.length);
        place_advance(items, &place, place.length);
    }
    return item_hash_end(&h);
}
