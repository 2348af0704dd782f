/* node/member.h: `skiff member`, `skiff transfer` and `skiff snapshot`: an operator asks a running node to
 * change the members, or who leads, or to have snapshots made.
 *
 * Only the leader does that. If the node that was asked does not lead, its leader is asked, if its
 * configuration lies in the same folder as that of the first and it runs on this host; else the
 * message says whom to ask. Thread: any; a process of its own.
 */
#ifndef NODE_MEMBER_H
#define NODE_MEMBER_H

#include <stdbool.h>
#include <stdint.h>

struct member_options {
    const char *config; /* of the node that is asked first */
    bool json;
    bool learner; /* add: do not promote it by itself */
    bool force;
    uint32_t priority;
};

/* `words`: what stands behind `skiff member`, such as "add", "n4"; an exit code. */
int member_command(const struct member_options *options, char *const *words, uint32_t count);
/* `skiff transfer [NODE]`. */
int member_transfer(const struct member_options *options, char *const *words, uint32_t count);
/* `skiff snapshot`. */
int member_snapshot(const struct member_options *options, char *const *words, uint32_t count);

#endif
