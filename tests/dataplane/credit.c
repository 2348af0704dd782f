/* Goal:   credit.h never lets more through than was promised, loses nothing to lost, doubled or
 *         reordered grants, and always gets going again.
 * Method: a sender and a receiver with a net between them that loses, doubles and reorders data
 *         and grants by a seed; the sender probes when it has no room. Properties are checked
 *         after each event, progress after the net has healed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/prng.h"
#include "dataplane/credit.h"

enum { SEEDS = 300, STEPS = 3000, WINDOW_MAX = 64, NET_MAX = 256 };

struct net {
    uint64_t word[NET_MAX];
    uint32_t count;
};

struct pair {
    struct credit_send send;
    struct credit_receive receive;
    struct net data;   /* numbers */
    struct net probes; /* numbers */
    struct net grants; /* totals */
    struct prng prng;
    uint32_t loss; /* per million */
};

static void net_send(struct pair *x, struct net *net, uint64_t value)
{
    const uint32_t copies = prng_chance(&x->prng, 100000) ? 2 : 1;

    for (uint32_t i = 0; i < copies; i++)
        if (net->count < NET_MAX && !prng_chance(&x->prng, x->loss))
            net->word[net->count++] = value;
}

static bool net_take(struct pair *x, struct net *net, uint64_t *value)
{
    if (net->count == 0)
        return false;
    const uint64_t at = prng_below(&x->prng, net->count);
    *value = net->word[at];
    net->word[at] = net->word[--net->count];
    return true;
}

static void receive_number(struct pair *x, uint64_t number)
{
    assert_true(credit_receive_number(&x->receive, number)); /* an honest sender is never refused */
    net_send(x, &x->grants, credit_receive_grant(&x->receive));
}

static void step(struct pair *x)
{
    uint64_t value;

    switch (prng_below(&x->prng, 4)) {
    case 0:
        if (credit_send_room(&x->send) > 0)
            net_send(x, &x->data, credit_send_take(&x->send));
        else
            net_send(x, &x->probes, x->send.sent);
        break;
    case 1:
        if (net_take(x, &x->data, &value))
            receive_number(x, value);
        break;
    case 2:
        if (net_take(x, &x->probes, &value))
            receive_number(x, value);
        break;
    default:
        if (net_take(x, &x->grants, &value))
            credit_send_granted(&x->send, value);
        break;
    }
    assert_true(x->send.sent <= x->send.limit);
    assert_true(x->send.limit <= x->receive.promised);
    assert_true(x->receive.highest <= x->send.sent);
    assert_true(x->receive.promised - x->receive.highest <= x->receive.window);
}

static void open_pair(struct pair *x, uint64_t seed)
{
    *x = (struct pair){.loss = 300000};
    prng_seed(&x->prng, seed);
    credit_send_reset(&x->send);
    credit_receive_reset(&x->receive, (uint32_t)prng_between(&x->prng, 1, WINDOW_MAX));
    net_send(x, &x->grants, credit_receive_grant(&x->receive));
}

static void a_bad_net_breaks_nothing_and_a_healed_one_goes_on(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct pair x;
        open_pair(&x, seed);
        for (uint32_t i = 0; i < STEPS; i++)
            step(&x);
        x.loss = 0;
        const uint64_t sent = x.send.sent;
        for (uint32_t i = 0; i < STEPS; i++)
            step(&x);
        assert_true(x.send.sent >= sent + 10);
    }
}

/* The worst case: all of a window is lost, and so is every grant. One probe is enough. */
static void a_probe_frees_a_window_that_was_lost(void **state)
{
    (void)state;
    struct credit_send send;
    struct credit_receive receive;

    credit_send_reset(&send);
    assert_int_equal(credit_send_room(&send), 0);
    credit_receive_reset(&receive, 8);
    credit_send_granted(&send, credit_receive_grant(&receive));
    for (uint32_t i = 0; i < 8; i++)
        assert_int_equal(credit_send_take(&send), i + 1);
    assert_int_equal(credit_send_room(&send), 0);
    assert_int_equal(credit_receive_grant(&receive), 8);

    assert_true(credit_receive_number(&receive, send.sent));
    credit_send_granted(&send, credit_receive_grant(&receive));
    assert_int_equal(credit_send_room(&send), 8);
}

static void what_was_not_promised_is_refused(void **state)
{
    (void)state;
    struct credit_receive receive;

    credit_receive_reset(&receive, 4);
    assert_false(credit_receive_number(&receive, 1)); /* nothing was promised yet */
    assert_int_equal(credit_receive_grant(&receive), 4);
    assert_true(credit_receive_number(&receive, 2));
    assert_false(credit_receive_number(&receive, 5));
    assert_false(credit_receive_number(&receive, UINT64_MAX));
    assert_int_equal(credit_receive_grant(&receive), 6);
    assert_true(credit_receive_number(&receive, 1)); /* late, doubled: no harm */
    assert_int_equal(credit_receive_grant(&receive), 6);
}

static void an_old_grant_takes_nothing_back(void **state)
{
    (void)state;
    struct credit_send send;

    credit_send_reset(&send);
    credit_send_granted(&send, 10);
    credit_send_granted(&send, 3);
    credit_send_granted(&send, 10);
    assert_int_equal(credit_send_room(&send), 10);
    credit_send_granted(&send, UINT64_MAX);
    assert_int_equal(credit_send_room(&send), UINT32_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bad_net_breaks_nothing_and_a_healed_one_goes_on),
        cmocka_unit_test(a_probe_frees_a_window_that_was_lost),
        cmocka_unit_test(what_was_not_promised_is_refused),
        cmocka_unit_test(an_old_grant_takes_nothing_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
