/* tests/models/commit.pml: what is committed stays, though crashes lose everything that is not flushed.
 *
 * Stands for    raftcore/on_append.c, on_append_reply.c, commit.c, on_durable.c, log.c, and the gate:
 *               an accepting APPEND_REPLY leaves when the entry at `match` and the term are flushed.
 * Abstracted    - An append carries at most one entry. What the leader of a term has sent is a prefix of
 *                 its log, so the network is the log of each term's leader: any part of it may arrive at
 *                 anyone (even at the leader itself after a crash, which is more than can be), at any
 *                 time, any number of times, or never.
 *               - An acknowledgement leaves, and the leader commits, as soon as they may: both only add to
 *                 what must stay, and forbid nothing. An append tells the newest commit index of its
 *                 leader, for the same reason; commit indexes are checked where they arise, not kept.
 *               - An election is one step: a majority whose terms are lower and whose logs are not newer.
 *                 A vote left when it was flushed, and flushes are in order, so the voters' logs are on
 *                 disk then. The new leader's entries come in steps of their own, so a late victory is in.
 *               - A flush writes all that was asked for until then. A flush of less that ends later
 *                 could as well have ended before the rest was asked for.
 *               - A crash keeps the disk: log and term.
 *               - Nodes are alike, so the first leader is node 0, elected by itself and the next ones.
 *               - No log base, no window: see docs/raft.md for what they add.
 * Bounds        NODES nodes, terms 1 .. TERMS, PLACES entries; crashes without bound.
 * Properties    one entry committed at an index, for ever, at all nodes; the leader of a term has all that
 *               was, or ever will be, committed in earlier terms; committed entries are on the disks of a
 *               majority when they are committed.
 * Planted bugs  BUG_ACK_BEFORE_FLUSH          a follower acknowledges what is not flushed
 *               BUG_LEADER_COUNTS_UNFLUSHED   the leader counts itself at its last entry
 *               BUG_ACK_BY_PLACE              a flush vouches for what was written later at its index
 *               BUG_COMMIT_OLD_TERM           an entry of an earlier term is committed by count
 *               BUG_COMMIT_BEYOND_VERIFIED    a follower commits up to its own last entry
 *               BUG_NO_LOG_CHECK              a vote for a log that lacks entries
 */
#ifndef NODES
#define NODES 3
#endif
#ifndef TERMS
#define TERMS 3
#endif
#ifndef PLACES
#define PLACES 2
#endif
#define MAJORITY (NODES / 2 + 1)

#include "common.pml"

/* Indexes of the log are 1 .. PLACES. Entry 0 of each log is nothing, of term 0. */
#define ROW (PLACES + 1)
#define LOG(n, k) log[(n) * ROW + (k)]
#define DISK(n, k) disk[(n) * ROW + (k)]
#define SENT(t, k) sent[(t) * ROW + (k)]
#define ACKED(t, n) acked[(t) * NODES + (n)]

bool leads[NODES];
byte term[NODES];
byte last[NODES];
byte dirty[NODES];     /* the lowest index written since the last flush; 0: none */
byte log[NODES * ROW]; /* the term of each entry: with its index, that names it */

byte disk_term[NODES];
byte disk_last[NODES];
byte disk[NODES * ROW];

/* The network: of each term that had a leader, its log, its commit index, and what it was told. */
byte led;
byte sent[(TERMS + 1) * ROW];
byte sent_last[TERMS + 1];
byte sent_commit[TERMS + 1];
byte acked[(TERMS + 1) * NODES];

byte chosen[ROW];    /* what was committed at each index, */
byte chosen_in[ROW]; /* by the leader of which term: for the properties */

hidden byte a, b, c, count, bound, end; /* used within a step only */

/* What wrote the entry at k, or cut the log in front of it, is flushed: raft_log_seq(). */
#ifdef BUG_ACK_BY_PLACE
#define IS_DURABLE(n, k) (disk_last[n] >= (k))
#else
#define IS_DURABLE(n, k) (dirty[n] == 0 || (k) < dirty[n])
#endif

#ifdef BUG_ACK_BEFORE_FLUSH
#define MAY_ACK(n, k) (true)
#else
#define MAY_ACK(n, k) (IS_DURABLE(n, k) && disk_term[n] == term[n])
#endif

#ifdef BUG_LEADER_COUNTS_UNFLUSHED
#define MAY_COUNT_SELF(n, k) (true)
#else
#define MAY_COUNT_SELF(n, k) IS_DURABLE(n, k)
#endif

#ifdef BUG_COMMIT_OLD_TERM
#define MAY_COUNT(n, k) (true)
#else
#define MAY_COUNT(n, k) (LOG(n, k) == term[n])
#endif

#ifdef BUG_COMMIT_BEYOND_VERIFIED
#define PROVED(n, k) last[n]
#else
#define PROVED(n, k) (k)
#endif

#ifdef BUG_NO_LOG_CHECK
#define IS_NOT_NEWER(v, n) (true)
#else
#define IS_NOT_NEWER(v, n) (LOG(n, last[n]) > LOG(v, last[v]) || (LOG(n, last[n]) == LOG(v, last[v]) && last[n] >= last[v]))
#endif

#define HAS_PLACE(n, t, k) (k <= last[n] && k <= sent_last[t] && LOG(n, k) == SENT(t, k))

/* Is k acknowledged by a majority, the leader's own disk among them? */
inline count_acks(n, k)
{
    a = 0;
    count = 0;
    do
    :: a < NODES ->
        count = count + (a == n -> MAY_COUNT_SELF(n, k) : ACKED(term[n], a) >= k);
        a++
    :: else -> break
    od
}

inline count_disks(n, k)
{
    a = 0;
    count = 0;
    do
    :: a < NODES -> count = count + (DISK(a, k) == LOG(n, k)); a++
    :: else -> break
    od
}

/* The leader n has committed its entry at k. */
inline choose(n, k)
{
    if
    :: chosen[k] == 0 ->
        count_disks(n, k);
        assert(count >= MAJORITY);
        chosen[k] = LOG(n, k);
        chosen_in[k] = term[n];
        a = term[n] + 1;
        do
        :: a <= TERMS -> assert(!HAS(led, a) || SENT(a, k) == chosen[k]); a++
        :: else -> break
        od
    :: else -> assert(chosen[k] == LOG(n, k))
    fi
}

inline commit_by_count(n)
{
    b = sent_commit[term[n]] + 1;
    do
    :: b <= last[n] ->
        count_acks(n, b);
        if
        :: count >= MAJORITY && MAY_COUNT(n, b) ->
            c = sent_commit[term[n]] + 1;
            do
            :: c <= b -> choose(n, c); c++
            :: else -> break
            od;
            sent_commit[term[n]] = b
        :: else
        fi;
        b++
    :: else -> break
    od
}

/* Whatever this node may acknowledge to the leader of its term, and what that leader commits then. */
inline promise(n)
{
    if
    :: leads[n] -> commit_by_count(n)
    :: !leads[n] && HAS(led, term[n]) ->
        b = ACKED(term[n], n) + 1;
        do
        :: b <= PLACES ->
            if
            :: HAS_PLACE(n, term[n], b) && MAY_ACK(n, b) -> ACKED(term[n], n) = b
            :: else
            fi;
            b++
        :: else -> break
        od;
        end = 0;
        do
        :: end < NODES ->
            if
            :: leads[end] && term[end] == term[n] -> commit_by_count(end)
            :: else
            fi;
            end++
        :: else -> break
        od
    :: else
    fi
}

inline write(n, k, t)
{
    LOG(n, k) = t;
    last[n] = k;
    a = k + 1;
    do
    :: a < ROW -> LOG(n, a) = 0; a++
    :: else -> break
    od;
    if
    :: dirty[n] == 0 || k < dirty[n] -> dirty[n] = k
    :: else
    fi
}

inline flush(n)
{
    a = 1;
    do
    :: a < ROW -> DISK(n, a) = LOG(n, a); a++
    :: else -> break
    od;
    disk_last[n] = last[n];
    disk_term[n] = term[n];
    dirty[n] = 0
}

inline crash(n)
{
    a = 1;
    do
    :: a < ROW -> LOG(n, a) = DISK(n, a); a++
    :: else -> break
    od;
    last[n] = disk_last[n];
    term[n] = disk_term[n];
    dirty[n] = 0;
    leads[n] = false
}

inline lead(n, t)
{
    assert(!HAS(led, t));
    led = led | BIT(t);
    leads[n] = true;
    sent_last[t] = last[n];
    a = 1;
    do
    :: a < ROW ->
        SENT(t, a) = LOG(n, a);
        assert(chosen[a] == 0 || chosen_in[a] >= t || LOG(n, a) == chosen[a]);
        a++
    :: else -> break
    od
}

/* In the smallest term above those of the voters: larger ones add nothing. */
inline elect(n, voters)
{
    b = 0;
    count = 0;
    bound = 0;
    do
    :: b < NODES ->
        if
        :: HAS(voters, b) && IS_NOT_NEWER(b, n) -> count++; bound = MAX(bound, term[b])
        :: else
        fi;
        b++
    :: else -> break
    od;
    bound++;
    if
    :: HAS(voters, n) && count == MAJORITY && bound <= TERMS ->
        b = 0;
        do
        :: b < NODES ->
            if
            :: HAS(voters, b) -> term[b] = bound; leads[b] = false; flush(b)
            :: else
            fi;
            b++
        :: else -> break
        od;
        lead(n, bound);
        bound = 0;
        do
        :: bound < NODES -> promise(bound); bound++
        :: else -> break
        od
    :: else
    fi
}

inline propose(n)
{
    bound = last[n] + 1;
    write(n, bound, term[n]);
    SENT(term[n], bound) = term[n];
    sent_last[term[n]] = bound;
    promise(n)
}

/* The follower n hears that everything up to k is committed. */
inline commit_to(n, k)
{
    a = 1;
    do
    :: a <= k -> assert(LOG(n, a) == chosen[a]); a++
    :: else -> break
    od
}

/* The leader of term t says: after `prev` comes its next entry, if `some`. */
inline on_append(n, t, prev, some)
{
    leads[n] = false;
    term[n] = t;
    if
    :: prev <= last[n] && LOG(n, prev) == SENT(t, prev) ->
        bound = prev + some;
        if
        :: LOG(n, bound) != SENT(t, bound) || bound > last[n] -> write(n, bound, SENT(t, bound))
        :: else
        fi;
        bound = PROVED(n, bound);
        bound = MIN(sent_commit[t], bound);
        commit_to(n, bound);
        promise(n)
    :: else
    fi
}

/* Messages of a term below that of every disk are refused for ever: they need not be kept. */
inline forget()
{
    bound = disk_term[0];
    a = 1;
    do
    :: a < NODES -> bound = MIN(bound, disk_term[a]); a++
    :: else -> break
    od;
    a = 1;
    do
    :: a < bound ->
        sent_last[a] = 0;
        sent_commit[a] = 0;
        led = led & ~BIT(a);
        b = 0;
        do
        :: b < ROW -> SENT(a, b) = 0; b++
        :: else -> break
        od;
        b = 0;
        do
        :: b < NODES -> ACKED(a, b) = 0; b++
        :: else -> break
        od;
        a++
    :: else -> break
    od
}

/* Sets of just a majority: more voters add nothing. */
inline any_majority(x)
{
    if
#if NODES == 3
    :: x = 3
    :: x = 5
    :: x = 6
#else
    :: x = 7
    :: x = 11
    :: x = 13
    :: x = 14
    :: x = 19
    :: x = 21
    :: x = 22
    :: x = 25
    :: x = 26
    :: x = 28
#endif
    fi
}

#define IS_UNFLUSHED(n) (dirty[n] != 0 || disk_term[n] != term[n])
#define HEARS(n, t, k) (t >= term[n] && k <= sent_last[t] && !(leads[n] && t == term[n]))

active proctype world()
{
    byte n, t, k;

    d_step { k = BIT(MAJORITY) - 1; elect(0, k); k = 0 };
    do
    :: atomic {
        any_node(n);
        if
        :: IS_UNFLUSHED(n) -> d_step { flush(n); promise(n); forget(); n = 0 }
        :: IS_UNFLUSHED(n) || leads[n] -> d_step { crash(n); n = 0 }
        :: leads[n] && last[n] < PLACES -> d_step { propose(n); n = 0 }
        :: any_majority(k); d_step { elect(n, k); forget(); n = 0; k = 0 }
        :: any_term(t);
           any_place(k);
           if
           :: HEARS(n, t, k) -> d_step { k--; on_append(n, t, k, 1); n = 0; t = 0; k = 0 }
           :: HEARS(n, t, k) -> d_step { on_append(n, t, k, 0); n = 0; t = 0; k = 0 }
           :: else -> d_step { n = 0; t = 0; k = 0 }
           fi
        fi
       }
    od
}
