/* sim/check_history.h: what clients were told, held against the committed log.
 *
 * Method     Every OK carries the index and the store's revision, so nothing is searched for: the
 *            committed commands are replayed, in the order of the log, by a model of the store too
 *            simple to be wrong, which keeps every version of every key. An answer must be what
 *            the model has at its index and revision, and real time must agree: a call that began
 *            after another had ended can't be older than that one.
 *
 *   exact fate          a call named once is applied at most once; refused is never applied, and what
 *                       was passed over by a snapshot not later
 *   acknowledged kept   an OK write stands at its index and made its revision
 *   linearizable        a read shows the model's state at its revision, no older than what had
 *                       completed before it began; a local read shows some state of the past,
 *                       never going back on one boot of a node
 *
 * Keys       Small numbers; the order of numbers is that of the keys' bytes.
 */
#ifndef SIM_CHECK_HISTORY_H
#define SIM_CHECK_HISTORY_H

#include "sim/check.h"

struct check_history;

enum {
    HISTORY_KEYS = 24,
    HISTORY_NODES_MAX = 10, /* numbered from 1 */
};

enum history_kind { HISTORY_PUT, HISTORY_DELETE, HISTORY_READ, HISTORY_READ_LOCAL };

/* OK: the store's answer. REFUSED: never applied, for ever. UNKNOWN: may be or become applied. PASSED: an
 * installed snapshot passed over its place; applied by now, or never. */
enum history_fate { HISTORY_OPEN, HISTORY_OK, HISTORY_REFUSED, HISTORY_UNKNOWN, HISTORY_PASSED };

struct history_call {
    uint8_t kind;
    uint8_t fate; /* the history's: enum history_fate */
    uint8_t key_first;
    uint8_t key_end; /* exclusive */
    bool prev_kv;    /* writes: the answer has the versions that were replaced */
    bool keys_only;  /* reads */
    uint16_t node;   /* that took it */
    uint32_t boot;   /* of that node */
    uint32_t limit;  /* reads; 0: none */
    uint64_t value;  /* PUT: names the value; never 0 */
    uint64_t floor;  /* the history's: newest index that any completed call had when it began */
    uint64_t index;  /* the history's: where it was committed; 0: nowhere yet */
};

struct history_item {
    uint8_t key;
    int64_t create_revision;
    int64_t mod_revision;
    int64_t version;
    uint64_t value; /* 0: not shown */
};

struct history_answer {
    uint8_t fate;
    uint64_t index;
    int64_t revision;
    int64_t count; /* of keys in range, or deleted */
    bool more;
    uint32_t item_count;
    const struct history_item *items; /* in the order of keys */
};

struct check_history *check_history_create(void);
void check_history_destroy(struct check_history *h);
void check_history_reset(struct check_history *h, int64_t revision_first,
                         struct check_report *report);

/* A call begins; the caller keeps it for the run. */
void check_history_begin(struct check_history *h, struct history_call *call);
/* The entry at the next index is committed; NULL: it is no command. */
bool check_history_commit(struct check_history *h, struct history_call *call);
/* A call ends. */
bool check_history_end(struct check_history *h, struct history_call *call,
                       const struct history_answer *answer);

uint64_t check_history_last(const struct check_history *h); /* index committed */
struct model;
const struct model *check_history_model(const struct check_history *h); /* as of that index */

#endif
