/* tests/persist/fixture.h: a log over the simulated disk, and a model of what it must contain.
 *
 * Each step that is appended leaves a state in the model; a recovered log must be equal to one of
 * the states that are not older than the newest that was reported durable. A header checksum of a
 * record names the whole history up to it, so comparing the last one compares the logs; the
 * records themselves are read back and their chain is followed.
 */
#ifndef TESTS_PERSIST_FIXTURE_H
#define TESTS_PERSIST_FIXTURE_H

#include "base/prng.h"
#include "persist/share.h"
#include "persist/snapshot.h"
#include "persist/wal.h"
#include "sim/disk_sim.h"

enum {
    FIXTURE_STATES_MAX = 512,
    FIXTURE_ENTRIES_MAX = 1024,
    FIXTURE_CLUSTER = 77,
    FIXTURE_NODE = 3,
    FIXTURE_BATCH_BYTES = 4 * DISK_SECTOR,
    FIXTURE_CHUNK_BYTES = DISK_SECTOR,
    FIXTURE_SNAPSHOT_BYTES = 6 * DISK_SECTOR, /* the largest */
};

/* The log after one step. */
struct fixture_state {
    raft_seq seq;
    raft_term term;
    raft_node vote;
    raft_index last;
    raft_index commit;
    raft_index base;     /* the log begins behind it */
    raft_index snapshot; /* of the manifest */
    uint64_t snapshot_bytes, snapshot_digest;
    struct {
        raft_term term;
        uint32_t chain; /* header checksum */
        bool config;
        uint32_t config_crc;      /* of its payload */
    } entry[FIXTURE_ENTRIES_MAX]; /* by index */
};

/* What is lost is whatever the next start names. */
#define FIXTURE_LOST_ANY UINT64_MAX

struct fixture {
    struct disk *disk;
    void *memory;
    size_t memory_bytes;
    struct wal *wal; /* NULL: not open */
    struct wal_options options;
    struct wal_recovered recovered;
    bool
        with_snapshots; /* a base is set when its snapshot was written; else it names what is not there */
    void *snapshot_memory;
    struct snapshots *snapshots;
    struct snapshots_found snapshots_found;
    int snapshots_result; /* of the opening */
    raft_index
        making; /* the snapshot that is being written; 0: the log was told, or there is none */
    uint32_t made_chunks; /* of it, handed over */
    raft_index lost;      /* the file of this snapshot was lost: a start may miss it */
    char error[512];
    struct prng prng;
    uint64_t now_ns;
    raft_seq seq;
    uint8_t *records; /* of one step */
    uint32_t state_count;
    uint32_t durable; /* states up to this one must survive */
    struct fixture_state state[FIXTURE_STATES_MAX];
};

struct fixture *fixture_new(uint64_t seed);
void fixture_delete(struct fixture *f);

/* Three lives, rolls, replacements; everything is durable, the mark says so, and the power is cut. */
struct fixture *fixture_lives(uint64_t seed);
/* The same with a base in the middle. */
struct fixture *fixture_lives_cut(uint64_t seed);
/* The same log once more, to be damaged or crashed; not open. */
struct fixture *fixture_twin(const struct fixture *f);
/* The same into a fixture that is there already: quicker. `seed` is for its own chances. */
void fixture_assign(struct fixture *to, const struct fixture *from, uint64_t seed);
/* Over the names and the stable bytes of all segments. */
uint64_t fixture_hash(struct fixture *f);

/* One boot more, then wal_open(); checks what is reported against the model and reads every record
 * back. Negative: refused, and f->error says why. */
int fixture_open(struct fixture *f);
/* As fixture_open(), and a failed check is -1 with a sentence in f->error, instead of the end of the
 * test: for loops over thousands of images that print which one it was. */
int fixture_try_open(struct fixture *f);
/* What both return when entries are missing: nothing is compared then. */
enum { FIXTURE_HOLES = 1 };
/* Fills the holes from an intact log that is open, a few records a step, and waits until that is durable.
 * At most so many steps. */
void fixture_repair(struct fixture *f, struct fixture *intact, uint32_t steps_max);

/* What a step brings: records [first, first + count) of `term`, each with up to `payload` bytes. */
struct fixture_step {
    raft_index first;
    uint32_t count;
    uint32_t payload;
    raft_term term;
    raft_node vote;
    bool config;         /* the first record is a CONFIG */
    raft_index commit;   /* 0: as it was */
    raft_index snapshot; /* not 0: no records, but wal_set_base() that names it */
    raft_index base;     /* with it */
    bool cut;            /* with them: a snapshot takes the place of the log */
    raft_term base_term; /* with that: the base's own, which is unknown here */
};
/* wal_append() or wal_set_base() of it; 0, or its refusal, which leaves the model unchanged. */
int fixture_append(struct fixture *f, const struct fixture_step *step);
/* The same, polling until it is taken. */
void fixture_append_wait(struct fixture *f, const struct fixture_step *step);
/* `count` records more, of the newest term. */
void fixture_extend(struct fixture *f, uint32_t count, uint32_t payload);
/* What is drawn for a step; the chances are of 16. */
struct fixture_mix {
    uint32_t count_max; /* records */
    uint32_t payload_max;
    uint32_t votes;    /* a hard state alone */
    uint32_t replaces; /* a new term, with or without a replaced tail */
    uint32_t configs;
    uint32_t tail_max; /* so many entries are replaced at most */
    uint32_t bases;    /* the log is cut up to some entry */
    uint32_t installs; /* a snapshot takes its place */
    uint32_t jump_max; /* which ends less than this behind the log */
    uint32_t commits;  /* a step tells that more is committed, and only that gets into snapshots */
    uint32_t stays;    /* of the bases: the snapshot moves alone */
};
struct fixture_step fixture_draw(struct fixture *f, const struct fixture_mix *mix);
/* A step drawn at random, waited for: mostly some records. */
void fixture_append_random(struct fixture *f);

/* The log stands on `base`: see struct fixture_step; polled until it is taken. */
void fixture_set_base(struct fixture *f, raft_index base, bool cut);

/* The two halves of a turn: the time goes on by at most `step_ns`, to the next completion; the log is
 * polled, and what is durable noted. */
void fixture_advance(struct fixture *f, uint64_t step_ns);
void fixture_poll(struct fixture *f);
void fixture_turn(struct fixture *f, uint64_t step_ns);
/* Until everything appended is durable and the next segment is prepared. */
void fixture_settle(struct fixture *f);
/* The idle mark is written too. */
void fixture_idle(struct fixture *f);

/* fixture_snapshot.c. The content of a snapshot follows from its index: at most FIXTURE_SNAPSHOT_BYTES;
 * its length. */
uint32_t fixture_snapshot_content(raft_index index, uint8_t *content);
/* What is being written is to have this content, and the digest that it began with: snapshot_expect(). */
int fixture_snapshot_expect(struct fixture *f, const uint8_t *content, uint32_t length);
/* One thing on the way to a snapshot of `index` that is READY, or current; `state` has its entry. 0: it is;
 * -EAGAIN: time must pass; -ECANCELED: the last one was dropped. Its bytes and digest are then in `state`. */
int fixture_snapshot_make(struct fixture *f, raft_index index, struct fixture_state *state);
/* The same for the one that the manifest names, which is lost. 0: it is whole again. */
int fixture_snapshot_mend(struct fixture *f);
/* The headers of all snapshot files, or the files themselves: before a start, which finds what is left. */
void fixture_snapshot_lose(struct fixture *f, bool files);
void fixture_snapshot_open(struct fixture *f);
/* False, with f->error: what the log names is not whole, and is not f->lost, reads back otherwise, or a chunk that is
 * damaged on purpose is handed out. With a fault to come nothing is read. */
bool fixture_snapshot_check(struct fixture *f);
/* Chunk by chunk what it should be; 0, or what the first that can't be read says. */
int fixture_snapshot_read(struct fixture *f);

const struct fixture_state *fixture_now(const struct fixture *f);
/* The stable bytes of the first batch of segment 1 behind which the log ends with entry `last`. */
uint8_t *fixture_batch(struct fixture *f, raft_index last);
/* The newest segment's name; `back` 1: the one before it. */
void fixture_segment_name(struct fixture *f, uint32_t back, char name[DISK_NAME_BYTES]);

#endif
