/* sim/sim_internal.h: the state of a run.
 *
 *   sim.c       who has a turn next, and the turn
 *   poll.c      one poll of one role
 *   settle.c    phase two
 *   cluster.c   a node's life: init, start, crash
 *   observe.c   what the checkers are told
 *   observe_members.c  the same of configurations
 *   observe_snapshots.c  and of snapshots
 *   replay.c    what is committed, applied once more
 *   image.c     what a start would make of a disk
 *   repaired.c  what disks had lost is good again
 *   workload.c  the clients
 *   call.c      what clients say and hear, as bytes
 *   faults.c    what goes wrong, and phase two's healing
 *   links.c     what goes wrong with links
 *   disks.c     disks that are wiped, swapped, replaced by an old copy
 *   members.c   operators: changes of the members, transfers
 *   harm.c      what goes wrong with the bytes on disks
 *   siege.c     the leader loses the others at the worst moment
 *   look.c      what a run tells about itself
 *   scenario.c  the hands of tests/sim
 */
#ifndef SIM_SIM_INTERNAL_H
#define SIM_SIM_INTERNAL_H

#include "base/admin.h"
#include "base/prng.h"
#include "sim/check_history.h"
#include "sim/check_lease.h"
#include "sim/check_linear.h"
#include "sim/check_log.h"
#include "sim/check_members.h"
#include "sim/check_promise.h"
#include "sim/check_snapshot.h"
#include "sim/clock.h"
#include "sim/sim.h"

enum {
    SIM_START_NS = 1000000000, /* so that no clock begins at 0 */
    SIM_MILLION = 1000000,
    SIM_NODES_MAX = NET_NODES_MAX,
    SIM_SLOTS_MAX = PLAN_CLIENTS_MAX + 1, /* the last is the scenario's and phase two's own */
    SIM_SLOT_OWN = PLAN_CLIENTS_MAX,
    SIM_VALUE_BYTES_MIN = 8, /* a value begins with its name */
    SIM_COMMAND_BYTES_MAX = PLAN_VALUE_BYTES_MAX + 1024,
    SIM_IDLE_SHIFT_MAX = 6, /* turns without work come up to 64 gaps apart */
};

/* One client: at most one call under way. */
struct sim_slot {
    uint64_t call;        /* its number; 0: none */
    uint64_t search_name; /* of that call, in check_linear.h */
    uint64_t next_ns;
    uint64_t again;   /* a call to issue again under a new name; 0: none */
    bool header_seen; /* of the answer that is arriving */
    int64_t count;
    bool more;
    uint32_t item_count;
    struct history_item item[HISTORY_KEYS];
    uint8_t bytes[SIM_COMMAND_BYTES_MAX];
};

/* What the checkers saw of a node last; monotonic in one boot. */
struct sim_seen {
    raft_term term;
    raft_index commit, applied, last;
    raft_seq durable;
    raft_term last_term;     /* of entry `last` */
    raft_index config_index; /* of the configuration in force */
    uint64_t config_changes; /* raft_config_changes() */
    raft_term led_term;      /* by state or by frames */
    raft_term office_term;   /* at the end of a turn */
    raft_index base;         /* of its log */
    raft_index snapshot;     /* that its manifest names */
    enum snapshot_stage snapshot_stage;
    raft_term forward_term;  /* of the stream of requests that it forwards */
    uint64_t forward_end;    /* position behind the last that left */
};

/* Whose promises those of a running process are. */
enum sim_who {
    SIM_ITSELF,
    SIM_IMPOSTOR, /* the disk was wiped, and given the old id again: a mistake */
    SIM_CLONE,    /* the disk is an old copy */
};

/* What an operator asks of a node: one request at a time. */
struct sim_admin {
    uint64_t tag;      /* 0: none is under way */
    raft_term term;     /* of that node when it was asked */
    raft_index commit; /* newest that anybody had committed then */
    bool leaves;       /* the process is stopped when it is answered */
    struct admin_request request;
    struct sim_verdict verdict; /* of the last answer */
};

/* A poll of a role that may be left in its middle (poll.c). */
struct sim_poll {
    struct fibre *fibre; /* NULL: none was yet */
    struct replica *replica;
    enum replica_role role;
    uint64_t local_ns; /* what it was told */
    uint32_t work;     /* what it tells, when it has ended */
};

/* One such poll that is to come. */
struct sim_leave {
    enum replica_role role;
    bool whole;       /* the process is paused with it */
    uint32_t moments; /* of that role's polls until it is left */
    uint64_t for_ns;  /* 0: none is planned */
};

/* Who led when a node was started, and what the node had acknowledged to it by then. */
struct sim_proof {
    uint32_t leader; /* number */
    uint32_t boot;   /* of the leader */
    raft_term term;
    raft_index match; /* 0: nobody led, or nothing was */
};

struct sim_node {
    uint32_t number;
    enum sim_who who;
    struct disk *disk;
    struct sim_node *swapped; /* has our disk, and we have its; NULL: all is well */
    struct disk *copy;        /* made at boot `copy_boot`; NULL: none */
    struct disk *kept;        /* the true disk while a copy runs */
    uint32_t copy_boot;
    raft_index copy_last; /* its log's end then, at most */
    struct sim_proof proof;
    bool copy_tried;
    uint32_t inits; /* directories made for it */
    uint64_t incarnation;
    uint8_t *memory;
    size_t memory_bytes;
    struct replica *replica; /* NULL: the process is dead */
    const struct check_log *committed; /* the run's: what its snapshots stand for */
    struct node_view *view;
    struct replica_counters *counters;
    struct request_door *door;
    struct replica_options options;
    struct sim_clock clock;
    uint32_t boot;

    uint64_t down_until_ns; /* dead: when it is started */
    uint64_t paused_until_ns;
    uint64_t clock_read_ns; /* by its own clock, before it was paused: what its next turn takes for
                             * now; 0: it reads the clock */
    uint64_t hung_until_ns;
    uint64_t earliest_ns; /* no turn before */
    uint64_t timer_ns;
    uint64_t stalled_until_ns[REPLICA_ROLE_COUNT];
    struct sim_poll poll[REPLICA_ROLE_COUNT];
    struct sim_leave leave;
    bool busy; /* the last turn had work, or a role was passed over */
    uint32_t idle_turns;
    bool ambush;      /* dies when the next promise has left */
    bool ambushed;    /* it has */
    bool leaves;      /* stops after its turn: it has handed over */
    bool image_due;   /* a crash image is to be recovered */
    bool asked;       /* for its vote, in this boot */
    bool disk_broken; /* its log was made to fail */
    uint64_t passed_call;    /* calls up to it may have been passed over by a snapshot, in this boot */
    raft_index passed_index; /* of that snapshot */
    bool repaired;          /* its log lacked entries, at the start or when it died */
    bool ruined;            /* refuses to start for harm to its disk that stays */
    bool lacks_snapshot;    /* its disk has lost the one that its manifest names, or a chunk of it */
    uint64_t full_until_ns; /* its disk takes no new files; 0: it does */
    uint64_t promises;

    struct sim_admin admin;
    struct sim_seen seen;
    struct sim_slot slot[SIM_SLOTS_MAX];
};

/* A link that goes and comes. */
struct sim_flap {
    uint32_t a, b;
    uint32_t left; /* changes of state; 0: it is at rest */
    uint64_t every_ns, next_ns;
};

enum siege_stage {
    SIEGE_NONE,
    SIEGE_NARROW, /* the leader has just a majority */
    SIEGE_EAGER,  /* and somebody else has asked for votes, and will again */
    SIEGE_LATE,   /* its followers are paused with a time that gets old */
    SIEGE_WATCH,  /* until it sends a message of a certain kind */
    SIEGE_CUT,
};

/* What becomes of those who follow a narrowed leader, before it loses them. */
enum siege_blow {
    SIEGE_NO_BLOW,
    SIEGE_RESTART,    /* they start anew: whom they followed is forgotten */
    SIEGE_LATE_CLOCK, /* they hear the leader once more with a time from before */
};

/* Of one leader at a time (siege.c). */
struct sim_siege {
    enum siege_stage stage;
    uint32_t node;    /* who led when it was laid */
    uint32_t strayed; /* followers that hear it no more, as a set */
    uint32_t answered; /* followers that have answered it in this stage, likewise */
    enum siege_blow blow;
    bool loses_tail;  /* it dies of it, and what it has written alone is harmed */
    enum raft_msg_type watched;
    uint64_t next_ns; /* when the next stage is due */
};

struct sim {
    struct plan plan;
    struct sim_config config;
    struct prng prng; /* order, skips, faults, clients */
    struct prng forge_prng;
    uint64_t now_ns;
    uint64_t events;
    uint64_t hash;
    bool healed;         /* phase two: no more faults */
    bool quiet;          /* clients begin no more calls */
    uint32_t slot_count; /* nodes that may ever be: all have links to all */
    uint32_t node_count; /* of them, those that were initialised: the first ones */
    bool over;   /* beyond the atlas, and nobody is left to whom anything could happen */
    struct sim_node node[SIM_NODES_MAX];
    uint32_t lost;          /* nodes whose disk was wiped, as a set: their ids never come back */
    uint64_t lost_ns;       /* when the last one was */
    struct sim_node *clone; /* runs on an old copy of its disk; NULL: nobody does */
    bool clone_same_boot;   /* under the number that the true disk started with last */
    bool clone_ends;        /* now */
    struct sim_node *copied; /* whose copy the next strike is about; NULL: anybody's */
    uint64_t admin_count;   /* requests of operators, ever */
    uint32_t admin_open;    /* of them, not answered */
    struct net *net;
    struct prng strike_prng[PLAN_STRIKE_COUNT]; /* when and how each strikes: its own chances */
    uint64_t strike_ns[PLAN_STRIKE_COUNT];
    uint64_t heal_ns; /* ends a partition */
    struct sim_flap flap;
    struct sim_siege siege;
    uint64_t fault_next_ns; /* the earliest of all that faults.c does */
    uint64_t work_next_ns;

    struct check_report report;
    struct check_log *log;
    struct check_promise *promise;
    struct check_lease *lease;
    struct check_members *members;
    struct check_history *history;
    struct check_linear *linear;
    struct check_snapshot *snapshot;
    struct replay *replay;
    struct history_call *call; /* number n is call[n - 1] */
    uint64_t call_count, call_capacity;
    uint64_t happened[SIM_HAPPENING_COUNT];

    uint8_t *superblock;                         /* a sector */
    char names[DISK_FILES_MAX][DISK_NAME_BYTES]; /* of files, for the time of a call */
    uint8_t *image_memory;
    size_t image_bytes;
};

static inline void sim_happen(struct sim *s, enum sim_happening happening)
{
    s->happened[happening]++;
}

static inline void sim_mix(struct sim *s, uint64_t word)
{
    s->hash = hash_u64(s->hash, word);
}

static inline raft_node sim_id(const struct sim_node *n)
{
    return (raft_node)(n->number + 1);
}

static inline bool sim_chance(struct sim *s, uint32_t per_million)
{
    return per_million != 0 && prng_chance(&s->prng, per_million);
}

static inline bool sim_is_lost(const struct sim *s, const struct sim_node *n)
{
    return (s->lost >> n->number & 1) != 0;
}

/* Exponential enough: around the mean, seldom far above. */
uint64_t sim_around(struct prng *p, uint64_t mean_ns);

/* sim.c */
bool sim_step(struct sim *s); /* one event */
void sim_trace(struct sim *s, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* poll.c */
uint32_t poll_role(struct sim *s, struct sim_node *n, enum replica_role role, uint64_t local_ns);
bool poll_is_left(const struct sim_node *n, enum replica_role role);
/* Plans that one is left; after how many moments is drawn. */
void poll_leave(struct sim_node *n, struct prng *p, const struct sim_leave *leave);
void poll_forget(struct sim_node *n); /* its process is gone */
void poll_drop(struct sim_node *n);   /* and its memory, at the end of all runs */

/* cluster.c */
void cluster_init(struct sim *s, struct sim_node *n);
bool cluster_start(struct sim *s, struct sim_node *n); /* false: recovery crashed, as ordered */
void cluster_crash(struct sim *s, struct sim_node *n, enum sim_crash_mode mode);
void cluster_drop(struct sim_node *n); /* disk and memory, at the end of all runs */

/* observe.c */
void observe_frame(void *context, uint32_t node, const uint8_t *bytes, uint32_t length);
void observe_start(struct sim *s, struct sim_node *n);
void observe_turn(struct sim *s, struct sim_node *n);
struct check_view observe_view(const struct sim_node *n); /* of its log */

/* image.c: the log as a start would find it. Its memory is the run's: one at a time. */
struct sim_image {
    struct disk *disk;
    struct wal *wal; /* if nothing `failed`, and so the next */
    struct snapshots *snapshots;
    struct wal_recovered found;
    const struct check_log *committed; /* the run's */
    uint64_t now_ns;
    int failed; /* negative errno of the start */
};
void image_open(struct sim *s, const struct sim_node *n, struct sim_image *image);
void image_close(struct sim_image *image);
raft_term image_term_at(const void *log, raft_index index); /* of a struct sim_image */
void image_read(struct sim_image *image, struct wal_read *read);
void image_read_chunk(struct sim_image *image, struct snapshot_read *read);
void image_check(struct sim *s, struct sim_node *n); /* against what it has promised */

/* repaired.c */
uint32_t repaired_restart(struct sim *s); /* nodes whose disks are harmed; how many */
bool repaired_lacks(struct sim *s);       /* true: a member has holes yet, and that is reported */
bool repaired_check(struct sim *s);

/* observe_members.c */
void observe_config_record(struct sim *s, const struct record_header *header,
                           const uint8_t *payload);
void observe_config(struct sim *s, struct sim_node *n, const struct check_view *view);
void observe_elected(struct sim *s, struct sim_node *n, raft_term term,
                     const struct check_view *view);
/* A request for votes leaves it. */
void observe_candidate(struct sim *s, struct sim_node *n, raft_term term);
/* The entry that has just become the last committed one. */
bool observe_durable_quorum(struct sim *s, struct sim_node *n, raft_index index,
                            const struct check_entry *entry);
bool sim_is_member(const struct sim *s, const struct sim_node *n); /* as last committed */
bool sim_is_served(const struct sim *s, const struct sim_node *n); /* it lives and may count too */

/* observe_snapshots.c */
void observe_snapshots(struct sim *s, struct sim_node *n); /* after a turn */
void observe_snapshot_frame(struct sim *s, const struct sim_node *n, const struct frame *f);
/* What its log stands on. `harm`: its disk is harmed, and the file may lack anything. */
bool observe_image_snapshot(struct sim *s, const struct sim_node *n, struct sim_image *image,
                            bool harm);

/* workload.c */
void workload_start(struct sim *s, struct sim_node *n); /* of a node that has started */
void workload_crash(struct sim *s, struct sim_node *n);
void workload_tick(struct sim *s);
void workload_quiet(struct sim *s); /* no new calls from here on but those made by hand */
void workload_answers(struct sim *s, struct sim_node *n);
void workload_now(struct sim *s, struct sim_node *n, bool held_too); /* who has no call makes one */
void workload_hold(struct sim *s, struct sim_node *n);    /* some wait for workload_now() */
void workload_release(struct sim *s, struct sim_node *n); /* they wait no longer */
uint32_t workload_open(const struct sim *s); /* calls under way on living nodes */
uint64_t workload_put(struct sim *s, struct sim_node *n, uint8_t key, uint64_t value);
uint64_t workload_get(struct sim *s, struct sim_node *n, uint8_t key);

/* replay.c: what is committed, applied by a store of no node */
struct replay;
struct replay *replay_create(void);
void replay_destroy(struct replay *r);
void replay_reset(struct replay *r, uint64_t quota_bytes);
/* The entry that has just become the last committed one; `call`: the command in it, or NULL. */
void replay_entry(struct sim *s, raft_index index, const struct check_entry *entry,
                  const struct history_call *call);

/* call.c */
enum { CALL_KEY_BYTES = 3 };
void call_key_write(uint8_t key, uint8_t *text);
uint64_t call_value(struct sim *s, uint32_t bytes); /* the name of a value of that length */
uint32_t call_value_bytes(uint64_t value);
void call_value_write(uint64_t value, uint8_t *out);
uint32_t call_encode(const struct history_call *call, uint8_t *out); /* SIM_COMMAND_BYTES_MAX */
/* One piece of a result: the header in the first, then whole items. */
bool call_parse_piece(struct sim *s, struct sim_slot *slot, const struct answer *answer);

/* disks.c: strikes, and what comes of them */
struct superblock;
void disks_wipe(struct sim *s, struct prng *p);
void disks_empty(struct sim *s, struct sim_node *n, uint64_t seed); /* of a dead node, for ever */
void disks_swap(struct sim *s, struct prng *p);
void disks_copy(struct sim *s, struct prng *p);
void disks_make_copy(struct sim *s, struct sim_node *n, uint64_t seed);
void disks_start_copy(struct sim *s, struct sim_node *n); /* in the place of a dead node's disk */
bool disks_may_start(struct sim *s, struct sim_node *n);
/* True: as it must, a start was refused that found this superblock, or failed to read one. */
bool disks_start_refused(struct sim *s, struct sim_node *n, int failed,
                         const struct superblock *found);
bool disks_stop_expected(struct sim *s, struct sim_node *n, enum replica_stop stop);
void disks_heal(struct sim *s, uint32_t dead); /* nodes that stay so, as a set */
void disks_forget(struct sim_node *n);
void disks_note_start(struct sim *s, struct sim_node *n);
void disks_on_campaign(struct sim *s); /* somebody asks for votes */
void disks_go_on(struct sim *s);
bool disks_all_have_entries(const struct sim *s); /* who may be a member and is not lost */

/* members.c: strikes of operators, and their answers */
void members_change(struct sim *s, struct prng *p);
void members_transfer(struct sim *s, struct prng *p);
/* False: its door takes nothing now. */
bool members_ask(struct sim *s, struct sim_node *n, const struct admin_request *wanted);
void members_ask_change(struct sim *s, struct prng *p, struct sim_node *n);
bool members_ask_transfer(struct sim *s, struct sim_node *n, uint16_t target); /* 0: to any */
void members_answer(struct sim *s, struct sim_node *n, const struct answer *answer);
void members_crash(struct sim *s, struct sim_node *n);
/* Phase two: nodes that may stay dead, as a set. */
uint32_t members_draw_dead(struct sim *s);

/* faults.c */
void faults_begin(struct sim *s);
void faults_fire(struct sim *s);
void faults_plan_next(struct sim *s);
void faults_heal(struct sim *s);
void faults_crash(struct sim *s, struct prng *p, struct sim_node *n, uint64_t down_ns);
void faults_pause(struct sim *s, struct sim_node *n, uint64_t until_ns, bool clock_read);
void faults_leave(struct sim *s, struct prng *p, struct sim_node *n, uint64_t for_ns);
/* One good copy of each committed entry and a healthy majority remain: progress may be asked for. */
bool faults_within_atlas(const struct sim *s);

/* harm.c */
void harm_begin(struct sim *s, const struct sim_node *n); /* of a node whose disk is new */
/* In front of each start: harm that no start could see is made good; how many sectors. */
uint32_t harm_settle(struct sim *s, const struct sim_node *n, struct disk *disk);
bool harm_met(const struct sim_node *n); /* its disk is harmed, or harmed a read since the start */
/* That a start over this disk of its ends with this error is what should happen. */
bool harm_excuses(struct sim *s, const struct sim_node *n, struct disk *disk, int error);
void harm_rot(struct sim *s, struct prng *p);
void harm_start(struct sim *s, struct sim_node *n); /* it is about to start */
/* A sector in front of the last batch of a dead node whose disk may be harmed. */
void harm_tail(struct sim *s, struct prng *p, struct sim_node *n);
void harm_fill(struct sim *s, struct prng *p);
void harm_make_room(struct sim *s); /* where it is time */
void harm_lift_limit(struct sim *s, struct sim_node *n); /* before its disk is another */
uint64_t harm_next_ns(const struct sim *s);
/* Nodes that are gone for good, or may be as soon as they look at what they have, as a set. */
uint32_t harm_victims(const struct sim *s);
uint32_t harm_allowed(const struct sim *s); /* nodes that the plan may make victims, likewise */
void harm_end(struct sim *s);               /* no more of it; what is harmed stays so */

/* links.c */
void links_partition(struct sim *s, struct prng *p);
void links_heal(struct sim *s);
void links_toggle(struct sim *s, struct prng *p);
void links_flap(struct sim *s, struct prng *p);
void links_flap_on(struct sim *s); /* its next change, if it is due */
void links_replay(struct sim *s, struct prng *p);
/* A frame that is on its way: one node sends pieces of snapshots that are not what it has. */
void links_forge(void *context, uint32_t node, uint8_t *bytes, uint32_t length);

/* siege.c */
void siege_lay(struct sim *s, struct prng *p);
void siege_go_on(struct sim *s, struct prng *p); /* to its next stage, if that is due */
void siege_lift(struct sim *s);
bool siege_wants_reads(const struct sim *s, const struct sim_node *n); /* of clients there */
void siege_on_message(struct sim *s, const struct sim_node *n, enum raft_msg_type type); /* leaves */
void siege_on_election(struct sim *s, const struct sim_node *n);    /* it leads a new term */
void siege_on_write(struct sim *s, const struct sim_node *n);       /* it has served a write */

#endif
