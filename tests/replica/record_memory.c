/* Goal:   a record that was handed to a reader is not written over before the reader is done with
 *         it; a record in the table is always the newest of its index; nothing that is not durable
 *         is ever retired; and the memory can't be wedged while the readers get on.
 * Method: random appends, truncations and handoffs against readers that lag at random, with every
 *         outstanding handoff's bytes compared to what they were when it was made. */
#include "base/prng.h"
#include "replica/record_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MEMORY_BYTES = 1 << 14, TABLE = 64, HANDOFFS_MAX = 256, STEPS = 200000, PAYLOAD_MAX = 900 };

struct handoff {
    const uint8_t *bytes;
    uint32_t crc;
};

struct lagging {
    struct handoff handoff[HANDOFFS_MAX];
    uint64_t given, done;
    struct published done_word;
};

struct world {
    struct record_memory memory;
    struct prng prng;
    struct lagging reader[RECORD_READERS];
    raft_index durable;
    uint64_t term;
    uint64_t stuck; /* steps in a row without room */
};

static void give(struct world *w, uint32_t reader, const uint8_t *bytes)
{
    struct lagging *lag = &w->reader[reader];

    assert_true(lag->given - lag->done < HANDOFFS_MAX);
    lag->handoff[lag->given % HANDOFFS_MAX] =
        (struct handoff){.bytes = bytes, .crc = record_at(bytes)->header_crc};
    lag->given++;
    w->memory.reader[reader].given++;
}

static void get_on(struct world *w, uint32_t reader)
{
    struct lagging *lag = &w->reader[reader];

    while (lag->done < lag->given && prng_chance(&w->prng, 700000)) {
        const struct handoff *h = &lag->handoff[lag->done % HANDOFFS_MAX];
        assert_int_equal(record_check(h->bytes, MEMORY_BYTES, 7), RECORD_OK);
        assert_int_equal(record_at(h->bytes)->header_crc, h->crc);
        lag->done++;
    }
    published_set(&lag->done_word, lag->done);
}

static void append(struct world *w)
{
    static const uint8_t payload[PAYLOAD_MAX];
    const uint32_t payload_bytes = (uint32_t)prng_below(&w->prng, PAYLOAD_MAX);
    const uint32_t length = record_bytes(payload_bytes);

    if (w->reader[0].given - w->reader[0].done > HANDOFFS_MAX - 4 ||
        !record_memory_room(&w->memory, length, 1, w->durable)) {
        w->stuck++;
        return;
    }
    w->stuck = 0;
    uint8_t *bytes = record_memory_take(&w->memory, length);
    const struct record_spec spec = {
        .type = RECORD_COMMAND,
        .cluster = 7,
        .index = w->memory.last + 1,
        .term = w->term,
        .payload = payload,
        .payload_bytes = payload_bytes,
    };
    record_encode(&spec, bytes);
    record_memory_add(&w->memory, bytes);
    give(w, 0, bytes);
}

static void step(struct world *w)
{
    const uint64_t dice = prng_below(&w->prng, 100);
    const struct record_memory *m = &w->memory;

    if (dice < 60) {
        append(w);
    } else if (dice < 62 && m->last > w->durable) {
        w->term++;
        record_memory_truncate(&w->memory, prng_between(&w->prng, w->durable + 1, m->last));
    } else if (dice < 80) {
        w->durable = prng_between(&w->prng, w->durable, m->last);
    } else if (dice < 90 && m->first <= m->last &&
               w->reader[1].given - w->reader[1].done < HANDOFFS_MAX - 4) {
        const raft_index index = prng_between(&w->prng, m->first, m->last);
        give(w, 1, (const uint8_t *)record_memory_at(m, index));
    }
    get_on(w, 0);
    get_on(w, 1);
    /* What is not durable must be at hand. */
    assert_true(m->first <= w->durable + 1);
    for (raft_index i = m->first; i <= m->last; i++)
        assert_int_equal(record_at(record_memory_at(m, i))->index, i);
    assert_true(w->stuck < 1000 || w->durable < m->last);
    if (w->stuck > 100)
        w->durable = m->last;
}

static void lagging_readers_keep_their_bytes(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct world *w = calloc(1, sizeof *w);
        w->memory.bytes = aligned_alloc(64, MEMORY_BYTES);
        w->memory.table = calloc(TABLE, sizeof *w->memory.table);
        w->memory.size = MEMORY_BYTES;
        w->memory.table_mask = TABLE - 1;
        w->term = 1;
        for (uint32_t i = 0; i < RECORD_READERS; i++)
            w->memory.reader[i].done = &w->reader[i].done_word;
        prng_seed(&w->prng, seed);
        record_memory_init(&w->memory, 1);
        for (uint32_t i = 0; i < STEPS / 5; i++)
            step(w);
        assert_true(w->memory.last > 1000);
        free(w->memory.bytes);
        free(w->memory.table);
        free(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(lagging_readers_keep_their_bytes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
