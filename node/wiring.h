/* node/wiring.h: one running node: all its memory, rings and parts, and which role runs where.
 *
 * Way        node_open(): data directory, memory, doors, api, superblock, disk, port, replica.
 *            node_start(): lcores. node_drain(), node_stop(): lcores end. node_close(): the rest.
 * Memory     All of it is mapped here before the first lcore runs; pages are touched
 *            as they are used. Only api and the control thread allocate later.
 * Thread     The control thread, which is the one that main() runs on.
 * Errors     An exit code (exit_code.h) that is not 0, with a sentence in `error`.
 */
#ifndef NODE_WIRING_H
#define NODE_WIRING_H

#include "api/api.h"
#include "node/config.h"
#include "node/datadir.h"
#include "node/lcore.h"
#include "replica/replica.h"

enum { NODE_ERROR_BYTES = 1024, NODE_DOOR_ADMIN = 2 };

struct node;

/* What a role's poll function is given. */
struct node_role {
    struct node *node;
    enum replica_role role;
};

struct node {
    const struct config *config;
    struct datadir datadir;
    struct superblock superblock; /* of this start */
    uint8_t *memory;
    size_t memory_bytes, memory_used;
    uint8_t *replica_memory;
    size_t replica_bytes;
    uint8_t *superblock_buffer;
    struct node_view *view;
    struct replica_counters *counters;
    struct request_door *door;       /* api's */
    const struct lcore_task *guest;  /* NULL: none */
    struct request_door *guest_door; /* the guest's */
    struct request_door *admin_door; /* the control thread's */
    struct disk *disk;
    struct port *port;
    struct replica *replica;
    struct api *api;
    struct node_role role[REPLICA_ROLE_COUNT];
    uint32_t lcore_count;
    struct lcore *lcore; /* [lcore_count] */
    int control_fd;      /* eventfd: look at the stop words */

    struct published stop;    /* control: lcores end */
    struct published drain;   /* control: api says good-bye to its clients */
    struct published drained; /* api: it has */
};

/* `guest`: a task that asks the replica from within, by a door of its own, on the raft role's lcore
 * (a load generator that has no sockets); NULL: none. */
int node_open(struct node *n, const struct config *config, const struct lcore_task *guest,
              char *error, size_t error_bytes);
int node_start(struct node *n, char *error, size_t error_bytes);
/* Wakes the lcores that sleep: something was pushed to a ring of theirs. */
void node_ring(struct node *n);
/* Asks api to end its connections; node_stop() does not wait for it. */
void node_drain(struct node *n);
void node_stop(struct node *n);
void node_close(struct node *n);

#endif
