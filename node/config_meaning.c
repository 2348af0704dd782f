/* node/config_meaning.c: what relates several values of a configuration to each other. */
#include "node/config_internal.h"

#include "dataplane/port_dpdk.h"
#include "persist/wal.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_BYTES = 64 };

static const char NAME_CHARACTERS[] =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

/* A memif link is named to DPDK in a list of its own syntax. */
static const char LINKS_CHARACTERS[] =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+@~";

bool config_split_address(const char *address, char *host, uint16_t *port)
{
    const char *colon = strrchr(address, ':');
    struct in_addr parsed;
    char *end;

    if (colon == NULL || colon[1] < '0' || colon[1] > '9' ||
        (size_t)(colon - address) >= CONFIG_ADDRESS_BYTES)
        return false;
    const unsigned long number = strtoul(colon + 1, &end, 10);
    if (*end != '\0' || number == 0 || number > 65535)
        return false;
    memcpy(host, address, (size_t)(colon - address));
    host[colon - address] = '\0';
    *port = (uint16_t)number;
    return inet_pton(AF_INET, host, &parsed) == 1;
}

/* Two entries of `members` that say the same where they must differ. */
static void check_member_pair(struct config_source *source, const struct config *config, uint32_t i,
                              uint32_t j)
{
    const struct config_member *a = &config->members[i];
    const struct config_member *b = &config->members[j];
    char path[PATH_BYTES];

    snprintf(path, sizeof path, "members[%u].node", j);
    if (a->node == b->node)
        config_complain(source, config_source_line(source, path),
                        "node %u stands in members twice; each member needs a number of its own",
                        b->node);
    snprintf(path, sizeof path, "members[%u].name", j);
    if (strcmp(a->name, b->name) == 0)
        config_complain(source, config_source_line(source, path),
                        "the name \"%s\" stands in members twice; each member needs its own",
                        b->name);
    snprintf(path, sizeof path, "members[%u].client", j);
    if (strcmp(a->client, b->client) == 0)
        config_complain(source, config_source_line(source, path),
                        "the client address %s stands in members twice; each member needs its own",
                        b->client);
}

/* A name stands in tables, JSON and addresses as it is. */
static bool is_plain_name(const char *name)
{
    return name[strspn(name, NAME_CHARACTERS)] == '\0';
}

static void check_members(struct config_source *source, const struct config *config)
{
    char host[CONFIG_ADDRESS_BYTES], path[PATH_BYTES];
    uint32_t initial = 0;
    uint16_t port;

    for (uint32_t i = 0; i < config->members_count; i++) {
        snprintf(path, sizeof path, "members[%u].name", i);
        if (!is_plain_name(config->members[i].name))
            config_complain(source, config_source_line(source, path),
                            "members[].name is \"%s\"; allowed in it are letters, digits and . _ -",
                            config->members[i].name);
        snprintf(path, sizeof path, "members[%u].client", i);
        if (!config_split_address(config->members[i].client, host, &port))
            config_complain(source, config_source_line(source, path),
                            "members[].client is \"%s\"; allowed is a numeric address with a port "
                            "from 1 to 65535, as in 127.0.0.1:12379",
                            config->members[i].client);
        for (uint32_t j = i + 1; j < config->members_count; j++)
            check_member_pair(source, config, i, j);
        initial += config->members[i].joins == 0;
    }
    if (initial == 0 || initial > CONFIG_VOTERS_MAX)
        config_complain(source, config_source_line(source, "members"),
                        "%u members are there from the start (without `joins: true`); allowed are "
                        "1 to %d",
                        initial, CONFIG_VOTERS_MAX);
    if (config_self(config) == NULL)
        config_complain(source, config_source_line(source, "node"),
                        "node is %u, but members has no entry with that number", config->node);
}

/* Each role runs on exactly one lcore, since each is the only writer of what it owns. */
static void check_roles(struct config_source *source, const struct config *config)
{
    uint32_t seen[CONFIG_ROLE_COUNT] = {0};
    char path[PATH_BYTES];

    for (uint32_t i = 0; i < config->lcores_count; i++) {
        for (uint32_t j = 0; j < config->lcores[i].roles_count; j++) {
            const int role = config->lcores[i].roles[j];
            snprintf(path, sizeof path, "lcores[%u].roles[%u]", i, j);
            if (seen[role]++ > 0)
                config_complain(source, config_source_line(source, path),
                                "role %s stands in lcores twice; each role runs on one lcore",
                                config_role_name((enum config_role)role));
        }
    }
    for (uint32_t role = 0; role < CONFIG_ROLE_COUNT; role++) {
        if (seen[role] == 0)
            config_complain(source, config_source_line(source, "lcores"),
                            "no lcore has the role %s; needed are rx, api, raft, persist, store "
                            "and tx, each on one lcore",
                            config_role_name((enum config_role)role));
    }
}

static void check_cpus(struct config_source *source, const struct config *config)
{
    char path[PATH_BYTES];

    for (uint32_t i = 0; i < config->lcores_count; i++) {
        for (uint32_t j = i + 1; j < config->lcores_count; j++) {
            const int64_t *a = config->lcores[i].cpu;
            const int64_t *b = config->lcores[j].cpu;
            if (a == NULL || b == NULL || *a != *b)
                continue;
            snprintf(path, sizeof path, "lcores[%u].cpu", j);
            config_complain(source, config_source_line(source, path),
                            "CPU %" PRId64 " has two lcores; give each its own, or put the roles "
                            "on one lcore",
                            *b);
        }
    }
}

static void check_timing(struct config_source *source, const struct config *config)
{
    const struct config_timing *t = &config->timing;

    if (t->election_min_ms < 3 * t->heartbeat_ms)
        config_complain(source, config_source_line(source, "timing.election_min_ms"),
                        "election_min_ms is %" PRIu64
                        "; allowed is at least three heartbeats, %" PRIu64
                        ", so that one lost frame is no election",
                        t->election_min_ms, 3 * t->heartbeat_ms);
    if (t->election_max_ms <= t->election_min_ms)
        config_complain(source, config_source_line(source, "timing.election_max_ms"),
                        "election_max_ms is %" PRIu64
                        "; allowed is more than election_min_ms, %" PRIu64,
                        t->election_max_ms, t->election_min_ms);
}

/* What the peers may have under way to us fits into the ring that takes it. */
static void check_limits(struct config_source *source, const struct config *config)
{
    const struct config_limits *l = &config->limits;
    const uint64_t promised = (config->members_count - 1) * l->credit_frames;

    if (promised > l->ring_data)
        config_complain(source, config_source_line(source, "limits.credit_frames"),
                        "the peers may have %" PRIu64 " data frames under way (credit_frames for "
                        "each), but ring_data has %" PRIu64 " slots; allowed are at most that many",
                        promised, l->ring_data);
    if (2 * (l->ring_control + l->ring_data) > PORT_DPDK_RX_HELD_MAX)
        config_complain(source, config_source_line(source, "limits.ring_data"),
                        "ring_control and ring_data are %" PRIu64 " together; allowed are %d, half "
                        "of the frames that a port can lend",
                        l->ring_control + l->ring_data, PORT_DPDK_RX_HELD_MAX / 2);
}

/* What a log may grow to between two snapshots must find its place in the segments that there can be. */
static void check_snapshots(struct config_source *source, const struct config *config)
{
    const struct config_snapshot *s = &config->snapshot;
    const uint64_t segments_mib = WAL_SEGMENTS_MAX / 2 * config->log.segment_mib;

    if (s->needed_mib < s->trailing_mib)
        config_complain(source, config_source_line(source, "snapshot.needed_mib"),
                        "needed_mib is %" PRIu64 "; allowed is at least trailing_mib, %" PRIu64
                        ": what a peer needs is kept beyond what is kept anyway",
                        s->needed_mib, s->trailing_mib);
    if (s->log_mib + s->needed_mib > segments_mib)
        config_complain(source, config_source_line(source, "snapshot"),
                        "log_mib and needed_mib are %" PRIu64 " MiB together; allowed are %" PRIu64
                        " with log.segment_mib: %" PRIu64 ", half of the segments that a log may have; "
                        "make these smaller or segments larger",
                        s->log_mib + s->needed_mib, segments_mib, config->log.segment_mib);
    if (config->store.pin_mib > config->store.quota_mib)
        config_complain(source, config_source_line(source, "store.pin_mib"),
                        "pin_mib is %" PRIu64 "; allowed is at most quota_mib, %" PRIu64
                        ": there is never more to keep",
                        config->store.pin_mib, config->store.quota_mib);
}

static void check_paths(struct config_source *source, const struct config *config)
{
    if (strcmp(config->data, config->run) == 0 || strcmp(config->data, config->links) == 0)
        config_complain(
            source, config_source_line(source, "data"),
            "the data directory is also named as run or links; it needs one of its own");
    if (config->links[strspn(config->links, LINKS_CHARACTERS)] != '\0')
        config_complain(source, config_source_line(source, "links"),
                        "the path of links is \"%s\"; allowed in it are letters, digits and "
                        "/ . _ - + @ ~, because DPDK reads it; choose another place",
                        config->links);
    if (strlen(config->links) > PORT_DPDK_PATH_BYTES_MAX)
        config_complain(
            source, config_source_line(source, "links"),
            "the path of links, %s, has %zu characters; allowed are %d, because sockets "
            "lie there; choose a shorter place",
            config->links, strlen(config->links), PORT_DPDK_PATH_BYTES_MAX);
}

void config_check_meaning(struct config_source *source, const struct config *config)
{
    check_members(source, config);
    check_roles(source, config);
    check_cpus(source, config);
    check_timing(source, config);
    check_limits(source, config);
    check_snapshots(source, config);
    check_paths(source, config);
}
