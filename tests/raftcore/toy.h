/* tests/raftcore/toy.h: a toy node around the core, for tests/raftcore/cluster.c: a log of lengths
 * and terms, a disk that is a queue of writes flushed in order some time later, and a gate. */
#ifndef TESTS_RAFTCORE_TOY_H
#define TESTS_RAFTCORE_TOY_H

#include "base/prng.h"
#include "raftcore/raft.h"

enum {
    NODES_MAX = 5,
    LOG_MAX = 4096,
    TERMS_MAX = 4096,
    CONFIGS_MAX = 4096,
    NET_MAX = 512,
    TRANSFERS_MAX = 64,
    WRITES_MAX = 256,
    GATED_MAX = 1024,
    MS = 1000000,
    STEP_NS = MS / 4,
};

struct disk_entry {
    raft_term term;
    uint32_t bytes;
    uint32_t config; /* place in cluster.configs; 0: none */
};

/* Of a snapshot the toy keeps what the core must know. The rest would be what the store had applied. */
struct snapshot {
    raft_index index; /* 0: none */
    raft_term term;
    uint32_t config; /* place in cluster.configs; 0: none */
    raft_index config_index;
};

struct write {
    raft_seq seq;
    bool hard;
    raft_term term;
    raft_node vote;
    uint64_t vote_incarnation;
    raft_index commit; /* as of the step: a later one may speak of entries behind this write */
    raft_index first, last;
    struct disk_entry entry[RAFT_PROPOSE_MAX];
    struct snapshot install;
    raft_index install_last;
    uint64_t done_ns;
};

/* A snapshot on its way from one node to another; the bytes are of no interest. */
struct transfer {
    struct snapshot snapshot;
    raft_term leader_term;
    uint32_t from, to;
    uint64_t done_ns;
};

struct letter {
    struct raft_msg msg;
    struct raft_entry entry[RAFT_APPEND_ENTRIES_MAX];
    raft_seq after_seq;
    uint64_t arrive_ns;
};

struct node {
    struct raft *raft;
    void *memory;
    bool up, booted_to[NODES_MAX];
    uint32_t boot;
    struct disk_entry log[LOG_MAX]; /* as the running process sees it */
    struct disk_entry disk[LOG_MAX];
    raft_index disk_last, disk_commit;
    struct snapshot base, disk_base; /* where the log begins, and the configuration there */
    raft_term disk_term;
    raft_node disk_vote;
    uint64_t disk_vote_incarnation;
    struct write write[WRITES_MAX];
    uint32_t write_first, write_count;
    struct letter gated[GATED_MAX];
    uint32_t gated_count;
    raft_index commit, checked;
    uint64_t read_number;
    raft_index read_floor[64]; /* by number % 64 */
    uint64_t read_confirmed;
    uint64_t up_again_ns;
};

struct cluster {
    uint32_t count;
    bool faults;
    struct prng prng;
    uint64_t now_ns;
    struct node node[NODES_MAX];
    bool cut[NODES_MAX][NODES_MAX]; /* from, to: one-way */
    struct letter net[NET_MAX];
    uint32_t net_count;
    struct transfer transfer[TRANSFERS_MAX];
    uint32_t transfer_count;
    raft_node leader_of[TERMS_MAX];
    raft_term committed[LOG_MAX];
    raft_index commit_max;
    uint64_t reads, lease_reads, elections, crashes, loads, changes, transfers, compactions,
        installs;
    struct raft_config config;               /* the first one */
    struct raft_config configs[CONFIGS_MAX]; /* all that were ever appended, from 1 on */
    uint32_t config_count;
    bool changes_on; /* members change, leadership is handed over, reads go by lease */
    int64_t drift_ppm[NODES_MAX];
};

extern struct cluster cluster;
extern struct raft_effects fx; /* of the last step */

const struct raft_options *options_of(uint32_t i);
uint64_t clock_of(uint32_t i);                   /* each node's own runs a little fast or slow */
void start(uint32_t i);                          /* with what its disk holds */
void step(uint32_t i, struct raft_event ev);     /* and checks what must hold after each */
void load(uint32_t i);                           /* answers the loads the last step asked for */
void flush(uint32_t i);                          /* writes whose time has come */
void open_gate(uint32_t i);                      /* messages whose after_seq is durable */
void deliver_later(const struct letter *letter); /* cluster.c: the network */

/* toy_snapshot.c: log bases that move, and transfers. */
void compact_some(uint32_t i);
void begin_transfers(uint32_t i); /* of those that the last step asked for */
void finish_transfers(void);
void forget(struct disk_entry *log, raft_index upto); /* nobody may look there any more */

#endif
