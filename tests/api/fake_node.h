/* tests/api/fake_node.h: a node of one, without log and disk, behind a request door: commands are
 * applied to a real store in the order they come, on the thread of the test.
 *
 * Keys that begin with "fault/" are answered with that status instead ("fault/TIMED_OUT", ...);
 * "fault/SILENT" is answered only by fake_node_release().
 */
#ifndef TESTS_API_FAKE_NODE_H
#define TESTS_API_FAKE_NODE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/request.h"
#include "store/store.h"

enum { FAKE_SILENT_MAX = 64, FAKE_BACKLOG_MAX = 256 };

struct fake_node {
    struct request_door door;
    struct byte_ring answer_memory;
    struct node_view view;
    struct store *store;
    void *memory[6]; /* of the rings, the answers and the store */
    struct request busy;
    bool working;   /* `busy` is with the store */
    bool piece_due; /* the last piece found no room */
    bool answer_final;
    struct answer answer;
    uint8_t *sink_bytes;
    struct store_sink sink;
    uint64_t silent[FAKE_SILENT_MAX];
    uint32_t silent_count;
    uint64_t requests; /* seen so far */
};

/* `ring_slots`: a power of two, as small as 2. */
void fake_node_open(struct fake_node *n, uint32_t ring_slots);
void fake_node_close(struct fake_node *n);
/* Work done; at most a few requests. */
uint32_t fake_node_poll(struct fake_node *n);
/* Answers what was kept back; false: no room in the ring now. */
bool fake_node_release(struct fake_node *n);

#endif
