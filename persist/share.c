/* persist/share.c: turns, pauses, and who may do without them; the contract is in share.h. */
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

static bool is_quiet(const struct share *s, uint64_t now_ns)
{
    return now_ns - s->log_ns >= SHARE_QUIET_NS;
}

/* Nothing but the operation in flight, or others' turns, could keep him from beginning. */
static bool may_begin(const struct share *s, const struct share_place *p, uint64_t now_ns)
{
    return p->pressed || now_ns >= s->pause_end_ns || is_quiet(s, now_ns);
}

/* It is somebody else's turn. He comes in this poll, or else he is out of the line at the next. */
static bool is_preceded(struct share *s, struct share_place *p, uint64_t now_ns)
{
    for (uint32_t i = 0; i < SHARE_USERS; i++) {
        struct share_place *other = &s->place[i];
        if (!other->waits || other->ticket >= p->ticket || !may_begin(s, other, now_ns))
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

bool share_take(struct share *s, enum share_user user, bool pressed, uint64_t now_ns)
{
    struct share_place *p = &s->place[user];

    ASSERT(user < SHARE_USERS);
    ASSERT(s->running != user);
    if (!p->waits)
        p->ticket = s->ticket_next++;
    p->waits = true;
    p->pressed = pressed;
    note_coming(s, user);
    if (s->running != SHARE_USERS || !may_begin(s, p, now_ns) || is_preceded(s, p, now_ns))
        return false;
    p->waits = false;
    p->let_by = 0;
    s->running = user;
    s->running_pressed = pressed;
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
    if (s->running_pressed)
        return;
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
