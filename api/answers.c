/* api/answers.c: answers out of the replica's rings, each to its call.
 *
 * The bytes of an answer are copied into the call's reply and given back at once, so a client that
 * reads slowly costs us memory that is counted, and never the store its room for answers.
 */
#include "api/api_internal.h"
#include "api/services_internal.h"
#include "base/assert.h"

static uint32_t take_from(struct api *api, struct spsc *ring);
static void take_one(struct api *api, const struct answer *answer);

uint32_t answers_take(struct api *api)
{
    return take_from(api, api->options.door->from_raft) +
           take_from(api, api->options.door->from_store);
}

static uint32_t take_from(struct api *api, struct spsc *ring)
{
    struct answer batch[API_PUSH_MAX];
    uint32_t taken = 0;

    while (taken < API_ANSWERS_MAX) {
        const uint32_t count = spsc_pop(ring, batch, sizeof batch[0], API_PUSH_MAX);
        for (uint32_t i = 0; i < count; i++) {
            take_one(api, &batch[i]);
            request_door_release(api->options.door, &batch[i]);
        }
        taken += count;
        if (count < API_PUSH_MAX)
            break;
    }
    return taken;
}

static void take_one(struct api *api, const struct answer *answer)
{
    struct call *call = call_of_tag(api, answer->tag);

    if (call->connection == NULL) {
        if (!answer->more)
            call_forget(api, call);
        return;
    }
    if (!answer->more)
        call->stage = CALL_SETTLED;
    if (!call->replied) /* else its time was up, and the stream is about to end */
        kv_answer(call, answer);
}
