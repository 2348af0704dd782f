/* Goal:   a snapshot is pulled from whoever has it, its table first, and takes the place of the log; what
 *         does not belong to it changes nothing, and what is not true costs no more than itself; a silent source and
 *         a change of leader cost nothing that has arrived; who has it serves others. Requests that it passes over get one answer each, by an exact
 *         rule: UNKNOWN when nothing can tell any more, and not before.
 * Method: one real node that follows the puppet two. The snapshot is one that a store of the test emits, so
 *         that the real one can load it.
 */
#include "base/mark.h"
#include "replica/config_record.h"
#include "sim/disk_sim.h"
#include "store/snapshot.h"
#include "tests/replica/puppet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
    TERM = 5,
    CLUSTER = 7,
    INDEX = 20,
    CHAIN = 0x1234,
    CHUNK_BYTES = 4 << 10, /* of a world with a small log */
    CHUNK_PIECES = CHUNK_BYTES / FRAME_CHUNK_BYTES,
    VALUE_BYTES = 5000,
    QUOTA_BYTES = 1 << 20,
    BYTES_MAX = 128 << 10,
    BEAT_MS = 5, /* no puppet leads unless it is heard */
    RESEND_MS = 50,
    PATIENCE_MS = 2000,
};

struct fixture {
    struct puppets s;
    struct snapshot_header header;
    uint8_t content[BYTES_MAX];
    uint64_t checksum[BYTES_MAX / CHUNK_BYTES]; /* the table */
    uint8_t config[CONFIG_PAYLOAD_BYTES_MAX];
    uint32_t config_bytes;
    uint32_t chain;  /* of its last entry */
    uint64_t skip;   /* bit i: piece i of the content is not sent, once */
    uint64_t asked;  /* pieces of the content that were asked for */
    bool backwards;  /* pieces are sent from the last to the first */
    uint8_t spoilt;  /* not 0: these bits of the first byte are other than they should be */
    bool lies;       /* the table is another */
};

static const struct raft *real_raft(const struct fixture *t)
{
    return replica_raft(t->s.w->machine[0].replica);
}

static uint64_t counted(const struct fixture *t, enum frame_verdict verdict)
{
    return published_get(&t->s.w->machine[0].counters.raft_frames[verdict]);
}

/* ---- the snapshot ------------------------------------------------------------------------------ */

/* Of INDEX - 1 puts, into t->content. */
static void emit(struct fixture *t)
{
    const struct store_options options = {.quota_bytes = QUOTA_BYTES, .pin_bytes = QUOTA_BYTES};
    void *memory = aligned_alloc(DISK_SECTOR, store_bytes(&options));
    uint8_t value[VALUE_BYTES] = {0};
    static uint8_t bytes[VALUE_BYTES + 256];

    assert_non_null(memory);
    memset(memory, 0, store_bytes(&options));
    struct store *store = store_init(memory, store_bytes(&options), &options);
    store_skip(store, 1);
    for (uint64_t index = 2; index <= INDEX; index++) {
        const uint8_t key = (uint8_t)index;
        const struct command put = {
            .kind = COMMAND_PUT, .key = {&key, 1}, .value = {value, sizeof value}};
        memset(value, (int)index, sizeof value);
        store_begin_apply(store, index, bytes, command_encode(&put, bytes), false);
        while (store_work(store, NULL, 100) != STORE_DONE)
            continue;
    }
    assert_true(store_pin(store));
    t->header.bytes = store_pinned_bytes(store);
    assert_true(t->header.bytes <= sizeof t->content);
    for (uint64_t at = 0; at < t->header.bytes;)
        at += store_emit(store, t->content + at, (uint32_t)(t->header.bytes - at), 1000);
    free(memory);
}

static void make_snapshot(struct fixture *t, raft_term term)
{
    struct snapshot_header *h = &t->header;
    static uint8_t chunk[CHUNK_BYTES];
    t->config_bytes = config_record_encode(raft_config(real_raft(t)), QUOTA_BYTES, t->config);
    *h = (struct snapshot_header){.cluster = CLUSTER, .index = INDEX, .term = term,
                                  .chunk_bytes = CHUNK_BYTES, .chain = t->chain, .config_index = 1,
                                  .config_bytes = t->config_bytes};
    memcpy(h->config, t->config, t->config_bytes);
    emit(t);
    for (uint32_t i = 0; i < snapshot_chunk_count(h->bytes, CHUNK_BYTES); i++) {
        memset(chunk, 0, sizeof chunk);
        memcpy(chunk, t->content + (size_t)i * CHUNK_BYTES, snapshot_chunk_length(h, i));
        t->checksum[i] = snapshot_checksum(chunk, snapshot_chunk_span(h, i));
    }
    snapshot_seal(h);
    h->digest = snapshot_digest(h, t->checksum);
    snapshot_seal(h);
}

static struct frame offer_of(const struct fixture *t, raft_term term)
{
    const struct snapshot_header *h = &t->header;

    return (struct frame){
        .type = FRAME_SNAPSHOT_OFFER,
        .snapshot = {.index = h->index, .term = h->term, .bytes = h->bytes, .digest = h->digest,
                     .config_index = 1, .sender_term = term, .chunk_bytes = CHUNK_BYTES,
                     .chain = t->chain},
        .body = t->config,
        .body_bytes = t->config_bytes,
    };
}

static int set_up(void **state)
{
    *state = malloc(sizeof(struct fixture));
    return *state == NULL;
}

static int tear_down(void **state)
{
    free(*state);
    return 0;
}

/* The real node is a follower of two, in TERM, with nothing in its log. The snapshot's last entry is of
 * `term`, and has the checksum `chain`. */
static void follow_before(struct fixture *t, raft_term term, uint32_t chain)
{
    *t = (struct fixture){.chain = chain};
    puppets_open(&t->s);
    world_kill(t->s.w, 0);
    t->s.w->small_log = true;
    world_start(t->s.w, 0);
    puppets_begin(&t->s);
    puppet_lead(t->s.two, TERM, 1);
    assert_int_equal(raft_leader(real_raft(t)), 2);
    puppet_drop(t->s.two);
    puppet_drop(t->s.three);
    make_snapshot(t, term);
}

static void follow_with(struct fixture *t, raft_term term)
{
    follow_before(t, term, CHAIN);
}

static void follow(struct fixture *t)
{
    follow_with(t, TERM - 1);
}

static void beat(struct puppet *p, raft_term term)
{
    puppet_say(p, &(struct raft_msg){.type = RAFT_MSG_HEARTBEAT, .term = term});
}

static void offer(struct fixture *t, struct puppet *p, raft_term term)
{
    const struct frame f = offer_of(t, term);

    puppet_send(p, &f);
}

/* ---- who serves ---------------------------------------------------------------------------------- */

/* As an answer to `ask`. */
static struct frame piece_of(const struct fixture *t, const struct frame_snapshot *ask, uint64_t offset)
{
    const uint64_t left = frame_snapshot_extent(ask) - offset;

    return (struct frame){
        .type = FRAME_SNAPSHOT_PIECE,
        .snapshot = {.index = t->header.index, .term = t->header.term, .bytes = t->header.bytes,
                     .digest = t->header.digest, .offset = offset, .chunk_bytes = ask->chunk_bytes},
        .body_bytes = left < FRAME_CHUNK_BYTES ? (uint32_t)left : FRAME_CHUNK_BYTES,
    };
}

static void send_table(struct fixture *t, struct puppet *p, const struct frame_snapshot *ask)
{
    uint64_t table[BYTES_MAX / CHUNK_BYTES];
    struct frame f = piece_of(t, ask, 0);

    assert_int_equal(ask->chunk_bytes, CHUNK_BYTES);
    assert_int_equal(ask->offset, 0);
    assert_int_equal(ask->bitmap, 1); /* so small it is */
    memcpy(table, t->checksum, f.body_bytes);
    table[1] ^= t->lies;
    f.body = (const uint8_t *)table;
    puppet_send(p, &f);
}

static void send_piece(struct fixture *t, struct puppet *p, const struct frame_snapshot *ask,
                       uint32_t piece)
{
    uint8_t body[FRAME_CHUNK_BYTES];
    struct frame f = piece_of(t, ask, (uint64_t)piece * FRAME_CHUNK_BYTES);

    if (piece < 64 && (t->skip >> piece & 1) != 0) {
        t->skip &= ~(1ull << piece);
        return;
    }
    while (p->number >= p->granted) /* as a real one would wait for room */
        assert_non_null(puppet_next(p, FRAME_CREDIT, 0, 100));
    memcpy(body, t->content + f.snapshot.offset, f.body_bytes);
    if (piece == 0)
        body[0] ^= t->spoilt;
    f.body = body;
    puppet_send(p, &f);
}

/* Answers one question, if one comes in `ms`. */
static bool answer_one(struct fixture *t, struct puppet *p, uint64_t ms)
{
    const struct frame *f = puppet_next(p, FRAME_SNAPSHOT_ASK, 0, ms);

    if (f == NULL)
        return false;
    const struct frame_snapshot s = f->snapshot;
    assert_int_equal(s.index, t->header.index);
    assert_int_equal(s.digest, t->header.digest);
    if (s.chunk_bytes != 0)
        send_table(t, p, &s);
    if (s.chunk_bytes != 0)
        return true;
    const uint32_t first = (uint32_t)(s.offset / FRAME_CHUNK_BYTES);
    for (uint32_t i = 0; i < FRAME_PIECES_MAX; i++) {
        const uint32_t bit = t->backwards ? FRAME_PIECES_MAX - 1 - i : i;
        if ((s.bitmap >> bit & 1) == 0)
            continue;
        t->asked++;
        send_piece(t, p, &s, first + bit);
    }
    return true;
}

static bool is_installed(const struct fixture *t)
{
    return raft_base(real_raft(t)) == INDEX;
}

static uint64_t pieces(const struct fixture *t)
{
    return (t->header.bytes + FRAME_CHUNK_BYTES - 1) / FRAME_CHUNK_BYTES;
}

/* `p` serves and `leader` leads, until the snapshot is installed or `ms` are over. What comes when all
 * pieces were asked for is left for the test to look at. */
static bool serve(struct fixture *t, struct puppet *p, struct puppet *leader, uint64_t ms)
{
    const uint64_t all = pieces(t) + (uint64_t)__builtin_popcountll(t->skip);

    for (uint64_t at = 0; at < ms && !is_installed(t); at += BEAT_MS) {
        beat(leader, raft_term_now(real_raft(t)));
        while (t->asked < all && answer_one(t, p, BEAT_MS))
            continue;
        world_run_ms(t->s.w, 1);
    }
    return is_installed(t);
}

/* The store has it, and the log goes on behind it. */
static void is_loaded(struct fixture *t)
{
    const struct node_view *view = &t->s.w->machine[0].view;

    world_run_ms(t->s.w, 50);
    assert_int_equal(published_get(&view->applied), INDEX);
    assert_int_equal(published_get(&view->revision), INDEX); /* 1 and a put each */
    assert_int_equal(raft_last(real_raft(t)), INDEX);
    assert_int_equal(replica_held(t->s.w->machine[0].replica).transfers, 0);
}

/* ---- pulled -------------------------------------------------------------------------------------- */

static void it_is_pulled_and_installed(void **state)
{
    struct fixture *t = *state;

    follow(t);
    offer(t, t->s.two, TERM);
    assert_true(serve(t, t->s.two, t->s.two, PATIENCE_MS));
    const struct frame *f = puppet_next(t->s.two, FRAME_RAFT, RAFT_MSG_APPEND_REPLY, 50);
    assert_non_null(f); /* acknowledged as an append is */
    assert_int_equal(f->raft.match, INDEX);
    assert_int_equal(t->asked, pieces(t));
    is_loaded(t);
    offer(t, t->s.two, TERM); /* as if that reply was lost */
    f = puppet_next(t->s.two, FRAME_SNAPSHOT_DONE, 0, 50);
    assert_non_null(f);
    assert_int_equal(f->snapshot.index, INDEX);
    puppets_close(&t->s);
}

static void lost_pieces_alone_are_asked_for_again(void **state)
{
    struct fixture *t = *state;

    follow(t);
    t->skip = 1ull << 3 | 1ull << 17 | 1ull << 18;
    t->backwards = true;
    offer(t, t->s.two, TERM);
    assert_true(serve(t, t->s.two, t->s.two, PATIENCE_MS));
    assert_int_equal(t->asked, pieces(t) + 3);
    is_loaded(t);
    puppets_close(&t->s);
}

/* Another term, size or digest, or from somebody who was not asked: none of it is taken, and the true pieces are. */
static void pieces_of_others_are_not_taken(void **state)
{
    struct fixture *t = *state;
    uint8_t body[FRAME_CHUNK_BYTES] = {1};

    follow(t);
    offer(t, t->s.two, TERM);
    assert_true(answer_one(t, t->s.two, 20)); /* the table */
    const struct frame *ask = puppet_next(t->s.two, FRAME_SNAPSHOT_ASK, 0, 20);
    assert_non_null(ask);
    struct frame f = piece_of(t, &ask->snapshot, 0);
    f.body = body;
    for (uint32_t i = 0; i < 5; i++) {
        struct frame other = f;
        other.snapshot.index += i == 0;
        other.snapshot.term += i == 1;
        other.snapshot.bytes += i == 2;
        other.snapshot.digest += i == 3;
        puppet_send(i == 4 ? t->s.three : t->s.two, &other);
    }
    for (uint32_t i = 0; i < 3; i++) { /* counters are published now and then, when there is work */
        beat(t->s.two, TERM);
        world_run_ms(t->s.w, 6);
    }
    assert_int_equal(counted(t, FRAME_UNEXPECTED_VERDICT), 5);
    puppet_drop(t->s.two); /* it asks again */
    assert_true(serve(t, t->s.two, t->s.two, PATIENCE_MS));
    is_loaded(t);
    puppets_close(&t->s);
}

/* It is refused at once, and asked of another; who sent it is left alone. */
static void a_false_chunk_costs_no_more_than_itself(void **state)
{
    struct fixture *t = *state;

    follow(t);
    t->spoilt = 1;
    offer(t, t->s.two, TERM);
    for (uint32_t i = 0; i < 3; i++) /* the table and two chunks, of which one is false */
        assert_true(answer_one(t, t->s.two, 20));
    assert_int_equal(t->asked, 2 * CHUNK_PIECES);
    t->asked -= CHUNK_PIECES; /* the false one is still to come */
    world_run_ms(t->s.w, 2);
    puppet_drop(t->s.two);
    t->spoilt = 0;
    assert_true(serve(t, t->s.three, t->s.two, PATIENCE_MS));
    assert_int_equal(t->asked, pieces(t));
    assert_null(puppet_next(t->s.two, FRAME_SNAPSHOT_ASK, 0, 1));
    is_loaded(t);
    puppets_close(&t->s);
}

/* Not a byte of content is asked of whoever has it. */
static void a_false_table_is_not_believed(void **state)
{
    struct fixture *t = *state;

    follow(t);
    t->lies = true;
    offer(t, t->s.two, TERM);
    assert_true(answer_one(t, t->s.two, 20));
    world_run_ms(t->s.w, 2);
    assert_null(puppet_next(t->s.two, FRAME_SNAPSHOT_ASK, 0, 1));
    t->lies = false;
    assert_true(serve(t, t->s.three, t->s.two, PATIENCE_MS));
    assert_int_equal(t->asked, pieces(t));
    is_loaded(t);
    puppets_close(&t->s);
}

/* The pull ends; who offers the snapshot again is asked again. */
static void nobody_is_left_to_be_believed(void **state)
{
    struct fixture *t = *state;

    follow(t);
    t->lies = true;
    offer(t, t->s.two, TERM);
    assert_true(answer_one(t, t->s.two, 20));
    assert_true(answer_one(t, t->s.three, 20));
    world_run_ms(t->s.w, 5);
    assert_int_equal(replica_held(t->s.w->machine[0].replica).transfers, 0);
    assert_null(puppet_next(t->s.two, FRAME_SNAPSHOT_ASK, 0, RESEND_MS));
    assert_int_equal(raft_commit(real_raft(t)), 0);
    t->lies = false;
    offer(t, t->s.two, TERM);
    assert_true(serve(t, t->s.two, t->s.two, PATIENCE_MS));
    is_loaded(t);
    puppets_close(&t->s);
}

static void silent_source_is_left(void **state)
{
    struct fixture *t = *state;

    follow(t);
    offer(t, t->s.two, TERM);
    assert_true(answer_one(t, t->s.two, 20));
    assert_true(answer_one(t, t->s.two, 20)); /* a chunk of it, and then nothing any more */
    assert_true(serve(t, t->s.three, t->s.two, PATIENCE_MS));
    assert_true(t->asked <= pieces(t));
    is_loaded(t);
    puppets_close(&t->s);
}

static void another_leader_goes_on_where_it_was(void **state)
{
    struct fixture *t = *state;

    follow(t);
    offer(t, t->s.two, TERM);
    assert_true(answer_one(t, t->s.two, 20));
    assert_true(answer_one(t, t->s.two, 20));
    beat(t->s.three, TERM + 1);
    world_run_ms(t->s.w, 1);
    assert_int_equal(raft_leader(real_raft(t)), 3);
    offer(t, t->s.three, TERM + 1);
    assert_true(serve(t, t->s.three, t->s.three, 40)); /* no longer than no silence would take */
    assert_true(t->asked <= pieces(t));
    const struct frame *f = puppet_next(t->s.three, FRAME_RAFT, RAFT_MSG_APPEND_REPLY, 50);
    assert_non_null(f); /* to the leader of our term, whoever it came from */
    assert_int_equal(f->raft.match, INDEX);
    is_loaded(t);
    puppets_close(&t->s);
}

/* The disk has lost it. While the same comes from a peer no other is wished for: it would have to begin anew. */
static void who_pulls_wishes_no_other(void **state)
{
    struct fixture *t = *state;
    struct world *w;
    uint64_t length;
    char name[DISK_NAME_BYTES];

    follow(t);
    w = t->s.w;
    offer(t, t->s.two, TERM);
    assert_true(serve(t, t->s.two, t->s.two, PATIENCE_MS));
    is_loaded(t);
    world_kill(w, 0);
    snapshot_name(name, INDEX);
    memset(disk_sim_bytes(w->machine[0].disk, name, &length), 0, SNAPSHOT_DATA_OFFSET);
    world_start(w, 0);
    t->s.two->number = 0;
    puppet_greet(t->s.two, INDEX);
    for (uint32_t pulls = 0; pulls < 2; pulls++) {
        beat(t->s.two, TERM);
        const struct frame *f = puppet_next(t->s.two, FRAME_RAFT, RAFT_MSG_HEARTBEAT_REPLY, BEAT_MS);
        assert_non_null(f);
        assert_int_equal(f->wants_snapshot, pulls == 0);
        offer(t, t->s.two, TERM);
        world_run_ms(w, 1);
        puppet_drop(t->s.two);
    }
    puppets_close(&t->s);
}

/* ---- overtaken ----------------------------------------------------------------------------------- */

enum { STORE_SLOTS = 64, DELAYS = 6 };

struct entries {
    _Alignas(RECORD_ALIGN) uint8_t bytes[INDEX + 1][RECORD_HEADER_BYTES];
};

/* The log that ends with the snapshot point. Its last checksum. */
static uint32_t make_entries(struct entries *e)
{
    uint32_t chain = 0;

    for (raft_index index = 1; index <= INDEX; index++) {
        const struct record_spec spec = {.type = index == INDEX ? RECORD_SNAPSHOT : RECORD_EMPTY,
                                         .cluster = CLUSTER, .index = index, .term = TERM, .chain = chain};
        chain = record_encode(&spec, e->bytes[index]);
    }
    return chain;
}

static void append_entry(struct fixture *t, const struct entries *e, raft_index index)
{
    puppet_append(t->s.two, TERM, record_at(e->bytes[index]), index > 1 ? TERM : 0, 1);
    world_run_ms(t->s.w, 1);
}

/* The store rests, and reads fill the ring to it. */
static void fill_store_ring(struct fixture *t)
{
    uint8_t bytes[128];
    const struct command query = {.kind = QUERY_RANGE, .key = {(const uint8_t *)"k", 1}};
    const uint32_t length = command_encode(&query, bytes);

    t->s.w->resting = REPLICA_STORE;
    for (uint32_t i = 0; i <= STORE_SLOTS; i++) {
        world_push(t->s.w, 0, REQUEST_READ, bytes, length);
        world_turn(t->s.w);
    }
    while (replica_held(t->s.w->machine[0].replica).reads > 1) {
        beat(t->s.two, TERM);
        const struct frame *f = puppet_next(t->s.two, FRAME_RAFT, RAFT_MSG_READ_INDEX, RESEND_MS);
        assert_non_null(f);
        puppet_say(t->s.two, &(struct raft_msg){.type = RAFT_MSG_READ_INDEX_REPLY, .term = TERM,
                                                .number = f->raft.number, .commit = 1});
        world_run_ms(t->s.w, 1);
    }
}

/* All pieces are sent, and nothing is said of what is committed, until the file has its name. */
static void serve_until_named(struct fixture *t)
{
    uint64_t length;
    char name[DISK_NAME_BYTES];

    snapshot_name(name, INDEX);
    offer(t, t->s.two, TERM);
    while (disk_sim_bytes(t->s.w->machine[0].disk, name, &length) == NULL) {
        if (t->asked < pieces(t))
            answer_one(t, t->s.two, BEAT_MS);
        else
            world_turn(t->s.w);
        assert_in_range(t->s.w->now_ns, 0, 10ull * 1000000000);
    }
}

/* The log has all that the snapshot stands for, and just when that is ready it is known to be committed: it is
 * used like one of our own, but not before the store has been given what it stands for. */
static void log_gets_there_first(void **state)
{
    struct fixture *t = *state;
    struct entries e;
    const uint32_t chain = make_entries(&e);

    for (uint32_t delay = 0; delay < DELAYS; delay++) {
        follow_before(t, TERM, chain);
        append_entry(t, &e, 1);
        fill_store_ring(t);
        for (raft_index index = 2; index <= INDEX; index++)
            append_entry(t, &e, index);
        serve_until_named(t);
        for (uint32_t i = 0; i < delay; i++)
            world_turn(t->s.w);
        puppet_say(t->s.two, &(struct raft_msg){.type = RAFT_MSG_HEARTBEAT, .term = TERM, .commit = INDEX});
        world_run_ms(t->s.w, 20);
        t->s.w->resting = REPLICA_ROLE_COUNT;
        world_run_ms(t->s.w, 50);
        assert_int_equal(published_get(&t->s.w->machine[0].view.applied), INDEX);
        puppets_close(&t->s);
    }
    assert_true(mark_count[MARK_PULLED_LIKE_MADE] > 0);
}

/* ---- served -------------------------------------------------------------------------------------- */

static void who_has_it_serves(void **state)
{
    struct fixture *t = *state;
    struct frame ask = offer_of(t, 0);

    follow(t);
    offer(t, t->s.two, TERM);
    assert_true(serve(t, t->s.two, t->s.two, PATIENCE_MS));
    is_loaded(t);
    puppet_drop(t->s.three);
    puppet_send(t->s.three, &(struct frame){.type = FRAME_SNAPSHOT_WANT, .snapshot = {.index = INDEX}});
    const struct frame *f = puppet_next(t->s.three, FRAME_SNAPSHOT_OFFER, 0, 20);
    assert_non_null(f);
    assert_int_equal(f->snapshot.digest, t->header.digest);
    assert_int_equal(f->snapshot.chain, CHAIN);
    assert_memory_equal(f->body, t->config, t->config_bytes);

    ask = offer_of(t, 0);
    ask.type = FRAME_SNAPSHOT_ASK;
    ask.snapshot.config_index = ask.snapshot.sender_term = 0;
    ask.snapshot.chunk_bytes = ask.snapshot.chain = 0;
    ask.body_bytes = 0;
    ask.snapshot.offset = 2 * CHUNK_BYTES;
    ask.snapshot.bitmap = 0x9;
    puppet_send(t->s.three, &ask);
    for (uint32_t i = 0; i < 2; i++) {
        f = puppet_next(t->s.three, FRAME_SNAPSHOT_PIECE, 0, 20);
        assert_non_null(f);
        assert_int_equal(f->snapshot.offset, 2 * CHUNK_BYTES + 3 * i * FRAME_CHUNK_BYTES);
        assert_memory_equal(f->body, t->content + f->snapshot.offset, FRAME_CHUNK_BYTES);
    }
    assert_null(puppet_next(t->s.three, FRAME_SNAPSHOT_PIECE, 0, 20));

    ask.snapshot.chunk_bytes = CHUNK_BYTES; /* and of the table */
    ask.snapshot.offset = 0;
    ask.snapshot.bitmap = 1;
    puppet_send(t->s.three, &ask);
    f = puppet_next(t->s.three, FRAME_SNAPSHOT_PIECE, 0, 20);
    assert_non_null(f);
    assert_int_equal(f->snapshot.chunk_bytes, CHUNK_BYTES);
    assert_int_equal(f->body_bytes, frame_snapshot_extent(&ask.snapshot));
    assert_memory_equal(f->body, t->checksum, f->body_bytes);
    ask.snapshot.chunk_bytes = 2 * CHUNK_BYTES; /* which nobody has */
    puppet_send(t->s.three, &ask);
    assert_null(puppet_next(t->s.three, FRAME_SNAPSHOT_PIECE, 0, 20));
    ask.snapshot.chunk_bytes = 0;

    ask.snapshot.index = INDEX - 1; /* an older one: it hears of ours */
    puppet_send(t->s.three, &ask);
    assert_non_null(puppet_next(t->s.three, FRAME_SNAPSHOT_OFFER, 0, 20));
    ask.snapshot.index = INDEX;
    ask.snapshot.digest++; /* the same and yet another: nobody can tell */
    puppet_send(t->s.three, &ask);
    assert_null(puppet_next(t->s.three, FRAME_SNAPSHOT_OFFER, 0, 20));
    puppets_close(&t->s);
}

/* ---- requests ------------------------------------------------------------------------------------ */

static uint32_t encode_put(uint8_t *bytes)
{
    const struct command put = {
        .kind = COMMAND_PUT, .key = {(const uint8_t *)"k", 1}, .value = {(const uint8_t *)"v", 1}};

    return command_encode(&put, bytes);
}

/* A put of the real node's client, which two takes; its log ends with `last`. The client's tag. */
static uint64_t put(struct fixture *t, uint64_t position, raft_index last)
{
    uint8_t bytes[128];

    world_push(t->s.w, 0, REQUEST_PROPOSE, bytes, encode_put(bytes));
    beat(t->s.two, TERM);
    const struct frame *f = puppet_next(t->s.two, FRAME_FORWARD, 0, RESEND_MS + 20);
    assert_non_null(f);
    assert_int_equal(f->forward.position, position);
    puppet_send(t->s.two, &(struct frame){.type = FRAME_FORWARD_ACK,
                                          .forward = {.term = TERM, .position = position + 1, .last = last}});
    world_run_ms(t->s.w, 1);
    return t->s.w->machine[0].client.tag;
}

static void install(struct fixture *t)
{
    offer(t, t->s.two, TERM);
    assert_true(serve(t, t->s.two, t->s.two, PATIENCE_MS));
    is_loaded(t);
}

/* The entry behind the snapshot: of the client's request `tag`, or of nobody. */
static void append(struct fixture *t, raft_term term, uint64_t tag)
{
    static _Alignas(RECORD_ALIGN) uint8_t bytes[256];
    uint8_t payload[128];
    struct record_spec spec = {.type = RECORD_EMPTY, .cluster = CLUSTER, .index = INDEX + 1,
                               .term = term, .chain = CHAIN};

    if (tag != 0) {
        spec.type = RECORD_COMMAND;
        spec.origin = (struct record_origin){
            .request = tag, .boot = t->s.w->machine[0].boot, .node = 1};
        spec.payload = payload;
        spec.payload_bytes = encode_put(payload);
    }
    record_encode(&spec, bytes);
    puppet_append(t->s.two, term, record_at(bytes), t->header.term, INDEX + 1);
    world_run_ms(t->s.w, 5);
}

static void is_answered(const struct fixture *t, enum answer_status status)
{
    const struct client *client = &t->s.w->machine[0].client;

    assert_true(client->answered);
    assert_int_equal(client->answer.status, status);
    assert_int_equal(client->pieces, 1); /* once */
}

/* Its last entry is of an earlier term than the stream: nothing of the stream is in it. */
static void what_is_not_in_it_is_in_no_doubt(void **state)
{
    struct fixture *t = *state;

    follow_with(t, TERM - 1);
    const uint64_t tag = put(t, 0, INDEX);
    install(t);
    assert_false(t->s.w->machine[0].client.answered);
    append(t, TERM, tag);
    is_answered(t, ANSWER_OK);
    puppets_close(&t->s);
}

/* The leader's log ended with the snapshot when it took the request: no later entry can be that one. */
static void a_quiet_cluster_leaves_nothing_open(void **state)
{
    struct fixture *t = *state;

    follow_with(t, TERM);
    put(t, 0, INDEX);
    install(t);
    is_answered(t, ANSWER_UNKNOWN);
    puppets_close(&t->s);
}

/* It ended one entry further: that one decides. */
static void the_next_entry_may_be_ours(void **state)
{
    struct fixture *t = *state;

    for (uint32_t ours = 0; ours < 2; ours++) {
        follow_with(t, TERM);
        const uint64_t tag = put(t, 0, INDEX + 1);
        install(t);
        assert_false(t->s.w->machine[0].client.answered);
        append(t, TERM, ours != 0 ? tag : 0);
        is_answered(t, ours != 0 ? ANSWER_OK : ANSWER_UNKNOWN);
        puppets_close(&t->s);
    }
}

/* Of two requests the later one is seen to be committed: the earlier one was in the snapshot, or nowhere. */
static void a_later_one_decides_the_earlier(void **state)
{
    struct fixture *t = *state;

    for (uint32_t later = 0; later < 2; later++) {
        follow_with(t, TERM);
        const uint64_t first = put(t, 0, INDEX + 9);
        install(t);
        const uint64_t second = put(t, 1, INDEX + 9);
        struct client *client = &t->s.w->machine[0].client;
        assert_false(client->answered);
        client->tag = later != 0 ? second : first; /* the one that is looked at */
        append(t, TERM, second);
        is_answered(t, later != 0 ? ANSWER_OK : ANSWER_UNKNOWN);
        assert_int_equal(replica_held(t->s.w->machine[0].replica).requests, 0);
        puppets_close(&t->s);
    }
}

static void a_later_term_decides_all(void **state)
{
    struct fixture *t = *state;

    follow_with(t, TERM);
    put(t, 0, INDEX + 9);
    install(t);
    beat(t->s.two, TERM + 1);
    world_run_ms(t->s.w, 5);
    assert_false(t->s.w->machine[0].client.answered);
    append(t, TERM + 1, 0);
    is_answered(t, ANSWER_UNKNOWN);
    puppets_close(&t->s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_pulled_and_installed),
        cmocka_unit_test(lost_pieces_alone_are_asked_for_again),
        cmocka_unit_test(pieces_of_others_are_not_taken),
        cmocka_unit_test(a_false_chunk_costs_no_more_than_itself),
        cmocka_unit_test(a_false_table_is_not_believed),
        cmocka_unit_test(nobody_is_left_to_be_believed),
        cmocka_unit_test(silent_source_is_left),
        cmocka_unit_test(another_leader_goes_on_where_it_was),
        cmocka_unit_test(who_pulls_wishes_no_other),
        cmocka_unit_test(log_gets_there_first),
        cmocka_unit_test(who_has_it_serves),
        cmocka_unit_test(what_is_not_in_it_is_in_no_doubt),
        cmocka_unit_test(a_quiet_cluster_leaves_nothing_open),
        cmocka_unit_test(the_next_entry_may_be_ours),
        cmocka_unit_test(a_later_one_decides_the_earlier),
        cmocka_unit_test(a_later_term_decides_all),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
