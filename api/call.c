/* api/call.c: the life of calls: slots and tags, ends of both sides, errors and time-outs. */
#include "api/call_internal.h"

#include "api/api_internal.h"
#include "api/http2_internal.h"
#include "base/assert.h"

#include <string.h>

static struct call *slot_call(struct call_table *t, uint32_t slot);
static bool slab_take(struct api *api);
static uint32_t call_slot(const struct call *call);
static void call_release(struct api *api, struct call *call);
static void request_drop(struct call *call, struct heap_account *account);

static_assert(CALL_SLOTS_MAX % CALL_SLAB_CALLS == 0, "whole slabs only");
static_assert(CALL_COMMAND_BYTES_MAX + 1024 <= REQUEST_BYTES_MAX, "a command's fixed part fits");

void calls_init(struct call_table *t, uint32_t count_max)
{
    t->count_max = count_max < CALL_SLOTS_MAX ? count_max : CALL_SLOTS_MAX;
    t->slab_count = 0;
    t->free_count = 0;
}

/* After the connections are closed: what is left waits for answers that no longer matter. */
void calls_close(struct api *api)
{
    struct call_table *t = &api->calls;

    for (uint32_t slot = 0; slot < t->slab_count * CALL_SLAB_CALLS; slot++) {
        struct call *call = slot_call(t, slot);
        if (call->stage == CALL_PUSHED)
            request_drop(call, &api->account);
    }
    for (uint32_t i = 0; i < t->slab_count; i++)
        heap_free(&api->account, t->slab[i]);
    t->slab_count = t->free_count = 0;
}

struct call *call_open(struct connection *c, int32_t stream)
{
    struct api *api = c->api;
    struct call_table *t = &api->calls;

    if (t->free_count == 0 && !slab_take(api))
        return NULL;
    struct call *call = slot_call(t, t->free[--t->free_count]);

    ASSERT(call->connection == NULL);
    ASSERT(call->stage == CALL_SETTLED);
    call->connection = c;
    list_append(&c->calls, &call->in_connection);
    call->stream = stream;
    call->stage = CALL_RECEIVING;
    call->method = GRPC_METHOD_NONE;
    call->replied = call->stream_ended = call->deadline_own = false;
    call->path_seen = call->method_seen = call->regular_seen = call->headers_ended = false;
    call->post = call->content_type = call->has_leader = false;
    call->identity = call->timeout_good = true;
    call->header_bytes = 0;
    call->timeout_ns = UINT64_MAX;
    call->framer = (struct grpc_framer){0};
    call->message_count = call->message_bytes = call->excess_bytes = 0;
    call->body_used = call->body_size = 0;
    call->body = NULL;
    call->request = (struct request){0};
    call->reply_begun = false;
    call->result_more = false;
    call->result_count = 0;
    reply_begin(&call->reply, call->scratch);
    call->path[0] = '\0';
    return call;
}

struct call *call_of_tag(struct api *api, uint64_t tag)
{
    const uint32_t slot = (uint32_t)tag & (CALL_SLOTS_MAX - 1);

    /* Each pushed request gets one final answer, so anything else is a bug within the node. */
    ASSERT(slot < api->calls.slab_count * CALL_SLAB_CALLS);
    struct call *call = slot_call(&api->calls, slot);
    ASSERT(call->tag == tag);
    ASSERT(call->stage == CALL_PUSHED);
    return call;
}

uint8_t *call_request_room(struct call *call, uint32_t bytes)
{
    uint8_t *room = call->request_inline;

    ASSERT(bytes <= REQUEST_BYTES_MAX);
    if (bytes > CALL_REQUEST_INLINE_BYTES)
        room = heap_alloc(&call->connection->account, bytes);
    call->request.bytes = room;
    call->request.length = room == NULL ? 0 : bytes;
    return room;
}

void call_body_drop(struct call *call)
{
    if (call->body != NULL && call->body != call->scratch)
        heap_free(&call->connection->account, call->body);
    call->body = NULL;
    call->body_used = call->body_size = 0;
}

void call_begin(struct call *call, enum request_kind kind)
{
    ASSERT(call->stage == CALL_RECEIVING);
    ASSERT(call->request.bytes != NULL);
    call->request.tag = call->tag;
    call->request.kind = (uint8_t)kind;
    call->stage = CALL_QUEUED;
    requests_append(call->connection->api, call);
}

void call_settle(struct call *call)
{
    if (call->stage == CALL_QUEUED)
        requests_remove(call->connection->api, call);
    call->stage = CALL_SETTLED;
}

void call_detach(struct call *call)
{
    struct connection *c = call->connection;
    struct api *api = c->api;

    if (c->recent == call)
        c->recent = NULL;
    if (call->replied)
        c->replies--;
    timers_remove(&api->timers, &call->timer);
    list_remove(&call->in_connection);
    call_body_drop(call);
    reply_drop(&call->reply, &c->account);
    if (call->stage != CALL_PUSHED) {
        call_settle(call);
        request_drop(call, &c->account);
        call->connection = NULL;
        call_release(api, call);
        return;
    }
    /* The replica may still read the request: it stays until the answer, on our own account. */
    if (call->request.bytes != call->request_inline)
        heap_move(&c->account, &api->account, call->request.bytes);
    call->connection = NULL;
}

void call_fail(struct call *call, enum api_error error)
{
    ASSERT(error != API_ERROR_NONE);
    call_fail_text(call, error_code(error), error_text(error));
}

void call_fail_text(struct call *call, enum grpc_code code, const char *text)
{
    ASSERT(!call->replied);
    reply_drop(&call->reply, &call->connection->account);
    call_body_drop(call);
    if (call->stage != CALL_PUSHED)
        call_settle(call);
    http2_reply_error(call, code, text);
}

void call_reply(struct call *call)
{
    ASSERT(!call->replied);
    if (!reply_finish(&call->reply)) {
        call_fail(call, API_ERROR_RESPONSE_TOO_LARGE);
        return;
    }
    http2_reply(call);
}

/* Who was answered before all was said may finish the sentence: some clients take a reset at that
 * point for a failure, and lose the answer. But only within bounds. */
void call_replied(struct call *call)
{
    struct timers *timers = &call->connection->api->timers;

    ASSERT(!call->replied);
    call->replied = true;
    timers_remove(timers, &call->timer);
    if (!call->stream_ended)
        timers_add(timers, &call->timer, call->connection->api->now_ns + CALL_EXCESS_NS);
}

void call_excess(struct call *call, size_t bytes)
{
    ASSERT(call->replied);
    if (call->excess_bytes > CALL_EXCESS_BYTES_MAX)
        return; /* it was told */
    call->excess_bytes += bytes < CALL_EXCESS_BYTES_MAX ? (uint32_t)bytes : CALL_EXCESS_BYTES_MAX;
    if (call->excess_bytes > CALL_EXCESS_BYTES_MAX)
        http2_reset(call);
}

void call_expired(struct call *call)
{
    if (call->replied) {
        http2_reset(call);
        return;
    }
    call_fail(call, call->deadline_own ? API_ERROR_DEADLINE_EXCEEDED : API_ERROR_TIMED_OUT);
}

/* The final answer of a call whose stream is gone. */
void call_forget(struct api *api, struct call *call)
{
    ASSERT(call->connection == NULL);
    request_drop(call, &api->account);
    call->stage = CALL_SETTLED;
    call_release(api, call);
}

static struct call *slot_call(struct call_table *t, uint32_t slot)
{
    return &t->slab[slot / CALL_SLAB_CALLS][slot % CALL_SLAB_CALLS];
}

static bool slab_take(struct api *api)
{
    struct call_table *t = &api->calls;
    const uint32_t first = t->slab_count * CALL_SLAB_CALLS;

    if (first + CALL_SLAB_CALLS > t->count_max)
        return false;
    struct call *slab = heap_alloc(&api->account, CALL_SLAB_CALLS * sizeof *slab);
    if (slab == NULL)
        return false;
    memset(slab, 0, CALL_SLAB_CALLS * sizeof *slab);
    t->slab[t->slab_count++] = slab;
    for (uint32_t i = 0; i < CALL_SLAB_CALLS; i++) {
        slab[i].stage = CALL_SETTLED;
        slab[i].tag = (uint64_t)api->options.door->number << REQUEST_DOOR_SHIFT | (first + i);
        list_init(&slab[i].in_connection);
        list_init(&slab[i].in_queue);
        timer_init(&slab[i].timer);
        t->free[t->free_count++] = first + CALL_SLAB_CALLS - 1 - i;
    }
    return true;
}

static uint32_t call_slot(const struct call *call)
{
    return (uint32_t)call->tag & (CALL_SLOTS_MAX - 1);
}

static void call_release(struct api *api, struct call *call)
{
    struct call_table *t = &api->calls;
    const uint64_t generation = call->tag >> CALL_SLOT_BITS;
    const uint64_t last = (1ULL << CALL_GENERATION_BITS) - 1;

    ASSERT(call->stage == CALL_SETTLED);
    ASSERT(list_empty(&call->in_queue));
    ASSERT(list_empty(&call->in_connection));
    if ((generation & last) == last)
        return; /* the slot is used up */
    call->tag += CALL_SLOTS_MAX;
    t->free[t->free_count++] = call_slot(call);
}

static void request_drop(struct call *call, struct heap_account *account)
{
    if (call->request.bytes != NULL && call->request.bytes != call->request_inline)
        heap_free(account, (void *)(uintptr_t)call->request.bytes);
    call->request.bytes = NULL;
}
