/* store/store.h: the state machine: an ordered key-value store with revisions.
 *
 * Determinism  The state is a function of the applied entries alone: no clock, no chance, no
 *              configuration of the node. What may refuse a write (the quota) came by an entry.
 * Steps        One piece of work at a time: store_begin_*(), then store_work() until it says
 *              STORE_DONE. The caller bounds each call by a budget, so nothing waits longer than
 *              that. While an apply is under way reads are refused by ASSERT: one thing at a time.
 * Index        key -> chain of versions, newest first; the chain has one member until history
 *              comes. Ordered by bytes (memcmp, shorter first).
 * Thread       The store lcore only.
 * Memory       store_bytes() of it, lent by the caller for ever; apply never fails for memory as
 *              long as the quota holds (the arena is sized for the quota plus its worst waste).
 * Errors       A command refused is an answer (enum store_refusal), and changes nothing but the
 *              applied index.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "store/command.h"

struct store;

struct store_options {
    uint64_t quota_bytes; /* what the arena is sized for; logical bytes of keys and values */
    uint64_t keys_max;    /* likewise */
};

/* Where results go. The caller lends it to each store_work(); the store appends whole items. */
struct store_sink {
    uint8_t *bytes;
    uint32_t size; /* at least sizeof(struct result_header) + COMMAND_ITEM_BYTES_MAX */
    uint32_t used;
};

enum store_progress {
    STORE_DONE,
    STORE_AGAIN,     /* the budget is spent */
    STORE_SINK_FULL, /* empty the sink and come again */
};

struct store_outcome {
    enum store_refusal refusal;
    int64_t revision; /* head after it; for a read, the head it was served at */
};

size_t store_bytes(const struct store_options *options);
struct store *store_init(void *memory, size_t bytes, const struct store_options *options);

/* The quota in force, from a CONFIG entry; the caller has checked it against its own options. */
void store_set_quota(struct store *s, uint64_t quota_bytes);

/* `bytes` must stay until STORE_DONE. `wanted`: somebody on this node waits for the result;
 * otherwise nothing is written to the sink. */
void store_begin_apply(struct store *s, uint64_t index, const uint8_t *bytes, uint32_t length,
                       bool wanted);
void store_begin_read(struct store *s, const uint8_t *bytes, uint32_t length);

/* Works for at most `budget` keys. */
enum store_progress store_work(struct store *s, struct store_sink *sink, uint32_t budget);
struct store_outcome store_outcome(const struct store *s); /* of what is DONE */

/* An entry that is no command (EMPTY, CONFIG): only the applied index moves. */
void store_skip(struct store *s, uint64_t index);

uint64_t store_applied(const struct store *s);
int64_t store_revision(const struct store *s);
uint64_t store_logical_bytes(const struct store *s);
uint64_t store_key_count(const struct store *s);
/* A sum over all live keys and versions that does not depend on the order of anything; equal on
 * all replicas at equal applied index. */
uint64_t store_digest(const struct store *s);

#endif
