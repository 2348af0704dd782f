/* base/mark.h: reachability marks: rare paths that a campaign of the simulator must have taken.
 *
 * MARK(NAME) stands where such a path is certain to be taken, MARK_IF(condition, NAME) where it is
 * if the condition holds. Like ASSERT_SLOW they are nothing in the shipped build, the condition
 * is not even evaluated; so it must have no side effect. Simulator builds count. What a campaign
 * never reached it has not tested, whatever it passed: skiff-sim says so at its end.
 *
 * A new mark is one line here and one in the code. One that no campaign can reach is no mark: three
 * paths of the core have none, since replica never leads there; golden scripts do (docs/TESTING.md).
 *
 * Thread     Simulator builds run their roles on one thread.
 */
#ifndef BASE_MARK_H
#define BASE_MARK_H

#include <stdint.h>

/* name, what has happened when it is reached */
#define MARK_LIST(X)                                                                            \
    /* raftcore: elections */                                                                   \
    X(VOTE_UNDER_LEADER, "a vote is refused because a leader lives")                            \
    X(VOTE_OLD_LOG, "a vote is refused to an older log")                                        \
    X(VOTE_SPENT, "a vote is refused because it was given to another")                          \
    X(VOTE_REPEATED, "a vote is granted again to the one that has it")                          \
    X(VOTE_BY_EMPTY_LOG, "a node with nothing in its log and no configuration votes")           \
    X(PREVOTE_UNDER_LEADER, "a PreVote is refused because a leader lives")                      \
    X(PREVOTE_OLD_LOG, "a PreVote is refused to an older log")                                  \
    X(PREVOTE_REPLY_LATE, "a PreVote arrives that answers an earlier attempt")                  \
    X(PREVOTES_ON_LATE_DISK, "PreVotes suffice, but the own disk got stuck meanwhile")          \
    X(CAMPAIGN_ON_LATE_DISK, "a timeout passes without a campaign: the own disk is stuck")      \
    X(CAMPAIGN_AGAIN, "a candidate's timeout is over, and it starts again with PreVote")        \
    X(VOTES_HELD, "a node that knows no leader keeps what it may have promised to one")         \
    X(CANDIDATE_DEPOSED, "a candidate meets the leader of its term")                            \
    X(LEADER_DEPOSED, "a leader meets an answer of a later term")                               \
    X(QUORUM_LOST, "a leader that hears no quorum steps down")                                  \
    X(SHY_TIMEOUT, "a node leaves the first try to others")                                     \
    X(CAMPAIGN_OF_LEARNER, "one that is no voter campaigns: it was asked, and is ahead")        \
    /* raftcore: transfer */                                                                    \
    X(TRANSFER_ASKED, "a leader is asked to hand over")                                         \
    X(TRANSFER_FOR_DISK, "a leader hands over because its disk is stuck")                       \
    X(TRANSFER_WITHOUT_TARGET, "a leader that must go finds nobody and steps down")             \
    X(TRANSFER_WAITS, "the target of a transfer still lacks entries")                           \
    X(TRANSFER_REPEATED, "TIMEOUT_NOW is sent again")                                           \
    X(TRANSFER_ABORTED, "the target of a transfer did not take over in time")                   \
    X(TAKEN_OVER, "a node campaigns at its leader's wish, without PreVote")                     \
    X(VOTE_BY_TRANSFER, "a vote is asked for under a live leader, which wants it")              \
    /* raftcore: members */                                                                     \
    X(CHANGE_PENDING, "a change is refused because another is not finished")                    \
    X(CHANGE_UNHEALTHY, "a change is refused because its voters could not go on")               \
    X(CHANGE_SAME_VOTERS, "a change that leaves the voters alone takes one entry")              \
    X(JOINT_LEFT, "a joint configuration is committed and left")                                \
    X(JOINT_LEFT_LATER, "a joint configuration is left by a later leader")                      \
    X(CONFIG_UNDONE, "a configuration is undone by truncation")                                 \
    X(LEARNER_PROMOTED, "a learner has kept up and becomes a voter")                            \
    X(LEADER_REMOVED, "a leader is no voter of the committed configuration")                    \
    /* raftcore: the log */                                                                     \
    X(APPEND_STALE, "an append of a deposed leader is refused")                                 \
    X(APPEND_GAP, "an append is refused: a gap")                                                \
    X(APPEND_CONFLICT, "an append is refused: its prev is of another term here")                \
    X(APPEND_DUPLICATE, "a late append brings nothing new, and entries behind it stay")         \
    X(APPEND_OVERLAP, "an append brings entries that are here, and more")                       \
    X(HOLE_FILLED, "lost entries came back from peers, and the log is whole")                   \
    X(HOLE_ASKED_AGAIN, "a peer was silent, and all are asked for a lost entry")                \
    X(HOLE_CUT, "a lost entry was never committed: another one stands there")                   \
    X(HOLE_CUT_ABOVE, "a lost entry was never committed: the leader's log ends in front of it") \
    X(HOLE_PASSED_OVER, "a snapshot becomes the base above entries that nobody has any more")   \
    X(HOLE_ON_BOTH_SIDES, "a node that lacks entries brings others back to a peer")             \
    X(TRUNCATED, "entries of another term are replaced")                                        \
    X(TRUNCATED_DURABLE, "entries are replaced that were durable")                              \
    X(ACK_OF_EARLIER, "what is acknowledged came with an earlier append, not flushed yet")      \
    X(COMMIT_CAPPED, "an append's commit index is beyond what it verifies")                     \
    X(HEARTBEAT_CAPPED, "a heartbeat's commit index is beyond what is verified")                \
    X(HEARTBEAT_STALE, "a heartbeat of a deposed leader is answered with the later term")       \
    X(COMMIT_OLD_TERM, "a majority has an entry of an earlier term: no commit by count")        \
    X(COMMIT_AHEAD_OF_DISK, "a leader commits what its own disk lacks")                         \
    /* raftcore: progress of a peer */                                                          \
    X(REFUSAL_LATE, "a refusal is late: more was acknowledged since")                           \
    X(REFUSAL_OVERTAKEN, "a refusal is late: the leader has gone back already")                 \
    X(BACK_UP_OVER_RUN, "back-up skips a follower's whole term")                                \
    X(BACK_UP_IN_TERM, "back-up ends in a term that both logs have")                            \
    X(BACK_UP_AGAIN, "back-up takes more than one round trip: several terms")                   \
    X(ACK_OVERTAKEN, "an acknowledgement is overtaken by a later one")                          \
    X(GAP_REWOUND, "a gap: sending goes back")                                                  \
    X(GAP_REPEATED, "the same gap is told again and changes nothing")                           \
    X(INFLIGHT_FULL, "as many appends are in flight to a peer as may be")                       \
    X(RESENT, "nothing was acknowledged in time: entries are sent again")                       \
    X(PROBE_SHORTENED, "a heartbeat's reply shortens a probe before it is sent")                \
    X(PEER_BOOT_IN_FLIGHT, "a peer restarts with appends in flight to it")                      \
    X(LARGE_ALONE, "a record that fits no frame waits until nothing is in flight")              \
    X(LOAD_FOR_SILENT, "no disk is read for a peer that is silent")                             \
    X(LOAD_OUTDATED, "loaded entries are not what the peer needs next any more")                \
    X(COMMIT_SENT_ALONE, "an empty append tells a commit index")                                \
    /* raftcore: reads */                                                                       \
    X(READ_WAITS_FOR_ROUND, "a read arrives while a round runs, and waits for the next")        \
    X(READ_WAITS_FOR_ENTRY, "a read waits for the first entry of its leader")                   \
    X(READ_ASKED_AGAIN, "a follower asks its leader again")                                     \
    X(READ_ALREADY_RUNNING, "a follower's question is covered by the running round")            \
    X(READ_BY_LEASE, "a read is confirmed by the lease")                                        \
    /* replica: who is heard, room */                                                           \
    X(FRAME_FOR_EARLIER_BOOT, "a frame is for an earlier boot of this node")                    \
    X(FRAME_OF_EARLIER_BOOT, "a frame is of an earlier boot of a peer")                         \
    X(FRAME_BEFORE_HELLO, "a frame comes before the HELLO of its boot, and does not count")     \
    X(LOG_WAS_EMPTY_LATE, "a HELLO of an empty log is not said to this life of ours")           \
    X(BOOT_IN_CHUNKS, "a peer restarts in the middle of a large record")                        \
    X(CREDIT_PROBE, "a sender without credit probes")                                           \
    X(TIMER_BLOCKED, "a timer is due and there is no room for its step")                        \
    X(TX_RING_FULL, "what a step sends does not fit into the ring to tx")                       \
    X(PERSIST_RING_FULL, "a step waits for the ring to persist")                                \
    X(TRANSFER_FOR_ROOM, "a leader whose disk is full hands over to a voter that has room")     \
    X(BELOW_RESERVE, "the log has room, the disk is below its reserve")                         \
    X(LOG_FULL, "entries wait for room in the log, votes go on")                                \
    X(PROPOSAL_WINDOW_FULL, "proposals wait for unflushed ones")                                \
    X(MEMORY_FULL, "record memory has no room: a reader is behind")                             \
    X(MEMORY_WRAPPED, "record memory begins anew at its start")                                 \
    /* replica: chunks */                                                                       \
    X(CHUNK_HOLES_FILLED, "chunks that later ones overtook are sent again")                     \
    X(CHUNK_ALL_AGAIN, "no chunk was acknowledged in time")                                     \
    X(CHUNK_TERM_OVER, "a large record is given up: its leader's term is over")                 \
    X(CHUNK_ACK_OTHER, "an acknowledgement is for another object")                              \
    X(CHUNK_ACK_BACK, "an acknowledgement says less than one before")                           \
    X(CHUNK_DUPLICATE, "a chunk arrives twice")                                                 \
    X(CHUNK_REPLACED, "half an object is dropped for another")                                  \
    X(CHUNK_OBJECT_AGAIN, "a chunk arrives of what is whole already")                           \
    X(CHUNK_UNEXPECTED, "a chunk is of an old term, or not for this role")                      \
    /* replica: requests */                                                                     \
    X(FORWARD_LARGE, "a request that fits no frame is forwarded")                               \
    X(FORWARD_GO_BACK, "forwarding goes back to what was acknowledged")                         \
    X(FORWARD_NOT_LEADER, "a forward reaches who does not lead in its term")                    \
    X(FORWARD_GAP, "a forward is dropped: one before it is missing")                            \
    X(FORWARD_DOUBLE, "a forward is dropped: all of it was here")                               \
    X(FORWARD_OVERLAP, "a forward brings requests that were here, and more")                    \
    X(FATE_WAITS, "requests of an earlier term must wait to know their fate")                   \
    X(FATE_DECIDED, "an entry of a later term decides that requests never come")                \
    X(FATE_UNKNOWN, "requests may be in a snapshot: what became of them can't be known")        \
    X(COMMIT_BEFORE_ACK, "a forwarded request is committed before its forward is acknowledged") \
    X(REQUEST_BUSY, "a request is refused: the table is full")                                  \
    X(REQUEST_NO_ROOM, "a request is refused: the log has had no room for long")                \
    X(REQUEST_EXPIRED, "a request that was never sent is answered: too late")                   \
    X(EXPIRED_BEHIND_DOUBT, "requests expire behind others whose fate is open")                 \
    X(READ_EXPIRED, "a read is answered: too late")                                             \
    /* replica: snapshots of its own */                                                         \
    X(SNAPSHOT_WAITS_ITS_TURN, "other members write their snapshot first")                      \
    X(SNAPSHOT_FAILED, "a snapshot can't be written, and another point is asked for later")     \
    X(SNAPSHOT_GIVEN_UP, "a snapshot that is being made is not wanted any more")                \
    X(PIN_PASSED_OVER, "a snapshot point is applied while an older pin is held")                \
    X(STATE_DAMAGED, "the store can't read the snapshot that it begins with")                   \
    X(STATE_OVERTAKEN, "a newer snapshot takes the place of one that the store reads")          \
    X(PIN_UNWANTED, "the store holds a pin that is of no use")                                  \
    X(PIN_CUT_OFF, "the store let a pin go before its snapshot was whole")                      \
    X(LOG_TRAILS_SNAPSHOT, "the log goes on below its snapshot")                                \
    X(LOG_KEPT_FOR_PEER, "the log is kept for a peer that is far behind")                       \
    /* replica: snapshots from peers, and for them */                                           \
    X(PULLED_ANOTHER, "a peer pulls a snapshot that is not, or no more, the current one")       \
    X(TRANSFER_SILENT, "a peer that pulled a snapshot is silent")                               \
    X(OFFER_OF_ANOTHER, "another snapshot is offered than the one that is pulled")              \
    X(PULL_RESUMED, "another leader offers the snapshot that is pulled, which goes on")         \
    X(PULL_SOURCE_SILENT, "who is asked for pieces is silent: somebody else is asked")          \
    X(PULL_GIVEN_UP, "a snapshot is not pulled any further")                                    \
    X(PULL_NEEDLESS, "the log got there while a snapshot was pulled")                           \
    X(CHUNK_REFUSED, "what a peer sent of a snapshot is not true: somebody else is asked")      \
    X(TABLE_REFUSED, "the digest of a snapshot does not follow from a peer's table")            \
    X(PIECES_ASKED_AGAIN, "pieces of a snapshot are asked for again")                           \
    X(PIECE_DOUBLE, "a piece of a snapshot arrives twice")                                      \
    X(PIECE_STALE, "a piece arrives that nobody waits for any more")                            \
    X(INSTALLED, "a snapshot of a peer takes the place of the log")                             \
    X(INSTALL_KEPT_LOG, "a snapshot is installed below entries that stay")                      \
    X(INSTALL_PASSED_OVER, "a snapshot is installed over entries that were not applied here")   \
    X(PULLED_LIKE_MADE, "the log got there before a pulled snapshot was installed")             \
    X(SNAPSHOT_DAMAGED, "a chunk of the current snapshot can't be read")                        \
    X(SNAPSHOT_MENDED, "a chunk of the current snapshot came back from a peer")                 \
    X(SNAPSHOT_LOST, "nobody has a damaged chunk of the current snapshot")                      \
    X(SNAPSHOT_REPLACED, "another snapshot takes the place of one that was lost")               \
    /* replica: gate, store */                                                                  \
    X(GATE_HELD, "a promise waits for the disk")                                                \
    X(GATE_FULL, "a promise is dropped: too many wait")                                         \
    X(GATE_SUPERSEDED, "an acknowledgement is left out: a later one says more")                 \
    X(STEP_WAITS, "a step waits at the log: no buffer, or no segment")                          \
    X(STORE_FED_FROM_LOG, "committed entries are read back for the store")                      \
    X(LOAD_MEETS_MEMORY, "entries for the store are loaded up to where record memory begins")   \
    X(LOAD_GONE, "entries to be read back were truncated meanwhile")                            \
    X(LOAD_BUSY, "other entries are wanted while a load is under way")                          \
    X(ASKER_BEHIND, "the store waits for an asker to take its answers")                         \
    /* dataplane */                                                                             \
    X(RX_RING_FULL, "a frame is dropped: the ring to raft is full")                             \
    X(TX_NO_BUFFER, "a frame is dropped: the port has no buffer")                               \
    /* persist */                                                                               \
    X(BATCH_CLOSED_FULL, "a batch is closed because it is full")                                \
    X(SEGMENT_AWAITED, "a batch waits for the next segment")                                    \
    X(ZEROS_LEFT_OUT, "a new segment is used without all of its zeros")                         \
    X(RESERVE_KEPT, "no segment is made: it would take the room of a snapshot")                 \
    X(ROLL_IN_FLIGHT, "a segment is rolled while a batch of the old one is in flight")          \
    X(FLUSHED_OUT_OF_ORDER, "a batch is flushed before an older one")                           \
    X(IDLE_MARK, "an idle log writes its durable mark")                                         \
    X(LOG_TORN, "a start cuts off a torn tail that has valid batches behind it")                \
    X(LOOKED_AGAIN, "what a start could not read was there when it looked again")               \
    X(BATCHES_COPIED, "a start copies what lies above the durable mark")                        \
    X(DEAD_FILE_REMOVED, "a start removes a file that an interrupted one left")                 \
    X(LATE_WRITE_LANDED, "a write of a dead process lands while the next one runs")             \
    X(REPLAY_REPLACED, "a start meets an entry that a later one replaced")                      \
    X(READ_REPLACED, "a read passes over an entry that was replaced")                           \
    X(READ_AHEAD_AWAITED, "a read waits for what is being read ahead")                          \
    X(SPARE_GIVEN_UP, "an old segment is removed: the disk is below its reserve")

enum mark {
#define MARK_ENUM(name, text) MARK_##name,
    MARK_LIST(MARK_ENUM)
#undef MARK_ENUM
        MARK_COUNT
};

extern uint64_t mark_count[MARK_COUNT];
const char *mark_name(enum mark mark);
const char *mark_text(enum mark mark);

#ifdef SIM_BUILD
#define MARK_IF(condition, name) ((condition) ? (void)mark_count[MARK_##name]++ : (void)0)
#else
#define MARK_IF(condition, name) ((void)sizeof(condition))
#endif
#define MARK(name) MARK_IF(1, name)

#endif
