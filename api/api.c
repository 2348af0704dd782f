/* api/api.c: the turn of the api role, and its beginning and end.
 *
 * A turn takes answers, reads clients, hands their requests over and sends what has come about, in
 * this order: so an answer leaves in the turn that finds it, and all requests of one read travel
 * together.
 */
#include "api/api.h"
#include "api/api_internal.h"

#include "api/http2_internal.h"
#include "api/services_internal.h"
#include "base/assert.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

static void init(struct api *api, const struct api_options *options);
static uint32_t take_events(struct api *api);
static void mark_ready(struct api *api, struct connection *c, uint32_t events);
static uint32_t read_clients(struct api *api);
static uint32_t flush_clients(struct api *api);
static void expire_calls(struct api *api);
static void sweep(struct api *api);
static void shutdown_begin(struct api *api);
static void shutdown_go_on(struct api *api);

int api_open(struct api **out, const struct api_options *options, char *error, size_t error_bytes)
{
    struct heap heap = {.bytes_max = options->heap_bytes_max};
    struct heap_account account = {.heap = &heap, .bytes_max = options->heap_bytes_max};
    int result;

    ASSERT(options->member_count <= API_MEMBERS_MAX);
    struct api *api = heap_alloc(&account, sizeof *api);
    if (api == NULL) {
        snprintf(error, error_bytes,
                 "no memory for the API: it needs %zu bytes to begin with, and may use %llu",
                 sizeof *api, (unsigned long long)options->heap_bytes_max);
        return -ENOMEM;
    }
    init(api, options);
    api->heap = heap;
    api->account = account;
    api->account.heap = &api->heap;

    result = http2_init(api);
    if (result != 0) {
        snprintf(error, error_bytes, "no memory for the HTTP/2 library");
        goto free_api;
    }
    api->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (api->epoll_fd < 0) {
        result = -errno;
        snprintf(error, error_bytes, "no epoll descriptor for the API: %s", strerror(errno));
        goto deinit_http2;
    }
    result = listener_open(api, error, error_bytes);
    if (result != 0)
        goto close_epoll;
    *out = api;
    return 0;

close_epoll:
    close(api->epoll_fd);
deinit_http2:
    http2_deinit(api);
free_api:
    account = api->account;
    account.heap = &heap;
    heap_free(&account, api);
    return result;
}

uint32_t api_poll(struct api *api, uint64_t now_ns)
{
    uint32_t work = 0;

    api->now_ns = now_ns;
    work += answers_take(api);
    work += take_events(api);
    work += listener_accept(api);
    work += read_clients(api);
    work += requests_push(api);
    expire_calls(api);
    if (now_ns >= api->sweep_ns)
        sweep(api);
    work += flush_clients(api);
    return work;
}

int api_fd(const struct api *api)
{
    return api->epoll_fd;
}

uint64_t api_next_timer(const struct api *api)
{
    uint64_t next_ns = timers_next(&api->timers);

    if (api->to_raft.count + api->to_store.count > 0 && api->now_ns + API_RETRY_NS < next_ns)
        next_ns = api->now_ns + API_RETRY_NS;
    /* Without connections there is nobody to sweep; a listener that could not accept is tried. */
    if (api->connection_count > 0 && api->sweep_ns < next_ns)
        next_ns = api->sweep_ns;
    return next_ns;
}

bool api_shutdown(struct api *api, uint64_t now_ns)
{
    api->now_ns = now_ns;
    if (api->shutdown_ns == 0)
        shutdown_begin(api);
    else
        shutdown_go_on(api);
    api_poll(api, now_ns);
    return api->connection_count == 0;
}

void api_close(struct api *api)
{
    struct heap heap;
    struct heap_account account;

    listener_close(api);
    while (!list_empty(&api->connections))
        connection_close(LIST_ITEM(api->connections.next, struct connection, in_all));
    calls_close(api);
    close(api->epoll_fd);
    http2_deinit(api);
    /* Its own memory is the last of its account, and the account lies in it. */
    heap = api->heap;
    account = api->account;
    account.heap = &heap;
    heap_free(&account, api);
    ASSERT(heap.bytes == 0);
}

static void init(struct api *api, const struct api_options *options)
{
    const uint64_t calls_max = (uint64_t)options->connections_max * options->streams_max;

    memset(api, 0, sizeof *api);
    api->options = *options;
    api->epoll_fd = api->listen_fd = -1;
    list_init(&api->connections);
    list_init(&api->ready);
    list_init(&api->dirty);
    list_init(&api->to_raft.calls);
    list_init(&api->to_store.calls);
    service_init(api);
    timers_init(&api->timers, 0);
    calls_init(&api->calls, calls_max < CALL_SLOTS_MAX ? (uint32_t)calls_max : CALL_SLOTS_MAX);
}

static uint32_t take_events(struct api *api)
{
    struct epoll_event events[API_EVENTS_MAX];
    const int count = epoll_wait(api->epoll_fd, events, API_EVENTS_MAX, 0);

    for (int i = 0; i < count; i++) {
        if (events[i].data.ptr == NULL)
            api->accept_ready = true;
        else
            mark_ready(api, events[i].data.ptr, events[i].events);
    }
    return count > 0 ? (uint32_t)count : 0;
}

static void mark_ready(struct api *api, struct connection *c, uint32_t events)
{
    if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0)
        c->hangup = true;
    if ((events & EPOLLOUT) != 0 && c->kept != NULL)
        connection_mark_dirty(c);
    if ((events & ~(uint32_t)EPOLLOUT) != 0 && list_empty(&c->in_ready)) {
        list_append(&api->ready, &c->in_ready);
        api->ready_count++;
    }
}

/* One read of each ready client, so that none starves; the list is as a wheel. */
static uint32_t read_clients(struct api *api)
{
    uint32_t work = 0, reads = 0;

    for (uint32_t left = api->ready_count; left > 0 && reads < API_READS_MAX; left--) {
        struct connection *c = LIST_ITEM(api->ready.next, struct connection, in_ready);
        if (requests_full(api))
            break;
        list_remove(&c->in_ready);
        list_append(&api->ready, &c->in_ready);
        if (connection_paused(c) && !c->hangup)
            continue;
        reads++;
        work += connection_read(c);
        if (c->broken)
            connection_close(c);
    }
    return work;
}

static uint32_t flush_clients(struct api *api)
{
    struct list_link dirty; /* what becomes dirty meanwhile is of the next turn */
    uint32_t flushed = 0;

    list_init(&dirty);
    while (!list_empty(&api->dirty)) {
        struct list_link *l = api->dirty.next;
        list_remove(l);
        list_append(&dirty, l);
    }
    while (!list_empty(&dirty)) {
        struct connection *c = LIST_ITEM(dirty.next, struct connection, in_dirty);
        list_remove(&c->in_dirty);
        if (!connection_flush(c))
            connection_close(c);
        flushed++;
    }
    return flushed;
}

static void expire_calls(struct api *api)
{
    struct timer *timer;

    while ((timer = timers_expired(&api->timers, api->now_ns)) != NULL)
        call_expired(LIST_ITEM(timer, struct call, timer));
}

static void sweep(struct api *api)
{
    struct list_link *l = api->connections.next;

    api->sweep_ns = api->now_ns + API_SWEEP_NS;
    api->accept_ready = api->listen_fd >= 0;
    while (l != &api->connections) {
        struct connection *c = LIST_ITEM(l, struct connection, in_all);
        l = l->next;
        if (connection_stale(c))
            connection_close(c);
    }
}

static void shutdown_begin(struct api *api)
{
    api->shutdown_ns = api->now_ns;
    listener_close(api);
    for (struct list_link *l = api->connections.next; l != &api->connections; l = l->next) {
        struct connection *c = LIST_ITEM(l, struct connection, in_all);
        for (struct list_link *k = c->calls.next; k != &c->calls; k = k->next) {
            struct call *call = LIST_ITEM(k, struct call, in_connection);
            if (!call->replied)
                call_fail(call, API_ERROR_SERVER_STOPPED);
        }
        if (c->session != NULL)
            http2_notice_shutdown(c);
        connection_mark_dirty(c);
    }
}

/* After a round trip no client opens streams any more: the last GOAWAY, then only what is being
 * sent. After a second nobody is waited for. */
static void shutdown_go_on(struct api *api)
{
    const uint64_t since_ns = api->now_ns - api->shutdown_ns;
    struct list_link *l = api->connections.next;

    while (l != &api->connections) {
        struct connection *c = LIST_ITEM(l, struct connection, in_all);
        l = l->next;
        if (since_ns >= API_SHUTDOWN_NS || c->session == NULL) {
            connection_close(c);
            continue;
        }
        if (since_ns >= API_DRAIN_NS && list_empty(&c->calls) && !c->going_away) {
            http2_go_away(c);
            connection_mark_dirty(c);
        }
    }
}
