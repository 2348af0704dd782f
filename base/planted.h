/* base/planted.h: known bugs that the simulator must be able to find.
 *
 * `planted(BUG)` is a constant false in the shipped and the sim build, so the code that ships is
 * the code that is simulated. Only skiff-sim-planted is compiled with PLANTED_BUGS; there one bug
 * is chosen by name before a run. A new bug is one line here and one `planted(...)` where the
 * correct code is undone. scripts/hunt runs them all.
 */
#ifndef BASE_PLANTED_H
#define BASE_PLANTED_H

#include <stdbool.h>

/* name, as --bug takes it, who finds it, what it undoes */
#define PLANTED_BUG_LIST(X)                                                                        \
    X(ACK_BEFORE_FLUSH, "ack-before-flush", SIM,                                                   \
      "an acknowledgement waits for the disk, and the leader counts itself likewise")              \
    X(ACK_OF_WRONG_STEP, "ack-of-wrong-step", SIM,                                                 \
      "an acknowledgement waits for who wrote the entry, not for its own step")                    \
    X(MATCH_IS_LAST, "match-is-last", SIM,                                                         \
      "an acknowledgement says what was verified, not all that is there")                          \
    X(LEADER_COUNTS_UNFLUSHED, "leader-counts-unflushed", SIM,                                     \
      "the leader counts itself when its own disk has the entry")                                  \
    X(LATE_COMPLETION_VOUCHES, "late-completion-vouches", SIM,                                     \
      "a late completion says nothing of new entries at the same index")                           \
    X(COMMIT_OLD_TERM, "commit-old-term", SIM,                                                     \
      "only entries of the own term are committed by counting")                                    \
    X(COMMIT_BEYOND_VERIFIED, "commit-beyond-verified", SIM,                                       \
      "a follower commits what a message verified, no further")                                    \
    X(START_COMMITS_ALL, "start-commits-all", SIM,                                                 \
      "a start takes for committed what was, not all it has")                                      \
    X(TRUNCATE_AT_DUPLICATE, "truncate-at-duplicate", SIM, "a late duplicate does not truncate")   \
    X(PREV_UNCHECKED, "prev-unchecked", SIM, "an append whose prev is of another term is refused") \
    X(JOINT_ONE_HALF, "joint-one-half", SIM,                                                       \
      "a joint configuration decides by majorities of both halves")                                \
    X(JOINT_LEFT_BY_STARTER, "joint-left-by-starter", SIM,                                         \
      "a later leader leaves a joint configuration that it finds")                                 \
    X(CHANGE_IN_ONE_STEP, "change-in-one-step", SIM,                                               \
      "other voters come by way of a joint configuration")                                         \
    X(CONFIG_NOT_UNDONE, "config-not-undone", SIM,                                                 \
      "a configuration whose entry is truncated is undone")                                        \
    X(LEARNER_COUNTS, "learner-counts", SIM, "learners count in no quorum")                        \
    X(VOTE_NOT_PERSISTED, "vote-not-persisted", SIM, "a vote is written, and waited for")          \
    X(VOTE_FORGOTTEN, "vote-forgotten", SIM, "a start remembers the vote it finds")                \
    X(VOTE_TWICE, "vote-twice", SIM, "one vote a term")                                            \
    X(VOTE_WITHOUT_LOG_CHECK, "vote-without-log-check", SIM, "no vote for an older log")           \
    X(VOTE_REQUEST_UNGATED, "vote-request-ungated", SIM,                                           \
      "a candidate asks when its own vote is durable")                                             \
    X(VOTE_REPLY_UNGATED, "vote-reply-ungated", SIM, "a vote leaves when it is durable")           \
    X(TERM_NOT_PERSISTED, "term-not-persisted", SIM, "term and vote are given to the log")         \
    X(READ_OF_OLD_ROUND, "read-of-old-round", SIM,                                                 \
      "only echoes of the running round confirm reads")                                            \
    X(READ_BEFORE_OWN_ENTRY, "read-before-own-entry", SIM,                                         \
      "no read before the first entry of the leader is committed")                                 \
    X(READ_UNANSWERED, "read-unanswered", SIM,                                                     \
      "a round that ends answers the reads of other nodes too")                                    \
    X(READ_JOINS_ROUND, "read-joins-round", SIM,                                                   \
      "a read is confirmed by a round that was sent after it came")                                \
    X(LEASE_TOO_LONG, "lease-too-long", SIM, "a lease is over before anybody else can be elected") \
    X(LEASE_NOT_RECHECKED, "lease-not-rechecked", SIM,                                             \
      "a lease is judged by a clock that was read after the request came")                         \
    X(LEASE_BY_EARLIER_CLOCK, "lease-by-earlier-clock", SIM,                                       \
      "a read by lease waits until the clock was read behind it")                                  \
    X(PROMISE_NOT_RENEWED, "promise-not-renewed", SIM,                                             \
      "a follower promises from the first reading of the clock behind what it heard")              \
    X(LEASE_AFTER_TRANSFER, "lease-after-transfer", SIM,                                           \
      "no read by lease once TIMEOUT_NOW has left")                                                \
    X(START_WITHOUT_HOLD, "start-without-hold", SIM,                                               \
      "a node that starts gives no vote for as long as a lease may count on it")                   \
    X(READ_BEFORE_APPLY, "read-before-apply", SIM, "a read waits until its index is applied")      \
    X(READ_BY_INDEX, "read-by-index", SIM, "an old entry is read back by index and term")          \
    X(MEMORY_REUSED_EARLY, "memory-reused-early", SIM,                                             \
      "record memory is used again when all its readers are past")                                 \
    X(FATE_NOT_AWAITED, "fate-not-awaited", SIM,                                                   \
      "a request in doubt is not sent again before its fate is known")                             \
    X(FORWARD_DOUBLED, "forward-doubled", SIM, "a forward that was taken before is dropped")       \
    X(FORWARD_OUTLIVES_BOOT, "forward-outlives-boot", SIM,                                         \
      "a restarted origin begins its stream anew")                                                 \
    X(ANSWER_OF_EARLIER_BOOT, "answer-of-earlier-boot", SIM,                                       \
      "what an earlier boot asked for is answered to nobody")                                      \
    X(CHUNK_REPLY_LOST, "chunk-reply-lost", SIM,                                                   \
      "a whole record that is sent anew is told to the core again")                                \
    X(FRAME_KEPT, "frame-kept", SIM, "a frame that is dropped gives its buffer back")              \
    X(CREDIT_DIFFERENCE, "credit-difference", SIM, "credit is a running total")                    \
    X(CREDIT_LOST_FOR_GOOD, "credit-lost-for-good", SIM,                                           \
      "numbers below the highest count as lost")                                                   \
    X(CREDIT_OUTLIVES_BOOT, "credit-outlives-boot", SIM, "a restart begins credit anew")           \
    X(GATE_FULL_LETS_GO, "gate-full-lets-go", SIM, "a full gate drops")                            \
    X(REPAIR_SKIPPED, "repair-skipped", SIM, "lost entries are asked for, committed ones too")     \
    X(REPAIR_ANY_RECORD, "repair-any-record", SIM,                                                 \
      "what fills a hole has the checksum that the log names")                                     \
    X(MEMORY_NOT_JUDGED, "memory-not-judged", SIM,                                                 \
      "a boot that lacks what an earlier one acknowledged is not counted")                         \
    X(BOOT_UNFLUSHED, "boot-unflushed", SIM, "the boot number is flushed before anything leaves")  \
    X(KEPT_NOT_KEPT, "kept-not-kept", SIM,                                                         \
      "what a pin still needs is kept when it is replaced or deleted")                             \
    X(EMISSION_NEWER, "emission-newer", SIM, "a snapshot has nothing that is newer than its pin")  \
    X(UNPIN_FORGOTTEN, "unpin-forgotten", SIM, "a pin is let go behind the last chunk")            \
    X(POINT_CONFIG_STALE, "point-config-stale", SIM,                                               \
      "a snapshot carries the configuration that was in force at its point")                       \
    X(PIECE_OF_ANOTHER, "piece-of-another", SIM,                                                   \
      "pieces of another snapshot are dropped, and what arrives is compared with the digest")      \
    X(CHUNK_UNPROVEN, "chunk-unproven", SIM,                                                       \
      "a chunk that a peer sends is compared with the table, and the table with the digest")       \
    X(INSTALL_ACK_UNGATED, "install-ack-ungated", SIM,                                             \
      "an install is acknowledged when its manifest is durable")                                   \
    X(INSTALL_CONFIG_FORGOTTEN, "install-config-forgotten", SIM,                                   \
      "an installed snapshot brings the configuration at its index")                               \
    X(INSTALL_CHAIN_FORGOTTEN, "install-chain-forgotten", SIM,                                     \
      "the log goes on from the chain value of the snapshot that was installed")                   \
    X(LOAD_SKIPPED, "load-skipped", SIM, "the store loads what was installed, before it goes on")  \
    X(RESTART_FROM_BASE, "restart-from-base", SIM,                                                 \
      "after a start the store goes on behind its snapshot, not behind the log's base")            \
    X(PASSED_OVER_AGAIN, "passed-over-again", SIM,                                                 \
      "what an installed snapshot may have passed over is never proposed again")                   \
    X(MEND_NOT_ASKED, "mend-not-asked", SIM, "a snapshot that is lost is asked for")               \
    X(FLUSH_SKIPPED, "flush-skipped", CRASH,                                                       \
      "fdatasync mode: what is written must be flushed too")                                       \
    X(FLUSH_BESIDE_WRITE, "flush-beside-write", CRASH,                                             \
      "the flush is submitted when its write is complete")                                         \
    X(DSYNC_LEFT_OUT, "dsync-left-out", CRASH, "the write of a batch carries RWF_DSYNC")           \
    X(SHORT_WRITE_WHOLE, "short-write-whole", CRASH, "a short write is a failure")                 \
    X(FLUSH_RETRIED, "flush-retried", CRASH, "a failed flush is not tried again")                  \
    X(DURABLE_NEWEST, "durable-newest", CRASH,                                                     \
      "durable is the longest prefix, not the newest flush")                                       \
    X(SEGMENT_HEADER_UNFLUSHED, "segment-header-unflushed", CRASH,                                 \
      "a segment is used when its header is durable")                                              \
    X(SEGMENT_HEADER_FAILURE, "segment-header-failure", CRASH,                                     \
      "a header that could not be written stops the log")                                          \
    X(CREATE_FAILURE_STOPS, "create-failure-stops", CRASH, "a full disk does not stop the node")   \
    X(CREATE_FAILURE_RETRIED, "create-failure-retried", CRASH,                                     \
      "a segment that can't be made for want of anything but room stops the log")                  \
    X(ZEROS_IN_FLIGHT, "zeros-in-flight", CRASH,                                                   \
      "a segment is used when no zeros are on their way to it any more")                           \
    X(SEGMENT_UNNAMED, "segment-unnamed", CRASH, "a segment is used when it has its name")         \
    X(BODY_UNCHECKED, "body-unchecked", CRASH,                                                     \
      "a batch counts by its records too, not by its header alone")                                \
    X(COPIES_UNFLUSHED, "copies-unflushed", CRASH,                                                 \
      "a start flushes its copies before their header")                                            \
    X(HEADER_BEFORE_COPIES, "header-before-copies", CRASH,                                         \
      "a start writes the header that vouches for copies after them")                              \
    X(READ_TRUSTED, "read-trusted", CRASH, "a start copies what it read above the durable mark")   \
    X(NEWEST_UNFLUSHED, "newest-unflushed", CRASH, "a start flushes the header it builds on")      \
    X(REMOVED_TOO_EARLY, "removed-too-early", CRASH,                                               \
      "what was copied is removed when the copies count")                                          \
    X(LATER_BATCH_PROVES, "later-batch-proves", CRASH,                                             \
      "a valid later batch is no evidence of damage")                                              \
    X(VOTE_LEFT_OUT, "vote-left-out", CRASH, "the vote is in the batch header")                    \
    X(HARD_STATE_OF_FIRST, "hard-state-of-first", CRASH,                                           \
      "a batch carries the hard state of its last step")                                           \
    X(MARK_TOO_HIGH, "mark-too-high", CRASH, "the durable mark leaves out what is in flight")      \
    X(OLD_GENERATION_ACCEPTED, "old-generation-accepted", CRASH,                                   \
      "a recycled file counts by a header of its new generation only")                             \
    X(BATCH_UNBOUND, "batch-unbound", CRASH, "a batch counts at its own generation and offset")    \
    X(CUT_BEFORE_MANIFEST, "cut-before-manifest", CRASH,                                           \
      "what a new base makes needless is kept until the manifest is durable")                      \
    X(BASE_BEFORE_BATCHES, "base-before-batches", CRASH,                                           \
      "batches behind a change of the base wait for it")                                           \
    X(RECYCLED_TOO_EARLY, "recycled-too-early", CRASH,                                             \
      "the segment where the log begins is not used again")                                        \
    X(CURRENT_RECYCLED, "current-recycled", CRASH, "nor is the segment in use")                    \
    X(DEAD_MANIFEST, "dead-manifest", CRASH,                                                       \
      "a manifest from before the newest recovery does not count")                                 \
    X(UNREADABLE_IS_EMPTY, "unreadable-is-empty", CRASH,                                           \
      "sectors that can not be read are no zeros")                                                 \
    X(SNAPSHOT_UNFLUSHED, "snapshot-unflushed", CRASH,                                             \
      "a snapshot gets its name when it is flushed")                                               \
    X(SNAPSHOT_NAME_UNFLUSHED, "snapshot-name-unflushed", CRASH,                                   \
      "a manifest names a snapshot when its directory is flushed")                                 \
    X(SNAPSHOT_REMOVED_EARLY, "snapshot-removed-early", CRASH,                                     \
      "a snapshot goes when the manifest names the next one")                                      \
    X(SNAPSHOT_CHUNK_UNCHECKED, "snapshot-chunk-unchecked", CRASH,                                 \
      "a chunk is handed out when it has its checksum")

enum planted_tool {
    PLANTED_SIM,   /* skiff-sim-planted: whole clusters */
    PLANTED_CRASH, /* skiff-crash-planted: the log alone, its disk crashing or failing */
};

enum planted_bug {
    PLANTED_NONE,
#define PLANTED_ENUM(name, text, tool, undoes) PLANTED_##name,
    PLANTED_BUG_LIST(PLANTED_ENUM)
#undef PLANTED_ENUM
        PLANTED_COUNT
};

/* Chooses the bug of this process; false if there is none of that name. */
bool planted_choose(const char *name);
const char *planted_name(enum planted_bug bug);
const char *planted_undoes(enum planted_bug bug);     /* the rule that it breaks */
enum planted_tool planted_tool(enum planted_bug bug); /* by which scripts/hunt looks for it */

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
