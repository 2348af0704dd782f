/* replica/room.c: is there room for the log here, and on the disks of a majority.
 *
 * A node whose log has had no room for longer than an election takes says so in each of its frames,
 * and has room again at once when there is; between two segments there is none for a moment. A node
 * whose disk is below its reserve (persist/reserve.h) says the same, though it goes on taking entries as
 * long as segments are prepared: writes end while there is still room for the snapshot that will make more. From
 * that a leader knows whether what it proposes can be stored, and says in its own frames when it
 * refuses writes. So every node refuses at its own door, and nothing is left in doubt.
 *
 * A leader that alone is in the way hands over to a voter with room. It waits a while, for full disks
 * often come, and go, together; and it does so rarely, so that leadership does not wander while disks
 * are full in turn.
 *
 * None of it is a promise. A late frame may bring an old report; the next heartbeat corrects it, and
 * meanwhile a write is refused that could have been stored, or waits that might have been refused.
 */
#include "replica/replica_internal.h"

enum {
    FIRST_ROOM = 16, /* longest election timeouts that a start may take over its first segment */
    HANDOVER_AFTER = 4,  /* longest election timeouts in which the leader alone is in the way */
    HANDOVER_AGAIN = 32, /* and between two attempts */
};

bool room_lacks(const struct replica *r)
{
    return r->raft.no_room || r->raft.below_reserve;
}

static bool says_full(struct replica *r, raft_node node)
{
    const struct peer *peer = peer_of(r, node);

    if (node == r->options.node)
        return room_lacks(r);
    return peer != NULL && peer->no_room; /* who has said nothing is not known to lack it */
}

/* Of the voters of one half: those of `old` matter only while there are two. A voter that is silent
 * stores nothing, so it does not count either once another is full. If none is full it may be a
 * matter of a moment, and a leader that hears no quorum steps down anyway. */
static bool majority_has_room(struct replica *r, bool old)
{
    const struct raft_config *config = raft_config(r->raft.raft);
    uint32_t voters = 0;
    uint32_t with_room = 0;
    uint32_t full = 0;

    for (uint32_t i = 0; i < config->count; i++) {
        const struct raft_member *m = &config->member[i];
        if (old ? !m->voter_old : !m->voter)
            continue;
        voters++;
        full += says_full(r, m->node);
        with_room += !says_full(r, m->node) &&
                     (m->node == r->options.node || raft_hears(r->raft.raft, m->node));
    }
    return full == 0 || 2 * with_room > voters;
}

/* Of all voters, as far as is known. */
static bool majorities_have_room(struct replica *r)
{
    return majority_has_room(r, false) &&
           (!raft_config(r->raft.raft)->joint || majority_has_room(r, true));
}

/* The voter that is furthest of those that can be heard and have room; 0: there is none. */
static raft_node best_with_room(struct replica *r)
{
    const struct raft_config *config = raft_config(r->raft.raft);
    raft_index match = 0;
    raft_node best = 0;

    for (uint32_t i = 0; i < config->count; i++) {
        const struct raft_member *m = &config->member[i];
        if (!m->voter || m->node == r->options.node || says_full(r, m->node) ||
            !raft_hears(r->raft.raft, m->node) || raft_match(r->raft.raft, m->node) < match)
            continue;
        match = raft_match(r->raft.raft, m->node);
        best = m->node;
    }
    return best;
}

static void hand_over(struct replica *r)
{
    struct replica_raft *role = &r->raft;
    const uint64_t timeout_ns = r->options.election_max_ns;

    if (raft_role(role->raft) != RAFT_LEADER || !role->no_room || !majorities_have_room(r)) {
        role->needed_ns = role->now_ns;
        return;
    }
    if (role->now_ns - role->needed_ns <= HANDOVER_AFTER * timeout_ns ||
        role->now_ns < role->handover_ns || raft_transfer_target(role->raft) != 0 ||
        !step_can(r, 0, 0, true))
        return;
    const raft_node target = best_with_room(r);
    if (target == 0)
        return;
    role->handover_ns = role->now_ns + HANDOVER_AGAIN * timeout_ns;
    MARK(TRANSFER_FOR_ROOM);
    struct raft_event ev = {.type = RAFT_EV_TRANSFER, .peer = target};
    step_event(r, &ev);
}

void room_poll(struct replica *r)
{
    struct replica_raft *role = &r->raft;

    if (step_disk_room(r, wal_step_bytes_max(&r->options.wal))) {
        role->room_ns = role->now_ns;
        role->had_room = true;
    }
    /* A start fills its first segment with zeros at the background's pace: that is no full disk yet. */
    const uint32_t patience = role->had_room ? 1 : FIRST_ROOM;
    role->no_room = role->now_ns - role->room_ns > patience * r->options.election_max_ns;
    role->below_reserve = published_get(&r->below_reserve) != 0;
    MARK_IF(role->below_reserve && !role->no_room, BELOW_RESERVE);
    /* Without room of its own a leader can propose nothing, whoever else has some. */
    role->refuses_writes =
        raft_role(role->raft) == RAFT_LEADER &&
        (role->no_room || !majorities_have_room(r));
    hand_over(r);
}

bool room_for_writes(struct replica *r)
{
    const struct replica_raft *role = &r->raft;
    const struct peer *leader = peer_of(r, raft_leader(role->raft));

    /* A follower without room would not apply what others store, so it could not answer. */
    if (role->no_room || role->refuses_writes)
        return false;
    return leader == NULL || !leader->refuses_writes;
}

/* A leader that takes writes gives way to nobody who could not: a wish of its configuration, or of its
 * operator, to have this node lead must wait until there is room. */
bool room_to_lead(struct replica *r, raft_node from)
{
    const struct peer *leader = peer_of(r, from);

    ASSERT(leader != NULL); /* admitted */
    return !room_lacks(r) || leader->refuses_writes;
}
