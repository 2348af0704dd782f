/* tests/power/wal_driver.c: the log that ships, on a real file system, saying what it promises.
 *
 *     wal-driver init DIR             a superblock; prints "init" when it is durable
 *     wal-driver run DIR [options]    one life: recover, verify, append, until killed or done
 *
 * A life prints a line at a time, each when it is true:
 *
 *     boot B direct D    the boot number is durable; D tells whether files are opened O_DIRECT
 *     found N            the recovered log is the state after step N of the seed, each record too
 *     ack N              step N is durable
 *     full, room         no segment can be prepared, and one is again
 *     done               --steps are taken, all of them durable
 *
 * Whoever reads the pipe knows what was promised, whatever happens to this process; the next life is
 * told by --acked and --boot and must find no less. With --mark each of these promises is also put as
 * a mark into the log of a dm-log-writes device, in its order among the writes.
 *
 * Exit code: 0 done; 1 something promised is lost or not as written; 2 command line; 3 refused to
 * start; 70 a write or flush failed, as for the node.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/planted.h"
#include "base/prng.h"
#include "base/record.h"
#include "persist/disk_uring.h"
#include "persist/superblock.h"
#include "persist/share.h"
#include "persist/wal.h"
#include "tests/power/dm_mark.h"
#include "tests/power/history.h"

enum {
    EXIT_LOST = 1,
    EXIT_COMMAND_LINE = 2,
    EXIT_REFUSED = 3,
    EXIT_FAILED = 70,
    /* A life never gets further than this ahead of what it has acknowledged. */
    AHEAD_MAX = 100000,
    BURST_MAX = 8,
    READ_BYTES = 64 * 1024,
};

#define FULL_AFTER_NS (500 * 1000 * 1000ull)
#define IDLE_NS       (2 * WAL_IDLE_MARK_NS)

struct options {
    const char *directory;
    const char *mark; /* name of a dm-log-writes device */
    uint64_t seed;
    uint64_t acked;
    uint64_t steps; /* to take in this life */
    uint32_t boot;  /* acknowledged */
    uint32_t flights;
    uint32_t segment_kib;
    bool buffered;
    bool sync_by_fsync;
};

struct life {
    struct options o;
    struct disk *disk;
    struct superblock superblock;
    uint8_t *sector;
    struct wal_options wal_options;
    void *memory;
    struct wal *wal;
    struct wal_recovered found;
    struct history *history;
    uint64_t found_step;
    uint64_t acked;
    struct prng prng; /* of how the steps are handed over, not of what they are */
    uint64_t refused_since_ns;
    bool full; /* as last said */
};

static uint64_t now_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* One line, written at once: nothing may stay in a buffer of a process that will be killed. */
static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *format, ...)
{
    char line[512];
    va_list arguments;

    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line - 1, format, arguments);
    va_end(arguments);
    if (length > (int)sizeof line - 2)
        length = (int)sizeof line - 2;
    line[length] = '\n';
    if (write(STDOUT_FILENO, line, (size_t)length + 1) < 0)
        exit(EXIT_COMMAND_LINE); /* nobody listens */
}

static void promise(const struct life *l, const char *what, uint64_t number)
{
    char text[64];

    (void)snprintf(text, sizeof text, "%s=%" PRIu64, what, number);
    if (l->o.mark != NULL && dm_mark(l->o.mark, text) != 0) {
        say("no mark: %s", strerror(errno));
        exit(EXIT_COMMAND_LINE);
    }
}

static void open_disk(struct life *l)
{
    const struct disk_uring_options options = {.buffered = l->o.buffered};
    char error[256];

    l->sector = aligned_alloc(DISK_SECTOR, DISK_SECTOR);
    if (disk_uring_open(l->o.directory, &options, &l->disk, error, sizeof error) != 0) {
        say("refused: %s", error);
        exit(EXIT_REFUSED);
    }
}

static int command_init(struct life *l)
{
    const struct superblock fresh = {
        .cluster = HISTORY_CLUSTER, .incarnation = HISTORY_INCARNATION, .node = HISTORY_NODE};

    open_disk(l);
    const int result = superblock_format(l->disk, l->sector, &fresh);
    if (result != 0) {
        say("refused: no superblock: %s", strerror(-result));
        return EXIT_REFUSED;
    }
    disk_uring_close(l->disk);
    promise(l, "boot", 0);
    promise(l, "ack", 0);
    say("init");
    return 0;
}

static void take_boot(struct life *l)
{
    int result = superblock_read(l->disk, l->sector, &l->superblock);

    if (result == 0 && l->superblock.boot < l->o.boot) {
        say("LOST: boot %" PRIu32 " was taken, the superblock has %" PRIu32, l->o.boot,
            l->superblock.boot);
        exit(EXIT_LOST);
    }
    if (result == 0)
        result = superblock_boot(l->disk, l->sector, &l->superblock);
    if (result != 0) {
        say("refused: superblock: %s", strerror(-result));
        exit(EXIT_REFUSED);
    }
    promise(l, "boot", l->superblock.boot);
    say("boot %" PRIu32 " direct %d", l->superblock.boot, disk_uring_is_direct(l->disk));
}

static void open_log(struct life *l)
{
    l->wal_options = (struct wal_options){
        .cluster = HISTORY_CLUSTER,
        .incarnation = HISTORY_INCARNATION,
        .segment_bytes = (uint64_t)l->o.segment_kib << 10,
        .batch_bytes = HISTORY_BATCH_BYTES,
        .boot = l->superblock.boot,
        .node = HISTORY_NODE,
        .buffer_count = 4,
        .segments_ahead = WAL_AHEAD_DEFAULT,
        .spares_max = WAL_SPARES_DEFAULT,
        .zeros_bytes = WAL_ZEROS_BYTES_DEFAULT,
        .share_percent = SHARE_PERCENT_DEFAULT,
        .flights = l->o.flights,
        .sync_by_fsync = l->o.sync_by_fsync,
    };
    const size_t bytes = (wal_bytes(&l->wal_options) + DISK_SECTOR - 1) / DISK_SECTOR * DISK_SECTOR;

    l->memory = aligned_alloc(DISK_SECTOR, bytes);
    ASSERT(l->memory != NULL);
    if (wal_open(&l->wal, l->memory, l->disk, &l->wal_options, &l->found) != 0) {
        say("refused: %s", l->found.refusal);
        exit(EXIT_REFUSED);
    }
}

static bool records_match(struct life *l, raft_index first, raft_index last, raft_term term)
{
    static uint8_t bytes[READ_BYTES];

    while (first <= last) {
        struct wal_read read = {
            .first = first, .last = last, .term = term, .bytes = bytes, .size = sizeof bytes};
        if (wal_read_begin(l->wal, &read) != 0)
            return false;
        while (!wal_read_poll(l->wal))
            (void)wal_poll(l->wal, now_ns());
        if (read.result != 0 || read.count == 0)
            return false;
        for (uint32_t at = 0; at < read.length; first++) {
            const struct record_header *record = record_at(bytes + at);
            if (record->index != first || !history_has(l->history, record, read.length - at))
                return false;
            at += record_bytes(record->payload_bytes);
        }
    }
    return true;
}

/* The state that was found is one that may be, and every record of it can be read back. */
static void verify(struct life *l)
{
    const struct wal_recovered *f = &l->found;
    struct wal_step step;

    while (history_step(l->history) < l->o.acked ||
           (!history_matches(l->history, f) && history_step(l->history) < l->o.acked + AHEAD_MAX))
        history_next(l->history, &step);
    if (f->faulty_first != 0 || !history_matches(l->history, f)) {
        say("LOST: step %" PRIu64 " was acknowledged; found: last %" PRIu64 " term %" PRIu64
            " vote %u commit %" PRIu64 " faulty from %" PRIu64,
            l->o.acked, f->last, f->term, f->vote, f->commit, f->faulty_first);
        exit(EXIT_LOST);
    }
    for (uint32_t run = 0; run < f->run_count; run++) {
        const raft_index end = run + 1 < f->run_count ? f->run_first[run + 1] - 1 : f->last;
        if (!records_match(l, f->run_first[run], end, f->run_term[run])) {
            say("LOST: a record in %" PRIu64 "..%" PRIu64 " is not as it was written",
                f->run_first[run], end);
            exit(EXIT_LOST);
        }
    }
    l->found_step = history_step(l->history);
    l->acked = l->found_step;
    /* What recovery reports is durable. */
    promise(l, "ack", l->acked);
    say("found %" PRIu64, l->found_step);
}

static raft_seq seq_of(const struct life *l, uint64_t step)
{
    return ((raft_seq)l->superblock.boot << RAFT_SEQ_COUNTER_BITS) + (step - l->found_step);
}

static void poll_log(struct life *l)
{
    if (wal_poll(l->wal, now_ns()) == 0)
        (void)sched_yield();
    if (wal_failed(l->wal) != 0) {
        say("failed: %s", strerror(-wal_failed(l->wal)));
        exit(EXIT_FAILED);
    }
    const raft_seq durable = wal_durable(l->wal);
    if (durable <= seq_of(l, l->acked))
        return;
    l->acked = l->found_step + (durable - seq_of(l, l->found_step));
    ASSERT(l->acked <= history_step(l->history));
    promise(l, "ack", l->acked);
    say("ack %" PRIu64, l->acked);
}

static void watch_room(struct life *l, int refusal)
{
    if (refusal != -ENOSPC) {
        l->refused_since_ns = 0;
        if (l->full && refusal == 0) {
            l->full = false;
            say("room");
        }
        return;
    }
    if (l->refused_since_ns == 0)
        l->refused_since_ns = now_ns();
    if (!l->full && now_ns() - l->refused_since_ns > FULL_AFTER_NS) {
        l->full = true;
        say("full");
    }
}

static void take_step(struct life *l)
{
    struct wal_step step;
    int refusal;

    history_next(l->history, &step);
    step.seq = seq_of(l, history_step(l->history));
    while ((refusal = wal_append(l->wal, &step)) != 0) {
        watch_room(l, refusal);
        poll_log(l);
    }
    watch_room(l, 0);
}

static void settle(struct life *l)
{
    while (l->acked < history_step(l->history))
        poll_log(l);
}

static void load(struct life *l)
{
    for (uint64_t taken = 0; taken < l->o.steps;) {
        for (uint64_t burst = prng_between(&l->prng, 1, BURST_MAX); burst > 0 && taken < l->o.steps;
             burst--, taken++)
            take_step(l);
        const uint64_t then = prng_below(&l->prng, 32);
        if (then < 16)
            settle(l); /* else the next batches pile up behind the flush */
        else
            poll_log(l);
        /* Now and then silent for so long that the idle mark is written. */
        for (const uint64_t until_ns = now_ns() + IDLE_NS; then == 0 && now_ns() < until_ns;)
            poll_log(l);
    }
    settle(l);
}

static int command_run(struct life *l)
{
    open_disk(l);
    take_boot(l);
    l->history = history_new(l->o.seed);
    prng_seed(&l->prng, hash_u64(l->o.seed, l->superblock.boot));
    open_log(l);
    const int enabled = disk_uring_enable(l->disk);
    if (enabled != 0) {
        say("refused: the ring can't be enabled: %s", strerror(-enabled));
        return EXIT_REFUSED;
    }
    verify(l);
    load(l);
    say("done");
    disk_uring_close(l->disk);
    history_delete(l->history);
    free(l->memory);
    free(l->sector);
    return 0;
}

static uint64_t number(const char *text)
{
    return strtoull(text, NULL, 10);
}

/* False: an option that is not known, or a planted bug in a build without them. */
static bool parse(int argc, char **argv, struct options *o)
{
    static const struct option known[] = {
        {"seed", required_argument, NULL, 's'},
        {"acked", required_argument, NULL, 'a'},
        {"boot", required_argument, NULL, 'b'},
        {"steps", required_argument, NULL, 'n'},
        {"mark", required_argument, NULL, 'm'},
        {"flights", required_argument, NULL, 'f'},
        {"segment-kib", required_argument, NULL, 'k'},
        {"bug", required_argument, NULL, 'p'},
        {"buffered", no_argument, NULL, 'B'},
        {"fsync", no_argument, NULL, 'F'},
        {NULL, 0, NULL, 0},
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
