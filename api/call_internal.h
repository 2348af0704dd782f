/* api/call_internal.h: one call: a stream of HTTP/2 that asks, and the replica's request for it.
 *
 * Its two ends live apart: the stream may go (RST_STREAM, a lost connection, an error that was
 * sent) while the request is with the replica, which may still read its bytes. So a call is free
 * only when both are done:
 *
 *   request   RECEIVING --call_begin()--> QUEUED --requests_push()--> PUSHED --answers--> SETTLED
 *                 |                          |                                               ^
 *                 +--- an error, a time-out, or an answer of our own, call_settle() ---------+
 *
 *   stream    connection set --call_detach()--> NULL
 *
 * Names      The tag of a call is the door's number, a generation and the slot's number. A slot
 *            whose generations are used up is never used again, so no tag comes twice.
 */
#ifndef API_CALL_INTERNAL_H
#define API_CALL_INTERNAL_H

#include "api/errors.h"
#include "api/grpc.h"
#include "api/heap.h"
#include "api/list.h"
#include "api/reply.h"
#include "api/timers.h"
#include "base/request.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    CALL_SLOT_BITS = 16,
    CALL_SLOTS_MAX = 1 << CALL_SLOT_BITS,
    CALL_GENERATION_BITS = REQUEST_DOOR_SHIFT - CALL_SLOT_BITS,
    CALL_SLAB_CALLS = 64, /* that many are taken from the heap at once */
    CALL_SLABS_MAX = CALL_SLOTS_MAX / CALL_SLAB_CALLS,
    CALL_REQUEST_INLINE_BYTES = 256,
    CALL_PATH_BYTES = 96,
    CALL_HEADER_BYTES_MAX = 16 << 10, /* what gRPC implementations commonly allow */
    CALL_MESSAGE_BYTES_MAX = 2 << 20, /* etcd: 1.5 MiB and 512 KiB for gRPC's own */
    CALL_EXCESS_BYTES_MAX = 64 << 10, /* sent on after the answer, before we cut it off */
    CALL_EXCESS_NS = 1000000000,
    CALL_COMMAND_BYTES_MAX = 3 << 19, /* etcd's 1.5 MiB */
};

struct api;
struct connection;

enum call_stage { CALL_RECEIVING, CALL_QUEUED, CALL_PUSHED, CALL_SETTLED };

struct call {
    struct connection *connection; /* NULL: the stream is gone */
    struct list_link in_connection;
    struct list_link in_queue;
    struct timer timer;
    uint64_t tag;
    int32_t stream;
    uint8_t stage;     /* enum call_stage */
    uint8_t method;    /* enum grpc_method */
    bool replied;      /* headers of the answer are submitted; nothing more may be */
    bool stream_ended; /* by the client */
    bool deadline_own; /* the deadline is the client's, not ours */

    /* What the headers said. */
    bool path_seen, method_seen, regular_seen, headers_ended;
    bool post, content_type, identity, timeout_good, has_leader;
    uint32_t header_bytes;
    uint64_t timeout_ns;

    struct grpc_framer framer;
    uint32_t message_count;
    uint32_t message_bytes; /* its length, by the prefix */
    uint32_t excess_bytes;  /* sent on after the answer */
    uint32_t body_used;
    uint32_t body_size;
    uint8_t *body; /* the message: in `scratch`, or from the heap */

    struct request request; /* bytes: in `request_inline`, or from the heap */

    /* Of a result that is being assembled. */
    bool reply_begun;
    bool result_more;
    int64_t result_count;
    struct reply reply;

    char path[CALL_PATH_BYTES]; /* of an unknown method; cut */
    uint8_t request_inline[CALL_REQUEST_INLINE_BYTES];
    uint8_t scratch[REPLY_INLINE_BYTES]; /* the message's begin, and when that is decoded, the
                                            reply's */
};

/* All calls of an api. Slots grow by slabs up to `max` and are reused last in, first out, so that
 * few of them stay in the cache. */
struct call_table {
    uint32_t count_max;
    uint32_t slab_count;
    uint32_t free_count;
    uint32_t free[CALL_SLOTS_MAX];
    struct call *slab[CALL_SLABS_MAX];
};

/* Takes a slot for a new stream; NULL: there is none, or no memory. */
struct call *call_open(struct connection *c, int32_t stream);
/* The call that an answer is for. */
struct call *call_of_tag(struct api *api, uint64_t tag);

/* Room for a request of `bytes` in request.bytes; NULL: no memory. */
uint8_t *call_request_room(struct call *call, uint32_t bytes);
/* The decoded message's bytes are needed no more. */
void call_body_drop(struct call *call);

/* The request is complete: into the queue for its ring. */
void call_begin(struct call *call, enum request_kind kind);
/* The request is done with, or never was; the stream is still there. */
void call_settle(struct call *call);
/* The final answer came, but the stream is gone: frees the call. */
void call_forget(struct api *api, struct call *call);
/* The stream is gone: frees the call, or leaves it to its answer. */
void call_detach(struct call *call);
/* Refuses what has no answer yet; the request, if it was pushed, goes on without a waiter. */
void call_fail(struct call *call, enum api_error error);
void call_fail_text(struct call *call, enum grpc_code code, const char *text);
/* The answer lies in call->reply: seal and send it. */
void call_reply(struct call *call);
/* The session has taken the answer. */
void call_replied(struct call *call);
/* More of a message came that was answered already. */
void call_excess(struct call *call, size_t bytes);
void call_expired(struct call *call);

void calls_init(struct call_table *t, uint32_t count_max);
void calls_close(struct api *api);

#endif
