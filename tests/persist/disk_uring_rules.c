/* Goal:   each rule about io_uring that others have paid for is kept by disk_uring.c and the log, on
 *         the kernel's own ring. docs/TESTING.md has the table of rules; what needs a crash to be
 *         seen is shown by the crash images.
 * Method: this program stands between disk_uring.c and the libraries: its own io_uring_submit(),
 *         statx(), fdatasync() and so on are found first. So a test sees every sqe before the kernel
 *         does, and can change it: another opcode, a shorter write, an old user_data.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dlfcn.h>
#include <errno.h>
#include <liburing.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/planted.h"
#include "persist/batch.h"
#include "persist/disk_uring.h"
#include "tests/persist/uring_bench.h"

enum {
    APPENDS = 200,
    NOTICED_MS = 5000,
    PENDING_MAX = 64,
    CALLS_MAX = 16,
};

/* A write that the kernel has taken and not completed, as far as the ring shows. */
struct pending {
    uint64_t user_data;
    int32_t file;
    const void *bytes;
    uint32_t length;
    uint32_t crc;
};

static struct {
    struct io_uring *ring;
    void (*change)(struct io_uring_sqe *sqe); /* NULL: leave it */
    bool watch;                               /* the writes below */
    uint32_t cq_seen;                         /* completions looked at */
    uint32_t pending_count;
    struct pending pending[PENDING_MAX];
    uint32_t fsyncs;           /* submitted while watching */
    uint32_t fsyncs_too_early; /* of a file, more flushes than writes that have completed */
    uint32_t writes;
    uint32_t file_writes[DISK_FILES_MAX], file_fsyncs[DISK_FILES_MAX]; /* while watching */
    uint32_t in_flight_most;                                           /* writes */
    uint32_t submits;      /* calls, whether watching or not */
    uint32_t reads;        /* likewise */
    uint32_t fixed, plain; /* reads and writes, by registered memory and without; likewise */
    uint32_t shortened;    /* batches */
    bool has_statx;        /* what statx() shall say about O_DIRECT */
    struct statx statx;
    const char *calls[CALLS_MAX]; /* what made a file durable, in order */
    uint32_t call_count;
} seam;

static void *next(const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);

    assert_non_null(found);
    return found;
}

static void note_call(const char *name)
{
    if (seam.call_count < CALLS_MAX)
        seam.calls[seam.call_count++] = name;
}

/* Forgets the writes whose completion stands in the ring; until then their bytes may not change. */
static void look_at_completions(struct io_uring *ring)
{
    const uint32_t tail = io_uring_smp_load_acquire(ring->cq.ktail);

    for (; seam.cq_seen != tail; seam.cq_seen++) {
        const uint64_t data = ring->cq.cqes[seam.cq_seen & ring->cq.ring_mask].user_data;
        for (uint32_t i = 0; i < seam.pending_count; i++) {
            if (seam.pending[i].user_data == data)
                seam.pending[i--] = seam.pending[--seam.pending_count];
        }
    }
}

static void check_bytes(void)
{
    for (uint32_t i = 0; i < seam.pending_count; i++) {
        const struct pending *p = &seam.pending[i];
        assert_int_equal(crc32c(0, p->bytes, p->length), p->crc);
    }
}

static bool is_write(const struct io_uring_sqe *sqe)
{
    return sqe->opcode == IORING_OP_WRITE || sqe->opcode == IORING_OP_WRITE_FIXED;
}

/* Each batch has one write and one flush; a segment has more writes than flushes, or a flush alone. */
static void watch_fsync(int32_t file)
{
    uint32_t completed = seam.file_writes[file];

    seam.fsyncs++;
    if (completed == 0)
        return;
    for (uint32_t i = 0; i < seam.pending_count; i++)
        completed -= seam.pending[i].file == file;
    seam.fsyncs_too_early += completed < ++seam.file_fsyncs[file];
}

static void watch_sqe(const struct io_uring_sqe *sqe)
{
    if (sqe->opcode == IORING_OP_FSYNC)
        watch_fsync(sqe->fd);
    if (!is_write(sqe))
        return;
    seam.file_writes[sqe->fd]++;
    struct pending *p = &seam.pending[seam.pending_count++];
    assert_true(seam.pending_count <= PENDING_MAX);
    seam.writes++;
    *p = (struct pending){.user_data = sqe->user_data,
                          .file = sqe->fd,
                          .bytes = (const void *)(uintptr_t)sqe->addr,
                          .length = sqe->len};
    p->crc = crc32c(0, p->bytes, p->length);
    if (seam.pending_count > seam.in_flight_most)
        seam.in_flight_most = seam.pending_count;
}

int io_uring_submit(struct io_uring *ring)
{
    int (*const submit)(struct io_uring *) = (int (*)(struct io_uring *))next("io_uring_submit");

    seam.ring = ring;
    seam.submits++;
    if (seam.watch) {
        look_at_completions(ring);
        check_bytes();
    }
    for (uint32_t i = ring->sq.sqe_head; i != ring->sq.sqe_tail; i++) {
        struct io_uring_sqe *sqe = &ring->sq.sqes[i & ring->sq.ring_mask];
        const bool fixed =
            sqe->opcode == IORING_OP_WRITE_FIXED || sqe->opcode == IORING_OP_READ_FIXED;
        seam.fixed += fixed;
        seam.reads += sqe->opcode == IORING_OP_READ || sqe->opcode == IORING_OP_READ_FIXED;
        seam.plain += !fixed && sqe->opcode != IORING_OP_FSYNC;
        if (seam.watch)
            watch_sqe(sqe);
        if (seam.change != NULL)
            seam.change(sqe);
    }
    return submit(ring);
}

int statx(int fd, const char *restrict path, int flags, unsigned mask, struct statx *restrict out)
{
    int (*const real)(int, const char *, int, unsigned, struct statx *) =
        (int (*)(int, const char *, int, unsigned, struct statx *))next("statx");
    const int result = real(fd, path, flags, mask, out);

    if (seam.has_statx) {
        out->stx_mask = seam.statx.stx_mask;
        out->stx_dio_mem_align = seam.statx.stx_dio_mem_align;
        out->stx_dio_offset_align = seam.statx.stx_dio_offset_align;
    }
    return result;
}

int fdatasync(int fd)
{
    int (*const real)(int) = (int (*)(int))next("fdatasync");

    note_call("fdatasync");
    return real(fd);
}

int fsync(int fd)
{
    int (*const real)(int) = (int (*)(int))next("fsync");
    struct stat s;

    assert_int_equal(fstat(fd, &s), 0);
    note_call(S_ISDIR(s.st_mode) ? "fsync directory" : "fsync");
    return real(fd);
}

int renameat(int from, const char *old_name, int to, const char *new_name)
{
    int (*const real)(int, const char *, int, const char *) =
        (int (*)(int, const char *, int, const char *))next("renameat");

    note_call("rename");
    return real(from, old_name, to, new_name);
}

static int reset(void **state)
{
    (void)state;
    memset(&seam, 0, sizeof seam);
    return 0;
}

/* --- the disk alone: one file of zeros in slot 0 */

enum { FILE_SECTORS = DISK_OPS_MAX };

struct bare {
    struct bench bench; /* its directory */
    struct disk *disk;
    uint8_t *bytes;
};

static void bare_open(struct bare *b)
{
    const struct disk_uring_options options = {0};
    const struct disk_op create = {
        .kind = DISK_OP_CREATE, .length = FILE_SECTORS * DISK_SECTOR, .name = "file"};
    char error[256];

    b->bench = bench_new();
    b->bytes = aligned_alloc(DISK_SECTOR, DISK_SECTOR);
    assert_non_null(b->bytes);
    memset(b->bytes, 1, DISK_SECTOR);
    assert_int_equal(disk_uring_open(b->bench.directory, &options, &b->disk, error, sizeof error),
                     0);
    assert_int_equal(disk_submit(b->disk, &create), 0);
    assert_int_equal(disk_wait(b->disk).result, FILE_SECTORS * DISK_SECTOR);
    assert_int_equal(disk_uring_enable(b->disk), 0);
}

static void bare_close(struct bare *b)
{
    disk_uring_close(b->disk);
    free(b->bytes);
    bench_remove(b->bench.directory);
}

static int bare_write(struct bare *b, uint64_t cookie)
{
    const struct disk_op op = {.kind = DISK_OP_WRITE,
                               .offset = cookie % FILE_SECTORS * DISK_SECTOR,
                               .bytes = b->bytes,
                               .length = DISK_SECTOR,
                               .cookie = cookie};
    const int result = disk_submit(b->disk, &op);

    disk_send(b->disk);
    return result;
}

static struct disk_done bare_wait(struct bare *b)
{
    const uint64_t limit = bench_now_ns() + BENCH_WAIT_MS * 1000000ull;
    struct disk_done done;

    while (disk_reap(b->disk, &done, 1) == 0)
        assert_true(bench_now_ns() < limit);
    return done;
}

static void to_openat(struct io_uring_sqe *sqe)
{
    sqe->opcode = IORING_OP_OPENAT;
}
static void to_unlinkat(struct io_uring_sqe *sqe)
{
    sqe->opcode = IORING_OP_UNLINKAT;
}
static void to_socket(struct io_uring_sqe *sqe)
{
    sqe->opcode = IORING_OP_SOCKET;
}
static void to_nop(struct io_uring_sqe *sqe)
{
    sqe->opcode = IORING_OP_NOP;
}
static void to_any_file(struct io_uring_sqe *sqe)
{
    sqe->flags = 0;
    sqe->fd = STDERR_FILENO;
}
static void to_link(struct io_uring_sqe *sqe)
{
    sqe->flags |= IOSQE_IO_LINK;
}

/* The kernel itself refuses whatever persist does not need; chains of sqes are among that, so that
 * none can be broken by a short write. */
static void ring_is_restricted(void **state)
{
    static void (*const changes[])(struct io_uring_sqe *) = {to_openat, to_unlinkat, to_socket,
                                                             to_nop,    to_any_file, to_link};
    struct bare b;

    (void)state;
    bare_open(&b);
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        seam.change = changes[i];
        assert_int_equal(bare_write(&b, i), 0);
        const struct disk_done done = bare_wait(&b);
        assert_int_equal(done.cookie, i);
        assert_int_equal(done.result, -EACCES);
    }
    seam.change = NULL;
    assert_int_equal(bare_write(&b, 9), 0);
    assert_int_equal(bare_wait(&b).result, DISK_SECTOR);
    const struct io_uring_restriction more = {.opcode = IORING_RESTRICTION_SQE_OP,
                                              .sqe_op = IORING_OP_OPENAT};
    assert_true(io_uring_register((unsigned)seam.ring->ring_fd, IORING_REGISTER_RESTRICTIONS, &more,
                                  1) < 0);
    const struct iovec vector = {.iov_base = b.bytes, .iov_len = DISK_SECTOR};
    assert_int_equal(io_uring_register_buffers(seam.ring, &vector, 1), -EACCES);
    bare_close(&b);
}

/* An IOPOLL ring can't flush; SQPOLL takes 8 ms; with deferred task running completions stay unseen. */
static void ring_has_the_right_flags(void **state)
{
    struct bare b;

    (void)state;
    bare_open(&b);
    assert_int_equal(bare_write(&b, 1), 0);
    (void)bare_wait(&b);
    const unsigned wrong = IORING_SETUP_IOPOLL | IORING_SETUP_SQPOLL | IORING_SETUP_DEFER_TASKRUN |
                           IORING_SETUP_COOP_TASKRUN;
    const unsigned wanted = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_R_DISABLED;
    assert_int_equal(seam.ring->flags & wrong, 0);
    assert_int_equal(seam.ring->flags & wanted, wanted);
    bare_close(&b);
}

/* As many as there can be, all completed before the first is reaped: none is lost, one more is
 * refused, and they may come in any order. */
static void completions_never_overflow(void **state)
{
    static bool seen[DISK_OPS_MAX];
    struct disk_done done[7];
    uint32_t reaped = 0;
    struct bare b;

    (void)state;
    memset(seen, 0, sizeof seen);
    bare_open(&b);
    for (uint32_t i = 0; i < DISK_OPS_MAX; i++)
        assert_int_equal(bare_write(&b, i), 0);
    assert_int_equal(bare_write(&b, DISK_OPS_MAX), -EAGAIN);
    const uint64_t limit = bench_now_ns() + BENCH_WAIT_MS * 1000000ull;
    while (io_uring_cq_ready(seam.ring) < DISK_OPS_MAX)
        assert_true(bench_now_ns() < limit);
    assert_int_equal(io_uring_smp_load_acquire(seam.ring->cq.koverflow), 0);
    while (reaped < DISK_OPS_MAX) {
        const uint32_t count = disk_reap(b.disk, done, 7);
        assert_true(count > 0);
        for (uint32_t i = 0; i < count; i++) {
            assert_int_equal(done[i].result, DISK_SECTOR);
            assert_false(seen[done[i].cookie]);
            seen[done[i].cookie] = true;
        }
        reaped += count;
    }
    assert_int_equal(disk_in_flight(b.disk), 0);
    bare_close(&b);
}

static void to_old_generation(struct io_uring_sqe *sqe)
{
    sqe->user_data -= 1ull << 32;
}

/* A completion of what was in this entry of the table before is not taken for the new one: somebody
 * has a bug, and the node stops at once. */
static void stale_completion_is_caught(void **state)
{
    struct bare b;
    int status;

    (void)state;
    bare_open(&b);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)freopen("/dev/null", "w", stderr); /* it prints the assertion */
        (void)signal(SIGABRT, SIG_DFL);
        disk_uring_close(b.disk); /* a ring belongs to the process that made it */
        bare_open(&b);
        seam.change = to_old_generation;
        (void)bare_write(&b, 1);
        (void)bare_wait(&b);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    bare_close(&b);
}

static void alignment_is_the_kernels_word(void **state)
{
    static const struct {
        uint32_t mask, memory, offset;
        bool direct;
    } cases[] = {
        {STATX_DIOALIGN, 512, 512, true},   {STATX_DIOALIGN, 4, 4096, true},
        {STATX_DIOALIGN, 512, 8192, false}, {STATX_DIOALIGN, 8192, 512, false},
        {STATX_DIOALIGN, 0, 0, false},      {0, 0, 0, true},
    };
    const struct disk_uring_options options = {0};
    char error[256];
    struct disk *d;

    (void)state;
    struct bench b = bench_new();
    assert_int_equal(disk_uring_open(b.directory, &options, &d, error, sizeof error), 0);
    const bool takes_direct = disk_uring_is_direct(d);
    disk_uring_close(d);
    seam.has_statx = true;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        seam.statx.stx_mask = cases[i].mask;
        seam.statx.stx_dio_mem_align = cases[i].memory;
        seam.statx.stx_dio_offset_align = cases[i].offset;
        assert_int_equal(disk_uring_open(b.directory, &options, &d, error, sizeof error), 0);
        assert_int_equal(disk_uring_is_direct(d), takes_direct && cases[i].direct);
        disk_uring_close(d);
    }
    bench_remove(b.directory);
}

/* A name that exists stands for a file that is whole and durable; the name itself is too before anybody
 * is told. */
static void file_is_durable_before_its_use(void **state)
{
    struct bare b;

    (void)state;
    bare_open(&b);
    assert_int_equal(seam.call_count, 3);
    assert_string_equal(seam.calls[0], "fdatasync");
    assert_string_equal(seam.calls[1], "rename");
    assert_string_equal(seam.calls[2], "fsync directory");
    bare_close(&b);
}

/* --- the log over it */

/* Of batches alone: segments are made meanwhile, and a short write of theirs stops the log too, so that
 * a log which takes a short batch for whole would be stopped all the same. */
static void shorten_batch(struct io_uring_sqe *sqe)
{
    uint32_t magic;

    if (!is_write(sqe) || sqe->len <= DISK_SECTOR)
        return;
    memcpy(&magic, (const void *)(uintptr_t)sqe->addr, sizeof magic);
    if (magic != BATCH_MAGIC)
        return;
    sqe->len -= DISK_SECTOR;
    seam.shortened++;
}

/* A count that is not the whole length is no error code, and is one all the same. */
static void short_write_stops_the_log(void **state)
{
    struct bench b = bench_new();

    (void)state;
    bench_open(&b, false, true);
    bench_append(&b);
    bench_settle(&b);
    const raft_seq durable = wal_durable(b.wal);
    seam.change = shorten_batch;
    for (uint32_t i = 0; i < 8; i++)
        bench_append(&b); /* some sectors */
    const uint64_t limit = bench_now_ns() + NOTICED_MS * 1000000ull;
    while (wal_failed(b.wal) == 0) {
        (void)wal_poll(b.wal, bench_now_ns());
        assert_int_equal(wal_durable(b.wal), durable);
        assert_true(bench_now_ns() < limit);
    }
    assert_int_equal(seam.shortened, 1); /* the first batch, and flights is 1 */
    assert_int_equal(wal_durable(b.wal), durable);
    bench_close(&b);
    bench_remove(b.directory);
}

static void appends_watched(struct bench *b)
{
    seam.watch = true;
    for (uint32_t i = 0; i < APPENDS; i++) {
        bench_append(b);
        (void)wal_poll(b->wal, bench_now_ns());
    }
    bench_settle(b);
    seam.watch = false;
}

/* A flush covers what had completed before it was submitted, and nothing beside it. */
static void flush_follows_its_write(void **state)
{
    struct bench b = bench_new();

    (void)state;
    b.options.sync_by_fsync = true;
    bench_open(&b, false, true);
    appends_watched(&b);
    assert_true(seam.fsyncs > 0);
    assert_int_equal(seam.fsyncs_too_early, 0);
    bench_close(&b);
    bench_remove(b.directory);
}

/* watch_sqe() and check_bytes() look at every buffer at every submission. */
static void buffers_rest_while_in_flight(void **state)
{
    struct bench b = bench_new();

    (void)state;
    b.options.flights = 3;
    bench_open(&b, false, true);
    appends_watched(&b);
    assert_true(seam.in_flight_most > 1);
    bench_close(&b);
    bench_remove(b.directory);
}

/* Appends, and reads all of it back. */
static void write_and_read(struct bench *b)
{
    seam.fixed = seam.plain = 0;
    for (uint32_t i = 0; i < APPENDS; i++)
        bench_append(b);
    bench_settle(b);
    bench_read_all(b);
}

/* The batches and the reader go by registered memory, what goes there is what comes back; larger ones
 * than were registered go without. */
static void buffers_are_registered(void **state)
{
    struct bench b = bench_new();
    const int64_t all = (b.options.buffer_count + 1) * (int64_t)b.options.batch_bytes;
    const int64_t half = all / 2;

    (void)state;
    bench_open(&b, false, true);
    assert_int_equal(disk_uring_registered(b.disk), all);
    bench_settle(&b);
    write_and_read(&b);
    assert_true(seam.fixed > APPENDS / 16);
    bench_close(&b);

    b.registered_bytes_max = (uint64_t)half;
    bench_open(&b, false, true);
    assert_int_equal(disk_uring_registered(b.disk), half);
    for (uint32_t i = 0; i < 4; i++) { /* alone, and in company */
        bench_append(&b);
        bench_settle(&b);
    }
    assert_true(seam.fixed >= 4);
    write_and_read(&b);
    assert_true(seam.plain > 0);
    bench_close(&b);

    b.registered_bytes_max = 0;
    bench_open(&b, false, true);
    assert_int_equal(disk_uring_registered(b.disk), 0);
    write_and_read(&b);
    assert_int_equal(seam.fixed, 0);
    bench_close(&b);
    bench_remove(b.directory);
}

/* Requests of 64 KiB, each from where the last ended, cost one read of the disk per megabyte: a store
 * that is filled after a start lives on it. */
static void reading_on_reads_ahead(void **state)
{
    struct bench b = bench_new();

    (void)state;
    b.options.batch_bytes = 1 << 20;
    b.options.segment_bytes = 32 << 20; /* the one of the start is smaller, and takes all of it */
    bench_open(&b, false, true);
    for (uint32_t i = 0; i < 3000; i++)
        bench_append(&b);
    bench_settle(&b);
    const uint64_t bytes = wal_counters(b.wal)->bytes;
    assert_true(bytes > 3 << 20);
    bench_read_all(&b);
    assert_true(seam.reads > 0);
    assert_true(seam.reads <=
                (bytes >> 20) + 3); /* the first one is short, and so may the last be */
    bench_close(&b);
    bench_remove(b.directory);
}

/* Whoever has CAP_IPC_LOCK may lock as much as he likes. True: it is what was asked for. */
static bool may_lock(bool may)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    const uint32_t bit = 1u << CAP_IPC_LOCK;

    if (syscall(SYS_capget, &header, data) != 0)
        return false;
    data[0].effective =
        may ? data[0].effective | (data[0].permitted & bit) : data[0].effective & ~bit;
    return syscall(SYS_capset, &header, data) == 0;
}

/* The limit of locked memory is of all processes of a user, and given back late: the log works
 * without. */
static void registration_may_be_refused(void **state)
{
    struct bench b = bench_new();
    struct rlimit before;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_MEMLOCK, &before), 0);
    const struct rlimit none = {.rlim_cur = 0, .rlim_max = before.rlim_max};
    assert_true(may_lock(false));
    bench_open(&b, false, false);
    assert_true(may_lock(true));
    assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &none), 0); /* not before: a ring is counted too */
    assert_int_equal(disk_uring_enable(b.disk), 0);
    assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &before), 0);
    assert_int_equal(disk_uring_registered(b.disk), -ENOMEM);
    write_and_read(&b);
    assert_int_equal(seam.fixed, 0);
    assert_true(seam.plain > 0);
    bench_close(&b);
    bench_remove(b.directory);
}

/* Whatever was queued goes out with one call, and nobody asks the kernel for completions. */
static void one_call_for_all(void **state)
{
    struct bare b;

    (void)state;
    bare_open(&b);
    for (uint32_t i = 0; i < 10; i++) {
        const struct disk_op op = {.kind = DISK_OP_WRITE,
                                   .offset = i * DISK_SECTOR,
                                   .bytes = b.bytes,
                                   .length = DISK_SECTOR,
                                   .cookie = i};
        assert_int_equal(disk_submit(b.disk, &op), 0);
    }
    assert_int_equal(seam.submits, 0);
    disk_send(b.disk);
    for (uint32_t i = 0; i < 10; i++)
        assert_int_equal(bare_wait(&b).result, DISK_SECTOR);
    disk_send(b.disk);
    assert_int_equal(seam.submits, 1);
    bare_close(&b);
}

/* disk_uring_rules [BUG]: with a planted bug it is expected to fail. */
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(ring_is_restricted, reset),
        cmocka_unit_test_setup(ring_has_the_right_flags, reset),
        cmocka_unit_test_setup(completions_never_overflow, reset),
        cmocka_unit_test_setup(stale_completion_is_caught, reset),
        cmocka_unit_test_setup(alignment_is_the_kernels_word, reset),
        cmocka_unit_test_setup(file_is_durable_before_its_use, reset),
        cmocka_unit_test_setup(short_write_stops_the_log, reset),
        cmocka_unit_test_setup(flush_follows_its_write, reset),
        cmocka_unit_test_setup(buffers_rest_while_in_flight, reset),
        cmocka_unit_test_setup(buffers_are_registered, reset),
        cmocka_unit_test_setup(reading_on_reads_ahead, reset),
        cmocka_unit_test_setup(registration_may_be_refused, reset),
        cmocka_unit_test_setup(one_call_for_all, reset),
    };
    if (argc > 1 && (!PLANTED_BUILD || !planted_choose(argv[1])))
        return 0; /* there is no such bug: not what is expected */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
