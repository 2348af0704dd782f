/* api/cluster.c: etcdserverpb.Cluster: MemberList. The list is that of the configuration in force on
 * this node, linearizable or not; before there is one, all nodes that the file names.
 *
 *   MemberListResponse  1 header, 2 members
 *   Member              1 ID, 2 name, 3 peerURLs, 4 clientURLs, 5 isLearner
 */
#include "api/api_internal.h"
#include "api/protobuf.h"
#include "api/services_internal.h"
#include "base/assert.h"

#include <string.h>

static void put_member(struct call *call, const struct api_member *member, bool learner);

static const struct view_member *find(const struct view_member *members, uint32_t count,
                                      uint16_t node)
{
    for (uint32_t i = 0; i < count; i++)
        if (members[i].node == node)
            return &members[i];
    return NULL;
}

enum api_error cluster_member_list(struct call *call, const uint8_t *message, uint32_t length)
{
    const struct api_options *options = &call->connection->api->options;
    struct view_member members[MEMBERS_VIEW_MAX];
    const uint32_t count = members_view_read(&options->view->members, members);

    (void)message;
    (void)length;
    service_reply_begin(call, 0); /* etcd names no revision here */
    for (uint32_t i = 0; i < options->member_count; i++) {
        const struct view_member *m = find(members, count, options->member[i].node);
        if (m != NULL || count == 0)
            put_member(call, &options->member[i], m != NULL && !m->voter && !m->voter_old);
    }
    call_settle(call);
    call_reply(call);
    return API_ERROR_NONE;
}

static void put_member(struct call *call, const struct api_member *member, bool learner)
{
    uint8_t out[sizeof *member + 8 * PROTO_VARINT_BYTES_MAX];
    struct proto_writer w = {.bytes = out, .size = sizeof out};
    const uint32_t name_bytes = (uint32_t)strlen(member->name);
    const uint32_t peer_bytes = (uint32_t)strlen(member->peer_url);
    const uint32_t client_bytes = (uint32_t)strlen(member->client_url);

    proto_put_head(&w, 2,
                   proto_uint_bytes(1, member->id) + proto_string_bytes(2, name_bytes) +
                       proto_string_bytes(3, peer_bytes) + proto_string_bytes(4, client_bytes) +
                       proto_uint_bytes(5, learner));
    proto_put_uint(&w, 1, member->id);
    proto_put_string(&w, 2, member->name, name_bytes);
    proto_put_string(&w, 3, member->peer_url, peer_bytes);
    proto_put_string(&w, 4, member->client_url, client_bytes);
    proto_put_uint(&w, 5, learner);
    ASSERT(!w.full);
    reply_append(&call->reply, &call->connection->account, out, w.used);
}
