/* node/disk_watch.h: what the node's log says of its disk: full, below its reserve, and when that is
 * over; snapshots made, received and taken in.
 *
 * Thread     The control thread; disk_watch_check() any.
 */
#ifndef NODE_DISK_WATCH_H
#define NODE_DISK_WATCH_H

#include "node/wiring.h"

enum { DISK_WATCH_BYTES = 480 };

struct disk_watch {
    uint64_t room_ns;   /* when there last was room for the log */
    bool no_room;       /* as last said */
    bool below_reserve; /* likewise */
    uint64_t loading_index;  /* likewise */
    uint64_t written;        /* snapshots, likewise */
};

/* True: something has changed since the last turn, and the sentence says what. */
bool disk_watch_turn(struct disk_watch *w, const struct node *n, uint64_t now_ns,
                     char sentence[DISK_WATCH_BYTES]);

/* For skiff check: a sentence about a file system that is too small for a node of this configuration;
 * nothing if it is large enough, or can't be asked. */
void disk_watch_check(const struct config *config, FILE *out);

#endif
