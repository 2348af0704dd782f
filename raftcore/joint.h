/* raftcore/joint.h: configurations as values: how one leads to another (section 4.3).
 *
 * Sound      raft_config_is_sound() (raft.h) says what may be in force; all below wants that.
 * Thread     Pure functions.
 */
#ifndef RAFTCORE_JOINT_H
#define RAFTCORE_JOINT_H

#include <stdbool.h>
#include <stdint.h>

#include "raftcore/raft_types.h"

/* Of the whole CONFIG record. */
uint32_t raft_config_bytes(const struct raft_config *config);
bool raft_config_is_equal(const struct raft_config *a, const struct raft_config *b);
/* Neither is joint. */
bool raft_config_has_same_voters(const struct raft_config *a, const struct raft_config *b);
const struct raft_member *raft_config_find(const struct raft_config *config, raft_node node);
/* Neither `from` nor `to` is joint. False: together they have too many members. */
bool raft_config_join(const struct raft_config *from, const struct raft_config *to,
                      struct raft_config *joint);
/* What `joint` was made for: leave(join(from, to)) is `to`. */
void raft_config_leave(const struct raft_config *joint, struct raft_config *out);

#endif
