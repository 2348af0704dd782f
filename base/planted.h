/* base/planted.h: known bugs that the simulator must be able to find.
 *
 * `planted(BUG)` is a constant false in the shipped and the sim build, so the code that ships is
 * the code that is simulated. Only skiff-sim-planted is compiled with PLANTED_BUGS; there one bug
 * is chosen by name before a run. A new bug is one line here and one `if (planted(...))` where
 * the correct code would be undone.
 */
#ifndef BASE_PLANTED_H
#define BASE_PLANTED_H

#include <stdbool.h>

#define PLANTED_BUG_LIST(X)                                 \
    X(ACK_BEFORE_FLUSH, "ack-before-flush")                 \
    X(VOTE_NOT_PERSISTED, "vote-not-persisted")             \
    X(COMMIT_BEYOND_VERIFIED, "commit-beyond-verified")     \
    X(FLUSH_SKIPPED, "flush-skipped")                       \
    X(FLUSH_BESIDE_WRITE, "flush-beside-write")             \
    X(DSYNC_LEFT_OUT, "dsync-left-out")                     \
    X(SHORT_WRITE_WHOLE, "short-write-whole")               \
    X(FLUSH_RETRIED, "flush-retried")                       \
    X(DURABLE_NEWEST, "durable-newest")                     \
    X(SEGMENT_HEADER_UNFLUSHED, "segment-header-unflushed") \
    X(SEGMENT_HEADER_FAILURE, "segment-header-failure")     \
    X(CREATE_FAILURE_STOPS, "create-failure-stops")         \
    X(BODY_UNCHECKED, "body-unchecked")                     \
    X(COPIES_UNFLUSHED, "copies-unflushed")                 \
    X(HEADER_BEFORE_COPIES, "header-before-copies")         \
    X(READ_TRUSTED, "read-trusted")                         \
    X(NEWEST_UNFLUSHED, "newest-unflushed")                 \
    X(REMOVED_TOO_EARLY, "removed-too-early")               \
    X(LATER_BATCH_PROVES, "later-batch-proves")             \
    X(VOTE_LEFT_OUT, "vote-left-out")                       \
    X(HARD_STATE_OF_FIRST, "hard-state-of-first")           \
    X(MARK_TOO_HIGH, "mark-too-high")                       \
    X(UNREADABLE_IS_EMPTY, "unreadable-is-empty")           \
    X(BOOT_UNFLUSHED, "boot-unflushed")

enum planted_bug {
    PLANTED_NONE,
#define PLANTED_ENUM(name, text) PLANTED_##name,
    PLANTED_BUG_LIST(PLANTED_ENUM)
#undef PLANTED_ENUM
        PLANTED_COUNT
};

/* Chooses the bug of this process; false if there is none of that name. */
bool planted_choose(const char *name);
const char *planted_name(enum planted_bug bug);

#ifdef PLANTED_BUGS
enum { PLANTED_BUILD = 1 };
extern enum planted_bug planted_chosen;
static inline bool planted(enum planted_bug bug)
{
    return bug == planted_chosen;
}
#else
enum { PLANTED_BUILD = 0 };
static inline bool planted(enum planted_bug bug)
{
    (void)bug;
    return false;
}
#endif

#endif
