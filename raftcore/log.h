/* raftcore/log.h: what the core knows of the log: terms by runs, and a window of lengths and seqs.
 *
 * Terms      Entries of one term stand together, so the log is a short list of runs {first, term}.
 *            The term of an entry is found in the last run or by binary search; the cost does not
 *            grow with the log, only with the logarithm of the changes of leader.
 * Window     For the newest `window` entries: the length of the record and the seq that wrote it.
 *            `sized_first` is the oldest entry whose slot is still its own. What lies below was
 *            flushed long ago; to send it the caller must load it and tells the length again.
 * Base       What lies at or below it is a snapshot's. An installed snapshot counts as durable at
 *            once, because nothing is appended in front of it, but a promise about what it covers
 *            waits for `base_seq`, the manifest that makes it so.
 * Invariant  base <= durable <= last; last - durable <= window; runs ascend in index and in term,
 *            and cover base + 1 .. last; seqs never fall from one unflushed entry to the next.
 * Thread     The raft lcore only.
 */
#ifndef RAFTCORE_LOG_H
#define RAFTCORE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "raftcore/raft.h"

struct raft_log_slot {
    raft_seq seq;
    uint32_t bytes;
};

struct raft_log {
    raft_index base; /* entries up to it are gone: committed, and in a snapshot */
    raft_term base_term;
    raft_seq base_seq; /* the install that made the base and is not flushed yet; 0: none */
    raft_index last;
    raft_index durable;     /* this node's disk holds every entry up to it */
    raft_index sized_first; /* the window knows the length from here on */
    uint32_t window;        /* a power of two */
    uint32_t run_count;
    struct raft_run *run;       /* RAFT_TERM_RUNS_MAX of them */
    struct raft_log_slot *slot; /* `window` of them, by index & (window - 1) */
};

/* `log` has its window, run and slot set; the rest is filled in from what persist found, all of
 * it durable. */
void raft_log_recover(struct raft_log *log, const struct raft_recovered *recovered);

/* 0 below the base and above the last. */
raft_term raft_log_term(const struct raft_log *log, raft_index index);
/* The run of an entry above the base: its first and last index. */
raft_index raft_log_run_first(const struct raft_log *log, raft_index index);
raft_index raft_log_run_last(const struct raft_log *log, raft_index index);
/* The highest index at or below `index` whose term is at most `term`; the base if there is none
 * above it. */
raft_index raft_log_back_up(const struct raft_log *log, raft_index index, raft_term term);

/* Entries that may be appended before one of them must be flushed. */
uint32_t raft_log_room(const struct raft_log *log);
/* Changes of term that can be remembered behind entry `after`. */
uint32_t raft_log_run_room(const struct raft_log *log, raft_index after);

void raft_log_truncate(struct raft_log *log, raft_index first); /* `first` and above are gone */
void raft_log_append(struct raft_log *log, raft_term term, uint32_t bytes, raft_seq seq);

/* The base moves up to `index`, which is durable: what was there is in a snapshot. O(runs). */
void raft_log_compact(struct raft_log *log, raft_index index);
/* A snapshot of (index, term), above the base, takes the place of all up to it; of what stands
 * behind it too, unless our log has just that entry. True if that was kept. O(runs). */
bool raft_log_install(struct raft_log *log, raft_index index, raft_term term, raft_seq seq);

/* Length of an entry at or above `sized_first`. */
uint32_t raft_log_entry_bytes(const struct raft_log *log, raft_index index);
/* What must be flushed before anything is promised about the entry; 0: nothing. */
raft_seq raft_log_seq(const struct raft_log *log, raft_index index);
/* Everything up to `seq` is flushed: moves `durable`. */
void raft_log_flushed(struct raft_log *log, raft_seq seq);

bool raft_log_is_sound(const struct raft_log *log); /* the invariant above, in O(runs) */

#endif
