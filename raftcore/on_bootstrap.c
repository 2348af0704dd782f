/* raftcore/on_bootstrap.c: the first configuration: all members have said that their logs are
 * empty, and who they are. */
#include "raftcore/raft_internal.h"

void raft_on_bootstrap(struct raft *r, const struct raft_config *config)
{
    ASSERT(config->count > 0);
    /* A leader that bootstrapped earlier may have reached us meanwhile: its log decides. */
    if (r->log.last > 0 || raft_config_in_force(r)->count > 0)
        return;
    raft_config_bootstrap(r, config);
    raft_timer_restart(r);
}
