/* api/http2_internal.h: the HTTP/2 session of a connection; the library behind it is known to
 * api/http2.c alone.
 *
 * Calls back  receive_*() of api/receive_internal.h, and call_detach() when a stream is closed.
 */
#ifndef API_HTTP2_INTERNAL_H
#define API_HTTP2_INTERNAL_H

#include "api/errors.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct api;
struct call;
struct connection;

/* What all sessions share. */
int http2_init(struct api *api);
void http2_deinit(struct api *api);

int http2_open(struct connection *c);
void http2_close(struct connection *c);
/* False: the session can't go on. */
bool http2_receive(struct connection *c, const uint8_t *bytes, size_t length);
/* The next bytes to send, valid until the next call; 0: none, negative: the session is lost. */
int64_t http2_next(struct connection *c, const uint8_t **bytes);
/* Nothing more will come of it, and nothing more is expected. */
bool http2_ended(const struct connection *c);

/* call->reply with status OK. */
void http2_reply(struct call *call);
void http2_reply_error(struct call *call, enum grpc_code code, const char *text);
/* A bare HTTP status for what is not gRPC. */
void http2_reply_status(struct call *call, uint32_t status);

/* The client is to stop sending on a stream that was answered. */
void http2_reset(struct call *call);

/* GOAWAY in two steps: no new streams please; then: what is above this stream was not touched. */
void http2_notice_shutdown(struct connection *c);
void http2_go_away(struct connection *c);

#endif
