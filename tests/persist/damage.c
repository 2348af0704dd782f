/* Goal:   the rows of docs/recovery.md that crashes do not produce: damage at or below the durable
 *         mark is never taken for a torn tail and never served, files from elsewhere are refused.
 * Method: a small log of several lives and segments whose last batch is the idle mark. Each sector
 *         of each file, one at a time, is flipped, zeroed, overwritten by the one at its place in a file
 *         of another generation, or swapped with its neighbour; the start must refuse, or find everything.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "persist/batch.h"
#include "persist/segment.h"
#include "sim/disk_harm.h"
#include "tests/persist/fixture.h"

enum { NAMES_MAX = 32 };

enum harm { HARM_FLIP, HARM_ZERO, HARM_STALE, HARM_SWAP, HARM_KINDS };

/* `other`: to be written here, or swapped with. */
static void damage(struct fixture *t, uint8_t *sector, enum harm harm, uint8_t *other)
{
    uint8_t keep[DISK_SECTOR];

    if (harm == HARM_FLIP) {
        sector[prng_below(&t->prng, 300)] ^= (uint8_t)(1u << prng_below(&t->prng, 8));
    } else if (harm == HARM_ZERO) {
        memset(sector, 0, DISK_SECTOR);
    } else {
        memcpy(keep, sector, DISK_SECTOR);
        memcpy(sector, other, DISK_SECTOR);
        if (harm == HARM_SWAP)
            memcpy(other, keep, DISK_SECTOR);
    }
}

/* What a start makes of a damaged log; what it misses comes from an intact one. */
static int start_and_repair(struct fixture *t, struct fixture *intact)
{
    int result = fixture_try_open(t);

    if (result != FIXTURE_HOLES)
        return result;
    fixture_repair(t, intact, UINT32_MAX);
    disk_sim_power_cut(t->disk);
    result = fixture_try_open(t);
    return result == 0 ? FIXTURE_HOLES : result == FIXTURE_HOLES ? -1 : result;
}

/* The last batch of the newest segment that has one: its offset. */
static uint64_t last_batch(uint8_t *bytes, uint64_t length, struct batch_header *h)
{
    uint64_t found = 0;

    for (uint64_t at = SEGMENT_DATA_OFFSET; at < length; at += DISK_SECTOR) {
        struct batch_header here;
        memcpy(&here, bytes + at, sizeof here);
        if (here.magic != BATCH_MAGIC)
            continue;
        found = at;
        *h = here;
    }
    return found;
}

/* Where the idle mark stands: with it everything behind the mark before it may go too, and nobody can see
 * that (docs/recovery.md). */
static uint64_t newest_mark(struct fixture *t, char name[DISK_NAME_BYTES])
{
    struct batch_header h;
    uint64_t length;
    uint64_t mark = 0;

    for (uint32_t back = 0; mark == 0; back++) {
        fixture_segment_name(t, back, name);
        uint8_t *const bytes = disk_sim_bytes(t->disk, name, &length);
        mark = last_batch(bytes, length, &h);
    }
    return mark;
}

/* False: it would be two faults at once, of which one is the mark. */
static bool damage_one(struct fixture *t, const char *name, const char *other_name, uint64_t at)
{
    char newest[DISK_NAME_BYTES];
    uint64_t length, other_length;
    uint8_t *bytes = disk_sim_bytes(t->disk, name, &length);
    uint8_t *other = disk_sim_bytes(t->disk, other_name, &other_length);
    const enum harm harm = (enum harm)(at / length);
    const uint64_t sector = at % length;
    const uint64_t next = (sector + DISK_SECTOR) % length;

    if (harm == HARM_SWAP) {
        const uint64_t mark = newest_mark(t, newest);
        if (strcmp(name, newest) == 0 && (sector == mark || next == mark))
            return false;
    }
    damage(t, bytes + sector, harm, harm == HARM_SWAP ? bytes + next : other + sector % other_length);
    return true;
}

static void every_damaged_sector_is_seen(void **state)
{
    (void)state;
    uint32_t count_of[3] = {0}; /* harmless, repaired, refused */

    for (uint64_t seed = 0; seed < 6; seed++) {
        struct fixture *f = seed % 2 == 0 ? fixture_lives(seed) : fixture_lives_cut(seed);
        struct fixture *intact = fixture_twin(f);
        assert_int_equal(fixture_open(intact), 0);
        static char names[NAMES_MAX][DISK_NAME_BYTES];
        const int64_t count = disk_list(f->disk, SEGMENT_NAME_PREFIX, names, NAMES_MAX);
        assert_in_range(count, 2, NAMES_MAX);
        for (int64_t i = 0; i < count; i++) {
            uint64_t length;
            (void)disk_sim_bytes(f->disk, names[i], &length);
            for (uint64_t at = 0; at < length * HARM_KINDS; at += DISK_SECTOR) {
                struct fixture *t = fixture_twin(f);
                const bool one = damage_one(t, names[i], names[(i + 1) % count], at);
                const int result = one ? start_and_repair(t, intact) : 0;
                if (result < 0 && result != -EBADMSG)
                    fail_msg("seed %llu, %s, harm %llu of sector %llu: %d %s", (unsigned long long)seed,
                             names[i], (unsigned long long)(at / length),
                             (unsigned long long)(at % length / DISK_SECTOR), result, t->error);
                count_of[result < 0 ? 2 : result]++;
                fixture_delete(t);
            }
        }
        fixture_delete(intact);
        fixture_delete(f);
    }
    print_message("%u harmless, %u repaired, %u refused\n", count_of[0], count_of[1], count_of[2]);
    assert_true(count_of[1] > 100);
}

/* One to six sectors, headers of segments and the idle mark left out. */
static void damage_some(struct fixture *t)
{
    static char names[NAMES_MAX][DISK_NAME_BYTES];
    const int64_t count = disk_list(t->disk, SEGMENT_NAME_PREFIX, names, NAMES_MAX);
    char newest[DISK_NAME_BYTES];
    const uint64_t mark = newest_mark(t, newest);
    uint64_t length;

    for (uint64_t i = prng_between(&t->prng, 1, 6); i > 0; i--) {
        const char *name = names[prng_below(&t->prng, (uint64_t)count)];
        uint8_t *bytes = disk_sim_bytes(t->disk, name, &length);
        const uint64_t at =
            DISK_SECTOR * prng_between(&t->prng, SEGMENT_COPIES, length / DISK_SECTOR - 1);
        if (strcmp(name, newest) != 0 || at != mark)
            damage(t, bytes + at, (enum harm)prng_below(&t->prng, 2), NULL);
    }
}

/* Else entries of a hole were replaced by a batch that is lost too: a peer has the newer ones. */
static bool peer_has_what_is_missing(const struct fixture *t, struct fixture *peer)
{
    for (uint32_t i = 0; i < t->recovered.hole_count; i++) {
        const struct wal_hole *hole = &t->recovered.hole[i];
        if (fixture_now(peer)->entry[hole->next].chain != hole->chain)
            return false;
    }
    return true;
}

/* Several places at once, and repairs that are interrupted: each start finds less missing. */
static void interrupted_repair_goes_on(void **state)
{
    (void)state;
    uint32_t repaired = 0;
    uint32_t starts = 0;
    uint32_t replaced = 0;

    for (uint64_t seed = 0; seed < 300; seed++) {
        struct fixture *t = fixture_lives(seed % 20);
        struct fixture *intact = fixture_twin(t);
        assert_int_equal(fixture_open(intact), 0);
        prng_seed(&t->prng, seed);
        damage_some(t);
        int result = fixture_try_open(t);
        const bool has = peer_has_what_is_missing(t, intact);
        repaired += result == FIXTURE_HOLES && has;
        replaced += result == FIXTURE_HOLES && !has;
        for (uint32_t start = 0; result == FIXTURE_HOLES && has; start++, starts++) {
            assert_in_range(start, 0, 1000);
            fixture_repair(t, intact, (uint32_t)prng_between(&t->prng, 1, 12));
            disk_sim_power_cut(t->disk);
            result = fixture_try_open(t);
        }
        if (result != 0 && result != -EBADMSG && has)
            fail_msg("seed %llu: %d %s", (unsigned long long)seed, result, t->error);
        fixture_delete(t);
        fixture_delete(intact);
    }
    print_message("%u logs repaired, %u starts, %u not tried\n", repaired, starts, replaced);
    assert_true(replaced < 10);
    assert_true(repaired > 50);
    assert_true(starts > repaired);
}

/* Above the mark the same harm is a torn write: cut, and told. */
static void bad_batch_above_the_mark_is_cut(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(9);
    struct batch_header h;
    char name[DISK_NAME_BYTES];
    uint64_t length;

    assert_int_equal(fixture_open(f), 0);
    fixture_extend(f, 2, 100);
    fixture_turn(f, 1);
    while (f->durable + 1 < f->state_count)
        fixture_turn(f, 10 * 1000);
    fixture_extend(f, 1, 100);
    fixture_turn(f, 1);
    while (f->durable + 1 < f->state_count)
        fixture_turn(f, 10 * 1000);
    disk_sim_power_cut(f->disk);
    f->durable--; /* as if the last flush had not been reported */
    segment_name(name, 1);
    uint8_t *bytes = disk_sim_bytes(f->disk, name, &length);
    const uint64_t at = last_batch(bytes, length, &h);
    assert_int_equal(h.record_count, 1);
    bytes[at + BATCH_HEADER_BYTES + 3] ^= 1;
    assert_int_equal(fixture_open(f), 0);
    assert_int_equal(f->recovered.last, 2);
    assert_int_equal(f->recovered.torn_batches, 1);
    fixture_delete(f);
}

/* Flips a bit in the header of the last batch of the first life that has records, and of all behind it:
 * nothing in that segment tells any more where the log went on. */
static void damage_end_of_first_life(struct fixture *t)
{
    static char names[NAMES_MAX][DISK_NAME_BYTES];
    const int64_t count = disk_list(t->disk, SEGMENT_NAME_PREFIX, names, NAMES_MAX);
    int64_t first = 0;
    uint64_t length;
    uint64_t last = 0;

    assert_in_range(count, 2, NAMES_MAX);
    for (int64_t i = 1; i < count; i++)
        if (segment_generation(names[i]) < segment_generation(names[first]))
            first = i;
    uint8_t *bytes = disk_sim_bytes(t->disk, names[first], &length);
    for (uint32_t pass = 0; pass < 2; pass++) {
        for (uint64_t at = SEGMENT_DATA_OFFSET; at < length; at += DISK_SECTOR) {
            struct batch_header h;
            memcpy(&h, bytes + at, sizeof h);
            if (h.magic == BATCH_MAGIC && pass == 0 && h.record_count > 0)
                last = at;
            if (h.magic == BATCH_MAGIC && pass == 1 && at >= last)
                bytes[at + 8] ^= 1;
        }
    }
    assert_true(last > 0);
}

/* The segment of a later start goes on where that one ended, so what is lost in front of it is a hole like
 * any other, though no good batch stands behind it where it was written. */
static void damage_in_front_of_a_recovery_is_a_hole(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(16);

    assert_int_equal(fixture_open(f), 0);
    fixture_extend(f, 3, 100);
    fixture_settle(f);
    fixture_extend(f, 2, 100);
    fixture_idle(f); /* a start copies what no mark covers */
    disk_sim_power_cut(f->disk);
    assert_int_equal(fixture_open(f), 0);
    fixture_extend(f, 2, 100);
    fixture_idle(f);
    disk_sim_power_cut(f->disk);
    struct fixture *intact = fixture_twin(f);
    assert_int_equal(fixture_open(intact), 0);
    damage_end_of_first_life(f);
    assert_int_equal(start_and_repair(f, intact), FIXTURE_HOLES);
    fixture_delete(intact);
    fixture_delete(f);
}

/* A batch of the right number at the right place that continues another history. */
static void batch_of_another_predecessor_is_not_taken(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(16);
    struct batch_header h;
    char name[DISK_NAME_BYTES];
    uint64_t length;

    assert_int_equal(fixture_open(f), 0);
    fixture_extend(f, 1, 100);
    fixture_turn(f, 1);
    while (f->durable + 1 < f->state_count)
        fixture_turn(f, 10 * 1000);
    disk_sim_power_cut(f->disk);
    f->durable--;
    segment_name(name, 1);
    uint8_t *bytes = disk_sim_bytes(f->disk, name, &length);
    const uint64_t at = last_batch(bytes, length, &h);
    h.previous_crc ^= 1;
    batch_seal(&h);
    memcpy(bytes + at, &h, sizeof h);
    assert_int_equal(fixture_open(f), 0);
    assert_int_equal(f->recovered.last, 0);
    fixture_delete(f);
}

/* What a start makes of a log in which one sector is zeros, or can't be read. */
static int start_with(const struct fixture *f, struct fixture *intact, const char *name,
                      uint64_t sector, enum disk_harm harm)
{
    struct fixture *t = fixture_twin(f);
    const bool harmed = disk_harm_sector(t->disk, name, sector, harm);

    assert_true(harmed);
    const int result = start_and_repair(t, intact);
    fixture_delete(t);
    return result;
}

/* A latent error of the disk is the damage that is met most: it is repaired like any other. Only where the
 * log ends nobody knows what the sector held. */
static void unreadable_sector_is_damage(void **state)
{
    (void)state;
    uint32_t repaired = 0;

    for (uint64_t seed = 20; seed < 24; seed++) {
        struct fixture *f = seed % 2 == 0 ? fixture_lives(seed) : fixture_lives_cut(seed);
        struct fixture *intact = fixture_twin(f);
        assert_int_equal(fixture_open(intact), 0);
        static char names[NAMES_MAX][DISK_NAME_BYTES];
        const int64_t count = disk_list(f->disk, SEGMENT_NAME_PREFIX, names, NAMES_MAX);
        for (int64_t i = 0; i < count; i++) {
            uint64_t length;
            (void)disk_sim_bytes(f->disk, names[i], &length);
            for (uint64_t at = 0; at < length; at += DISK_SECTOR) {
                const int zeros = start_with(f, intact, names[i], at, DISK_HARM_ZERO);
                const int lost = start_with(f, intact, names[i], at, DISK_HARM_UNREADABLE);
                const bool behind = at >= SEGMENT_DATA_OFFSET && zeros == 0 && lost == -EIO;
                if (lost != zeros && !behind)
                    fail_msg("seed %llu, %s sector %llu: zeros %d, unreadable %d",
                             (unsigned long long)seed, names[i],
                             (unsigned long long)at / DISK_SECTOR, zeros, lost);
                repaired += lost == FIXTURE_HOLES;
            }
        }
        fixture_delete(intact);
        fixture_delete(f);
    }
    assert_true(repaired > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_damaged_sector_is_seen),
        cmocka_unit_test(interrupted_repair_goes_on),
        cmocka_unit_test(bad_batch_above_the_mark_is_cut),
        cmocka_unit_test(damage_in_front_of_a_recovery_is_a_hole),
        cmocka_unit_test(batch_of_another_predecessor_is_not_taken),
        cmocka_unit_test(unreadable_sector_is_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
