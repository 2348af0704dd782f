/* replica/config_record.c: see config_record.h. */
#include "replica/config_record.h"

#include "base/assert.h"
#include "raftcore/raft.h"

#include <string.h>

enum {
    VERSION_PLAIN = 0, /* voters and learners */
    VERSION_FULL = 1,  /* all fields */

    FLAG_VOTER = 1,
    FLAG_VOTER_OLD = 2,
    FLAG_LEAVES = 4,
    FLAG_PROMOTE = 8,
    FLAGS_KNOWN = FLAG_VOTER | FLAG_VOTER_OLD | FLAG_LEAVES | FLAG_PROMOTE,
};

struct config_head {
    uint64_t quota_bytes;
    uint32_t count;
    uint32_t version;
};

struct config_member {
    uint64_t incarnation;
    uint16_t node;
    uint8_t flags;
    uint8_t priority;
    uint16_t replaces;
    uint16_t zero;
};

static_assert(sizeof(struct config_head) == RAFT_CONFIG_HEAD_BYTES, "the core counts by it");
static_assert(sizeof(struct config_member) == RAFT_CONFIG_MEMBER_BYTES, "likewise");

static struct config_member member_encode(const struct raft_member *m)
{
    return (struct config_member){
        .incarnation = m->incarnation,
        .node = m->node,
        .flags = (uint8_t)((m->voter ? FLAG_VOTER : 0) | (m->voter_old ? FLAG_VOTER_OLD : 0) |
                           (m->leaves ? FLAG_LEAVES : 0) | (m->promote ? FLAG_PROMOTE : 0)),
        .priority = m->priority,
        .replaces = m->replaces,
    };
}

static bool is_plain(const struct config_member *member)
{
    return member->flags <= FLAG_VOTER && member->priority == 0 && member->replaces == 0;
}

uint32_t config_record_encode(const struct raft_config *config, uint64_t quota_bytes, uint8_t *out)
{
    struct config_head head = {
        .quota_bytes = quota_bytes, .count = config->count, .version = VERSION_PLAIN};

    ASSERT(config->count > 0);
    ASSERT(config->count <= RAFT_MEMBERS_MAX);
    for (uint32_t i = 0; i < config->count; i++) {
        const struct config_member member = member_encode(&config->member[i]);
        if (!is_plain(&member))
            head.version = VERSION_FULL;
        memcpy(out + sizeof head + i * sizeof member, &member, sizeof member);
    }
    memcpy(out, &head, sizeof head);
    return (uint32_t)(sizeof head + config->count * sizeof(struct config_member));
}

/* Joint is what has voters of an old half; whether it is sound is the core's to say. */
static void member_decode(const struct config_member *member, struct raft_config *config)
{
    ASSERT(config->count < RAFT_MEMBERS_MAX);
    config->member[config->count++] = (struct raft_member){
        .incarnation = member->incarnation,
        .node = member->node,
        .replaces = member->replaces,
        .priority = member->priority,
        .voter = (member->flags & FLAG_VOTER) != 0,
        .voter_old = (member->flags & FLAG_VOTER_OLD) != 0,
        .leaves = (member->flags & FLAG_LEAVES) != 0,
        .promote = (member->flags & FLAG_PROMOTE) != 0,
    };
    if ((member->flags & FLAG_VOTER_OLD) != 0)
        config->joint = true;
}

bool config_record_decode(const uint8_t *payload, uint32_t length, struct raft_config *config,
                          uint64_t *quota_bytes)
{
    struct config_head head;
    bool plain = true;

    if (length < sizeof head)
        return false;
    memcpy(&head, payload, sizeof head);
    if (head.count == 0 || head.count > RAFT_MEMBERS_MAX || head.version > VERSION_FULL)
        return false;
    if (length != sizeof head + head.count * sizeof(struct config_member))
        return false;
    *config = (struct raft_config){.count = 0};
    for (uint32_t i = 0; i < head.count; i++) {
        struct config_member member;
        memcpy(&member, payload + sizeof head + i * sizeof member, sizeof member);
        if (member.incarnation == 0 || (member.flags & ~FLAGS_KNOWN) != 0 || member.zero != 0)
            return false;
        plain = plain && is_plain(&member);
        member_decode(&member, config);
    }
    *quota_bytes = head.quota_bytes;
    return plain == (head.version == VERSION_PLAIN) && raft_config_is_sound(config);
}
