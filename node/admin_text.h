/* node/admin_text.h: requests of an operator (base/admin.h) and their answers as lines of text, for
 * the control socket.
 *
 *   transfer NODE                          NODE 0: the node that is furthest
 *   snapshot
 *   change FORCED KIND:NODE:REPLACES:PRIORITY:PROMOTE ...       all of them numbers
 *
 *   ok INDEX | not_leader NODE | refused SENTENCE | unknown | busy | bad
 *
 * Thread     Pure functions.
 */
#ifndef NODE_ADMIN_TEXT_H
#define NODE_ADMIN_TEXT_H

#include "base/admin.h"
#include "base/request.h"

#include <stddef.h>

enum { ADMIN_TEXT_BYTES = 512 };

void admin_text_write(const struct admin_request *request, char out[ADMIN_TEXT_BYTES]);
/* False: not a request. */
bool admin_text_read(const char *text, struct admin_request *out);

void admin_text_write_answer(const struct answer *answer, char out[ADMIN_TEXT_BYTES]);

#endif
