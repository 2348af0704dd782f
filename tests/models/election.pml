/* tests/models/election.pml: one leader a term, whatever the network, the clocks and crashes do.
 *
 * Stands for    raftcore/on_vote.c, raft_become_candidate(), raft_become_leader() in role.c, on_durable.c,
 *               and the gate: VOTE and a granted VOTE_REPLY leave when (term, vote) is flushed.
 * Abstracted    - The network is a set: what has left a node stays, may arrive any number of times, in any
 *                 order or never. So every pattern of broken links, in each direction, is in it.
 *               - There is no time. A node campaigns whenever it likes: PreVote, CheckQuorum and "a leader
 *                 lives" only forbid campaigns and votes, so what holds without them holds with them.
 *                 (What they are for is in election_live.pml.)
 *               - No log: the check of logs also only forbids votes. commit.pml has it.
 *               - A flush writes the newest (term, vote). That a younger write overtakes it changes nothing:
 *                 the flush could as well have come before that write.
 *               - A refusal, or any other message, may carry any term that some node was in.
 * Bounds        NODES nodes, terms 1 .. TERMS; crashes without bound.
 * Properties    one leader a term over all history; one vote a term over all boots of a node.
 * Planted bugs  BUG_VOTE_NOT_GATED      a granted reply leaves before its vote is flushed
 *               BUG_OWN_VOTE_NOT_GATED  a candidate asks, and counts itself, before its vote is flushed
 *               BUG_VOTES_AGAIN         a vote is free although it was given in this term
 */
#ifndef NODES
#define NODES 3
#endif
#ifndef TERMS
#define TERMS 3
#endif
#define MAJORITY (NODES / 2 + 1)

#define FOLLOWER 0
#define CANDIDATE 1
#define LEADER 2

#include "common.pml"

/* A node is 0 .. NODES - 1, a vote is a node + 1, or 0. */
byte role[NODES];
byte term[NODES];
byte vote[NODES];
byte disk_term[NODES];
byte disk_vote[NODES];

/* Messages by term, and by voter: sets of candidates as bits. */
byte asked[TERMS + 1];
byte granted[(TERMS + 1) * NODES];
byte leaders[TERMS + 1];

byte top; /* the highest term of any node */

hidden byte i, votes, next; /* used within a step only */

#define GRANTED(t, v) granted[(t) * NODES + (v)]

inline rise(n, t)
{
    role[n] = FOLLOWER;
    term[n] = t;
    vote[n] = 0;
    if
    :: t > top -> top = t
    :: else
    fi
}

inline grant_leaves(n, t, c)
{
    GRANTED(t, n) = GRANTED(t, n) | BIT(c);
    assert(IS_SINGLE(GRANTED(t, n)))
}

inline campaign(n)
{
    if
    :: role[n] != LEADER && term[n] < TERMS ->
        next = term[n] + 1; /* inline arguments are text */
        rise(n, next);
        next = 0;
        role[n] = CANDIDATE;
        vote[n] = n + 1;
#ifdef BUG_OWN_VOTE_NOT_GATED
        asked[term[n]] = asked[term[n]] | BIT(n);
#endif
    :: else
    fi
}

/* All that waits for (term, vote) leaves with the flush. */
inline flush(n)
{
    if
    :: disk_term[n] != term[n] || disk_vote[n] != vote[n] ->
        disk_term[n] = term[n];
        disk_vote[n] = vote[n];
        if
        :: vote[n] == n + 1 -> asked[term[n]] = asked[term[n]] | BIT(n)
        :: vote[n] != 0 && vote[n] != n + 1 -> grant_leaves(n, term[n], vote[n] - 1)
        :: else
        fi
    :: else
    fi
}

#ifdef BUG_VOTES_AGAIN
#define VOTE_IS_FREE(n, c) (role[n] == FOLLOWER)
#else
#define VOTE_IS_FREE(n, c) (vote[n] == 0)
#endif

inline on_vote(n, t, c)
{
    if
    :: c != n && t >= term[n] && (asked[t] & BIT(c)) ->
        if
        :: t > term[n] -> rise(n, t)
        :: else
        fi;
        if
        :: VOTE_IS_FREE(n, c) ->
            vote[n] = c + 1;
#ifdef BUG_VOTE_NOT_GATED
            grant_leaves(n, t, c);
#endif
        :: else
        fi
    :: else
    fi
}

/* Replies are counted here all at once: those that have not arrived do not count, and a candidate
 * that would win with fewer replies may wait for more. */
inline count_votes(n)
{
    if
    :: role[n] == CANDIDATE ->
        votes = 0;
        if
#ifdef BUG_OWN_VOTE_NOT_GATED
        :: true -> votes++
#else
        :: disk_term[n] == term[n] && disk_vote[n] == n + 1 -> votes++
#endif
        :: else
        fi;
        i = 0;
        do
        :: i < NODES ->
            if
            :: GRANTED(term[n], i) & BIT(n) -> votes++
            :: else
            fi;
            i++
        :: else -> break
        od;
        if
        :: votes >= MAJORITY ->
            role[n] = LEADER;
            leaders[term[n]] = leaders[term[n]] | BIT(n);
            assert(IS_SINGLE(leaders[term[n]]))
        :: else
        fi;
        i = 0;
        votes = 0
    :: else
    fi
}

inline on_higher_term(n, t)
{
    if
    :: t > term[n] && t <= top -> rise(n, t)
    :: else
    fi
}

inline on_leader(n, t)
{
    if
    :: t >= term[n] && leaders[t] != 0 && !(leaders[t] & BIT(n)) ->
        if
        :: t > term[n] -> rise(n, t)
        :: else -> role[n] = FOLLOWER
        fi
    :: else
    fi
}

inline crash(n)
{
    role[n] = FOLLOWER;
    term[n] = disk_term[n];
    vote[n] = disk_vote[n]
}

active proctype world()
{
    byte n, t, c;

    do
    :: atomic {
        any_node(n);
        if
        :: d_step { campaign(n); n = 0 }
        :: d_step { flush(n); n = 0 }
        :: d_step { count_votes(n); n = 0 }
        :: d_step { role[n] == LEADER -> role[n] = FOLLOWER; n = 0 } /* CheckQuorum */
        :: d_step { crash(n); n = 0 }
        fi
       }
    :: atomic {
        any_node(n);
        any_term(t);
        if
        :: d_step { on_higher_term(n, t); n = 0; t = 0 }
        :: d_step { on_leader(n, t); n = 0; t = 0 }
        :: any_node(c); d_step { on_vote(n, t, c); n = 0; t = 0; c = 0 }
        fi
       }
    od
}
