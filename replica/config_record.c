/* replica/config_record.c: see config_record.h. */
#include "replica/config_record.h"

#include "base/assert.h"

#include <string.h>

struct config_head {
    uint64_t quota_bytes;
    uint32_t count;
    uint32_t zero;
};

struct config_member {
    uint64_t incarnation;
    uint16_t node;
    uint8_t voter;
    uint8_t zero[5];
};

static_assert(sizeof(struct config_head) == RAFT_CONFIG_HEAD_BYTES, "the core counts by it");
static_assert(sizeof(struct config_member) == RAFT_CONFIG_MEMBER_BYTES, "likewise");

uint32_t config_record_encode(const struct raft_config *config, uint64_t quota_bytes, uint8_t *out)
{
    const struct config_head head = {.quota_bytes = quota_bytes, .count = config->count};

    ASSERT(config->count > 0);
    ASSERT(config->count <= RAFT_MEMBERS_MAX);
    memcpy(out, &head, sizeof head);
    for (uint32_t i = 0; i < config->count; i++) {
        const struct config_member member = {
            .incarnation = config->member[i].incarnation,
            .node = config->member[i].node,
            .voter = config->member[i].voter,
        };
        memcpy(out + sizeof head + i * sizeof member, &member, sizeof member);
    }
    return (uint32_t)(sizeof head + config->count * sizeof(struct config_member));
}

bool config_record_decode(const uint8_t *payload, uint32_t length, struct raft_config *config,
                          uint64_t *quota_bytes)
{
    struct config_head head;

    if (length < sizeof head)
        return false;
    memcpy(&head, payload, sizeof head);
    if (head.count == 0 || head.count > RAFT_MEMBERS_MAX || head.zero != 0)
        return false;
    if (length != sizeof head + head.count * sizeof(struct config_member))
        return false;
    *config = (struct raft_config){.count = head.count};
    for (uint32_t i = 0; i < head.count; i++) {
        struct config_member member;
        memcpy(&member, payload + sizeof head + i * sizeof member, sizeof member);
        if (member.node == 0 || member.incarnation == 0 || member.voter > 1)
            return false;
        if (i > 0 && member.node <= config->member[i - 1].node)
            return false;
        config->member[i] = (struct raft_member){
            .incarnation = member.incarnation, .node = member.node, .voter = member.voter != 0};
    }
    *quota_bytes = head.quota_bytes;
    return true;
}
