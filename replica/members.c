/* replica/members.c: the configuration in force, as far as it concerns the peers of this node, and
 * the edits of an operator as the next one.
 *
 * A configuration is in force from the moment its entry is appended, and undone with it, so the
 * peers are told after every step that brought another one, whoever appended or truncated.
 */
#include "raftcore/joint.h"
#include "replica/replica_internal.h"

static void forget_members(struct replica_raft *role, bool grows)
{
    for (uint32_t i = 0; i < role->peer_count; i++) {
        struct peer *peer = &role->peer[i];
        const bool leaves =
            peer->member && raft_config_find(raft_config(role->raft), peer->node) == NULL;
        /* Not so when its own entry was undone: then it never was a member. */
        if (leaves && grows) {
            peer->retired = peer->incarnation;
            peer->left = true;
        }
        peer->member = false;
    }
}

void members_learn(struct replica *r)
{
    struct replica_raft *role = &r->raft;
    const struct raft_config *config = raft_config(role->raft);

    forget_members(role, raft_config_index(role->raft) > role->config_index);
    role->config_changes = raft_config_changes(role->raft);
    role->config_index = raft_config_index(role->raft);
    for (uint32_t i = 0; i < config->count; i++) {
        struct peer *peer = peer_of(r, config->member[i].node);
        if (peer == NULL)
            continue; /* not in our file: its frames have no link to come from */
        if (peer->node == r->options.node &&
            config->member[i].incarnation != r->options.incarnation) {
            raft_role_stop(r, REPLICA_STOP_STRANGER);
            return;
        }
        peer->member = true;
        if (peer->incarnation != config->member[i].incarnation)
            admit_incarnation(peer, config->member[i].incarnation);
    }
}

static struct raft_member *find(struct raft_config *config, raft_node node)
{
    for (uint32_t i = 0; i < config->count; i++)
        if (config->member[i].node == node)
            return &config->member[i];
    return NULL;
}

static void leave_out(struct raft_config *config, raft_node node)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < config->count; i++) {
        config->member[kept] = config->member[i];
        kept += config->member[i].node != node;
    }
    config->count = kept;
}

/* Members stand in the order of their ids. */
static void put_in(struct raft_config *config, const struct raft_member *member)
{
    uint32_t place = config->count++;

    ASSERT(config->count <= RAFT_MEMBERS_MAX);
    for (; place > 0 && config->member[place - 1].node > member->node; place--)
        config->member[place] = config->member[place - 1];
    config->member[place] = *member;
}

static enum admin_refusal add(struct replica *r, const struct admin_edit *edit,
                              struct raft_config *config)
{
    const struct peer *peer = peer_of(r, edit->node);

    if (find(config, edit->node) != NULL)
        return ADMIN_REFUSAL_IS_MEMBER;
    if (config->count == RAFT_MEMBERS_MAX)
        return ADMIN_REFUSAL_TOO_MANY;
    if (peer == NULL)
        return ADMIN_REFUSAL_UNREACHABLE;
    const uint64_t incarnation = edit->incarnation != 0 ? edit->incarnation : peer->incarnation;
    if (incarnation == 0)
        return ADMIN_REFUSAL_UNHEARD;
    if (peer->retired != 0 && peer->retired != incarnation)
        return ADMIN_REFUSAL_INCARNATION;
    const struct raft_member member = {
        .incarnation = incarnation,
        .node = edit->node,
        .replaces = edit->replaces,
        .priority = edit->priority,
        .promote = edit->promote,
    };
    put_in(config, &member);
    return ADMIN_REFUSAL_NONE;
}

static enum admin_refusal promote(struct raft_config *config, struct raft_member *member)
{
    const raft_node replaced = member->replaces;

    if (member->voter)
        return ADMIN_REFUSAL_NO_LEARNER;
    member->voter = true;
    member->promote = false;
    member->replaces = 0;
    if (replaced != 0)
        leave_out(config, replaced);
    return ADMIN_REFUSAL_NONE;
}

/* An edit of somebody who is a member. */
static enum admin_refusal edit_member(const struct admin_edit *edit, struct raft_config *config)
{
    struct raft_member *member = find(config, edit->node);

    if (member == NULL)
        return ADMIN_REFUSAL_NO_MEMBER;
    switch ((enum admin_edit_kind)edit->kind) {
    case ADMIN_PROMOTE:
        return promote(config, member);
    case ADMIN_DEMOTE:
        if (!member->voter)
            return ADMIN_REFUSAL_NO_VOTER;
        member->voter = false;
        return ADMIN_REFUSAL_NONE;
    case ADMIN_REMOVE:
        leave_out(config, edit->node);
        return ADMIN_REFUSAL_NONE;
    case ADMIN_PRIORITY:
        member->priority = edit->priority;
        return ADMIN_REFUSAL_NONE;
    case ADMIN_ADD:
        break;
    }
    return ADMIN_REFUSAL_MALFORMED;
}

enum admin_refusal members_edit(struct replica *r, const struct admin_request *request,
                                struct raft_config *out)
{
    ASSERT(request->edit_count <= ADMIN_EDITS_MAX);
    *out = *raft_config(r->raft.raft);
    if (out->joint)
        return ADMIN_REFUSAL_PENDING;
    for (uint32_t i = 0; i < request->edit_count; i++) {
        const struct admin_edit *edit = &request->edit[i];
        const enum admin_refusal why =
            edit->kind == ADMIN_ADD ? add(r, edit, out) : edit_member(edit, out);
        if (why != ADMIN_REFUSAL_NONE)
            return why;
    }
    return ADMIN_REFUSAL_NONE;
}
