/* node/lcore.h: a pinned thread that polls a list of roles, and how it idles.
 *
 * busy       It spins. For a machine with a CPU for each lcore; refused when there are fewer. The
 *            lcore of the persist role yields while a flush is in flight: its CPU may be the one
 *            that takes the disk's interrupt (4 ms a flush spinning, 0.1 ms yielding).
 * adaptive   A turn without work yields the CPU. After LCORE_YIELD_NS without work the lcore says
 *            that it sleeps, takes one more full turn, and if that found nothing waits for its bell,
 *            its roles' fds or their next timer, LCORE_SLEEP_NS at most:
 *
 *              WORKING <--work--.<---------------- work --------------.
 *                 | no work     |                                     |
 *              YIELDING --------'                                 one turn
 *                 | 50 us since the last work                         ^
 *                 v                                                   |
 *              sleep_begin --> one more turn --no work--> ASLEEP --> sleep_end
 *                 ^                  '--work--> sleep_end --> WORKING |
 *                 '--------------------- no work ---------------------'
 *
 * Giving     Who pushed to another lcore's ring rings its bell once, at the end of the turn.
 * Stop       A stop word that is not 0 ends the loop of every lcore. The first to see that a role
 *            asked for it tells the control thread.
 * Thread     lcore_start(), lcore_join() by the control thread. The struct is its lcore's, except
 *            for `report`, which anybody may read.
 */
#ifndef NODE_LCORE_H
#define NODE_LCORE_H

#include "base/published.h"
#include "dataplane/bell.h"
#include "node/config.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    LCORE_YIELD_NS = 50 * 1000,
    LCORE_SLEEP_NS = 10 * 1000 * 1000,
    LCORE_FDS_MAX = 4,       /* bell, io_uring's eventfd, api's epoll fd, one to spare */
    LCORE_SWITCHES_MAX = 50, /* involuntary ones a second; more is reported */
    LCORE_CPU_ANY = -1,
};

/* A role as the loop sees it. */
struct lcore_task {
    const char *name;
    void *context;
    uint32_t (*poll)(void *context, uint64_t now_ns); /* work done */
    uint64_t (*next_timer)(void *context); /* when to poll even if nothing arrives; NULL: never */
    int (*enter)(void *context); /* once, on the lcore, before its first turn; NULL: nothing. 0, or
                                    a negative errno that ends the lcore and with it the node */
    bool sealed;                 /* it allocates nothing */
};

/* An fd that ends the sleep. */
struct lcore_fd {
    int fd;
    bool counter; /* an eventfd, to be read empty after it woke us */
};

/* About once a second, by the lcore; `failed` once. */
struct lcore_report {
    struct published failed;    /* an errno: `enter` of a role failed, and the lcore has ended */
    struct published turns;     /* a second */
    struct published sleeps;    /* a second */
    struct published preempted; /* involuntary context switches a second */
    struct published busy_ppm;  /* CPU time used */
};

struct lcore {
    uint32_t number;
    int cpu; /* LCORE_CPU_ANY: the scheduler's choice */
    enum config_idle idle;
    uint32_t task_count;
    struct lcore_task task[CONFIG_ROLE_COUNT + 1]; /* and a guest */
    uint32_t fd_count;
    struct lcore_fd fd[LCORE_FDS_MAX];
    struct bell bell;
    uint32_t other_count;
    const struct bell *other[CONFIG_LCORES_MAX]; /* of this node's other lcores */
    bool (*flushing)(void *context); /* persist's lcore: a flush is in flight; else NULL */
    void *flushing_context;
    const struct published *stop;      /* by control */
    const struct published *role_stop; /* by the roles; see node_view */
    int control_fd;                    /* eventfd of the control thread */
    struct lcore_report report;

    pthread_t thread;
    int epoll_fd;
    uint64_t idle_since_ns; /* 0: the last turn had work */
    uint64_t turn_count, sleep_count;
    uint64_t reported_ns, reported_turns, reported_sleeps, reported_preempted, reported_cpu_ns;
};

/* The clock of all roles. It goes on while the machine is suspended, as leases will need. */
uint64_t lcore_clock_ns(void);
/* How many CPUs this process may use. */
uint32_t lcore_cpu_count(void);

/* 0, or a negative errno with a sentence in `error`. */
int lcore_start(struct lcore *l, char *error, size_t error_bytes);
void lcore_join(struct lcore *l);

#endif
