#include "base/request.h"

static size_t line_up(size_t bytes)
{
    return (bytes + CACHE_LINE_BYTES - 1) & ~(size_t)(CACHE_LINE_BYTES - 1);
}

size_t request_door_bytes(uint32_t slot_count, uint64_t answer_bytes)
{
    return line_up(sizeof(struct request_door)) + line_up(sizeof(struct byte_ring)) +
           2 * spsc_bytes(slot_count, sizeof(struct request)) +
           2 * spsc_bytes(slot_count, sizeof(struct answer)) + line_up(answer_bytes);
}

struct request_door *request_door_init(void *memory, uint8_t number, uint32_t slot_count,
                                       uint64_t answer_bytes)
{
    const size_t request_ring = spsc_bytes(slot_count, sizeof(struct request));
    const size_t answer_ring = spsc_bytes(slot_count, sizeof(struct answer));
    struct request_door *door = memory;
    uint8_t *at = (uint8_t *)memory + line_up(sizeof *door);

    door->number = number;
    door->to_raft = spsc_init(at, slot_count, sizeof(struct request));
    at += request_ring;
    door->to_store = spsc_init(at, slot_count, sizeof(struct request));
    at += request_ring;
    door->from_raft = spsc_init(at, slot_count, sizeof(struct answer));
    at += answer_ring;
    door->from_store = spsc_init(at, slot_count, sizeof(struct answer));
    at += answer_ring;
    door->answer_memory = (struct byte_ring *)(void *)at;
    at += line_up(sizeof(struct byte_ring));
    byte_ring_init(door->answer_memory, at, answer_bytes);
    return door;
}
