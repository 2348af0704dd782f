/* api/grpc.h: what gRPC adds to HTTP/2: framed messages, time-outs, encoded texts, method names.
 *
 * Thread     Pure functions; nothing here knows of sockets or sessions.
 * Source     The gRPC over HTTP/2 protocol description.
 */
#ifndef API_GRPC_H
#define API_GRPC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    GRPC_PREFIX_BYTES = 5,     /* compressed flag, then a big-endian length */
    GRPC_TEXT_BYTES_MAX = 512, /* of a grpc-message, encoded */
};

enum grpc_method {
    GRPC_METHOD_NONE,
    GRPC_KV_RANGE,
    GRPC_KV_PUT,
    GRPC_KV_DELETE_RANGE,
    GRPC_MAINTENANCE_STATUS,
    GRPC_CLUSTER_MEMBER_LIST,
};

/* The method of a request path, or GRPC_METHOD_NONE. */
enum grpc_method grpc_method_find(const uint8_t *path, size_t length);
/* The sentence for a path that has no method; in `out`, always ended. */
void grpc_method_missing(const char *path, char *out, size_t out_bytes);

/* "application/grpc", alone or with a subtype or parameters behind. */
bool grpc_content_type_good(const uint8_t *value, size_t length);
/* One to eight digits and a unit of "HMSmun". */
bool grpc_timeout_parse(const uint8_t *value, size_t length, uint64_t *timeout_ns);

/* A grpc-message: what is not printable ASCII, and '%', becomes %XX. Cut where `out` ends; returns
 * the length. */
size_t grpc_text_encode(const char *text, char *out, size_t out_bytes);

/* Cuts a stream's DATA, split and joined as it comes, into messages. */
struct grpc_framer {
    uint8_t prefix[GRPC_PREFIX_BYTES];
    uint8_t prefix_used;
    uint32_t left; /* bytes of the message still to come */
};

enum grpc_event {
    GRPC_EVENT_NONE,    /* the input is used up */
    GRPC_EVENT_MESSAGE, /* a message begins: length and flag are in the prefix */
    GRPC_EVENT_PIECE,   /* `piece` belongs to it */
};

struct grpc_input {
    const uint8_t *at;
    size_t left;
    const uint8_t *piece; /* GRPC_EVENT_PIECE */
    uint32_t piece_bytes;
};

enum grpc_event grpc_framer_next(struct grpc_framer *f, struct grpc_input *input);
uint32_t grpc_framer_length(const struct grpc_framer *f); /* of the message that began */
bool grpc_framer_compressed(const struct grpc_framer *f);
/* True between messages: a stream may only end here. */
bool grpc_framer_idle(const struct grpc_framer *f);

void grpc_prefix_write(uint8_t *out, uint32_t length);

#endif
