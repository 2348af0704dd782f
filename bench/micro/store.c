/* bench/micro/store.c: a put beside a snapshot and without one; a snapshot out of the store and back.
 *
 * Keys of 16 and values of 64 bytes. The puts replace all keys, once each, in an order without a pattern,
 * so that each one finds nothing in a cache, as with clients that know nothing of each other.
 */
#include "base/prng.h"
#include "bench/micro/benches.h"
#include "store/snapshot.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
    KEY_BYTES = 16,
    VALUE_BYTES = 64,
    BATCH = 64,
    BUDGET = 256,
    CHUNK_BYTES = 64 << 10,
    KEY_CHARGE = KEY_BYTES + VALUE_BYTES + STORE_KEY_CHARGE_BYTES,
};

struct bench_store {
    struct store *store;
    void *memory;
    size_t memory_bytes;
    uint64_t keys;
    uint64_t next; /* number of the key that is put next */
};

static bool open_store(struct bench_store *b, uint64_t keys)
{
    const struct store_options options = {.quota_bytes = (keys + 1) * KEY_CHARGE,
                                          .pin_bytes = (keys + 1) * KEY_CHARGE};

    *b = (struct bench_store){.memory_bytes = store_bytes(&options), .keys = keys};
    b->memory = mmap(NULL, b->memory_bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (b->memory == MAP_FAILED)
        return false;
    b->store = store_init(b->memory, b->memory_bytes, &options);
    return true;
}

static void close_store(struct bench_store *b)
{
    munmap(b->memory, b->memory_bytes);
}

/* The number's keys are all different; in order of the numbers they jump about. */
static void put(struct bench_store *b)
{
    static uint8_t value[VALUE_BYTES];
    uint8_t encoded[COMMAND_FIXED_BYTES_MAX + KEY_BYTES + VALUE_BYTES];
    uint8_t key[KEY_BYTES + 1] = "key-----";
    const uint64_t mixed = hash_u64(b->next % b->keys, 1);
    const struct command c = {
        .kind = COMMAND_PUT,
        .key = {.bytes = key, .length = KEY_BYTES},
        .value = {.bytes = value, .length = VALUE_BYTES},
    };

    memcpy(key + KEY_BYTES - sizeof mixed, &mixed, sizeof mixed);
    memcpy(value, &b->next, sizeof b->next);
    store_begin_apply(b->store, store_applied(b->store) + 1, encoded, command_encode(&c, encoded),
                      false);
    while (store_work(b->store, NULL, BUDGET) != STORE_DONE) {
    }
    b->next++;
}

static bool open_full(struct gbench_state *state, struct bench_store *b)
{
    if (!open_store(b, (uint64_t)gbench_arg(state))) {
        gbench_skip(state, "no memory");
        return false;
    }
    while (b->next < b->keys)
        put(b);
    return true;
}

static void unpin(struct bench_store *b)
{
    while (!store_unpin(b->store, BUDGET)) {
    }
}

static void run_puts(struct gbench_state *state, bool pinned)
{
    struct bench_store b;

    if (!open_full(state, &b))
        return;
    while (gbench_next(state, BATCH)) {
        if (pinned && b.next % b.keys < BATCH) { /* all that there was is kept by now */
            gbench_pause(state);
            unpin(&b);
            (void)store_pin(b.store);
            gbench_resume(state);
        }
        for (uint32_t i = 0; i < BATCH; i++)
            put(&b);
    }
    close_store(&b);
}

void bench_store_put(struct gbench_state *state)
{
    run_puts(state, false);
}

void bench_store_put_pinned(struct gbench_state *state)
{
    run_puts(state, true);
}

/* One turn: all of it. */
void bench_store_emit(struct gbench_state *state)
{
    static uint8_t chunk[CHUNK_BYTES];
    struct bench_store b;
    uint64_t turns = 0;

    if (!open_full(state, &b))
        return;
    while (gbench_next(state, 1)) {
        (void)store_pin(b.store);
        while (!store_emitted(b.store))
            gbench_keep(store_emit(b.store, chunk, sizeof chunk, BUDGET));
        unpin(&b);
        turns++;
    }
    gbench_count_items(state, turns * b.keys);
    gbench_count_bytes(state, turns * b.keys * (KEY_CHARGE - 8));
    close_store(&b);
}

static uint8_t *content_of(struct bench_store *b, uint64_t *length)
{
    (void)store_pin(b->store);
    *length = store_pinned_bytes(b->store);
    uint8_t *content = malloc(*length);
    for (uint64_t at = 0; content != NULL && at < *length;)
        at += store_emit(b->store, content + at, CHUNK_BYTES, BUDGET);
    unpin(b);
    return content;
}

void bench_store_load(struct gbench_state *state)
{
    struct bench_store b;
    uint64_t length;
    uint64_t turns = 0;

    if (!open_full(state, &b))
        return;
    const uint64_t index = store_applied(b.store);
    uint8_t *content = content_of(&b, &length);
    if (content == NULL) {
        gbench_skip(state, "no memory");
        close_store(&b);
        return;
    }
    while (gbench_next(state, 1)) {
        store_load_begin(b.store, index);
        for (uint64_t at = 0; at < length;) {
            const uint64_t left = length - at;
            at += store_load(b.store, content + at, left < CHUNK_BYTES ? (uint32_t)left : CHUNK_BYTES,
                             BUDGET);
        }
        if (store_load_end(b.store) != STORE_LOAD_GOOD) {
            gbench_skip(state, "what was emitted was refused");
            break;
        }
        turns++;
    }
    gbench_count_items(state, turns * b.keys);
    gbench_count_bytes(state, turns * length);
    free(content);
    close_store(&b);
}

