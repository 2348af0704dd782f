/* raftcore/raft.h: Raft as a function: one event in, effects out.
 *
 * Source     Ongaro, "Consensus: Bridging Theory and Practice" (2014), chapters 3, 4, 6 and 9;
 *            PreVote is section 9.6, CheckQuorum section 6.2, ReadIndex section 6.4, leadership
 *            transfer section 3.10, joint consensus section 4.3.
 * Purity     No clock (time is a field of the event), no entropy but a seeded generator, no
 *            allocation, no callbacks, no I/O, and it cannot fail. Bytes of entries are never
 *            seen: the core knows their lengths, terms and indexes.
 * Persist    What a step appends or votes carries `seq`, one above the last. The caller hands it
 *            to persist in that order and reports the longest flushed prefix by
 *            RAFT_EV_DURABLE. A message must not leave the node before its after_seq is durable.
 * Sending    Steps that receive or propose never send entries. The caller asks with
 *            RAFT_EV_SEND, as often as raft_effects.more says and its rings have room; it names
 *            the peers that may be sent entries now. So proposals of one turn share frames.
 * Entries    The caller keeps the bytes of [memory_first, last]. Entries below must be loaded: the
 *            core asks by `load` and gets RAFT_EV_LOADED, as often as it needs more.
 * Snapshots  The core knows them by index and term. Making, keeping, moving and checking them is
 *            the caller's; it tells when the log base may rise (RAFT_EV_COMPACT), how a transfer
 *            that `snapshot` asked for goes on (RAFT_EV_SNAPSHOT_BEGUN, _ENDED), and when a whole
 *            and checked one is there (RAFT_EV_INSTALL). docs/raft.md has the way of one.
 * Thread     The raft lcore only.
 * Memory     raft_bytes() of it, lent by the caller for ever.
 * Errors     None. What a peer sends is checked by the decoder for form and here for sense: a
 *            contradiction of the sender's own promises is refused, counted in `convicted`, and
 *            the effects name who it was.
 */
#ifndef RAFTCORE_RAFT_H
#define RAFTCORE_RAFT_H

#include <stddef.h>

#include "base/admin.h"
#include "raftcore/raft_types.h"

struct raft;

enum {
    RAFT_FX_SENDS_MAX = 2 * RAFT_MEMBERS_MAX, /* a round that ends answers every other member, the
                                                 next one asks them in the same step, or answers
                                                 them again if we are the only voter, and a
                                                 successor is told to take over */
    RAFT_PROPOSE_MAX = 64,        /* entries one RAFT_EV_PROPOSE may bring */

    /* The committed configuration and those above it. A leader appends one only when the last is
     * committed, so one uncommitted can be there, and its leader's rival; the rest is margin. */
    RAFT_CONFIGS_MAX = 4,
};

struct raft_options {
    raft_node node;
    uint64_t incarnation;
    uint64_t seed;      /* a hash of cluster, node and boot */
    raft_seq seq_first; /* boot << RAFT_SEQ_COUNTER_BITS; of a core that begins anew in this boot,
                           the newest one given out */
    uint64_t heartbeat_ns;
    uint64_t election_min_ns;
    uint64_t election_max_ns;
    uint64_t resend_ns;         /* entries unanswered for so long are sent again */
    uint32_t append_bytes_max;  /* records of one APPEND; a larger record travels alone */
    uint32_t inflight_msgs_max; /* a peer, unanswered */
    uint32_t inflight_bytes_max;
    uint32_t window; /* entries whose length and seq are kept; a power of two; at most this many
                        entries may be unflushed or uncommitted */
    uint32_t caught_up_lag; /* entries behind the commit index that a peer may be and still count
                               as caught up: for promotion, for preference, for health */
    uint64_t promote_ns;    /* a learner with `promote` is promoted when caught up for so long */
    bool lease_reads;       /* a leader confirms local reads by its lease: unsafe where the clock of
                               one node may stop while the node runs on */
};

/* One run of entries of one term in the recovered log. */
struct raft_run {
    raft_index first;
    raft_term term;
};

/* A configuration and the index of its entry; 0: from bootstrap, or none. */
struct raft_config_at {
    raft_index index;
    struct raft_config config;
};

/* What persist found. An empty log has last == base == 0. */
struct raft_recovered {
    raft_term term;
    raft_node vote; /* in `term`; 0: none */
    uint64_t vote_incarnation;
    raft_index base;     /* log base: entries up to it are gone (a snapshot holds them) */
    raft_term base_term; /* 0 if, and only if, the base is 0 */
    raft_index last;
    raft_index commit; /* raft_commit() after the last step that was persisted. One of a later time
                          may speak of entries that are to replace what stands on this disk */
    bool faulty;       /* entries of the log can't be read now: last and its term are right, other
                          terms may be guesses. Such a node votes and never campaigns; the caller gives
                          it no APPEND, and starts the core anew when the log is whole */
    uint32_t run_count;
    const struct raft_run *runs; /* ascending, covering base + 1 .. last */
    /* Those of the log that are above `commit`, and the newest at or below it, be it from the log
     * or from the snapshot at the base; ascending. Without the latter a node that must give up the
     * others is no member until it gets another. */
    uint32_t config_count;
    struct raft_config_at configs[RAFT_CONFIGS_MAX];
};

enum raft_event_type {
    RAFT_EV_TICK,      /* nothing but time */
    RAFT_EV_MESSAGE,   /* msg; from a member, form already checked */
    RAFT_EV_PROPOSE,   /* entries, count: a leader appends them, anyone else ignores them */
    RAFT_EV_DURABLE,   /* seq: everything up to it is flushed */
    RAFT_EV_SEND,      /* peers: bit i set, member[i] may be sent entries now */
    RAFT_EV_READ,      /* number: all local reads up to it want to be confirmed; ascending */
    RAFT_EV_LOADED,    /* peer, first, entries, count: loaded entries may be sent now */
    RAFT_EV_BOOTSTRAP, /* config: the first configuration, from all members, all logs empty */
    RAFT_EV_PEER_BOOT, /* peer: it restarted; what was in flight to it is lost. forced: and so is
                               what it had acknowledged, for its disk is an older one */
    RAFT_EV_ALIVE,     /* peer, term: a piece of a record came from it as the leader of that term */
    RAFT_EV_RENEW,     /* now_ns was read after the leader's last message was passed */
    RAFT_EV_TRANSFER,  /* peer: the leader hands over to it; 0: to the most caught-up voter */
    RAFT_EV_CHANGE,    /* config, forced: the leader makes it the configuration; not joint */
    RAFT_EV_COMPACT,   /* index: the log base moves up to it; see raft_event */
    RAFT_EV_SNAPSHOT_BEGUN, /* peer, index: the transfer that was asked for goes on, with this one */
    RAFT_EV_SNAPSHOT_ENDED, /* peer, index, ok: the peer says that it has it, or it was given up */
    RAFT_EV_INSTALL,        /* index, term, leader_term, config, config_index; see there */
};

/* Why a RAFT_EV_TRANSFER or RAFT_EV_CHANGE was not taken; nothing has changed then. The list is in
 * base/admin.h, for those who tell the operator and don't know the core. */
enum raft_refusal {
#define RAFT_REFUSAL_ENUM(name, text) RAFT_REFUSAL_##name,
    ADMIN_CORE_REFUSAL_LIST(RAFT_REFUSAL_ENUM)
#undef RAFT_REFUSAL_ENUM
};

struct raft_event {
    enum raft_event_type type;
    uint64_t now_ns;         /* never goes back */
    raft_index memory_first; /* entries below must be loaded */
    const struct raft_msg *msg;
    const struct raft_entry *entries;
    uint32_t count;
    uint32_t peers;
    raft_seq seq;
    uint64_t number;
    raft_node peer;
    raft_index first;
    const struct raft_config *config;
    bool forced; /* RAFT_EV_CHANGE: even if the new voters seem unable to go on */
    bool ok;
    /* RAFT_EV_COMPACT: entries up to `index` are committed, and a durable snapshot holds them. The
     * base moves there, or as far as the log is durable: raft_base() tells. Persist makes base and
     * snapshot durable together under compact_seq; what the disk has below is cut then, not before.
     * RAFT_EV_INSTALL: a whole, checked and flushed snapshot, whose last entry is (index, term). It
     * came from a leader of `leader_term`, which knew that entry as committed. `config` is what was
     * in force there, config_index the entry that brought it. */
    raft_index index;
    raft_term term;
    raft_term leader_term;
    raft_index config_index;
};

struct raft_send {
    struct raft_msg msg; /* an APPEND names its entries by prev_index and count; bytes are theirs */
    raft_seq after_seq;  /* must not leave the node before persist reports it; 0: nothing */
    bool loaded;         /* APPEND: the entries are those of this RAFT_EV_LOADED */
};

/* What one step asks for. The caller owns the storage and lends it per step; its sizes are the
 * proof that the work of a step is bounded. raft_step() sets every field. */
struct raft_effects {
    struct {
        bool set;
        raft_seq seq;
        raft_term term;
        raft_node vote;
        uint64_t vote_incarnation;
    } hard_state;
    struct {
        raft_seq seq;           /* that of hard_state too, if both are set */
        raft_index first, last; /* first > last: nothing to append; entries from `first` on are
                                   replaced. The bytes are those of the event's entries: the
                                   last (last - first + 1) of them */
        raft_term term;         /* of a proposal: the leader's term */
        bool empty; /* the leader's own entry, index `first`, not the event's: the caller
                                   encodes an EMPTY record, or the CONFIG record of raft_config()
                                   if `config`. Any step of a leader but of RAFT_EV_PROPOSE,
                                   RAFT_EV_SEND and of an APPEND may bring a configuration */
        bool config;
    } append;
    struct {
        uint64_t number; /* 0: none. Local reads up to it are confirmed */
        raft_index index;
        uint64_t until_ns; /* 0: for good. Else by lease: the answer counts only if the clock shows
                              less *after* it was read; if not, ask again under a new number */
    } read;
    enum raft_refusal refusal; /* RAFT_EV_TRANSFER, RAFT_EV_CHANGE */
    raft_node convicted;       /* 0: nobody. It broke its word: pass nothing more of it */
    struct {
        raft_seq seq;     /* 0: nothing. A RAFT_EV_INSTALL is not taken if it is no newer than what
                             is committed here, or malformed. Persist makes log base and snapshot
                             change together */
        raft_index index; /* the new base */
        raft_term term;
        raft_index last; /* of the log afterwards: entries index + 1 .. last are kept, all else is
                            gone. What the store has applied is older than the snapshot */
    } install;
    raft_seq compact_seq; /* of a RAFT_EV_COMPACT, also if the base has not moved; 0: no such event */
    struct {
        raft_node peer;   /* 0: none */
        raft_index first; /* bring entries from here on by RAFT_EV_LOADED */
        raft_term term;   /* of the entry at `first` */
        raft_index last;  /* the end of that term's run, at most last of log */
    } load[RAFT_MEMBERS_MAX];
    uint32_t load_count;
    struct {
        raft_node peer;   /* it needs entries that are gone: begin a transfer to it, or leave it */
        raft_index index; /* of a snapshot at or above this; asked again after resend_ns */
    } snapshot[RAFT_MEMBERS_MAX];
    uint32_t snapshot_count;
    bool more; /* leader: a RAFT_EV_SEND (with the same peers, if this step was one; with all, if
                  not) has something to do */
    uint32_t send_count;
    struct raft_send send[RAFT_FX_SENDS_MAX];
};

size_t raft_bytes(const struct raft_options *options);
struct raft *raft_init(void *memory, const struct raft_options *options,
                       const struct raft_recovered *recovered, uint64_t now_ns);
void raft_step(struct raft *r, const struct raft_event *ev, struct raft_effects *fx);

/* When RAFT_EV_TICK is due next; before that a tick does nothing. */
uint64_t raft_next_tick(const struct raft *r);

enum raft_role raft_role(const struct raft *r);
raft_term raft_term_now(const struct raft *r);
raft_node raft_leader(const struct raft *r); /* 0: none known */
raft_node raft_vote(const struct raft *r);   /* in the term now; 0: none */
raft_index raft_commit(const struct raft *r);
raft_index raft_last(const struct raft *r);
raft_index raft_base(const struct raft *r); /* entries up to it are gone */
raft_index raft_durable_index(const struct raft *r);
raft_seq raft_seq_last(const struct raft *r); /* newest seq given out */
/* What carries the entry at `index`, at most the last (0: it is known to be durable), and what
 * carries term and vote: a promise of either must not leave before. */
raft_seq raft_entry_seq(const struct raft *r, raft_index index);
raft_seq raft_vote_seq(const struct raft *r);
const struct raft_config *raft_config(const struct raft *r); /* in force */
raft_index raft_config_index(const struct raft *r); /* of its entry; 0: from bootstrap, or none */
/* Rises whenever another configuration comes into force: by an entry, a truncation, bootstrap. */
uint64_t raft_config_changes(const struct raft *r);
/* Could it ever be in force? Whoever decodes one asks. */
bool raft_config_is_sound(const struct raft_config *config);
/* Term of an entry at or above the base; 0 below it and above the last. `run_last`, if not NULL,
 * gets the last index of that term's run. */
raft_term raft_term_at(const struct raft *r, raft_index index, raft_index *run_last);
/* Entries that a leader may append now without outrunning the window; none while it hands over. */
uint32_t raft_room(const struct raft *r);
raft_index raft_match(const struct raft *r, raft_node peer); /* leader: acknowledged durable */
bool raft_hears(const struct raft *r, raft_node peer); /* leader: within the longest timeout */
/* The snapshot whose transfer to the peer is to go on; 0: end it, whatever runs. It ends with our
 * lead, the peer's boot or membership, and when the peer has it. */
raft_index raft_snapshot_to(const struct raft *r, raft_node peer);
/* Leader: the lowest entry that somebody still needs; last + 1: nobody. Peers that answer count with
 * what they lack, those with a transfer with what comes behind its snapshot. Who compacts beyond
 * this (there must be a limit) makes a transfer necessary, or the one that runs useless. */
raft_index raft_keep_from(const struct raft *r);
/* Leader: who is to take over; 0: nobody. */
raft_node raft_transfer_target(const struct raft *r);
/* A leader was heard: pass RAFT_EV_RENEW with the next reading of the clock, before any message.
 * Without it a lease fails where a node is paused after it has read the clock. */
bool raft_heard_leader(const struct raft *r);
/* Messages that contradicted what their sender, or the leader's office, had promised. */
uint64_t raft_convicted(const struct raft *r);
/* Messages ignored for their form: not a member, another's, absurd numbers. */
uint64_t raft_ignored(const struct raft *r);
/* While we led, another node led in our term. Nobody can say which of us is wrong: the caller
 * must stop this node. */
bool raft_saw_rival(const struct raft *r);

#endif
