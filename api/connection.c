/* api/connection.c: bytes of a client in and out, in batches: one read feeds as many requests as
 * came, one send takes as many responses as are ready.
 */
#include "api/connection_internal.h"

#include "api/api_internal.h"
#include "api/http2_internal.h"
#include "base/assert.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    PREFACE_TIMEOUT_NS_LOG = 33, /* 2^33 ns: 8.6 s until 24 bytes have come */
    STUCK_TIMEOUT_NS_LOG = 36,   /* 2^36 ns: 69 s without taking any of what is ready */
    REFUSED_TIMEOUT_NS_LOG = 30, /* 1 s to read why it was refused */
};

static const uint8_t preface[CONNECTION_PREFACE_BYTES + 1] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
static const char http1_answer[] =
    "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 57\r\n"
    "Connection: close\r\n\r\n"
    "This port speaks gRPC over HTTP/2 without TLS (etcd v3).\n";

static void input(struct connection *c, const uint8_t *bytes, size_t length);
static size_t input_preface(struct connection *c, const uint8_t *bytes, size_t length);
static void refuse_http1(struct connection *c);
static uint32_t gather(struct connection *c);
static bool send_kept(struct connection *c);
static bool send_gathered(struct connection *c, uint32_t length);
static int64_t send_some(struct connection *c, const uint8_t *bytes, size_t length);

struct connection *connection_open(struct api *api, int fd)
{
    struct connection *c = heap_alloc(&api->account, sizeof *c);

    if (c == NULL)
        return NULL;
    /* Half of the heap at most, so that one client can't refuse the others theirs. */
    *c = (struct connection){
        .api = api,
        .fd = fd,
        .account = {.heap = &api->heap, .bytes_max = api->heap.bytes_max / 2},
        .progress_ns = api->now_ns,
    };
    list_init(&c->in_ready);
    list_init(&c->in_dirty);
    list_init(&c->calls);
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c};
    if (epoll_ctl(api->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
        heap_free(&api->account, c);
        return NULL;
    }
    list_append(&api->connections, &c->in_all);
    api->connection_count++;
    return c;
}

void connection_close(struct connection *c)
{
    struct api *api = c->api;

    while (!list_empty(&c->calls))
        call_detach(LIST_ITEM(c->calls.next, struct call, in_connection));
    if (c->session != NULL)
        http2_close(c);
    heap_free(&c->account, c->kept);
    ASSERT(c->account.bytes == 0);
    ASSERT(c->replies == 0);
    list_remove(&c->in_all);
    if (!list_empty(&c->in_ready))
        api->ready_count--;
    list_remove(&c->in_ready);
    list_remove(&c->in_dirty);
    api->connection_count--;
    close(c->fd); /* leaves the epoll set with it */
    heap_free(&api->account, c);
}

uint32_t connection_read(struct connection *c)
{
    struct api *api = c->api;
    const ssize_t got = recv(c->fd, api->input, sizeof api->input, 0);

    if (got < 0 && errno == EINTR)
        return 0; /* still in the ready list: the next turn reads */
    if (got < 0 && errno == EAGAIN) {
        api->ready_count--;
        list_remove(&c->in_ready);
        return 0;
    }
    if (got <= 0) {
        c->broken = true; /* a client that says goodbye wants no answers */
        return 0;
    }
    /* Less than asked for is all there is, unless an end was announced behind it. */
    if ((size_t)got < sizeof api->input && !c->hangup) {
        api->ready_count--;
        list_remove(&c->in_ready);
    }
    input(c, api->input, (size_t)got);
    return (uint32_t)got;
}

void connection_mark_dirty(struct connection *c)
{
    if (list_empty(&c->in_dirty))
        list_append(&c->api->dirty, &c->in_dirty);
}

bool connection_flush(struct connection *c)
{
    if (c->broken)
        return false;
    if (c->kept != NULL && !send_kept(c))
        return false;
    for (uint32_t i = 0; i < CONNECTION_SENDS_MAX && c->session != NULL && c->kept == NULL; i++) {
        const uint32_t gathered = gather(c);
        if (c->broken)
            return false;
        if (gathered == 0)
            return !http2_ended(c);
        if (!send_gathered(c, gathered))
            return false;
    }
    /* The kernel took all, but there may be more: the next turn goes on. What it did not take
     * goes on when epoll says that there is room. */
    if (c->session != NULL && c->kept == NULL)
        connection_mark_dirty(c);
    return true;
}

bool connection_paused(const struct connection *c)
{
    return c->kept != NULL;
}

bool connection_stale(const struct connection *c)
{
    const uint64_t silent_ns = c->api->now_ns - c->progress_ns;

    if (c->state == CONNECTION_PREFACE)
        return silent_ns >> PREFACE_TIMEOUT_NS_LOG > 0;
    if (c->state == CONNECTION_REFUSED)
        return silent_ns >> REFUSED_TIMEOUT_NS_LOG > 0;
    return (c->replies > 0 || c->kept != NULL) && silent_ns >> STUCK_TIMEOUT_NS_LOG > 0;
}

static void input(struct connection *c, const uint8_t *bytes, size_t length)
{
    size_t taken = 0;

    if (c->state == CONNECTION_PREFACE)
        taken = input_preface(c, bytes, length);
    if (c->state != CONNECTION_HTTP2 || c->broken)
        return;
    if (taken < length && !http2_receive(c, bytes + taken, length - taken))
        c->broken = true;
    connection_mark_dirty(c);
}

/* Returns how much of the input the preface took. The session wants to see it too. */
static size_t input_preface(struct connection *c, const uint8_t *bytes, size_t length)
{
    size_t taken = 0;

    while (taken < length && c->preface_used < CONNECTION_PREFACE_BYTES) {
        if (bytes[taken] != preface[c->preface_used]) {
            refuse_http1(c);
            return taken;
        }
        c->preface[c->preface_used++] = bytes[taken++];
    }
    if (c->preface_used < CONNECTION_PREFACE_BYTES)
        return taken;
    c->state = CONNECTION_HTTP2;
    if (http2_open(c) != 0 || !http2_receive(c, c->preface, CONNECTION_PREFACE_BYTES))
        c->broken = true;
    return taken;
}

/* Closing at once could lose the answer: unread input makes the kernel reset the connection. So
 * only our side is closed, and the client's goes on into nothing until it closes, or for a second.
 */
static void refuse_http1(struct connection *c)
{
    static_assert(sizeof "This port speaks gRPC over HTTP/2 without TLS (etcd v3).\n" - 1 == 57,
                  "as the Content-Length says");

    c->state = CONNECTION_REFUSED;
    c->progress_ns = c->api->now_ns;
    /* A socket that is new has room for it; if not, there is no loss. */
    if (send_some(c, (const uint8_t *)http1_answer, sizeof http1_answer - 1) < 0)
        c->broken = true;
    else
        shutdown(c->fd, SHUT_WR);
}

/* Fills api->output with what the session has to say. */
static uint32_t gather(struct connection *c)
{
    enum { FRAME_BYTES_MAX = (16 << 10) + 1024 }; /* nghttp2: 16 KiB of payload and a header */
    struct api *api = c->api;
    uint32_t used = 0;

    while (used + FRAME_BYTES_MAX <= sizeof api->output) {
        const uint8_t *bytes;
        const int64_t length = http2_next(c, &bytes);
        if (length == 0)
            break;
        if (length < 0 || length > FRAME_BYTES_MAX) {
            c->broken = true;
            break;
        }
        memcpy(api->output + used, bytes, (size_t)length);
        used += (uint32_t)length;
    }
    return used;
}

static bool send_kept(struct connection *c)
{
    const int64_t sent = send_some(c, c->kept + c->kept_begin, c->kept_end - c->kept_begin);

    if (sent < 0)
        return false;
    c->kept_begin += (uint32_t)sent;
    if (c->kept_begin == c->kept_end) {
        heap_free(&c->account, c->kept);
        c->kept = NULL;
    }
    return true;
}

static bool send_gathered(struct connection *c, uint32_t length)
{
    struct api *api = c->api;
    const int64_t sent = send_some(c, api->output, length);

    if (sent < 0)
        return false;
    if (sent == length)
        return true;
    c->kept_begin = 0;
    c->kept_end = length - (uint32_t)sent;
    c->kept = heap_alloc(&c->account, c->kept_end);
    if (c->kept == NULL)
        return false;
    memcpy(c->kept, api->output + sent, c->kept_end);
    return true;
}

/* Bytes that the kernel took, maybe none; negative: the connection is lost. */
static int64_t send_some(struct connection *c, const uint8_t *bytes, size_t length)
{
    const ssize_t sent = send(c->fd, bytes, length, MSG_NOSIGNAL);

    if (sent < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (sent > 0)
        c->progress_ns = c->api->now_ns;
    return sent;
}
