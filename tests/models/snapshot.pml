/* tests/models/snapshot.pml: a snapshot travels in chunks and takes the place of a log, whoever
 * crashes, leads, or makes a newer one meanwhile.
 *
 * Stands for    replica/receive.c, pull.c, transfer.c, install.c, persist/snapshot_writer.c, base.c, and what
 *               raftcore/on_install.c does with them: a receiver that pulls, servers that keep no
 *               account of it, any of which may lead.
 * Abstracted    - An index is an entry and a point at which a snapshot may stand. Content is a function of
 *                 index and chunk; a chunk that was taken remembers the index it was made for, which is
 *                 what the digest compares. What is damaged on a disk or a wire is not in here.
 *               - All entries are committed, and the servers have them all. A follower's log holds
 *                 committed entries only, so its end stands for its commit index.
 *               - Messages are sets, so they arrive in any order; each arrives once, unless it is among the
 *                 LOSSES or the DUPLICATES. An acknowledgement may reach any leader: it stays true.
 *               - Timers run when nothing else can happen: they are longer than what they wait for. The
 *                 receiver asks again, then asks the other server, then gives up; the leader offers once
 *                 in each such pause. A new leader sends its last entry at once.
 *               - A piece is a chunk. The manifest is one write; a flush writes all there is.
 *               - A server that ends up to date never lags: its own snapshots only become newer, and its log
 *                 is cut behind them or not.
 * Bounds        entries 1 .. LAST, CHUNKS chunks, two servers; LOSSES, DUPLICATES, CRASHES of the receiver,
 *               NEWER snapshots at servers, CHANGES of the leader, whose predecessor may be dead.
 * Properties    what is installed, or found by a start, is one whole snapshot, and never older than what was
 *               known as committed; log and state fit together, also after each crash; what was
 *               acknowledged is on the disk; and in the end the receiver has everything (no cycle).
 * Planted bugs  BUG_RIVAL_PIECE        a chunk of another snapshot is taken, and no digest compared
 *               BUG_OLDER              an install though the log got beyond it meanwhile
 *               BUG_ACK_EARLY          an install is acknowledged before its manifest is durable
 *               BUG_TWO_STEPS          the log's base and the snapshot are written one after the other
 *               BUG_REMOVED_EARLY      the older file goes when the newer one has its name
 *               BUG_FED_BEFORE_LOAD    entries behind an install are applied to the state before it
 *               BUG_NEVER_GIVES_UP     a pull goes on though nobody has that snapshot any more
 */
#ifndef LAST
#define LAST 3
#endif
#ifndef CHUNKS
#define CHUNKS 2
#endif
#ifndef LOSSES
#define LOSSES 1
#endif
#ifndef DUPLICATES
#define DUPLICATES 1
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#ifndef NEWER
#define NEWER 2
#endif
#ifndef CHANGES
#define CHANGES 1
#endif

#define NODES 3
#include "common.pml"

#define SERVERS 2
#define ALL_CHUNKS (BIT(CHUNKS) - 1)
#define INDEXES (LAST + 1)
/* Places of messages in their sets. */
#define OFFER(s, i) ((s) * INDEXES + (i))
#define PIECE(i, c) ((i) * CHUNKS + (c))
#define ASK(s, i, c) (((s) * INDEXES + (i)) * CHUNKS + (c))

#define IDLE 0
#define RECEIVES 1
#define READY 2    /* a file that is whole, flushed and named; no manifest knows it */
#define INSTALLS 3 /* the core has taken it, its manifest is on the way to the disk */

/* The network. */
int appends, acks, offers, pieces, asks;
byte losses, duplicates, crashes, newer, changes;

/* Servers. */
byte leader;
byte dead; /* set of servers */
byte has[SERVERS] = 1;
byte base[SERVERS] = 1;
byte match; /* of the receiver, as the leader knows it */
bool offered;

/* The receiver: what a crash takes, */
byte stage;
byte pull;   /* the snapshot that is pulled */
byte source; /* who is asked for it */
byte silent; /* pauses since a piece of it came */
byte have;   /* its chunks */
byte from[CHUNKS];
byte log_base;
byte last;
byte state; /* the entry up to which it holds everything */
bool owes;  /* an acknowledgement */

/* and its disk. */
byte disk_base;
byte disk_last;
byte disk_snapshot; /* that the manifest names */
byte disk_file[CHUNKS];
bool disk_gone; /* that file was removed */
bool half;      /* BUG_TWO_STEPS: the snapshot is still to be written */

byte acked;  /* for the property */

hidden byte x;

inline send_ack(value)
{
    acked = MAX(acked, value);
    acks = acks | BIT(value)
}

inline ask_missing(s)
{
    x = 0;
    do
    :: x < CHUNKS ->
        if
        :: !HAS(have, x) -> asks = asks | BIT(ASK(s, pull, x))
        :: else
        fi;
        x++
    :: else -> break
    od
}

inline forget_pull()
{
    stage = IDLE;
    pull = 0;
    source = 0;
    silent = 0;
    have = 0;
    x = 0;
    do
    :: x < CHUNKS -> from[x] = 0; x++
    :: else -> break
    od
}

/* The state is given the entries up to the end of the log, which must have them all. */
inline feed()
{
    if
    :: state < last ->
        assert(state >= log_base);
        state = last
    :: else
    fi
}

/* The state is what the file of the manifest says. */
inline load()
{
    assert(!disk_gone);
    x = 0;
    do
    :: x < CHUNKS -> assert(disk_file[x] == disk_snapshot); x++
    :: else -> break
    od;
    state = disk_snapshot
}

inline on_offer(s, i)
{
    if
    :: i <= last -> send_ack(disk_last)
    :: else ->
        if
        :: stage == IDLE -> stage = RECEIVES; pull = i; source = s; silent = 0; ask_missing(s)
        :: stage == RECEIVES && i > pull && s == leader -> forget_pull()
        :: stage == RECEIVES && i == pull && s == leader -> source = s
        :: else
        fi
    fi
}

inline on_piece(i, c)
{
#ifdef BUG_RIVAL_PIECE
    if
    :: stage == RECEIVES && !HAS(have, c) ->
#else
    if
    :: stage == RECEIVES && i == pull && !HAS(have, c) ->
#endif
        have = have | BIT(c);
        from[c] = i;
        silent = 0
    :: else
    fi
}

inline on_append(k)
{
    if
    :: k == last + 1 -> last = k
    :: else
    fi;
#ifdef BUG_FED_BEFORE_LOAD
    if
    :: k == last -> state = k
    :: else
    fi;
#else
    if
    :: stage != INSTALLS -> feed()
    :: else
    fi;
#endif
    owes = true
}

inline on_ask(s, i, c)
{
    if
    :: !HAS(dead, s) && has[s] == i -> pieces = pieces | BIT(PIECE(i, c))
    :: !HAS(dead, s) && has[s] > i -> offers = offers | BIT(OFFER(s, has[s]))
    :: else
    fi
}

/* All chunks are there: the digest is compared, the file flushed and named. */
inline end_file()
{
    x = 0;
    do
    :: x < CHUNKS && from[x] == pull -> x++
    :: else -> break
    od;
#ifdef BUG_RIVAL_PIECE
    x = CHUNKS;
#endif
    if
    :: x == CHUNKS ->
        stage = READY;
#ifdef BUG_REMOVED_EARLY
        disk_gone = disk_snapshot > 0
#endif
    :: else -> forget_pull()
    fi
}

inline install()
{
#ifdef BUG_OLDER
    if
    :: true ->
#else
    if
    :: pull > last ->
#endif
        last = pull;
        log_base = pull;
        stage = INSTALLS;
#ifdef BUG_ACK_EARLY
        send_ack(pull)
#endif
    :: else -> forget_pull()
    fi
}

inline write_file()
{
    x = 0;
    do
    :: x < CHUNKS -> disk_file[x] = from[x]; x++
    :: else -> break
    od;
    disk_snapshot = pull;
    disk_gone = false
}

/* Manifest, and all that the log took behind it. */
inline end_install()
{
#ifdef BUG_TWO_STEPS
    disk_base = pull;
    disk_last = last;
    half = !half;
    if
    :: !half -> write_file()
    :: else
    fi;
#else
    write_file();
    disk_base = pull;
    disk_last = last;
#endif
    if
    :: !half ->
        forget_pull();
        assert(state < disk_snapshot);
        load();
        feed();
        send_ack(disk_last)
    :: else
    fi
}

inline flush()
{
    disk_last = last;
    if
    :: owes -> send_ack(disk_last)
    :: else
    fi;
    owes = false
}

/* The next start: what is not in the log is in the snapshot. */
inline crash()
{
    forget_pull();
    half = false;
    owes = false;
    assert(disk_last >= acked);
    assert(disk_base <= disk_snapshot);
    assert(disk_snapshot <= disk_last);
    log_base = disk_base;
    last = disk_last;
    state = 0;
    if
    :: disk_snapshot > 0 -> load()
    :: else
    fi;
    feed()
}

/* The leader's core: entries if it has them, else a snapshot. */
inline tell()
{
    if
    :: match + 1 > base[leader] -> appends = appends | BIT(match + 1)
    :: else -> offers = offers | BIT(OFFER(leader, has[leader]))
    fi;
    offered = true
}

inline pause()
{
    silent++;
    offered = false;
    if
    :: silent == 2 -> source = 1 - source
    :: else
    fi;
#ifdef BUG_NEVER_GIVES_UP
    silent = MIN(silent, 1);
#endif
    if
    :: silent > 3 -> forget_pull()
    :: else -> ask_missing(source)
    fi
}

/* The place of any message in a set that has some. */
inline choose(set, at)
{
    at = 0;
    do
    :: HAS(set, at) -> break
    :: (set >> (at + 1)) != 0 -> at++
    od
}

#define IS_SILENT (appends == 0 && acks == 0 && offers == 0 && pieces == 0 && asks == 0)
#define ENDS (stage == RECEIVES && have == ALL_CHUNKS)
#define WRITES (ENDS || stage == READY || stage == INSTALLS || owes || disk_last < last)
#define PAUSES (IS_SILENT && !WRITES)

/* One message out of its set: it stays there if it is to arrive again, and does nothing if it is lost. */
inline take(set, at, arrives)
{
    if
    :: arrives = true; set = set & ~BIT(at)
    :: duplicates < DUPLICATES -> arrives = true; duplicates++
    :: losses < LOSSES -> arrives = false; set = set & ~BIT(at); losses++
    fi
}

active proctype world()
{
    byte at, s;
    bool arrives;

accept_on_its_way:
    do
    /* The network. */
    :: atomic {
        appends != 0 -> choose(appends, at); take(appends, at, arrives);
        d_step { if :: arrives -> on_append(at) :: else fi; at = 0; arrives = false }
       }
    :: atomic {
        acks != 0 -> choose(acks, at); take(acks, at, arrives);
        d_step { if :: arrives -> match = MAX(match, at) :: else fi; at = 0; arrives = false }
       }
    :: atomic {
        offers != 0 -> choose(offers, at); take(offers, at, arrives);
        d_step {
            if
            :: arrives -> on_offer(at / INDEXES, at % INDEXES)
            :: else
            fi;
            at = 0; arrives = false
        }
       }
    :: atomic {
        asks != 0 -> choose(asks, at); take(asks, at, arrives);
        d_step {
            if
            :: arrives -> on_ask(at / CHUNKS / INDEXES, (at / CHUNKS) % INDEXES, at % CHUNKS)
            :: else
            fi;
            at = 0; arrives = false
        }
       }
    :: atomic {
        pieces != 0 -> choose(pieces, at); take(pieces, at, arrives);
        d_step {
            if
            :: arrives -> on_piece(at / CHUNKS, at % CHUNKS)
            :: else
            fi;
            at = 0; arrives = false
        }
       }
    /* The receiver. */
    :: d_step { ENDS -> end_file() }
    :: d_step { stage == READY -> install() }
    :: d_step { stage == INSTALLS -> end_install() }
    :: d_step { stage != INSTALLS && (disk_last < last || owes) -> flush() }
    :: d_step { crashes < CRASHES -> crashes++; crash() }
    :: d_step { PAUSES && stage == RECEIVES -> pause() }
    /* The servers. */
    :: d_step { PAUSES && match < LAST && !(stage == RECEIVES && offered) -> tell() }
    :: atomic {
        newer < NEWER && (has[0] < LAST || has[1] < LAST) -> newer++;
        if
        :: has[0] < LAST -> s = 0
        :: has[1] < LAST -> s = 1
        fi;
        has[s]++;
        if
        :: base[s] = has[s]
        :: true
        fi;
        s = 0
       }
    :: atomic {
        changes < CHANGES && !HAS(dead, 1 - leader) -> changes++;
        if
        :: dead = dead | BIT(leader)
        :: true
        fi;
        leader = 1 - leader; match = 0; offered = false;
        if
        :: base[leader] < LAST -> appends = appends | BIT(LAST)
        :: else
        fi
       }
    :: PAUSES && match == LAST -> break
    od;
    assert(disk_last == LAST && state == LAST)
}
