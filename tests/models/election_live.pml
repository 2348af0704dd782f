/* tests/models/election_live.pml: whoever can be a leader for good becomes one, though links are broken.
 *
 * Stands for    PreVote, CheckQuorum, votes refused while a leader lives, terms learned from answers, and
 *               the election timer: raftcore/on_tick.c, on_prevote.c, on_vote.c, role.c.
 * Abstracted    - Time goes in ticks of one heartbeat interval. In a tick each node has one turn, in any
 *                 order. Timeouts are drawn anew each time: from ELECTION_MIN to ELECTION_MAX ticks.
 *               - A campaign is one step: messages are faster than timers, and the draw of timeouts
 *                 sooner or later has one candidate alone. Campaigns that collide are in the start instead:
 *                 it is any state that they, crashes and earlier links could have left.
 *               - Links, one bit a direction, stand still from the start on. A leader's entry reaches those
 *                 whom it reaches and who reach it, with the next heartbeat.
 *               - Terms and logs are kept by rank: only their order matters, and of terms whether one is
 *                 just below the next. So they rise without bound.
 * Bounds        NODES nodes; terms and logs at the start up to START_MAX; votes at the start are for
 *               node 0 or the node itself (START_VOTES: for anybody).
 * Assumption    Node 0 reaches, and is reached by, a majority with itself, of which none has a newer log. A
 *               connected majority always has such a member. (Without one nobody can win in Raft; Omni-Paxos
 *               asks for less.)
 * Properties    from some tick on one leader with a quorum leads, and nobody else (ltl lasting);
 *               one leader a term.
 * Planted bugs  BUG_NO_LOG_CHECK      PreVote granted to an older log
 *               BUG_NO_CHECK_QUORUM   a leader that nobody answers leads on
 *               BUG_DEAF_TO_TERMS     a refused PreVote does not tell the term
 */
#ifndef NODES
#define NODES 3
#endif
#ifndef START_MAX
#define START_MAX 1
#endif
#define MAJORITY (NODES / 2 + 1)
#define ALL (BIT(NODES) - 1)
#define ELECTION_MIN 2
#define ELECTION_MAX 3
#define NOBODY NODES

#include "common.pml"

byte links[NODES]; /* the set of nodes that a node's frames get to */
byte term[NODES];
byte vote[NODES];   /* a node, or NOBODY */
byte log[NODES];    /* how new it is */
byte leader[NODES]; /* whom it believes in, or NOBODY */
byte age[NODES];    /* ticks since the timer was started; of a leader: since a quorum answered */
byte heard[NODES];  /* ticks since the leader was heard */

byte due;      /* who has no turn yet in this tick */
bool moved;    /* somebody became a leader in this tick, or ceased to be one */
bool steady;   /* the last tick: one leader, with a quorum, and nothing moved */

/* Used within a step only; `count` and `high` also between the halves of a campaign. */
byte count, high;
hidden byte m, next;
hidden byte above, here, below;
bool wrong;

#define LEADS(n) (leader[n] == n)
#define REACHES(x, y) HAS(links[x], y)
#define BOTH_WAYS(x, y) (REACHES(x, y) && REACHES(y, x))
#define IS_NOT_NEWER(v, n) (log[n] >= log[v])

#define LIVES(v) (LEADS(v) || (leader[v] != NOBODY && heard[v] < ELECTION_MIN))
#ifdef BUG_NO_LOG_CHECK
#define PREVOTE_LOG_IS_FINE(v, n) (true)
#else
#define PREVOTE_LOG_IS_FINE(v, n) IS_NOT_NEWER(v, n)
#endif
#ifdef BUG_DEAF_TO_TERMS
#define TOLD_TERM(v) 0
#else
#define TOLD_TERM(v) term[v]
#endif

/* Into term t, which is not below its own, without a leader. */
inline follow_nobody(n, t)
{
    moved = moved || LEADS(n);
    age[n] = (t > term[n] || LEADS(n) -> 0 : age[n]);
    leader[n] = NOBODY;
    vote[n] = (t > term[n] -> NOBODY : vote[n]);
    term[n] = t
}

inline beat(n)
{
    m = 0;
    count = 1;
    high = term[n];
    do
    :: m < NODES ->
        if
        :: m != n && REACHES(n, m) && term[m] <= term[n] ->
            assert(!(LEADS(m) && term[m] == term[n]));
            next = term[n];
            follow_nobody(m, next);
            leader[m] = n;
            age[m] = 0;
            heard[m] = 0;
            if
            :: REACHES(m, n) -> count++; log[m] = log[n]
            :: else
            fi
        :: m != n && BOTH_WAYS(n, m) && term[m] > term[n] -> high = MAX(high, term[m])
        :: else
        fi;
        m++
    :: else -> break
    od;
    if
    :: count >= MAJORITY -> age[n] = 0
    :: else
    fi;
    if
    :: high > term[n] -> follow_nobody(n, high)
#ifndef BUG_NO_CHECK_QUORUM
    :: high == term[n] && age[n] >= ELECTION_MAX -> follow_nobody(n, high)
#endif
    :: else
    fi
}

/* Sets `count` to the PreVotes for n, `high` to the highest term that a refusal tells. */
inline ask_prevotes(n)
{
    age[n] = 0;
    leader[n] = NOBODY;
    m = 0;
    count = 1;
    high = term[n];
    do
    :: m < NODES ->
        if
        :: m != n && BOTH_WAYS(n, m) && term[n] + 1 > term[m] && !LIVES(m) && PREVOTE_LOG_IS_FINE(m, n) -> count++
        :: m != n && BOTH_WAYS(n, m) && term[n] + 1 <= term[m] -> high = MAX(high, TOLD_TERM(m))
        :: else
        fi;
        m++
    :: else -> break
    od
}

inline ask_votes(n)
{
    term[n] = term[n] + 1;
    vote[n] = n;
    m = 0;
    count = 1;
    do
    :: m < NODES ->
        if
        :: m != n && REACHES(n, m) && term[m] <= term[n] && !LIVES(m) ->
            next = term[n];
            follow_nobody(m, next);
            if
            :: (vote[m] == NOBODY || vote[m] == n) && IS_NOT_NEWER(m, n) ->
                vote[m] = n;
                age[m] = 0;
                count = count + REACHES(m, n)
            :: else
            fi
        :: m != n && BOTH_WAYS(n, m) && term[m] > term[n] -> high = MAX(high, term[m])
        :: else
        fi;
        m++
    :: else -> break
    od
}

inline win(n)
{
    leader[n] = n;
    age[n] = 0;
    moved = true;
    m = 0;
    do
    :: m < NODES -> log[n] = MAX(log[n], log[m]); m++
    :: else -> break
    od;
    log[n] = log[n] + 1;
    beat(n)
}

inline campaign(n)
{
    if
    :: count >= MAJORITY ->
        ask_votes(n);
        if
        :: count >= MAJORITY -> win(n)
        :: else
        fi
    :: else
    fi;
    if
    :: high > term[n] -> follow_nobody(n, high)
    :: else
    fi
}

/* What the tick was like, and time goes on. */
inline observe()
{
    m = 0;
    count = 0;
    do
    :: m < NODES ->
        if
        :: LEADS(m) && age[m] == 0 -> count++
        :: LEADS(m) && age[m] > 0 -> count = NODES + 1
        :: else
        fi;
        age[m] = MIN(age[m] + 1, ELECTION_MAX);
        heard[m] = (leader[m] == NOBODY || LEADS(m) -> ELECTION_MIN : MIN(heard[m] + 1, ELECTION_MIN));
        m++
    :: else -> break
    od;
    steady = (count == 1 && !moved);
    moved = false
}

/* Is anybody's value above x, and is anybody's x, or just one less? (A macro: an inline takes no array.) */
#define LOOK(values, x)                                                                            \
    above = false;                                                                                 \
    here = false;                                                                                  \
    below = false;                                                                                 \
    m = 0;                                                                                         \
    do                                                                                             \
    :: m < NODES ->                                                                                \
        above = above || values[m] > x;                                                            \
        here = here || values[m] == x;                                                             \
        below = below || values[m] + 1 == x;                                                       \
        m++                                                                                        \
    :: else -> break                                                                               \
    od

#define LOWER_ABOVE(values, x)                                                                     \
    m = 0;                                                                                         \
    do                                                                                             \
    :: m < NODES -> values[m] = (values[m] > x -> values[m] - 1 : values[m]); m++                  \
    :: else -> break                                                                               \
    od

/* Closes the gaps between values, but for one place in each where that is said to matter. */
#define CLOSE_GAPS(values, gap_matters)                                                            \
    next = 0;                                                                                      \
    LOOK(values, next);                                                                            \
    do                                                                                             \
    :: above && (here || (gap_matters && below)) -> next++; LOOK(values, next)                     \
    :: above && !(here || (gap_matters && below)) ->                                               \
        LOWER_ABOVE(values, next);                                                                 \
        LOOK(values, next)                                                                         \
    :: else -> break                                                                               \
    od

inline end_of_tick()
{
    observe();
    CLOSE_GAPS(term, true);
    CLOSE_GAPS(log, false);
    due = ALL
}

inline any_of_start(x)
{
    if
    :: x = 0
    :: x = 1
#if START_MAX > 1
    :: x = 2
#endif
    fi
}

inline start()
{
    byte n, x, y;

    n = 0;
    do
    :: n < NODES ->
        any_of_start(x);
        term[n] = x;
        any_of_start(x);
        log[n] = x;
        heard[n] = ELECTION_MIN;
        leader[n] = NOBODY;
        if
        :: leader[n] = n; vote[n] = n
        :: vote[n] = NOBODY
#ifdef START_VOTES
        :: any_node(x); vote[n] = x
#else
        :: vote[n] = 0
#endif
        fi;
        y = 0;
        do
        :: y < NODES ->
            if
            :: y != n && n < MAJORITY && y < MAJORITY && (n == 0 || y == 0) -> links[n] = links[n] | BIT(y)
            :: y != n && !(n < MAJORITY && y < MAJORITY && (n == 0 || y == 0)) ->
                if
                :: links[n] = links[n] | BIT(y)
                :: true
                fi
            :: else
            fi;
            y++
        :: else -> break
        od;
        n++
    :: else -> break
    od;
    n = 0;
    x = 0;
    y = 0
}

/* What the start must not contradict: the assumption, and that leaders were elected. */
inline check_start()
{
    m = 0;
    do
    :: m < NODES ->
        wrong = wrong || (m < MAJORITY && log[m] > log[0]);
        count = 0;
        next = 0;
        do
        :: next < NODES ->
            count = count + (term[next] > term[m] || (term[next] == term[m] && vote[next] == m));
            wrong = wrong || (LEADS(m) && LEADS(next) && m != next && term[m] == term[next]);
            next++
        :: else -> break
        od;
        wrong = wrong || (LEADS(m) && count < MAJORITY);
        m++
    :: else -> break
    od
}

inline any_due(x)
{
    if
    :: HAS(due, 0) -> x = 0
    :: HAS(due, 1) -> x = 1
    :: HAS(due, 2) -> x = 2
#if NODES > 3
    :: HAS(due, 3) -> x = 3
#endif
#if NODES > 4
    :: HAS(due, 4) -> x = 4
#endif
    fi;
    due = due & ~BIT(x)
}

inline forget()
{
    count = 0;
    high = 0
}

active proctype world()
{
    byte who;

    atomic {
        start();
        d_step { check_start(); end_of_tick(); forget() }
        if
        :: !wrong
        :: wrong -> goto no_start
        fi
    }
    do
    :: due != 0 ->
        atomic {
            any_due(who);
            if
            :: LEADS(who) -> d_step { beat(who); forget(); who = 0 }
            :: !LEADS(who) && age[who] >= ELECTION_MIN ->
                d_step { ask_prevotes(who) };
                if
                :: d_step { campaign(who); forget(); who = 0 }
                :: d_step { high > term[who] -> follow_nobody(who, high); forget(); who = 0 } /* it came first */
                fi
            :: !LEADS(who) && age[who] < ELECTION_MAX -> who = 0
            fi
        }
    :: due == 0 -> d_step { end_of_tick(); forget() }
    od;
no_start:
    steady = true; /* no such run: claim nothing of it */
    do
    :: wrong -> due = 0
    od
}

ltl lasting { <>[] steady }
