/* store/snapshot.h: the state at one moment as bytes, while writes go on; and bytes back as a state.
 *
 * Pin        store_pin() holds on to the state as it is, in no time. What a later write replaces or
 *            deletes is kept aside as long as the snapshot has not got it yet. So writes never wait
 *            for a snapshot and a snapshot never for a write, whatever is written meanwhile.
 *
 *   FREE --store_pin--> PINNED --store_unpin, or more kept than pin_bytes--> RELEASING
 *   RELEASING --store_unpin, until it says that all is given back--> FREE
 *
 * Cap        What is kept is charged as in the quota, and never more than store_options.pin_bytes; the
 *            write that would need more cuts the pin off instead. With pin_bytes of the quota no pin
 *            is ever cut off, for no more than all of the pinned state can be kept.
 * Emission   store_emit() in any steps and pieces, between any two calls of the store's other
 *            functions, also while an apply or a read is under way. The bytes are the snapshot's content
 *            (docs/formats.md, "Store content"): a function of the applied entries alone, so all nodes
 *            have the same, whenever each wrote it. How it is cut into chunks is the caller's.
 * Load       The reverse, piece by piece as it comes from disk; the store is empty while it lasts, and
 *            neither applies nor reads. The bytes are judged, never asserted on: what is not exactly the
 *            content of a snapshot of that index is refused, and then the store is good for another
 *            store_load_begin() only.
 * Budget     As of store_work(): keys, and one more for each 4 KiB of text.
 * Thread     The store lcore only.
 * Memory     That of store_bytes(); nothing else.
 */
#ifndef STORE_SNAPSHOT_H
#define STORE_SNAPSHOT_H

#include "store/store.h"

/* The largest content that a store of these options can have. */
uint64_t store_snapshot_bytes_max(const struct store_options *options);

/* Pins the state after the last applied entry; no apply may be under way. False: not FREE. */
bool store_pin(struct store *s);
/* The applied index that is pinned; 0: none, or it was cut off. */
uint64_t store_pinned(const struct store *s);
/* Of the whole content; it must be PINNED. */
uint64_t store_pinned_bytes(const struct store *s);
/* Charge of what is kept aside. */
uint64_t store_kept_bytes(const struct store *s);
/* Writes the next bytes of the content; how many. Fewer than `size`, even 0: the budget is spent, or that was
 * the end. It must be PINNED. */
uint32_t store_emit(struct store *s, uint8_t *out, uint32_t size, uint32_t budget);
/* All of it. */
bool store_emitted(const struct store *s);
/* Lets the pin go, and gives back what was kept, for at most `budget`. True: all of it, it is FREE. */
bool store_unpin(struct store *s, uint32_t budget);

enum store_load_verdict {
    STORE_LOAD_GOOD,      /* so far */
    STORE_LOAD_MALFORMED, /* it is not the content of a snapshot of that index */
    STORE_LOAD_NO_ROOM,   /* it needs a larger quota than this store has the memory for */
};

/* Forgets all keys and a pin, at once. store_applied() and all that goes with it stay what they are
 * until store_load_end(). No apply or read may be under way. */
void store_load_begin(struct store *s, uint64_t index);
/* Takes in the next bytes, and returns how many of them. Fewer than `length`: the budget is spent, come again with
 * the rest, unless it is refused: the verdict tells, and must be looked at after each call. */
uint32_t store_load(struct store *s, const uint8_t *bytes, uint32_t length, uint32_t budget);
enum store_load_verdict store_load_verdict(const struct store *s);
/* That was all of it. GOOD: it is the state now, applied up to the snapshot's index. */
enum store_load_verdict store_load_end(struct store *s);

#endif
