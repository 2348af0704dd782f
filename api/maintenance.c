/* api/maintenance.c: etcdserverpb.Maintenance: Status, from the words that the roles publish.
 *
 *   StatusResponse  1 header, 2 version, 3 dbSize, 4 leader, 5 raftIndex, 6 raftTerm,
 *                   7 raftAppliedIndex, 8 errors, 9 dbSizeInUse, 10 isLearner
 */
#include "api/api_internal.h"
#include "api/protobuf.h"
#include "api/services_internal.h"
#include "base/assert.h"

#include <string.h>

/* Clients read features out of it: 3.5.13 and later may be asked for progress of watches; 3.6
 * would promise fields that we do not have. */
static const char version[] = "3.5.16";

enum { STATUS_BYTES_MAX = 192 };

static uint64_t leader_member(const struct api *api);

enum api_error maintenance_status(struct call *call, const uint8_t *message, uint32_t length)
{
    struct api *api = call->connection->api;
    const struct node_view *view = api->options.view;
    const char *no_leader = error_text(API_ERROR_NO_LEADER);
    const uint64_t leader = leader_member(api);
    const uint64_t bytes = published_get(&view->store_bytes);
    uint8_t out[STATUS_BYTES_MAX];
    struct proto_writer w = {.bytes = out, .size = sizeof out};

    (void)message; /* StatusRequest has no fields */
    (void)length;
    proto_put_string(&w, 2, version, sizeof version - 1);
    proto_put_uint(&w, 3, bytes);
    proto_put_uint(&w, 4, leader);
    proto_put_uint(&w, 5, published_get(&view->commit));
    proto_put_uint(&w, 6, published_get(&view->term));
    proto_put_uint(&w, 7, published_get(&view->applied));
    if (leader == 0)
        proto_put_string(&w, 8, no_leader, (uint32_t)strlen(no_leader));
    proto_put_uint(&w, 9, bytes);
    ASSERT(!w.full);

    service_reply_begin(call, published_get(&view->revision));
    reply_append(&call->reply, &call->connection->account, out, w.used);
    call_settle(call);
    call_reply(call);
    return API_ERROR_NONE;
}

/* The view names nodes, clients know members; 0: no leader is known. */
static uint64_t leader_member(const struct api *api)
{
    const uint64_t node = published_get(&api->options.view->leader);

    for (uint32_t i = 0; node != 0 && i < api->options.member_count; i++) {
        if (api->options.member[i].node == node)
            return api->options.member[i].id;
    }
    return 0;
}
