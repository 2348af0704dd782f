/* tests/raftcore/golden.h: one core under a golden script. golden_run.c says what that is. */
#ifndef TESTS_RAFTCORE_GOLDEN_H
#define TESTS_RAFTCORE_GOLDEN_H

#include "raftcore/raft.h"

#include <stddef.h>

enum {
    GOLDEN_TEXT_BYTES_MAX = 1 << 17,
    GOLDEN_LINE_BYTES_MAX = 512,
    GOLDEN_ENTRIES_MAX = 64,
    GOLDEN_MS = 1000000,
    GOLDEN_ENTRY_BYTES = 100,
};

#define GOLDEN_SEQ_FIRST ((raft_seq)1 << RAFT_SEQ_COUNTER_BITS)

struct golden {
    struct raft *raft;
    void *memory;
    uint64_t now_ns;
    raft_node node;
    struct raft_config config; /* of the node line, then of the last line that named one */
    struct raft_entry entries[GOLDEN_ENTRIES_MAX];
    struct raft_effects fx;
    char text[GOLDEN_TEXT_BYTES_MAX];
    size_t text_bytes;
    bool quiet;
};

/* The state before a step; what has changed after it is part of the trace. */
struct golden_seen {
    enum raft_role role;
    raft_term term;
    raft_node leader;
    raft_index commit;
    uint64_t convicted;
    uint64_t ignored;
    struct raft_config config;
    raft_node transfer;
    raft_index base;
    raft_index snapshot[RAFT_MEMBERS_MAX + 1]; /* by node: the transfer that is to go on */
    size_t text_bytes;
};

_Noreturn void golden_fail(const char *what, const char *line); /* the script is wrong */

/* golden_script.c: runs one line of a script. */
void golden_line(struct golden *g, const char *line);

/* golden_trace.c: what a step did. */
__attribute__((format(printf, 2, 3))) void golden_trace(struct golden *g, const char *format, ...);
struct golden_seen golden_look(const struct golden *g);
void golden_trace_step(struct golden *g, const struct golden_seen *before);
const char *golden_type_name(uint8_t type); /* NULL: none */
const char *golden_role_name(enum raft_role role);

#endif
