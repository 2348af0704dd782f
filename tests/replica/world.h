/* tests/replica/world.h: whole replicas over the simulated net and disks, without faults.
 *
 * All roles are polled in turn and time moves in steps of 20 us; the clients of the doors are the
 * test itself. A node that is not running costs nothing.
 */
#ifndef TESTS_REPLICA_WORLD_H
#define TESTS_REPLICA_WORLD_H

#include "base/admin.h"
#include "base/prng.h"
#include "replica/replica.h"

enum { WORLD_NODES_MAX = 5, WORLD_BIG = 1 << 20 };

struct client {
    uint64_t tag;
    struct answer answer;
    bool answered;
    uint64_t items_seen;
    uint32_t pieces;
    uint32_t value_bytes;
    uint8_t bytes[WORLD_BIG + 256];
};

struct machine {
    struct disk *disk;
    struct replica *replica; /* NULL: not running */
    struct request_door *door;
    void *memory, *door_memory;
    uint64_t incarnation;
    uint32_t boot; /* of its newest start */
    struct node_view view;
    struct replica_counters counters;
    struct client client;
};

/* Nodes 1..count have links to each other; 1..initial are the initial members. */
struct world {
    struct net *net;
    uint64_t now_ns;
    uint32_t count, initial;
    bool lease_reads; /* of nodes that are started from now on */
    bool may_stop;    /* a node that stops itself is no failure */
    bool small_log;   /* segments of 128 KiB, a quota of 1 MiB, requests of 8 KiB, chunks of 4 KiB; likewise */
    struct replica_snapshots snapshots; /* likewise; by default none is made by itself */
    enum replica_role resting; /* of machine 0: world_turn() does not poll it; REPLICA_ROLE_COUNT: none */
    bool lies[WORLD_NODES_MAX]; /* pieces of snapshots that this node sends are not what it has: sim/forge.h */
    struct prng lie_prng;
    uint32_t paused;  /* number of a node that world_turn() leaves alone; count: none */
    struct machine machine[WORLD_NODES_MAX];
};

/* Nothing runs yet; and with the initial members running. */
struct world *world_make(uint32_t count, uint32_t initial);
struct world *world_open(uint32_t count, uint32_t initial);
void world_close(struct world *w);
/* Starts node n + 1; its directory is made if it has none. */
void world_start(struct world *w, uint32_t n);
void world_kill(struct world *w, uint32_t n);
/* A new directory under the old node id. */
void world_wipe(struct world *w, uint32_t n);
void world_turn(struct world *w);
void world_run_ms(struct world *w, uint64_t ms);
void world_print(const struct world *w);
/* Number of a running leader whose term has committed something; fails the test after 4 s. */
uint32_t world_leader(struct world *w);

void world_push(struct world *w, uint32_t n, enum request_kind kind, const void *bytes,
                uint32_t length);
/* Pushes a request at node n + 1 and turns the world until it is answered. */
const struct answer *world_ask(struct world *w, uint32_t n, enum request_kind kind,
                               const void *bytes, uint32_t length);
void world_put(struct world *w, uint32_t n, const char *key, const void *value, uint32_t length);
void world_read_is(struct world *w, uint32_t n, const char *key, uint32_t value_bytes);

#endif
