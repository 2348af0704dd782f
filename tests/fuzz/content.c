/* Goal:   a store takes bytes for the content of a snapshot only if they are one, whatever they are and however
 *         they are cut, and reads nothing beyond them.
 * Method: the input is a content. What is loaded is emitted again, and must be the same bytes; the store's own
 *         proof of itself must hold in any case, and the next load begin as if nothing had been.
 */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/assert.h"
#include "base/crc64.h"
#include "base/prng.h"
#include "store/snapshot.h"

enum {
    QUOTA_BYTES = 1 << 20,
    KEYS_MAX = 12,
    VALUE_BYTES_MAX = 300,
    PIECE_BYTES_MAX = 200,
    /* docs/formats.md */
    HEADER_BYTES = 64,
    INDEX_OFFSET = 8,
    LOGICAL_OFFSET = 32,
    KEY_COUNT_OFFSET = 40,
    CRC_OFFSET = 56,
    ITEM_BYTES = 40,
    LENGTHS_OFFSET = 32,
};

static struct store *new_store(void)
{
    static void *memory;
    const struct store_options options = {.quota_bytes = QUOTA_BYTES, .pin_bytes = QUOTA_BYTES};
    const size_t bytes = store_bytes(&options);

    if (memory == NULL)
        memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ASSERT(memory != MAP_FAILED);
    return store_init(memory, bytes, &options);
}

static void put(struct store *s, struct prng *p)
{
    uint8_t encoded[COMMAND_FIXED_BYTES_MAX + KEYS_MAX + VALUE_BYTES_MAX];
    const uint8_t value[VALUE_BYTES_MAX] = {1, 2, 3};
    const uint8_t key[] = {'k', (uint8_t)prng_below(p, KEYS_MAX)};
    const struct command c = {
        .kind = COMMAND_PUT,
        .key = {.bytes = key, .length = (uint32_t)prng_between(p, 1, sizeof key)},
        .value = {.bytes = value, .length = (uint32_t)prng_below(p, sizeof value)},
    };

    store_begin_apply(s, store_applied(s) + 1, encoded, command_encode(&c, encoded), false);
    while (store_work(s, NULL, 1) != STORE_DONE) {
    }
}

static size_t emit(struct store *s, uint8_t *out, size_t size_max)
{
    const bool pinned = store_pin(s);
    const uint64_t size = store_pinned_bytes(s);

    ASSERT(pinned);
    if (size > size_max)
        return 0;
    for (uint64_t at = 0; at < size;)
        at += store_emit(s, out + at, (uint32_t)(size - at), 3);
    ASSERT(store_emitted(s));
    return size;
}

size_t fuzz_draw(uint64_t number, uint8_t *out, size_t size_max)
{
    struct store *s = new_store();
    struct prng p;

    prng_seed(&p, number);
    store_skip(s, 1);
    for (uint64_t i = prng_below(&p, 2 * KEYS_MAX); i > 0; i--)
        put(s, &p);
    return emit(s, out, size_max);
}

/* What the header says of the items that are there; their digest is not to be had from outside. */
void fuzz_seal(uint8_t *bytes, size_t size)
{
    uint64_t logical_bytes = 0;
    uint64_t key_count = 0;
    uint32_t lengths[2];

    if (size < HEADER_BYTES)
        return;
    for (size_t at = HEADER_BYTES; at + ITEM_BYTES <= size;) {
        memcpy(lengths, bytes + at + LENGTHS_OFFSET, sizeof lengths);
        logical_bytes += STORE_KEY_CHARGE_BYTES + (uint64_t)lengths[0] + lengths[1];
        key_count++;
        at += ITEM_BYTES + (size_t)lengths[0] + lengths[1];
    }
    memcpy(bytes + LOGICAL_OFFSET, &logical_bytes, sizeof logical_bytes);
    memcpy(bytes + KEY_COUNT_OFFSET, &key_count, sizeof key_count);
    const uint64_t crc = crc64(0, bytes, CRC_OFFSET);
    memcpy(bytes + CRC_OFFSET, &crc, sizeof crc);
}

/* A piece, from memory of its own, so that a byte too many is seen. */
static bool load_piece(struct store *s, const uint8_t *bytes, uint32_t length, uint32_t budget)
{
    uint8_t *const piece = malloc(length);
    uint32_t used = 0;

    ASSERT(piece != NULL);
    memcpy(piece, bytes, length);
    while (used < length && store_load_verdict(s) == STORE_LOAD_GOOD)
        used += store_load(s, piece + used, length - used, budget);
    free(piece);
    return used == length && store_load_verdict(s) == STORE_LOAD_GOOD;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct store *s = new_store();
    uint64_t index = 0;
    struct prng p;
    size_t at = 0;

    prng_seed(&p, crc64(0, bytes, size));
    if (size >= HEADER_BYTES)
        memcpy(&index, bytes + INDEX_OFFSET, sizeof index);
    store_load_begin(s, index != 0 ? index : 1);
    while (at < size) {
        const size_t left = size - at;
        const size_t most = left < PIECE_BYTES_MAX ? left : PIECE_BYTES_MAX;
        const uint32_t length = (uint32_t)prng_between(&p, 1, most);
        if (!load_piece(s, bytes + at, length, (uint32_t)prng_between(&p, 1, 5)))
            break;
        at += length;
    }
    const enum store_load_verdict verdict = store_load_end(s);
    store_verify(s);
    if (verdict != STORE_LOAD_GOOD)
        return 0;
    ASSERT(at == size);
    uint8_t *const again = malloc(size);
    ASSERT(again != NULL);
    const size_t emitted = emit(s, again, size);
    ASSERT(emitted == size);
    ASSERT(memcmp(again, bytes, size) == 0);
    free(again);
    return 0;
}
