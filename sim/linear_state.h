/* sim/linear_state.h: the store as the search of check_linear.c sees it: what each key may be now.
 *
 * A field may be "any": nothing is known of it yet. An answer that fits narrows it to what the
 * answer shows. At the beginning of a run nothing is any; it becomes so where the search had to
 * give up, or had to take a write for granted without knowing which.
 *
 * It shares no code with model.c, which the replay uses: each is there to doubt the other.
 */
#ifndef SIM_LINEAR_STATE_H
#define SIM_LINEAR_STATE_H

#include "sim/check_history.h"

enum { LINEAR_ANY = -1 };

/* version 0: there is no such key. value 0: any. mod LINEAR_ANY: not even whether it exists. */
struct linear_key {
    int64_t mod, create, version;
    uint64_t value;
};

struct linear_state {
    int64_t revision;
    uint64_t hash; /* of the keys, kept with each change */
    struct linear_key key[HISTORY_KEYS];
};

void linear_state_reset(struct linear_state *s, int64_t revision); /* no keys */
void linear_state_forget(struct linear_state *s, uint8_t key_first, uint8_t key_end);

/* True: the write made a revision of its own. Only of one that was answered OK. */
bool linear_made_revision(const struct history_call *call, const struct history_answer *answer);
/* Each is false if the answer can't be given in this state; the state is spoilt then. */
bool linear_state_read(struct linear_state *s, const struct history_call *call,
                       const struct history_answer *answer);
bool linear_state_write(struct linear_state *s, const struct history_call *call,
                        const struct history_answer *answer);
/* A write that nobody saw answered takes effect; false: it would make no revision. */
bool linear_state_guess(struct linear_state *s, const struct history_call *call);

bool linear_state_equal(const struct linear_state *a, const struct linear_state *b);

#endif
