/* api/services_internal.h: the services: each turns the message of a call into a request or an
 * answer. The message is valid during the call only.
 */
#ifndef API_SERVICES_INTERNAL_H
#define API_SERVICES_INTERNAL_H

#include "api/errors.h"
#include "base/request.h"

#include <stdbool.h>
#include <stdint.h>

struct api;
struct call;

/* API_ERROR_NONE: the request is in the queue. */
enum api_error kv_begin(struct call *call, const uint8_t *message, uint32_t length);
/* One piece of the result; the last one seals the reply. */
void kv_answer(struct call *call, const struct answer *answer);

/* API_ERROR_NONE: the call is answered. */
enum api_error maintenance_status(struct call *call, const uint8_t *message, uint32_t length);
enum api_error cluster_member_list(struct call *call, const uint8_t *message, uint32_t length);

void service_init(struct api *api);
/* Begins call->reply with etcd's ResponseHeader; revision 0 leaves that field out. */
void service_reply_begin(struct call *call, uint64_t revision);

#endif
