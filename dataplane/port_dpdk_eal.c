/* dataplane/port_dpdk_eal.c: EAL's command line, the devices and the pools. Every mistake of a
 * configuration and every refusal of the system ends in a sentence here.
 */
#include "dataplane/port_dpdk_internal.h"

#include "base/assert.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <rte_mbuf.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum {
    ARGUMENTS_MAX = 16 + PORT_LINKS_MAX,
    ARGUMENT_BYTES = 512,
    CPUS_MAX = 64, /* control thread and interrupt thread need no more to choose from */
    MBUF_ROOM_BYTES = RTE_PKTMBUF_HEADROOM + PORT_DPDK_MBUF_BYTES,
    MBUF_ALL_BYTES = 4096, /* with both headers: without huge pages no mbuf straddles a page, and two
                              don't fit into one */
    EAL_MEGABYTES = 24,                     /* for EAL, memif and the pools' own structures */
};

struct arguments {
    int count;
    char text[ARGUMENTS_MAX][ARGUMENT_BYTES];
    char *value[ARGUMENTS_MAX + 1];
};

struct failure {
    char *text;
    size_t bytes;
};

static int check_links(const struct port_dpdk_options *o, const struct failure *f);
static int take_directory(struct port *p, const struct port_dpdk_options *o,
                          const struct failure *f);
static int make_link(struct port *p, const struct port_dpdk_options *o, uint32_t index,
                     const struct failure *f);
static int start_eal(const struct port *p, const struct port_dpdk_options *o,
                     const struct failure *f);
static int open_link(struct port_link *link, const struct port_dpdk_options *o,
                     const struct failure *f);

__attribute__((format(printf, 3, 4))) static int fail(const struct failure *f, int result,
                                                      const char *format, ...)
{
    va_list values;

    ASSERT(result < 0);
    va_start(values, format);
    (void)vsnprintf(f->text, f->bytes, format, values);
    va_end(values);
    return result;
}

int port_dpdk_eal_start(struct port *p, const struct port_dpdk_options *options, char *error,
                        size_t error_bytes)
{
    const struct failure f = {.text = error, .bytes = error_bytes};
    int result = check_links(options, &f);

    if (result == 0)
        result = take_directory(p, options, &f);
    if (result < 0)
        return result;
    for (uint32_t i = 0; i < options->link_count && result == 0; i++)
        result = make_link(p, options, i, &f);
    if (result == 0)
        result = start_eal(p, options, &f);
    for (uint32_t i = 0; i < options->link_count && result == 0; i++)
        result = open_link(&p->link[i], options, &f);
    if (result < 0) {
        close(p->lock);
        return result;
    }
    p->link_count = options->link_count;
    return 0;
}

/* The path goes into a device string of EAL, where some characters have a meaning. */
static bool is_plain_path(const char *path)
{
    for (; *path != '\0'; path++)
        if (!isalnum((unsigned char)*path) && strchr("/._-+@~", *path) == NULL)
            return false;
    return true;
}

static int check_links(const struct port_dpdk_options *o, const struct failure *f)
{
    if (strlen(o->run_directory) > PORT_DPDK_PATH_BYTES_MAX)
        return fail(f, -ENAMETOOLONG,
                    "run directory '%s' is %zu bytes long: %d are allowed, because the path of a "
                    "socket in it may have %d",
                    o->run_directory, strlen(o->run_directory), PORT_DPDK_PATH_BYTES_MAX,
                    PORT_DPDK_SOCKET_BYTES - 1);
    if (!is_plain_path(o->run_directory))
        return fail(f, -EINVAL,
                    "run directory '%s': only letters, digits and /._-+@~ are allowed in its path",
                    o->run_directory);
    if (o->rx_held_max > PORT_DPDK_RX_HELD_MAX)
        return fail(f, -EINVAL, "rings for received frames have %u slots together: at most %d",
                    o->rx_held_max, PORT_DPDK_RX_HELD_MAX);
    for (uint32_t i = 0; i < o->link_count; i++) {
        const struct port_dpdk_link *const link = &o->link[i];
        if (link->device == NULL && (link->peer == 0 || link->peer == o->node))
            return fail(f, -EINVAL, "link %u: a memif link leads to another node, not to %u", i,
                        link->peer);
        if (link->device != NULL && strlen(link->device) >= PORT_DPDK_DEVICE_BYTES_MAX)
            return fail(f, -EINVAL, "link %u: its device is longer than %d bytes", i,
                        PORT_DPDK_DEVICE_BYTES_MAX - 1);
        for (uint32_t j = 0; j < i; j++)
            if (link->peer != 0 && link->peer == o->link[j].peer)
                return fail(f, -EINVAL, "links %u and %u both lead to node %u", j, i, link->peer);
    }
    return 0;
}

/* From here on what this node left in the directory is ours to remove. */
static int take_directory(struct port *p, const struct port_dpdk_options *o,
                          const struct failure *f)
{
    char path[PORT_DPDK_PATH_BYTES_MAX + 32];

    *p = (struct port){.node = o->node};
    memcpy(p->run_directory, o->run_directory, strlen(o->run_directory) + 1);
    (void)snprintf(path, sizeof path, "%s/node-%u.lock", o->run_directory, o->node);
    p->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (p->lock < 0)
        return fail(f, -errno, "run directory: can't open %s: %s", path, strerror(errno));
    if (flock(p->lock, LOCK_EX | LOCK_NB) != 0) {
        const int result = errno == EWOULDBLOCK ? -EBUSY : -errno;
        close(p->lock);
        return fail(f, result, "node %u runs already in run directory %s (%s is locked)", o->node,
                    o->run_directory, path);
    }
    return 0;
}

/* memif neither removes its socket when it dies nor replaces one that it finds. */
static int make_link(struct port *p, const struct port_dpdk_options *o, uint32_t index,
                     const struct failure *f)
{
    const struct port_dpdk_link *const from = &o->link[index];
    struct port_link *const link = &p->link[index];

    link->peer = from->peer;
    if (from->device != NULL) {
        const size_t length = strcspn(from->device, ",");
        if (length >= sizeof link->name)
            return fail(f, -EINVAL, "link %u: the name of its device is too long", index);
        memcpy(link->name, from->device, length);
        return 0;
    }
    const raft_node low = o->node < from->peer ? o->node : from->peer;
    const raft_node high = o->node < from->peer ? from->peer : o->node;
    link->memif = true;
    link->server = o->node == low;
    (void)snprintf(link->name, sizeof link->name, "net_memif%u", index);
    const int length = snprintf(link->socket, sizeof link->socket, "%s/link-%u-%u.sock",
                                p->run_directory, low, high);
    ASSERT(length > 0);
    ASSERT(length < PORT_DPDK_SOCKET_BYTES);
    if (link->server && unlink(link->socket) != 0 && errno != ENOENT)
        return fail(f, -errno, "can't remove the stale socket %s: %s", link->socket,
                    strerror(errno));
    return 0;
}

__attribute__((format(printf, 2, 3))) static void argue(struct arguments *a, const char *format,
                                                        ...)
{
    va_list values;

    ASSERT(a->count < ARGUMENTS_MAX);
    va_start(values, format);
    const int length = vsnprintf(a->text[a->count], ARGUMENT_BYTES, format, values);
    va_end(values);
    ASSERT(length < ARGUMENT_BYTES);
    a->value[a->count] = a->text[a->count];
    a->count++;
}

/* One EAL lcore, number 0, that is the calling thread and stays where it may run now: the node's
 * lcores are threads of its own. */
static void argue_cpus(struct arguments *a)
{
    char set[ARGUMENT_BYTES / 2] = "";
    uint32_t length = 0;
    uint32_t taken = 0;
    cpu_set_t cpus;

    CPU_ZERO(&cpus);
    if (sched_getaffinity(0, sizeof cpus, &cpus) != 0)
        CPU_SET(0, &cpus);
    for (uint32_t cpu = 0; cpu < CPU_SETSIZE && taken < CPUS_MAX; cpu++) {
        if (!CPU_ISSET(cpu, &cpus) || length + 8 > sizeof set)
            continue;
        length += (uint32_t)snprintf(set + length, sizeof set - length, "%s%u",
                                     taken > 0 ? "," : "", cpu);
        taken++;
    }
    argue(a, "--lcores=0@(%s)", set);
}

static uint32_t rx_mbufs(const struct port_link *link, const struct port_dpdk_options *o)
{
    /* Those lent out, one burst being sorted, one that memif takes before it looks how many it
     * needs; and what a real NIC keeps in its descriptors. */
    return o->rx_held_max + 2 * PORT_BURST_MAX + (link->memif ? 0 : PORT_DPDK_DESCRIPTORS);
}

static uint32_t tx_mbufs(const struct port_link *link)
{
    /* One burst being filled and one being sent; and what a real NIC has not yet sent. */
    return 2 * PORT_BURST_MAX + (link->memif ? 0 : PORT_DPDK_DESCRIPTORS);
}

static uint32_t megabytes(const struct port *p, const struct port_dpdk_options *o)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < o->link_count; i++)
        bytes += (uint64_t)MBUF_ALL_BYTES * (rx_mbufs(&p->link[i], o) + tx_mbufs(&p->link[i]));
    return EAL_MEGABYTES + (uint32_t)(bytes >> 20) + 1;
}

static void argue_devices(struct arguments *a, const struct port *p,
                          const struct port_dpdk_options *o)
{
    bool pci = false;

    for (uint32_t i = 0; i < o->link_count; i++) {
        const struct port_link *const link = &p->link[i];
        const char *const device = o->link[i].device;
        if (link->memif) {
            argue(a,
                  "--vdev=%s,role=%s,socket=%s,socket-abstract=no,bsize=%d,rsize=%d,"
                  "zero-copy=no",
                  link->name, link->server ? "server" : "client", link->socket,
                  PORT_DPDK_MBUF_BYTES, PORT_DPDK_RING_LOG2);
        } else if (strncmp(device, "net_", 4) == 0) {
            argue(a, "--vdev=%s", device);
        } else {
            argue(a, "--allow=%s", device);
            pci = true;
        }
    }
    if (!pci)
        argue(a, "--no-pci");
}

static int start_eal(const struct port *p, const struct port_dpdk_options *o,
                     const struct failure *f)
{
    static struct arguments a; /* EAL keeps pointers to them */

    argue(&a, "skiff");
    argue(&a, "--no-huge");
    argue(&a, "-m%u", megabytes(p, o));
    argue(&a, "--no-shconf");
    argue(&a, "--no-telemetry");
    argue(&a, "--file-prefix=node-%u", o->node);
    argue(&a, "--log-level=error");
    argue_cpus(&a);
    argue_devices(&a, p, o);

    /* Else EAL makes /tmp/dpdk, which belongs to its first user for ever. */
    if (setenv("RUNTIME_DIRECTORY", p->run_directory, 1) != 0)
        return fail(f, -errno, "no memory for an environment variable");
    if (rte_eal_init(a.count, a.value) < 0)
        return fail(f, -EIO, "DPDK did not start: %s; its own messages are above",
                    rte_strerror(rte_errno));
    /* A peer that is not there is no error: the links' counters say it. */
    (void)rte_log_set_level_pattern("pmd.net.memif*", RTE_LOG_CRIT);
    return 0;
}

static int make_pools(struct port_link *link, const struct port_dpdk_options *o,
                      const struct failure *f)
{
    char name[RTE_MEMPOOL_NAMESIZE];

    /* Each has one lcore that takes and frees, so one producer and one consumer, and no cache. */
    (void)snprintf(name, sizeof name, "rx-%u", link->id);
    link->rx_pool = rte_pktmbuf_pool_create_by_ops(name, rx_mbufs(link, o), 0, 0, MBUF_ROOM_BYTES,
                                                   SOCKET_ID_ANY, "ring_sp_sc");
    (void)snprintf(name, sizeof name, "tx-%u", link->id);
    link->tx_pool = rte_pktmbuf_pool_create_by_ops(name, tx_mbufs(link), 0, 0, MBUF_ROOM_BYTES,
                                                   SOCKET_ID_ANY, "ring_sp_sc");
    if (link->rx_pool == NULL || link->tx_pool == NULL)
        return fail(f, -ENOMEM, "link to node %u: no memory for its buffers: %s", link->peer,
                    rte_strerror(rte_errno));
    return 0;
}

static int open_link(struct port_link *link, const struct port_dpdk_options *o,
                     const struct failure *f)
{
    const struct rte_eth_conf conf = {0};
    uint16_t rx_descriptors = PORT_DPDK_DESCRIPTORS;
    uint16_t tx_descriptors = PORT_DPDK_DESCRIPTORS;

    /* rte_eal_init() calls a device that failed a success. */
    if (rte_eth_dev_get_port_by_name(link->name, &link->id) != 0)
        return fail(f, -ENODEV, "link to node %u: DPDK made no port of device %s%s%s", link->peer,
                    link->name, link->memif ? "; is this directory writable: " : "",
                    link->memif ? o->run_directory : "");
    int result = make_pools(link, o, f);
    if (result < 0)
        return result;
    result = rte_eth_dev_configure(link->id, 1, 1, &conf);
    if (result == 0)
        result = rte_eth_dev_adjust_nb_rx_tx_desc(link->id, &rx_descriptors, &tx_descriptors);
    if (result == 0)
        result = rte_eth_rx_queue_setup(link->id, 0, rx_descriptors, (unsigned)SOCKET_ID_ANY, NULL,
                                        link->rx_pool);
    if (result == 0)
        result = rte_eth_tx_queue_setup(link->id, 0, tx_descriptors, (unsigned)SOCKET_ID_ANY, NULL);
    if (result < 0)
        return fail(f, result, "link to node %u: device %s can't be set up: %s", link->peer,
                    link->name, rte_strerror(-result));
    return 0;
}
