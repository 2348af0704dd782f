/* node/lcore.c: the loop of an lcore. */
#include "node/lcore.h"

#include "base/assert.h"
#include "node/seal.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static const uint64_t SECOND_NS = 1000 * 1000 * 1000;

uint64_t lcore_clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

uint32_t lcore_cpu_count(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    return (uint32_t)CPU_COUNT(&set);
}

/* One poll of every role; the work done. */
static uint32_t lcore_turn(struct lcore *l, uint64_t now_ns)
{
    uint32_t work = 0;

    bell_turn_begin(&l->bell);
    for (uint32_t i = 0; i < l->task_count; i++) {
        const struct lcore_task *task = &l->task[i];
        if (task->sealed)
            seal_begin(task->name);
        work += task->poll(task->context, now_ns);
        seal_end();
    }
    bell_turn_end(&l->bell);
    l->turn_count++;
    if (work == 0)
        return 0;
    for (uint32_t i = 0; i < l->other_count; i++)
        bell_ring(l->other[i]);
    return work;
}

/* Until the next timer, LCORE_SLEEP_NS at most. */
static struct timespec sleep_span(const struct lcore *l, uint64_t now_ns)
{
    uint64_t until = now_ns + LCORE_SLEEP_NS;

    for (uint32_t i = 0; i < l->task_count; i++) {
        if (l->task[i].next_timer == NULL)
            continue;
        const uint64_t timer = l->task[i].next_timer(l->task[i].context);
        until = timer < until ? timer : until;
    }
    const uint64_t span = until > now_ns ? until - now_ns : 0;
    return (struct timespec){.tv_nsec = (long)span};
}

/* Reads the eventfds that woke us; says whether the bell rang. */
static bool drain(struct lcore *l, const struct epoll_event *events, int count)
{
    bool rung = false;

    for (int i = 0; i < count; i++) {
        const uint32_t which = events[i].data.u32;
        uint64_t value;

        if (which == LCORE_FDS_MAX) {
            rung = true;
            continue;
        }
        ASSERT(which < l->fd_count);
        if (!l->fd[which].counter)
            continue;
        /* Empty already is fine: only what it counted is of no interest. */
        const ssize_t got = read(l->fd[which].fd, &value, sizeof value);
        (void)got;
    }
    return rung;
}

static void lcore_sleep(struct lcore *l)
{
    struct epoll_event events[LCORE_FDS_MAX + 1];
    bool rung = false;

    bell_sleep_begin(&l->bell);
    const uint64_t now_ns = lcore_clock_ns();
    if (lcore_turn(l, now_ns) == 0) {
        const struct timespec span = sleep_span(l, now_ns);
        const int count = epoll_pwait2(l->epoll_fd, events, LCORE_FDS_MAX + 1, &span, NULL);
        rung = count > 0 && drain(l, events, count);
        l->sleep_count++;
    }
    /* idle_since_ns stays: a wake that brought no work is no reason to yield for 50 us again. */
    bell_sleep_end(&l->bell, rung);
}

static void idle_adaptive(struct lcore *l, uint64_t now_ns)
{
    if (l->idle_since_ns == 0)
        l->idle_since_ns = now_ns;
    if (now_ns - l->idle_since_ns < LCORE_YIELD_NS)
        sched_yield();
    else
        lcore_sleep(l);
}

static void idle_busy(struct lcore *l)
{
    if (l->flushing != NULL && l->flushing(l->flushing_context))
        sched_yield();
    else
        __builtin_ia32_pause();
}

/* Once a second: what `skiff status` shows of an lcore. */
static void lcore_account(struct lcore *l, uint64_t now_ns)
{
    struct rusage usage;
    const uint64_t span = now_ns - l->reported_ns;

    if (span < SECOND_NS || getrusage(RUSAGE_THREAD, &usage) != 0)
        return;
    const uint64_t cpu_ns = (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * SECOND_NS +
                            (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000;
    const uint64_t preempted = (uint64_t)usage.ru_nivcsw;
    const uint64_t millis = span / 1000000;

    published_set(&l->report.turns, (l->turn_count - l->reported_turns) * 1000 / millis);
    published_set(&l->report.sleeps, (l->sleep_count - l->reported_sleeps) * 1000 / millis);
    published_set(&l->report.preempted, (preempted - l->reported_preempted) * 1000 / millis);
    published_set(&l->report.busy_ppm, (cpu_ns - l->reported_cpu_ns) / millis);
    l->reported_ns = now_ns;
    l->reported_turns = l->turn_count;
    l->reported_sleeps = l->sleep_count;
    l->reported_preempted = preempted;
    l->reported_cpu_ns = cpu_ns;
}

static bool lcore_goes_on(const struct lcore *l)
{
    if (published_get(l->stop) != 0)
        return false;
    if (published_get(l->role_stop) == 0)
        return true;
    eventfd_write(l->control_fd, 1);
    return false;
}

/* What roles must do on their own thread, first of all. */
static bool lcore_enter(struct lcore *l)
{
    for (uint32_t i = 0; i < l->task_count; i++) {
        const struct lcore_task *task = &l->task[i];
        const int result = task->enter != NULL ? task->enter(task->context) : 0;
        if (result == 0)
            continue;
        published_set(&l->report.failed, (uint64_t)-result);
        eventfd_write(l->control_fd, 1);
        return false;
    }
    return true;
}

static void *lcore_main(void *argument)
{
    struct lcore *l = argument;

    /* Without it the kernel may let a sleep last 50 us longer. */
    prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
    if (!lcore_enter(l))
        return NULL;
    while (lcore_goes_on(l)) {
        const uint64_t now_ns = lcore_clock_ns();
        const uint32_t work = lcore_turn(l, now_ns);

        lcore_account(l, now_ns);
        if (work > 0)
            l->idle_since_ns = 0;
        else if (l->idle == CONFIG_IDLE_ADAPTIVE)
            idle_adaptive(l, now_ns);
        else
            idle_busy(l);
    }
    return NULL;
}

static int watch(struct lcore *l, int fd, uint32_t which)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = which};
    return epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -errno;
}

static int open_epoll(struct lcore *l)
{
    int result;

    l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (l->epoll_fd < 0)
        return -errno;
    result = watch(l, bell_fd(&l->bell), LCORE_FDS_MAX);
    for (uint32_t i = 0; i < l->fd_count && result == 0; i++)
        result = watch(l, l->fd[i].fd, i);
    if (result != 0)
        close(l->epoll_fd);
    return result;
}

static int start_thread(struct lcore *l)
{
    pthread_attr_t attributes;
    char name[16];
    int result;

    pthread_attr_init(&attributes);
    if (l->cpu != LCORE_CPU_ANY) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET((size_t)l->cpu, &set);
        pthread_attr_setaffinity_np(&attributes, sizeof set, &set);
    }
    result = pthread_create(&l->thread, &attributes, lcore_main, l);
    pthread_attr_destroy(&attributes);
    if (result != 0)
        return -result;
    snprintf(name, sizeof name, "skiff-lcore%u", l->number);
    pthread_setname_np(l->thread, name);
    return 0;
}

int lcore_start(struct lcore *l, char *error, size_t error_bytes)
{
    int result = open_epoll(l);

    if (result != 0) {
        snprintf(error, error_bytes, "lcore %u: no epoll set: %s", l->number, strerror(-result));
        return result;
    }
    l->reported_ns = lcore_clock_ns();
    result = start_thread(l);
    if (result != 0) {
        snprintf(error, error_bytes,
                 "lcore %u can't run on CPU %d: %s; lcores[].cpu must be a CPU that this process "
                 "may use (see: taskset -p $$)",
                 l->number, l->cpu, strerror(-result));
        close(l->epoll_fd);
    }
    return result;
}

void lcore_join(struct lcore *l)
{
    pthread_join(l->thread, NULL);
    close(l->epoll_fd);
}
