/* api/receive_internal.h: what the session says of a stream, on its way to becoming a request. */
#ifndef API_RECEIVE_INTERNAL_H
#define API_RECEIVE_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct call;

struct receive_text {
    const uint8_t *bytes;
    size_t length;
};

/* False: the header list is too long; the stream is to be reset. */
bool receive_header(struct call *call, struct receive_text name, struct receive_text value);
void receive_headers_end(struct call *call);
void receive_data(struct call *call, const uint8_t *bytes, size_t length);
/* The client will send no more. */
void receive_end(struct call *call);

#endif
