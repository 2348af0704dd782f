/* base/admin.h: what an operator may ask of a node through a door: REQUEST_ADMIN of base/request.h.
 *
 * Ask        request.bytes is one struct admin_request in the asker's memory, request.length its
 *            size; to the raft role (door->to_raft). Only the leader does it. Nothing is forwarded.
 * Answer     One, without bytes, from the raft role (door->from_raft). answer.status is
 *              OK          it is done. A change: its last configuration is committed and no joint
 *                          one is left; answer.index is that of its entry. A transfer: the node
 *                          asked for leads, or any other if none was named. A snapshot: its point,
 *                          the entry answer.index, is committed, and every node begins to write one;
 *              NOT_LEADER  nothing was begun, or what was begun is undone for good; answer.leader
 *                          is the node to ask, 0 if none is known. Of a transfer: another node leads,
 *                          which was not asked for;
 *              REFUSED     nothing has changed; answer.refusal is an enum admin_refusal;
 *              UNKNOWN     it may happen yet or not: ask for the members again later;
 *              BUSY, BAD   as for any request.
 * Change     The edits are applied in their order to the configuration in force, and the result is
 *            one change: it comes into force as a whole or not at all. Edits that contradict each
 *            other or the configuration refuse it.
 * Health     A change after which the new voters could not go on by themselves is refused, unless
 *            `forced`.
 */
#ifndef BASE_ADMIN_H
#define BASE_ADMIN_H

#include <stdbool.h>
#include <stdint.h>

enum { ADMIN_EDITS_MAX = 16 };

enum admin_kind {
    ADMIN_TRANSFER, /* the leader hands over to `target`; 0: to the most caught-up voter */
    ADMIN_CHANGE,   /* edits of the members */
    ADMIN_SNAPSHOT, /* all nodes make a snapshot, of the same state */
};

enum admin_edit_kind {
    ADMIN_ADD,      /* a new member, as a learner. A node id is given once, and never again */
    ADMIN_PROMOTE,  /* a learner becomes a voter; the member it `replaces` goes in the same step */
    ADMIN_DEMOTE,   /* a voter becomes a learner, and stays one */
    ADMIN_REMOVE,
    ADMIN_PRIORITY, /* the higher, the rather a leader */
};

struct admin_edit {
    uint64_t incarnation; /* ADD; 0: the one the node has said by HELLO */
    uint16_t node;
    uint16_t replaces; /* ADD: the member that goes when this one is promoted; wants `promote` */
    uint8_t kind;      /* enum admin_edit_kind */
    uint8_t priority;  /* ADD, PRIORITY */
    bool promote;      /* ADD: becomes a voter by itself, when it has been caught up for a while */
};

struct admin_request {
    uint8_t kind; /* enum admin_kind */
    bool forced;  /* CHANGE: even if the new voters seem unable to go on */
    uint16_t target;
    uint32_t edit_count;
    struct admin_edit edit[ADMIN_EDITS_MAX];
};

/* Why nothing was done. The first are the core's own (raft_refusal has the same values), the others
 * are said of an ADMIN request before or after the core. The text is what the operator reads. */
#define ADMIN_CORE_REFUSAL_LIST(X)                                        \
    X(NONE, "taken")                                                      \
    X(NOT_LEADER, "this node does not lead")                              \
    X(TRANSFER, "leadership is being handed over")                        \
    X(TARGET, "no other voter is there to take over")                     \
    X(PENDING, "another change of the members is not finished")           \
    X(MALFORMED, "not a configuration that could be in force")            \
    X(UNCHANGED, "the members are these already")                         \
    X(INCARNATION, "a node id is given once: a wiped node needs another") \
    X(TOO_MANY, "old and new members together are too many")              \
    X(UNHEALTHY, "too few of the new voters are connected and caught up") \
    X(NO_ROOM, "the log takes no entry now")

#define ADMIN_OWN_REFUSAL_LIST(X)                                                \
    X(UNHEARD, "the new node has not been heard: it must be configured and run") \
    X(UNREACHABLE, "the new node is not in this node's configuration file")      \
    X(IS_MEMBER, "the node is a member already")                                 \
    X(NO_MEMBER, "the node is no member")                                        \
    X(NO_LEARNER, "the node is no learner")                                      \
    X(NO_VOTER, "the node is no voter")                                          \
    X(GIVEN_UP, "the other node did not take over in time")                      \
    X(MAKING, "a snapshot is being made: look at skiff status")

#define ADMIN_REFUSAL_LIST(X)  \
    ADMIN_CORE_REFUSAL_LIST(X) \
    ADMIN_OWN_REFUSAL_LIST(X)

enum admin_refusal {
#define ADMIN_REFUSAL_ENUM(name, text) ADMIN_REFUSAL_##name,
    ADMIN_REFUSAL_LIST(ADMIN_REFUSAL_ENUM)
#undef ADMIN_REFUSAL_ENUM
    ADMIN_REFUSAL_COUNT
};

const char *admin_refusal_text(enum admin_refusal refusal);

#endif
