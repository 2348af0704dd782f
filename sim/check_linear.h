/* sim/check_linear.h: what clients were told, and nothing else: is there an order that explains it?
 *
 * Method     The search of Wing and Gong, "Testing and Verifying Concurrent Objects" (1993), with
 *            the memory of Lowe, "Testing for Linearizability" (2017). A configuration is the set of
 *            calls that have taken effect and the state they lead to; one that was met before is
 *            not tried again. Calls are looked at in the order in which they ended, and each makes
 *            those before it take effect that it needs, none earlier: Lowe's search just in time.
 * Doubt      check_history.h replays the log and trusts what it was told of it: indexes, what was
 *            committed, and that the log's command is the client's. This search knows no log. A
 *            fault in the replay, or in what feeds it, is not one here: they share no code.
 *
 *   linearizable-search  some order of the calls, in which each takes effect between its beginning
 *                        and its end, gives every answer, with its revision
 *
 * Fates      Refused: no effect, ever. Unknown, and passed over: at any time after the beginning, or never.
 * Revisions  are part of the answers: an OK says which revision it made or saw. They make the search
 *            narrow: a branch is only where a revision was made by a write that nobody saw answered.
 * Whole      Linearizability is local (Herlihy and Wing, 1990): for registers a search per key
 *            would do. But a range shows many keys at one revision, a delete cuts many at once, and
 *            all keys count revisions together: per key it would miss just that. So the state is
 *            the whole store, and the revisions, not the keys, keep it small.
 * Windows    A call is looked at when every call that began before it ended has ended too and some
 *            more are known: all answers that could matter are at hand then. The configurations
 *            that remain are where the next window begins, so nothing is lost between two.
 * Local      A local read may be as old as it likes, but it shows a state that was, or is by its
 *            end; on one boot of a node they don't go back; and what begins after one has ended is
 *            no older. One that is older than the window can't be judged and is counted.
 * Bounds     All memory in check_linear_create(). Three limits, each counted when it is met, and
 *            each forgets towards accepting: a call open for too long is taken for unknown (ASIDE);
 *            too many unknown writes: the oldest may have changed its keys at any revision that
 *            nobody claims (BLUR); too many configurations: all that is known of the keys is
 *            forgotten, and narrows again with each answer (GAVE_UP).
 */
#ifndef SIM_CHECK_LINEAR_H
#define SIM_CHECK_LINEAR_H

#include "sim/check_history.h"

struct check_linear;

#define LINEAR_COUNT_LIST(X)                             \
    X(EXPLAINED, "calls explained by the search")        \
    X(GUESS, "unknown writes tried for a revision")      \
    X(OLD, "local reads older than the search's window") \
    X(ASIDE, "calls the search set aside")               \
    X(BLUR, "unknown writes the search blurred")         \
    X(GAVE_UP, "windows the search gave up")

enum linear_count {
#define LINEAR_COUNT_ENUM(name, text) LINEAR_##name,
    LINEAR_COUNT_LIST(LINEAR_COUNT_ENUM)
#undef LINEAR_COUNT_ENUM
        LINEAR_COUNT_COUNT
};
const char *linear_count_text(enum linear_count count);

struct check_linear *check_linear_create(void);
void check_linear_destroy(struct check_linear *l);
void check_linear_reset(struct check_linear *l, int64_t revision_first,
                        struct check_report *report);

/* A call begins; the result names it at its end, which is told at most once. */
uint64_t check_linear_begin(struct check_linear *l, const struct history_call *call);
bool check_linear_end(struct check_linear *l, uint64_t name, const struct history_answer *answer);
/* What is open now stays unknown; everything that waits is looked at. */
bool check_linear_finish(struct check_linear *l);

uint64_t check_linear_count(const struct check_linear *l, enum linear_count count);

#endif
