/* tests/api/fake_node.c: the replica's side of a door, as short as it can be. */
#include "tests/api/fake_node.h"

#include <stdlib.h>
#include <string.h>

enum {
    FAKE_BURST = 64,
    FAKE_ANSWER_BYTES = 8 << 20,
    FAKE_SINK_BYTES = sizeof(struct result_header) + COMMAND_ITEM_BYTES_MAX,
    FAKE_STORE_BYTES = 64 << 20,
    FAKE_WORK_BUDGET = 256,
};

static const char fault_prefix[] = "fault/";

static struct spsc *ring_open(struct fake_node *n, uint32_t which, uint32_t slots, uint32_t bytes);
static bool fault(struct fake_node *n, const struct request *request);
static void begin(struct fake_node *n, const struct request *request);
static bool work(struct fake_node *n);
static bool send_piece(struct fake_node *n);
static void publish(struct fake_node *n);

void fake_node_open(struct fake_node *n, uint32_t ring_slots)
{
    const struct store_options options = {.quota_bytes = FAKE_STORE_BYTES};
    const size_t store_size = (store_bytes(&options) + 63) & ~(size_t)63;

    memset(n, 0, sizeof *n);
    n->door.number = 3;
    n->door.to_raft = ring_open(n, 0, ring_slots, sizeof(struct request));
    n->door.to_store = ring_open(n, 1, ring_slots, sizeof(struct request));
    n->door.from_raft = ring_open(n, 2, ring_slots, sizeof(struct answer));
    n->door.from_store = ring_open(n, 3, ring_slots, sizeof(struct answer));
    n->memory[4] = aligned_alloc(64, FAKE_ANSWER_BYTES);
    byte_ring_init(&n->answer_memory, n->memory[4], FAKE_ANSWER_BYTES);
    n->door.answer_memory = &n->answer_memory;
    n->memory[5] = aligned_alloc(64, store_size);
    memset(n->memory[5], 0, store_size);
    n->store = store_init(n->memory[5], store_size, &options);
    n->sink_bytes = malloc(FAKE_SINK_BYTES);
    published_set(&n->view.term, 7);
    published_set(&n->view.leader, 1);
    publish(n);
}

void fake_node_close(struct fake_node *n)
{
    for (uint32_t i = 0; i < sizeof n->memory / sizeof n->memory[0]; i++)
        free(n->memory[i]);
    free(n->sink_bytes);
}

uint32_t fake_node_poll(struct fake_node *n)
{
    uint32_t done = 0;

    for (; done < FAKE_BURST; done++) {
        struct request request;
        if (n->working && !work(n))
            break;
        if (spsc_room(n->door.from_raft, 1) == 0 || spsc_room(n->door.from_store, 1) == 0)
            break;
        if (spsc_pop(n->door.to_raft, &request, sizeof request, 1) == 0 &&
            spsc_pop(n->door.to_store, &request, sizeof request, 1) == 0)
            break;
        n->requests++;
        if (!fault(n, &request))
            begin(n, &request);
    }
    publish(n);
    return done;
}

bool fake_node_release(struct fake_node *n)
{
    while (n->silent_count > 0) {
        const struct answer answer = {.tag = n->silent[n->silent_count - 1]};
        if (spsc_push(n->door.from_raft, &answer, sizeof answer, 1) == 0)
            return false;
        n->silent_count--;
    }
    return true;
}

static struct spsc *ring_open(struct fake_node *n, uint32_t which, uint32_t slots, uint32_t bytes)
{
    n->memory[which] = aligned_alloc(CACHE_LINE_BYTES, spsc_bytes(slots, bytes));
    return spsc_init(n->memory[which], slots, bytes);
}

/* True: the request was taken care of. */
static bool fault(struct fake_node *n, const struct request *request)
{
    static const char *const names[] = {
#define FAULT_NAME(name) [ANSWER_##name] = #name,
        ANSWER_STATUS_LIST(FAULT_NAME)
#undef FAULT_NAME
    };
    const uint32_t prefix_bytes = sizeof fault_prefix - 1;
    struct answer answer = {.tag = request->tag};
    struct command command;

    if (!command_decode(request->bytes, request->length, &command))
        return false;
    if (command.key.length <= prefix_bytes ||
        memcmp(command.key.bytes, fault_prefix, prefix_bytes) != 0)
        return false;
    const char *name = (const char *)command.key.bytes + prefix_bytes;
    const size_t length = command.key.length - prefix_bytes;
    if (length == strlen("SILENT") && memcmp(name, "SILENT", length) == 0 &&
        n->silent_count < FAKE_SILENT_MAX) {
        n->silent[n->silent_count++] = request->tag;
        return true;
    }
    for (uint32_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (length == strlen(names[i]) && memcmp(name, names[i], length) == 0)
            answer.status = (uint8_t)i;
    }
    if (answer.status == ANSWER_OK)
        return false;
    spsc_push(n->door.from_raft, &answer, sizeof answer, 1); /* there was room */
    return true;
}

static void begin(struct fake_node *n, const struct request *request)
{
    n->busy = *request;
    n->working = true;
    n->piece_due = false;
    if (request->kind == REQUEST_PROPOSE)
        store_begin_apply(n->store, store_applied(n->store) + 1, request->bytes, request->length,
                          true);
    else
        store_begin_read(n->store, request->bytes, request->length);
}

/* False: it is not finished, for want of room. */
static bool work(struct fake_node *n)
{
    while (n->working) {
        if (n->piece_due && !send_piece(n))
            return false;
        if (!n->working)
            return true;
        n->sink = (struct store_sink){.bytes = n->sink_bytes, .size = FAKE_SINK_BYTES};
        enum store_progress progress = STORE_AGAIN;
        while (progress == STORE_AGAIN)
            progress = store_work(n->store, &n->sink, FAKE_WORK_BUDGET);
        n->answer = (struct answer){.tag = n->busy.tag,
                                    .index = store_applied(n->store),
                                    .revision = (uint64_t)store_revision(n->store),
                                    .length = n->sink.used,
                                    .more = progress == STORE_SINK_FULL};
        if (progress == STORE_DONE)
            n->answer.refusal = (uint8_t)store_outcome(n->store).refusal;
        n->piece_due = true;
    }
    return true;
}

static bool send_piece(struct fake_node *n)
{
    if (spsc_room(n->door.from_store, 1) == 0)
        return false;
    n->answer.bytes = NULL;
    if (n->answer.length > 0) {
        uint8_t *bytes = byte_ring_reserve(&n->answer_memory, n->answer.length);
        if (bytes == NULL)
            return false;
        memcpy(bytes, n->sink_bytes, n->answer.length);
        n->answer.bytes = bytes;
    }
    spsc_push(n->door.from_store, &n->answer, sizeof n->answer, 1);
    n->piece_due = false;
    n->working = n->answer.more;
    return true;
}

static void publish(struct fake_node *n)
{
    published_set(&n->view.applied, store_applied(n->store));
    published_set(&n->view.commit, store_applied(n->store));
    published_set(&n->view.revision, (uint64_t)store_revision(n->store));
    published_set(&n->view.store_bytes, store_logical_bytes(n->store));
}
