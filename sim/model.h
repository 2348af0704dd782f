/* sim/model.h: the store as a few lines of arithmetic: every version of every key, for ever.
 *
 * It is what check_history.c compares answers with. It shares no code with store/.
 */
#ifndef SIM_MODEL_H
#define SIM_MODEL_H

#include "sim/check_history.h"

/* A key from mod_revision on; version 0: deleted then. */
struct model_version {
    int64_t mod_revision;
    int64_t create_revision;
    int64_t version;
    uint64_t value;
};

struct model_key {
    struct model_version *versions; /* ascending */
    uint64_t count;
    uint64_t capacity;
};

struct model {
    int64_t revision_first; /* of an empty store */
    uint64_t last;          /* index applied */
    int64_t *revision;      /* by index, after it */
    uint64_t revision_capacity;
    struct model_key key[HISTORY_KEYS];
};

void model_free(struct model *m);
void model_reset(struct model *m, int64_t revision_first);
void model_put(struct model *m, uint8_t key, uint64_t value);
void model_delete(struct model *m, uint8_t key_first, uint8_t key_end);
void model_skip(struct model *m); /* an entry that changes nothing */
int64_t model_revision(const struct model *m, uint64_t index);
/* The version in force at a revision; NULL: no such key then. */
const struct model_version *model_at(const struct model *m, uint8_t key, int64_t revision);

#endif
