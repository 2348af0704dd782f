/* sim/poll.c: one poll of one role, whole or left in its middle.
 *
 * A process that is paused, or an lcore that loses its CPU, stops where it stands: between two looks at
 * what it shares with others, with a time in its hand that was read before. So a fault may plan that the
 * next polls of a role are left after a number of moments (base/moment.h). Either the whole process is
 * paused then, or the other roles go on and overtake it. No moment at all: it has just read the clock.
 */
#include "base/assert.h"
#include "sim/fibre.h"
#include "sim/sim_internal.h"

enum { MOMENTS_SHIFT_MAX = 7 }; /* a poll with much to do has a few hundred */

static void poll_whole(void *context)
{
    struct sim_poll *poll = context;
    poll->work = replica_poll(poll->replica, poll->role, poll->local_ns);
}

static bool is_left(const struct sim_poll *poll)
{
    return poll->fibre != NULL && fibre_is_left(poll->fibre);
}

/* True: it has ended, within so many moments. */
static bool go_on(struct sim_node *n, enum replica_role role, uint64_t local_ns, uint32_t moments)
{
    struct sim_poll *poll = &n->poll[role];

    if (poll->fibre == NULL)
        poll->fibre = fibre_new();
    if (is_left(poll))
        return fibre_go_on(poll->fibre, moments);
    poll->replica = n->replica;
    poll->role = role;
    poll->local_ns = local_ns;
    return fibre_begin(poll->fibre, poll_whole, poll, moments);
}

uint32_t poll_role(struct sim *s, struct sim_node *n, enum replica_role role, uint64_t local_ns)
{
    struct sim_poll *poll = &n->poll[role];
    struct sim_leave *leave = &n->leave;
    const bool planned = leave->for_ns != 0 && leave->role == role;

    if (!planned && !is_left(poll))
        return replica_poll(n->replica, role, local_ns);
    if (go_on(n, role, local_ns, planned ? leave->moments : FIBRE_TO_ITS_END)) {
        if (planned)
            leave->moments = fibre_moments_left(poll->fibre); /* in one of the next polls */
        return poll->work;
    }
    n->stalled_until_ns[role] = s->now_ns + leave->for_ns;
    if (leave->whole)
        n->paused_until_ns = n->stalled_until_ns[role];
    sim_happen(s, leave->whole ? SIM_PAUSE_INSIDE : SIM_OVERTAKEN);
    sim_trace(s, "node %u: role %u is left%s", sim_id(n), role, leave->whole ? ", all pause" : "");
    leave->for_ns = 0;
    return 1; /* what it has done so far others may see */
}

bool poll_is_left(const struct sim_node *n, enum replica_role role)
{
    return is_left(&n->poll[role]);
}

void poll_leave(struct sim_node *n, struct prng *p, const struct sim_leave *leave)
{
    if (n->leave.for_ns != 0)
        return; /* one is planned */
    n->leave = *leave;
    /* Half of them before the first look. */
    if (prng_below(p, 2) == 0)
        n->leave.moments = 0;
    else
        n->leave.moments = (uint32_t)prng_below(p, 2ULL << prng_below(p, MOMENTS_SHIFT_MAX));
}

void poll_forget(struct sim_node *n)
{
    n->leave.for_ns = 0;
    for (uint32_t role = 0; role < REPLICA_ROLE_COUNT; role++)
        if (n->poll[role].fibre != NULL)
            fibre_drop(n->poll[role].fibre);
}

void poll_drop(struct sim_node *n)
{
    for (uint32_t role = 0; role < REPLICA_ROLE_COUNT; role++) {
        fibre_delete(n->poll[role].fibre);
        n->poll[role].fibre = NULL;
    }
}
