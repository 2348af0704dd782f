/* node/report.c: the status of a node as JSON, and as a row of the table. */
#include "node/report.h"

#include "node/report_disk.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

const char *report_role_name(uint64_t role)
{
    static const char *const names[] = {
        [RAFT_FOLLOWER] = "follower",
        [RAFT_PRECANDIDATE] = "precandidate",
        [RAFT_CANDIDATE] = "candidate",
        [RAFT_LEADER] = "leader",
    };
    return role < sizeof names / sizeof names[0] ? names[role] : "unknown";
}

/* The configured name of a member; "-" for nobody. */
static const char *member_name(const struct node *n, uint64_t node)
{
    for (uint32_t i = 0; i < n->config->members_count; i++) {
        if (n->config->members[i].node == node)
            return n->config->members[i].name;
    }
    return "-";
}

static void json_word(FILE *out, const char *name, const struct published *word)
{
    fprintf(out, ",\"%s\":%" PRIu64, name, published_get(word));
}

/* What rx hands over as good is counted once more, finally, by raft. */
static void json_frames(FILE *out, const struct replica_counters *c)
{
    fprintf(out, ",\"frames\":{");
    for (uint32_t v = 0; v < FRAME_VERDICT_COUNT; v++)
        fprintf(out, "%s\"%s\":%" PRIu64, v > 0 ? "," : "",
                frame_verdict_name((enum frame_verdict)v),
                published_get(&c->raft_frames[v]) +
                    (v == FRAME_OK_VERDICT ? 0 : published_get(&c->frames[v])));
    fputc('}', out);
}

static void json_links(const struct node *n, FILE *out)
{
    fprintf(out, ",\"links\":[");
    for (uint32_t i = 0; i < port_link_count(n->port); i++) {
        struct port_link_counters c;
        port_link_counters(n->port, i, &c);
        fprintf(out,
                "%s{\"peer\":\"%s\",\"up\":%s,\"rx_frames\":%" PRIu64 ",\"tx_frames\":%" PRIu64
                ",\"tx_dropped\":%" PRIu64 ",\"alloc_failed\":%" PRIu64 ",\"ups\":%" PRIu64
                ",\"downs\":%" PRIu64 ",\"restarts\":%" PRIu64 "}",
                i > 0 ? "," : "", member_name(n, port_link_peer(n->port, i)),
                port_link_up(n->port, i) ? "true" : "false", c.rx_frames, c.tx_frames, c.tx_dropped,
                c.alloc_failed, c.ups, c.downs, c.restarts);
    }
    fputc(']', out);
}

static void json_lcores(const struct node *n, FILE *out)
{
    fprintf(out, ",\"lcores\":[");
    for (uint32_t i = 0; i < n->lcore_count; i++) {
        const struct lcore *l = &n->lcore[i];
        fprintf(out, "%s{\"cpu\":%d,\"roles\":[", i > 0 ? "," : "", l->cpu);
        for (uint32_t j = 0; j < l->task_count; j++)
            fprintf(out, "%s\"%s\"", j > 0 ? "," : "", l->task[j].name);
        fprintf(out, "],\"preempted_too_often\":%s",
                published_get(&l->report.preempted) > LCORE_SWITCHES_MAX ? "true" : "false");
        json_word(out, "turns_per_second", &l->report.turns);
        json_word(out, "sleeps_per_second", &l->report.sleeps);
        json_word(out, "preempted_per_second", &l->report.preempted);
        json_word(out, "cpu_ppm", &l->report.busy_ppm);
        fputc('}', out);
    }
    fputc(']', out);
}

/* "voter", "learner", and between two configurations what it is in the one and the other. */
static const char *member_kind(const struct view_member *m)
{
    if (m->leaves)
        return m->voter_old ? "voter, leaving" : "learner, leaving";
    if (m->voter_old && !m->voter)
        return "voter, becoming learner";
    return m->voter ? "voter" : "learner";
}

void report_members(const struct node *n, FILE *out)
{
    struct view_member members[MEMBERS_VIEW_MAX];
    const uint32_t count = members_view_read(&n->view->members, members);
    const bool leads = published_get(&n->view->role) == RAFT_LEADER;
    const uint64_t commit = published_get(&n->view->commit);

    fputc('[', out);
    for (uint32_t i = 0; i < count; i++) {
        const struct view_member *m = &members[i];
        fprintf(out,
                "%s{\"node\":%u,\"name\":\"%s\",\"kind\":\"%s\",\"priority\":%u,\"incarnation\":\"%016" PRIx64
                "\",\"promotes_itself\":%s",
                i > 0 ? "," : "", m->node, member_name(n, m->node), member_kind(m), m->priority,
                m->incarnation, m->promote ? "true" : "false");
        if (m->replaces != 0)
            fprintf(out, ",\"replaces\":%u", m->replaces);
        if (leads)
            fprintf(out, ",\"match\":%" PRIu64 ",\"lag\":%" PRIu64, m->match,
                    commit > m->match ? commit - m->match : 0);
        fputc('}', out);
    }
    fputc(']', out);
}

static bool link_is_down(const struct node *n, uint16_t node)
{
    for (uint32_t i = 0; i < port_link_count(n->port); i++) {
        if (port_link_peer(n->port, i) == node)
            return !port_link_up(n->port, i);
    }
    return false;
}

static void member_remarks(const struct node *n, const struct view_member *m, FILE *out)
{
    const char *between = "";

    if (m->node == published_get(&n->view->leader)) {
        fprintf(out, "leads");
        between = "; ";
    }
    if (link_is_down(n, m->node)) {
        fprintf(out, "%sno link to it from here", between);
        between = "; ";
    }
    if (m->promote) {
        fprintf(out, "%spromoted when caught up", between);
        between = "; ";
    }
    if (m->replaces != 0)
        fprintf(out, "%sreplaces node %u", between, m->replaces);
}

void report_members_table(const struct node *n, FILE *out)
{
    struct view_member members[MEMBERS_VIEW_MAX];
    const uint32_t count = members_view_read(&n->view->members, members);
    const bool leads = published_get(&n->view->role) == RAFT_LEADER;
    const uint64_t commit = published_get(&n->view->commit);

    fprintf(out, "%-5s  %-12s  %-24s  %8s  %12s  %9s  %s\n", "NODE", "NAME", "KIND", "PRIORITY",
            "MATCH", "LAG", "REMARKS");
    for (uint32_t i = 0; i < count; i++) {
        const struct view_member *m = &members[i];
        char match[24] = "-", lag[24] = "-";
        if (leads) {
            snprintf(match, sizeof match, "%" PRIu64, m->match);
            snprintf(lag, sizeof lag, "%" PRIu64, commit > m->match ? commit - m->match : 0);
        }
        fprintf(out, "%-5u  %-12s  %-24s  %8u  %12s  %9s  ", m->node, member_name(n, m->node),
                member_kind(m), m->priority, match, lag);
        member_remarks(n, m, out);
        fputc('\n', out);
    }
    if (count == 0)
        fprintf(out, "this node has no configuration yet: it waits %s\n", report_waits(n));
    else if (!leads)
        fprintf(out, "match and lag are known to the leader only\n");
}

void report_json(const struct node *n, FILE *out)
{
    const struct config_member *self = config_self(n->config);
    const struct node_view *v = n->view;
    const struct replica_counters *c = n->counters;

    fprintf(out,
            "{\"name\":\"%s\",\"node\":%u,\"cluster\":%" PRIu64 ",\"pid\":%ld,\"boot\":%u"
            ",\"incarnation\":\"%016" PRIx64
            "\",\"client\":\"%s\",\"role\":\"%s\",\"leader\":\"%s\"",
            self->name, self->node, n->config->cluster, (long)getpid(), n->superblock.boot,
            n->superblock.incarnation, self->client, report_role_name(published_get(&v->role)),
            member_name(n, published_get(&v->leader)));
    json_word(out, "term", &v->term);
    json_word(out, "last_index", &v->last_index);
    json_word(out, "commit", &v->commit);
    /* Digest and applied are two words: applied is read again, so that a pair that matches is one. */
    uint64_t applied, digest;
    uint32_t tries = 0;
    do {
        applied = published_get(&v->applied);
        digest = published_get(&v->digest);
    } while (published_get(&v->applied) != applied && ++tries < 100);
    fprintf(out, ",\"applied\":%" PRIu64 ",\"digest\":\"%016" PRIx64 "\"", applied, digest);
    json_word(out, "durable", &v->durable_index);
    json_word(out, "revision", &v->revision);
    json_word(out, "store_bytes", &v->store_bytes);
    json_word(out, "elections", &c->elections);
    json_word(out, "proposals", &c->proposals);
    json_word(out, "forwards_sent", &c->forwards_sent);
    json_word(out, "forwards_taken", &c->forwards_taken);
    json_word(out, "gate_held", &c->gate_held);
    json_word(out, "flushes", &c->flushes);
    json_word(out, "flushed_bytes", &c->flushed_bytes);
    json_word(out, "flush_ns", &c->flush_ns);
    json_word(out, "no_room", &c->no_room);
    json_word(out, "writes_refused", &c->writes_refused);
    json_word(out, "left_out", &c->left_out);
    json_word(out, "foreign_sends", &c->foreign_sends);
    json_word(out, "corrupt", &c->corrupt);
    json_word(out, "convicted", &c->convicted);
    json_word(out, "ignored", &c->ignored);
    json_word(out, "log_holes", &c->holes);
    json_word(out, "entries_repaired", &c->repaired);
    report_disk_json(n, out);
    fprintf(out, ",\"members\":");
    report_members(n, out);
    json_frames(out, c);
    json_links(n, out);
    json_lcores(n, out);
    fputc('}', out);
}

const char *report_waits(const struct node *n)
{
    return config_self(n->config)->joins != 0
               ? "to be added (skiff member add, at a member)"
               : "until all initial members run, each with an empty log";
}

/* Whoever is no voter says so. */
static void row_membership(const struct node *n, FILE *out)
{
    struct view_member members[MEMBERS_VIEW_MAX];
    const uint32_t count = members_view_read(&n->view->members, members);
    const char *kind = "no member";

    for (uint32_t i = 0; i < count; i++) {
        if (members[i].node == n->config->node)
            kind = member_kind(&members[i]);
    }
    if (count == 0)
        fprintf(out, "; no member yet: waits %s", report_waits(n));
    else if (published_get(&n->counters->left_out) != 0)
        fprintf(out, "; removed, say the members: its process can end");
    else if (strcmp(kind, "voter") != 0)
        fprintf(out, "; %s", kind);
}

/* Everything that an operator should look at, in the last column. */
static void row_remarks(const struct node *n, FILE *out)
{
    uint32_t up = 0;
    const uint32_t links = port_link_count(n->port);

    for (uint32_t i = 0; i < links; i++)
        up += port_link_up(n->port, i);
    fprintf(out, "%u of %u up", up, links);
    row_membership(n, out);
    report_disk_row(n, out);
    if (published_get(&n->counters->holes) != 0)
        fprintf(out, "; damaged log, fetches what it lacks from the others");
    if (published_get(&n->counters->corrupt) != 0)
        fprintf(out, "; CORRUPT: the nodes' states differ and no majority agrees, takes no writes");
    if (published_get(&n->counters->convicted) != 0)
        fprintf(out, "; a peer broke its word");
    for (uint32_t i = 0; i < n->lcore_count; i++) {
        const uint64_t preempted = published_get(&n->lcore[i].report.preempted);
        if (n->lcore[i].idle == CONFIG_IDLE_BUSY && preempted > LCORE_SWITCHES_MAX)
            fprintf(out, "; lcore %u is preempted %" PRIu64 " times a second", i, preempted);
    }
}

void report_row(const struct node *n, FILE *out)
{
    const struct config_member *self = config_self(n->config);
    const struct node_view *v = n->view;

    fprintf(out, "%s\t%s\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%s\t",
            self->name, report_role_name(published_get(&v->role)), published_get(&v->term),
            published_get(&v->commit), published_get(&v->applied), published_get(&v->durable_index),
            published_get(&v->revision), self->client);
    row_remarks(n, out);
}
