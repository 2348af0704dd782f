/* api/connection_internal.h: one client's socket with its HTTP/2 session.
 *
 *   PREFACE --24 bytes of HTTP/2--> HTTP2 ------+
 *      |                                        +--> closed, by connection_close()
 *      +--anything else--> REFUSED (an HTTP/1.1 answer, then what comes is thrown away)
 *
 * Events of epoll are edges: they set `readable` and put the connection into the ready list, where
 * it stays until a read finds nothing more. So a paused connection costs no system call.
 */
#ifndef API_CONNECTION_INTERNAL_H
#define API_CONNECTION_INTERNAL_H

#include "api/heap.h"
#include "api/list.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    CONNECTION_PREFACE_BYTES = 24,
    CONNECTION_INPUT_BYTES = 128 << 10,  /* of one read; shared by all connections */
    CONNECTION_OUTPUT_BYTES = 128 << 10, /* of one send; likewise */
    CONNECTION_SENDS_MAX = 4,            /* in one turn */
};

struct api;
struct call;
struct nghttp2_session;

enum connection_state { CONNECTION_PREFACE, CONNECTION_HTTP2, CONNECTION_REFUSED };

struct connection {
    struct api *api;
    struct nghttp2_session *session;
    int fd;
    uint8_t state;   /* enum connection_state */
    bool broken;     /* to be closed in this turn */
    bool hangup;     /* epoll said so: read until the end */
    bool going_away; /* the final GOAWAY is submitted */
    uint8_t preface_used;
    uint8_t preface[CONNECTION_PREFACE_BYTES];
    struct list_link in_all;
    struct list_link in_ready; /* there may be something to read */
    struct list_link in_dirty; /* there may be something to write */
    struct list_link calls;    /* whose streams are open */
    struct call *recent;       /* the call spoken of last; saves looking up its stream */
    struct heap_account account;
    uint8_t *kept; /* output that the kernel did not take; NULL: none */
    uint32_t kept_begin, kept_end;
    uint32_t replies;     /* submitted and not yet gone */
    uint64_t progress_ns; /* when the client last took or gave something, or it began */
};

struct connection *connection_open(struct api *api, int fd);
void connection_close(struct connection *c);
/* Reads once and handles what came; returns the bytes, 0: nothing. */
uint32_t connection_read(struct connection *c);
/* Output for it was submitted. */
void connection_mark_dirty(struct connection *c);
/* Sends what there is; false: close it. */
bool connection_flush(struct connection *c);
/* The client does not take its output: nothing more is read from it meanwhile. */
bool connection_paused(const struct connection *c);
/* Now and then: is it stuck, or silent before its preface? True: close it. */
bool connection_stale(const struct connection *c);

#endif
