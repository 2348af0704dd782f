/* Goal:   no push is slept through; a bell of the dead is harmless; a bell is found again after its
 *         owner's restart, and known to be another one when the directory was made anew.
 * Method: a giver and an lcore, two threads and a ring, at random pace, where every sleep would
 *         last two seconds: a lost bell shows as a sleep that ran out. Then files as a crash and
 *         a restart leave them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/prng.h"
#include "base/spsc.h"
#include "dataplane/bell.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { ITEMS = 20000, RING_SLOTS = 8, SLEEP_MS = 2000, IDLE_TURNS = 3, PAUSE_NS_MAX = 150000 };

static char directory[] = "/tmp/skiff-bell-XXXXXX";
static alignas(CACHE_LINE_BYTES) uint8_t ring_memory[1024];
static char error[512];

static int make_directory(void **state)
{
    (void)state;
    return mkdtemp(directory) == NULL;
}

static void remove_files(const char *name)
{
    char path[128];

    (void)snprintf(path, sizeof path, "%s/%s.bell", directory, name);
    unlink(path);
    (void)snprintf(path, sizeof path, "%s/%s.fifo", directory, name);
    unlink(path);
}

static int remove_directory(void **state)
{
    (void)state;
    remove_files("node-1");
    return rmdir(directory);
}

struct lcore {
    struct bell bell;
    struct spsc *ring;
    uint64_t received;
    uint32_t sleeps, timeouts;
    bool in_order;
};

static uint32_t turn(struct lcore *l)
{
    uint64_t item;
    uint32_t work = 0;

    bell_turn_begin(&l->bell);
    for (; spsc_pop(l->ring, &item, sizeof item, 1) == 1; work++)
        l->in_order = l->in_order && item == l->received++;
    bell_turn_end(&l->bell);
    return work;
}

static void *lcore_main(void *argument)
{
    struct lcore *const l = argument;
    uint32_t idle = 0;

    while (l->received < ITEMS && l->timeouts == 0) {
        idle = turn(l) > 0 ? 0 : idle + 1;
        if (idle < IDLE_TURNS) {
            sched_yield();
            continue;
        }
        bool rung = false;
        bell_sleep_begin(&l->bell);
        if (turn(l) == 0) {
            struct pollfd wait = {.fd = bell_fd(&l->bell), .events = POLLIN};
            rung = poll(&wait, 1, SLEEP_MS) == 1;
            l->sleeps++;
            /* Or the giver, which the machine let stand still, has pushed nothing yet. */
            l->timeouts += !rung && spsc_count(l->ring, 1) > 0;
        }
        bell_sleep_end(&l->bell, rung);
        idle = 0;
    }
    return NULL;
}

static void no_push_is_slept_through(void **state)
{
    (void)state;
    struct lcore l = {.ring = spsc_init(ring_memory, RING_SLOTS, 8), .in_order = true};
    struct bell giver;
    struct prng p;
    pthread_t thread;

    prng_seed(&p, 1);
    assert_int_equal(bell_create(&l.bell, directory, "node-1", error, sizeof error), 0);
    assert_int_equal(bell_find(&giver, directory, "node-1", error, sizeof error), 0);
    assert_int_equal(pthread_create(&thread, NULL, lcore_main, &l), 0);
    for (uint64_t item = 0; item < ITEMS;) {
        item += spsc_push(l.ring, &item, sizeof item, 1);
        bell_ring(&giver);
        if (prng_chance(&p, 300000)) {
            const struct timespec pause = {.tv_nsec = (long)prng_below(&p, PAUSE_NS_MAX)};
            nanosleep(&pause, NULL);
        }
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(l.received, ITEMS);
    assert_true(l.in_order);
    assert_int_equal(l.timeouts, 0);
    assert_true(l.sleeps > ITEMS / 100); /* or nothing was shown */
    bell_close(&giver);
    bell_close(&l.bell);
}

static void a_bell_of_the_dead_is_harmless(void **state)
{
    (void)state;
    struct bell owner;
    struct bell giver;

    assert_int_equal(bell_create(&owner, directory, "node-1", error, sizeof error), 0);
    bell_sleep_begin(&owner);
    bell_turn_begin(&owner);
    bell_close(&owner); /* as a kill leaves it: asleep, in a turn */
    assert_int_equal(bell_find(&giver, directory, "node-1", error, sizeof error), 0);
    assert_true(bell_word_asleep(giver.word));
    for (uint32_t i = 0; i < 100000; i++) /* far beyond what a FIFO holds */
        bell_ring(&giver);

    assert_int_equal(bell_create(&owner, directory, "node-1", error, sizeof error), 0);
    assert_false(bell_word_asleep(giver.word)); /* the same page, begun anew */
    assert_int_equal(bell_word_turn(giver.word), 0);
    bell_sleep_begin(&owner);
    bell_sleep_end(&owner, true);
    bell_close(&owner);
    bell_close(&giver);
}

static void files_made_anew_are_another_bell(void **state)
{
    (void)state;
    struct bell owner;
    struct bell giver;

    remove_files("node-1");
    assert_int_equal(bell_find(&giver, directory, "node-1", error, sizeof error), -ENOENT);
    assert_non_null(strstr(error, "node-1.fifo"));
    assert_int_equal(bell_create(&owner, directory, "node-1", error, sizeof error), 0);
    assert_int_equal(bell_find(&giver, directory, "node-1", error, sizeof error), 0);
    assert_true(bell_is_current(&giver, directory, "node-1"));
    bell_close(&owner);
    assert_true(bell_is_current(&giver, directory, "node-1"));
    remove_files("node-1");
    assert_false(bell_is_current(&giver, directory, "node-1"));
    assert_int_equal(bell_create(&owner, directory, "node-1", error, sizeof error), 0);
    assert_false(bell_is_current(&giver, directory, "node-1"));
    bell_close(&owner);
    bell_close(&giver);
}

static void a_bell_has_one_owner(void **state)
{
    (void)state;
    struct bell owner;
    struct bell second;

    assert_int_equal(bell_create(&owner, directory, "node-1", error, sizeof error), 0);
    bell_turn_begin(&owner);
    assert_int_equal(bell_create(&second, directory, "node-1", error, sizeof error), -EBUSY);
    assert_non_null(strstr(error, "in use by another process"));
    assert_int_equal(bell_word_turn(owner.word), 1); /* untouched */
    bell_close(&owner);
    assert_int_equal(bell_create(&second, directory, "node-1", error, sizeof error), 0);
    bell_close(&second);
}

static void a_place_that_does_not_work_is_said(void **state)
{
    (void)state;
    struct bell b;
    char path[BELL_PATH_BYTES_MAX + 10];

    memset(path, 'x', sizeof path);
    path[sizeof path - 1] = '\0';
    assert_int_equal(bell_create(&b, path, "node-1", error, sizeof error), -ENAMETOOLONG);
    assert_int_equal(bell_create(&b, "/nonexistent", "node-1", error, sizeof error), -ENOENT);
    assert_non_null(strstr(error, "/nonexistent"));
}

static void a_node_has_one_name(void **state)
{
    (void)state;
    char name[BELL_NAME_BYTES_MAX];

    bell_name_of_node(65535, name);
    assert_string_equal(name, "node-65535");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_push_is_slept_through),
        cmocka_unit_test(a_bell_of_the_dead_is_harmless),
        cmocka_unit_test(files_made_anew_are_another_bell),
        cmocka_unit_test(a_bell_has_one_owner),
        cmocka_unit_test(a_place_that_does_not_work_is_said),
        cmocka_unit_test(a_node_has_one_name),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
