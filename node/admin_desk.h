/* node/admin_desk.h: the control thread at its door: one operator's request at a time, and the
 * leader's own wish to hand over before it ends.
 *
 * Way        A request is pushed to the raft role; the turns of the control thread look for the
 *            answer, so nobody waits for it.
 * Thread     The control thread.
 */
#ifndef NODE_ADMIN_DESK_H
#define NODE_ADMIN_DESK_H

#include "node/wiring.h"

struct admin_desk {
    struct node *node;
    uint64_t tag_last;
    uint64_t operator_tag; /* of the one that waits; 0: none */
    int operator_fd;       /* where its answer goes */
    uint64_t handover_tag; /* 0: none */
    struct admin_request operator_request, handover_request; /* lent to the raft role meanwhile */
};

/* Takes the request of a client that is connected as `fd`, and answers there and closes it, now or
 * in a later turn. */
void admin_desk_ask(struct admin_desk *desk, const struct admin_request *request, int fd);
/* Leadership to whoever is furthest. False: there was no room to ask for it. */
bool admin_desk_hand_over(struct admin_desk *desk);
/* Looks for answers; true while any is waited for. */
bool admin_desk_poll(struct admin_desk *desk);

#endif
