/* node/config.h: the configuration of one node: what may be said, its limits and its defaults.
 *
 * Format     YAML, read by libcyaml through the schema in config_schema.c. Before that the same
 *            schema is walked over libyaml's nodes (config_check.c), because libcyaml stops at the
 *            first mistake and often names a neighbouring line: so every mistake of a file is
 *            reported at once, each with its file, line, what is wrong and what is allowed.
 * Numbers    All of them stand in the lists below: key, default, least, most, and whether only
 *            powers of two are allowed. The lists make the struct, the schema and the checks.
 * Paths      Relative ones are taken from the folder of the file they stand in.
 * Thread     Start of the program. Uses malloc.
 */
#ifndef NODE_CONFIG_H
#define NODE_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum {
    CONFIG_FILE_BYTES_MAX = 1 << 18,
    CONFIG_LCORES_MAX = 16,
    CONFIG_MEMBERS_MAX = 9, /* RAFT_MEMBERS_MAX */
    CONFIG_VOTERS_MAX = 7,  /* to begin with: room for replacements is kept */
    CONFIG_NAME_BYTES = 32,
    CONFIG_ADDRESS_BYTES = 64,
    CONFIG_MISTAKES_MAX = 20, /* reported from one file */
};

/* X(key, default, least, most, power of two only) */
#define CONFIG_TIMING_LIST(X)                 \
    X(heartbeat_ms, 10, 1, 10000, false)      \
    X(election_min_ms, 100, 5, 60000, false)  \
    X(election_max_ms, 200, 6, 120000, false) \
    X(resend_ms, 50, 1, 60000, false)         \
    X(request_timeout_ms, 7000, 10, 600000, false) /* etcd's: 5 s and two election timeouts */  \
    X(promote_ms, 1000, 1, 3600000, false) /* a learner must have kept up so long to be promoted */

/* 64 MiB segments: 2 MiB batches fill one in many flushes, and zeroing one takes well under a second. */
#define CONFIG_LOG_LIST(X)                                                                   \
    X(segment_mib, 64, 16, 1024, false)                                                      \
    X(batch_buffers, 4, 2, 8, false)                                                         \
    X(batch_kib, 4096, 2304, 4096, false) /* at least one largest record, with the header */ \
    X(flights, 1, 1, 8,                                                                      \
      false) /* flushes under way beside which a small batch waits for company */            \
    X(registered_kib, 2048, 0, 65536, false) /* of the batch buffers, with the kernel */        \
    X(segments_ahead, 2, 1, 8, false)                                                        \
    X(segment_spares, 16, 0, 64, false)                                                      \
    X(background_percent, 25, 1, 100, false) /* of the disk's time: SHARE_PERCENT_DEFAULT */

/* Keys, values and a charge for each key; the cluster's quota is the first leader's. The most is
 * STORE_QUOTA_BYTES_MAX. */
#define CONFIG_STORE_LIST(X)                                                                     \
    X(quota_mib, 512, 16, 65536, false)                                                          \
    X(pin_mib, 0, 0, 65536, false) /* kept for a snapshot that is being written; 0: the quota */

/* When the leader has all nodes make a snapshot, whichever comes first, and what stays of the log below
 * it. 0 of the first: never by itself; of the next two: that is no reason. */
#define CONFIG_SNAPSHOT_LIST(X)                                                                  \
    X(log_mib, 256, 0, 1 << 20, false)       /* of log since the last one */                     \
    X(entries, 4000000, 0, 1000000000, false)                                                    \
    X(age_s, 3600, 0, 31536000, false)                                                           \
    X(trailing_mib, 64, 0, 1 << 20, false)   /* of log, for peers that are a little behind */    \
    X(needed_mib, 1024, 0, 1 << 20, false)   /* likewise, for one that answers and needs it */

/* Who may have how much under way. Rings need powers of two. */
#define CONFIG_LIMITS_LIST(X)                                                                     \
    X(connections, 512, 1, 65536, false)                                                          \
    X(streams, 2048, 1, 65536, false) /* a connection */                                          \
    X(api_heap_mib, 256, 4, 65536, false)                                                         \
    X(requests, 16384, 16, 1 << 20, true)                                                         \
    X(answers_mib, 16, 8, 1024, true) /* results that wait for the api to send them */            \
    X(record_memory_mib, 64, 16, 65536, true)                                                     \
    X(window, 65536, 64, 1 << 22, true)    /* entries not yet committed or flushed */             \
    X(inflight_msgs, 256, 1, 65536, false) /* unanswered appends to one peer */                   \
    X(inflight_kib, 4096, 64, 1 << 20, false)                                                     \
    X(caught_up_lag, 4096, 1, 1 << 22, false) /* entries behind commit that are still no lag */   \
    X(credit_frames, 256, 8, 8192, false)     /* data frames one peer may have under way to us */ \
    X(gated_messages, 1024, 16, 65536, false) /* messages that wait for the disk */               \
    X(ring_control, 256, 2, 65536, true)                                                          \
    X(ring_data, 2048, 2, 65536, true)                                                            \
    X(ring_persist, 1024, 2, 65536, true)                                                         \
    X(ring_store, 4096, 2, 65536, true)                                                           \
    X(ring_tx, 1024, 2, 65536, true)

#define CONFIG_MEMBER_NUMBER(key, usual, least, most, power) uint64_t key;
struct config_timing {
    CONFIG_TIMING_LIST(CONFIG_MEMBER_NUMBER)
};
struct config_log {
    CONFIG_LOG_LIST(CONFIG_MEMBER_NUMBER)
    int flush; /* enum config_flush */
};
struct config_store {
    CONFIG_STORE_LIST(CONFIG_MEMBER_NUMBER)
};
struct config_snapshot {
    CONFIG_SNAPSHOT_LIST(CONFIG_MEMBER_NUMBER)
};
struct config_limits {
    CONFIG_LIMITS_LIST(CONFIG_MEMBER_NUMBER)
};
struct config_port {
    int kind; /* enum config_port_kind */
};
#undef CONFIG_MEMBER_NUMBER

enum config_flush { CONFIG_FLUSH_DSYNC, CONFIG_FLUSH_FDATASYNC };
enum config_port_kind { CONFIG_PORT_MEMIF };
enum config_reads { CONFIG_READS_QUORUM, CONFIG_READS_LEASE };
enum config_idle { CONFIG_IDLE_ADAPTIVE, CONFIG_IDLE_BUSY };

/* In the order of a write's way, which is also the order they are polled in on one lcore. */
enum config_role {
    CONFIG_ROLE_RX,
    CONFIG_ROLE_API,
    CONFIG_ROLE_RAFT,
    CONFIG_ROLE_PERSIST,
    CONFIG_ROLE_STORE,
    CONFIG_ROLE_TX,
    CONFIG_ROLE_COUNT
};

struct config_lcore {
    int64_t *cpu; /* NULL: any; the scheduler places it */
    int *roles;   /* enum config_role */
    uint32_t roles_count;
};

struct config_member {
    uint16_t node;
    char *name;
    char *client; /* numeric host:port where its etcd API listens */
    int joins;    /* 1: is no member at first, and waits until it is added */
    uint8_t priority; /* at the beginning of the cluster; the higher, the rather a leader */
};

struct config {
    uint64_t cluster;
    uint16_t node;
    char *data;  /* data directory: superblock, log */
    char *run;   /* run directory: control socket, pid */
    char *links; /* what the nodes of this host share: memif sockets, bells */
    struct config_member *members;
    uint32_t members_count;
    struct config_lcore *lcores;
    uint32_t lcores_count;
    int idle;  /* enum config_idle */
    int reads; /* enum config_reads */
    struct config_port port;
    struct config_timing timing;
    struct config_log log;
    struct config_store store;
    struct config_snapshot snapshot;
    struct config_limits limits;
};

/* Reads and checks; 0 and `*out`, or the number of mistakes, each of them a line in `complaints`. */
int config_load(const char *path, struct config **out, FILE *complaints);
void config_free(struct config *config);

const char *config_role_name(enum config_role role);
/* This node's own entry of members; NULL: there is none. */
const struct config_member *config_self(const struct config *config);
/* Splits a numeric host:port; false: it is none. `host` has CONFIG_ADDRESS_BYTES. */
bool config_split_address(const char *address, char *host, uint16_t *port);

#endif
