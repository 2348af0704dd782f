/* dataplane/credit.c: see credit.h. */
#include "dataplane/credit.h"

#include "base/assert.h"
#include "base/planted.h"

void credit_send_reset(struct credit_send *c)
{
    *c = (struct credit_send){0};
}

uint64_t credit_send_take(struct credit_send *c)
{
    ASSERT(c->sent < c->limit);
    return ++c->sent;
}

/* Grants overtake each other; the highest is the newest, and an old one takes nothing back. */
void credit_send_granted(struct credit_send *c, uint64_t limit)
{
    if (planted(PLANTED_CREDIT_DIFFERENCE))
        c->limit += limit;
    else if (limit > c->limit)
        c->limit = limit;
    ASSERT(c->sent <= c->limit);
}

void credit_receive_reset(struct credit_receive *c, uint32_t window)
{
    ASSERT(window > 0);
    *c = (struct credit_receive){.window = window};
}

bool credit_receive_number(struct credit_receive *c, uint64_t number)
{
    if (number > c->promised)
        return false;
    if (planted(PLANTED_CREDIT_LOST_FOR_GOOD) && number > c->highest + 1)
        return true;
    if (number > c->highest)
        c->highest = number; /* what is missing below is lost, and its room free again */
    ASSERT(c->highest <= c->promised);
    return true;
}

uint64_t credit_receive_grant(struct credit_receive *c)
{
    const uint64_t total = c->highest + c->window;

    if (total > c->promised)
        c->promised = total;
    ASSERT(c->promised - c->highest <= c->window);
    return c->promised;
}
