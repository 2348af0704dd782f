/* dataplane/port_guard.c: see port_guard_internal.h. */
#include "dataplane/port_guard_internal.h"

#include "base/assert.h"

#include <errno.h>
#include <fcntl.h>
#include <rte_alarm.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { LCORES_MAX = 16, WAIT_STEP_NS = 20000 };

/* EAL, its interrupt thread and the functions below that stand for libc's are one a process, so
 * this is too. All of it is written before the first alarm, which orders it for the interrupt
 * thread. */
static struct {
    const struct bell_word *lcore[LCORES_MAX];
    uint32_t lcore_count;
    void (*before_unmap)(void *);
    void *argument;
    void (*call)(void *);
    void *call_argument;
} guard;

static _Thread_local bool on_interrupt_thread;

void port_guard_open(const struct bell_word *const *lcore, uint32_t lcore_count,
                     void (*before_unmap)(void *), void *argument)
{
    ASSERT(lcore_count <= LCORES_MAX);
    for (uint32_t i = 0; i < lcore_count; i++) {
        ASSERT(lcore[i] != NULL);
        guard.lcore[i] = lcore[i];
    }
    guard.lcore_count = lcore_count;
    guard.before_unmap = before_unmap;
    guard.argument = argument;
}

static void on_alarm(void *argument)
{
    (void)argument;
    on_interrupt_thread = true;
    guard.call(guard.call_argument);
}

int port_guard_run(void (*call)(void *), void *argument)
{
    guard.call = call;
    guard.call_argument = argument;
    return rte_eal_alarm_set(1, on_alarm, NULL);
}

/* The one loop here without a bound of its own: it ends when the lcores' turns do, and a turn that
 * does not end is a node that is dead already. */
void port_guard_wait(void)
{
    const struct timespec step = {.tv_nsec = WAIT_STEP_NS};

    /* Pairs with the fence of bell_word_turn_begin(): a turn that is not seen here sees what the
     * caller has hidden. */
    bell_word_fence();
    for (uint32_t i = 0; i < guard.lcore_count; i++) {
        const uint64_t turn = bell_word_turn(guard.lcore[i]);
        while (turn % 2 == 1 && bell_word_turn(guard.lcore[i]) == turn)
            nanosleep(&step, NULL);
    }
}

/* Instead of libc's, for the whole process; exported by the link arguments of port_dpdk. */
int munmap(void *address, size_t length)
{
    if (on_interrupt_thread) {
        guard.before_unmap(guard.argument);
        port_guard_wait();
    }
    return (int)syscall(SYS_munmap, address, length);
}

int connect(int file, __CONST_SOCKADDR_ARG address, socklen_t length)
{
    const struct sockaddr *const to = address.__sockaddr__;

    if (!on_interrupt_thread || to->sa_family != AF_UNIX)
        return (int)syscall(SYS_connect, file, to, length);

    const int flags = fcntl(file, F_GETFL);
    if (flags < 0 || fcntl(file, F_SETFL, flags | O_NONBLOCK) != 0)
        return -1;
    const int result = (int)syscall(SYS_connect, file, to, length);
    const int failure = errno;
    (void)fcntl(file, F_SETFL, flags);
    errno = failure;
    return result;
}

static bool is_memif(int file)
{
    int type;
    socklen_t length = sizeof type;

    return getsockopt(file, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_SEQPACKET;
}

ssize_t sendmsg(int file, const struct msghdr *message, int flags)
{
    if (!on_interrupt_thread || !is_memif(file))
        return syscall(SYS_sendmsg, file, message, flags);

    const ssize_t sent = syscall(SYS_sendmsg, file, message, flags | MSG_DONTWAIT | MSG_NOSIGNAL);
    size_t bytes = 0;
    if (sent >= 0)
        return sent;
    for (size_t i = 0; i < message->msg_iovlen; i++)
        bytes += message->msg_iov[i].iov_len;
    return (ssize_t)bytes;
}
