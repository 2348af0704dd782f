/* tests/crash/image.c: see image.h. */
#include "tests/crash/image.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { TEARS_PER_WRITE = DISK_SIM_TEARS * IMAGE_TEARS };

static uint32_t subset_count(uint32_t unstable)
{
    return 1u << (unstable < IMAGE_SUBSET_MAX ? unstable : IMAGE_SUBSET_MAX);
}

static uint32_t write_count(const uint32_t *pieces, uint32_t unstable)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < unstable; i++)
        count += pieces[i] > 0;
    return count;
}

uint32_t image_count(const struct fixture *f)
{
    uint32_t pieces[DISK_SIM_UNSTABLE_MAX];
    const uint32_t unstable = disk_sim_unstable(f->disk, pieces);

    return subset_count(unstable) + TEARS_PER_WRITE * write_count(pieces, unstable) + IMAGE_KILLS;
}

/* None, all, or any of them: the extremes are drawn often. */
static uint64_t draw_survivors(struct prng *prng)
{
    switch (prng_below(prng, 4)) {
    case 0:
        return 0;
    case 1:
        return UINT64_MAX;
    default:
        return prng_next(prng);
    }
}

/* Tear `tear` of all there are among these writes. */
static struct disk_sim_cut torn_cut(uint32_t tear, const uint32_t *pieces, struct prng *prng)
{
    uint32_t write = tear / TEARS_PER_WRITE;
    uint32_t torn = 0;

    while (pieces[torn] == 0 || write > 0)
        write -= pieces[torn++] > 0;
    struct disk_sim_cut cut = {
        .survivors = draw_survivors(prng) & ~(1ull << torn),
        .torn = torn,
        .shape = (enum disk_sim_tear)(tear / IMAGE_TEARS % DISK_SIM_TEARS),
        .piece = (uint32_t)prng_below(prng, pieces[torn]),
    };
    return cut;
}

/* The first crash, as the index says; `what` tells it. */
static void crash_first(struct fixture *c, const struct image *image, char *what, size_t what_bytes)
{
    uint32_t pieces[DISK_SIM_UNSTABLE_MAX];
    const uint32_t unstable = disk_sim_unstable(c->disk, pieces);
    const uint32_t subsets = subset_count(unstable);
    const uint32_t tears = TEARS_PER_WRITE * write_count(pieces, unstable);
    struct disk_sim_cut cut = {.torn = DISK_SIM_UNTORN};

    if (image->index >= subsets + tears) {
        snprintf(what, what_bytes, "kill");
        disk_sim_kill(c->disk);
        return;
    }
    if (image->index >= subsets)
        cut = torn_cut(image->index - subsets, pieces, &c->prng);
    else
        cut.survivors = unstable <= IMAGE_SUBSET_MAX ? image->index : draw_survivors(&c->prng);
    snprintf(what, what_bytes, "power cut, of %u survive %llx, torn %d by shape %u at %u", unstable,
             (unsigned long long)cut.survivors, (int)cut.torn, cut.shape, cut.piece);
    disk_sim_power_cut_exact(c->disk, &cut);
}

/* Any crash. */
static void crash_again(struct fixture *c)
{
    uint32_t pieces[DISK_SIM_UNSTABLE_MAX];
    const uint32_t unstable = disk_sim_unstable(c->disk, pieces);
    const uint32_t writes = write_count(pieces, unstable);
    struct disk_sim_cut cut = {.survivors = draw_survivors(&c->prng), .torn = DISK_SIM_UNTORN};

    if (prng_below(&c->prng, 4) == 0) {
        disk_sim_kill(c->disk);
        return;
    }
    if (writes > 0 && prng_below(&c->prng, 2) == 0)
        cut = torn_cut((uint32_t)prng_below(&c->prng, (uint64_t)TEARS_PER_WRITE * writes), pieces,
                       &c->prng);
    disk_sim_power_cut_exact(c->disk, &cut);
}

static void go_on_a_little(struct fixture *c)
{
    const uint64_t turns = prng_below(&c->prng, 12);

    fixture_append_random(c);
    fixture_append_random(c);
    for (uint64_t i = 0; i < turns; i++)
        fixture_turn(c, 60 * 1000);
}

static int complain(struct fixture *c, int result, const char *what, const char *when)
{
    char error[sizeof c->error];

    if (result == 0)
        return 0;
    memcpy(error, c->error, sizeof error);
    snprintf(c->error, sizeof c->error, "%s%s: %.255s", what, when, error);
    return -1;
}

int image_check(const struct fixture *f, struct fixture *scratch, const struct image *image)
{
    struct fixture *c = scratch;
    char what[128];

    fixture_assign(c, f, hash_u64(image->number, image->index));
    disk_sim_fail(c->disk, &(struct disk_sim_fault){.nth = 0}); /* it has room again */
    crash_first(c, image, what, sizeof what);
    if (!image->deep)
        return complain(c, fixture_try_open(c), what, "");

    disk_sim_die_at(c->disk, 1 + (uint32_t)prng_below(&c->prng, IMAGE_DEPTH_MAX));
    const int opened = fixture_try_open(c);
    if (opened == -1) /* -1 is the fixture's: it opened and is not what it should be */
        return complain(c, opened, what, ", before the second crash");
    if (opened == 0)
        go_on_a_little(c);
    else if (opened != -EIO)
        return complain(c, opened, what, ", in an interrupted recovery");
    crash_again(c);
    const char *when = opened == 0 ? ", then another after going on" : ", then another in recovery";
    const int again = fixture_try_open(c);
    if (again != 0)
        return complain(c, again, what, when);
    /* What a start reports is durable: a power cut right now leaves it. */
    const struct disk_sim_cut nothing_more = {.torn = DISK_SIM_UNTORN};
    disk_sim_power_cut_exact(c->disk, &nothing_more);
    return complain(c, fixture_try_open(c), what, ", then two more");
}
