#include "sim/port_sim.h"

#include "base/assert.h"
#include "base/moment.h"
#include "base/prng.h"

#include <stdlib.h>
#include <string.h>

enum {
    /* Every queue full, and each node holding its senders' buffers and one burst of a link. */
    NET_FRAMES = NET_NODES_MAX * (NET_NODES_MAX - 1) * NET_QUEUE_MAX +
                 NET_NODES_MAX * (NET_TX_BUFFERS_MAX + (NET_NODES_MAX - 1) * NET_QUEUE_MAX),
    NET_BITS_FLIPPED_MAX = 4,
    NET_RECORD_EVERY = 16,
    NET_MISSENT_EVERY = 8, /* replays */
    NET_NONE = UINT32_MAX,
};

enum net_frame_state { NET_FREE, NET_SENDER, NET_WIRE, NET_RECEIVER };

struct net_frame {
    uint8_t state;
    uint8_t owner; /* node, in the states NET_SENDER and NET_RECEIVER */
    uint16_t length;
    uint32_t next_free;
    uint8_t bytes[PORT_FRAME_BYTES_MAX];
};

/* What stands in a queue; `order` breaks ties in the order of sending. */
struct net_flight {
    uint64_t arrival_ns;
    uint64_t order;
    uint32_t frame;
};

/* A binary heap: the earliest flight is the first. */
struct net_queue {
    uint32_t count;
    struct net_flight flight[NET_QUEUE_MAX];
};

struct port {
    struct net *net;
    uint32_t node;
    uint32_t sending;                             /* buffers that the senders hold */
    struct net_queue incoming[NET_NODES_MAX - 1]; /* by link */
    struct port_link_counters counters[NET_NODES_MAX - 1];
};

/* A frame as it left `from`. */
struct net_record {
    uint8_t from, to;
    uint16_t length;
    uint8_t bytes[PORT_FRAME_BYTES_MAX];
};

struct net {
    uint64_t now_ns;
    uint64_t order;
    uint32_t node_count;
    uint32_t free_first;
    uint32_t fresh; /* frames from here on were never used in this run, so a reset costs nothing */
    uint32_t tx_buffers;
    uint32_t queue_frames;
    struct prng prng;
    struct net_tap tap;
    struct net_faults faults;
    struct net_counters counters;
    bool cut[NET_NODES_MAX][NET_NODES_MAX];
    struct port port[NET_NODES_MAX];
    struct prng record_prng;
    bool recording;
    uint32_t record_count;
    struct net_record record[NET_RECORDS_MAX];
    struct net_frame frame[NET_FRAMES];
};

static uint32_t peer_of(uint32_t node, uint32_t link)
{
    return link < node ? link : link + 1;
}

static uint32_t link_to(uint32_t node, uint32_t peer)
{
    ASSERT(node != peer);
    return peer < node ? peer : peer - 1;
}

struct net *net_create(void)
{
    struct net *net = calloc(1, sizeof *net);

    ASSERT(net != NULL);
    return net;
}

void net_destroy(struct net *net)
{
    free(net);
}

void net_reset(struct net *net, uint32_t node_count, uint64_t seed, const struct net_tap *tap)
{
    ASSERT(node_count >= 2);
    ASSERT(node_count <= NET_NODES_MAX);
    net->now_ns = 0;
    net->order = 0;
    net->node_count = node_count;
    net->tx_buffers = NET_TX_BUFFERS_MAX;
    net->queue_frames = NET_QUEUE_MAX;
    net->tap = *tap;
    net->faults = (struct net_faults){.delay_min_ns = 1000, .delay_max_ns = 2000};
    net->counters = (struct net_counters){0};
    prng_seed(&net->prng, seed);
    prng_seed(&net->record_prng, hash_u64(seed, 1));
    net_record(net, false);
    net_heal(net);
    for (uint32_t n = 0; n < NET_NODES_MAX; n++) {
        struct port *port = &net->port[n];
        port->net = net;
        port->node = n;
        port->sending = 0;
        memset(port->counters, 0, sizeof port->counters);
        for (uint32_t link = 0; link < NET_NODES_MAX - 1; link++)
            port->incoming[link].count = 0;
    }
    net->free_first = NET_NONE;
    net->fresh = 0;
}

void net_set_faults(struct net *net, const struct net_faults *faults)
{
    ASSERT(faults->delay_min_ns <= faults->delay_max_ns);
    net->faults = *faults;
}

void net_set_limits(struct net *net, uint32_t tx_buffers, uint32_t queue_frames)
{
    ASSERT(tx_buffers >= 1);
    ASSERT(tx_buffers <= NET_TX_BUFFERS_MAX);
    ASSERT(queue_frames >= 1);
    ASSERT(queue_frames <= NET_QUEUE_MAX);
    net->tx_buffers = tx_buffers;
    net->queue_frames = queue_frames;
}

void net_advance(struct net *net, uint64_t now_ns)
{
    ASSERT(now_ns >= net->now_ns);
    net->now_ns = now_ns;
}

struct port *net_port(struct net *net, uint32_t node)
{
    ASSERT(node < net->node_count);
    return &net->port[node];
}

uint64_t net_next_arrival(const struct net *net, uint32_t node)
{
    const struct port *port = &net->port[node];
    uint64_t next = UINT64_MAX;

    for (uint32_t link = 0; link + 1 < net->node_count; link++) {
        const struct net_queue *q = &port->incoming[link];
        if (q->count > 0 && q->flight[0].arrival_ns < next)
            next = q->flight[0].arrival_ns;
    }
    return next;
}

void net_cut(struct net *net, uint32_t from, uint32_t to, bool cut)
{
    ASSERT(from < net->node_count);
    ASSERT(to < net->node_count);
    net->cut[from][to] = cut;
}

void net_heal(struct net *net)
{
    memset(net->cut, 0, sizeof net->cut);
}

bool net_is_cut(const struct net *net, uint32_t from, uint32_t to)
{
    return net->cut[from][to];
}

static uint32_t frame_take(struct net *net)
{
    const uint32_t taken = net->free_first;

    if (taken == NET_NONE) {
        ASSERT(net->fresh < NET_FRAMES); /* the pool is the sum of who may hold one */
        return net->fresh++;
    }
    ASSERT(net->frame[taken].state == NET_FREE);
    net->free_first = net->frame[taken].next_free;
    return taken;
}

static void frame_give(struct net *net, uint32_t frame)
{
    ASSERT(net->frame[frame].state != NET_FREE);
    net->frame[frame].state = NET_FREE;
    net->frame[frame].next_free = net->free_first;
    net->free_first = frame;
}

static uint32_t frame_of(const struct net *net, const struct port_buf *buf)
{
    const uint32_t frame = (uint32_t)((struct net_frame *)buf->handle - net->frame);

    ASSERT(frame < NET_FRAMES);
    return frame;
}

static bool flight_before(const struct net_flight *a, const struct net_flight *b)
{
    return a->arrival_ns != b->arrival_ns ? a->arrival_ns < b->arrival_ns : a->order < b->order;
}

static void queue_push(struct net_queue *q, struct net_flight flight)
{
    ASSERT(q->count < NET_QUEUE_MAX);
    uint32_t hole = q->count++;

    while (hole > 0 && flight_before(&flight, &q->flight[(hole - 1) / 2])) {
        q->flight[hole] = q->flight[(hole - 1) / 2];
        hole = (hole - 1) / 2;
    }
    q->flight[hole] = flight;
}

static uint32_t queue_pop(struct net_queue *q)
{
    ASSERT(q->count > 0);
    const uint32_t frame = q->flight[0].frame;
    const struct net_flight last = q->flight[--q->count];
    uint32_t hole = 0;

    for (uint32_t child = 1; child < q->count; child = 2 * hole + 1) {
        if (child + 1 < q->count && flight_before(&q->flight[child + 1], &q->flight[child]))
            child++;
        if (!flight_before(&q->flight[child], &last))
            break;
        q->flight[hole] = q->flight[child];
        hole = child;
    }
    q->flight[hole] = last;
    return frame;
}

void net_kill(struct net *net, uint32_t node)
{
    struct port *port = net_port(net, node);

    for (uint32_t i = 0; i < net->fresh; i++) {
        struct net_frame *f = &net->frame[i];
        if ((f->state == NET_SENDER || f->state == NET_RECEIVER) && f->owner == node)
            frame_give(net, i);
    }
    port->sending = 0;
    for (uint32_t link = 0; link + 1 < net->node_count; link++) {
        struct net_queue *q = &port->incoming[link];
        while (q->count > 0 && q->flight[0].arrival_ns <= net->now_ns)
            frame_give(net, queue_pop(q));
    }
}

const struct net_counters *net_counters(const struct net *net)
{
    return &net->counters;
}

uint32_t net_held(const struct net *net, uint32_t node)
{
    uint32_t held = 0;

    for (uint32_t i = 0; i < net->fresh; i++) {
        const struct net_frame *f = &net->frame[i];
        held += (f->state == NET_SENDER || f->state == NET_RECEIVER) && f->owner == node;
    }
    return held;
}

void net_record(struct net *net, bool on)
{
    net->recording = on;
    net->record_count = 0;
}

/* Once all places are taken, one frame in NET_RECORD_EVERY takes one: its age, counted in frames, is
 * then about exponential. */
static void record(struct net *net, uint32_t from, uint32_t to, const struct net_frame *f)
{
    uint32_t at = net->record_count;

    if (at < NET_RECORDS_MAX)
        net->record_count++;
    else if (prng_below(&net->record_prng, NET_RECORD_EVERY) == 0)
        at = (uint32_t)prng_below(&net->record_prng, NET_RECORDS_MAX);
    else
        return;
    struct net_record *kept = &net->record[at];
    kept->from = (uint8_t)from;
    kept->to = (uint8_t)to;
    kept->length = f->length;
    memcpy(kept->bytes, f->bytes, f->length);
}

uint32_t net_replay(struct net *net, struct prng *p)
{
    if (net->record_count == 0)
        return 0;
    const struct net_record *kept = &net->record[prng_below(p, net->record_count)];
    uint32_t to = kept->to;
    if (prng_below(p, NET_MISSENT_EVERY) == 0)
        to = (uint32_t)prng_below(p, net->node_count);
    const uint32_t from = to == kept->from ? kept->to : kept->from; /* it may come back */
    struct net_queue *q = &net->port[to].incoming[link_to(to, from)];
    if (q->count >= net->queue_frames)
        return 0;
    const uint32_t frame = frame_take(net);
    net->frame[frame].length = kept->length;
    memcpy(net->frame[frame].bytes, kept->bytes, kept->length);
    net->frame[frame].state = NET_WIRE;
    const uint64_t delay = prng_between(p, net->faults.delay_min_ns, net->faults.delay_max_ns);
    queue_push(q, (struct net_flight){
                      .arrival_ns = net->now_ns + delay, .order = net->order++, .frame = frame});
    return 1;
}

static bool drawn(struct net *net, uint32_t per_million, uint64_t *counter)
{
    if (per_million == 0 || !prng_chance(&net->prng, per_million))
        return false;
    *counter += 1;
    return true;
}

static void flip_bits(struct net *net, struct net_frame *f)
{
    const uint64_t flips = prng_between(&net->prng, 1, NET_BITS_FLIPPED_MAX);

    for (uint64_t i = 0; i < flips; i++) {
        const uint64_t bit = prng_below(&net->prng, (uint64_t)f->length * 8);
        f->bytes[bit / 8] ^= (uint8_t)(1U << (bit % 8));
    }
}

static uint64_t late_by(struct net *net)
{
    return net->faults.late_max_ns > 0 ? prng_below(&net->prng, net->faults.late_max_ns) : 0;
}

/* Takes the frame over: it is queued, or it is lost and back in the pool. */
static bool wire_take(struct net *net, struct net_queue *q, uint32_t frame, uint64_t extra_ns)
{
    if (q->count >= net->queue_frames) {
        net->counters.overflowed++;
        frame_give(net, frame);
        return false;
    }
    net->frame[frame].state = NET_WIRE;
    const uint64_t delay =
        prng_between(&net->prng, net->faults.delay_min_ns, net->faults.delay_max_ns);
    queue_push(q, (struct net_flight){.arrival_ns = net->now_ns + delay + extra_ns,
                                      .order = net->order++,
                                      .frame = frame});
    return true;
}

static void double_frame(struct net *net, struct net_queue *q, uint32_t frame)
{
    if (q->count >= net->queue_frames)
        return;
    const uint32_t copy = frame_take(net);

    net->frame[copy].length = net->frame[frame].length;
    memcpy(net->frame[copy].bytes, net->frame[frame].bytes, net->frame[frame].length);
    net->frame[copy].state = NET_WIRE;
    wire_take(net, q, copy, late_by(net));
}

/* One frame meets its fate. True: the wire has it. */
static bool send_frame(struct port *p, uint32_t link, uint32_t frame)
{
    struct net *net = p->net;
    const uint32_t to = peer_of(p->node, link);
    struct net_queue *q = &net->port[to].incoming[link_to(to, p->node)];
    struct net_frame *f = &net->frame[frame];

    ASSERT(f->state == NET_SENDER);
    ASSERT(f->owner == p->node);
    net->counters.sent++;
    net->tap.frame(net->tap.context, p->node, f->bytes, f->length);
    if (net->recording)
        record(net, p->node, to, f);
    if (net->cut[p->node][to] || drawn(net, net->faults.loss, &net->counters.lost)) {
        net->counters.cut += net->cut[p->node][to];
        frame_give(net, frame);
        return true; /* lost on the way, which the sender cannot see */
    }
    if (net->tap.change != NULL)
        net->tap.change(net->tap.context, p->node, f->bytes, f->length);
    if (drawn(net, net->faults.duplicate, &net->counters.duplicated))
        double_frame(net, q, frame);
    if (drawn(net, net->faults.corrupt, &net->counters.corrupted))
        flip_bits(net, f);
    const bool late = drawn(net, net->faults.reorder, &net->counters.reordered);
    return wire_take(net, q, frame, late ? late_by(net) : 0);
}

uint32_t port_link_count(const struct port *p)
{
    return p->net->node_count - 1;
}

raft_node port_link_peer(const struct port *p, uint32_t link)
{
    return (raft_node)(peer_of(p->node, link) + 1);
}

/* A cut is not seen from either end, as on a switched network. */
bool port_link_up(const struct port *p, uint32_t link)
{
    return link < port_link_count(p);
}

void port_link_counters(const struct port *p, uint32_t link, struct port_link_counters *out)
{
    ASSERT(link < port_link_count(p));
    *out = p->counters[link];
}

uint32_t port_rx_burst(struct port *p, uint32_t link, struct port_buf *bufs, uint32_t count)
{
    struct net *net = p->net;
    struct net_queue *q = &p->incoming[link];
    uint32_t got = 0;

    moment();
    ASSERT(link < port_link_count(p));
    while (got < count && q->count > 0 && q->flight[0].arrival_ns <= net->now_ns) {
        struct net_frame *f = &net->frame[queue_pop(q)];
        ASSERT(f->state == NET_WIRE);
        f->state = NET_RECEIVER;
        f->owner = (uint8_t)p->node;
        bufs[got++] = (struct port_buf){.handle = f, .bytes = f->bytes, .length = f->length};
    }
    p->counters[link].rx_frames += got;
    net->counters.received += got;
    return got;
}

void port_free(struct port *p, uint32_t link, const struct port_buf *bufs, uint32_t count)
{
    ASSERT(link < port_link_count(p));
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t frame = frame_of(p->net, &bufs[i]);
        ASSERT(p->net->frame[frame].state == NET_RECEIVER);
        ASSERT(p->net->frame[frame].owner == p->node);
        frame_give(p->net, frame);
    }
}

bool port_alloc(struct port *p, uint32_t link, struct port_buf *buf)
{
    ASSERT(link < port_link_count(p));
    if (p->sending >= p->net->tx_buffers) {
        p->counters[link].alloc_failed++;
        return false;
    }
    struct net_frame *f = &p->net->frame[frame_take(p->net)];
    f->state = NET_SENDER;
    f->owner = (uint8_t)p->node;
    p->sending++;
    *buf = (struct port_buf){.handle = f, .bytes = f->bytes};
    return true;
}

uint32_t port_tx_burst(struct port *p, uint32_t link, const struct port_buf *bufs, uint32_t count)
{
    uint32_t taken = 0;

    moment();
    ASSERT(link < port_link_count(p));
    ASSERT(count <= p->sending);
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t frame = frame_of(p->net, &bufs[i]);
        ASSERT(bufs[i].length <= PORT_FRAME_BYTES_MAX);
        p->net->frame[frame].length = (uint16_t)bufs[i].length;
        taken += send_frame(p, link, frame);
    }
    p->sending -= count;
    p->counters[link].tx_frames += taken;
    p->counters[link].tx_dropped += count - taken;
    return taken;
}

/* There is no bell: the scheduler looks at net_next_arrival(). */
void port_tx_flush(struct port *p)
{
    ASSERT(p->sending <= p->net->tx_buffers);
}
