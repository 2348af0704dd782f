/* api/listener.c: the port: opened with clear words when it can't be, and accepting with limits. */
#include "api/api_internal.h"
#include "base/assert.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    LISTENER_BACKLOG = 1024,
    KEEPALIVE_IDLE_S = 30, /* a dead client is noticed after 30 + 3 * 10 s of silence, */
    KEEPALIVE_INTERVAL_S = 10,
    KEEPALIVE_COUNT = 3,
    UNACKNOWLEDGED_MAX_MS = 60000, /* or when it acknowledges nothing for so long */
};

static int parse_address(const struct api_options *options, struct sockaddr_storage *address,
                         socklen_t *length);
static int explain(const struct api_options *options, int error, char *out, size_t out_bytes);
static void client_options(int fd);

int listener_open(struct api *api, char *error, size_t error_bytes)
{
    struct sockaddr_storage address;
    socklen_t length;
    const int one = 1;
    int result = parse_address(&api->options, &address, &length);

    if (result != 0)
        return explain(&api->options, result, error, error_bytes);
    const int fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return explain(&api->options, -errno, error, error_bytes);
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = NULL};
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        bind(fd, (struct sockaddr *)&address, length) != 0 || listen(fd, LISTENER_BACKLOG) != 0 ||
        epoll_ctl(api->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
        result = -errno;
        close(fd);
        return explain(&api->options, result, error, error_bytes);
    }
    api->listen_fd = fd;
    return 0;
}

void listener_close(struct api *api)
{
    if (api->listen_fd >= 0)
        close(api->listen_fd);
    api->listen_fd = -1;
    api->accept_ready = false;
}

/* A client too many is accepted and closed, so that it knows; one that finds no descriptor or no
 * memory waits in the backlog, and the sweep tries again. */
uint32_t listener_accept(struct api *api)
{
    uint32_t accepted = 0;

    while (api->accept_ready && accepted < API_ACCEPTS_MAX) {
        const int fd = accept4(api->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && (errno == EINTR || errno == ECONNABORTED)) {
            accepted++; /* counts against the budget: the loop ends */
            continue;
        }
        if (fd < 0) {
            api->accept_ready = false;
            break;
        }
        accepted++;
        client_options(fd);
        if (api->connection_count >= api->options.connections_max ||
            connection_open(api, fd) == NULL)
            close(fd);
    }
    return accepted;
}

static int parse_address(const struct api_options *options, struct sockaddr_storage *address,
                         socklen_t *length)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(options->listen_port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(options->listen_port)};

    *address = (struct sockaddr_storage){0};
    if (inet_pton(AF_INET, options->listen_host, &v4.sin_addr) == 1) {
        memcpy(address, &v4, sizeof v4);
        *length = sizeof v4;
        return 0;
    }
    if (inet_pton(AF_INET6, options->listen_host, &v6.sin6_addr) == 1) {
        memcpy(address, &v6, sizeof v6);
        *length = sizeof v6;
        return 0;
    }
    return -EINVAL;
}

static int explain(const struct api_options *options, int error, char *out, size_t out_bytes)
{
    const char *what;

    switch (-error) {
    case EADDRINUSE:
        what = "the port is taken by another program, maybe a node that still runs: stop it, or "
               "choose another port in the configuration";
        break;
    case EADDRNOTAVAIL:
        what = "no interface of this machine has that address: use one that it has, or 0.0.0.0";
        break;
    case EACCES:
        what = "the system does not let this user have that port: choose one above 1023";
        break;
    case EINVAL:
        what = "that is no numeric IPv4 or IPv6 address: names are not looked up here";
        break;
    default:
        what = strerror(-error);
        break;
    }
    snprintf(out, out_bytes, "cannot listen for clients on %s port %u: %s", options->listen_host,
             options->listen_port, what);
    return error;
}

/* Best effort: a client that can't be tuned is served all the same. */
static void client_options(int fd)
{
    const int one = 1, idle = KEEPALIVE_IDLE_S, interval = KEEPALIVE_INTERVAL_S;
    const int count = KEEPALIVE_COUNT;
    const unsigned int unacknowledged = UNACKNOWLEDGED_MAX_MS;

    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unacknowledged, sizeof unacknowledged);
}
