/* api/services.c: what the responses of all services begin with.
 *
 *   ResponseHeader  1 cluster_id, 2 member_id, 3 revision, 4 raft_term
 */
#include "api/services_internal.h"

#include "api/api_internal.h"
#include "api/protobuf.h"
#include "base/assert.h"

#include <string.h>

enum { HEADER_FIELD = 1, HEADER_BYTES_MAX = 4 * PROTO_VARINT_BYTES_MAX };

/* The two identities never change: they are encoded once. */
void service_init(struct api *api)
{
    struct proto_writer w = {.bytes = api->identity, .size = sizeof api->identity};

    proto_put_uint(&w, 1, api->options.cluster_id);
    proto_put_uint(&w, 2, api->options.member_id);
    ASSERT(!w.full);
    api->identity_bytes = w.used;
}

void service_reply_begin(struct call *call, uint64_t revision)
{
    struct connection *c = call->connection;
    const struct api *api = c->api;
    const uint64_t term = published_get(&api->options.view->term);
    uint8_t out[HEADER_BYTES_MAX + sizeof api->identity];
    struct proto_writer w = {.bytes = out, .size = sizeof out};

    call_body_drop(call); /* the reply begins where the message lay */
    reply_begin(&call->reply, call->scratch);
    proto_put_head(&w, HEADER_FIELD,
                   api->identity_bytes + proto_uint_bytes(3, revision) + proto_uint_bytes(4, term));
    ASSERT(w.used + api->identity_bytes <= sizeof out);
    memcpy(out + w.used, api->identity, api->identity_bytes);
    w.used += api->identity_bytes;
    proto_put_uint(&w, 3, revision);
    proto_put_uint(&w, 4, term);
    ASSERT(!w.full);
    reply_append(&call->reply, &c->account, out, w.used);
}
