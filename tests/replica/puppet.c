/* tests/replica/puppet.c: see puppet.h. */
#include "tests/replica/puppet.h"

#include "sim/port_sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { CLUSTER = 7, REAL = 0, LINK_TO_REAL = 0, HEARTBEAT_MS = 20, NEW_INCARNATION = 4444 };

struct puppet *puppet_new(struct world *w, uint32_t n)
{
    struct puppet *p = calloc(1, sizeof *p);

    assert_non_null(p);
    assert_null(w->machine[n].replica);
    assert_true(n != REAL);
    p->w = w;
    p->n = n;
    p->incarnation = w->machine[n].incarnation != 0 ? w->machine[n].incarnation : NEW_INCARNATION;
    p->boot = 2;
    p->grants = 1 << 20;
    return p;
}

void puppet_delete(struct puppet *p)
{
    free(p);
}

void puppet_send_as_it_is(struct puppet *p, const struct frame *f)
{
    const struct frame_route route = {.source_ip = 1, .target_ip = 2};
    struct port *port = net_port(p->w->net, p->n);
    struct port_buf buf;

    assert_true(port_alloc(port, LINK_TO_REAL, &buf));
    buf.length = frame_encode(f, CLUSTER, &route, buf.bytes);
    assert_int_equal(port_tx_burst(port, LINK_TO_REAL, &buf, 1), 1);
}

void puppet_send(struct puppet *p, const struct frame *f)
{
    const struct machine *real = &p->w->machine[REAL];
    struct frame out = *f;

    out.source = (raft_node)(p->n + 1);
    out.source_boot = p->boot;
    out.source_incarnation = p->incarnation;
    out.target = REAL + 1;
    out.target_boot = real->boot;
    out.target_incarnation = real->incarnation;
    out.credit = p->grants;
    if (!frame_is_control(&out))
        out.number = ++p->number;
    if (out.type == FRAME_RAFT) {
        out.raft.from = out.source;
        out.raft.to = out.target;
        out.raft.incarnation = out.source_incarnation;
    }
    puppet_send_as_it_is(p, &out);
}

void puppet_say(struct puppet *p, const struct raft_msg *m)
{
    puppet_send(p, &(struct frame){.type = FRAME_RAFT, .raft = *m});
}

static void receive(struct puppet *p)
{
    struct port *port = net_port(p->w->net, p->n);
    struct port_buf buf;

    while (port_rx_burst(port, LINK_TO_REAL, &buf, 1) == 1) {
        assert_true(p->count < PUPPET_FRAMES_MAX);
        const uint32_t place = (p->first + p->count++) % PUPPET_FRAMES_MAX;
        struct frame *f = &p->frame[place];
        assert_int_equal(frame_decode(buf.bytes, buf.length, CLUSTER, f), FRAME_OK_VERDICT);
        if (f->body_bytes > 0)
            memcpy(p->body[place], f->body, f->body_bytes);
        f->body = p->body[place];
        if (f->credit > p->granted)
            p->granted = f->credit;
        port_free(port, LINK_TO_REAL, &buf, 1);
    }
}

const struct frame *puppet_next(struct puppet *p, uint32_t type, uint32_t raft_type, uint64_t ms)
{
    const uint64_t end_ns = p->w->now_ns + ms * 1000000;

    for (;;) {
        receive(p);
        while (p->count > 0) {
            const struct frame *f = &p->frame[p->first];
            p->first = (p->first + 1) % PUPPET_FRAMES_MAX;
            p->count--;
            if (f->type == type && (raft_type == 0 || f->raft.type == raft_type))
                return f;
        }
        if (p->w->now_ns >= end_ns)
            return NULL;
        world_turn(p->w);
    }
}

void puppet_drop(struct puppet *p)
{
    receive(p);
    p->count = 0;
}

void puppet_restart(struct puppet *p)
{
    p->boot++;
    p->number = 0;
    p->granted = 0;
}

void puppet_greet(struct puppet *p, raft_index last)
{
    puppet_drop(p);
    puppet_send(p, &(struct frame){.type = FRAME_HELLO, .hello = {.wants_answer = true, .last = last}});
    assert_non_null(puppet_next(p, FRAME_HELLO, 0, 5));
}

void puppet_lead(struct puppet *p, raft_term term, uint64_t ms)
{
    for (uint64_t at = 0; at < ms; at += HEARTBEAT_MS) {
        puppet_say(p, &(struct raft_msg){.type = RAFT_MSG_HEARTBEAT, .term = term});
        world_run_ms(p->w, HEARTBEAT_MS);
    }
}

void puppet_append(struct puppet *p, raft_term term, const struct record_header *record,
                   raft_term prev_term, raft_index commit)
{
    const uint32_t length = record_bytes(record->payload_bytes);
    const struct frame f = {
        .type = FRAME_RAFT,
        .raft = {.type = RAFT_MSG_APPEND, .term = term, .prev_index = record->index - 1,
                 .prev_term = prev_term, .commit = commit, .count = 1, .bytes = length},
        .body = (const uint8_t *)record,
        .body_bytes = length,
    };
    puppet_send(p, &f);
}

void puppet_acknowledge(struct puppet *p, raft_term term, raft_index match)
{
    puppet_say(p, &(struct raft_msg){
                      .type = RAFT_MSG_APPEND_REPLY, .term = term, .match = match, .last = match});
}

void puppets_open(struct puppets *s)
{
    s->w = world_open(4, 3);
    for (uint32_t n = 0; n < 3; n++)
        world_kill(s->w, n);
    world_start(s->w, REAL); /* so that there is an earlier boot of it */
    s->two = puppet_new(s->w, 1);
    s->three = puppet_new(s->w, 2);
    s->four = puppet_new(s->w, 3);
}

void puppets_close(struct puppets *s)
{
    puppet_delete(s->two);
    puppet_delete(s->three);
    puppet_delete(s->four);
    world_close(s->w);
}

void puppets_begin(struct puppets *s)
{
    const struct frame hello = {.type = FRAME_HELLO, .hello = {.log_empty = true, .wants_answer = true}};

    puppet_send(s->two, &hello);
    puppet_send(s->three, &hello);
    world_run_ms(s->w, 1);
    assert_int_equal(raft_config(replica_raft(s->w->machine[REAL].replica))->count, 3);
}

void puppets_elect(struct puppets *s)
{
    const struct node_view *view = &s->w->machine[REAL].view;

    puppets_begin(s);
    const struct frame *f = puppet_next(s->two, FRAME_RAFT, RAFT_MSG_PREVOTE, 1000);
    assert_non_null(f);
    puppet_say(s->two, &(struct raft_msg){.type = RAFT_MSG_PREVOTE_REPLY, .term = f->raft.term});
    f = puppet_next(s->two, FRAME_RAFT, RAFT_MSG_VOTE, 1000);
    assert_non_null(f);
    puppet_say(s->two, &(struct raft_msg){.type = RAFT_MSG_VOTE_REPLY, .term = f->raft.term});
    assert_non_null(puppet_next(s->two, FRAME_RAFT, RAFT_MSG_APPEND, 100));
    assert_int_equal(published_get(&view->role), RAFT_LEADER);
    puppet_acknowledge(s->two, published_get(&view->term), 1);
    world_run_ms(s->w, 2);
    assert_int_equal(published_get(&view->commit), 1);
    puppet_drop(s->two);
    puppet_drop(s->three);
}
