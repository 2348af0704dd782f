/* api/api.h: the etcd v3 face of one node: gRPC on h2c over kernel sockets.
 *
 * It knows the replica only through base/request.h: it pushes commands and queries, and pops
 * answers. Every member takes every request; where the leader is does not concern it.
 *
 * Thread     One lcore, by api_poll(); several api objects need a door each.
 * Memory     Connections, streams and requests come from pools and counted allocations with the
 *            limits of struct api_options; what goes beyond is refused with an error or GOAWAY.
 * Errors     A client's mistakes become gRPC errors with etcd's codes and texts.
 */
#ifndef API_API_H
#define API_API_H

#include "base/request.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { API_MEMBERS_MAX = 16 };

struct api_member {
    uint64_t id;
    char name[32];
    char client_url[80];
    char peer_url[80];
    uint16_t node;
};

struct api_options {
    const char *listen_host; /* numeric */
    uint16_t listen_port;
    uint64_t cluster_id;
    uint64_t member_id;
    uint32_t member_count;
    struct api_member member[API_MEMBERS_MAX];
    struct request_door *door;
    const struct node_view *view;
    uint32_t connections_max;
    uint32_t streams_max;    /* a connection */
    uint64_t heap_bytes_max; /* of all connections together */
    uint64_t request_timeout_ns;
};

struct api;

/* 0, or a negative errno with a sentence in `error` (what, where, what to do). */
int api_open(struct api **out, const struct api_options *options, char *error, size_t error_bytes);
/* Work done; 0: idle. Never waits. */
uint32_t api_poll(struct api *api, uint64_t now_ns);
/* Readable when api_poll() has something to do for a client. */
int api_fd(const struct api *api);
/* When api_poll() must be called next even without input (time-outs). */
uint64_t api_next_timer(const struct api *api);
/* Ends every stream with Unavailable and GOAWAY; true when all connections are gone. */
bool api_shutdown(struct api *api, uint64_t now_ns);
void api_close(struct api *api);

#endif
