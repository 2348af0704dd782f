/* api/http2.c: the one file that knows nghttp2.
 *
 * A response is HEADERS, DATA and trailers that end the stream; an error is one HEADERS frame that
 * does both. Headers that never vary are handed over by reference (NO_COPY), and HPACK makes them
 * a few bytes from the second response of a connection on.
 *
 * The callbacks have more parameters than our functions may: their shape is nghttp2's.
 *
 * nghttp2's memory comes from the connection's account. Its callbacks never close a connection:
 * they mark it broken, and whoever drives the session closes it afterwards.
 */
#include "api/http2_internal.h"

#include "api/api_internal.h"
#include "api/receive_internal.h"
#include "base/assert.h"

#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <string.h>

enum {
    HTTP2_STREAM_WINDOW_BYTES = 1 << 20,
    HTTP2_CONNECTION_WINDOW_BYTES = 16 << 20,
    HTTP2_RESETS_BURST = 1000, /* cancelled streams: above that only so many a second */
    HTTP2_RESETS_RATE = 200,
    HTTP2_ACKS_MAX = 1000,
    HTTP2_STATUS_BYTES = 4,
    HTTP2_ERROR_HEADERS = 4,
};

#define HTTP2_HEADER(name_of, value_of)                                                     \
    {                                                                                       \
        .name = (uint8_t *)(uintptr_t)(name_of), .value = (uint8_t *)(uintptr_t)(value_of), \
        .namelen = sizeof(name_of) - 1, .valuelen = sizeof(value_of) - 1,                   \
        .flags = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE               \
    }

static const nghttp2_nv reply_headers[] = {
    HTTP2_HEADER(":status", "200"),
    HTTP2_HEADER("content-type", "application/grpc"),
};
static const nghttp2_nv reply_trailers[] = {HTTP2_HEADER("grpc-status", "0")};
static const char *const code_texts[] = {"0", "1",  "2",  "3",  "4",  "5",  "6",  "7", "8",
                                         "9", "10", "11", "12", "13", "14", "15", "16"};

static void set_callbacks(nghttp2_session_callbacks *callbacks);
static int send_settings(struct connection *c);
static struct call *call_of_stream(struct connection *c, int32_t stream);
static void submitted(struct call *call, int result);

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user);
static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_bytes, const uint8_t *value, size_t value_bytes, uint8_t flags,
                     void *user);
static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user);
static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *bytes,
                   size_t length, void *user);
static int on_close(nghttp2_session *session, int32_t stream, uint32_t code, void *user);
static ssize_t read_reply(nghttp2_session *session, int32_t stream, uint8_t *out, size_t size,
                          uint32_t *flags, nghttp2_data_source *source, void *user);
static void *memory_alloc(size_t bytes, void *user);
static void *memory_zeroed(size_t count, size_t bytes, void *user);
static void *memory_resize(void *piece, size_t bytes, void *user);
static void memory_free(void *piece, void *user);

int http2_init(struct api *api)
{
    static_assert(sizeof code_texts / sizeof code_texts[0] == GRPC_CODE_MAX + 1, "one a code");

    if (nghttp2_session_callbacks_new(&api->http2_callbacks) != 0)
        return -ENOMEM;
    if (nghttp2_option_new(&api->http2_options) != 0) {
        nghttp2_session_callbacks_del(api->http2_callbacks);
        return -ENOMEM;
    }
    set_callbacks(api->http2_callbacks);
    nghttp2_option_set_no_closed_streams(api->http2_options, 1);
    /* nghttp2 would check each header by the rules for those who pass requests on: an eighth of a
     * put's cost. We pass nothing on; receive.c checks the few headers that mean something here. */
    nghttp2_option_set_no_http_messaging(api->http2_options, 1);
    nghttp2_option_set_max_outbound_ack(api->http2_options, HTTP2_ACKS_MAX);
    nghttp2_option_set_stream_reset_rate_limit(api->http2_options, HTTP2_RESETS_BURST,
                                               HTTP2_RESETS_RATE);
    return 0;
}

void http2_deinit(struct api *api)
{
    nghttp2_option_del(api->http2_options);
    nghttp2_session_callbacks_del(api->http2_callbacks);
}

int http2_open(struct connection *c)
{
    nghttp2_mem memory = {
        .mem_user_data = &c->account,
        .malloc = memory_alloc,
        .free = memory_free,
        .calloc = memory_zeroed,
        .realloc = memory_resize,
    };

    if (nghttp2_session_server_new3(&c->session, c->api->http2_callbacks, c, c->api->http2_options,
                                    &memory) != 0) {
        c->session = NULL;
        return -ENOMEM;
    }
    if (send_settings(c) == 0)
        return 0;
    http2_close(c);
    return -ENOMEM;
}

void http2_close(struct connection *c)
{
    nghttp2_session_del(c->session); /* calls nobody back */
    c->session = NULL;
}

bool http2_receive(struct connection *c, const uint8_t *bytes, size_t length)
{
    const ssize_t taken = nghttp2_session_mem_recv(c->session, bytes, length);
    return taken == (ssize_t)length && !c->broken;
}

int64_t http2_next(struct connection *c, const uint8_t **bytes)
{
    return nghttp2_session_mem_send(c->session, bytes);
}

bool http2_ended(const struct connection *c)
{
    return !nghttp2_session_want_read(c->session) && !nghttp2_session_want_write(c->session);
}

void http2_reply(struct call *call)
{
    const nghttp2_data_provider provider = {.source.ptr = call, .read_callback = read_reply};
    const size_t count = sizeof reply_headers / sizeof reply_headers[0];

    submitted(call, nghttp2_submit_response(call->connection->session, call->stream, reply_headers,
                                            count, &provider));
}

void http2_reply_error(struct call *call, enum grpc_code code, const char *text)
{
    char encoded[GRPC_TEXT_BYTES_MAX];
    const size_t length = grpc_text_encode(text, encoded, sizeof encoded);

    ASSERT(code <= GRPC_CODE_MAX);
    const nghttp2_nv headers[HTTP2_ERROR_HEADERS] = {
        reply_headers[0],
        reply_headers[1],
        {.name = (uint8_t *)(uintptr_t) "grpc-status",
         .namelen = strlen("grpc-status"),
         .value = (uint8_t *)(uintptr_t)code_texts[code],
         .valuelen = strlen(code_texts[code]),
         .flags = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE},
        {.name = (uint8_t *)(uintptr_t) "grpc-message",
         .namelen = strlen("grpc-message"),
         .value = (uint8_t *)encoded,
         .valuelen = length,
         .flags = NGHTTP2_NV_FLAG_NO_COPY_NAME},
    };
    submitted(call, nghttp2_submit_response(call->connection->session, call->stream, headers,
                                            HTTP2_ERROR_HEADERS, NULL));
}

void http2_reply_status(struct call *call, uint32_t status)
{
    char text[HTTP2_STATUS_BYTES];

    ASSERT(status >= 100 && status <= 999);
    snprintf(text, sizeof text, "%03u", status);
    const nghttp2_nv header = {.name = (uint8_t *)(uintptr_t) ":status",
                               .namelen = strlen(":status"),
                               .value = (uint8_t *)text,
                               .valuelen = sizeof text - 1,
                               .flags = NGHTTP2_NV_FLAG_NO_COPY_NAME};
    call_settle(call);
    submitted(call,
              nghttp2_submit_response(call->connection->session, call->stream, &header, 1, NULL));
}

void http2_reset(struct call *call)
{
    struct connection *c = call->connection;

    if (nghttp2_submit_rst_stream(c->session, NGHTTP2_FLAG_NONE, call->stream, NGHTTP2_NO_ERROR) !=
        0)
        c->broken = true;
    connection_mark_dirty(c);
}

void http2_notice_shutdown(struct connection *c)
{
    if (nghttp2_submit_shutdown_notice(c->session) != 0)
        c->broken = true;
}

void http2_go_away(struct connection *c)
{
    if (nghttp2_session_terminate_session(c->session, NGHTTP2_NO_ERROR) != 0)
        c->broken = true;
    c->going_away = true;
}

static void set_callbacks(nghttp2_session_callbacks *callbacks)
{
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
}

/* Without RFC 7540 priorities nghttp2 keeps no tree of streams that a client could grow. */
static int send_settings(struct connection *c)
{
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, c->api->options.streams_max},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, HTTP2_STREAM_WINDOW_BYTES},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, CALL_HEADER_BYTES_MAX},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
    };
    const int result = nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, settings,
                                               sizeof settings / sizeof settings[0]);
    if (result != 0)
        return result;
    return nghttp2_session_set_local_window_size(c->session, NGHTTP2_FLAG_NONE, 0,
                                                 HTTP2_CONNECTION_WINDOW_BYTES);
}

/* NULL: a stream that we refused, or the connection itself. */
static struct call *call_of_stream(struct connection *c, int32_t stream)
{
    if (c->recent != NULL && c->recent->stream == stream)
        return c->recent;
    struct call *call = nghttp2_session_get_stream_user_data(c->session, stream);
    if (call != NULL)
        c->recent = call;
    return call;
}

static void submitted(struct call *call, int result)
{
    struct connection *c = call->connection;

    if (c->replies++ == 0)
        c->progress_ns = c->api->now_ns; /* from now on the client owes us reading */
    if (result != 0)
        c->broken = true; /* no memory for a few headers: nothing can be told to this client */
    connection_mark_dirty(c);
    call_replied(call);
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct connection *c = user;

    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    struct call *call = call_open(c, frame->hd.stream_id);
    if (call == NULL) {
        /* Nothing was looked at: clients may simply try again, elsewhere too. */
        return nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
                                         NGHTTP2_REFUSED_STREAM);
    }
    c->recent = call;
    return nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, call);
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_bytes, const uint8_t *value, size_t value_bytes, uint8_t flags,
                     void *user)
{
    struct call *call = call_of_stream(user, frame->hd.stream_id);

    (void)session;
    (void)flags;
    if (call == NULL)
        return 0;
    if (receive_header(call, (struct receive_text){name, name_bytes},
                       (struct receive_text){value, value_bytes}))
        return 0;
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; /* resets the stream */
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    (void)session;
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
        return 0;
    struct call *call = call_of_stream(user, frame->hd.stream_id);
    if (call == NULL)
        return 0;
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
        receive_headers_end(call);
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0)
        receive_end(call);
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *bytes,
                   size_t length, void *user)
{
    struct call *call = call_of_stream(user, stream);

    (void)session;
    (void)flags;
    if (call != NULL)
        receive_data(call, bytes, length);
    return 0;
}

static int on_close(nghttp2_session *session, int32_t stream, uint32_t code, void *user)
{
    struct call *call = call_of_stream(user, stream);

    (void)session;
    (void)code;
    if (call != NULL)
        call_detach(call);
    return 0;
}

static ssize_t read_reply(nghttp2_session *session, int32_t stream, uint8_t *out, size_t size,
                          uint32_t *flags, nghttp2_data_source *source, void *user)
{
    struct connection *c = user;
    struct call *call = source->ptr;
    const size_t done = reply_read(&call->reply, &c->account, out, size);

    if (!reply_empty(&call->reply))
        return (ssize_t)done;
    *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
    if (nghttp2_submit_trailer(session, stream, reply_trailers,
                               sizeof reply_trailers / sizeof reply_trailers[0]) != 0)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    return (ssize_t)done;
}

static void *memory_alloc(size_t bytes, void *user)
{
    return heap_alloc(user, bytes);
}

static void *memory_zeroed(size_t count, size_t bytes, void *user)
{
    if (bytes != 0 && count > SIZE_MAX / bytes)
        return NULL;
    void *piece = heap_alloc(user, count * bytes);
    if (piece != NULL)
        memset(piece, 0, count * bytes);
    return piece;
}

static void *memory_resize(void *piece, size_t bytes, void *user)
{
    return heap_resize(user, piece, bytes);
}

static void memory_free(void *piece, void *user)
{
    heap_free(user, piece);
}
