/* bench/disk/append_cost.c: the CPU that a record costs on its way into the log, the kernel left out.
 *
 * Goal       Under 100 ns for a record of 64 B in a batch of 256.
 * Method     The log that ships, over a disk of this file that completes each operation at once and
 *            writes nothing. One turn appends 256 records in one step, polls until they are durable, and
 *            so goes once through everything that persist does: copy, checksums of the records and of the
 *            header, places, padding, submission, completion. The thread's CPU time over many turns,
 *            divided by records; the median of several repetitions.
 * Apart      Encoding a record, which the leader does once and not persist, is reported for itself.
 * Left out   io_uring_enter, the device, and the making of segments. Batches go round one segment's
 *            buffer; the source of the records stays in the cache, as records that were just encoded do.
 *
 *     skiff-append-cost [--json]
 */
#include "base/assert.h"
#include "base/record.h"
#include "persist/wal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    RECORDS = 256, /* a batch */
    PAYLOAD_BYTES = 64,
    RECORD_BYTES = RECORD_HEADER_BYTES + PAYLOAD_BYTES,
    TURNS = 4000, /* a repetition */
    REPETITIONS = 15,
    BATCH_BYTES = 256 << 10,
    SEGMENT_BYTES = 64 << 20,
};

/* --- the disk: files without content */

struct disk {
    uint32_t done_count;
    struct disk_done done[DISK_OPS_MAX];
};

int disk_submit(struct disk *d, const struct disk_op *op)
{
    const bool has_length =
        op->kind != DISK_OP_SYNC && op->kind != DISK_OP_REMOVE && op->kind != DISK_OP_RENAME;

    if (d->done_count == DISK_OPS_MAX)
        return -1;
    d->done[d->done_count++] =
        (struct disk_done){.cookie = op->cookie, .result = has_length ? (int64_t)op->length : 0};
    return 0;
}

uint32_t disk_reap(struct disk *d, struct disk_done *done, uint32_t count)
{
    const uint32_t taken = d->done_count < count ? d->done_count : count;

    memcpy(done, d->done, taken * sizeof *done);
    memmove(d->done, d->done + taken, (d->done_count - taken) * sizeof *done);
    d->done_count -= taken;
    return taken;
}

struct disk_done disk_wait(struct disk *d)
{
    struct disk_done done;
    const uint32_t taken = disk_reap(d, &done, 1);

    ASSERT(taken == 1); /* all operations complete when they are submitted */
    return done;
}

void disk_send(struct disk *d)
{
    (void)d;
}

void disk_lend(struct disk *d, uint8_t *bytes, uint64_t length)
{
    (void)d;
    (void)bytes;
    (void)length;
}

int64_t disk_open(struct disk *d, const char *name, uint32_t slot)
{
    (void)d;
    (void)name;
    (void)slot;
    return -1; /* nothing is found at the start */
}

int64_t disk_list(struct disk *d, const char *prefix, char (*names)[DISK_NAME_BYTES],
                  uint32_t count)
{
    (void)d;
    (void)prefix;
    (void)names;
    (void)count;
    return 0;
}

uint32_t disk_in_flight(const struct disk *d)
{
    return d->done_count;
}

/* --- the turns */

struct cost {
    struct disk disk;
    struct wal *wal;
    raft_index last;
    uint32_t chain;
    raft_seq seq;
    uint64_t now_ns; /* the log's time: no clock is read */
    uint64_t cut_at_bytes;
    uint8_t records[RECORDS * RECORD_BYTES];
};

static double cpu_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void encode(struct cost *c)
{
    static const uint8_t payload[PAYLOAD_BYTES];

    for (uint32_t i = 0; i < RECORDS; i++) {
        const struct record_spec spec = {
            .type = RECORD_COMMAND,
            .cluster = 1,
            .index = c->last + 1 + i,
            .term = 1,
            .chain = c->chain,
            .payload = payload,
            .payload_bytes = PAYLOAD_BYTES,
        };
        c->chain = record_encode(&spec, c->records + (size_t)i * RECORD_BYTES);
    }
}

static void flush(struct cost *c)
{
    const struct wal_step step = {
        .seq = ++c->seq,
        .term = 1,
        .commit = c->last,
        .first = c->last + 1,
        .last = c->last + RECORDS,
        .bytes = c->records,
        .length = sizeof c->records,
    };

    while (wal_append(c->wal, &step) != 0)
        (void)wal_poll(c->wal, ++c->now_ns);
    while (wal_durable(c->wal) < step.seq)
        (void)wal_poll(c->wal, ++c->now_ns);
    c->last = step.last;
}

/* As after a snapshot, so that the table of segments does not fill up. Not in the figure. */
static void cut(struct cost *c)
{
    const struct wal_step step = {
        .seq = ++c->seq, .term = 1, .commit = c->last, .first = 1, .last = 0};
    const struct wal_base base = {
        .index = c->last, .term = 1, .chain = c->chain, .snapshot_index = c->last};

    while (wal_set_base(c->wal, &step, &base, false) != 0)
        (void)wal_poll(c->wal, ++c->now_ns);
    while (wal_durable(c->wal) < step.seq)
        (void)wal_poll(c->wal, ++c->now_ns);
    c->cut_at_bytes = wal_counters(c->wal)->bytes + SEGMENT_BYTES;
}

static void repeat(struct cost *c, double *encode_ns, double *append_ns)
{
    double encoding = 0;
    double appending = 0;

    for (uint32_t i = 0; i < TURNS; i++) {
        const double begin = cpu_ns();
        encode(c);
        const double middle = cpu_ns();
        flush(c);
        appending += cpu_ns() - middle;
        encoding += middle - begin;
        if (wal_counters(c->wal)->bytes >= c->cut_at_bytes)
            cut(c);
    }
    *encode_ns = encoding / TURNS / RECORDS;
    *append_ns = appending / TURNS / RECORDS;
}

static int ascending(const void *a, const void *b)
{
    const double left = *(const double *)a;
    const double right = *(const double *)b;

    return (left > right) - (left < right);
}

int main(int argc, char **argv)
{
    static struct cost c;
    struct wal_options options = wal_options_default();
    struct wal_recovered recovered;
    double encode_ns[REPETITIONS], append_ns[REPETITIONS];

    options.cluster = 1;
    options.incarnation = 1;
    options.boot = 1;
    options.node = 1;
    options.segment_bytes = SEGMENT_BYTES;
    options.batch_bytes = BATCH_BYTES;
    void *memory = aligned_alloc(DISK_SECTOR, wal_bytes(&options));
    if (memory == NULL || wal_open(&c.wal, memory, &c.disk, &options, &recovered) != 0) {
        fprintf(stderr, "skiff-append-cost: the log can't be opened\n");
        return 1;
    }
    c.seq = (raft_seq)options.boot << RAFT_SEQ_COUNTER_BITS;
    c.cut_at_bytes = SEGMENT_BYTES;
    for (uint32_t i = 0; i < REPETITIONS; i++)
        repeat(&c, &encode_ns[i], &append_ns[i]);
    qsort(encode_ns, REPETITIONS, sizeof encode_ns[0], ascending);
    qsort(append_ns, REPETITIONS, sizeof append_ns[0], ascending);
    const double append = append_ns[REPETITIONS / 2];
    const double encoding = encode_ns[REPETITIONS / 2];
    if (argc > 1 && strcmp(argv[1], "--json") == 0)
        printf("{\"append_ns\": %.1f, \"encode_ns\": %.1f}\n", append, encoding);
    else
        printf("a record of %d B in a batch of %d: %.1f ns to append, %.1f ns to encode before\n",
               PAYLOAD_BYTES, RECORDS, append, encoding);
    free(memory);
    return 0;
}
