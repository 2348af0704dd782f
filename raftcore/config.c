/* raftcore/config.c: the configuration in force, and those it would fall back to.
 *
 * A configuration is in force from the moment its entry is appended (section 4.1), so it must be
 * undone when that entry is truncated: configs[] is a stack by index. Its bottom is the newest
 * committed one, or what bootstrap agreed on, or (index 0, no members) nothing yet. It stays short:
 * a leader appends a configuration only when the one before is committed.
 */
#include "raftcore/raft_internal.h"

#include <stddef.h>

const struct raft_config *raft_config_in_force(const struct raft *r)
{
    ASSERT(r->config_count > 0);
    ASSERT(r->config_count <= RAFT_CONFIGS_MAX);
    return &r->configs[r->config_count - 1].config;
}

/* A member is a node and an incarnation: a wiped node that came back is nobody. */
static bool is_self(const struct raft *r, const struct raft_member *member)
{
    ASSERT(member->node != 0);
    return member->node == r->options.node &&
           (member->incarnation == 0 || member->incarnation == r->options.incarnation);
}

/* The peers stand beside the members; what is known of those that stay moves with them. The
 * in-flight rings are handed round, so that each peer has one whatever the order. */
static void place_peers(struct raft *r, const struct raft_config *before)
{
    const struct raft_config *config = raft_config_in_force(r);
    struct raft_peer old[RAFT_MEMBERS_MAX];
    bool moved[RAFT_MEMBERS_MAX] = {false};
    bool fresh[RAFT_MEMBERS_MAX] = {false};

    ASSERT(config->count <= RAFT_MEMBERS_MAX);
    r->config_changes++;
    for (uint32_t i = 0; i < RAFT_MEMBERS_MAX; i++)
        old[i] = r->peer[i];
    r->self = RAFT_MEMBERS_MAX;
    for (uint32_t i = 0; i < RAFT_MEMBERS_MAX; i++) {
        fresh[i] = true;
        if (i >= config->count)
            continue;
        if (is_self(r, &config->member[i]))
            r->self = i;
        for (uint32_t j = 0; j < before->count; j++) {
            if (before->member[j].node != config->member[i].node ||
                before->member[j].incarnation != config->member[i].incarnation)
                continue;
            r->peer[i] = old[j];
            moved[j] = true;
            fresh[i] = false;
        }
    }
    uint32_t spare = 0;
    for (uint32_t i = 0; i < RAFT_MEMBERS_MAX; i++) {
        if (!fresh[i])
            continue;
        while (spare < RAFT_MEMBERS_MAX && moved[spare])
            spare++;
        ASSERT(spare < RAFT_MEMBERS_MAX); /* as many are left over as are fresh */
        r->peer[i] = (struct raft_peer){.inflight = old[spare++].inflight};
        r->peer[i].node = i < config->count ? config->member[i].node : 0;
        raft_peer_reset(r, &r->peer[i]);
    }
}

void raft_config_init(struct raft *r, const struct raft_recovered *recovered)
{
    const struct raft_config none = {0};

    ASSERT(recovered->config_count <= RAFT_CONFIGS_MAX);
    r->config_count = 0;
    /* All of them uncommitted, and none to fall back to: then we would be no member. */
    const raft_index commit = raft_max(recovered->commit, recovered->base);
    if (recovered->config_count == 0 || recovered->configs[0].index > commit)
        r->configs[r->config_count++] = (struct raft_config_at){.index = 0};
    ASSERT(r->config_count + recovered->config_count <= RAFT_CONFIGS_MAX);
    for (uint32_t i = 0; i < recovered->config_count; i++) {
        ASSERT(recovered->configs[i].index <= recovered->last);
        ASSERT(raft_config_is_sound(&recovered->configs[i].config));
        r->configs[r->config_count++] = recovered->configs[i];
    }
    place_peers(r, &none);
}

void raft_config_bootstrap(struct raft *r, const struct raft_config *config)
{
    const struct raft_config before = r->configs[0].config;

    ASSERT(r->log.last == 0);
    ASSERT(r->config_count == 1);
    ASSERT(raft_config_is_sound(config));
    r->configs[0] = (struct raft_config_at){.index = 0, .config = *config};
    place_peers(r, &before);
}

uint32_t raft_config_room(const struct raft *r)
{
    ASSERT(r->config_count <= RAFT_CONFIGS_MAX);
    return RAFT_CONFIGS_MAX - r->config_count;
}

void raft_config_append(struct raft *r, raft_index index, const struct raft_config *config)
{
    const struct raft_config before = *raft_config_in_force(r);

    ASSERT(index > r->configs[r->config_count - 1].index);
    ASSERT(raft_config_room(r) > 0);
    r->configs[r->config_count++] = (struct raft_config_at){.index = index, .config = *config};
    place_peers(r, &before);
}

void raft_config_truncate(struct raft *r, raft_index first)
{
    const struct raft_config before = *raft_config_in_force(r);
    const uint32_t count_before = r->config_count;

    ASSERT(r->configs[0].index < first); /* committed, or no entry at all */
    while (r->configs[r->config_count - 1].index >= first && !planted(PLANTED_CONFIG_NOT_UNDONE))
        r->config_count--;
    ASSERT(r->config_count > 0);
    if (r->config_count < count_before) {
        MARK(CONFIG_UNDONE);
        place_peers(r, &before);
    }
}

void raft_config_commit(struct raft *r)
{
    uint32_t below = 0; /* configurations that nothing can fall back to any more */

    ASSERT(r->config_count > 0);
    while (below + 1 < r->config_count && r->configs[below + 1].index <= r->commit)
        below++;
    if (below == 0)
        return;
    for (uint32_t i = below; i < r->config_count; i++)
        r->configs[i - below] = r->configs[i];
    r->config_count -= below;
    ASSERT(r->config_count > 0);
}

/* `at` was in force at `index`, which a snapshot now covers. Those above it stay, if their entries
 * did. */
void raft_config_install(struct raft *r, const struct raft_config_at *at, raft_index index)
{
    const struct raft_config before = *raft_config_in_force(r);
    uint32_t count = 0;

    ASSERT(at->index <= index);
    ASSERT(r->configs[0].index < index); /* it is not above our commit index, which `index` is */
    for (uint32_t i = 1; i < r->config_count; i++) {
        if (r->configs[i].index > index && r->configs[i].index <= r->log.last)
            r->configs[++count] = r->configs[i];
    }
    r->configs[0] = *at;
    r->config_count = count + 1;
    place_peers(r, &before);
}

uint32_t raft_place_of(const struct raft *r, raft_node node)
{
    const uint32_t count = raft_config_in_force(r)->count;
    uint32_t place = 0;

    ASSERT(count <= RAFT_MEMBERS_MAX);
    while (place < count && r->peer[place].node != node)
        place++;
    return place < count ? place : RAFT_MEMBERS_MAX;
}

struct raft_peer *raft_find_peer(struct raft *r, raft_node node)
{
    const uint32_t place = raft_place_of(r, node);

    ASSERT(place <= RAFT_MEMBERS_MAX);
    return place < RAFT_MEMBERS_MAX ? &r->peer[place] : NULL;
}

/* In either half: who leads a joint configuration may be of the old one only (section 4.3). */
static bool is_voter_of(const struct raft *r, const struct raft_config *config)
{
    ASSERT(config->count <= RAFT_MEMBERS_MAX);
    for (uint32_t i = 0; i < config->count; i++) {
        if (is_self(r, &config->member[i]))
            return config->member[i].voter || config->member[i].voter_old;
    }
    return false;
}

bool raft_is_voter(const struct raft *r)
{
    ASSERT(r->self <= RAFT_MEMBERS_MAX);
    return r->self < RAFT_MEMBERS_MAX && is_voter_of(r, raft_config_in_force(r));
}

/* A node that its configuration in force leaves out is still needed while that is not committed: it
 * may be the only one with a log that can win (section 4.2.2). */
bool raft_is_needed(const struct raft *r)
{
    ASSERT(r->config_count <= RAFT_CONFIGS_MAX);
    for (uint32_t i = 0; i < r->config_count; i++) {
        if (is_voter_of(r, &r->configs[i].config))
            return true;
    }
    return false;
}
