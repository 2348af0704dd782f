/* replica/doors.c: which asker a tag belongs to, and what the raft role tells it. */
#include "replica/replica_internal.h"

struct request_door *door_of(const struct replica *r, uint64_t tag)
{
    const uint64_t number = tag >> REQUEST_DOOR_SHIFT;

    for (uint32_t i = 0; i < r->options.door_count; i++)
        if (r->options.door[i]->number == number)
            return r->options.door[i];
    return NULL;
}

bool door_answer(struct replica *r, const struct answer *answer)
{
    struct request_door *door = door_of(r, answer->tag);

    ASSERT(door != NULL); /* requests come from doors */
    ASSERT(!answer->more);
    return spsc_push(door->from_raft, answer, sizeof *answer, 1) == 1;
}

bool door_refuse(struct replica *r, uint64_t tag, enum answer_status status)
{
    MARK_IF(status == ANSWER_BUSY, REQUEST_BUSY);
    MARK_IF(status == ANSWER_NO_ROOM, REQUEST_NO_ROOM);
    return door_answer(r, &(struct answer){.tag = tag, .status = (uint8_t)status});
}
