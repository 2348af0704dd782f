/* bench/micro/frame.c: what a frame costs the tx lcore (encode) and the rx lcore (decode): headers
 * and the checksum over the frame. The records in it are judged later, one by one (record_check).
 */
#include "base/record.h"
#include "bench/micro/benches.h"
#include "dataplane/frame.h"

#include <stdalign.h>

enum {
    BATCH = 32,
    CLUSTER = 1,
    PAYLOAD_BYTES = 64,
    RECORD_BYTES = RECORD_HEADER_BYTES + PAYLOAD_BYTES,
};

struct sample {
    alignas(64) uint8_t body[FRAME_BODY_BYTES_MAX];
    alignas(64) uint8_t bytes[PORT_FRAME_BYTES_MAX];
    struct frame frame;
    uint32_t length;
};

static const struct frame_route route = {
    .source_mac = {2, 0, 0, 0, 0, 1},
    .target_mac = {2, 0, 0, 0, 0, 2},
    .source_ip = 0x0a000001,
    .target_ip = 0x0a000002,
};

/* An APPEND of so many records, or a heartbeat if there are none. */
static void sample_make(struct sample *s, uint16_t records)
{
    static const uint8_t payload[PAYLOAD_BYTES];
    uint32_t chain = 0;

    for (uint32_t i = 0; i < records; i++) {
        const struct record_spec spec = {
            .type = RECORD_COMMAND,
            .cluster = CLUSTER,
            .index = i + 1,
            .term = 1,
            .chain = chain,
            .payload = payload,
            .payload_bytes = PAYLOAD_BYTES,
        };
        chain = record_encode(&spec, s->body + (size_t)i * RECORD_BYTES);
    }
    s->frame = (struct frame){
        .type = FRAME_RAFT,
        .source = 1,
        .target = 2,
        .source_boot = 1,
        .target_boot = 1,
        .source_incarnation = 11,
        .target_incarnation = 12,
        .number = records > 0 ? 1 : 0,
        .credit = 100,
        .raft = {.type = records > 0 ? RAFT_MSG_APPEND : RAFT_MSG_HEARTBEAT,
                 .from = 1,
                 .to = 2,
                 .term = 1,
                 .count = records,
                 .bytes = (uint32_t)records * RECORD_BYTES},
        .body = s->body,
        .body_bytes = (uint32_t)records * RECORD_BYTES,
    };
    s->length = frame_encode(&s->frame, CLUSTER, &route, s->bytes);
}

static void measure_decode(struct gbench_state *state, uint16_t records)
{
    static struct sample s;
    struct frame decoded;
    uint64_t turns = 0;

    sample_make(&s, records);
    if (frame_decode(s.bytes, s.length, CLUSTER, &decoded) != FRAME_OK_VERDICT) {
        gbench_skip(state, "the frame is refused");
        return;
    }
    while (gbench_next(state, BATCH)) {
        for (uint32_t i = 0; i < BATCH; i++)
            gbench_keep(frame_decode(s.bytes, s.length, CLUSTER, &decoded));
        turns += BATCH;
    }
    gbench_count_bytes(state, turns * s.length);
}

void bench_frame_decode_append(struct gbench_state *state)
{
    measure_decode(state, (uint16_t)gbench_arg(state));
}

void bench_frame_decode_heartbeat(struct gbench_state *state)
{
    measure_decode(state, 0);
}

void bench_frame_encode_append(struct gbench_state *state)
{
    static struct sample s;
    uint64_t turns = 0;

    sample_make(&s, (uint16_t)gbench_arg(state));
    while (gbench_next(state, BATCH)) {
        for (uint32_t i = 0; i < BATCH; i++)
            gbench_keep(frame_encode(&s.frame, CLUSTER, &route, s.bytes));
        turns += BATCH;
    }
    gbench_count_bytes(state, turns * s.length);
}
