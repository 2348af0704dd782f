/* raftcore/role.c: the four roles, and every way from one to another.
 *
 *              timeout, and we may campaign            PreVotes of a majority
 *   FOLLOWER --------- raft_campaign ----> PRECANDIDATE -- raft_become_candidate --> CANDIDATE
 *    ^  ^  ^                                |   ^                                    |   |
 *    |  |  |   a leader of our term, or a   |   +----- timeout: raft_campaign -------+   |
 *    |  |  +-- higher term: become_follower +-- the same: become_follower ---------------+
 *    |  |                                                                                |
 *    |  +-- a higher term; no quorum heard; late disk: become_follower -- LEADER <-------+
 *    +----- the window is full of unflushed entries: raft_become_leader        votes of a majority
 *    +----- TIMEOUT_NOW of the leader: raft_take_over ----> CANDIDATE, without PreVote
 *
 * Terms rise in two places only: raft_become_follower() and raft_become_candidate().
 */
#include "raftcore/raft_internal.h"

#include "base/record.h"

/* Would we rather that another voter led? Then our timeouts begin where the others' end: they go
 * first, and if none of them does, we do. */
static bool is_shy(const struct raft *r)
{
    const struct raft_config *config = raft_config_in_force(r);

    if (r->now_ns < r->shy_ns)
        return true;
    ASSERT(r->self <= RAFT_MEMBERS_MAX);
    for (uint32_t i = 0; i < config->count && r->self < RAFT_MEMBERS_MAX; i++) {
        if (config->member[i].voter &&
            config->member[i].priority > config->member[r->self].priority)
            return true;
    }
    return false;
}

/* The length is drawn when a timeout starts over, not at each message of a leader: that only moves
 * the start (timer_ns). */
void raft_timer_restart(struct raft *r)
{
    r->timer_ns = r->now_ns;
    r->timeout_ns = prng_between(&r->prng, r->options.election_min_ns, r->options.election_max_ns);
    if (is_shy(r)) {
        MARK(SHY_TIMEOUT);
        r->timeout_ns += r->options.election_max_ns - r->options.election_min_ns;
    }
    ASSERT(r->timeout_ns >= r->options.election_min_ns);
}

void raft_become_follower(struct raft *r, raft_term term, raft_node leader, struct raft_effects *fx)
{
    ASSERT(term >= r->term);
    ASSERT(leader != r->options.node);

    if (r->role != RAFT_FOLLOWER || term > r->term)
        raft_timer_restart(r);
    r->role = RAFT_FOLLOWER;
    r->leader = leader;
    if (term > r->term) {
        r->term = term;
        r->vote = 0;
        r->vote_incarnation = 0;
        r->verified = 0; /* nothing is known of the new leader's log */
        raft_emit_hard_state(r, fx);
    }
    ASSERT(r->term == term);
}

bool raft_follow(struct raft *r, const struct raft_msg *m, struct raft_effects *fx)
{
    if (raft_convict_second_leader(r, m))
        return false;
    const bool news = r->leader != m->from || m->term > r->term;
    MARK_IF(r->role == RAFT_CANDIDATE && m->term == r->term, CANDIDATE_DEPOSED);
    if (news || r->role != RAFT_FOLLOWER)
        raft_become_follower(r, m->term, m->from, fx);
    raft_leader_heard(r);
    r->heard = true;
    if (news && raft_reads_ask(r))
        raft_read_ask(r, fx);
    return true;
}

void raft_leader_heard(struct raft *r)
{
    ASSERT(r->role == RAFT_FOLLOWER);
    r->timer_ns = r->now_ns;
    r->promised_ns = r->now_ns + r->options.election_min_ns;
    r->asked = false;
}

/* For as long as the shortest election timeout after a leader was heard, nobody may be helped to
 * depose it (section 6.2; with PreVote, section 9.6). A leader itself relies on CheckQuorum. Its
 * lease counts on that, so the promise outlives our start, which may have followed upon an answer to
 * it, and whatever higher term we learn of: the leader may not have. Only its own TIMEOUT_NOW takes
 * it back (on_vote.c). */
bool raft_leader_lives(const struct raft *r)
{
    ASSERT(r->promised_ns <= r->now_ns + r->options.election_min_ns);
    if (r->role == RAFT_LEADER)
        return true;
    MARK_IF(r->leader == 0 && r->now_ns < r->promised_ns, VOTES_HELD);
    return r->now_ns < r->promised_ns;
}

/* A node with an empty log does not vote before bootstrap: until then nobody can tell it from one
 * that was wiped and must not give a majority to a log without what it once acknowledged. But a
 * term above 0, and a candidate with a log, come from a configuration that names our incarnation
 * (the caller takes nothing meant for another), so as this incarnation we have acknowledged nothing
 * that is not in our log. Then we may vote. Otherwise a cluster that loses power right after its
 * first election (one log with a CONFIG entry, all others empty, nobody to bootstrap with), or a
 * leader that restarts before new voters have heard of it, could never be elected again. */
bool raft_may_vote(const struct raft *r, const struct raft_msg *m)
{
    ASSERT(r->config_count > 0);
    MARK_IF(raft_config_in_force(r)->count == 0 && r->log.last == 0 && m->prev_index > 0,
            VOTE_BY_EMPTY_LOG);
    return raft_config_in_force(r)->count > 0 || r->log.last > 0 || r->term > 0 ||
           m->prev_index > 0;
}

/* The election restriction (section 3.6.1). */
bool raft_is_newer_log(const struct raft *r, const struct raft_msg *m)
{
    const raft_term last_term = raft_log_term(&r->log, r->log.last);

    ASSERT(last_term <= r->term);
    if (planted(PLANTED_VOTE_WITHOUT_LOG_CHECK))
        return true;
    if (m->prev_term != last_term)
        return m->prev_term > last_term;
    return m->prev_index >= r->log.last;
}

static void clear_votes(struct raft *r)
{
    ASSERT(r->role != RAFT_LEADER);
    for (uint32_t i = 0; i < RAFT_MEMBERS_MAX; i++)
        r->peer[i].vote = RAFT_VOTE_NONE;
}

bool raft_votes_win(const struct raft *r)
{
    uint64_t granted[RAFT_MEMBERS_MAX];

    ASSERT(r->role != RAFT_LEADER);
    for (uint32_t i = 0; i < RAFT_MEMBERS_MAX; i++)
        granted[i] = r->peer[i].vote == RAFT_VOTE_GRANTED;
    return raft_quorum(r, granted) == 1;
}

static void ask_for_votes(struct raft *r, enum raft_msg_type type, raft_term term, bool transfer,
                          struct raft_effects *fx)
{
    const struct raft_config *config = raft_config_in_force(r);

    ASSERT(type == RAFT_MSG_PREVOTE || type == RAFT_MSG_VOTE);
    for (uint32_t i = 0; i < config->count; i++) {
        if (i == r->self || !(config->member[i].voter || config->member[i].voter_old))
            continue;
        struct raft_msg *m = raft_emit(r, type, config->member[i].node, fx);
        m->term = term;
        m->transfer = transfer;
        m->prev_index = r->log.last;
        m->prev_term = raft_log_term(&r->log, r->log.last);
        if (type == RAFT_MSG_VOTE && !planted(PLANTED_VOTE_REQUEST_UNGATED))
            raft_emit_after(raft_hard_after(r), fx);
    }
}

/* A node that never votes should not win, unless it was asked to vote and could not: in a
 * configuration that our log does not have our vote may be needed, and nobody gets it without what we
 * have. Who leads is none of its voters then, as when a leader removes itself: its votes and its
 * commits are those of the voters alone. One whose disk does not flush could not keep what it promises
 * as a leader, and must not raise terms meanwhile. */
static bool may_campaign(const struct raft *r)
{
    ASSERT(r->term <= RAFT_WORD_MAX);
    return !r->faulty && (raft_is_needed(r) || r->asked) &&
           !raft_disk_is_late(r, RAFT_LATE_TO_CAMPAIGN) && r->term < RAFT_WORD_MAX;
}

void raft_campaign(struct raft *r, struct raft_effects *fx)
{
    ASSERT(r->role != RAFT_LEADER);
    raft_timer_restart(r);
    MARK_IF(r->role == RAFT_CANDIDATE, CAMPAIGN_AGAIN);
    MARK_IF(raft_disk_is_late(r, RAFT_LATE_TO_CAMPAIGN), CAMPAIGN_ON_LATE_DISK);
    MARK_IF(r->asked && !raft_is_needed(r), CAMPAIGN_OF_LEARNER);
    /* Our own vote is promised like any other. A timeout mostly ends later than the promise, but not
     * if the leader was deposed by a higher term and RENEW moved the promise only. */
    if (!may_campaign(r) || raft_leader_lives(r))
        return;
    ASSERT(r->self <= RAFT_MEMBERS_MAX);
    r->role = RAFT_PRECANDIDATE;
    r->leader = 0;
    clear_votes(r);
    if (r->self < RAFT_MEMBERS_MAX)
        r->peer[r->self].vote = RAFT_VOTE_GRANTED; /* a PreVote promises nothing */
    ask_for_votes(r, RAFT_MSG_PREVOTE, r->term + 1, false, fx);
    if (raft_votes_win(r))
        raft_become_candidate(r, false, fx);
}

/* The leader wants us to win, so nobody needs to be asked whether it lives (section 3.10). */
void raft_take_over(struct raft *r, struct raft_effects *fx)
{
    ASSERT(r->role == RAFT_FOLLOWER);
    ASSERT(r->leader != 0);
    if (!may_campaign(r))
        return;
    MARK(TAKEN_OVER);
    r->role = RAFT_PRECANDIDATE; /* passed through within this step */
    r->leader = 0;
    raft_become_candidate(r, true, fx);
}

void raft_become_candidate(struct raft *r, bool transfer, struct raft_effects *fx)
{
    ASSERT(r->role == RAFT_PRECANDIDATE);
    ASSERT(r->term < RAFT_WORD_MAX);

    r->role = RAFT_CANDIDATE;
    r->term++;
    r->vote = r->options.node;
    r->vote_incarnation = r->options.incarnation;
    r->verified = 0;
    raft_timer_restart(r);
    raft_emit_hard_state(r, fx);
    clear_votes(r); /* our own counts when it is durable: raft_on_durable() */
    ask_for_votes(r, RAFT_MSG_VOTE, r->term, transfer, fx);
}

/* The first configuration becomes an entry: that of the first leader of the cluster. */
static void append_own_first(struct raft *r, struct raft_effects *fx)
{
    const bool first_of_all = r->log.last == 0;
    const struct raft_config config = *raft_config_in_force(r);
    const uint32_t bytes =
        first_of_all ? raft_config_bytes(&config) : (uint32_t)RECORD_HEADER_BYTES;

    r->own_first = r->log.last + 1;
    raft_log_append(&r->log, r->term, bytes, raft_step_seq(r));
    if (first_of_all)
        raft_config_append(r, r->own_first, &config);
    raft_emit_append(r, r->own_first, r->term, fx);
    fx->append.empty = true;
    fx->append.config = first_of_all;
    ASSERT(r->own_first == r->log.last);
}

void raft_become_leader(struct raft *r, struct raft_effects *fx)
{
    ASSERT(r->role == RAFT_CANDIDATE);
    ASSERT(r->vote == r->options.node);

    /* No room for even one entry: a disk so far behind must not lead. */
    if (raft_log_room(&r->log) == 0 || raft_log_run_room(&r->log, r->log.last) == 0 ||
        r->log.last == RAFT_WORD_MAX) {
        raft_become_follower(r, r->term, 0, fx);
        return;
    }
    r->role = RAFT_LEADER;
    r->leader = r->options.node;
    for (uint32_t i = 0; i < RAFT_MEMBERS_MAX; i++)
        raft_peer_reset(r, &r->peer[i]);
    r->round = 0;
    r->round_running = false;
    r->lease_ns = 0;
    r->transfer_to = 0;
    r->transfer_told = false;
    r->transfer_is_last = false;
    r->prefer_ns = r->now_ns + RAFT_PREFER_AFTER * r->options.election_max_ns;
    r->read_running = 0;
    r->tick_ns = r->now_ns;
    append_own_first(r, fx);
    /* Entries may wait for credit; this need not. */
    raft_broadcast_heartbeat(r, fx);
    raft_commit_by_count(r, fx);
}
