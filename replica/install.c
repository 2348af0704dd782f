/* replica/install.c: a whole, checked and flushed snapshot of a peer takes its place.
 *
 *   READY, beyond our commit index --RAFT_EV_INSTALL is taken: install--> INSTALLS
 *   READY, it is the lost one, written anew: back--> IDLE; it is current already
 *   READY, our log got there meanwhile, newer than ours --making_ready()--> IDLE: like one that we made
 *   READY, the log has holes below it: its base moves there--> INSTALLS, though it is committed here
 *   READY, of no use any more --the file is dropped--> IDLE
 *   INSTALLS --the manifest is durable: install_on_current--> IDLE, and the store loads it
 *
 * Order      In the step that the core takes it, log base, configuration and commit index are the snapshot's,
 *            and nothing below it is handed to the store any more. The manifest goes to persist among the
 *            log's steps, and what the core promises from then on waits for it by its seq. The store gets
 *            its LOAD behind all runs of before, when the file is current, and nothing else until it has it.
 */
#include "replica/config_record.h"
#include "replica/replica_internal.h"

#include <string.h>

static void end(struct replica *r)
{
    r->raft.pull.state = PULL_IDLE;
}

/* The file is of no use any more. */
static void drop(struct replica *r)
{
    published_set(&r->unwanted, r->raft.pull.number);
    end(r);
}

static void fill_change(struct base_change *change, const struct snapshot_header *h, bool cut)
{
    *change = (struct base_change){
        .base = {.index = h->index,
                 .term = h->term,
                 .chain = h->chain,
                 .snapshot_index = h->index,
                 .snapshot_bytes = h->bytes,
                 .snapshot_digest = h->digest,
                 .config_index = h->config_index,
                 .config_bytes = h->config_bytes},
        .cut = cut,
    };
    memcpy(change->config, h->config, h->config_bytes);
    change->base.config = change->config;
}

/* All of the raft role that follows the log stands where it stands now. */
static void follow(struct replica *r, const struct snapshot_header *h, bool kept)
{
    struct replica_raft *role = &r->raft;
    const struct raft_config_at config = {.index = h->config_index, .config = role->config[0]};

    ASSERT(kept || raft_last(role->raft) == h->index);
    ASSERT(raft_base(role->raft) == h->index);
    if (!kept) {
        record_memory_begin_at(&role->memory, h->index + 1);
        if (!planted(PLANTED_INSTALL_CHAIN_FORGOTTEN))
            role->last_chain = h->chain;
    }
    role->log_was_empty = false;
    MARK_IF(kept, INSTALL_KEPT_LOG);
    MARK_IF(role->fed + 1 < h->index, INSTALL_PASSED_OVER);
    if (role->fed < h->index)
        feed_pass_over(r, h);
    else
        points_set_base(&role->points, h->index);
    repair_on_base(r, &config, h->index, !kept);
}

/* `ready` becomes base and snapshot of the log. The core refuses to install what it can't use, and then
 * nothing has happened. What is committed here already is not installed: the log is cut below it. */
static void install(struct replica *r)
{
    struct replica_raft *role = &r->raft;
    struct pull *p = &role->pull;
    const struct snapshot_header *h = &p->ready;
    const bool behind = h->index > raft_commit(role->raft);
    /* By the Log Matching property what stands behind that entry may stay (section 5.3, rule 6). */
    const bool kept = !behind || raft_term_at(role->raft, h->index, NULL) == h->term;
    uint64_t quota_bytes;
    struct raft_event ev = {
        .type = behind ? RAFT_EV_INSTALL : RAFT_EV_COMPACT,
        .index = h->index,
        .term = h->term,
        .leader_term = p->what.sender_term,
        .config = &role->config[0],
        .config_index = h->config_index,
    };

    if (role->making.changing || !repair_allows_base(r, h->index) || !step_can(r, 0, 0, true))
        return;
    const bool decoded =
        config_record_decode(h->config, h->config_bytes, &role->config[0], &quota_bytes);
    ASSERT(decoded); /* receive.c has looked, and our own come from our log */
    fill_change(&role->making.change, h, !kept);
    if (!step_base(r, &ev, &role->making.change))
        return; /* we have come to lead, or to know more: seen at the next poll */
    follow(r, h, kept);
    p->state = PULL_INSTALLS;
}

bool install_own(struct replica *r)
{
    struct replica_raft *role = &r->raft;
    const struct snapshot_header *own = &role->making.current;

    if (own->index <= raft_base(role->raft) || own->index > raft_commit(role->raft) ||
        role->pull.state != PULL_IDLE || role->making.state == MAKING_NAMING ||
        !repair_allows_base(r, own->index))
        return false;
    role->pull.ready = *own;
    install(r);
    return role->pull.state == PULL_INSTALLS;
}

void install_on_current(struct replica *r)
{
    struct pull *p = &r->raft.pull;

    ASSERT(p->state == PULL_INSTALLS);
    r->raft.making.current = p->ready;
    mend_on_current(r);
    MARK(INSTALLED);
    end(r);
}

void install_poll(struct replica *r)
{
    struct replica_raft *role = &r->raft;
    struct pull *p = &role->pull;
    const raft_index index = p->ready.index;
    const bool behind = index > raft_commit(role->raft);

    ASSERT(p->state == PULL_READY);
    if (role->mend.lost && index == role->mend.index) {
        if (role->fed == index)
            points_begin_at(r, &p->ready); /* what was in force there stood in the file */
        role->making.current = p->ready;
        mend_on_current(r);
        end(r);
    } else if (behind || role->repair.active) {
        if (raft_role(role->raft) == RAFT_LEADER)
            return; /* it will know it as committed soon */
        if (repair_takes_base(r, index))
            install(r);
        else
            drop(r);
    } else if (index > role->making.current.index && index > role->mend.index) {
        MARK(PULLED_LIKE_MADE);
        end(r);
        making_ready(r, &p->ready);
    } else {
        drop(r);
    }
}
