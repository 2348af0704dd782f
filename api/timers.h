/* api/timers.h: time-outs of calls, as a wheel: adding and removing cost the same however
 * many there are. A timer fires up to one tick late, never early.
 */
#ifndef API_TIMERS_H
#define API_TIMERS_H

#include "api/list.h"

#include <stdint.h>

enum {
    TIMERS_BUCKETS = 1024, /* one turn is 4 s; what is further off is passed by */
    TIMERS_TICK_NS = 1 << 22,
};

struct timer {
    struct list_link link;
    uint64_t deadline_ns;
};

struct timers {
    uint64_t tick; /* all before it have fired */
    struct list_link bucket[TIMERS_BUCKETS];
    uint64_t occupied[TIMERS_BUCKETS / 64]; /* a bit a bucket */
};

void timers_init(struct timers *t, uint64_t now_ns);
void timer_init(struct timer *timer);
void timers_add(struct timers *t, struct timer *timer, uint64_t deadline_ns);
void timers_remove(struct timers *t, struct timer *timer); /* not added: nothing */
/* Takes out one timer whose time has come; NULL: none. To be called until NULL. */
struct timer *timers_expired(struct timers *t, uint64_t now_ns);
/* When timers_expired() is worth calling again; UINT64_MAX: there is no timer. */
uint64_t timers_next(const struct timers *t);

#endif
