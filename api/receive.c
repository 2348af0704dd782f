/* api/receive.c: headers and DATA of a stream, checked, become the message of a call.
 *
 * All methods so far are unary: exactly one message, and it is looked at when the client has said
 * that no more will come.
 */
#include "api/receive_internal.h"

#include "api/api_internal.h"
#include "api/http2_internal.h"
#include "api/services_internal.h"
#include "base/assert.h"

#include <string.h>

enum {
    HEADER_OVERHEAD_BYTES = 32, /* what HTTP/2 counts for each header besides its text */
    BODY_BYTES_FIRST = 16 << 10,
    HTTP_BAD_METHOD = 405,
    HTTP_BAD_CONTENT_TYPE = 415,
};

static bool text_is(struct receive_text text, const char *wanted);
static bool pseudo_in_order(struct call *call, struct receive_text name);
static void take_path(struct call *call, struct receive_text value);
static enum api_error headers_error(const struct call *call);
static void start_deadline(struct call *call);
static enum api_error body_begin(struct call *call);
static enum api_error body_append(struct call *call, const uint8_t *bytes, uint32_t length);
static enum api_error dispatch(struct call *call);

/* The stream's headers, one by one. Those that we do not know, `te` and grpc-accept-encoding among
 * them, say nothing to us. */
bool receive_header(struct call *call, struct receive_text name, struct receive_text value)
{
    call->header_bytes += (uint32_t)(name.length + value.length) + HEADER_OVERHEAD_BYTES;
    if (call->header_bytes > CALL_HEADER_BYTES_MAX)
        return false;
    if (call->headers_ended)
        return true; /* trailers of the request */
    if (!pseudo_in_order(call, name))
        return false;

    switch (name.length) { /* few names have the same length: most are decided by it */
    case sizeof ":path" - 1:
        if (text_is(name, ":path"))
            take_path(call, value);
        break;
    case sizeof ":method" - 1:
        if (text_is(name, ":method"))
            call->post = text_is(value, "POST");
        break;
    case sizeof "content-type" - 1: /* and grpc-timeout */
        if (text_is(name, "content-type"))
            call->content_type = grpc_content_type_good(value.bytes, value.length);
        else if (text_is(name, "grpc-timeout"))
            call->timeout_good = grpc_timeout_parse(value.bytes, value.length, &call->timeout_ns);
        break;
    case sizeof "grpc-encoding" - 1:
        if (text_is(name, "grpc-encoding"))
            call->identity = text_is(value, "identity");
        break;
    case sizeof "hasleader" - 1:
        if (text_is(name, "hasleader"))
            call->has_leader = text_is(value, "true");
        break;
    default:
        break;
    }
    return true;
}

void receive_headers_end(struct call *call)
{
    call->headers_ended = true;
    if (call->replied)
        return;
    if (!call->post) {
        http2_reply_status(call, HTTP_BAD_METHOD);
        return;
    }
    if (!call->content_type) {
        http2_reply_status(call, HTTP_BAD_CONTENT_TYPE);
        return;
    }
    if (call->method == GRPC_METHOD_NONE) {
        char text[CALL_PATH_BYTES + 64];
        grpc_method_missing(call->path, text, sizeof text);
        call_fail_text(call, GRPC_UNIMPLEMENTED, text);
        return;
    }
    const enum api_error error = headers_error(call);
    if (error != API_ERROR_NONE)
        call_fail(call, error);
    else
        start_deadline(call);
}

void receive_data(struct call *call, const uint8_t *bytes, size_t length)
{
    struct grpc_input input = {.at = bytes, .left = length};
    enum api_error error = API_ERROR_NONE;
    enum grpc_event event;

    if (call->replied) {
        call_excess(call, length);
        return;
    }
    ASSERT(call->stage == CALL_RECEIVING);
    while (error == API_ERROR_NONE &&
           (event = grpc_framer_next(&call->framer, &input)) != GRPC_EVENT_NONE) {
        if (event == GRPC_EVENT_MESSAGE)
            error = body_begin(call);
        else
            error = body_append(call, input.piece, input.piece_bytes);
    }
    if (error != API_ERROR_NONE)
        call_fail(call, error);
}

void receive_end(struct call *call)
{
    enum api_error error = API_ERROR_NOT_ONE_MESSAGE;

    call->stream_ended = true;
    if (call->replied) {
        timers_remove(&call->connection->api->timers, &call->timer);
        return;
    }
    ASSERT(call->stage == CALL_RECEIVING);
    if (call->message_count == 1 && grpc_framer_idle(&call->framer)) {
        ASSERT(call->body_used == call->message_bytes);
        error = dispatch(call);
    }
    if (error != API_ERROR_NONE)
        call_fail(call, error);
    else
        call_body_drop(call);
}

static bool text_is(struct receive_text text, const char *wanted)
{
    return text.length == strlen(wanted) && memcmp(text.bytes, wanted, text.length) == 0;
}

/* HTTP/2: names with a colon come first, and each once; the second is checked for those we read. */
static bool pseudo_in_order(struct call *call, struct receive_text name)
{
    if (name.length == 0 || name.bytes[0] != ':') {
        call->regular_seen = true;
        return true;
    }
    if (call->regular_seen)
        return false;
    if (text_is(name, ":path")) {
        const bool first = !call->path_seen;
        call->path_seen = true;
        return first;
    }
    if (text_is(name, ":method")) {
        const bool first = !call->method_seen;
        call->method_seen = true;
        return first;
    }
    return true;
}

static void take_path(struct call *call, struct receive_text value)
{
    call->method = (uint8_t)grpc_method_find(value.bytes, value.length);
    if (call->method != GRPC_METHOD_NONE)
        return;
    const size_t kept = value.length < CALL_PATH_BYTES ? value.length : CALL_PATH_BYTES - 1;
    memcpy(call->path, value.bytes, kept);
    call->path[kept] = '\0';
}

static enum api_error headers_error(const struct call *call)
{
    const struct api *api = call->connection->api;

    if (api->shutdown_ns != 0)
        return API_ERROR_SERVER_STOPPED;
    if (!call->timeout_good)
        return API_ERROR_MALFORMED_TIMEOUT;
    if (!call->identity)
        return API_ERROR_NO_DECOMPRESSOR;
    if (call->has_leader && published_get(&api->options.view->leader) == 0)
        return API_ERROR_NO_LEADER;
    return API_ERROR_NONE;
}

/* From here on the call is answered in any case, also when its message never becomes complete. */
static void start_deadline(struct call *call)
{
    struct api *api = call->connection->api;
    const uint64_t own_ns = api->options.request_timeout_ns;

    call->deadline_own = call->timeout_ns < own_ns;
    timers_add(&api->timers, &call->timer,
               api->now_ns + (call->deadline_own ? call->timeout_ns : own_ns));
}

static enum api_error body_begin(struct call *call)
{
    const uint32_t length = grpc_framer_length(&call->framer);

    if (grpc_framer_compressed(&call->framer))
        return API_ERROR_COMPRESSED;
    if (length > CALL_MESSAGE_BYTES_MAX)
        return API_ERROR_MESSAGE_TOO_LARGE;
    if (++call->message_count > 1)
        return API_ERROR_NOT_ONE_MESSAGE;
    call->message_bytes = length;
    call->body = call->scratch;
    call->body_size = sizeof call->scratch;
    return API_ERROR_NONE;
}

/* Memory follows the bytes that came, not the length that was announced: a client pays for what
 * it makes us hold. */
static enum api_error body_append(struct call *call, const uint8_t *bytes, uint32_t length)
{
    const uint32_t needed = call->body_used + length;

    ASSERT(needed <= call->message_bytes);
    if (needed > call->body_size) {
        const bool inside = call->body == call->scratch;
        uint32_t size = inside ? BODY_BYTES_FIRST : 2 * call->body_size;
        size = size > needed ? size : needed;
        size = size < call->message_bytes ? size : call->message_bytes;
        uint8_t *body = heap_resize(&call->connection->account, inside ? NULL : call->body, size);
        if (body == NULL)
            return API_ERROR_TOO_MANY_REQUESTS;
        if (inside)
            memcpy(body, call->scratch, call->body_used);
        call->body = body;
        call->body_size = size;
    }
    memcpy(call->body + call->body_used, bytes, length);
    call->body_used = needed;
    return API_ERROR_NONE;
}

static enum api_error dispatch(struct call *call)
{
    switch ((enum grpc_method)call->method) {
    case GRPC_KV_RANGE:
    case GRPC_KV_PUT:
    case GRPC_KV_DELETE_RANGE:
        return kv_begin(call, call->body, call->body_used);
    case GRPC_MAINTENANCE_STATUS:
        return maintenance_status(call, call->body, call->body_used);
    case GRPC_CLUSTER_MEMBER_LIST:
        return cluster_member_list(call, call->body, call->body_used);
    case GRPC_METHOD_NONE:
        break;
    }
    ASSERT(false); /* a call without a method was refused when its headers ended */
    return API_ERROR_MALFORMED_MESSAGE;
}
