/* replica/config_record.h: the payload of a CONFIG record: quota and members. docs/formats.md has the
 * byte table. Version 0 knows voters and plain learners only; a configuration that is no more than
 * that is still written so, and every configuration has just one form. */
#ifndef REPLICA_CONFIG_RECORD_H
#define REPLICA_CONFIG_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "raftcore/raft_types.h"

enum {
    CONFIG_PAYLOAD_BYTES_MAX = RAFT_CONFIG_HEAD_BYTES + RAFT_CONFIG_MEMBER_BYTES * RAFT_MEMBERS_MAX
};

uint32_t config_record_encode(const struct raft_config *config, uint64_t quota_bytes, uint8_t *out);
/* False: not a configuration this version knows. */
bool config_record_decode(const uint8_t *payload, uint32_t length, struct raft_config *config,
                          uint64_t *quota_bytes);

#endif
