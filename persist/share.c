/* persist/share.c: turns and pauses; the contract is in share.h. */
#include "persist/share.h"

#include "base/assert.h"

void share_init(struct share *s, uint32_t percent)
{
    ASSERT(percent >= 1);
    ASSERT(percent <= 100);
    *s = (struct share){.percent = percent, .running = SHARE_USERS};
}

void share_log_at_work(struct share *s, uint64_t now_ns)
{
    ASSERT(now_ns >= s->log_ns);
    s->log_ns = now_ns;
}

/* Nothing but others' turns could keep anybody from beginning. */
static bool is_free(const struct share *s, uint64_t now_ns)
{
    const bool quiet = now_ns - s->log_ns >= SHARE_QUIET_NS;

    return s->running == SHARE_USERS && (quiet || now_ns >= s->pause_end_ns);
}

/* It is somebody else's turn. He comes in this poll, or else he is out of the line at the next. */
static bool is_preceded(struct share *s, struct share_place *p)
{
    for (uint32_t i = 0; i < SHARE_USERS; i++) {
        struct share_place *other = &s->place[i];
        if (!other->waits || other->ticket >= p->ticket)
            continue;
        if ((p->let_by & 1u << i) == 0) {
            p->let_by |= 1u << i;
            return true;
        }
        other->waits = false;
    }
    return false;
}

/* He is there: nobody is refused for him in vain. */
static void note_coming(struct share *s, enum share_user user)
{
    ASSERT(user < SHARE_USERS);
    for (uint32_t i = 0; i < SHARE_USERS; i++)
        s->place[i].let_by &= ~(1u << user);
}

bool share_take(struct share *s, enum share_user user, uint64_t now_ns)
{
    struct share_place *p = &s->place[user];

    ASSERT(user < SHARE_USERS);
    ASSERT(s->running != user);
    if (!p->waits)
        p->ticket = s->ticket_next++;
    p->waits = true;
    note_coming(s, user);
    if (!is_free(s, now_ns) || is_preceded(s, p))
        return false;
    p->waits = false;
    p->let_by = 0;
    s->running = user;
    s->began_ns = now_ns;
    return true;
}

void share_end(struct share *s, enum share_user user, uint64_t now_ns)
{
    ASSERT(s->running == user);
    ASSERT(now_ns >= s->began_ns);
    const uint64_t took = now_ns - s->began_ns;

    s->running = SHARE_USERS;
    s->busy_ns[user] += took;
    const uint64_t pause =
        took < SHARE_PAUSE_NS_MAX ? took * (100 - s->percent) / s->percent : SHARE_PAUSE_NS_MAX;
    s->pause_end_ns = now_ns + (pause < SHARE_PAUSE_NS_MAX ? pause : SHARE_PAUSE_NS_MAX);
}

uint64_t share_next_ns(const struct share *s)
{
    const uint64_t quiet_ns = s->log_ns + SHARE_QUIET_NS;

    if (s->running != SHARE_USERS)
        return UINT64_MAX;
    return s->pause_end_ns < quiet_ns ? s->pause_end_ns : quiet_ns;
}
