/* replica/digests.h: do the state machines of all members agree.
 *
 * At each multiple of replica_options.digest_every, at each snapshot point, and when it has loaded a
 * snapshot, the store says what its state comes to (store_digest()). Who follows reports the newest to its
 * leader, which compares it with its own at the same index. One that differs opens an inquiry: everybody is
 * asked for that very index. Then
 *
 *   one value is that of a majority (of each half, if the configuration is joint)
 *        whoever has another stops for good; a leader that has another hands over first
 *   no value is, by what was said so far
 *        nobody stops; writes are refused, and the operator hears of it, until a majority agrees
 *
 * One that finds no majority begins anew with the newest index, for who lags then may not have had the one
 * before. It ends with the leadership, or when all that can be heard have the majority's value. It can't tell
 * who is right, only who is alone: the bug is ours in any case.
 *
 * Thread     The raft role only.
 */
#ifndef REPLICA_DIGESTS_H
#define REPLICA_DIGESTS_H

#include <stdbool.h>
#include <stdint.h>

#include "raftcore/raft_types.h"

enum {
    DIGESTS_KEPT = 1024,   /* a power of two: the newest ones, so that who lags can be compared too */
    DIGEST_RING_SLOTS = 16, /* store -> raft; of those that find no room only the newest waits */
    DIGEST_AGAIN = 100,    /* heartbeats after which an inquiry without a verdict begins anew */
    DIGEST_REPEAT = 100,   /* heartbeats after which the newest is reported again: one may be lost */
    DIGEST_HANDOVER = 4,   /* longest election timeouts that a leader in the wrong takes to hand over */
};

struct state_digest {
    raft_index index; /* 0: none */
    uint64_t digest;
};

struct digests {
    struct state_digest kept[DIGESTS_KEPT]; /* ascending; slot = number & (DIGESTS_KEPT - 1) */
    uint64_t count; /* that there have been */
    raft_index reported;  /* to our leader */
    uint64_t report_ns;   /* not before */
    uint64_t repeat_ns;   /* the same again */
    raft_index inquiry;   /* as a leader; 0: none */
    raft_term inquiry_term;
    uint64_t inquiry_ns;  /* when the others are asked, or told, next */
    uint64_t begun_ns;    /* when this index was asked for first */
    uint64_t wrong_ns;    /* since when a majority says that this leader is wrong; 0: it does not */
    bool undecided;       /* no value has a majority: writes are refused */
};

#endif
