/* tests/crash/main.c: skiff-crash: images of crashes by the million, each told by its number.
 *
 * Goal       No crash at any point loses what was reported durable, makes recovery refuse, or brings
 *            back a vote, an entry or a configuration that was not there.
 * Numbers    Image N belongs to workload shape N % WORKLOAD_SHAPES and is number N / WORKLOAD_SHAPES
 *            among its images: each variant of the shape has its images (all points, all crashes) once
 *            plain and once deep, in a permuted order, so that a few already are from everywhere.
 *            Variants follow one another for ever.
 * Failure    The image, what is wrong, and the line that replays it; exit status 1. skiff-crash-planted
 *            takes --bug NAME and must find it: then it is the other way round.
 */
#include "base/assert.h"
#include "base/planted.h"
#include "tests/crash/failing.h"
#include "tests/crash/image.h"
#include "tests/crash/workload.h"

#include <getopt.h>
#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    STRIDE = 1000003, /* prime, and larger than the images of a variant: permutes them */
    HEAP_KEPT_BYTES = 32 << 20,
    PROGRESS_IMAGES = 1024,
    BUG_SLICE_IMAGES = 1000,
};

struct arguments {
    uint64_t images;
    uint64_t first;
    uint64_t failing; /* calls that fail: workloads; 0: images, and with a bug both */
    const char *bug;
};

struct run {
    const struct arguments *arguments;
    struct fixture *scratch;
    uint64_t images, deep, points;
    uint32_t *slot; /* images wanted of one variant: place in the order + 1; 0: not wanted */
    uint32_t slot_count;
};

/* For the handler of SIGABRT. */
static struct {
    uint64_t number;
    bool failing;
    const char *bug;
} running;

static double cpu_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void print_replay(FILE *out)
{
    fprintf(out, "replay: build/%s ", running.bug != NULL ? "skiff-crash-planted" : "skiff-crash");
    if (running.failing)
        fprintf(out, "--failing 1 --first %" PRIu64, running.number);
    else
        fprintf(out, "--images 1 --first %" PRIu64, running.number);
    fprintf(out, running.bug != NULL ? " --bug %s\n" : "\n", running.bug);
}

static void on_abort(int signal_number)
{
    (void)signal_number;
    fflush(stdout);
    fprintf(stderr, "%s %" PRIu64 " failed: assertion\n", running.failing ? "workload" : "image",
            running.number);
    print_replay(stderr);
    if (running.bug != NULL) {
        printf("%s: found at %" PRIu64 " by an assertion\n", running.bug, running.number);
        fflush(stdout);
        _exit(0);
    }
    _exit(1);
}

static bool failed(const char *what, const char *error)
{
    printf("%s %" PRIu64 " failed: workload \"%s\": %s\n", running.failing ? "workload" : "image",
           running.number, what, error);
    print_replay(stdout);
    if (running.bug != NULL)
        printf("%s: found at %" PRIu64 "\n", running.bug, running.number);
    return false;
}

/* Images of a variant, plain ones: how many there are at all its points. */
static uint64_t count_variant(uint32_t shape, uint64_t variant)
{
    struct workload *w = workload_new(shape, variant);
    uint64_t count = 0;

    if (w == NULL)
        return 1; /* check_variant() will meet it and say so */
    while (workload_next(w))
        count += image_count(w->f);
    workload_delete(w);
    return count;
}

static void print_progress(const struct run *run)
{
    if (run->images % PROGRESS_IMAGES != 0 || !isatty(STDOUT_FILENO))
        return;
    printf("\r%" PRIu64 " of %" PRIu64 " images, %.0f/s a core ", run->images,
           run->arguments->images, (double)run->images / cpu_seconds());
    fflush(stdout);
}

/* The images at one point that are wanted. `base`: plain images of the variant before this point. */
static bool check_point(struct run *run, const struct workload *w, uint32_t shape, uint64_t base,
                        uint64_t order_first)
{
    const uint32_t count = image_count(w->f);

    run->points++;
    for (uint64_t i = 2 * base; i < 2 * (base + count); i++) {
        const uint32_t slot = run->slot[i];
        if (slot == 0)
            continue;
        running.number = (order_first + slot - 1) * WORKLOAD_SHAPES + shape;
        const struct image image = {
            .index = (uint32_t)(i / 2 - base), .deep = i % 2 == 1, .number = running.number};
        if (image_check(w->f, run->scratch, &image) != 0)
            return failed(workload_name(shape), run->scratch->error);
        run->images++;
        run->deep += image.deep;
        print_progress(run);
    }
    return true;
}

/* Where the image of this place in the order stands among all of the variant. */
static uint64_t permute(uint64_t place, uint64_t total)
{
    return place * STRIDE % total;
}

static void want(struct run *run, uint64_t total, uint64_t from, uint64_t to)
{
    if (total > run->slot_count) {
        free(run->slot);
        run->slot = malloc(total * sizeof run->slot[0]);
        run->slot_count = (uint32_t)total;
    }
    ASSERT(run->slot != NULL);
    memset(run->slot, 0, total * sizeof run->slot[0]);
    for (uint64_t place = from; place < to; place++)
        run->slot[permute(place, total)] = (uint32_t)place + 1;
}

/* Places [from, to) in the order of a variant that begins at `order_first` in that of its shape. */
static bool check_variant(struct run *run, uint32_t shape, uint64_t variant, uint64_t order_first)
{
    struct workload *w = workload_new(shape, variant);
    uint64_t base = 0;
    bool good = true;

    if (w == NULL) {
        running.number = order_first * WORKLOAD_SHAPES + shape;
        return failed(workload_name(shape), "the first start");
    }
    while (good && workload_next(w)) {
        good = check_point(run, w, shape, base, order_first);
        base += image_count(w->f);
    }
    /* The last life of a workload ends by its own will; a start between two that failed is a find. */
    if (good && w->lives_left > 0) {
        running.number = order_first * WORKLOAD_SHAPES + shape;
        good = failed(workload_name(shape),
                      wal_failed(w->f->wal) != 0 ? "the log stopped by itself" : w->f->error);
    }
    workload_delete(w);
    return good;
}

/* The images [first, end_image) that belong to one shape. */
static bool check_shape(struct run *run, uint32_t shape, uint64_t first, uint64_t end_image)
{
    const uint64_t from = (first + WORKLOAD_SHAPES - 1 - shape) / WORKLOAD_SHAPES;
    const uint64_t to = (end_image + WORKLOAD_SHAPES - 1 - shape) / WORKLOAD_SHAPES;
    uint64_t begin = 0;

    for (uint64_t variant = 0; from < to && begin < to; variant++) {
        const uint64_t total = 2 * count_variant(shape, variant);
        const uint64_t end = begin + total;
        if (end > from) {
            want(run, total, from > begin ? from - begin : 0, (to < end ? to : end) - begin);
            if (!check_variant(run, shape, variant, begin))
                return false;
        }
        begin = end;
    }
    return true;
}

/* Shape by shape, since that is quick. For a bug a few of all shapes first, then twice as many, so that
 * the number by which it is found says how rare it is, not how late its shape comes. */
static bool check_images(struct run *run)
{
    const struct arguments *a = run->arguments;
    const uint64_t end = a->first + a->images;
    uint64_t slice = a->bug != NULL ? BUG_SLICE_IMAGES : a->images;
    uint64_t first = a->first;

    while (first < end) {
        const uint64_t slice_end = slice < end - first ? first + slice : end;
        for (uint32_t shape = 0; shape < WORKLOAD_SHAPES; shape++) {
            if (!check_shape(run, shape, first, slice_end))
                return false;
        }
        first = slice_end;
        slice *= 2;
    }
    return true;
}

static bool check_failing(const struct arguments *a)
{
    struct failing_counters counters = {0};

    running.failing = true;
    for (uint64_t i = a->first; i < a->first + a->failing; i++) {
        char error[FAILING_ERROR_BYTES];
        running.number = i;
        if (failing_check((uint32_t)(i % WORKLOAD_SHAPES), i / WORKLOAD_SHAPES, &counters, error) !=
            0)
            return failed(workload_name((uint32_t)(i % WORKLOAD_SHAPES)), error);
    }
    printf("%" PRIu64 " workloads, %" PRIu64 " runs with a call that fails: %" PRIu64
           " logs stopped, %" PRIu64 " starts refused, %" PRIu64 " went on\n",
           a->failing, counters.runs, counters.stopped, counters.refused, counters.went_on);
    return true;
}

static void usage(const char *name)
{
    fprintf(
        stderr,
        "usage: %s [--images N] [--first S] [--failing N] [--bug NAME]\n"
        "  --images N   how many crash images (default 20000)\n"
        "  --first S    the first of them (default 0)\n"
        "  --failing N  not images: in N workloads from S on each call to the disk fails in turn\n"
        "  --bug NAME   only skiff-crash-planted: 0 if the bug is found, 1 if not\n",
        name);
}

static bool parse_number(const char *text, uint64_t *out)
{
    char *end;

    *out = strtoull(text, &end, 10);
    return *text != '\0' && *end == '\0';
}

static bool parse_arguments(int argc, char **argv, struct arguments *a)
{
    static const struct option options[] = {
        {"images", required_argument, NULL, 'i'},
        {"first", required_argument, NULL, 'f'},
        {"failing", required_argument, NULL, 'c'},
        {"bug", required_argument, NULL, 'b'},
        {NULL, 0, NULL, 0},
    };
    bool good = true;
    int option;

    *a = (struct arguments){.images = 20000};
    while (good && (option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'i')
            good = parse_number(optarg, &a->images);
        else if (option == 'f')
            good = parse_number(optarg, &a->first);
        else if (option == 'c')
            good = parse_number(optarg, &a->failing);
        else if (option == 'b')
            a->bug = optarg;
        else
            good = false;
    }
    return good && optind == argc;
}

int main(int argc, char **argv)
{
    struct arguments arguments;
    struct run run = {.arguments = &arguments};

    if (!parse_arguments(argc, argv, &arguments)) {
        usage(argv[0]);
        return 2;
    }
    if (arguments.bug != NULL && (!PLANTED_BUILD || !planted_choose(arguments.bug))) {
        fprintf(stderr, "there is no planted bug named %s in this build\n", arguments.bug);
        return 2;
    }
    mallopt(M_MMAP_THRESHOLD, HEAP_KEPT_BYTES);
    mallopt(M_TRIM_THRESHOLD, INT32_MAX);
    running.bug = arguments.bug;
    signal(SIGABRT, on_abort);
    run.scratch = fixture_new(1);
    bool passed = true;
    if (arguments.failing == 0) {
        passed = check_images(&run);
        printf("%" PRIu64 " images, %" PRIu64 " with a second crash, %" PRIu64
               " points, %.0f images/s a core\n",
               run.images, run.deep, run.points, (double)run.images / cpu_seconds());
        /* Some bugs show only when a call fails. */
        arguments.failing = arguments.bug != NULL ? WORKLOAD_SHAPES : 0;
    }
    if (passed && arguments.failing != 0)
        passed = check_failing(&arguments);
    if (arguments.bug != NULL && passed)
        printf("%s: not found\n", arguments.bug);
    fixture_delete(run.scratch);
    free(run.slot);
    return passed == (arguments.bug == NULL) ? 0 : 1;
}
