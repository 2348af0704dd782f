/* Goal:   no crash at any point loses what was reported durable, nor makes recovery refuse.
 * Method: random workloads over the simulated disk. Between any two completions the disk is forked
 *         and crashed: power cut (any subset of unflushed 512-byte pieces survives) or kill (writes
 *         in flight may land later, also after recovery has read the place). Recovery of the image
 *         must give a state of the model that is not older than the durable one. Depth two: the
 *         recovery itself fails at its n-th disk operation and the disk crashes again, for each n.
 * Replay: a failure prints workload and image; both are seeds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/persist/fixture.h"

enum {
    WORKLOADS = 40,
    STEPS = 60,
    RECOVERY_OPS_MAX = 200, /* more than one recovery of these logs needs */
};

static uint64_t images;

/* A copy of the bench whose process has just crashed. */
static struct fixture *crash(const struct fixture *f, uint64_t seed, bool kill)
{
    struct fixture *c = malloc(sizeof *c);

    assert_non_null(c);
    *c = *f;
    c->memory = NULL;
    c->wal = NULL;
    c->disk = disk_sim_fork(f->disk, seed);
    c->records = aligned_alloc(DISK_SECTOR, FIXTURE_BATCH_BYTES);
    assert_non_null(c->disk);
    assert_non_null(c->records);
    prng_seed(&c->prng, seed);
    if (kill)
        disk_sim_kill(c->disk);
    else
        disk_sim_power_cut(c->disk);
    images++;
    return c;
}

static void check(struct fixture *c, uint64_t workload, uint64_t image, const char *what)
{
    if (fixture_try_open(c) != 0)
        fail_msg("workload %llu image %llu (%s): %s", (unsigned long long)workload,
                 (unsigned long long)image, what, c->error);
}

/* The recovered log goes on, and survives once more. */
static void check_goes_on(struct fixture *c, uint64_t workload, uint64_t image)
{
    fixture_append_random(c);
    fixture_append_random(c);
    fixture_settle(c);
    struct fixture *again = crash(c, hash_u64(image, 3), image % 2 == 0);
    check(again, workload, image, "after going on");
    fixture_delete(again);
}

/* Interrupts the recovery of an image at every one of its operations. */
static void check_interrupted(const struct fixture *f, uint64_t workload, uint64_t image, bool kill)
{
    for (uint32_t nth = 1; nth < RECOVERY_OPS_MAX; nth++) {
        struct fixture *c = crash(f, image, kill);
        disk_sim_fail_all_after(c->disk, nth);
        const int result = fixture_try_open(c);
        if (result == -1)
            fail_msg("workload %llu image %llu interrupted at %u: %s", (unsigned long long)workload,
                     (unsigned long long)image, nth, c->error);
        const bool whole = result == 0;
        if (nth % 2 == 0)
            disk_sim_power_cut(c->disk);
        else
            disk_sim_kill(c->disk);
        images++;
        disk_sim_fail_all_after(c->disk, 0);
        check(c, workload, image, "after an interrupted recovery");
        fixture_delete(c);
        if (whole)
            return;
    }
    fail_msg("a recovery takes more than %d operations", RECOVERY_OPS_MAX);
}

static void check_here(const struct fixture *f, uint64_t workload, uint64_t image)
{
    for (uint32_t kill = 0; kill < 2; kill++) {
        struct fixture *c = crash(f, hash_u64(workload, image), kill == 1);
        check(c, workload, image, kill == 1 ? "kill" : "power cut");
        if (image % 8 == 0)
            check_goes_on(c, workload, image);
        fixture_delete(c);
    }
    if (image % 32 == 0)
        check_interrupted(f, workload, hash_u64(workload, image), image % 64 == 0);
}

static struct fixture *workload_new(uint64_t workload)
{
    struct fixture *f = fixture_new(1000 + workload);

    f->options.sync_by_fsync = workload % 2 == 1;
    f->options.flights = 1 + (uint32_t)(workload / 2 % 3);
    f->options.buffer_count = 2 + (uint32_t)(workload % 7);
    f->options.segment_bytes = (10 + workload % 8) * DISK_SECTOR;
    return f;
}

static void every_point_of_random_workloads(void **state)
{
    (void)state;
    for (uint64_t workload = 0; workload < WORKLOADS; workload++) {
        struct fixture *f = workload_new(workload);
        uint64_t image = 0;
        assert_int_equal(fixture_open(f), 0);
        for (uint32_t i = 0; i < STEPS; i++) {
            fixture_append_random(f);
            const uint64_t turns = prng_below(&f->prng, 6);
            for (uint64_t turn = 0; turn < turns; turn++) {
                fixture_turn(f, 60 * 1000);
                check_here(f, workload, image++);
            }
        }
        fixture_idle(f);
        check_here(f, workload, image++);
        fixture_delete(f);
    }
    print_message("%llu images\n", (unsigned long long)images);
}

/* A node that only ever crashes: each life begins with what the last one left. */
static void many_lives(void **state)
{
    (void)state;
    for (uint64_t workload = 0; workload < WORKLOADS; workload++) {
        struct fixture *f = workload_new(workload);
        for (uint32_t life = 0; life < 30; life++) {
            check(f, workload, life, "many lives");
            const uint64_t steps = prng_below(&f->prng, 12);
            for (uint64_t i = 0; i < steps; i++) {
                fixture_append_random(f);
                if (prng_chance(&f->prng, 500000))
                    fixture_turn(f, 60 * 1000);
            }
            if (prng_chance(&f->prng, 500000))
                disk_sim_kill(f->disk);
            else
                disk_sim_power_cut(f->disk);
        }
        fixture_delete(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_point_of_random_workloads),
        cmocka_unit_test(many_lives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
