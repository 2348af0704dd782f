/* raftcore/raft.c: laying out the lent memory, starting from what persist found, and getters. */
#include "raftcore/raft_internal.h"

#include <stddef.h>
#include <string.h>

/* The parts of the lent memory, in this order. All of them consist of 8-byte words. */
static_assert(sizeof(struct raft) % 8 == 0, "runs follow");
static_assert(sizeof(struct raft_run) % 8 == 0, "slots follow");
static_assert(sizeof(struct raft_log_slot) % 8 == 0, "in-flight rings follow");
static_assert(sizeof(struct raft_inflight) % 8 == 0, "in-flight rings follow each other");

static size_t runs_offset(void)
{
    return sizeof(struct raft);
}

static size_t slots_offset(void)
{
    return runs_offset() + (size_t)RAFT_TERM_RUNS_MAX * sizeof(struct raft_run);
}

static size_t inflight_offset(const struct raft_options *options)
{
    return slots_offset() + (size_t)options->window * sizeof(struct raft_log_slot);
}

static size_t inflight_bytes(const struct raft_options *options)
{
    return (size_t)options->inflight_msgs_max * sizeof(struct raft_inflight);
}

size_t raft_bytes(const struct raft_options *options)
{
    ASSERT(options->window > 0);
    ASSERT((options->window & (options->window - 1)) == 0);
    return inflight_offset(options) + RAFT_MEMBERS_MAX * inflight_bytes(options);
}

static void check_options(const struct raft_options *options)
{
    ASSERT(options->node != 0);
    ASSERT(options->heartbeat_ns > 0);
    ASSERT(options->election_min_ns > options->heartbeat_ns);
    ASSERT(options->election_max_ns >= options->election_min_ns);
    ASSERT(options->resend_ns > 0);
    ASSERT(options->append_bytes_max > 0);
    ASSERT(options->inflight_msgs_max > 0);
    ASSERT(options->inflight_bytes_max >= options->append_bytes_max);
    ASSERT(options->window >= RAFT_PROPOSE_MAX);
    ASSERT((options->seq_first >> (RAFT_SEQ_COUNTER_BITS - 1) & 1) == 0); /* room to count */
}

struct raft *raft_init(void *memory, const struct raft_options *options,
                       const struct raft_recovered *recovered, uint64_t now_ns)
{
    struct raft *r = memory;
    uint8_t *bytes = memory;

    check_options(options);
    ASSERT(((uintptr_t)memory & 7) == 0);
    ASSERT(recovered->commit <= recovered->last);
    ASSERT(recovered->term <= RAFT_WORD_MAX);
    ASSERT((recovered->base == 0) == (recovered->base_term == 0));

    memset(r, 0, sizeof *r);
    r->options = *options;
    prng_seed(&r->prng, options->seed);
    r->log.window = options->window;
    r->log.run = (struct raft_run *)(void *)(bytes + runs_offset());
    r->log.slot = (struct raft_log_slot *)(void *)(bytes + slots_offset());
    for (size_t i = 0; i < RAFT_MEMBERS_MAX; i++)
        r->peer[i].inflight =
            (void *)(bytes + inflight_offset(options) + i * inflight_bytes(options));

    raft_log_recover(&r->log, recovered);
    ASSERT(raft_log_term(&r->log, r->log.last) <= recovered->term);
    r->term = recovered->term;
    r->vote = planted(PLANTED_VOTE_FORGOTTEN) ? 0 : recovered->vote;
    r->vote_incarnation = recovered->vote_incarnation;
    r->faulty = recovered->faulty;
    r->commit = raft_max(recovered->commit, recovered->base);
    if (planted(PLANTED_START_COMMITS_ALL))
        r->commit = recovered->last;
    r->seq_last = options->seq_first;
    r->seq_durable = options->seq_first;
    r->now_ns = now_ns;
    /* Whatever term the disk has: we may have answered a leader of one that was not flushed yet. */
    r->promised_ns = now_ns + options->election_min_ns;
    if (planted(PLANTED_START_WITHOUT_HOLD))
        r->promised_ns = now_ns;
    raft_config_init(r, recovered);
    raft_timer_restart(r);
    return r;
}

enum raft_role raft_role(const struct raft *r)
{
    return r->role;
}

raft_term raft_term_now(const struct raft *r)
{
    return r->term;
}

raft_node raft_leader(const struct raft *r)
{
    return r->leader;
}

raft_node raft_vote(const struct raft *r)
{
    return r->vote;
}

raft_index raft_commit(const struct raft *r)
{
    return r->commit;
}

raft_index raft_last(const struct raft *r)
{
    return r->log.last;
}

raft_index raft_base(const struct raft *r)
{
    return r->log.base;
}

raft_index raft_durable_index(const struct raft *r)
{
    return r->log.durable;
}

raft_seq raft_seq_last(const struct raft *r)
{
    return r->seq_last;
}

raft_seq raft_entry_seq(const struct raft *r, raft_index index)
{
    ASSERT(index <= r->log.last);
    return raft_log_seq(&r->log, index);
}

raft_seq raft_vote_seq(const struct raft *r)
{
    return r->hard_seq;
}

const struct raft_config *raft_config(const struct raft *r)
{
    return raft_config_in_force(r);
}

raft_index raft_config_index(const struct raft *r)
{
    ASSERT(r->config_count > 0);
    return r->configs[r->config_count - 1].index;
}

uint64_t raft_config_changes(const struct raft *r)
{
    return r->config_changes;
}

raft_term raft_term_at(const struct raft *r, raft_index index, raft_index *run_last)
{
    const raft_term term = raft_log_term(&r->log, index);

    if (run_last != NULL)
        *run_last =
            index > r->log.base && index <= r->log.last ? raft_log_run_last(&r->log, index) : index;
    return term;
}

uint32_t raft_room(const struct raft *r)
{
    const raft_index settled = raft_min(r->log.durable, r->commit);
    const raft_index open = r->log.last - settled;

    if (r->role != RAFT_LEADER || r->transfer_to != 0 || open >= r->options.window)
        return 0;
    return (uint32_t)raft_min(r->options.window - open, RAFT_WORD_MAX - r->log.last);
}

raft_index raft_match(const struct raft *r, raft_node peer)
{
    const uint32_t place = raft_place_of(r, peer);

    if (r->role != RAFT_LEADER)
        return 0;
    if (peer == r->options.node)
        return r->log.durable;
    return place < RAFT_MEMBERS_MAX ? r->peer[place].match : 0;
}

bool raft_hears(const struct raft *r, raft_node peer)
{
    const uint32_t place = raft_place_of(r, peer);

    return r->role == RAFT_LEADER && place < RAFT_MEMBERS_MAX &&
           raft_peer_is_heard(r, &r->peer[place]);
}

raft_node raft_transfer_target(const struct raft *r)
{
    return r->role == RAFT_LEADER ? r->transfer_to : 0;
}

uint64_t raft_convicted(const struct raft *r)
{
    return r->convicted;
}

uint64_t raft_ignored(const struct raft *r)
{
    return r->ignored;
}

bool raft_saw_rival(const struct raft *r)
{
    return r->rival;
}
