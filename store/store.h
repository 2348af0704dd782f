/* store/store.h: the state machine: an ordered key-value store with revisions.
 *
 * Determinism  The state is a function of the applied entries alone: no clock, no chance, no
 *              configuration of the node. What may refuse a write (the quota) came by an entry.
 * Steps        One piece of work at a time: store_begin_*(), then store_work() until it says
 *              STORE_DONE. The caller bounds each call by a budget, so nothing waits longer than
 *              that. While an apply is under way reads are refused by ASSERT: one thing at a time.
 * Index        key -> chain of versions, newest first; the chain has one member until history
 *              comes. Ordered by bytes (memcmp, shorter first).
 * Revisions    The empty store has revision 1; each write makes one more, when it is done; a delete
 *              of no key makes none.
 * Quota        A key is charged its key and value bytes and STORE_KEY_CHARGE_BYTES, so the quota
 *              bounds the number of keys too. A put that would exceed it is refused with NO_SPACE,
 *              unless it makes its key's charge no larger; all else goes on.
 * Thread       The store lcore only.
 * Memory       store_bytes() of it, lent by the caller for ever, aligned to 64 bytes, never touched
 *              before it is needed (so it may be promised only: MAP_NORESERVE). It is the worst
 *              case of every kind of block at once, about 5.2 times the quota and 5.1 times pin_bytes,
 *              hence apply never fails for memory whatever was put and deleted before, with a pin
 *              under way or without. What is touched in practice: for keys of 16 and values of 64
 *              bytes, 128 bytes of item and 13 to 25 of index a key.
 * Errors       A command refused is an answer (enum store_refusal), and changes nothing but the
 *              applied index.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "store/command.h"

struct store;

enum { STORE_KEY_CHARGE_BYTES = 48 }; /* revisions, lease, lengths */
#define STORE_QUOTA_BYTES_MAX ((uint64_t)64 << 30)

struct store_options {
    uint64_t quota_bytes; /* what the memory is sized for; at most STORE_QUOTA_BYTES_MAX */
    uint64_t pin_bytes;   /* that a pin may keep: see store/snapshot.h; at most quota_bytes */
};

/* Where results go. The caller lends it to each store_work(); the store appends whole items. */
struct store_sink {
    uint8_t *bytes; /* aligned to 8, as everything in it is */
    uint32_t size;  /* at least sizeof(struct result_header) + COMMAND_ITEM_BYTES_MAX */
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

/* The most keys that a quota has room for. */
static inline uint64_t store_quota_keys(uint64_t quota_bytes)
{
    return quota_bytes / (STORE_KEY_CHARGE_BYTES + 1);
}

size_t store_bytes(const struct store_options *options);
struct store *store_init(void *memory, size_t bytes, const struct store_options *options);

/* The quota in force, from a CONFIG entry; the caller has checked it against its own options.
 * Before the first one it is that of the options. */
void store_set_quota(struct store *s, uint64_t quota_bytes);

/* `bytes` must stay until STORE_DONE. `wanted`: somebody on this node waits for the result;
 * otherwise nothing is written to the sink, which may then be NULL. `index` is the one after
 * store_applied(). */
void store_begin_apply(struct store *s, uint64_t index, const uint8_t *bytes, uint32_t length,
                       bool wanted);
void store_begin_read(struct store *s, const uint8_t *bytes, uint32_t length);

/* Works for at most `budget` keys (not 0); one whose text is copied counts once more for each 4 KiB
 * of it, and the last may exceed the budget. After STORE_SINK_FULL with an empty sink there is
 * always progress. */
enum store_progress store_work(struct store *s, struct store_sink *sink, uint32_t budget);
struct store_outcome store_outcome(const struct store *s); /* of what is DONE */

/* An entry that is no command (EMPTY, CONFIG): only the applied index moves. */
void store_skip(struct store *s, uint64_t index);

/* The state after the last applied entry; what is under way counts when it is done. */
uint64_t store_applied(const struct store *s);
int64_t store_revision(const struct store *s);
uint64_t store_logical_bytes(const struct store *s); /* as charged to the quota */
uint64_t store_key_count(const struct store *s);     /* at this moment, however */
/* A sum over all live keys and versions that does not depend on the order of anything; equal on
 * all replicas at equal applied index. */
uint64_t store_digest(const struct store *s);

/* ASSERTs that index, charge, digest and memory agree with each other. O(keys): for tests and the
 * simulator. */
void store_verify(const struct store *s);

#endif
