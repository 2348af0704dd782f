/* api/timers.c: the wheel: bucket (deadline / tick) modulo its size, with a bit for each bucket in
 * use so that neither an idle server nor the question for the next timer walks empty lists.
 */
#include "api/timers.h"

#include "base/assert.h"

static uint32_t bucket_of(uint64_t deadline_ns);
static uint32_t next_occupied(const struct timers *t, uint32_t from);

void timers_init(struct timers *t, uint64_t now_ns)
{
    *t = (struct timers){.tick = now_ns / TIMERS_TICK_NS};
    for (uint32_t i = 0; i < TIMERS_BUCKETS; i++)
        list_init(&t->bucket[i]);
}

void timer_init(struct timer *timer)
{
    list_init(&timer->link);
    timer->deadline_ns = 0;
}

void timers_add(struct timers *t, struct timer *timer, uint64_t deadline_ns)
{
    const uint64_t earliest_ns = t->tick * TIMERS_TICK_NS;

    ASSERT(list_empty(&timer->link));
    /* A deadline in the past goes into the bucket that is looked at next. */
    timer->deadline_ns = deadline_ns > earliest_ns ? deadline_ns : earliest_ns;
    const uint32_t bucket = bucket_of(timer->deadline_ns);
    list_append(&t->bucket[bucket], &timer->link);
    t->occupied[bucket / 64] |= 1ULL << (bucket % 64);
}

void timers_remove(struct timers *t, struct timer *timer)
{
    if (list_empty(&timer->link))
        return;
    const uint32_t bucket = bucket_of(timer->deadline_ns);
    list_remove(&timer->link);
    if (list_empty(&t->bucket[bucket]))
        t->occupied[bucket / 64] &= ~(1ULL << (bucket % 64));
}

struct timer *timers_expired(struct timers *t, uint64_t now_ns)
{
    const uint64_t now_tick = now_ns / TIMERS_TICK_NS;

    /* After a long absence one turn of the wheel sees every timer there is. */
    if (now_tick > t->tick + TIMERS_BUCKETS)
        t->tick = now_tick - TIMERS_BUCKETS;
    while (t->tick < now_tick) {
        struct list_link *head = &t->bucket[t->tick % TIMERS_BUCKETS];
        for (struct list_link *l = head->next; l != head; l = l->next) {
            struct timer *timer = LIST_ITEM(l, struct timer, link);
            if (timer->deadline_ns > now_ns)
                continue; /* of a later turn of the wheel */
            timers_remove(t, timer);
            return timer;
        }
        t->tick++;
    }
    return NULL;
}

uint64_t timers_next(const struct timers *t)
{
    const uint32_t from = (uint32_t)(t->tick % TIMERS_BUCKETS);
    const uint32_t found = next_occupied(t, from);

    if (found == TIMERS_BUCKETS)
        return UINT64_MAX;
    const uint32_t ahead = (found - from) % TIMERS_BUCKETS;
    return (t->tick + ahead + 1) * TIMERS_TICK_NS; /* when that tick is over */
}

static uint32_t bucket_of(uint64_t deadline_ns)
{
    return (uint32_t)(deadline_ns / TIMERS_TICK_NS % TIMERS_BUCKETS);
}

/* The first bucket in use at or after `from`, round the wheel; TIMERS_BUCKETS: none. */
static uint32_t next_occupied(const struct timers *t, uint32_t from)
{
    const uint32_t words = TIMERS_BUCKETS / 64;

    /* The word of `from` is looked at twice: its upper bits first, its lower bits last. */
    for (uint32_t i = 0; i <= words; i++) {
        const uint32_t word = (from / 64 + i) % words;
        const uint64_t upper = ~0ULL << (from % 64);
        const uint64_t mask = i == 0 ? upper : i == words ? ~upper : ~0ULL;
        const uint64_t bits = t->occupied[word] & mask;
        if (bits != 0)
            return word * 64 + (uint32_t)__builtin_ctzll(bits);
    }
    return TIMERS_BUCKETS;
}
