/* replica/replica_internal.h: the roles of one node, grouped by the lcore that writes them.
 *
 * What crosses between two roles is an item of a ring (below) or a published word; nothing else in
 * here may be touched by two roles.
 */
#ifndef REPLICA_REPLICA_INTERNAL_H
#define REPLICA_REPLICA_INTERNAL_H

#include "base/mark.h"
#include "base/planted.h"
#include "dataplane/credit.h"
#include "dataplane/rx.h"
#include "dataplane/tx.h"
#include "persist/reserve.h"
#include "replica/admin_table.h"
#include "replica/digests.h"
#include "replica/making.h"
#include "replica/peer.h"
#include "replica/points.h"
#include "replica/pull.h"
#include "replica/record_memory.h"
#include "replica/repair.h"
#include "replica/replica.h"
#include "replica/request_table.h"
#include "replica/snapshot_items.h"
#include "replica/transfer.h"

enum {
    CONTROL_BURST = 32,  /* control frames a poll of raft takes */
    DATA_BURST = 32,     /* data frames likewise */
    PROPOSE_BURST = 8,   /* proposals of RAFT_PROPOSE_MAX requests each */
    SEND_BURST = 16,     /* RAFT_EV_SEND rounds */
    REQUEST_BURST = 64,  /* requests taken from a door */
    RUN_ENTRIES_MAX = 64, /* committed entries in one handoff to store */
    STEP_BURST = 64,     /* steps that persist takes */
    TX_BURST = 64,
    STORE_BURST = 64,    /* entries and reads that store works on in one poll */
    EMIT_SHARE = 4,      /* of a slice, for a snapshot that is made while others wait for the store */
    STEP_BYTES_RESERVE = 1024, /* record memory that a control step may need: a new leader's entry */
    BLOCKED_RETRY_NS = 1000 * 1000, /* a due timer that found no room */
    SCRATCH_BYTES = 1 << 20,
    /* What a full frame of requests becomes at most: each grows by the rest of a record header. */
    REQUEST_FRAME_RECORDS_BYTES = FRAME_BODY_BYTES_MAX + RAFT_PROPOSE_MAX * RECORD_HEADER_BYTES,
    LOADS_MAX = 16,      /* slots of the rings of loads */
    CONFIG_ENTRIES_MAX = RAFT_APPEND_ENTRIES_MAX, /* configuration entries in one message */
};

/* raft -> persist: one step that must be durable. Loads have a ring of their own, so that no step
 * waits behind a read. */
struct persist_item {
    struct wal_step step;
    const struct base_change *change; /* NULL: a plain step; else the log gets this base under its seq */
};

/* What it takes of the room that persist has published. A new leader's entry has the log's reserve. */
static inline uint64_t persist_cost(const struct wal_step *step)
{
    return step->length == 0 || step->from_reserve ? 0 : wal_step_cost(step->length);
}

/* raft -> store: committed entries back to back, or a read whose turn has come, or a snapshot that takes
 * the place of all that was applied. */
struct store_item {
    const uint8_t *bytes; /* entries; NULL: a read, or a snapshot */
    uint32_t count;
    raft_index load; /* index of the current snapshot; 0: a read */
    uint64_t load_bytes;       /* its content */
    uint32_t load_chunk_bytes; /* and its chunks: at most ours */
    struct read_slot read;
};

/* raft -> tx: a frame, its body in scratch memory. */
struct tx_item {
    struct frame frame;
    raft_seq after_seq;
    uint32_t link;
    uint32_t scratch_bytes; /* to give back; 0: no body */
};

/* The raft role's own state beside the core: see raft_role.c for the order of a poll. */
struct replica_raft {
    struct raft *raft;
    struct raft_recovered recovered; /* what it began with */
    struct raft_run *runs;           /* of that */
    void *core_memory;
    struct raft_effects fx;
    uint32_t fx_sends_done; /* of fx; the rest waits for room in the ring to tx */
    uint64_t now_ns;
    raft_seq durable_seen;
    raft_term hard_term;    /* the newest hard state that was given to persist */
    raft_node hard_vote;
    uint64_t hard_vote_incarnation;
    uint64_t hello_ns;      /* next round of HELLO */
    uint64_t probe_ns;      /* next round of credit probes */
    uint64_t room_ns;       /* when the log last had room for the largest step */
    bool had_room;          /* it had, since the start */
    bool no_room;           /* that is long ago: see room.c */
    bool below_reserve;     /* the disk is: likewise */
    uint64_t needed_ns;     /* when another leader would have been no better */
    uint64_t handover_ns;   /* no handing over for want of room before */
    bool refuses_writes;    /* as a leader: too few voters could store them */
    uint64_t given_bytes;   /* persist_cost() of all steps given to persist */
    uint64_t config_changes; /* raft_config_changes() that the peers were told of */
    raft_index config_index; /* and raft_config_index() then */
    raft_index left_out; /* the newest configuration that is said to be without us; 0: none */
    bool bootstrapped;
    bool log_was_empty;     /* and nothing was appended since: see bootstrap.c */
    struct record_memory memory;
    uint32_t last_chain;    /* header checksum of the entry at raft_last() */
    raft_index fed;         /* last committed entry handed to store */
    raft_term fed_term;     /* its term */
    struct load store_load;
    struct repair repair;
    struct points points;
    struct making making;
    struct store_item load_due; /* `load` 0: none. It goes to the store before anything else */
    raft_index loading; /* the store takes in this snapshot, and gets nothing else; 0: it does not */
    struct serve serve;
    struct pull pull;
    struct mend mend;
    uint8_t *pull_bytes;    /* SNAPSHOT_PULL_BUFFERS chunks */
    uint8_t *serve_bytes;   /* SNAPSHOT_SERVE_BUFFERS chunks */
    struct digests digests;
    struct request_table requests;
    struct read_table reads;
    struct admin_table admin;
    struct peer peer[RAFT_MEMBERS_MAX]; /* beside options.members */
    uint32_t peer_count;    /* all nodes we know of, members or not, this node too */
    uint32_t self;          /* index in peer[] */
    uint32_t door_next;
    uint64_t pushes;        /* items given to other roles: work, even if nothing was taken */
    uint64_t counters_ns;   /* when the counters are published next */
    uint64_t verdict_count[FRAME_VERDICT_COUNT];
    uint64_t elections, proposals, forwards_sent, forwards_taken, foreign_sends;
    uint64_t convicted, ignored; /* by cores before this one */
    raft_term led_term;     /* newest term this node led */
    struct rx_item frame;   /* the one being handled */
    struct raft_entry entry[RAFT_PROPOSE_MAX];
    struct raft_config config[CONFIG_ENTRIES_MAX];
};

/* The persist role's side of snapshots: persist_snapshot.c. */
struct persist_snapshot {
    struct snapshots *snapshots;
    struct snapshots_found found; /* at the start */
    enum { WRITING_NONE, WRITING_WAITS, WRITING_BEGUN } writing;
    struct snapshot_job begin;       /* unless WRITING_NONE: it waits for its turn, or is answered later */
    uint64_t begun_ns;
    raft_index own_over;             /* of the newest own one whose writing is over, however it ended */
    struct snapshot_job job;         /* popped, and waits for room */
    bool has_job;
    struct snapshot_chunk chunk;     /* likewise, from the store */
    bool has_chunk;
    bool repairing;                  /* `job` is on its way to the disk */
    const struct base_change *change; /* on its way to the manifest */
    struct snapshot_read *store_reading, *raft_reading; /* NULL: none */
};

struct replica_persist {
    struct wal *wal;
    struct persist_item pending; /* popped, but the log had no buffer */
    bool has_pending;
    struct reserve reserve;
    uint64_t report_ns; /* what only the status wants is published next */
    uint64_t taken_bytes; /* persist_cost() of all steps that the log has taken */
    struct load *reading;
    struct wal_read read;
    struct persist_snapshot snapshot;
};

struct replica_tx {
    struct tx tx;
    struct tx_item *gate; /* messages that wait for the disk, in order of arrival */
    uint32_t gate_count;
    uint32_t gate_max;
    raft_seq durable_seen;
    uint64_t held;
};

/* The store role's side of snapshots: store_snapshot.c. */
struct store_snapshot {
    uint8_t *emit_bytes; /* SNAPSHOT_EMIT_BUFFERS chunks, used in turn */
    uint64_t emitted;    /* chunks given to persist; see chunks_done */
    uint32_t filled;     /* of the one that is being emitted */
    enum { LOADING_NONE, LOADING_DUE, LOADING_CHUNKS, LOADING_MENDS } loading;
    struct store_item load;
    uint32_t chunk_count;
    uint32_t chunk;       /* to be taken in next */
    uint32_t asked;       /* to be asked for next */
    uint32_t used;        /* of the bytes of `chunk` */
    uint8_t *load_bytes;  /* SNAPSHOT_LOAD_BUFFERS chunks */
    struct snapshot_read read[SNAPSHOT_LOAD_BUFFERS];
    bool is_lent[SNAPSHOT_LOAD_BUFFERS]; /* to persist */
    uint32_t lent;
    uint64_t mended_seen; /* snapshot_mended when it was begun to ask */
};

struct replica_store {
    struct store *store;
    uint32_t entries_left;  /* of the run at hand */
    const uint8_t *at;      /* its entry to apply next; NULL: no run */
    bool working;           /* store_begin_*() was called, and it is not done */
    uint64_t tag;           /* whose answer, if `wanted` */
    bool wanted;            /* somebody on this node waits for it */
    struct answer unsent;   /* final or piece, made but not pushed */
    bool has_unsent;
    struct store_sink sink;
    uint32_t door_next;
    bool local_next;        /* whose turn it is: a door's local read, or what raft gave */
    struct store_item held; /* popped, and not begun yet: a read by lease */
    bool has_held;
    uint64_t popped;        /* items taken from raft's ring */
    uint64_t arrived;       /* items that were in it when the last poll ended */
    struct store_snapshot snapshot;
    struct state_digest digest; /* the newest, if it is still to be told; index 0: none */
};

struct replica {
    struct replica_options options;
    struct replica_raft raft;
    struct replica_persist persist;
    struct replica_store store;
    struct rx rx;
    struct replica_tx tx;

    struct spsc *control, *data, *returned; /* rx -> raft, and the buffers back */
    struct spsc *to_persist;                /* struct persist_item */
    struct spsc *to_load;                   /* raft -> persist: struct load * to read back */
    struct spsc *loaded;                    /* persist -> raft: struct load *, filled */
    struct spsc *to_store;                  /* struct store_item */
    struct spsc *digests;                   /* store -> raft: struct state_digest */
    struct spsc *late_reads;                /* store -> raft: struct read_slot, to be confirmed anew */
    struct spsc *to_tx;                     /* struct tx_item */
    struct byte_ring scratch;               /* bodies on their way to tx */

    struct spsc *snapshot_jobs;   /* raft -> persist: struct snapshot_job */
    struct spsc *snapshot_events; /* persist -> raft: struct snapshot_event */
    struct spsc *emitted;         /* store -> persist: struct snapshot_chunk */
    struct spsc *store_reads, *store_chunks; /* store -> persist -> store: struct snapshot_read * */
    struct spsc *raft_reads, *raft_chunks;   /* raft -> persist -> raft: likewise */

    struct published persist_done; /* handoffs that persist has copied */
    struct published store_done;   /* runs that store has applied */
    /* persist: raft may give steps of this persist_cost() in sum, since the start. A running total, so
     * what is on its way is not promised twice, and no step of records waits in the log for room
     * while votes stand behind it. */
    struct published disk_room;
    struct published below_reserve;   /* persist: 1, the file system has less than persist/reserve.h wants */
    struct published nears_reserve;   /* persist: 1, it has no more than a few segments above that */
    struct published repairs_durable; /* persist: see wal_repairs_durable() */
    struct published log_failed;      /* persist: enum replica_stop */
    struct published store_failed;    /* store: likewise */

    /* Snapshots. Store: the index that it holds pinned, 0: none; before that, how long the content
     * there is at most; the newest index whose last chunk it has emitted, before `pinned` changes. */
    struct published pinned, pinned_bytes, emit_ended;
    /* Store, while it loads: what it can't get by reading: a chunk + 1, or SNAPSHOT_LACKS_ALL; 0: nothing. */
    struct published snapshot_lacks;
    struct published snapshot_mended; /* raft: how often something of it was put right: read again */
    /* Raft: the pin whose content is to be emitted; 0: none. Pins up to `unpin` are not wanted any more. */
    struct published emit, unpin;
    struct published unwanted;    /* raft: writings up to this number are not wanted any more */
    struct published chunks_done; /* persist: emitted chunks whose buffers are free again */
    struct published log_cramped; /* persist: 1: the log has half of the segments that it may have */
};

/* raft_role.c */
uint32_t raft_role_poll(struct replica *r, uint64_t now_ns);
uint64_t raft_role_next_timer(const struct replica *r);
/* The node must stop; the first reason stays. Raft role only. */
void raft_role_stop(struct replica *r, enum replica_stop why);

/* step.c: one raft_step() and the handing over of its effects */
bool step_can(struct replica *r, uint64_t bytes, uint32_t count, bool control);
/* The log has room for a step of so many bytes of records. */
bool step_disk_room(const struct replica *r, uint32_t bytes);
void step_event(struct replica *r, struct raft_event *ev);
/* `records`: the bytes of the event's entries, back to back. */
void step_message(struct replica *r, const struct raft_msg *msg, const uint8_t *records);
void step_propose(struct replica *r, const struct record_spec *specs, uint32_t count);
/* Loaded entries of `peer`: may send the first of them. */
void step_loaded(struct replica *r, struct peer *peer);
/* A RAFT_EV_COMPACT or RAFT_EV_INSTALL, for which step_can() was asked. True: the core has taken it, and
 * `change` is lent to persist until SNAPSHOT_EVENT_CURRENT. */
bool step_base(struct replica *r, struct raft_event *ev, const struct base_change *change);
/* A step that repairs the log; no step of the core. False: no room now. */
bool step_repair(struct replica *r, const struct wal_step *step);
/* Pushes what is left of the last step; true when nothing is. */
bool step_deliver(struct replica *r);

/* admit.c: who sent this frame, and may it count */
bool admit_frame(struct replica *r, const struct frame *f);
/* Another one has the peer's name now: no boot of it was heard, and nothing is held against any. */
void admit_incarnation(struct peer *peer, uint64_t incarnation);
void admit_count(struct replica *r, enum frame_verdict verdict);
struct peer *peer_of(struct replica *r, raft_node node); /* NULL: no member */

/* emit.c: a frame to a peer, filled in with who, to whom, number and credit. False: no room now.
 * `body`: body_bytes of it in scratch memory, or NULL; with a body there must be room. */
bool emit_frame(struct replica *r, struct peer *peer, struct frame *f, raft_seq after_seq,
                const uint8_t *body);

/* bootstrap.c */
/* What `peer` knows of itself is still to be asked for: HELLO goes to it in each round. */
bool bootstrap_asks(const struct replica *r, const struct peer *peer);
bool bootstrap_left_out(const struct replica *r); /* by our own log, or by what a member told us */
void bootstrap_poll(struct replica *r);
void bootstrap_on_hello(struct replica *r, const struct frame *f);
/* A message of a peer that may have an older disk than it had: it is asked for its HELLO. */
void bootstrap_doubt(struct replica *r, const struct raft_msg *m);

/* members.c: what the configuration in force says of the peers, and how it is edited */
void members_learn(struct replica *r);
enum admin_refusal members_edit(struct replica *r, const struct admin_request *request,
                                struct raft_config *out);

/* admin.c: requests of operators */
void admin_take(struct replica *r, const struct request *request);
uint32_t admin_poll(struct replica *r);

/* append.c: records and chunks from peers */
void append_on_frame(struct replica *r, const struct frame *f);
enum frame_verdict append_records(struct replica *r, const struct raft_msg *msg,
                                  const uint8_t *bytes, uint32_t length);

/* forward.c: requests from and to other nodes */
void forward_on_frame(struct replica *r, const struct frame *f);
void forward_on_ack(struct replica *r, const struct frame *f);
void forward_send(struct replica *r);
void forward_ack_due(struct replica *r);
/* A whole request that arrived in chunks. */
bool forward_take_one(struct replica *r, struct peer *peer, const struct frame_chunk *chunk,
                      const uint8_t *bytes);

/* room.c: is there room for the log, here and on the disks of a majority. Once a poll: */
void room_poll(struct replica *r);
/* What this node says of itself: its log has no room, or its disk is below the reserve. */
bool room_lacks(const struct replica *r);
/* Writes may be taken, as far as this node and its leader know. */
bool room_for_writes(struct replica *r);
/* The leader `from` may hand over to this node. */
bool room_to_lead(struct replica *r, raft_node from);

/* digests.c: see digests.h */
void digests_poll(struct replica *r);
void digests_on_frame(struct replica *r, const struct frame *f);
/* Writes are refused: the state machines differ, and no majority agrees; by us or our leader. */
bool digests_corrupt(struct replica *r);

/* chunks.c */
void chunks_on_frame(struct replica *r, const struct frame *f);
void chunks_on_ack(struct replica *r, const struct frame *f);
/* Begins to send the object of `key`; its bytes are copied. */
void chunks_begin(struct replica *r, struct peer *peer, const struct frame_chunk *key,
                  const uint8_t *bytes);
void chunks_poll(struct replica *r);

/* open.c: a core over r->raft.recovered and the log; seqs begin above `seq_first`. */
void core_begin(struct replica *r, const struct wal_recovered *log, raft_seq seq_first);

/* repair.c: see repair.h */
void repair_open(struct replica *r);
void repair_poll(struct replica *r);
void repair_on_ask(struct replica *r, const struct frame *f);
void repair_on_answer(struct replica *r, const struct frame *f);
/* Nobody has what is missing next. */
bool repair_is_stuck(const struct replica *r);
/* With a snapshot of `index` for its base the log would be whole; and it may get it now. */
bool repair_takes_base(const struct replica *r, raft_index index);
bool repair_allows_base(const struct replica *r, raft_index index);
/* It does, as soon as that is durable; `config` is in force there. */
void repair_on_base(struct replica *r, const struct raft_config_at *config, raft_index base, bool cut);
void repair_on_loaded(struct replica *r); /* what repair.serve wanted is read, or can't be */

/* transfer.c, receive.c, install.c, mend.c: see transfer.h */
void transfer_offer(struct replica *r, struct peer *peer, raft_index index); /* at least that one */
void transfer_on_want(struct replica *r, const struct frame *f);
void transfer_on_ask(struct replica *r, const struct frame *f);
void transfer_on_done(struct replica *r, const struct frame *f);
bool transfer_serves(const struct peer *peer); /* it waits for pieces */
/* It pulls our snapshot: the core sent it there, or its disk has lost what it had. */
bool transfer_runs(const struct replica *r, const struct peer *peer);
void transfer_poll(struct replica *r);
uint64_t transfer_next_ns(const struct replica *r);
void transfer_forget(struct peer *peer); /* it restarted */

void receive_on_offer(struct replica *r, const struct frame *f);
void receive_on_event(struct replica *r, const struct snapshot_event *event); /* of a job of ours */
/* One chunk of our current snapshot from the peers. False: not now. */
bool receive_begin_mend(struct replica *r, const struct snapshot_header *h, uint32_t chunk);
bool receive_writes(const struct replica *r); /* it has, or is about to have, the only writer */
void receive_poll(struct replica *r);

void install_poll(struct replica *r);
/* Our own snapshot becomes the base of a log that has holes below it. */
bool install_own(struct replica *r);
void install_on_current(struct replica *r); /* its change of the base is durable */

void mend_open(struct replica *r, const struct wal_base *base, enum snapshot_condition condition);
void mend_on_damage(struct replica *r, const struct snapshot_read *read); /* read, and bad */
void mend_on_silence(struct replica *r); /* nobody has what receive.c asks for */
void mend_on_current(struct replica *r); /* another file is current, or the same one written anew */
void mend_done(struct replica *r);       /* the chunk is written */
bool mend_wants(const struct replica *r, const struct frame_snapshot *s);
/* Asks all for a snapshot, at least that one. False: the ring to tx has no room for any question. */
bool mend_want(struct replica *r, raft_index index);
void mend_poll(struct replica *r);
uint64_t mend_next_ns(const struct replica *r);

/* doors.c. NULL: a record may name a door that this start does not have */
struct request_door *door_of(const struct replica *r, uint64_t tag);
/* A final answer of the raft role, without bytes. False: its ring is full now. */
bool door_answer(struct replica *r, const struct answer *answer);
bool door_refuse(struct replica *r, uint64_t tag, enum answer_status status);

/* requests.c: doors in, proposals and reads out */
uint32_t requests_poll(struct replica *r);
/* A committed entry of term `term` is on its way to store: whose was it. */
void requests_on_committed(struct replica *r, const struct record_header *record);
/* A snapshot whose last entry is of `term` takes the place of entries that were not committed here. */
void requests_on_pass_over(struct replica *r, raft_term term);

/* feed.c: committed entries and confirmed reads to store; loads from the log */
uint32_t feed_poll(struct replica *r);
uint32_t loads_poll(struct replica *r);
bool feed_loads(const struct replica *r); /* the store is taking in a snapshot, or is to, and gets nothing else */
/* The store goes on from this snapshot, whatever it was fed: it gets it as soon as it is current. */
void feed_pass_over(struct replica *r, const struct snapshot_header *header);
void load_start(struct load *load, raft_index first, raft_index last, raft_term term);

/* persist_snapshot.c: what the persist role does about snapshots. Work done. */
uint32_t persist_snapshot_poll(struct replica *r, uint64_t now_ns);
/* A step that changes the base too. As wal_append(). */
int persist_snapshot_base(struct replica *r, const struct persist_item *item);

/* store_snapshot.c: what the store role does about snapshots. Work done. */
uint32_t store_snapshot_poll(struct replica *r, bool is_busy);
/* A snapshot point was applied. */
void store_snapshot_on_point(struct replica *r);
void store_snapshot_begin_load(struct replica *r, const struct store_item *item);
/* It takes one in, and neither entries nor reads can be begun. */
bool store_snapshot_loads(const struct replica *r);
/* Which one is still to be said by raft: nothing else can come from there. */
bool store_snapshot_is_due(const struct replica *r);

/* persist_role.c, store_role.c, tx_role.c */
uint32_t persist_role_poll(struct replica *r, uint64_t now_ns);
uint64_t persist_role_next_timer(const struct replica *r);
uint32_t store_role_poll(struct replica *r, uint64_t now_ns);
/* What the state comes to now is told to the raft role, for digests.c. */
void store_role_digest(struct replica *r);
uint32_t tx_role_poll(struct replica *r);

#endif
