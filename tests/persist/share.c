/* Goal:   the log waits for one operation of the background at most, the background has its share and
 *         no more, and nobody who asks is left out, nor who waits for somebody that does not come.
 * Method: by hand, one rule each; then a disk whose operations take random times, with users that come
 *         and go, and what each was given is counted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/prng.h"
#include "persist/share.h"

enum { PERCENT = 25, POLL_NS = 10 * 1000, OP_NS_MAX = 2 * 1000 * 1000 };

/* A log that never rests. */
static struct share at_work(uint64_t now_ns)
{
    struct share s;

    share_init(&s, PERCENT);
    share_log_at_work(&s, now_ns);
    return s;
}

static void one_operation_at_a_time(void **state)
{
    (void)state;
    struct share s = at_work(1000);

    assert_true(share_take(&s, SHARE_ZEROS, 1000));
    assert_true(share_next_ns(&s) == UINT64_MAX);
    assert_false(share_take(&s, SHARE_SNAPSHOT, 1000));
    assert_false(share_take(&s, SHARE_READS, 1000));
    share_end(&s, SHARE_ZEROS, 2000);
    assert_true(share_take(&s, SHARE_SNAPSHOT, 5000));
    assert_false(share_take(&s, SHARE_READS, 5000));
}

static void pause_is_as_long_as_the_share_says(void **state)
{
    (void)state;
    struct share s = at_work(0);

    assert_true(share_take(&s, SHARE_SNAPSHOT, 0));
    share_end(&s, SHARE_SNAPSHOT, 1000);
    assert_true(share_next_ns(&s) == 4000); /* a quarter of the time */
    assert_false(share_take(&s, SHARE_SNAPSHOT, 3999));
    assert_false(share_take(&s, SHARE_ZEROS, 3999));
    assert_true(share_take(&s, SHARE_SNAPSHOT, 4000));

    share_init(&s, 100);
    share_log_at_work(&s, 0);
    assert_true(share_take(&s, SHARE_SNAPSHOT, 0));
    share_end(&s, SHARE_SNAPSHOT, 1000);
    assert_true(share_take(&s, SHARE_SNAPSHOT, 1000)); /* all of it: no pause */
}

/* A disk that hung for an hour does not stop the background for three. */
static void pause_has_an_end(void **state)
{
    (void)state;
    const uint64_t hour_ns = 3600ull * 1000 * 1000 * 1000;
    struct share s = at_work(0);

    assert_true(share_take(&s, SHARE_ZEROS, 0));
    share_log_at_work(&s, hour_ns);
    share_end(&s, SHARE_ZEROS, hour_ns);
    share_log_at_work(&s, hour_ns + SHARE_PAUSE_NS_MAX - 1);
    assert_false(share_take(&s, SHARE_ZEROS, hour_ns + SHARE_PAUSE_NS_MAX - 1));
    assert_true(share_take(&s, SHARE_ZEROS, hour_ns + SHARE_PAUSE_NS_MAX));
}

static void silent_log_leaves_the_disk(void **state)
{
    (void)state;
    struct share s = at_work(0);

    assert_true(share_take(&s, SHARE_ZEROS, 0));
    share_end(&s, SHARE_ZEROS, SHARE_QUIET_NS - 1);
    assert_true(share_next_ns(&s) == SHARE_QUIET_NS);
    assert_false(share_take(&s, SHARE_ZEROS, SHARE_QUIET_NS - 1));
    assert_true(share_take(&s, SHARE_ZEROS, SHARE_QUIET_NS));
    share_end(&s, SHARE_ZEROS, SHARE_QUIET_NS + 1000);
    assert_true(share_take(&s, SHARE_ZEROS, SHARE_QUIET_NS + 1000));
    share_end(&s, SHARE_ZEROS, SHARE_QUIET_NS + 2000);
    share_log_at_work(&s, SHARE_QUIET_NS + 3000); /* it is back: so is the pause */
    assert_false(share_take(&s, SHARE_ZEROS, SHARE_QUIET_NS + 3000));
}

static void who_stays_away_loses_his_turn(void **state)
{
    (void)state;
    struct share s = at_work(0);

    assert_true(share_take(&s, SHARE_ZEROS, 0));
    assert_false(share_take(&s, SHARE_SNAPSHOT, 0)); /* and never again */
    share_end(&s, SHARE_ZEROS, 1000);
    assert_false(share_take(&s, SHARE_ZEROS, 4000)); /* he was first */
    assert_true(share_take(&s, SHARE_ZEROS, 4001));
    share_end(&s, SHARE_ZEROS, 5000);
    assert_true(share_take(&s, SHARE_ZEROS, 8001));
}

struct world {
    struct share share;
    struct prng prng;
    uint64_t now_ns;
    uint64_t end_ns; /* of what is in flight */
    enum share_user running;
    bool wants[SHARE_USERS];
    uint32_t served[SHARE_USERS];
    uint32_t bypassed[SHARE_USERS]; /* operations of others since he first asked */
};

static void world_take(struct world *w, enum share_user user)
{
    const bool took = share_take(&w->share, user, w->now_ns);

    if (!took)
        return;
    assert_int_equal(w->running, SHARE_USERS);
    w->running = user;
    w->end_ns = w->now_ns + prng_between(&w->prng, 1, OP_NS_MAX);
    w->served[user]++;
    w->bypassed[user] = 0;
    for (uint32_t other = 0; other < SHARE_USERS; other++) {
        if (other != user && w->wants[other])
            w->bypassed[other]++;
        assert_true(w->bypassed[other] <= SHARE_USERS - 1);
    }
}

static void world_end(struct world *w)
{
    const enum share_user user = w->running;

    if (user == SHARE_USERS || w->now_ns < w->end_ns)
        return;
    w->running = SHARE_USERS;
    share_end(&w->share, user, w->now_ns);
}

/* Users come in any order in each poll, and polls at any time. */
static void world_poll(struct world *w)
{
    w->now_ns += prng_between(&w->prng, 1, POLL_NS);
    share_log_at_work(&w->share, w->now_ns);
    world_end(w);
    const uint32_t first = (uint32_t)prng_below(&w->prng, SHARE_USERS);
    for (uint32_t i = 0; i < SHARE_USERS; i++) {
        const uint32_t user = (first + i) % SHARE_USERS;
        if (w->wants[user] && w->running != user)
            world_take(w, (enum share_user)user);
    }
}

/* The log never rests, and all want all the time: a quarter of the time, evenly in operations. */
static void share_is_kept_and_nobody_starves(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct world w = {.share = at_work(0), .running = SHARE_USERS};
        uint64_t busy_ns = 0;
        uint32_t served = 0;
        prng_seed(&w.prng, seed);
        for (uint32_t user = 0; user < SHARE_USERS; user++)
            w.wants[user] = true;
        for (uint32_t i = 0; i < 400000; i++)
            world_poll(&w);
        for (uint32_t user = 0; user < SHARE_USERS; user++) {
            busy_ns += w.share.busy_ns[user];
            served += w.served[user];
        }
        assert_in_range(busy_ns * 100 / w.now_ns, PERCENT - 2, PERCENT);
        for (uint32_t user = 0; user < SHARE_USERS; user++)
            assert_in_range(w.served[user], served / SHARE_USERS - 1, served / SHARE_USERS + 1);
    }
}

/* Users that change their minds at any moment: whoever wants is served within a bound. */
static void users_come_and_go(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct world w = {.share = at_work(0), .running = SHARE_USERS};
        prng_seed(&w.prng, 200 + seed);
        for (uint32_t i = 0; i < 200000; i++) {
            const uint32_t user = (uint32_t)prng_below(&w.prng, SHARE_USERS);
            if (w.running != user && prng_below(&w.prng, 200) == 0) {
                w.wants[user] = !w.wants[user];
                w.bypassed[user] = 0;
            }
            world_poll(&w);
        }
        for (uint32_t user = 0; user < SHARE_USERS; user++)
            assert_true(w.served[user] > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_operation_at_a_time),
        cmocka_unit_test(pause_is_as_long_as_the_share_says),
        cmocka_unit_test(pause_has_an_end),
        cmocka_unit_test(silent_log_leaves_the_disk),
        cmocka_unit_test(who_stays_away_loses_his_turn),
        cmocka_unit_test(share_is_kept_and_nobody_starves),
        cmocka_unit_test(users_come_and_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
