/* Writes down what one step did: every effect, and every change of state. */
#include "tests/raftcore/golden.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const type_name[] = {
#define TYPE_NAME(name, value, text) [RAFT_MSG_##name] = text,
    RAFT_MSG_LIST(TYPE_NAME)
#undef TYPE_NAME
};

static const char *const role_name[] = {"follower", "precandidate", "candidate", "leader"};

const char *golden_type_name(uint8_t type)
{
    return type < sizeof type_name / sizeof *type_name ? type_name[type] : NULL;
}

const char *golden_role_name(enum raft_role role)
{
    return role_name[role];
}

void golden_trace(struct golden *g, const char *format, ...)
{
    va_list args;

    if (g->quiet)
        return;
    va_start(args, format);
    const int bytes =
        vsnprintf(g->text + g->text_bytes, GOLDEN_TEXT_BYTES_MAX - g->text_bytes, format, args);
    va_end(args);
    if (bytes < 0 || (size_t)bytes >= GOLDEN_TEXT_BYTES_MAX - g->text_bytes)
        golden_fail("trace too long", format);
    g->text_bytes += (size_t)bytes;
}

static uint64_t seq_count(raft_seq seq)
{
    return seq == 0 ? 0 : seq - GOLDEN_SEQ_FIRST;
}

static void trace_append(struct golden *g, const struct raft_msg *m)
{
    golden_trace(g, " prev=%" PRIu64 "@%" PRIu64 " commit=%" PRIu64, m->prev_index, m->prev_term,
                 m->commit);
    if (m->count > 0)
        golden_trace(g, " entries=%" PRIu64 "..%" PRIu64 " bytes=%" PRIu32, m->prev_index + 1,
                     m->prev_index + m->count, m->bytes);
}

static void trace_append_reply(struct golden *g, const struct raft_msg *m)
{
    if (!m->reject) {
        golden_trace(g, " match=%" PRIu64 " last=%" PRIu64, m->match, m->last);
        return;
    }
    golden_trace(g, " prev=%" PRIu64 " last=%" PRIu64, m->prev_index, m->last);
    if (m->hint_index != 0)
        golden_trace(g, " hint=%" PRIu64 "@%" PRIu64, m->hint_index, m->hint_term);
}

static void trace_send(struct golden *g, const struct raft_send *send)
{
    const struct raft_msg *m = &send->msg;

    golden_trace(g, "send to=%u %s term=%" PRIu64 "%s%s", m->to, golden_type_name(m->type), m->term,
                 m->reject ? " rejected" : "", m->transfer ? " transfer" : "");
    switch (m->type) {
    case RAFT_MSG_PREVOTE:
    case RAFT_MSG_VOTE:
        golden_trace(g, " last=%" PRIu64 "@%" PRIu64, m->prev_index, m->prev_term);
        break;
    case RAFT_MSG_APPEND:
        trace_append(g, m);
        break;
    case RAFT_MSG_APPEND_REPLY:
        trace_append_reply(g, m);
        break;
    case RAFT_MSG_HEARTBEAT:
        golden_trace(g, " commit=%" PRIu64 " round=%" PRIu64, m->commit, m->round);
        break;
    case RAFT_MSG_HEARTBEAT_REPLY:
        golden_trace(g, " last=%" PRIu64 " round=%" PRIu64, m->last, m->round);
        break;
    case RAFT_MSG_READ_INDEX:
        golden_trace(g, " number=%" PRIu64, (uint64_t)(m->number - GOLDEN_SEQ_FIRST));
        break;
    case RAFT_MSG_READ_INDEX_REPLY:
        golden_trace(g, " number=%" PRIu64 " commit=%" PRIu64, m->number, m->commit);
        break;
    default:
        break;
    }
    golden_trace(g, "%s after_seq=%" PRIu64 "\n", send->loaded ? " loaded" : "",
                 seq_count(send->after_seq));
}

static void trace_persist(struct golden *g, const struct raft_effects *fx)
{
    if (fx->hard_state.set) {
        golden_trace(g, "hard_state seq=%" PRIu64 " term=%" PRIu64, seq_count(fx->hard_state.seq),
                     fx->hard_state.term);
        if (fx->hard_state.vote == 0)
            golden_trace(g, " vote=none\n");
        else
            golden_trace(g, " vote=%u/%" PRIu64 "\n", fx->hard_state.vote,
                         fx->hard_state.vote_incarnation);
    }
    if (fx->append.first <= fx->append.last) {
        golden_trace(g, "append seq=%" PRIu64 " %" PRIu64 "..%" PRIu64, seq_count(fx->append.seq),
                     fx->append.first, fx->append.last);
        if (fx->append.term != 0)
            golden_trace(g, " term=%" PRIu64, fx->append.term);
        golden_trace(g, "%s%s\n", fx->append.empty ? " own" : "",
                     fx->append.config ? " config" : "");
    }
}

struct golden_seen golden_look(const struct golden *g)
{
    const struct raft *r = g->raft;

    struct golden_seen seen = {
        .role = raft_role(r),
        .term = raft_term_now(r),
        .leader = raft_leader(r),
        .commit = raft_commit(r),
        .convicted = raft_convicted(r),
        .ignored = raft_ignored(r),
        .config = *raft_config(r),
        .transfer = raft_transfer_target(r),
        .base = raft_base(r),
        .text_bytes = g->text_bytes,
    };
    for (raft_node node = 1; node <= RAFT_MEMBERS_MAX; node++)
        seen.snapshot[node] = raft_snapshot_to(r, node);
    return seen;
}

static char letter_of(const struct raft_member *m)
{
    if (m->voter_old)
        return m->voter ? 'b' : m->leaves ? 'o' : 'd';
    if (m->leaves)
        return 'x';
    if (m->promote)
        return 'a';
    return m->voter ? '\0' : 'l';
}

static void trace_config(struct golden *g, const struct raft_config *config)
{
    golden_trace(g, "config%s", config->count == 0 ? " none" : "");
    for (uint32_t i = 0; i < config->count; i++) {
        const struct raft_member *m = &config->member[i];
        golden_trace(g, "%c%u", i == 0 ? ' ' : ',', m->node);
        if (letter_of(m) != '\0')
            golden_trace(g, "%c", letter_of(m));
        if (m->priority != 0)
            golden_trace(g, ":%u", m->priority);
        if (m->replaces != 0)
            golden_trace(g, "/%u", m->replaces);
    }
    golden_trace(g, "\n");
}

static void trace_snapshots(struct golden *g, const struct golden_seen *before,
                            const struct golden_seen *now)
{
    const struct raft_effects *fx = &g->fx;

    if (fx->install.seq != 0)
        golden_trace(g, "install seq=%" PRIu64 " base=%" PRIu64 "@%" PRIu64 " last=%" PRIu64 "\n",
                     seq_count(fx->install.seq), fx->install.index, fx->install.term,
                     fx->install.last);
    if (fx->compact_seq != 0)
        golden_trace(g, "compact seq=%" PRIu64 "\n", seq_count(fx->compact_seq));
    for (uint32_t i = 0; i < fx->snapshot_count; i++)
        golden_trace(g, "snapshot peer=%u at least %" PRIu64 "\n", fx->snapshot[i].peer,
                     fx->snapshot[i].index);
    for (raft_node node = 1; node <= RAFT_MEMBERS_MAX; node++) {
        if (before->snapshot[node] != now->snapshot[node])
            golden_trace(g, "snapshot to=%u runs=%" PRIu64 "\n", node, now->snapshot[node]);
    }
    if (before->base != now->base)
        golden_trace(g, "base %" PRIu64 "@%" PRIu64 "\n", now->base,
                     raft_term_at(g->raft, now->base, NULL));
}

static void trace_conviction(struct golden *g)
{
    golden_trace(g, "convicted");
    if (g->fx.convicted != 0)
        golden_trace(g, " node=%u", g->fx.convicted);
    golden_trace(g, "%s\n", raft_saw_rival(g->raft) ? " rival" : "");
}

void golden_trace_step(struct golden *g, const struct golden_seen *before)
{
    const struct raft_effects *fx = &g->fx;
    const struct golden_seen now = golden_look(g);

    trace_persist(g, fx);
    if (fx->refusal != RAFT_REFUSAL_NONE)
        golden_trace(g, "refused: %s\n", admin_refusal_text((enum admin_refusal)fx->refusal));
    if (fx->read.number != 0) {
        golden_trace(g, "read number=%" PRIu64 " index=%" PRIu64, fx->read.number, fx->read.index);
        if (fx->read.until_ns != 0)
            golden_trace(g, " for=%" PRIu64 "us", (fx->read.until_ns - g->now_ns) / 1000);
        golden_trace(g, "\n");
    }
    for (uint32_t i = 0; i < fx->load_count; i++)
        golden_trace(g, "load peer=%u first=%" PRIu64 " term=%" PRIu64 " last=%" PRIu64 "\n",
                     fx->load[i].peer, fx->load[i].first, fx->load[i].term, fx->load[i].last);
    trace_snapshots(g, before, &now);
    for (uint32_t i = 0; i < fx->send_count; i++)
        trace_send(g, &fx->send[i]);
    if (now.role != before->role || now.term != before->term || now.leader != before->leader)
        golden_trace(g, "now %s term=%" PRIu64 " leader=%u\n", golden_role_name(now.role), now.term,
                     now.leader);
    if (memcmp(&now.config, &before->config, sizeof now.config) != 0)
        trace_config(g, &now.config);
    if (now.transfer != before->transfer && now.role == RAFT_LEADER)
        golden_trace(g, "transfer to=%u room=%" PRIu32 "\n", now.transfer, raft_room(g->raft));
    if (now.commit != before->commit)
        golden_trace(g, "commit %" PRIu64 "\n", now.commit);
    if (now.convicted != before->convicted)
        trace_conviction(g);
    if (now.ignored != before->ignored)
        golden_trace(g, "ignored\n");
    if (fx->more)
        golden_trace(g, "more\n");
    if (g->text_bytes == before->text_bytes)
        golden_trace(g, "nothing\n");
}
