/* dataplane/credit.h: flow control by running totals, for one direction of one pair of boots.
 *
 * The receiver says "number N may be sent": N is the highest number it has received plus the room
 * it promises. Numbers missing below the highest count as lost. Because N is a total and never a
 * difference, a lost or doubled grant does no harm.
 *
 * Thread     The raft lcore. Pure.
 */
#ifndef DATAPLANE_CREDIT_H
#define DATAPLANE_CREDIT_H

#include <stdbool.h>
#include <stdint.h>

struct credit_send {
    uint64_t sent;  /* highest number used */
    uint64_t limit; /* highest number granted */
};

struct credit_receive {
    uint64_t highest; /* number received */
    uint64_t promised; /* highest total ever granted; never shrinks */
    uint32_t window;  /* room promised beyond `highest` */
};

void credit_send_reset(struct credit_send *c);
static inline uint32_t credit_send_room(const struct credit_send *c)
{
    const uint64_t room = c->limit > c->sent ? c->limit - c->sent : 0;
    return room > UINT32_MAX ? UINT32_MAX : (uint32_t)room;
}
uint64_t credit_send_take(struct credit_send *c); /* the number for a frame; needs room */
void credit_send_granted(struct credit_send *c, uint64_t limit);

void credit_receive_reset(struct credit_receive *c, uint32_t window);
/* False: beyond what was promised; the frame is dropped. */
bool credit_receive_number(struct credit_receive *c, uint64_t number);
uint64_t credit_receive_grant(struct credit_receive *c); /* what to say in the next frame */

#endif
