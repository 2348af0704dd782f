/* raftcore/joint.c: configurations as values: are they sound, and how one leads to another.
 *
 * A change of voters goes through a joint configuration (section 4.3): all members of both, with
 * the flag of each half. While it is in force everything needs a majority of either half, so no
 * moment has two disjoint majorities, whatever the two have in common.
 */
#include "raftcore/joint.h"

#include "base/assert.h"
#include "base/record.h"
#include "raftcore/raft.h"

#include <stddef.h>

uint32_t raft_config_bytes(const struct raft_config *config)
{
    ASSERT(config->count <= RAFT_MEMBERS_MAX);
    return record_bytes(RAFT_CONFIG_HEAD_BYTES + config->count * RAFT_CONFIG_MEMBER_BYTES);
}

static bool member_is_sound(const struct raft_config *config, uint32_t i)
{
    const struct raft_member *m = &config->member[i];

    ASSERT(i < config->count);
    if (m->node == 0 || (i > 0 && m->node <= config->member[i - 1].node))
        return false;
    if (!config->joint && (m->voter_old || m->leaves))
        return false;
    if (m->leaves && m->voter)
        return false;
    if (m->promote && (m->voter || m->leaves))
        return false;
    return m->replaces == 0 || (m->promote && m->replaces != m->node);
}

bool raft_config_is_sound(const struct raft_config *config)
{
    uint32_t voters = 0;
    uint32_t voters_old = 0;

    ASSERT(config != NULL);
    if (config->count == 0 || config->count > RAFT_MEMBERS_MAX)
        return false;
    for (uint32_t i = 0; i < config->count; i++) {
        if (!member_is_sound(config, i))
            return false;
        voters += config->member[i].voter;
        voters_old += config->member[i].voter_old;
    }
    return voters > 0 && config->joint == (voters_old > 0);
}

const struct raft_member *raft_config_find(const struct raft_config *config, raft_node node)
{
    ASSERT(config->count <= RAFT_MEMBERS_MAX);
    for (uint32_t i = 0; i < config->count; i++) {
        if (config->member[i].node == node)
            return &config->member[i];
    }
    return NULL;
}

static bool member_is_equal(const struct raft_member *a, const struct raft_member *b)
{
    ASSERT(a->node != 0);
    return a->node == b->node && a->incarnation == b->incarnation && a->replaces == b->replaces &&
           a->priority == b->priority && a->voter == b->voter && a->voter_old == b->voter_old &&
           a->leaves == b->leaves && a->promote == b->promote;
}

bool raft_config_is_equal(const struct raft_config *a, const struct raft_config *b)
{
    ASSERT(a->count <= RAFT_MEMBERS_MAX);
    if (a->count != b->count || a->joint != b->joint)
        return false;
    for (uint32_t i = 0; i < a->count; i++) {
        if (!member_is_equal(&a->member[i], &b->member[i]))
            return false;
    }
    return true;
}

static bool has_voters_of(const struct raft_config *a, const struct raft_config *b)
{
    ASSERT(!a->joint);
    for (uint32_t i = 0; i < b->count; i++) {
        const struct raft_member *m = raft_config_find(a, b->member[i].node);
        if (b->member[i].voter && (m == NULL || !m->voter))
            return false;
    }
    return true;
}

bool raft_config_has_same_voters(const struct raft_config *a, const struct raft_config *b)
{
    ASSERT(!b->joint);
    return has_voters_of(a, b) && has_voters_of(b, a);
}

static struct raft_member joint_member(const struct raft_member *old, const struct raft_member *new)
{
    struct raft_member m = new != NULL ? *new : *old;

    ASSERT(old != NULL || new != NULL);
    m.voter_old = old != NULL && old->voter;
    if (new == NULL) {
        m.voter = false;
        m.leaves = true;
        m.promote = false;
        m.replaces = 0;
    }
    return m;
}

/* A merge by node id: both are ascending. */
bool raft_config_join(const struct raft_config *from, const struct raft_config *to,
                      struct raft_config *joint)
{
    uint32_t i = 0;
    uint32_t j = 0;

    ASSERT(!from->joint);
    ASSERT(!to->joint);
    *joint = (struct raft_config){.joint = true};
    while (i < from->count || j < to->count) {
        const struct raft_member *old = i < from->count ? &from->member[i] : NULL;
        const struct raft_member *new = j < to->count ? &to->member[j] : NULL;
        if (joint->count == RAFT_MEMBERS_MAX)
            return false;
        if (old != NULL && new != NULL && old->node < new->node)
            new = NULL;
        else if (old != NULL && new != NULL &&new->node < old->node)
            old = NULL;
        joint->member[joint->count++] = joint_member(old, new);
        i += old != NULL;
        j += new != NULL;
    }
    ASSERT(raft_config_is_sound(joint));
    return true;
}

void raft_config_leave(const struct raft_config *joint, struct raft_config *out)
{
    ASSERT(joint->joint);
    *out = (struct raft_config){.joint = false};
    for (uint32_t i = 0; i < joint->count; i++) {
        if (joint->member[i].leaves)
            continue;
        out->member[out->count] = joint->member[i];
        out->member[out->count++].voter_old = false;
    }
    ASSERT(raft_config_is_sound(out));
}
