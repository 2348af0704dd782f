/* node/placement.c: see placement.h. */
#include "node/placement.h"

#include "base/assert.h"
#include "node/exit_code.h"
#include "persist/disk_uring.h"

#include <stdio.h>
#include <string.h>

static uint32_t poll_role(void *context, uint64_t now_ns)
{
    const struct node_role *role = context;
    return replica_poll(role->node->replica, role->role, now_ns);
}

static uint64_t role_timer(void *context)
{
    const struct node_role *role = context;
    return replica_next_timer(role->node->replica, role->role);
}

static uint32_t poll_api(void *context, uint64_t now_ns)
{
    struct node *n = context;

    if (published_get(&n->drain) != 0 && published_get(&n->drained) == 0)
        published_set(&n->drained, api_shutdown(n->api, now_ns));
    return api_poll(n->api, now_ns);
}

static uint64_t api_timer(void *context)
{
    const struct node *n = context;
    return api_next_timer(n->api);
}

static bool disk_is_flushing(void *context)
{
    const struct node *n = context;
    return disk_in_flight(n->disk) > 0;
}

static enum replica_role replica_role_of(enum config_role role)
{
    static const enum replica_role roles[CONFIG_ROLE_COUNT] = {
        [CONFIG_ROLE_RX] = REPLICA_RX,           [CONFIG_ROLE_RAFT] = REPLICA_RAFT,
        [CONFIG_ROLE_PERSIST] = REPLICA_PERSIST, [CONFIG_ROLE_STORE] = REPLICA_STORE,
        [CONFIG_ROLE_TX] = REPLICA_TX,
    };
    ASSERT(role != CONFIG_ROLE_API);
    return roles[role];
}

static int enter_persist(void *context)
{
    const struct node_role *role = context;
    struct disk *const disk = role->node->disk;
    const int enabled = disk_uring_enable(disk);

    if (enabled == 0 && disk_uring_registered(disk) < 0)
        fprintf(stderr,
                "skiff: the kernel does not register the log's buffers (%s): writes go without, which "
                "is slower by little and as safe; raise the limit of locked memory (systemd: "
                "LimitMEMLOCK), or set log.registered_kib to 0\n",
                strerror((int)-disk_uring_registered(disk)));
    return enabled;
}

static void add_role(struct node *n, struct lcore *l, enum config_role role)
{
    struct lcore_task *task = &l->task[l->task_count++];

    if (role == CONFIG_ROLE_API) {
        *task = (struct lcore_task){
            .name = "api", .context = n, .poll = poll_api, .next_timer = api_timer};
        l->fd[l->fd_count++] = (struct lcore_fd){.fd = api_fd(n->api)};
        return;
    }
    const enum replica_role of = replica_role_of(role);
    n->role[of] = (struct node_role){.node = n, .role = of};
    *task = (struct lcore_task){.name = config_role_name(role),
                                .context = &n->role[of],
                                .poll = poll_role,
                                .next_timer = role_timer,
                                .sealed = true};
    if (role != CONFIG_ROLE_PERSIST)
        return;
    task->enter = enter_persist;
    l->fd[l->fd_count++] = (struct lcore_fd){.fd = disk_uring_fd(n->disk), .counter = true};
    l->flushing = disk_is_flushing;
    l->flushing_context = n;
}

bool placement_has(const struct config_lcore *l, enum config_role role)
{
    for (uint32_t i = 0; i < l->roles_count; i++) {
        if (l->roles[i] == (int)role)
            return true;
    }
    return false;
}

/* The one that takes frames has the name by which peers ring. */
static int open_bell(struct node *n, uint32_t number, char *error, size_t error_bytes)
{
    const struct config *c = n->config;
    char name[BELL_NAME_BYTES_MAX];

    if (placement_has(&c->lcores[number], CONFIG_ROLE_RX))
        bell_name_of_node(c->node, name);
    else
        snprintf(name, sizeof name, "n%u-lcore%u", c->node, number);
    return bell_create(&n->lcore[number].bell, c->links, name, error, error_bytes);
}

int placement_open(struct node *n, char *error, size_t error_bytes)
{
    const struct config *c = n->config;

    if (c->idle == CONFIG_IDLE_BUSY && c->lcores_count > lcore_cpu_count()) {
        snprintf(error, error_bytes,
                 "idle: busy needs a CPU for each lcore: the configuration has %u lcores, this "
                 "process may use %u CPUs; say idle: adaptive, or put more roles on one lcore",
                 c->lcores_count, lcore_cpu_count());
        return EXIT_START;
    }
    for (uint32_t i = 0; i < c->lcores_count; i++) {
        n->lcore[i] = (struct lcore){
            .number = i,
            .cpu = c->lcores[i].cpu != NULL ? (int)*c->lcores[i].cpu : LCORE_CPU_ANY,
            .idle = (enum config_idle)c->idle,
            .stop = &n->stop,
            .role_stop = &n->view->stop,
            .control_fd = n->control_fd,
        };
        if (open_bell(n, i, error, error_bytes) != 0)
            goto close_bells;
        n->lcore_count++;
    }
    return 0;
close_bells:
    for (uint32_t i = 0; i < n->lcore_count; i++)
        bell_close(&n->lcore[i].bell);
    n->lcore_count = 0;
    return EXIT_START;
}

void placement_close(struct node *n)
{
    for (uint32_t i = 0; i < n->lcore_count; i++)
        bell_close(&n->lcore[i].bell);
}

void node_ring(struct node *n)
{
    for (uint32_t i = 0; i < n->lcore_count; i++)
        bell_wake(&n->lcore[i].bell);
}

int node_start(struct node *n, char *error, size_t error_bytes)
{
    const struct config *c = n->config;

    for (uint32_t i = 0; i < n->lcore_count; i++) {
        struct lcore *l = &n->lcore[i];
        for (int role = 0; role < CONFIG_ROLE_COUNT; role++) {
            if (placement_has(&c->lcores[i], (enum config_role)role))
                add_role(n, l, (enum config_role)role);
        }
        if (n->guest != NULL && placement_has(&c->lcores[i], CONFIG_ROLE_RAFT))
            l->task[l->task_count++] = *n->guest;
        for (uint32_t j = 0; j < n->lcore_count; j++) {
            if (j != i)
                l->other[l->other_count++] = &n->lcore[j].bell;
        }
    }
    for (uint32_t i = 0; i < n->lcore_count; i++) {
        if (lcore_start(&n->lcore[i], error, error_bytes) == 0)
            continue;
        published_set(&n->stop, 1);
        node_ring(n);
        for (uint32_t j = 0; j < i; j++)
            lcore_join(&n->lcore[j]);
        return EXIT_START;
    }
    return 0;
}

void node_drain(struct node *n)
{
    published_set(&n->drain, 1);
    node_ring(n);
}

void node_stop(struct node *n)
{
    published_set(&n->stop, 1);
    node_ring(n);
    for (uint32_t i = 0; i < n->lcore_count; i++)
        lcore_join(&n->lcore[i]);
}
