/* replica/doors.c: which asker a tag belongs to. */
#include "replica/replica_internal.h"

struct request_door *door_of(const struct replica *r, uint64_t tag)
{
    const uint64_t number = tag >> REQUEST_DOOR_SHIFT;

    for (uint32_t i = 0; i < r->options.door_count; i++)
        if (r->options.door[i]->number == number)
            return r->options.door[i];
    return NULL;
}
