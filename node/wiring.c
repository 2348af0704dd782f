/* node/wiring.c: see wiring.h. What is opened later is closed first; the ladder in node_open() has
 * the order. */
#include "node/wiring.h"

#include "base/prng.h"
#include "base/record.h"
#include "dataplane/port_dpdk.h"
#include "node/exit_code.h"
#include "node/placement.h"
#include "persist/disk_uring.h"
#include "raftcore/raft.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    ALIGN = DISK_SECTOR,
    MS_NS = 1000 * 1000,
    S_NS = 1000 * 1000 * 1000,
    DOOR_API = 0, /* numbers of doors */
    DOOR_GUEST = 1,
    DOOR_ADMIN = NODE_DOOR_ADMIN,
    ADMIN_SLOTS = 4,
    ADMIN_ANSWER_BYTES = 4096, /* not used: its answers have no bytes */
};

static const uint64_t MIB = 1 << 20;

/* --- memory ------------------------------------------------------------------------------------ */

static size_t rounded(size_t bytes)
{
    return (bytes + ALIGN - 1) & ~(size_t)(ALIGN - 1);
}

/* Zeros, touched as they are used; NULL with a sentence in `error`. */
static uint8_t *map(size_t bytes, char *error, size_t error_bytes)
{
    uint8_t *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (memory != MAP_FAILED)
        return memory;
    snprintf(error, error_bytes,
             "%zu MiB of address space are not to be had: %s; make store.quota_mib or "
             "limits.record_memory_mib smaller",
             bytes >> 20, strerror(errno));
    return NULL;
}

/* The next piece of the node's own memory; its size was counted in map_memory(). */
static void *memory_take(struct node *n, size_t bytes)
{
    void *piece = n->memory + n->memory_used;

    n->memory_used += rounded(bytes);
    ASSERT(n->memory_used <= n->memory_bytes);
    return piece;
}

static int map_memory(struct node *n, char *error, size_t error_bytes)
{
    const uint32_t slots = (uint32_t)n->config->limits.requests;
    const uint64_t answer_bytes = n->config->limits.answers_mib * MIB;
    const size_t lcore_bytes = n->config->lcores_count * sizeof *n->lcore;

    n->memory_bytes = rounded(sizeof *n->view) + rounded(sizeof *n->counters) +
                      rounded(lcore_bytes) + DISK_SECTOR +
                      (n->guest == NULL ? 1 : 2) * rounded(request_door_bytes(slots, answer_bytes)) +
                      rounded(request_door_bytes(ADMIN_SLOTS, ADMIN_ANSWER_BYTES));
    n->memory = map(n->memory_bytes, error, error_bytes);
    if (n->memory == NULL)
        return EXIT_START;
    n->view = memory_take(n, sizeof *n->view);
    n->counters = memory_take(n, sizeof *n->counters);
    n->lcore = memory_take(n, lcore_bytes);
    n->door = request_door_init(memory_take(n, request_door_bytes(slots, answer_bytes)), DOOR_API,
                                slots, answer_bytes);
    if (n->guest != NULL)
        n->guest_door = request_door_init(memory_take(n, request_door_bytes(slots, answer_bytes)),
                                          DOOR_GUEST, slots, answer_bytes);
    n->admin_door = request_door_init(
        memory_take(n, request_door_bytes(ADMIN_SLOTS, ADMIN_ANSWER_BYTES)), DOOR_ADMIN,
        ADMIN_SLOTS, ADMIN_ANSWER_BYTES);
    n->superblock_buffer = memory_take(n, DISK_SECTOR);
    return 0;
}

/* --- options ----------------------------------------------------------------------------------- */

/* Addresses of a cable between two processes: made up, but the same from both ends. */
static void make_route(struct frame_route *route, uint16_t from, uint16_t to)
{
    const uint8_t source[6] = {0x02, 'S', 'K', 0, (uint8_t)(from >> 8), (uint8_t)from};
    const uint8_t target[6] = {0x02, 'S', 'K', 0, (uint8_t)(to >> 8), (uint8_t)to};

    memcpy(route->source_mac, source, sizeof source);
    memcpy(route->target_mac, target, sizeof target);
    route->source_ip = (10u << 24) | from;
    route->target_ip = (10u << 24) | to;
}

static void set_members(struct replica_options *options, const struct config *config)
{
    uint32_t link = 0;

    static_assert((int)CONFIG_MEMBERS_MAX == (int)RAFT_MEMBERS_MAX, "whoever is named has a place");
    options->members.count = config->members_count;
    for (uint32_t i = 0; i < config->members_count; i++) {
        const uint16_t node = config->members[i].node;
        options->members.member[i] = (struct raft_member){
            .node = node,
            .priority = config->members[i].priority,
            .voter = config->members[i].joins == 0,
        };
        if (node != config->node)
            make_route(&options->route[link++], config->node, node);
    }
}

static struct replica_options make_options(const struct node *n)
{
    const struct config *c = n->config;
    const struct config_limits *l = &c->limits;
    struct replica_options options = {
        .cluster = c->cluster,
        .incarnation = n->superblock.incarnation,
        .boot = n->superblock.boot,
        .node = c->node,
        .start_ns = lcore_clock_ns(),
        .heartbeat_ns = c->timing.heartbeat_ms * MS_NS,
        .election_min_ns = c->timing.election_min_ms * MS_NS,
        .election_max_ns = c->timing.election_max_ms * MS_NS,
        .resend_ns = c->timing.resend_ms * MS_NS,
        .request_timeout_ns = c->timing.request_timeout_ms * MS_NS,
        .quota_bytes = c->store.quota_mib * MIB,
        .pin_bytes = c->store.pin_mib * MIB,
        .record_memory_bytes = l->record_memory_mib * MIB,
        .record_payload_bytes_max = RECORD_PAYLOAD_BYTES_MAX,
        .window = (uint32_t)l->window,
        .caught_up_lag = (uint32_t)l->caught_up_lag,
        .store_budget = STORE_BUDGET,
        .digest_every = DIGEST_EVERY,
        .promote_ns = c->timing.promote_ms * MS_NS,
        .lease_reads = c->reads == CONFIG_READS_LEASE,
        .inflight_msgs_max = (uint32_t)l->inflight_msgs,
        .inflight_bytes_max = (uint32_t)(l->inflight_kib << 10),
        .requests_max = (uint32_t)l->requests,
        .credit_window = (uint32_t)l->credit_frames,
        .gate_max = (uint32_t)l->gated_messages,
        .rings = {.control = (uint32_t)l->ring_control,
                  .data = (uint32_t)l->ring_data,
                  .persist = (uint32_t)l->ring_persist,
                  .store = (uint32_t)l->ring_store,
                  .tx = (uint32_t)l->ring_tx},
        .wal = {.cluster = c->cluster,
                .incarnation = n->superblock.incarnation,
                .segment_bytes = c->log.segment_mib * MIB,
                .batch_bytes = (uint32_t)(c->log.batch_kib << 10),
                .boot = n->superblock.boot,
                .node = c->node,
                .buffer_count = (uint32_t)c->log.batch_buffers,
                .flights = (uint32_t)c->log.flights,
                .segments_ahead = (uint32_t)c->log.segments_ahead,
                .spares_max = (uint32_t)c->log.segment_spares,
                .zeros_bytes = WAL_ZEROS_BYTES_DEFAULT,
                .zeros_batch_bytes = WAL_ZEROS_BATCH_BYTES_DEFAULT,
                .share_percent = (uint32_t)c->log.background_percent,
                .sync_by_fsync = c->log.flush == CONFIG_FLUSH_FDATASYNC},
        .snapshots = {.log_bytes = c->snapshot.log_mib * MIB,
                      .entries = c->snapshot.entries,
                      .age_ns = c->snapshot.age_s * S_NS,
                      .trailing_bytes = c->snapshot.trailing_mib * MIB,
                      .needed_bytes = c->snapshot.needed_mib * MIB,
                      .chunk_bytes = SNAPSHOT_CHUNK_BYTES},
        .port = n->port,
        .disk = n->disk,
        .view = n->view,
        .counters = n->counters,
        .door_count = n->guest == NULL ? 2 : 3,
        .door = {n->door, n->admin_door, n->guest_door},
    };

    set_members(&options, c);
    return options;
}

/* The id by which etcd clients know a member: the same on every node, different for each. */
static uint64_t member_id(const struct config *config, uint16_t node)
{
    struct prng prng;
    prng_seed(&prng, config->cluster + node);
    return prng_next(&prng);
}

static void set_api_member(struct api_member *member, const struct config *config, uint32_t i)
{
    const struct config_member *m = &config->members[i];

    member->id = member_id(config, m->node);
    member->node = m->node;
    snprintf(member->name, sizeof member->name, "%s", m->name);
    snprintf(member->client_url, sizeof member->client_url, "http://%s", m->client);
    snprintf(member->peer_url, sizeof member->peer_url, "memif://node%u", m->node);
}

static int open_api(struct node *n, char *error, size_t error_bytes)
{
    char host[CONFIG_ADDRESS_BYTES];
    const struct config *c = n->config;
    struct api_options options = {
        .listen_host = host,
        .cluster_id = c->cluster,
        .member_id = member_id(c, c->node),
        .member_count = c->members_count,
        .door = n->door,
        .view = n->view,
        .connections_max = (uint32_t)c->limits.connections,
        .streams_max = (uint32_t)c->limits.streams,
        .heap_bytes_max = c->limits.api_heap_mib * MIB,
        .request_timeout_ns = c->timing.request_timeout_ms * MS_NS,
    };

    if (!config_split_address(config_self(c)->client, host, &options.listen_port))
        return EXIT_CONFIG;
    for (uint32_t i = 0; i < c->members_count; i++)
        set_api_member(&options.member[i], c, i);
    return api_open(&n->api, &options, error, error_bytes) == 0 ? 0 : EXIT_START;
}

/* --- opening ----------------------------------------------------------------------------------- */

static int open_port(struct node *n, char *error, size_t error_bytes)
{
    const struct config *c = n->config;
    struct port_dpdk_options options = {
        .node = c->node,
        .run_directory = c->links,
        .rx_held_max = (uint32_t)(2 * (c->limits.ring_control + c->limits.ring_data)),
    };

    for (uint32_t i = 0; i < c->members_count; i++) {
        if (c->members[i].node != c->node)
            options.link[options.link_count++].peer = c->members[i].node;
    }
    for (uint32_t i = 0; i < n->lcore_count; i++) {
        const struct config_lcore *l = &c->lcores[i];
        if (placement_has(l, CONFIG_ROLE_RX) || placement_has(l, CONFIG_ROLE_TX))
            options.lcore[options.lcore_count++] = n->lcore[i].bell.word;
    }
    return port_dpdk_open(&options, &n->port, error, error_bytes) == 0 ? 0 : EXIT_START;
}

/* Whose directory it is; then a new boot number, made durable before anybody hears from us. */
static int read_superblock(struct node *n, char *error, size_t error_bytes)
{
    const struct superblock wanted = {.cluster = n->config->cluster, .node = n->config->node};
    int result = superblock_read(n->disk, n->superblock_buffer, &n->superblock);

    if (result != 0) {
        snprintf(error, error_bytes,
                 "the superblock in %s can't be used: %s; look with: skiff inspect superblock %s",
                 n->datadir.path, superblock_problem(result), n->datadir.path);
        return EXIT_DATA;
    }
    if (datadir_check_owner(&n->datadir, &n->superblock, &wanted, error, error_bytes) != 0)
        return EXIT_DATA;
    result = superblock_boot(n->disk, n->superblock_buffer, &n->superblock);
    if (result == 0)
        return 0;
    snprintf(error, error_bytes, "the superblock in %s can't be written: %s", n->datadir.path,
             strerror(-result));
    return EXIT_DATA;
}

static int make_folders(const struct config *config, char *error, size_t error_bytes)
{
    const char *const folders[] = {config->run, config->links};

    for (uint32_t i = 0; i < 2; i++) {
        const int result = datadir_make_folders(folders[i]);
        if (result == 0)
            continue;
        snprintf(error, error_bytes, "the folder %s can't be made: %s", folders[i],
                 strerror(-result));
        return EXIT_START;
    }
    return 0;
}

static int open_replica(struct node *n, char *error, size_t error_bytes)
{
    const struct replica_options options = make_options(n);
    char reason[NODE_ERROR_BYTES] = "";

    n->replica_bytes = rounded(replica_bytes(&options));
    n->replica_memory = map(n->replica_bytes, error, error_bytes);
    if (n->replica_memory == NULL)
        return EXIT_START;
    if (replica_open(&n->replica, n->replica_memory, &options, reason, sizeof reason) == 0)
        return 0;
    snprintf(error, error_bytes, "data directory %s: %s", n->datadir.path, reason);
    munmap(n->replica_memory, n->replica_bytes);
    return EXIT_DATA;
}

static int open_disk(struct node *n, char *error, size_t error_bytes)
{
    const struct disk_uring_options options = {
        .registered_bytes_max = (uint64_t)n->config->log.registered_kib << 10};

    if (disk_uring_open(n->datadir.path, &options, &n->disk, error, error_bytes) != 0)
        return EXIT_START;
    if (!disk_uring_is_direct(n->disk))
        fprintf(stderr,
                "skiff: %s: this file system has no O_DIRECT; writes go through the page "
                "cache, with the same flushes\n",
                n->datadir.path);
    return 0;
}

int node_open(struct node *n, const struct config *config, const struct lcore_task *guest,
              char *error, size_t error_bytes)
{
    int code;

    *n = (struct node){.config = config, .guest = guest};
    if (datadir_open(&n->datadir, config->data, error, error_bytes) != 0)
        return EXIT_DATA;
    if ((code = make_folders(config, error, error_bytes)) != 0)
        goto close_datadir;
    n->control_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if ((code = map_memory(n, error, error_bytes)) != 0)
        goto close_control;
    /* Before anything is written: the most likely thing to be taken is the client port. */
    if ((code = open_api(n, error, error_bytes)) != 0)
        goto unmap;
    if ((code = open_disk(n, error, error_bytes)) != 0)
        goto close_api;
    if ((code = read_superblock(n, error, error_bytes)) != 0)
        goto close_disk;
    if ((code = placement_open(n, error, error_bytes)) != 0)
        goto close_disk;
    if ((code = open_port(n, error, error_bytes)) != 0)
        goto close_bells;
    if ((code = open_replica(n, error, error_bytes)) != 0)
        goto close_port;
    return 0;
close_port:
    port_dpdk_close(n->port);
close_bells:
    placement_close(n);
close_disk:
    disk_uring_close(n->disk);
close_api:
    api_close(n->api);
unmap:
    munmap(n->memory, n->memory_bytes);
close_control:
    close(n->control_fd);
close_datadir:
    datadir_close(&n->datadir);
    return code;
}

void node_close(struct node *n)
{
    munmap(n->replica_memory, n->replica_bytes);
    port_dpdk_close(n->port);
    placement_close(n);
    disk_uring_close(n->disk);
    api_close(n->api);
    munmap(n->memory, n->memory_bytes);
    close(n->control_fd);
    datadir_close(&n->datadir);
}
