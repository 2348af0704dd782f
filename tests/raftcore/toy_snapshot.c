/* Snapshots of the toy cluster: any node moves its log base now and then, as far as the leader's peers
 * allow or beyond; a leader's snapshots take a while, and get lost with it, or arrive all the same. */
#include "tests/raftcore/toy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

void forget(struct disk_entry *log, raft_index upto)
{
    memset(log, 0, (upto + 1) * sizeof *log);
}

void compact_some(uint32_t i)
{
    struct node *n = &cluster.node[i];
    const raft_index keep = raft_keep_from(n->raft);
    const raft_index span = n->commit - raft_base(n->raft);

    if (!cluster.faults || span == 0 || !prng_chance(&cluster.prng, 10000))
        return;
    raft_index index = raft_base(n->raft) + 1 + prng_below(&cluster.prng, span);
    if (index >= keep && prng_chance(&cluster.prng, 700000))
        index = keep - 1;
    const raft_index before = raft_base(n->raft);
    step(i, (struct raft_event){.type = RAFT_EV_COMPACT, .index = index});
    cluster.compactions += raft_base(n->raft) > before;
}

/* A snapshot of all that this node has committed. */
static struct snapshot take_snapshot(uint32_t i)
{
    const struct node *n = &cluster.node[i];
    struct snapshot snapshot = n->base;

    for (raft_index k = n->base.index + 1; k <= n->commit; k++) {
        if (n->log[k].config == 0)
            continue;
        snapshot.config = n->log[k].config;
        snapshot.config_index = k;
    }
    snapshot.index = n->commit;
    snapshot.term = raft_term_at(n->raft, n->commit, NULL);
    return snapshot;
}

void begin_transfers(uint32_t i)
{
    const struct node *n = &cluster.node[i];
    const struct raft_effects asked = fx;

    for (uint32_t k = 0; k < asked.snapshot_count; k++) {
        const struct snapshot snapshot = take_snapshot(i);
        assert_true(snapshot.index >= asked.snapshot[k].index);
        assert_true(snapshot.config != 0);
        if (cluster.transfer_count == TRANSFERS_MAX || prng_chance(&cluster.prng, 200000))
            continue; /* it will ask again */
        cluster.transfer[cluster.transfer_count++] = (struct transfer){
            .snapshot = snapshot,
            .leader_term = raft_term_now(n->raft),
            .from = i,
            .to = asked.snapshot[k].peer - 1u,
            .done_ns = cluster.now_ns + prng_below(&cluster.prng, 200 * MS),
        };
        step(i, (struct raft_event){.type = RAFT_EV_SNAPSHOT_BEGUN,
                                    .peer = asked.snapshot[k].peer,
                                    .index = snapshot.index});
    }
}

/* It may arrive although its sender has long been deposed, and be told to it or not. */
static void finish(const struct transfer *t)
{
    struct node *to = &cluster.node[t->to];
    const bool arrives = to->up && !(cluster.faults && prng_chance(&cluster.prng, 300000));

    if (arrives) {
        const raft_index before = raft_base(to->raft);
        step(t->to, (struct raft_event){.type = RAFT_EV_INSTALL,
                                        .index = t->snapshot.index,
                                        .term = t->snapshot.term,
                                        .leader_term = t->leader_term,
                                        .config = &cluster.configs[t->snapshot.config],
                                        .config_index = t->snapshot.config_index});
        assert_true(raft_commit(to->raft) >= t->snapshot.index ||
                    raft_role(to->raft) == RAFT_LEADER);
        cluster.installs += raft_base(to->raft) > before;
    }
    if (!cluster.node[t->from].up || (cluster.faults && prng_chance(&cluster.prng, 100000)))
        return;
    step(t->from, (struct raft_event){.type = RAFT_EV_SNAPSHOT_ENDED,
                                      .peer = (raft_node)(t->to + 1),
                                      .index = t->snapshot.index,
                                      .ok = arrives});
}

/* The caller's part of the promise: every transfer that begins ends, and is told so in the end. */
static void end_forgotten(void)
{
    for (uint32_t i = 0; i < cluster.count; i++) {
        for (uint32_t k = 0; k < cluster.count && cluster.node[i].up; k++) {
            const raft_index index = raft_snapshot_to(cluster.node[i].raft, (raft_node)(k + 1));
            bool runs = index == 0;
            for (uint32_t t = 0; t < cluster.transfer_count; t++)
                runs = runs || (cluster.transfer[t].from == i && cluster.transfer[t].to == k);
            if (!runs)
                step(i, (struct raft_event){.type = RAFT_EV_SNAPSHOT_ENDED,
                                            .peer = (raft_node)(k + 1),
                                            .index = index});
        }
    }
}

void finish_transfers(void)
{
    uint32_t k = 0;

    while (k < cluster.transfer_count) {
        if (cluster.transfer[k].done_ns > cluster.now_ns) {
            k++;
            continue;
        }
        const struct transfer done = cluster.transfer[k];
        cluster.transfer[k] = cluster.transfer[--cluster.transfer_count];
        finish(&done);
    }
    end_forgotten();
}
