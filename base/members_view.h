/* base/members_view.h: the members as one role publishes them and anybody may look at them.
 *
 * Several words that belong together: the writer marks the time of its writing by an odd version,
 * and a reader that saw the version change reads again. Each word is published, so their order is
 * that of the program on both sides.
 *
 * Thread     members_view_write(): the raft role. members_view_read(): anybody.
 */
#ifndef BASE_MEMBERS_VIEW_H
#define BASE_MEMBERS_VIEW_H

#include <stdbool.h>

#include "base/published.h"

enum { MEMBERS_VIEW_MAX = 9 };

struct view_member {
    uint64_t incarnation;
    uint64_t match; /* the leader's: what it has acknowledged; else 0 */
    uint16_t node;
    uint16_t replaces;
    uint8_t priority;
    bool voter, voter_old, leaves, promote; /* as in raftcore's struct raft_member */
};

struct members_view {
    struct published version;
    struct published count;
    struct {
        struct published who; /* all of a member but the next two */
        struct published incarnation, match;
    } member[MEMBERS_VIEW_MAX];
};

void members_view_write(struct members_view *view, const struct view_member *members,
                        uint32_t count);
/* How many there are. None before there is a configuration, and in the rare case that the writer has
 * lost its CPU in the middle of writing. */
uint32_t members_view_read(const struct members_view *view,
                           struct view_member members[MEMBERS_VIEW_MAX]);

#endif
