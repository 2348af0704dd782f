/* raftcore/raft_internal.h: the state of one core, and the steps that its event files share.
 *
 * raft_step() (step.c) calls one raft_on_*() per event or message, each in a file of that name.
 * Roles change only in role.c, peers' progress only in progress.c, the configuration in force only
 * in config.c, the commit index only in commit.c. docs/raft.md has the diagrams.
 */
#ifndef RAFTCORE_RAFT_INTERNAL_H
#define RAFTCORE_RAFT_INTERNAL_H

#include "base/assert.h"
#include "base/mark.h"
#include "base/planted.h"
#include "base/prng.h"
#include "raftcore/joint.h"
#include "raftcore/log.h"
#include "raftcore/raft.h"

enum {
    /* Election timeouts after which a write that is not flushed disqualifies: for campaigning one;
     * for leading a few, because the others commit without our disk as long as it only stalls, and
     * a stall that hits all disks of a host must not depose everybody in turn. */
    RAFT_LATE_TO_CAMPAIGN = 1,
    RAFT_LATE_TO_LEAD = 3,

    /* Longest election timeouts for which a node that gave up leading for its disk leaves elections
     * to others, and a leader leaves office to itself before it looks for a preferred one. */
    RAFT_DISK_SHY = 10,
    RAFT_PREFER_AFTER = 10,

    /* A lease is this much shorter than what its voters promise: two clocks that drift apart by
     * 5 % each way stay within it. */
    RAFT_LEASE_MARGIN_DIVISOR = 8,
};

/* How a leader feeds one peer (progress.c has the diagram). */
enum raft_peer_state {
    RAFT_PEER_PROBE,     /* where its log agrees with ours is not known: one append at a time */
    RAFT_PEER_REPLICATE, /* known: appends are sent ahead of their acknowledgements */
    RAFT_PEER_SNAPSHOT,  /* what it lacks is below our log base: no appends, only heartbeats */
};

enum raft_vote { RAFT_VOTE_NONE, RAFT_VOTE_GRANTED, RAFT_VOTE_REFUSED };

struct raft_inflight {
    raft_index last; /* an acknowledgement of this entry answers the append */
    uint32_t bytes;
};

/* What we know of member i of the configuration, ourselves included. All but the first line is the
 * leader's view: it is set anew when we become leader. */
struct raft_peer {
    raft_node node;
    enum raft_vote vote; /* in the running (pre-)election */

    enum raft_peer_state state;
    raft_index match;       /* acknowledged, hence durable there, in this term */
    raft_index next;        /* the first entry to send; in PROBE it stays while one is in flight; in
                               SNAPSHOT match + 1, which is gone */
    raft_index commit_told; /* the commit index that it learns from what was sent */
    uint64_t heard_ns;
    uint64_t close_ns;    /* learner: caught up since; 0: it is not */
    uint64_t progress_ns; /* something in flight was acknowledged, or the first was sent */
    uint64_t gap_ns;      /* when a gap made us go back, to `gap_next` */
    raft_index gap_next;
    raft_index snapshot;  /* SNAPSHOT: the one that is being transferred; 0: none is */
    uint64_t snapshot_ns; /* while none is: not before this time is one asked for */
    uint64_t load_ns;
    bool load_waiting; /* a load was asked for at load_ns */
    bool load_alone;   /* the entry at `next` is too large to travel with others */
    bool large;        /* a record that travels alone is in flight */
    uint32_t inflight_first;
    uint32_t inflight_count;
    uint64_t inflight_bytes;
    struct raft_inflight *inflight; /* ring of options.inflight_msgs_max */

    uint64_t round;        /* the newest confirmation round it answered */
    uint64_t read_waiting; /* reads up to this number wait for the next round; 0: none */
    uint64_t read_running; /* and these for the running one */
};

struct raft {
    struct raft_options options;
    struct prng prng;
    struct raft_log log;

    /* Hard state, and the seq that carries it (0: recovered, or none yet). */
    raft_term term;
    raft_node vote;
    uint64_t vote_incarnation;
    raft_seq hard_seq;

    enum raft_role role;
    raft_node leader; /* of `term`; 0: not known */
    raft_index commit;
    bool faulty;         /* since the start: see raft_recovered */
    raft_index verified; /* follower: our log equals the leader's of `term` up to here */

    uint64_t now_ns;
    uint64_t timer_ns;       /* start of the running election timeout */
    uint64_t timeout_ns;     /* its length, drawn anew when it runs out and at each new role */
    uint64_t heartbeat_ns;   /* leader: when the last one was sent */
    uint64_t tick_ns;        /* leader: when it last looked after its office; rounds of reads put
                                 heartbeats off, but not this */
    raft_index memory_first; /* as of the last RAFT_EV_SEND */

    raft_seq seq_last;
    raft_seq seq_durable;
    raft_seq seq_step;  /* this step's; 0: it persists nothing so far */
    raft_seq flush_seq; /* a seq persist owes us, and since when: the oldest write that is not */
    uint64_t flush_ns;  /* flushed is at least that old */

    bool heard;           /* a leader, since the last RAFT_EV_RENEW */
    uint64_t promised_ns; /* until then we vote for nobody: some leader may count on that */
    uint64_t shy_ns;      /* until then our disk's failings keep us from campaigning early */
    bool asked;           /* for a vote, by an older log, since a leader was heard */

    /* Leader: */
    raft_node transfer_to; /* whom it hands over to; 0: nobody */
    uint64_t transfer_ns;  /* since when */
    bool transfer_told;    /* TIMEOUT_NOW has left in this term: no read by lease any more */
    bool transfer_is_last; /* it must not lead on; the attempt has been made */
    uint64_t prefer_ns;    /* when to look for a preferred leader */
    raft_index own_first;  /* leader: its own first entry of the term */
    uint64_t round;        /* leader: number of the newest round in this term */
    bool round_running;
    raft_index round_index; /* the commit index when it was sent */
    uint64_t round_ns;      /* and the time */
    uint64_t lease_ns;      /* when the newest round that a quorum answered was sent; 0: none */
    uint64_t read_wanted;   /* local reads asked for, confirmed, and in the running round */
    uint64_t read_confirmed;
    uint64_t read_running;
    uint64_t read_asked_ns; /* follower: when the leader was last asked */

    uint64_t convicted;
    uint64_t ignored;
    bool rival;

    uint64_t config_changes; /* times that another configuration came into force */
    uint32_t config_count;   /* at least 1; the last is in force */
    struct raft_config_at configs[RAFT_CONFIGS_MAX];
    uint32_t self; /* our place in the configuration; RAFT_MEMBERS_MAX: not a member */
    struct raft_peer peer[RAFT_MEMBERS_MAX]; /* beside config.member[] */
};

static inline raft_index raft_min(raft_index a, raft_index b)
{
    return a < b ? a : b;
}

static inline raft_index raft_max(raft_index a, raft_index b)
{
    return a > b ? a : b;
}

/* effects.c: what a step asks for. */
void raft_effects_clear(struct raft_effects *fx);
struct raft_msg *raft_emit(struct raft *r, enum raft_msg_type type, raft_node to,
                           struct raft_effects *fx);
void raft_emit_after(raft_seq after_seq, struct raft_effects *fx); /* of the message just emitted */
void raft_emit_hard_state(struct raft *r, struct raft_effects *fx);
void raft_emit_append(struct raft *r, raft_index first, raft_term term, struct raft_effects *fx);
raft_seq raft_step_seq(struct raft *r);         /* the seq of whatever this step persists */
raft_seq raft_hard_after(const struct raft *r); /* what a promise about (term, vote) waits for */
/* When the oldest write owed will be older than `timeouts`; UINT64_MAX: nothing is owed. */
uint64_t raft_disk_late_ns(const struct raft *r, uint32_t timeouts);
bool raft_disk_is_late(const struct raft *r, uint32_t timeouts);

/* role.c: who we are. */
void raft_timer_restart(struct raft *r);
void raft_become_follower(struct raft *r, raft_term term, raft_node leader,
                          struct raft_effects *fx);
void raft_campaign(struct raft *r, struct raft_effects *fx);  /* PreVote first; only if we may */
void raft_take_over(struct raft *r, struct raft_effects *fx); /* at the leader's wish */
void raft_become_candidate(struct raft *r, bool transfer, struct raft_effects *fx);
void raft_become_leader(struct raft *r, struct raft_effects *fx);
void raft_leader_heard(struct raft *r);
bool raft_leader_lives(const struct raft *r);
bool raft_may_vote(const struct raft *r, const struct raft_msg *m);
bool raft_is_newer_log(const struct raft *r, const struct raft_msg *m); /* or as new as ours */
bool raft_votes_win(const struct raft *r);

/* config.c: who the others are. */
const struct raft_config *raft_config_in_force(const struct raft *r);
void raft_config_init(struct raft *r, const struct raft_recovered *recovered);
void raft_config_bootstrap(struct raft *r, const struct raft_config *config);
void raft_config_append(struct raft *r, raft_index index, const struct raft_config *config);
void raft_config_truncate(struct raft *r, raft_index first);
void raft_config_commit(struct raft *r);
void raft_config_install(struct raft *r, const struct raft_config_at *at, raft_index index);
uint32_t raft_config_room(const struct raft *r);
/* In the configuration in force, and in peer[]; RAFT_MEMBERS_MAX: not a member. */
uint32_t raft_place_of(const struct raft *r, raft_node node);
struct raft_peer *raft_find_peer(struct raft *r, raft_node node); /* NULL: not a member */
bool raft_is_voter(const struct raft *r);                         /* are we? */
bool raft_is_needed(const struct raft *r); /* or were, until the change is committed? */

/* commit.c: what a majority has. */
raft_index raft_quorum(const struct raft *r, const uint64_t value[RAFT_MEMBERS_MAX]);
void raft_commit_to(struct raft *r, raft_index index);
void raft_commit_by_count(struct raft *r, struct raft_effects *fx);

/* progress.c: how far a peer is. */
void raft_peer_reset(struct raft *r, struct raft_peer *p); /* a new leader's view */
/* It acknowledged nothing that counts, and was not heard. */
void raft_peer_forgot(struct raft *r, struct raft_peer *p);
void raft_peer_probe(struct raft *r, struct raft_peer *p, raft_index next);
void raft_peer_retreat(struct raft *r, struct raft_peer *p, raft_index next);
void raft_peer_sent(struct raft *r, struct raft_peer *p, raft_index last, uint32_t bytes);
void raft_peer_acked(struct raft *r, struct raft_peer *p, raft_index match);
void raft_peer_lost(struct raft *r, struct raft_peer *p); /* nothing in flight will be answered */
void raft_peer_rewind(struct raft *r, struct raft_peer *p, raft_index next);
void raft_peer_compacted(struct raft *r, struct raft_peer *p);
bool raft_peer_is_heard(const struct raft *r, const struct raft_peer *p);
bool raft_peer_has_room(const struct raft *r, const struct raft_peer *p, uint32_t bytes);
uint64_t raft_peer_due(const struct raft *r, const struct raft_peer *p);
void raft_peer_tick(struct raft *r, struct raft_peer *p);

/* on_heartbeat.c, on_read.c, on_send.c: parts that several events need. */
void raft_broadcast_heartbeat(struct raft *r, struct raft_effects *fx);
void raft_read_turn(struct raft *r, struct raft_effects *fx);
bool raft_lease_renew(struct raft *r, struct raft_effects *fx);
void raft_read_ask(struct raft *r, struct raft_effects *fx);
bool raft_reads_ask(const struct raft *r); /* a follower's local reads wait for a leader's word */
bool raft_more_to_send(const struct raft *r, uint32_t peers);
uint32_t raft_pack(const uint32_t bytes[RAFT_APPEND_ENTRIES_MAX], uint32_t count, uint64_t limit,
                   uint32_t *sum);
void raft_send_append(struct raft *r, struct raft_peer *p, uint32_t count, uint32_t bytes,
                      struct raft_effects *fx);
uint64_t raft_pack_limit(const struct raft *r, const struct raft_peer *p);

/* on_transfer.c, on_change.c: what a leader does by itself. */
void raft_transfer_turn(struct raft *r,
                        struct raft_effects *fx); /* the target may have caught up */
bool raft_transfer_tick(struct raft *r, struct raft_effects *fx); /* false: it leads no longer */
uint64_t raft_transfer_due(const struct raft *r);
void raft_change_turn(struct raft *r, struct raft_effects *fx); /* something was committed */
void raft_change_tick(struct raft *r, struct raft_effects *fx);
bool raft_is_caught_up(const struct raft *r, const struct raft_peer *p);

/* One a file: on_<event>.c. Requests judge their term themselves; replies are of our term. */
void raft_on_tick(struct raft *r, struct raft_effects *fx);
void raft_on_propose(struct raft *r, const struct raft_event *ev, struct raft_effects *fx);
void raft_on_durable(struct raft *r, raft_seq seq, struct raft_effects *fx);
void raft_on_send(struct raft *r, const struct raft_event *ev, struct raft_effects *fx);
void raft_on_read(struct raft *r, uint64_t number, struct raft_effects *fx);
void raft_on_loaded(struct raft *r, const struct raft_event *ev, struct raft_effects *fx);
void raft_on_bootstrap(struct raft *r, const struct raft_config *config);
void raft_on_peer_boot(struct raft *r, raft_node node, bool forgot);
void raft_on_alive(struct raft *r, raft_node leader, raft_term term);
void raft_on_renew(struct raft *r);
void raft_on_transfer(struct raft *r, raft_node target, struct raft_effects *fx);
void raft_on_change(struct raft *r, const struct raft_event *ev, struct raft_effects *fx);
void raft_on_compact(struct raft *r, raft_index index, struct raft_effects *fx);
void raft_on_snapshot_begun(struct raft *r, const struct raft_event *ev);
void raft_on_snapshot_ended(struct raft *r, const struct raft_event *ev);
void raft_on_install(struct raft *r, const struct raft_event *ev, struct raft_effects *fx);

void raft_on_prevote(struct raft *r, const struct raft_msg *m, struct raft_effects *fx);
void raft_on_prevote_reply(struct raft *r, const struct raft_msg *m, struct raft_effects *fx);
void raft_on_vote(struct raft *r, const struct raft_msg *m, struct raft_effects *fx);
void raft_on_vote_reply(struct raft *r, const struct raft_msg *m, struct raft_effects *fx);
void raft_on_append(struct raft *r, const struct raft_msg *m, struct raft_effects *fx);
void raft_on_append_reply(struct raft *r, const struct raft_msg *m, struct raft_effects *fx);
void raft_on_heartbeat(struct raft *r, const struct raft_msg *m, struct raft_effects *fx);
void raft_on_heartbeat_reply(struct raft *r, const struct raft_msg *m, struct raft_effects *fx);
void raft_on_read_index(struct raft *r, const struct raft_msg *m, struct raft_effects *fx);
void raft_on_read_index_reply(struct raft *r, const struct raft_msg *m, struct raft_effects *fx);
void raft_on_timeout_now(struct raft *r, const struct raft_msg *m, struct raft_effects *fx);

/* The sender broke its word: it is counted, named in the effects, and counts for nothing here. */
void raft_convict(struct raft *r, raft_node sender, struct raft_effects *fx);
/* Is m of another leader of our term than the one we know, or are? It is convicted then. */
bool raft_convict_second_leader(struct raft *r, const struct raft_msg *m);
/* The leader of m's term speaks: true if it may. Refreshes the timer, takes it as our leader. */
bool raft_follow(struct raft *r, const struct raft_msg *m, struct raft_effects *fx);

#endif
