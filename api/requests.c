/* api/requests.c: complete requests on their way into the replica's rings, in order of arrival.
 * What a full ring does not take waits here, and clients are not read while much of it does.
 */
#include "api/api_internal.h"
#include "base/assert.h"

static struct api_queue *queue_of(struct api *api, const struct call *call);
static uint32_t queue_push(struct api_queue *queue, struct spsc *ring);

void requests_append(struct api *api, struct call *call)
{
    struct api_queue *queue = queue_of(api, call);

    list_append(&queue->calls, &call->in_queue);
    queue->count++;
}

void requests_remove(struct api *api, struct call *call)
{
    ASSERT(!list_empty(&call->in_queue));
    list_remove(&call->in_queue);
    queue_of(api, call)->count--;
}

uint32_t requests_push(struct api *api)
{
    return queue_push(&api->to_raft, api->options.door->to_raft) +
           queue_push(&api->to_store, api->options.door->to_store);
}

bool requests_full(const struct api *api)
{
    return api->to_raft.count + api->to_store.count >= API_QUEUE_MAX;
}

static struct api_queue *queue_of(struct api *api, const struct call *call)
{
    return call->request.kind == REQUEST_READ_LOCAL ? &api->to_store : &api->to_raft;
}

static uint32_t queue_push(struct api_queue *queue, struct spsc *ring)
{
    struct request batch[API_PUSH_MAX];
    uint32_t pushed = 0;

    while (queue->count > 0) {
        const uint32_t room = spsc_room(ring, API_PUSH_MAX);
        uint32_t count = 0;
        for (; count < room && count < API_PUSH_MAX && queue->count > 0; count++) {
            struct call *call = LIST_ITEM(queue->calls.next, struct call, in_queue);
            ASSERT(call->stage == CALL_QUEUED);
            list_remove(&call->in_queue);
            queue->count--;
            call->stage = CALL_PUSHED;
            batch[count] = call->request;
        }
        if (count == 0)
            break;
        const uint32_t taken = spsc_push(ring, batch, sizeof batch[0], count);
        ASSERT(taken == count); /* the room was there, and only we fill it */
        pushed += count;
    }
    return pushed;
}
