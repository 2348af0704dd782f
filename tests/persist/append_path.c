/* Goal:   appending and flushing a batch takes no memory and asks nothing of the kernel but its one
 *         io_uring_enter: two calls a batch are allowed, one is what there is.
 * Method: a child appends to a log on real files and polls without sleeping, between two markers, under
 *         the seal that stops a node which allocates. Its parent traces that thread and counts its system
 *         calls by number. A second child does what is forbidden, to show that both are seen.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/record.h"
#include "node/seal.h"
#include "persist/disk_uring.h"
#include "persist/wal.h"
#include "tests/persist/uring_bench.h"

enum {
    BATCHES = 200,
    RECORDS = 8,     /* a batch */
    CALLS_MAX = 512, /* numbers of system calls */
    MARKER = SYS_getppid,
    CALLS_PER_BATCH_MAX = 2,
};

/* System calls between the markers, by number. */
struct calls {
    uint32_t count[CALLS_MAX];
    uint32_t other; /* with larger numbers */
    int status;     /* how the child ended */
};

static void marker(void)
{
    (void)syscall(MARKER);
}

/* No clock is asked: the log's time is an argument. */
static void flush(struct bench *b, uint64_t *now_ns)
{
    for (uint32_t i = 0; i < RECORDS; i++)
        bench_append(b);
    while (wal_durable(b->wal) < b->seq) {
        (void)wal_poll(b->wal, ++*now_ns);
        if (wal_failed(b->wal) != 0)
            abort();
    }
}

/* In the child. `misbehave`: as a control. */
static void append_under_watch(struct bench *b, uint64_t now_ns, int misbehave)
{
    marker();
    seal_begin("persist");
    for (uint32_t i = 0; i < BATCHES; i++)
        flush(b, &now_ns);
    if (misbehave == SYS_sched_yield)
        (void)syscall(SYS_sched_yield);
    if (misbehave == SYS_brk) {
        void *volatile memory = malloc(1);
        free(memory);
    }
    seal_end();
    marker();
}

static void child_main(struct bench *b, int misbehave)
{
    /* All batches go to the segment of the start, and the one behind it is ready before: a roll asks
     * for a new one, which is work of another thread and the calls that ring for it. */
    b->options.segment_bytes = 32 << 20;
    b->options.segments_ahead = 1;
    bench_open(b, false, true);
    bench_idle(b);
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
        _exit(errno);
    (void)raise(SIGSTOP);
    append_under_watch(b, bench_now_ns(), misbehave);
    bench_close(b);
    _exit(0);
}

/* The call that the stopped child is about to do. */
static uint64_t call_number(pid_t child)
{
    struct __ptrace_syscall_info info = {0};

    assert_true(ptrace(PTRACE_GET_SYSCALL_INFO, child, (void *)sizeof info, &info) > 0);
    return info.op == PTRACE_SYSCALL_INFO_ENTRY ? info.entry.nr : UINT64_MAX;
}

static void count_call(struct calls *calls, uint64_t number, bool *counting)
{
    if (number == UINT64_MAX)
        return; /* the end of one */
    if (number == MARKER) {
        *counting = !*counting;
        return;
    }
    if (!*counting)
        return;
    if (number < CALLS_MAX)
        calls->count[number]++;
    else
        calls->other++;
}

static struct calls trace(pid_t child)
{
    struct calls calls = {0};
    bool counting = false;
    int signal_due = 0;

    assert_int_equal(waitpid(child, &calls.status, 0), child);
    if (!WIFSTOPPED(calls.status))
        fail_msg("can't be traced: %s", strerror(WEXITSTATUS(calls.status)));
    assert_int_equal(ptrace(PTRACE_SETOPTIONS, child, NULL, (void *)PTRACE_O_TRACESYSGOOD), 0);
    for (;;) {
        assert_int_equal(ptrace(PTRACE_SYSCALL, child, NULL, (void *)(intptr_t)signal_due), 0);
        assert_int_equal(waitpid(child, &calls.status, 0), child);
        if (!WIFSTOPPED(calls.status))
            return calls;
        signal_due = 0;
        if (WSTOPSIG(calls.status) == (SIGTRAP | 0x80))
            count_call(&calls, call_number(child), &counting);
        else
            signal_due = WSTOPSIG(calls.status);
    }
}

static struct calls run(int misbehave)
{
    struct bench b = bench_new();
    const pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0)
        child_main(&b, misbehave);
    const struct calls calls = trace(child);
    bench_remove(b.directory);
    return calls;
}

static uint32_t other_calls(const struct calls *calls)
{
    uint32_t others = calls->other;

    for (uint32_t i = 0; i < CALLS_MAX; i++)
        others += i == SYS_io_uring_enter ? 0 : calls->count[i];
    return others;
}

static void a_batch_is_one_call(void **state)
{
    const struct calls calls = run(0);

    (void)state;
    assert_true(WIFEXITED(calls.status));
    assert_int_equal(WEXITSTATUS(calls.status), 0);
    const uint32_t enters = calls.count[SYS_io_uring_enter];
    printf("%.2f io_uring_enter a batch, %u other system calls, no allocation\n",
           (double)enters / BATCHES, other_calls(&calls));
    assert_int_equal(other_calls(&calls), 0);
    assert_true(enters >= BATCHES);
    assert_true(enters <= CALLS_PER_BATCH_MAX * BATCHES);
}

static void other_calls_are_seen(void **state)
{
    const struct calls calls = run(SYS_sched_yield);

    (void)state;
    assert_int_equal(calls.status, 0);
    assert_int_equal(calls.count[SYS_sched_yield], 1);
    assert_int_equal(other_calls(&calls), 1);
}

static void allocations_are_seen(void **state)
{
    const struct calls calls = run(SYS_brk);

    (void)state;
    assert_true(WIFSIGNALED(calls.status));
    assert_int_equal(WTERMSIG(calls.status), SIGABRT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batch_is_one_call),
        cmocka_unit_test(other_calls_are_seen),
        cmocka_unit_test(allocations_are_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
