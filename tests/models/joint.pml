/* tests/models/joint.pml: a change of members, the leader's own removal among them, by joint consensus.
 *
 * Stands for    raftcore/config.c and whatever decides by count: commit.c, the votes in role.c. A
 *               configuration is in force when appended, undone when truncated; decisions between old and
 *               new need a majority of both; one change at a time; a leader that the new configuration
 *               does not have leads until it is committed, does not count itself, and then steps down.
 * Abstracted    - Network, acknowledgements, commits and elections as in commit.pml, but for one thing:
 *                 the disk is as fast as the memory, and nobody crashes. commit.pml has that.
 *               - Nodes answer everybody, also whom they do not know as members: more than can be.
 *               - Learners count nowhere, so they are just nodes outside; any node may have any log. Any may
 *                 be elected, by the voters of its own log: more than can be, for a node outside does not
 *                 campaign unless a candidate whose log is older has taken it for a voter.
 *               - Commit indexes of followers are checked where they arise; nothing depends on them.
 * Bounds        NODES = 4 nodes, of which 0, 1, 2 begin; one change, to CHANGE_TO (a set as bits); terms
 *               1 .. TERMS, PLACES entries. The first leader is node 0, elected by itself and node 1.
 * Properties    one leader a term; one entry committed at an index, for ever; the leader of a term has all
 *               that was, or ever will be, committed in earlier terms; whom the new configuration leaves out
 *               leads until it is committed and no longer; after the change a majority of the new
 *               voters alone suffices (BUG_STUCK is the claim that this never happens: it must be refuted).
 * Planted bugs  BUG_NO_JOINT            from old to new without the phase between
 *               BUG_ONE_HALF            between old and new, a majority of the new alone decides
 *               BUG_FORCE_AT_COMMIT     a configuration is in force when its node knows it committed
 *               BUG_COUNTS_ITSELF       a leader that is no voter counts itself
 *               BUG_STAYS               a removed leader does not step down
 */
#ifndef NODES
#define NODES 4
#endif
#ifndef TERMS
#define TERMS 3
#endif
#ifndef PLACES
#define PLACES 3
#endif
#ifndef CHANGE_TO
#define CHANGE_TO 14 /* 1, 2, 3: the leader is replaced */
#endif
#define OLD 7
#define NEW CHANGE_TO

#include "common.pml"

/* An entry is its term and its kind; 0 is none. */
#define PLAIN 0
#define JOINT 1
#define FINAL 2
#define ENTRY(t, kind) ((t) * 4 + (kind))
#define TERM_OF(e) ((e) / 4)
#define KIND_OF(e) ((e) % 4)

#define ROW (PLACES + 1)
#define LOG(n, k) log[(n) * ROW + (k)]
#define SENT(t, k) sent[(t) * ROW + (k)]
#define ACKED(t, n) acked[(t) * NODES + (n)]
#define IS_MAJORITY(set, of) (2 * COUNT((set) & (of)) > COUNT(of))

bool leads[NODES];
byte term[NODES];
byte last[NODES];
byte log[NODES * ROW];
#ifdef BUG_FORCE_AT_COMMIT
byte known[NODES]; /* the commit index */
#endif

byte led;
byte sent[(TERMS + 1) * ROW];
byte sent_last[TERMS + 1];
byte sent_commit[TERMS + 1];
byte acked[(TERMS + 1) * NODES];

byte chosen[ROW];
byte chosen_in[ROW];

hidden byte a, b, c, set, kind, bound, end; /* used within a step only */

#ifdef BUG_FORCE_AT_COMMIT
#define IS_IN_FORCE(n, k) ((k) <= known[n])
#else
#define IS_IN_FORCE(n, k) (true)
#endif

/* The configuration in force at n: the newest of its log. Truncation thus undoes it. */
inline find_kind(n)
{
    kind = PLAIN;
    a = 1;
    do
    :: a <= last[n] ->
        kind = (KIND_OF(LOG(n, a)) != PLAIN && IS_IN_FORCE(n, a) -> KIND_OF(LOG(n, a)) : kind);
        a++
    :: else -> break
    od
}

#ifdef BUG_ONE_HALF
#define JOINT_DECIDES(who) IS_MAJORITY(who, NEW)
#else
#define JOINT_DECIDES(who) (IS_MAJORITY(who, OLD) && IS_MAJORITY(who, NEW))
#endif
/* In a configuration of `kind`: */
#define DECIDES(n, who) (kind == PLAIN -> IS_MAJORITY(who, OLD) : (kind == JOINT -> JOINT_DECIDES(who) : DECIDES_FINAL(n, who)))
#ifdef BUG_COUNTS_ITSELF
#define DECIDES_FINAL(n, who) (2 * COUNT((who) & (NEW | BIT(n))) > COUNT(NEW))
#else
#define DECIDES_FINAL(n, who) IS_MAJORITY(who, NEW)
#endif

#define IS_NOT_NEWER(v, n) (TERM_OF(LOG(n, last[n])) > TERM_OF(LOG(v, last[v])) || (TERM_OF(LOG(n, last[n])) == TERM_OF(LOG(v, last[v])) && last[n] >= last[v]))

/* Who has the leader's entry at k, as far as it knows. */
inline find_holders(n, k)
{
    a = 0;
    set = BIT(n);
    do
    :: a < NODES ->
        set = set | (ACKED(term[n], a) >= k -> BIT(a) : 0);
        a++
    :: else -> break
    od
}

inline choose(n, k)
{
    if
    :: chosen[k] == 0 ->
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

/* The leader n may have committed its newest configuration just now. */
inline leave_if_removed(n)
{
    a = 1;
    do
    :: a <= sent_commit[term[n]] ->
        leads[n] = leads[n] && (KIND_OF(LOG(n, a)) != FINAL || HAS(NEW, n));
        a++
    :: else -> break
    od
}

inline commit_by_count(n)
{
    b = sent_commit[term[n]] + 1;
    do
    :: b <= last[n] ->
        find_kind(n);
        find_holders(n, b);
        if
        :: DECIDES(n, set) && TERM_OF(LOG(n, b)) == term[n] ->
            c = sent_commit[term[n]] + 1;
            do
            :: c <= b -> choose(n, c); c++
            :: else -> break
            od;
            sent_commit[term[n]] = b;
#ifdef BUG_FORCE_AT_COMMIT
            known[n] = b;
#endif
        :: else
        fi;
        b++
    :: else -> break
    od;
#ifndef BUG_STAYS
    leave_if_removed(n)
#endif
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

/* In the smallest term above those of all who vote. `who`: all that are asked and do not refuse. */
inline elect(n, who)
{
    b = 0;
    set = 0;
    bound = 0;
    do
    :: b < NODES ->
        if
        :: HAS(who, b) && IS_NOT_NEWER(b, n) -> set = set | BIT(b); bound = MAX(bound, term[b])
        :: else
        fi;
        b++
    :: else -> break
    od;
    bound++;
    find_kind(n);
    if
    :: HAS(who, n) && set == who && DECIDES(n, set) && bound <= TERMS ->
#ifdef BUG_STUCK
        assert(!(kind == FINAL && COUNT(who) == COUNT(NEW) / 2 + 1));
#endif
        b = 0;
        do
        :: b < NODES ->
            if
            :: HAS(who, b) -> term[b] = bound; leads[b] = false
            :: else
            fi;
            b++
        :: else -> break
        od;
        lead(n, bound)
    :: else
    fi
}

inline append_own(n, what)
{
    last[n] = last[n] + 1;
    LOG(n, last[n]) = ENTRY(term[n], what);
    SENT(term[n], last[n]) = LOG(n, last[n]);
    sent_last[term[n]] = last[n];
    commit_by_count(n)
}

/* The index of the newest configuration of n; one change at a time waits for it. */
inline find_newest(n)
{
    bound = 0;
    a = 1;
    do
    :: a <= last[n] -> bound = (KIND_OF(LOG(n, a)) != PLAIN -> a : bound); a++
    :: else -> break
    od
}

#ifdef BUG_NO_JOINT
#define NEXT_KIND (kind == PLAIN -> FINAL : PLAIN)
#else
#define NEXT_KIND (kind == PLAIN -> JOINT : (kind == JOINT -> FINAL : PLAIN))
#endif

inline change(n)
{
    find_newest(n);
    find_kind(n);
    if
    :: bound <= sent_commit[term[n]] && NEXT_KIND != PLAIN ->
        bound = NEXT_KIND;
        append_own(n, bound)
    :: else
    fi
}

/* A leader that is told to write still leads: rightly so? */
inline propose(n)
{
    a = 1;
    do
    :: a <= sent_commit[term[n]] -> assert(KIND_OF(LOG(n, a)) != FINAL || HAS(NEW, n)); a++
    :: else -> break
    od;
    append_own(n, PLAIN)
}

inline check_commit(n, k)
{
    a = 1;
    do
    :: a <= k -> assert(LOG(n, a) == chosen[a]); a++
    :: else -> break
    od;
}

inline acknowledge(n, t, k)
{
    ACKED(t, n) = MAX(ACKED(t, n), k);
    end = 0;
    do
    :: end < NODES ->
        if
        :: leads[end] && term[end] == t -> commit_by_count(end)
        :: else
        fi;
        end++
    :: else -> break
    od
}

/* The leader of term t says: its log up to k. Shorter messages have come before or not at all. */
inline on_append(n, t, k)
{
    leads[n] = false;
    term[n] = t;
    b = k - 1;
    if
    :: b <= last[n] && LOG(n, b) == SENT(t, b) ->
        if
        :: LOG(n, k) != SENT(t, k) ->
            LOG(n, k) = SENT(t, k);
            last[n] = k;
            a = k + 1;
            do
            :: a < ROW -> LOG(n, a) = 0; a++
            :: else -> break
            od
        :: else
        fi;
        bound = MIN(sent_commit[t], k);
        check_commit(n, bound);
        acknowledge(n, t, k)
    :: else
    fi
}

/* Messages of a term that everybody has left are refused for ever: they need not be kept. */
inline forget()
{
    bound = term[0];
    a = 1;
    do
    :: a < NODES -> bound = MIN(bound, term[a]); a++
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

/* Sets that can decide: two nodes or more. */
inline any_set(x)
{
    if
    :: x = 3
    :: x = 5
    :: x = 6
    :: x = 9
    :: x = 10
    :: x = 12
    :: x = 7
    :: x = 11
    :: x = 13
    :: x = 14
    :: x = 15
    fi
}

#ifdef BUG_FORCE_AT_COMMIT
/* A step of its own, since here it matters who knows how much. */
inline learn(n)
{
    known[n] = known[n] + 1
}
#define MAY_LEARN(n) (!leads[n] && known[n] < last[n] && known[n] < sent_commit[term[n]] && LOG(n, known[n] + 1) == SENT(term[n], known[n] + 1))
#endif

#define HEARS(n, t, k) (t >= term[n] && k <= sent_last[t] && !(leads[n] && t == term[n]))

active proctype world()
{
    byte n, t, k;

    d_step { elect(0, 3); n = 0 };
    do
    :: atomic {
        any_node(n);
        if
        :: leads[n] && last[n] < PLACES -> d_step { propose(n); n = 0 }
        :: leads[n] && last[n] < PLACES -> d_step { change(n); n = 0 }
#ifdef BUG_FORCE_AT_COMMIT
        :: MAY_LEARN(n) -> d_step { learn(n); n = 0 }
#endif
        :: any_set(k); d_step { elect(n, k); forget(); n = 0; k = 0 }
        :: any_term(t);
           any_place(k);
           if
           :: HEARS(n, t, k) -> d_step { on_append(n, t, k); forget(); n = 0; t = 0; k = 0 }
           :: else -> d_step { n = 0; t = 0; k = 0 }
           fi
        fi
       }
    od
}
