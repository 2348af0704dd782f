/* sim/sim.h: a whole cluster on one thread under one seed.
 *
 * Time       One event queue: the next thing that happens is the earliest of arrivals of frames,
 *            completions of disks, timers of nodes, faults and clients. An *event* is one turn of a
 *            node (each of its roles polled once, in an order drawn for that turn, some passed
 *            over), or one fault. Between two turns of a node that has work lies a small gap.
 * Checks     After each turn, and at each frame that leaves: check_log.h, check_promise.h,
 *            check_history.h, check_linear.h. The first broken invariant ends the run.
 * Replay     The same seed, nodes and events give the same run, to the last frame: sim_hash().
 * Memory     sim_new() once; a run reuses all of it.
 *
 * Nodes are numbered from 0 here; their raft_node is one more.
 */
#ifndef SIM_SIM_H
#define SIM_SIM_H

#include "base/admin.h"
#include "base/request.h"
#include "sim/check.h"
#include "sim/check_linear.h"
#include "sim/plan.h"

struct sim;

/* What an operator was told. */
struct sim_verdict {
    enum answer_status status;
    enum admin_refusal refusal; /* REFUSED */
};

struct sim_config {
    uint64_t seed;
    uint64_t events;  /* of phase one; also what disks are sized for */
    uint64_t without; /* faults of plan.h that are off, whatever the seed says */
    uint32_t nodes;   /* initial voters; 0: by the seed */
    uint32_t clients; /* a node; 0: by the seed */
    bool calm;        /* no faults, and clients only through sim_put() and sim_get() */
    const struct replica_snapshots *snapshots; /* NULL: by the seed, in calm runs none */
    bool trace;       /* every event on stdout */
};

#define SIM_HAPPENING_LIST(X)                                          \
    X(TIMEOUT, "election timeouts gone by before the healing")         \
    X(ELECTION, "leaders elected")                                     \
    X(TRUNCATION, "logs truncated by a later leader")                  \
    X(CONFIG, "configurations in force, at a node")                    \
    X(JOINT, "joint ones among them")                                  \
    X(CONFIG_UNDONE, "configurations undone by a truncation")          \
    X(COMMIT, "entries committed")                                     \
    X(SNAPSHOT_POINT, "snapshot points committed")                     \
    X(SNAPSHOT_FILE, "snapshots that became current, at a node")       \
    X(SNAPSHOT_INSTALL, "of them, installed from a peer's")            \
    X(SNAPSHOT_OFFER, "snapshots offered")                             \
    X(SNAPSHOT_PIECE, "pieces of snapshots sent")                      \
    X(FORGED, "of them, forged")                                       \
    X(LOG_CUT, "logs cut behind a snapshot")                           \
    X(ENTRY, "records sent")                                           \
    X(CHUNK, "chunks sent")                                            \
    X(FORWARD, "requests forwarded")                                   \
    X(FORWARD_AGAIN, "forwards sent again")                            \
    X(REJECTION, "appends refused")                                    \
    X(CRASH, "processes killed")                                       \
    X(POWER_CUT, "power cuts")                                         \
    X(AMBUSH, "power cuts just after a promise")                       \
    X(RECOVERY, "recoveries")                                          \
    X(RECOVERY_CRASH, "recoveries crashed")                            \
    X(IMAGE, "crash images recovered beside a running node")           \
    X(PARTITION, "partitions")                                         \
    X(LINK, "single links cut or mended")                              \
    X(FLAP, "links that flapped")                                      \
    X(REPLAY, "old frames replayed")                                   \
    X(PAUSE, "pauses")                                                 \
    X(PAUSE_INSIDE, "pauses in the middle of a poll")                  \
    X(OVERTAKEN, "polls of a role that the others overtook")           \
    X(SIEGE, "leaders cut off from all others")                        \
    X(CLOCK_STALL, "clocks that stood still")                          \
    X(CLOCK_JUMP, "clocks that jumped")                                \
    X(HANG, "disks hung")                                              \
    X(DISK_ERROR, "disk errors")                                       \
    X(DISK_FULL, "disks full")                                         \
    X(ROT, "sectors rotten")                                           \
    X(SNAPSHOT_GONE, "files of snapshots taken away")                  \
    X(SNAPSHOT_AMBUSH, "power cuts at a stage of a snapshot")          \
    X(HARM_REFUSED, "starts refused for harm to the disk")             \
    X(HARM_STOP, "nodes stopped by harm to the disk")                  \
    X(HARM_UNSEEN, "harmed sectors made good: no start could see")     \
    X(HARM_PROGRESS, "runs with harmed disks asked for progress")      \
    X(HARM_AND_OTHERS, "of them, with members or whole disks changed") \
    X(HARM_SAFETY, "runs with harmed disks beyond the atlas: safety alone") \
    X(HARM_AND_OTHERS_SAFETY, "of them, with members or whole disks changed") \
    X(REPAIR_CHECKED, "runs whose logs were read back when all was repaired") \
    X(REPAIR_START, "nodes with harmed disks started once more for it") \
    X(HARM_GONE, "members that stayed away for harm: the log's end or a header") \
    X(LOG_STOP, "nodes stopped by their log")                          \
    X(WIPE, "disks wiped")                                             \
    X(EMPTY_REFUSED, "starts refused: an empty disk")                  \
    X(IMPOSTOR_STOPPED, "wiped nodes under their old id that stopped") \
    X(SWAP, "pairs of disks swapped")                                  \
    X(SWAP_REFUSED, "starts refused: another node's disk")             \
    X(OLD_COPY, "old copies of a disk started")                        \
    X(SAME_BOOT, "of them, under the boot number of the true one")     \
    X(OLD_COPY_STOPPED, "of them, told and stopped")                   \
    X(CHANGE, "changes of the members asked for")                      \
    X(CHANGE_DONE, "of them, done")                                    \
    X(CHANGE_REFUSED, "refused")                                       \
    X(CHANGE_UNKNOWN, "of unknown fate")                               \
    X(CHANGE_FORCED, "forced ones")                                    \
    X(TRANSFER, "transfers asked for")                                 \
    X(TRANSFER_DONE, "of them, done")                                  \
    X(TRANSFER_REFUSED, "refused")                                     \
    X(TRANSFER_UNKNOWN, "of unknown fate")                             \
    X(ADMIN_NOT_LEADER, "requests of operators that met no leader")    \
    X(LEAVE, "processes stopped after handing over")                   \
    X(JOIN, "new nodes started")                                       \
    X(RETIRE, "removed nodes stopped")                                 \
    X(CALL_OK, "calls answered OK")                                    \
    X(CALL_REFUSED, "calls refused")                                   \
    X(CALL_UNKNOWN, "calls of unknown fate")                           \
    X(CALL_PASSED, "calls that a snapshot passed over")                \
    X(CALL_AGAIN, "calls issued again")

enum sim_happening {
#define SIM_HAPPENING_ENUM(name, text) SIM_##name,
    SIM_HAPPENING_LIST(SIM_HAPPENING_ENUM)
#undef SIM_HAPPENING_ENUM
        SIM_HAPPENING_COUNT
};
const char *sim_happening_text(enum sim_happening happening);

struct sim *sim_new(void);
void sim_delete(struct sim *s);

/* A new run. Nodes are initialised and started. */
void sim_begin(struct sim *s, const struct sim_config *config);
/* Phase one: faults and clients for that many events. False: an invariant broke. */
bool sim_run(struct sim *s, uint64_t events);
/* Phase two: everything is healed (but for a minority that may stay dead); a client's write that
 * begins now must succeed within 50 election timeouts, then all must agree. */
bool sim_settle(struct sim *s);

const struct check_report *sim_report(const struct sim *s);
uint64_t sim_events(const struct sim *s);
uint64_t sim_now_ns(const struct sim *s);
uint64_t sim_hash(const struct sim *s);
uint64_t sim_count(const struct sim *s, enum sim_happening happening);
uint64_t sim_search_count(const struct sim *s, enum linear_count count);
const struct plan *sim_plan(const struct sim *s);
const struct net_counters *sim_net(const struct sim *s);
void sim_print_nodes(const struct sim *s); /* on stdout: where each node stands, for who debugs */

/* For scenarios; all of them expect a run that has broken nothing so far. */

enum sim_crash_mode {
    SIM_KILL,          /* the process dies, the machine does not */
    SIM_LOSE_UNSYNCED, /* power cut: of what was not flushed any part survives */
};

bool sim_run_ns(struct sim *s, uint64_t duration_ns);
bool sim_elect(struct sim *s, uint32_t node); /* until it leads; false: it would not */
uint32_t sim_leader(const struct sim *s);     /* of the newest term; UINT32_MAX: nobody leads */
/* A put by way of that node; `value_bytes` at least 8. The call's number, or 0: it takes none. */
uint64_t sim_put(struct sim *s, uint32_t node, uint8_t key, uint32_t value_bytes);
uint64_t sim_get(struct sim *s, uint32_t node, uint8_t key);
bool sim_answered(const struct sim *s, uint64_t call);         /* OK */
bool sim_refused(const struct sim *s, uint64_t call);          /* never applied, and said so */
raft_index sim_call_index(const struct sim *s, uint64_t call); /* where it is committed; 0: not */
raft_term sim_term(const struct sim *s, uint32_t node);
raft_index sim_commit(const struct sim *s, uint32_t node);
raft_index sim_applied(const struct sim *s, uint32_t node);
raft_index sim_last(const struct sim *s, uint32_t node);
raft_index sim_base(const struct sim *s, uint32_t node);     /* of its log */
raft_index sim_snapshot(const struct sim *s, uint32_t node); /* that its manifest names; 0: none */
uint64_t sim_disk_used(const struct sim *s, uint32_t node);  /* bytes of all its files */
/* What `node` has acknowledged by a frame that left it. */
raft_index sim_promised(const struct sim *s, uint32_t node);
void sim_crash(struct sim *s, uint32_t node, enum sim_crash_mode mode);
bool sim_restart(struct sim *s, uint32_t node);
void sim_pause(struct sim *s, uint32_t node, bool paused);
/* Paused when it has read its clock, until sim_pause(false): its next turn has the time of now. */
void sim_pause_with_clock(struct sim *s, uint32_t node);
void sim_cut(struct sim *s, uint32_t from, uint32_t to, bool cut);
void sim_isolate(struct sim *s, uint32_t node, bool isolated);
/* Frames are kept from here on, and `count` of them, drawn by the seed, arrive once more. */
void sim_record(struct sim *s);
uint32_t sim_replay(struct sim *s, uint32_t count);
/* A new node with a directory and a process, no member yet: its number. */
uint32_t sim_join(struct sim *s);
void sim_wipe(struct sim *s, uint32_t node); /* its process dies, its disk is empty from now on */
/* Of an operator at that node; false: it takes none now. */
bool sim_ask(struct sim *s, uint32_t node, const struct admin_request *request);
bool sim_told(const struct sim *s, uint32_t node, struct sim_verdict *verdict); /* false: not yet */
/* The newest committed configuration; NULL: there is none. */
const struct raft_config *sim_members(const struct sim *s);
void sim_disk_hold(struct sim *s, uint32_t node, bool held);
/* No file can be created; what is there already can be written. */
void sim_disk_full(struct sim *s, uint32_t node, bool full);
/* Rot on a dead node's disk: the beginning of each batch that holds entry `index`; how many. */
uint32_t sim_damage(struct sim *s, uint32_t node, raft_index index);
/* A copy of a node's disk as a power cut would leave it; later that is started in the dead node's place,
 * until the node is told to stop: then the true disk is started. */
void sim_copy_disk(struct sim *s, uint32_t node);
bool sim_start_copy(struct sim *s, uint32_t node);
uint32_t sim_boot(const struct sim *s, uint32_t node);
/* Entries of this node's log can't be read. */
bool sim_is_faulty(const struct sim *s, uint32_t node);

#endif
