/* replica/bootstrap.c: how members get to know each other, and how a cluster begins.
 *
 * Each node says HELLO to whoever it has not heard in this life of its own, until it is answered.
 * The configuration entry of the log names the incarnations; before there is one, HELLOs teach
 * them. A node whose log is empty neither campaigns nor votes until every other initial member
 * has said that its log is empty too, in this life of its and to this life of ours: so a member that
 * lost its log can never help to elect a leader without the committed entries, and nobody starts a
 * second history.
 */
#include "replica/config_record.h"
#include "replica/replica_internal.h"

enum { HELLO_HEARTBEATS = 5 };

/* Whoever is removed is sent no entries from then on, not even the one that removes it. A HELLO says so
 * when that is committed, for the operator only: nothing is decided by it, and who knows of a later
 * configuration does not believe it. */
static raft_index left_out(const struct replica *r, const struct peer *peer)
{
    const raft_index index = raft_config_index(r->raft.raft);

    return peer->member || index > raft_commit(r->raft.raft) ? 0 : index;
}

static void send_hello(struct replica *r, struct peer *peer)
{
    struct frame f = {
        .type = FRAME_HELLO,
        .hello = {
            .wants_answer = peer->hello_ask,
            .log_empty = r->raft.log_was_empty,
            .refused = peer->refused,
            .accused_boot = peer->accused_boot,
            .last = raft_last(r->raft.raft),
            .term = raft_term_now(r->raft.raft),
            .left_out = left_out(r, peer),
        },
    };

    if (!emit_frame(r, peer, &f, 0, NULL))
        return; /* the next poll tries again */
    peer->hello_due = false;
    peer->hello_ask = false;
    peer->accused_boot = 0;
    peer->refused = false;
    peer->outdated = false;
    peer->left = peer->left && f.hello.left_out == 0;
}

/* All other initial members have said that their logs are empty: this is the first configuration. A
 * node that is none of them waits until a leader has it added. */
static void try_bootstrap(struct replica *r)
{
    struct replica_raft *role = &r->raft;
    struct raft_config config = {.count = 0};

    if (!r->options.members.member[role->self].voter)
        return;
    for (uint32_t i = 0; i < role->peer_count; i++) {
        const struct peer *peer = &role->peer[i];
        if (!r->options.members.member[i].voter)
            continue;
        if (i != role->self && !(peer->heard_hello && peer->log_empty))
            return;
        config.member[config.count] = r->options.members.member[i];
        config.member[config.count++].incarnation = peer->incarnation;
        ASSERT(r->options.members.member[i].node == peer->node);
    }
    role->bootstrapped = true;
    struct raft_event ev = {.type = RAFT_EV_BOOTSTRAP, .config = &config};
    step_event(r, &ev);
}

bool bootstrap_left_out(const struct replica *r)
{
    const struct replica_raft *role = &r->raft;
    const struct peer *self = &role->peer[role->self];
    const raft_index index = raft_config_index(role->raft);

    /* A leader that was deposed before it saw its own removal committed has that very configuration, and is
     * sent nothing any more that would say so. */
    if (role->left_out == index && index != 0 && !self->member)
        return true;
    return role->left_out > index || left_out(r, self) != 0;
}

bool bootstrap_asks(const struct replica *r, const struct peer *peer)
{
    return peer->boot == 0 || !peer->heard_hello ||
           (r->raft.log_was_empty && !r->raft.bootstrapped);
}

void bootstrap_poll(struct replica *r)
{
    struct replica_raft *role = &r->raft;
    const bool round = role->now_ns >= role->hello_ns;

    if (round)
        role->hello_ns = role->now_ns + HELLO_HEARTBEATS * r->options.heartbeat_ns;
    for (uint32_t i = 0; i < role->peer_count; i++) {
        struct peer *peer = &role->peer[i];
        const bool asking = bootstrap_asks(r, peer);
        if (i == role->self)
            continue;
        /* What is due stays due until it has left: a small ring to tx has no room for all. */
        if (round) {
            peer->hello_ask = asking;
            peer->hello_due = peer->hello_due || peer->refused || peer->outdated ||
                              peer->accused_boot != 0 ||
                              (peer->left && left_out(r, peer) != 0);
        }
        if (peer->hello_due || peer->hello_ask)
            send_hello(r, peer);
    }
    if (role->log_was_empty && !role->bootstrapped && step_can(r, 0, 0, true))
        try_bootstrap(r);
}

/* What a node has acknowledged to us in our term stays in its log while nobody leads a later one: a new
 * boot of it whose log ends before that has an older disk than the one that was acknowledged for. But
 * if it has a later term, the leader of that may have cut its log, and we are the last to hear of it. */
static void judge_memory(struct replica *r, struct peer *peer, const struct frame *f)
{
    const raft_term term = raft_term_now(r->raft.raft);

    if (raft_role(r->raft.raft) != RAFT_LEADER || peer->boot_term != term || f->hello.term > term ||
        f->hello.last >= peer->boot_match || planted(PLANTED_MEMORY_NOT_JUDGED))
        return;
    peer->convicted_boot = f->source_boot;
    peer->accused_boot = f->source_boot;
    struct raft_event ev = {.type = RAFT_EV_PEER_BOOT, .peer = peer->node, .forced = true};
    step_event(r, &ev);
}

/* Of an older disk that runs under the very boot number of the true one, the HELLO that would tell (above)
 * may be lost, and a late one of ours to the true one keeps it from asking again. Its answers tell that
 * there is something to ask. */
void bootstrap_doubt(struct replica *r, const struct raft_msg *m)
{
    struct peer *peer = peer_of(r, m->from);
    const raft_term term = raft_term_now(r->raft.raft);
    const bool tells_last =
        m->type == RAFT_MSG_APPEND_REPLY || m->type == RAFT_MSG_HEARTBEAT_REPLY;

    if (tells_last && raft_role(r->raft.raft) == RAFT_LEADER && m->term == term &&
        peer->boot_term == term && m->last < peer->boot_match)
        peer->hello_ask = true;
}

void bootstrap_on_hello(struct replica *r, const struct frame *f)
{
    struct peer *peer = peer_of(r, f->source);
    ASSERT(peer != NULL); /* admitted */

    if (f->hello.refused && f->target_incarnation != r->options.incarnation) {
        /* It knows another incarnation under our name; a refusal that names ours is for someone
         * who used our name. */
        raft_role_stop(r, REPLICA_STOP_STRANGER);
        return;
    }
    if (f->hello.accused_boot == r->options.boot && f->hello.accused_boot != 0)
        raft_role_stop(r, REPLICA_STOP_SUPERSEDED);
    judge_memory(r, peer, f);
    peer->heard_hello = true;
    /* Of a log that was empty once, before it had the first entries, a late or replayed HELLO still tells:
     * it counts if it was said to this life of ours, whose incarnation nobody knew before. */
    const bool to_us = f->target_incarnation == r->options.incarnation &&
                       f->target_boot == r->options.boot;
    MARK_IF(f->hello.log_empty && !to_us, LOG_WAS_EMPTY_LATE);
    if (to_us)
        peer->log_empty = f->hello.log_empty;
    if (f->target_incarnation == r->options.incarnation && f->hello.left_out > r->raft.left_out)
        r->raft.left_out = f->hello.left_out; /* in whatever boot: it is as true now */
    if (f->hello.wants_answer)
        peer->hello_due = true;
}
