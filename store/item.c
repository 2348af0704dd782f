/* store/item.c: chains of blocks, and all that walks along them. */
#include "store/item_internal.h"

#include "base/prng.h"

/* A place in the text of an item: what lies in the block at hand, and what comes after it. */
struct piece {
    uint8_t *bytes;
    uint32_t length;    /* of the text from here to the end of the block */
    uint32_t next;      /* block after this one */
    uint32_t remaining; /* text in the blocks after this one */
};

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

static struct piece piece_first(const struct items *items, uint32_t ref)
{
    struct item *item = item_at(items, ref);
    const uint32_t length = item_text_bytes(item);
    const uint32_t here = min_u32(length, ITEM_FIRST_BYTES);

    ASSERT_SLOW(item->key_bytes > 0);
    ASSERT_SLOW(length <= COMMAND_TEXT_BYTES_MAX);
    ASSERT_SLOW((item->next != 0) == (length > here));
    return (struct piece){
        .bytes = item->text, .length = here, .next = item->next, .remaining = length - here};
}

/* Goes `length` bytes on, at most to the end of the block at hand; there to the next block. */
static void piece_advance(const struct items *items, struct piece *piece, uint32_t length)
{
    ASSERT(length <= piece->length);
    piece->bytes += length;
    piece->length -= length;
    if (piece->length > 0 || piece->remaining == 0)
        return;

    struct item_block *block = slab_at(slab_for(items, piece->remaining), piece->next);
    piece->bytes = block->text;
    piece->length = block_text_bytes(piece->remaining);
    piece->next = block->next;
    piece->remaining -= piece->length;
    ASSERT((piece->next != 0) == (piece->remaining > 0));
}

static void piece_skip(const struct items *items, struct piece *piece, uint32_t length)
{
    ASSERT(length <= piece->length + piece->remaining);
    while (length > 0) {
        const uint32_t step = min_u32(length, piece->length);
        piece_advance(items, piece, step);
        length -= step;
    }
}

static void piece_write(const struct items *items, struct piece *piece, struct command_bytes text)
{
    ASSERT(text.length <= piece->length + piece->remaining);
    for (uint32_t done = 0; done < text.length;) {
        const uint32_t step = min_u32(text.length - done, piece->length);
        memcpy(piece->bytes, text.bytes + done, step);
        piece_advance(items, piece, step);
        done += step;
    }
}

uint32_t item_take(struct items *items, uint32_t key_bytes, uint32_t value_bytes)
{
    const uint32_t ref = slab_take(&items->small);
    struct item *item = item_at(items, ref);
    uint32_t *link = &item->next;

    ASSERT(key_bytes > 0);
    ASSERT((uint64_t)key_bytes + value_bytes <= COMMAND_TEXT_BYTES_MAX);
    item->older = 0;
    item->key_bytes = key_bytes;
    item->value_bytes = value_bytes;

    uint32_t remaining = key_bytes + value_bytes;
    remaining -= min_u32(remaining, ITEM_FIRST_BYTES);
    while (remaining > 0) {
        struct slab *slab = block_is_large(remaining) ? &items->large : &items->small;
        *link = slab_take(slab);
        struct item_block *block = slab_at(slab, *link);
        block->zero = 0;
        link = &block->next;
        remaining -= block_text_bytes(remaining);
    }
    *link = 0;
    return ref;
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

void item_write(struct items *items, uint32_t ref, struct command_bytes key,
                struct command_bytes value)
{
    struct piece piece = piece_first(items, ref);

    ASSERT(item_at(items, ref)->key_bytes == key.length);
    ASSERT(item_at(items, ref)->value_bytes == value.length);
    piece_write(items, &piece, key);
    piece_write(items, &piece, value);
    ASSERT(piece.length == 0);
    ASSERT(piece.remaining == 0);
}

void item_write_same(struct items *items, uint32_t ref, uint32_t from)
{
    struct piece to = piece_first(items, ref);
    struct piece source = piece_first(items, from);

    ASSERT(ref != from);
    ASSERT(item_at(items, ref)->key_bytes == item_at(items, from)->key_bytes);
    ASSERT(item_at(items, ref)->value_bytes == item_at(items, from)->value_bytes);
    while (source.length > 0) {
        const uint32_t step = source.length;
        ASSERT(to.length == step); /* the shape follows from the lengths */
        memcpy(to.bytes, source.bytes, step);
        piece_advance(items, &to, step);
        piece_advance(items, &source, step);
    }
}

void item_read(const struct items *items, uint32_t ref, uint8_t *out, uint32_t length)
{
    struct piece piece = piece_first(items, ref);

    ASSERT(length <= item_text_bytes(item_at(items, ref)));
    for (uint32_t done = 0; done < length;) {
        const uint32_t step = min_u32(length - done, piece.length);
        memcpy(out + done, piece.bytes, step);
        piece_advance(items, &piece, step);
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
    struct piece piece = piece_first(items, ref);

    ASSERT(length > 0);
    for (uint32_t done = 0; done < both;) {
        const uint32_t step = min_u32(both - done, piece.length);
        const int order = memcmp(piece.bytes, key + done, step);
        if (order != 0)
            return order;
        piece_advance(items, &piece, step);
        done += step;
    }
    return compare_lengths(item->key_bytes, length);
}

/* Compares the next `length` bytes of two texts, however their blocks are cut. */
static int compare_pieces(const struct items *items, struct piece *a, struct piece *b,
                          uint32_t length)
{
    ASSERT(length <= a->length + a->remaining);
    ASSERT(length <= b->length + b->remaining);
    while (length > 0) {
        const uint32_t step = min_u32(length, min_u32(a->length, b->length));
        const int order = memcmp(a->bytes, b->bytes, step);
        if (order != 0)
            return order;
        piece_advance(items, a, step);
        piece_advance(items, b, step);
        length -= step;
    }
    return 0;
}

int item_compare_keys(const struct items *items, uint32_t a, uint32_t b)
{
    const uint32_t a_bytes = item_at(items, a)->key_bytes;
    const uint32_t b_bytes = item_at(items, b)->key_bytes;
    struct piece at_a = piece_first(items, a);
    struct piece at_b = piece_first(items, b);
    const int order = compare_pieces(items, &at_a, &at_b, min_u32(a_bytes, b_bytes));

    return order != 0 ? order : compare_lengths(a_bytes, b_bytes);
}

int item_compare_values(const struct items *items, uint32_t a, uint32_t b)
{
    const struct item *item_a = item_at(items, a);
    const struct item *item_b = item_at(items, b);
    struct piece at_a = piece_first(items, a);
    struct piece at_b = piece_first(items, b);

    piece_skip(items, &at_a, item_a->key_bytes);
    piece_skip(items, &at_b, item_b->key_bytes);
    const uint32_t both = min_u32(item_a->value_bytes, item_b->value_bytes);
    const int order = compare_pieces(items, &at_a, &at_b, both);
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
struct lanes {
    uint64_t now;
    uint64_t other;
};

static struct lanes take_word(struct lanes lanes, uint64_t word)
{
    return (struct lanes){.now = lanes.other, .other = fold(lanes.now, word)};
}

static struct lanes take_piece(struct lanes lanes, const uint8_t *bytes, uint32_t length)
{
    uint64_t word;
    uint32_t at = 0;

    for (; at + sizeof word <= length; at += (uint32_t)sizeof word) {
        memcpy(&word, bytes + at, sizeof word);
        lanes = take_word(lanes, word);
    }
    if (at == length)
        return lanes;
    word = 0;
    memcpy(&word, bytes + at, length - at);
    return take_word(lanes, word);
}

/* All blocks but the last hold whole words, so the words are those of the text, however it is cut.
 * The lengths tell the zeros that fill the last word from zeros of the text. */
static_assert(ITEM_FIRST_BYTES % sizeof(uint64_t) == 0, "whole words");
static_assert(ITEM_SMALL_BYTES % sizeof(uint64_t) == 0, "whole words");
static_assert(ITEM_LARGE_BYTES % sizeof(uint64_t) == 0, "whole words");

uint64_t item_hash(const struct items *items, uint32_t ref)
{
    const struct item *item = item_at(items, ref);
    struct piece piece = piece_first(items, ref);
    struct lanes lanes = {.now = (uint64_t)item->key_bytes << 32 | item->value_bytes};

    lanes = take_word(lanes, (uint64_t)item->mod_revision);
    lanes = take_word(lanes, (uint64_t)item->create_revision);
    lanes = take_word(lanes, (uint64_t)item->version);
    lanes = take_word(lanes, (uint64_t)item->lease);
    while (piece.length > 0) {
        lanes = take_piece(lanes, piece.bytes, piece.length);
        piece_advance(items, &piece, piece.length);
    }
    return hash_u64(lanes.now, lanes.other);
}
