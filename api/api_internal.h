/* api/api_internal.h: what one api object owns. Writer of all of it: the api lcore. */
#ifndef API_API_INTERNAL_H
#define API_API_INTERNAL_H

#include "api/api.h"
#include "api/call_internal.h"
#include "api/connection_internal.h"
#include "api/heap.h"
#include "api/list.h"
#include "api/timers.h"

struct nghttp2_session_callbacks;
struct nghttp2_option;

enum {
    API_EVENTS_MAX = 64,          /* of one epoll_wait() */
    API_READS_MAX = 64,           /* connections read in one turn */
    API_ACCEPTS_MAX = 16,         /* in one turn */
    API_ANSWERS_MAX = 512,        /* of each ring in one turn */
    API_PUSH_MAX = 64,            /* requests handed to a ring at once */
    API_QUEUE_MAX = 4096,         /* waiting requests at which no client is read any more */
    API_IDENTITY_BYTES = 24,      /* two fields of a byte and ten */
    API_RETRY_NS = 1000000,       /* when the queue is tried again though nobody rang */
    API_SWEEP_NS = 1000000000,    /* between looks for stuck connections */
    API_DRAIN_NS = 100000000,     /* between the two GOAWAYs: more than a round trip */
    API_SHUTDOWN_NS = 1000000000, /* until connections are cut */
};

/* Requests that a ring has not taken yet, in the order of arrival. */
struct api_queue {
    struct list_link calls;
    uint32_t count;
};

struct api {
    struct api_options options;
    uint64_t now_ns; /* of this turn */
    int epoll_fd;
    int listen_fd; /* -1 once shut down */
    bool accept_ready;

    struct heap heap;
    struct heap_account account; /* what belongs to no connection */

    struct nghttp2_session_callbacks *http2_callbacks;
    struct nghttp2_option *http2_options;

    uint32_t connection_count;
    struct list_link connections;
    struct list_link ready;
    uint32_t ready_count;
    struct list_link dirty;

    struct api_queue to_raft;
    struct api_queue to_store;
    struct timers timers;
    uint64_t sweep_ns; /* of the next one */

    uint32_t identity_bytes; /* cluster_id and member_id as every response has them */
    uint8_t identity[API_IDENTITY_BYTES];

    uint64_t shutdown_ns; /* when it began; 0: it did not */

    struct call_table calls;
    uint8_t input[CONNECTION_INPUT_BYTES];
    uint8_t output[CONNECTION_OUTPUT_BYTES];
};

/* api/listener.c */
int listener_open(struct api *api, char *error, size_t error_bytes);
void listener_close(struct api *api);
uint32_t listener_accept(struct api *api);

/* api/requests.c */
void requests_append(struct api *api, struct call *call);
void requests_remove(struct api *api, struct call *call);
uint32_t requests_push(struct api *api);
bool requests_full(const struct api *api);

/* api/answers.c */
uint32_t answers_take(struct api *api);

#endif
