/* api/errors.h: what clients are told when a request fails: gRPC code and text.
 *
 * Clients match etcd's errors by code and by the exact text, so both are etcd's own, or, where
 * the gRPC layer speaks and not etcd, those of grpc-go.
 */
#ifndef API_ERRORS_H
#define API_ERRORS_H

#include <stdint.h>

/* The codes of gRPC that we use, by number. */
enum grpc_code {
    GRPC_OK = 0,
    GRPC_INVALID_ARGUMENT = 3,
    GRPC_DEADLINE_EXCEEDED = 4,
    GRPC_NOT_FOUND = 5,
    GRPC_RESOURCE_EXHAUSTED = 8,
    GRPC_OUT_OF_RANGE = 11,
    GRPC_UNIMPLEMENTED = 12,
    GRPC_INTERNAL = 13,
    GRPC_UNAVAILABLE = 14,
    GRPC_DATA_LOSS = 15,
    GRPC_CODE_MAX = 16,
};

#define API_ERROR_LIST(X)                                                                        \
    X(NONE, OK, "")                                                                              \
    X(KEY_NOT_PROVIDED, INVALID_ARGUMENT, "etcdserver: key is not provided")                     \
    X(KEY_NOT_FOUND, INVALID_ARGUMENT, "etcdserver: key not found")                              \
    X(VALUE_PROVIDED, INVALID_ARGUMENT, "etcdserver: value is provided")                         \
    X(LEASE_PROVIDED, INVALID_ARGUMENT, "etcdserver: lease is provided")                         \
    X(INVALID_SORT_OPTION, INVALID_ARGUMENT, "etcdserver: invalid sort option")                  \
    X(REQUEST_TOO_LARGE, INVALID_ARGUMENT, "etcdserver: request is too large")                   \
    X(DEADLINE_EXCEEDED, DEADLINE_EXCEEDED, "context deadline exceeded")                         \
    X(LEASE_NOT_FOUND, NOT_FOUND, "etcdserver: requested lease not found")                       \
    X(TOO_MANY_REQUESTS, RESOURCE_EXHAUSTED, "etcdserver: too many requests")                    \
    X(NO_SPACE, RESOURCE_EXHAUSTED, "etcdserver: mvcc: database space exceeded")                 \
    X(MESSAGE_TOO_LARGE, RESOURCE_EXHAUSTED, "grpc: received message larger than max")           \
    X(RESPONSE_TOO_LARGE, RESOURCE_EXHAUSTED, "grpc: trying to send message larger than max")    \
    X(COMPACTED, OUT_OF_RANGE, "etcdserver: mvcc: required revision has been compacted")         \
    X(FUTURE_REVISION, OUT_OF_RANGE, "etcdserver: mvcc: required revision is a future revision") \
    X(NO_DECOMPRESSOR, UNIMPLEMENTED, "grpc: Decompressor is not installed for grpc-encoding")   \
    X(MALFORMED_MESSAGE, INTERNAL, "grpc: error unmarshalling request")                          \
    X(MALFORMED_TIMEOUT, INTERNAL, "malformed grpc-timeout")                                     \
    X(COMPRESSED, INTERNAL, "grpc: compressed flag set with identity or empty encoding")         \
    X(NOT_ONE_MESSAGE, INTERNAL, "grpc: a unary call takes exactly one message")                 \
    X(REFUSED_AS_MALFORMED, INTERNAL, "etcdserver: request was refused as malformed")            \
    X(NO_LEADER, UNAVAILABLE, "etcdserver: no leader")                                           \
    X(SERVER_STOPPED, UNAVAILABLE, "etcdserver: server stopped")                                 \
    X(TIMED_OUT, UNAVAILABLE, "etcdserver: request timed out")                                   \
    X(TIMED_OUT_LEADER_FAILED, UNAVAILABLE,                                                      \
      "etcdserver: request timed out, possibly due to previous leader failure")                  \
    X(CORRUPT, DATA_LOSS, "etcdserver: corrupt cluster")

enum api_error {
#define API_ERROR_ENUM(name, code, text) API_ERROR_##name,
    API_ERROR_LIST(API_ERROR_ENUM)
#undef API_ERROR_ENUM
};

enum grpc_code error_code(enum api_error error);
const char *error_text(enum api_error error);

/* What an answer of the replica comes to: base/request.h's status, then the store's refusal. */
enum api_error error_of_answer(uint8_t status, uint8_t refusal);

#endif
