/* node/control.c: see control.h. */
#include "node/control.h"

#include "dataplane/port_dpdk.h"
#include "node/admin_desk.h"
#include "node/admin_text.h"
#include "node/control_socket.h"
#include "node/disk_watch.h"
#include "node/exit_code.h"
#include "node/report.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

enum {
    TURN_MS = 50,                  /* how often links are looked after */
    ANSWER_TURN_MS = 2,            /* and while the raft role owes an answer */
    HANDOVER_ELECTIONS = 2,        /* longest election timeouts that handing over may take */
    DRAIN_NS = 1000 * 1000 * 1000, /* how long clients may take to leave */
    BEGINNING_NS = 1000 * 1000 * 1000,
};

enum source { SOURCE_SIGNAL, SOURCE_SOCKET, SOURCE_LCORES, SOURCE_COUNT };

struct control {
    struct node *node;
    int epoll_fd;
    int signal_fd;
    int listen_fd;
    uint32_t signals; /* asked to end so often */
    struct admin_desk desk;
    uint64_t handover_until_ns; /* 0: not ending by handing over */
    uint64_t drain_until_ns;
    uint64_t role, leader, term; /* as last said */
    struct disk_watch disk;
    uint64_t holes; /* as last said */
    uint64_t begun_ns;
    bool said_waiting, said_foreign, said_convicted, said_corrupt;
};

int control_block_signals(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGPIPE);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
        return -errno;
    sigdelset(&set, SIGPIPE); /* blocked for good: writes say EPIPE */
    const int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd >= 0 ? fd : -errno;
}

/* A line of the log: stderr, with the time. */
static void say(const struct control *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void say(const struct control *c, const char *format, ...)
{
    struct timespec now;
    struct tm local;
    char text[512], stamp[32];
    va_list arguments;

    clock_gettime(CLOCK_REALTIME, &now);
    localtime_r(&now.tv_sec, &local);
    strftime(stamp, sizeof stamp, "%F %T", &local);
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fprintf(stderr, "%s.%03ld %s: %s\n", stamp, now.tv_nsec / 1000000,
            config_self(c->node->config)->name, text);
}

/* What can be told at once: a question about this node. */
static void answer_text(struct control *c, const char *question, int fd)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);

    if (out == NULL)
        goto close_client;
    if (strcmp(question, "json") == 0)
        report_json(c->node, out);
    else if (strcmp(question, "row") == 0)
        report_row(c->node, out);
    else if (strcmp(question, "members-json") == 0)
        report_members(c->node, out);
    else if (strcmp(question, "members") == 0)
        report_members_table(c->node, out);
    else
        fprintf(out, "unknown question; allowed: row, json, members, members-json");
    fclose(out);
    /* A client that does not read gets a part: its own loss. */
    if (write(fd, text, bytes) < 0)
        say(c, "a status client went away: %s", strerror(errno));
    free(text);
close_client:
    close(fd);
}

static void take_client(struct control *c)
{
    char question[CONTROL_QUESTION_BYTES];
    struct admin_request request;
    const int fd = control_socket_accept(c->listen_fd, question);

    if (fd < 0)
        return;
    if (!admin_text_read(question, &request)) {
        answer_text(c, question, fd);
        return;
    }
    say(c, "an operator asks for: %s", question);
    admin_desk_ask(&c->desk, &request, fd);
}

static void begin_drain(struct control *c)
{
    c->handover_until_ns = 0;
    c->drain_until_ns = lcore_clock_ns() + DRAIN_NS;
    node_drain(c->node);
}

/* A leader that ends lets another lead first: that costs its clients a round trip or two instead of
 * an election timeout. It asks once, and waits no longer than two such timeouts. */
static void begin_end(struct control *c)
{
    const bool leads = published_get(&c->node->view->role) == RAFT_LEADER;
    const uint64_t election_ns = c->node->config->timing.election_max_ms * 1000 * 1000;

    if (leads && admin_desk_hand_over(&c->desk))
        c->handover_until_ns = lcore_clock_ns() + HANDOVER_ELECTIONS * election_ns;
    else
        begin_drain(c);
}

static void watch_handover(struct control *c)
{
    if (c->handover_until_ns == 0)
        return;
    if (c->desk.handover_tag == 0 || lcore_clock_ns() >= c->handover_until_ns)
        begin_drain(c);
}

static void take_signal(struct control *c)
{
    struct signalfd_siginfo info;

    if (read(c->signal_fd, &info, sizeof info) != (ssize_t)sizeof info)
        return;
    c->signals++;
    if (c->signals > 1)
        return;
    say(c, "asked to end by signal %u", info.ssi_signo);
    begin_end(c);
}

/* Says what changed since the last turn; the raft role only publishes it. */
static void watch_role(struct control *c)
{
    const struct node_view *v = c->node->view;
    const uint64_t role = published_get(&v->role);
    const uint64_t leader = published_get(&v->leader);
    const uint64_t term = published_get(&v->term);

    if (role == c->role && leader == c->leader && term == c->term)
        return;
    c->role = role;
    c->leader = leader;
    c->term = term;
    if (leader != 0)
        say(c, "%s in term %" PRIu64 ", the leader is node %" PRIu64, report_role_name(role), term,
            leader);
    else
        say(c, "%s in term %" PRIu64 ", no leader known", report_role_name(role), term);
}

static void watch_disk(struct control *c)
{
    char sentence[DISK_WATCH_BYTES];

    if (disk_watch_turn(&c->disk, c->node, lcore_clock_ns(), sentence))
        say(c, "%s", sentence);
}

/* A damaged log is repaired from the other nodes; what a disk does is the operator's business. */
static void watch_repair(struct control *c)
{
    const uint64_t holes = published_get(&c->node->counters->holes);

    if (holes == c->holes)
        return;
    if (holes != 0)
        say(c,
            "the log has damaged places (%" PRIu64 "): entries are fetched from the other nodes; "
            "look after the disk (skiff inspect wal %s)",
            holes, c->node->config->data);
    else
        say(c, "the log is whole again; entries that came from the other nodes: %" PRIu64,
            published_get(&c->node->counters->repaired));
    c->holes = holes;
}

/* Whoever starts the first node of a new cluster wonders why nothing happens. */
static void watch_beginning(struct control *c)
{
    struct view_member members[MEMBERS_VIEW_MAX];

    if (c->said_waiting || lcore_clock_ns() - c->begun_ns < BEGINNING_NS)
        return;
    c->said_waiting = true;
    if (members_view_read(&c->node->view->members, members) == 0)
        say(c, "no configuration yet: this node waits %s", report_waits(c->node));
}

/* A typing error in `cluster` looks like a dead peer otherwise. */
static void watch_strangers(struct control *c)
{
    if (c->said_foreign || published_get(&c->node->counters->frames[FRAME_CLUSTER_VERDICT]) == 0)
        return;
    c->said_foreign = true;
    say(c,
        "a node at the other end of a link is of another cluster than %" PRIu64 ": its frames are "
        "dropped; compare `cluster` in the configurations",
        c->node->config->cluster);
}

/* Nobody goes back on what it has promised but by a bug or a disk that lies. */
static void watch_promises(struct control *c)
{
    if (c->said_convicted || published_get(&c->node->counters->convicted) == 0)
        return;
    c->said_convicted = true;
    say(c, "a peer contradicted what it had acknowledged, voted or led: its message was dropped; "
           "look after the disks of the other nodes, and report it");
}

/* Two nodes have applied the same entries and got different states. */
static void watch_states(struct control *c)
{
    const bool corrupt = published_get(&c->node->counters->corrupt) != 0;

    if (corrupt && !c->said_corrupt)
        say(c, "CORRUPT: the nodes' states differ and no majority has the same: no writes are taken; "
               "start the nodes that are down, keep all directories, and report it");
    else if (!corrupt && c->said_corrupt)
        say(c, "a majority of the nodes has the same state: writes are taken");
    c->said_corrupt = corrupt;
}

static void control_turn(struct control *c)
{
    struct epoll_event events[SOURCE_COUNT];
    const bool waits = admin_desk_poll(&c->desk);
    const int count =
        epoll_wait(c->epoll_fd, events, SOURCE_COUNT, waits ? ANSWER_TURN_MS : TURN_MS);

    for (int i = 0; i < count; i++) {
        eventfd_t value;
        switch ((enum source)events[i].data.u32) {
        case SOURCE_SIGNAL:
            take_signal(c);
            break;
        case SOURCE_SOCKET:
            take_client(c);
            break;
        default:
            eventfd_read(c->node->control_fd, &value);
            break;
        }
    }
    port_dpdk_supervise(c->node->port, lcore_clock_ns());
    watch_role(c);
    watch_disk(c);
    watch_handover(c);
    watch_repair(c);
    watch_beginning(c);
    watch_strangers(c);
    watch_promises(c);
    watch_states(c);
}

/* The errno of an lcore that could not begin; 0: none. */
static uint64_t failed_lcore(const struct node *n)
{
    uint64_t failed = 0;

    for (uint32_t i = 0; i < n->lcore_count && failed == 0; i++)
        failed = published_get(&n->lcore[i].report.failed);
    return failed;
}

/* Whether the turns go on. */
static bool control_goes_on(const struct control *c)
{
    if (published_get(&c->node->view->stop) != 0 || failed_lcore(c->node) != 0)
        return false;
    if (c->signals == 0)
        return true;
    if (c->signals > 1)
        return false;
    return c->handover_until_ns != 0 ||
           (published_get(&c->node->drained) == 0 && lcore_clock_ns() < c->drain_until_ns);
}

static int watch(struct control *c, int fd, enum source source)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = source};
    return epoll_ctl(c->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -errno;
}

static int open_epoll(struct control *c)
{
    int result;

    c->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (c->epoll_fd < 0)
        return -errno;
    if ((result = watch(c, c->signal_fd, SOURCE_SIGNAL)) != 0)
        return result;
    if ((result = watch(c, c->listen_fd, SOURCE_SOCKET)) != 0)
        return result;
    return watch(c, c->node->control_fd, SOURCE_LCORES);
}

/* The last words of a node that stopped itself; its exit code. */
static int last_words(const struct control *c)
{
    const uint64_t stop = published_get(&c->node->view->stop);
    const uint64_t failed = failed_lcore(c->node);

    if (failed != 0) {
        say(c,
            "an lcore could not begin: %s; io_uring may be forbidden here (see: sysctl "
            "kernel.io_uring_disabled)",
            strerror((int)failed));
        return EXIT_START;
    }
    if (stop == 0) {
        say(c, "ended");
        return EXIT_OK;
    }
    const int code = EXIT_STOP_FIRST + (int)stop - 1;
    say(c,
        "STOPPED for good: %s (exit code %d). docs/OPERATING.md says what to do before it may be "
        "started again",
        replica_stop_text((enum replica_stop)stop), code);
    return code;
}

int control_run(struct node *n, int signal_fd, int listen_fd)
{
    struct control c = {
        .node = n,
        .signal_fd = signal_fd,
        .listen_fd = listen_fd,
        .desk = {.node = n},
        .disk = {.room_ns = lcore_clock_ns()},
        .begun_ns = lcore_clock_ns(),
    };
    const int result = open_epoll(&c);

    if (result != 0) {
        say(&c, "the control thread can't watch its fds: %s", strerror(-result));
        node_stop(n);
        return EXIT_START;
    }
    say(&c, "node %u of cluster %" PRIu64 ", boot %u, pid %ld: etcd clients at %s", n->config->node,
        n->config->cluster, n->superblock.boot, (long)getpid(), config_self(n->config)->client);
    while (control_goes_on(&c))
        control_turn(&c);
    node_stop(n);
    close(c.epoll_fd);
    return last_words(&c);
}
