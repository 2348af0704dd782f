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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
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

static void damage_is_told_by_entries(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(10);

    assert_int_equal(fixture_open(f), 0);
    for (uint32_t i = 0; i < 5; i++) {
        fixture_extend(f, 2, 100);
        fixture_settle(f);
    }
    fixture_idle(f);
    disk_sim_power_cut(f->disk);
    uint8_t *const batch = fixture_batch(f, 4);
    batch[BATCH_HEADER_BYTES + 3] ^= 1;
    assert_int_equal(fixture_open(f), FIXTURE_HOLES);
    assert_int_equal(f->recovered.faulty_first, 3);
    assert_int_equal(f->recovered.faulty_last, 4);
    fixture_delete(f);
}

/* The missing entry exists nowhere any more: a later leader has another one in its place. */
static void hole_is_cut_and_filled_by_another_history(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(17);

    assert_int_equal(fixture_open(f), 0);
    fixture_extend(f, 3, 100);
    fixture_idle(f);
    struct fixture *other = fixture_twin(f);
    assert_int_equal(fixture_open(other), 0);
    const struct fixture_step next = {.first = 4, .count = 1, .payload = 50, .term = 2};
    fixture_append_wait(other, &next);
    fixture_idle(other);
    for (uint32_t i = 0; i < 3; i++) {
        fixture_extend(f, 1, 100);
        fixture_settle(f);
    }
    fixture_idle(f);
    disk_sim_power_cut(f->disk);
    uint8_t *const batch = fixture_batch(f, 4);
    batch[0] ^= 1;
    assert_int_equal(fixture_open(f), FIXTURE_HOLES);
    assert_int_equal(f->recovered.last, 6);

    const uint32_t chain = fixture_now(other)->entry[4].chain;
    const struct wal_step cut = {
        .kind = WAL_STEP_CUT, .first = 1, .last = 4, .cut_term = 2, .cut_chain = chain};
    const struct fixture_step term_known = {.first = 7, .count = 0, .term = 2};
    fixture_append_wait(f, &term_known); /* its leader made itself known */
    assert_int_equal(wal_append(f->wal, &cut), 0);
    fixture_idle(f);
    disk_sim_power_cut(f->disk);
    assert_int_equal(fixture_open(f), FIXTURE_HOLES);
    assert_int_equal(f->recovered.last, 4);
    assert_int_equal(f->recovered.last_term, 2);
    fixture_repair(f, other, UINT32_MAX);
    disk_sim_power_cut(f->disk);
    /* From here on the log is the other one's, but for the hard state. */
    f->durable = f->state_count - 1;
    f->state[f->durable] = *fixture_now(other);
    assert_int_equal(fixture_open(f), 0);
    fixture_delete(other);
    fixture_delete(f);
}

static void rot_below_a_running_log_is_not_served(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(11);
    char name[DISK_NAME_BYTES];
    uint64_t length;

    assert_int_equal(fixture_open(f), 0);
    fixture_extend(f, 4, 100);
    fixture_idle(f);
    segment_name(name, 1);
    uint8_t *bytes = disk_sim_bytes(f->disk, name, &length);
    for (uint32_t i = 0; i < 2; i++) {
        struct wal_read read = {
            .first = 1, .last = 4, .term = 1, .bytes = f->records, .size = FIXTURE_BATCH_BYTES};
        /* The first batch is recovery's mark; the second has the records. */
        const uint64_t at =
            SEGMENT_DATA_OFFSET + DISK_SECTOR + (i == 0 ? BATCH_HEADER_BYTES + 8 : 8);
        bytes[at] ^= 1;
        assert_int_equal(wal_read_begin(f->wal, &read), 0);
        while (!wal_read_poll(f->wal))
            fixture_turn(f, 1000 * 1000);
        assert_int_equal(read.result, -EBADMSG);
        assert_int_equal(read.count, 0);
        bytes[at] ^= 1;
    }
    fixture_delete(f);
}

/* No segment is prepared, so the damaged header is the newest of all: without the batches behind
 * it, it would look like a segment that was never finished. */
static void damaged_header_of_the_newest_segment(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(14);
    const struct disk_sim_fault full = {
        .kind = DISK_OP_CREATE, .nth = 1, .result = -ENOSPC, .sticky = true};
    char name[DISK_NAME_BYTES];
    uint64_t length;

    assert_int_equal(fixture_open(f), 0);
    disk_sim_fail(f->disk, &full);
    fixture_extend(f, 1, 100);
    for (uint32_t i = 0; i < 20; i++)
        fixture_turn(f, 100 * 1000);
    assert_int_equal(f->durable, f->state_count - 1);
    disk_sim_power_cut(f->disk);
    disk_sim_fail(f->disk, &(struct disk_sim_fault){.nth = 0});
    fixture_segment_name(f, 0, name);
    memset(disk_sim_bytes(f->disk, name, &length), 0, SEGMENT_DATA_OFFSET);
    assert_int_equal(fixture_open(f), -EBADMSG);
    assert_non_null(strstr(f->error, "header is damaged"));
    fixture_delete(f);
}

/* Recovery died between its header and its mark: the header alone vouches for the copies. */
static void damaged_copy_without_a_mark(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(15);
    uint32_t seen = 0;

    assert_int_equal(fixture_open(f), 0);
    fixture_extend(f, 1, 100);
    fixture_turn(f, 1);
    while (f->durable + 1 < f->state_count)
        fixture_turn(f, 10 * 1000); /* flushed, and no mark yet */
    disk_sim_power_cut(f->disk);
    /* What is on its way when the process dies lands or not: not each try has its moment. */
    for (uint32_t i = 0; i < 1000 && seen == 0; i++) {
        const uint32_t nth = 1 + i % 40;
        struct fixture *t = fixture_new(15);
        struct batch_header h;
        char name[DISK_NAME_BYTES];
        uint64_t length;
        fixture_assign(t, f, i);
        disk_sim_fail_all_after(t->disk, nth);
        (void)fixture_try_open(t);
        disk_sim_kill(t->disk);
        fixture_segment_name(t, 0, name);
        uint8_t *bytes = disk_sim_bytes(t->disk, name, &length);
        memcpy(&h, bytes + SEGMENT_DATA_OFFSET, sizeof h);
        const bool header = memcmp(bytes, "SKSG", 4) == 0;
        const uint64_t behind = SEGMENT_DATA_OFFSET + batch_bytes(h.record_bytes);
        const bool mark = memcmp(bytes + behind, "SKBH", 4) == 0;
        if (header && h.kind == BATCH_COPY && !mark) {
            bytes[SEGMENT_DATA_OFFSET + BATCH_HEADER_BYTES] ^= 1;
            assert_int_equal(fixture_open(t), FIXTURE_HOLES);
            seen++;
        }
        fixture_delete(t);
    }
    assert_int_equal(seen, 1);
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

static void batch_is_bound_to_its_place(void **state)
{
    (void)state;
    struct batch_header h = {.kind = BATCH_NEW,
                             .incarnation = 1,
                             .boot = 1,
                             .node = 1,
                             .generation = 5,
                             .offset = DISK_SECTOR,
                             .number = 1};
    const struct batch_place right = {
        .incarnation = 1, .node = 1, .generation = 5, .offset = DISK_SECTOR};
    struct batch_place wrong[] = {right, right, right, right};
    struct batch_header out;

    wrong[0].incarnation++;
    wrong[1].node++;
    wrong[2].generation--;
    wrong[3].offset += DISK_SECTOR;
    batch_seal(&h);
    assert_true(batch_check_header((const uint8_t *)&h, &right, &out));
    for (uint32_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(batch_check_header((const uint8_t *)&h, &wrong[i], &out));
    for (uint32_t bit = 0; bit < 8 * sizeof h; bit++) {
        ((uint8_t *)&h)[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_false(batch_check_header((const uint8_t *)&h, &right, &out));
        ((uint8_t *)&h)[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

static void seal_anew(uint8_t *sector, struct segment_header *h)
{
    h->header_crc = crc32c(0, h, offsetof(struct segment_header, header_crc));
    for (uint32_t copy = 0; copy < SEGMENT_COPIES; copy++)
        memcpy(sector + (size_t)copy * DISK_SECTOR, h, sizeof *h);
}

static void files_from_elsewhere_are_refused(void **state)
{
    (void)state;
    struct fixture *f = fixture_lives(12);
    static const struct {
        const char *says;
        int result;
    } cases[] = {
        {"version 3", -EPROTO},  {"cluster 78", -EXDEV},     {"node 4", -EXDEV},
        {"incarnation", -EXDEV}, {"is to be boot", -EINVAL}, {"missing", -EBADMSG},
    };

    for (uint32_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture *t = fixture_twin(f);
        struct segment_header h;
        char name[DISK_NAME_BYTES];
        uint64_t length;
        fixture_segment_name(t, 0, name);
        uint8_t *bytes = disk_sim_bytes(t->disk, name, &length);
        memcpy(&h, bytes, sizeof h);
        h.version = (uint16_t)(h.version + (i == 0));
        h.cluster += i == 1;
        h.node = (raft_node)(h.node + (i == 2));
        h.incarnation += i == 3;
        t->options.boot -= i == 4; /* fixture_open() adds one */
        if (i == 5) {
            h.kind = SEGMENT_RECOVERY;
            h.continues_generation = h.generation - 1;
            char previous[DISK_NAME_BYTES];
            segment_name(previous, h.continues_generation);
            uint64_t previous_length;
            while (disk_sim_bytes(t->disk, previous, &previous_length) != NULL)
                segment_name(previous, --h.continues_generation);
        }
        seal_anew(bytes, &h);
        assert_int_equal(fixture_open(t), cases[i].result);
        if (strstr(t->error, cases[i].says) == NULL)
            fail_msg("%u: %s", i, t->error);
        fixture_delete(t);
    }
    fixture_delete(f);
}

/* A read error is a checksum mismatch of the sectors it concerns; here it passes. */
static void read_error_is_tried_by_sector(void **state)
{
    (void)state;
    struct fixture *f = fixture_lives(13);
    const struct disk_sim_fault fault = {.kind = DISK_OP_READ, .nth = 1, .result = -EIO};

    disk_sim_fail(f->disk, &fault);
    assert_int_equal(fixture_open(f), 0);
    fixture_delete(f);
}

/* A disk that returns zeros once and then the truth harms nothing: each read of a start in turn. A start
 * refuses at worst, and the next one does not; never is anything taken for lost, or for the log's end. */
static void lie_of_a_moment_is_no_damage(void **state)
{
    (void)state;
    uint32_t refused = 0, reads = 0;

    for (uint64_t seed = 30; seed < 34; seed++) {
        struct fixture *f = seed % 2 == 0 ? fixture_lives(seed) : fixture_lives_cut(seed);
        for (uint32_t nth = 1;; nth++) {
            struct fixture *t = fixture_twin(f);
            disk_harm_lie_once(t->disk, nth);
            const int result = fixture_try_open(t);
            const bool lied = disk_harm_reads(t->disk) > 0;
            if (result != 0 && result != -EBADMSG)
                fail_msg("seed %llu, read %u: %d %s", (unsigned long long)seed, nth, result, t->error);
            if (result != 0) {
                disk_sim_power_cut(t->disk);
                assert_int_equal(fixture_open(t), 0);
            }
            refused += result != 0;
            reads += lied;
            fixture_delete(t);
            if (!lied)
                break;
        }
        fixture_delete(f);
    }
    print_message("%u reads, %u starts refused\n", reads, refused);
    assert_true(reads > 50);
    assert_int_equal(refused, 0);
}

/* No longer than that: an idle log would write its mark. */
static void wait_until_durable(struct fixture *f)
{
    while (f->durable + 1 < f->state_count)
        fixture_turn(f, 10 * 1000);
}

/* The last batch below the mark is lost, and so is the one behind it, which was not durable yet. What
 * follows the two tells nothing: between it and the mark stands what nobody was promised. */
static void damage_that_reaches_beyond_the_mark(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(22);
    struct batch_header h;

    assert_int_equal(fixture_open(f), 0);
    fixture_extend(f, 1, 100);
    wait_until_durable(f);
    for (uint32_t i = 0; i < 2; i++) { /* both in flight at once */
        fixture_extend(f, 1, 100);
        fixture_poll(f);
    }
    wait_until_durable(f);
    disk_sim_power_cut(f->disk);
    uint8_t *const batch = fixture_batch(f, 1);
    memcpy(&h, batch, sizeof h);
    batch[0] ^= 1;
    batch[batch_bytes(h.record_bytes)] ^= 1;
    assert_int_equal(fixture_try_open(f), -EBADMSG);
    if (strstr(f->error, "nor can anything behind it: where the log ends is not known") == NULL)
        fail_msg("%s", f->error);
    fixture_delete(f);
}

/* What a base stands for is missed by nobody. */
static void base_above_a_hole_closes_it(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(21);
    struct wal_recovered report = {0};

    assert_int_equal(fixture_open(f), 0);
    for (uint32_t i = 0; i < 6; i++) {
        fixture_extend(f, 1, 100);
        fixture_settle(f);
    }
    fixture_idle(f);
    disk_sim_power_cut(f->disk);
    uint8_t *const batch = fixture_batch(f, 3);
    batch[0] ^= 1;
    assert_int_equal(fixture_open(f), FIXTURE_HOLES);
    fixture_set_base(f, 2, false); /* below it: it stays */
    wal_report(f->wal, &report);
    assert_int_equal(report.hole_count, 1);
    fixture_idle(f);
    fixture_set_base(f, 4, false);
    wal_report(f->wal, &report);
    assert_int_equal(report.hole_count, 0);
    fixture_idle(f);
    disk_sim_power_cut(f->disk);
    assert_int_equal(fixture_open(f), 0);
    fixture_delete(f);
}

/* Entries of `term`, the last one a CONFIG, told to a log whose hard state is of `hard_term`; waits until
 * they are durable. The header checksum of the last one. */
static uint32_t append_entries(struct fixture *f, raft_index first, raft_index last, raft_term term,
                               raft_term hard_term, uint32_t chain)
{
    static uint8_t bytes[FIXTURE_BATCH_BYTES];
    static const uint8_t payload[16] = {7};
    struct wal_step step = {.seq = ++f->seq,
                            .term = hard_term,
                            .commit = 1,
                            .first = first,
                            .last = last,
                            .bytes = bytes};

    for (raft_index index = first; index <= last; index++) {
        const struct record_spec spec = {
            .type = index == last ? RECORD_CONFIG : RECORD_COMMAND,
            .cluster = FIXTURE_CLUSTER,
            .index = index,
            .term = term,
            .chain = chain,
            .payload = payload,
            .payload_bytes = sizeof payload,
        };
        chain = record_encode(&spec, bytes + step.length);
        step.length += record_bytes(sizeof payload);
    }
    while (wal_append(f->wal, &step) != 0)
        fixture_turn(f, 100 * 1000);
    while (wal_durable(f->wal) < step.seq)
        fixture_turn(f, 100 * 1000);
    return chain;
}

/* A leader of an older term than the entries that it replaces, in the batch that is lost: what was replaced
 * can't be read any more by the terms that the log has, and its configurations are nobody's. */
static void configuration_that_was_replaced_in_a_hole(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(18);

    assert_int_equal(fixture_open(f), 0);
    const uint32_t common = append_entries(f, 1, 1, 1, 1, 0);
    (void)append_entries(f, 2, 3, 5, 5, common);
    const uint32_t replaced = append_entries(f, 2, 4, 4, 6, common);
    (void)append_entries(f, 5, 5, 4, 6, replaced);
    fixture_idle(f);
    disk_sim_power_cut(f->disk);
    uint8_t *const batch = fixture_batch(f, 4);
    batch[0] ^= 1;
    const int result = fixture_try_open(f);
    if (result != FIXTURE_HOLES)
        fail_msg("%d %s", result, f->error);
    assert_int_equal(f->recovered.last, 5);
    assert_int_equal(f->recovered.config_count, 2);
    assert_int_equal(f->recovered.config[0].index, 1);
    assert_int_equal(f->recovered.config[1].index, 5);
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
        cmocka_unit_test(hole_is_cut_and_filled_by_another_history),
        cmocka_unit_test(configuration_that_was_replaced_in_a_hole),
        cmocka_unit_test(bad_batch_above_the_mark_is_cut),
        cmocka_unit_test(damage_is_told_by_entries),
        cmocka_unit_test(rot_below_a_running_log_is_not_served),
        cmocka_unit_test(damaged_header_of_the_newest_segment),
        cmocka_unit_test(damaged_copy_without_a_mark),
        cmocka_unit_test(damage_in_front_of_a_recovery_is_a_hole),
        cmocka_unit_test(damage_that_reaches_beyond_the_mark),
        cmocka_unit_test(base_above_a_hole_closes_it),
        cmocka_unit_test(batch_of_another_predecessor_is_not_taken),
        cmocka_unit_test(batch_is_bound_to_its_place),
        cmocka_unit_test(files_from_elsewhere_are_refused),
        cmocka_unit_test(read_error_is_tried_by_sector),
        cmocka_unit_test(lie_of_a_moment_is_no_damage),
        cmocka_unit_test(unreadable_sector_is_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
