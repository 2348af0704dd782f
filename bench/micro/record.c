/* bench/micro/record.c: what a record costs the leader once (encode) and each follower (check). */
#include "base/record.h"
#include "bench/micro/benches.h"

#include <stdalign.h>
#include <string.h>

enum { PAYLOAD_BYTES_MAX = 1024, BATCH = 64 };

struct buffer {
    alignas(64) uint8_t bytes[RECORD_HEADER_BYTES + PAYLOAD_BYTES_MAX];
};

static const uint8_t payload[PAYLOAD_BYTES_MAX] = {1, 2, 3};

static struct record_spec spec_of(struct gbench_state *state)
{
    return (struct record_spec){
        .type = RECORD_COMMAND,
        .cluster = 1,
        .index = 2,
        .term = 3,
        .chain = 4,
        .origin = {.request = 5, .boot = 6, .node = 1},
        .payload = payload,
        .payload_bytes = (uint32_t)gbench_arg(state),
    };
}

void bench_record_encode(struct gbench_state *state)
{
    struct record_spec spec = spec_of(state);
    struct buffer out;
    uint64_t turns = 0;

    while (gbench_next(state, BATCH)) {
        for (uint32_t i = 0; i < BATCH; i++) {
            spec.chain =
                record_encode(&spec, out.bytes); /* each waits for the one before, as in a log */
            spec.index++;
        }
        gbench_keep(spec.chain);
        turns += BATCH;
    }
    gbench_count_bytes(state, turns * record_bytes(spec.payload_bytes));
}

void bench_record_check(struct gbench_state *state)
{
    const struct record_spec spec = spec_of(state);
    struct buffer record;
    uint64_t turns = 0;

    (void)record_encode(&spec, record.bytes);
    while (gbench_next(state, BATCH)) {
        for (uint32_t i = 0; i < BATCH; i++)
            gbench_keep(record_check(record.bytes, sizeof record.bytes, spec.cluster));
        turns += BATCH;
    }
    gbench_count_bytes(state, turns * record_bytes(spec.payload_bytes));
}
