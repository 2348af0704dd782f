/* tests/power/wal_driver.c: the log and the snapshots that ship, on a real file system, saying what they
 *                           promise.
 *
 *     wal-driver init DIR             a superblock; prints "init" when it is durable
 *     wal-driver run DIR [options]    one life: recover, verify, append, until killed or done
 *
 * A life prints a line at a time, each when it is true:
 *
 *     boot B direct D    the boot number is durable; D tells whether files are opened O_DIRECT
 *     found N            the recovered log is the state after step N of the seed, each record too, and
 *                        each chunk of the snapshot that it names
 *     ack N              step N is durable
 *     full, room         no segment can be prepared or no snapshot written, and one is again
 *     done               --steps are taken, all of them durable
 *
 * Whoever reads the pipe knows what was promised, whatever happens to this process; the next life is
 * told by --acked and --boot and must find no less. With --mark each of these promises is also put as
 * a mark into the log of a dm-log-writes device, in its order among the writes.
 *
 * Exit code: 0 done; 1 something promised is lost or not as written; 2 command line; 3 refused to
 * start; 70 a write or flush failed, as for the node.
 */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "base/planted.h"
#include "base/prng.h"
#include "persist/disk_uring.h"
#include "tests/power/life.h"
#include "tests/power/promise.h"

enum { BURST_MAX = 8 };

#define IDLE_NS (2 * WAL_IDLE_MARK_NS)

static int command_init(struct life *l)
{
    const struct superblock fresh = {
        .cluster = HISTORY_CLUSTER, .incarnation = HISTORY_INCARNATION, .node = HISTORY_NODE};

    life_open_disk(l);
    const int result = superblock_format(l->disk, l->sector, &fresh);
    if (result != 0) {
        say("refused: no superblock: %s", strerror(-result));
        return EXIT_REFUSED;
    }
    disk_uring_close(l->disk);
    promise(l->o.mark, "boot", 0);
    promise(l->o.mark, "ack", 0);
    say("init");
    return 0;
}

static void load(struct life *l)
{
    struct prng prng; /* of how the steps are handed over, not of what they are */

    prng_seed(&prng, hash_u64(l->o.seed, l->superblock.boot));
    for (uint64_t taken = 0; taken < l->o.steps;) {
        for (uint64_t burst = prng_between(&prng, 1, BURST_MAX); burst > 0 && taken < l->o.steps;
             burst--, taken++)
            life_take_step(l);
        const uint64_t then = prng_below(&prng, 32);
        if (then < 16)
            life_settle(l); /* else the next batches pile up behind the flush */
        else
            life_poll(l);
        /* Now and then silent for so long that the idle mark is written. */
        for (const uint64_t until_ns = life_now_ns() + IDLE_NS;
             then == 0 && life_now_ns() < until_ns;)
            life_poll(l);
    }
    life_settle(l);
}

static int command_run(struct life *l)
{
    life_open_disk(l);
    life_take_boot(l);
    l->history = history_new(l->o.seed, !l->o.no_snapshots);
    life_open_log(l);
    const int enabled = disk_uring_enable(l->disk);
    if (enabled != 0) {
        say("refused: the ring can't be enabled: %s", strerror(-enabled));
        return EXIT_REFUSED;
    }
    life_verify(l);
    load(l);
    say("done");
    life_close(l);
    return 0;
}

static uint64_t number(const char *text)
{
    return strtoull(text, NULL, 10);
}

/* False: an option that is not known, or a planted bug in a build without them. */
static bool parse(int argc, char **argv, struct life_options *o)
{
    static const struct option known[] = {
        {"seed", required_argument, NULL, 's'},        {"acked", required_argument, NULL, 'a'},
        {"boot", required_argument, NULL, 'b'},        {"steps", required_argument, NULL, 'n'},
        {"mark", required_argument, NULL, 'm'},        {"flights", required_argument, NULL, 'f'},
        {"segment-kib", required_argument, NULL, 'k'}, {"bug", required_argument, NULL, 'p'},
        {"buffered", no_argument, NULL, 'B'},          {"fsync", no_argument, NULL, 'F'},
        {"no-snapshots", no_argument, NULL, 'N'},      {NULL, 0, NULL, 0},
    };
    int option;

    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (option) {
        case 's':
            o->seed = number(optarg);
            break;
        case 'a':
            o->acked = number(optarg);
            break;
        case 'b':
            o->boot = (uint32_t)number(optarg);
            break;
        case 'n':
            o->steps = number(optarg);
            break;
        case 'm':
            o->mark = optarg;
            break;
        case 'f':
            o->flights = (uint32_t)number(optarg);
            break;
        case 'k':
            o->segment_kib = (uint32_t)number(optarg);
            break;
        case 'p':
            if (!PLANTED_BUILD || !planted_choose(optarg))
                return false;
            break;
        case 'B':
            o->buffered = true;
            break;
        case 'F':
            o->sync_by_fsync = true;
            break;
        case 'N':
            o->no_snapshots = true;
            break;
        default:
            return false;
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    static struct life l = {
        .o = {.seed = 1, .steps = UINT64_MAX, .flights = 1, .segment_kib = 512}};

    if (!parse(argc, argv, &l.o) || argc != optind + 2) {
        say("usage: wal-driver init|run DIR [options]; see the head of tests/power/wal_driver.c");
        return EXIT_COMMAND_LINE;
    }
    l.o.directory = argv[optind + 1];
    if (strcmp(argv[optind], "init") == 0)
        return command_init(&l);
    if (strcmp(argv[optind], "run") == 0)
        return command_run(&l);
    say("unknown command %s; allowed: init, run", argv[optind]);
    return EXIT_COMMAND_LINE;
}
