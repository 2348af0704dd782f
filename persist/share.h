/* persist/share.h: how much of the disk goes to what is not the log: zeros of new segments, snapshot
 * files, reads for other nodes.
 *
 * Depth      One operation of them all is in flight at a time, of SHARE_BYTES_MAX at most: so much
 *            can lie in front of a flush of the log in the device, and no more.
 * Share      While the log writes, an operation that took T is followed by a pause, so that together
 *            they have at most `percent` of the time. It is time and not bytes, since nobody knows how
 *            fast a disk is; what waited behind flushes of the log counts as its own time. A log
 *            that has been silent for SHARE_QUIET_NS leaves them the whole disk.
 * Turns      Whoever was refused comes before those who ask later, when the pause is over. Who does not
 *            come when it is his turn loses his place.
 * So         the log never waits for more than one operation; a pause ends, at most SHARE_PAUSE_NS_MAX
 *            after the operation before it; and between asking and being served each of the others is
 *            served once at most.
 * Thread     The persist lcore. No clock: times are those of its polls, and never go back.
 * Memory     The struct.
 */
#ifndef PERSIST_SHARE_H
#define PERSIST_SHARE_H

#include <stdbool.h>
#include <stdint.h>

enum {
    SHARE_BYTES_MAX = 256 * 1024, /* of one operation */
    SHARE_PERCENT_DEFAULT = 25,
};

#define SHARE_QUIET_NS     (5 * 1000 * 1000ull)
#define SHARE_PAUSE_NS_MAX (100 * 1000 * 1000ull)

enum share_user {
    SHARE_ZEROS,
    SHARE_SNAPSHOT,
    SHARE_READS,
    SHARE_USERS,
};

/* Where somebody stands who asked and was refused. */
struct share_place {
    uint64_t ticket; /* smaller ones come first */
    bool waits;
    uint32_t let_by; /* bit k: refused for user k, who has not come since */
};

struct share {
    uint32_t percent;
    enum share_user running; /* whose operation is in flight; SHARE_USERS: nobody's */
    uint64_t began_ns;
    uint64_t pause_end_ns;
    uint64_t log_ns; /* when the log was last seen at work */
    uint64_t ticket_next;
    struct share_place place[SHARE_USERS];
    uint64_t busy_ns[SHARE_USERS]; /* of ended operations: what each has had */
};

/* `percent`: 1 to 100. */
void share_init(struct share *s, uint32_t percent);
/* Before anybody asks in a poll: a flush of the log is in flight, or waits to be. */
void share_log_at_work(struct share *s, uint64_t now_ns);
/* True: `user`, who has nothing in flight, submits one operation now and calls share_end() when it
 * has completed. False: not now; he asks again at each poll, as long as he wants to. */
bool share_take(struct share *s, enum share_user user, uint64_t now_ns);
/* The operation of `user` has ended, or was not submitted after all. */
void share_end(struct share *s, enum share_user user, uint64_t now_ns);
/* When somebody who was refused should ask again, if nothing completes before; UINT64_MAX: when
 * something does. */
uint64_t share_next_ns(const struct share *s);

#endif
