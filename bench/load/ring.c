/* bench/load/ring.c: closed-loop writes through the door of a node, without sockets or gRPC.
 *
 * Goal       What the way from the door through the log to the answer costs beyond the disk: a lone
 *            writer waits for the leader's own flush and at most 100 us more.
 * Method     A node with a guest task on its raft role's lcore. While the node leads, the guest keeps
 *            `depth` puts of 16 B keys and 64 B values (or what is said) under way, the next when one is answered, and
 *            records how long each took, beside the newest flush of the node's own log. Run one for
 *            each member (bench/load/ring runs three); the one that leads does the measuring.
 *
 *     skiff-ring-load --config FILE [--depth 1] [--count 20000] [--pause-us 0]
 *                      [--value-bytes 64]
 *
 * Prints one line when it has its samples, then goes on as an ordinary node until it is ended.
 */
#include "base/histogram.h"
#include "node/config.h"
#include "node/control.h"
#include "node/control_socket.h"
#include "node/wiring.h"
#include "store/command.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DEPTH_MAX = 4096, KEYS = 10000, KEY_BYTES = 16, VALUE_BYTES = 64, VALUE_BYTES_MAX = 4096 };
enum { PUT_BYTES_MAX = VALUE_BYTES_MAX + 512 };

struct slot {
    uint64_t asked_ns; /* 0: free */
    uint64_t due_ns;
    uint8_t bytes[PUT_BYTES_MAX];
};

struct ring_load {
    struct node *node;
    uint32_t depth;
    uint32_t value_bytes;
    uint64_t count, pause_ns, warm_up;
    uint64_t asked, answered, refused;
    uint64_t began_ns;
    bool done;
    struct histogram write_ns, flush_ns;
    struct slot slot[DEPTH_MAX];
};

static struct ring_load load;

static uint64_t tag_of(const struct ring_load *l, uint32_t slot)
{
    return 1ull << REQUEST_DOOR_SHIFT | (l->asked + 1) << 16 | slot;
}

static bool ask(struct ring_load *l, uint32_t number, uint64_t now_ns)
{
    static const uint8_t value[VALUE_BYTES_MAX] = {'v'};
    struct slot *slot = &l->slot[number];
    char key[KEY_BYTES + 1];

    snprintf(key, sizeof key, "load/key-%07u", (uint32_t)(l->asked % KEYS));
    const struct command put = {
        .kind = COMMAND_PUT, .key = {(uint8_t *)key, KEY_BYTES}, .value = {value, l->value_bytes}};
    const struct request request = {
        .tag = tag_of(l, number),
        .bytes = slot->bytes,
        .length = command_encode(&put, slot->bytes),
        .kind = REQUEST_PROPOSE,
    };
    if (spsc_push(l->node->guest_door->to_raft, &request, sizeof request, 1) == 0)
        return false;
    slot->asked_ns = now_ns;
    l->asked++;
    return true;
}

static void report(const struct ring_load *l, uint64_t now_ns)
{
    const double seconds = (double)(now_ns - l->began_ns) / 1e9;
    const uint64_t write = histogram_quantile(&l->write_ns, 500000);
    const uint64_t flush = histogram_quantile(&l->flush_ns, 500000);

    printf("depth %u: %.0f writes/s; write p50 %.1f us p99 %.1f us; flush p50 %.1f us p99 %.1f us; "
           "beyond the flush p50 %.1f us; refused %lu\n",
           l->depth, (double)l->write_ns.count / seconds, (double)write / 1e3,
           (double)histogram_quantile(&l->write_ns, 990000) / 1e3, (double)flush / 1e3,
           (double)histogram_quantile(&l->flush_ns, 990000) / 1e3,
           ((double)write - (double)flush) / 1e3, (unsigned long)l->refused);
    fflush(stdout);
}

static void take_answer(struct ring_load *l, const struct answer *answer, uint64_t now_ns)
{
    struct slot *slot = &l->slot[answer->tag & 0xffff];

    l->answered++;
    l->refused += answer->status != ANSWER_OK;
    if (l->answered == l->warm_up)
        l->began_ns = now_ns;
    if (l->answered > l->warm_up && !l->done) {
        histogram_add(&l->write_ns, now_ns - slot->asked_ns);
        histogram_add(&l->flush_ns, published_get(&l->node->counters->flush_ns));
    }
    slot->asked_ns = 0;
    slot->due_ns = now_ns + l->pause_ns;
    if (!l->done && l->write_ns.count == l->count) {
        l->done = true;
        report(l, now_ns);
    }
}

static uint32_t ring_load_poll(void *context, uint64_t now_ns)
{
    struct ring_load *l = context;
    struct request_door *door = l->node->guest_door;
    const struct node_view *view = l->node->view;
    struct answer answer;
    uint32_t work = 0;

    while (spsc_pop(door->from_store, &answer, sizeof answer, 1) == 1 ||
           spsc_pop(door->from_raft, &answer, sizeof answer, 1) == 1) {
        take_answer(l, &answer, now_ns);
        request_door_release(door, &answer);
        work++;
    }
    if (l->done || published_get(&view->leader) != l->node->config->node)
        return work;
    for (uint32_t i = 0; i < l->depth; i++)
        if (l->slot[i].asked_ns == 0 && l->slot[i].due_ns <= now_ns && ask(l, i, now_ns))
            work++;
    return work;
}

static uint64_t ring_load_timer(void *context)
{
    const struct ring_load *l = context;
    uint64_t next = UINT64_MAX;

    for (uint32_t i = 0; i < l->depth && !l->done; i++)
        if (l->slot[i].asked_ns == 0 && l->slot[i].due_ns < next)
            next = l->slot[i].due_ns;
    /* While another leads there is nothing to time. */
    return published_get(&l->node->view->leader) == l->node->config->node ? next : UINT64_MAX;
}

static int run(const struct config *config)
{
    static const struct lcore_task guest = {.name = "load",
                                            .context = &load,
                                            .poll = ring_load_poll,
                                            .next_timer = ring_load_timer}; /* prints: not sealed */
    static struct node node;
    char error[NODE_ERROR_BYTES] = "";
    const int signal_fd = control_block_signals();

    load.node = &node;
    int code = node_open(&node, config, &guest, error, sizeof error);
    if (code != 0) {
        fprintf(stderr, "skiff-ring-load: %s\n", error);
        return code;
    }
    const int listen_fd = control_socket_listen(config->run, error, sizeof error);
    code = listen_fd < 0 ? 1 : node_start(&node, error, sizeof error);
    if (code == 0)
        code = control_run(&node, signal_fd, listen_fd);
    else
        fprintf(stderr, "skiff-ring-load: %s\n", error);
    node_close(&node);
    return code;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"depth", required_argument, NULL, 'd'},
                                            {"count", required_argument, NULL, 'n'},
                                            {"pause-us", required_argument, NULL, 'p'},
                                            {"value-bytes", required_argument, NULL, 'v'},
                                            {NULL, 0, NULL, 0}};
    struct config *config = NULL;
    const char *path = NULL;
    int option;

    load.depth = 1;
    load.count = 20000;
    load.value_bytes = VALUE_BYTES;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'c')
            path = optarg;
        else if (option == 'd')
            load.depth = (uint32_t)strtoul(optarg, NULL, 10);
        else if (option == 'n')
            load.count = strtoull(optarg, NULL, 10);
        else if (option == 'p')
            load.pause_ns = strtoull(optarg, NULL, 10) * 1000;
        else if (option == 'v')
            load.value_bytes = (uint32_t)strtoul(optarg, NULL, 10);
        else
            return 1;
    }
    load.warm_up = load.count / 10 + 1;
    if (path == NULL || load.depth == 0 || load.depth > DEPTH_MAX ||
        load.value_bytes > VALUE_BYTES_MAX) {
        fprintf(stderr,
                "skiff-ring-load: --config FILE is needed; --depth is 1 to %d, --value-bytes at most "
                "%d\n",
                DEPTH_MAX, VALUE_BYTES_MAX);
        return 1;
    }
    if (config_load(path, &config, stderr) != 0)
        return 2;
    const int code = run(config);
    config_free(config);
    return code;
}
