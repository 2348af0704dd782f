/* Reads the lines of a script and makes events of them. */
#include "tests/raftcore/golden.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* The text behind ` key=`, or NULL. */
static const char *value_of(const char *line, const char *key)
{
    const size_t bytes = strlen(key);

    for (const char *at = strchr(line, ' '); at != NULL; at = strchr(at + 1, ' ')) {
        if (strncmp(at + 1, key, bytes) == 0 && at[1 + bytes] == '=')
            return at + bytes + 2;
    }
    return NULL;
}

static bool has_word(const char *line, const char *word)
{
    const size_t bytes = strlen(word);

    for (const char *at = strchr(line, ' '); at != NULL; at = strchr(at + 1, ' ')) {
        if (strncmp(at + 1, word, bytes) == 0 && (at[1 + bytes] == ' ' || at[1 + bytes] == '\0'))
            return true;
    }
    return false;
}

static uint64_t number_of(const char *line, const char *key, uint64_t otherwise)
{
    const char *value = value_of(line, key);

    if (value == NULL || strncmp(value, "none", 4) == 0)
        return otherwise;
    return strtoull(value, NULL, 10);
}

static uint64_t first_number(const char *line)
{
    const char *at = strchr(line, ' ');

    if (at == NULL)
        golden_fail("a number is missing", line);
    return strtoull(at, NULL, 10);
}

/* key=INDEX@TERM */
static void place_of(const char *line, const char *key, raft_index *index, raft_term *term)
{
    const char *value = value_of(line, key);
    char *end;

    if (value == NULL)
        return;
    *index = strtoull(value, &end, 10);
    *term = *end == '@' ? strtoull(end + 1, NULL, 10) : 0;
}

/* The letters behind a node id; golden_run.c has the list. Returns where they end. */
static const char *flags_of(struct raft_member *m, const char *at)
{
    char *end;

    m->voter = strchr("laodx", *at) == NULL || *at == '\0';
    m->promote = *at == 'a';
    m->voter_old = *at == 'o' || *at == 'd' || *at == 'b';
    m->leaves = *at == 'o' || *at == 'x';
    at += *at >= 'a' && *at <= 'z';
    if (*at == ':') {
        m->priority = (uint8_t)strtoul(at + 1, &end, 10);
        at = end;
    }
    if (*at == '/') {
        m->replaces = (raft_node)strtoul(at + 1, &end, 10);
        at = end;
    }
    return at;
}

static void members_of(struct raft_config *config, const char *line, const char *key)
{
    const char *at = value_of(line, key);

    *config = (struct raft_config){.count = 0};
    while (at != NULL && *at >= '1' && *at <= '9') {
        char *end;
        const raft_node node = (raft_node)strtoul(at, &end, 10);
        struct raft_member *m = &config->member[config->count++];
        *m = (struct raft_member){.node = node, .incarnation = 100u + node};
        at = flags_of(m, end);
        config->joint = config->joint || m->voter_old;
        at += *at == ',';
    }
}

static uint32_t peers_of(const struct golden *g, const char *line)
{
    const char *at = value_of(line, "to");
    uint32_t mask = 0;
    char *end;

    if (at == NULL)
        return UINT32_MAX;
    for (; *at >= '1' && *at <= '9'; at = end + (*end == ',')) {
        const raft_node node = (raft_node)strtoul(at, &end, 10);
        for (uint32_t i = 0; i < g->config.count; i++)
            mask |= g->config.member[i].node == node ? 1u << i : 0;
    }
    return mask;
}

static uint32_t entries_of(struct golden *g, const char *line, const char *key)
{
    const char *value = value_of(line, key);
    uint32_t count = 0;

    if (value == NULL)
        return 0;
    for (const char *at = value; *at != ')' && *at != '\0';) {
        char *end;
        if (*at < '0' || *at > '9') {
            at++;
            continue;
        }
        strtoull(at, &end, 10); /* the index is for the reader */
        if (*end != '@' || count == GOLDEN_ENTRIES_MAX)
            golden_fail("bad entries", line);
        struct raft_entry *entry = &g->entries[count++];
        *entry =
            (struct raft_entry){.term = strtoull(end + 1, &end, 10), .bytes = GOLDEN_ENTRY_BYTES};
        if (*end == 'x')
            entry->bytes = (uint32_t)strtoul(end + 1, &end, 10);
        if (*end == '*')
            entry->config = &g->config;
        at = end;
    }
    return count;
}

static void step(struct golden *g, struct raft_event ev)
{
    const struct golden_seen before = golden_look(g);

    ev.now_ns = g->now_ns;
    memset(&g->fx, 0xa5, sizeof g->fx); /* a field the core forgets to set shows up */
    raft_step(g->raft, &ev, &g->fx);
    golden_trace_step(g, &before);
}

static void run_node(struct golden *g, const char *line)
{
    const uint32_t log_count = entries_of(g, line, "log");
    struct raft_run runs[GOLDEN_ENTRIES_MAX];
    struct raft_recovered recovered = {.runs = runs, .term = 0};

    g->node = (raft_node)first_number(line);
    members_of(&g->config, line, "members");
    place_of(line, "base", &recovered.base, &recovered.base_term);
    recovered.last = recovered.base + log_count;
    for (uint32_t i = 0; i < log_count; i++) {
        if (i == 0 || g->entries[i].term != g->entries[i - 1].term)
            runs[recovered.run_count++] =
                (struct raft_run){.first = recovered.base + i + 1, .term = g->entries[i].term};
    }
    const raft_term term = log_count > 0 ? g->entries[log_count - 1].term : recovered.base_term;
    recovered.term = number_of(line, "term", term);
    recovered.vote = (raft_node)number_of(line, "vote", 0);
    recovered.vote_incarnation = recovered.vote == 0 ? 0 : 100u + recovered.vote;
    recovered.commit = number_of(line, "commit", recovered.base);
    recovered.faulty = has_word(line, "faulty");
    recovered.config_count = g->config.count > 0 && recovered.last > 0;
    recovered.configs[0].index = number_of(line, "config_index", recovered.base + 1);
    recovered.configs[0].config = g->config;
    if (value_of(line, "config_next") != NULL) {
        recovered.configs[1].index = recovered.last;
        members_of(&recovered.configs[1].config, line, "config_next");
        recovered.config_count = 2;
    }

    const uint32_t append_max = (uint32_t)number_of(line, "append_max", 1000);
    const struct raft_options options = {
        .node = g->node,
        .incarnation = 100u + g->node,
        .seed = 1,
        .seq_first = GOLDEN_SEQ_FIRST,
        .heartbeat_ns = 10 * GOLDEN_MS,
        .election_min_ns = 100 * GOLDEN_MS,
        .election_max_ns = 200 * GOLDEN_MS,
        .resend_ns = 50 * GOLDEN_MS,
        .append_bytes_max = append_max,
        .inflight_msgs_max = (uint32_t)number_of(line, "inflight", 8),
        .inflight_bytes_max = (uint32_t)number_of(line, "inflight_bytes", 8 * (uint64_t)append_max),
        .window = (uint32_t)number_of(line, "window", 64),
        .caught_up_lag = (uint32_t)number_of(line, "lag", 0),
        .promote_ns = number_of(line, "promote", 0) * GOLDEN_MS,
        .lease_reads = has_word(line, "lease"),
    };
    g->memory = malloc(raft_bytes(&options));
    g->raft = raft_init(g->memory, &options, &recovered, g->now_ns);
    /* What holds only right after a start would be in the way of every script but its own. */
    if (!has_word(line, "fresh"))
        g->now_ns += options.election_min_ns;
}

static void run_recv(struct golden *g, const char *line)
{
    const bool asks_vote = has_word(line, "vote") || has_word(line, "prevote");
    struct raft_msg m = {
        .from = (raft_node)number_of(line, "from", 0),
        .to = g->node,
        .reject = has_word(line, "rejected"),
        .transfer = has_word(line, "transfer"),
        .incarnation = number_of(line, "incarnation", 100 + number_of(line, "from", 0)),
        .term = number_of(line, "term", 0),
        .commit = number_of(line, "commit", 0),
        .match = number_of(line, "match", 0),
        .last = asks_vote ? 0 : number_of(line, "last", 0),
        .round = number_of(line, "round", 0),
        .number = number_of(line, "number", 0),
        .entries = g->entries,
    };

    for (uint8_t i = 1; golden_type_name(i) != NULL; i++) {
        if (has_word(line, golden_type_name(i)))
            m.type = i;
    }
    if (m.type == 0)
        golden_fail("unknown message", line);
    place_of(line, asks_vote ? "last" : "prev", &m.prev_index, &m.prev_term);
    place_of(line, "hint", &m.hint_index, &m.hint_term);
    if (m.type == RAFT_MSG_READ_INDEX_REPLY)
        m.number += GOLDEN_SEQ_FIRST;
    if (value_of(line, "config") != NULL)
        members_of(&g->config, line, "config");
    m.count = (uint16_t)entries_of(g, line, "entries");
    for (uint32_t i = 0; i < m.count; i++)
        m.bytes += g->entries[i].bytes;
    step(g, (struct raft_event){.type = RAFT_EV_MESSAGE, .msg = &m});
}

static void run_tick(struct golden *g, const char *line)
{
    const uint64_t due = raft_next_tick(g->raft);

    if (strchr(line, ' ') != NULL)
        g->now_ns += first_number(line) * GOLDEN_MS;
    else if (due > g->now_ns)
        g->now_ns = due;
    step(g, (struct raft_event){.type = RAFT_EV_TICK});
}

static void run_lead(struct golden *g)
{
    g->quiet = true;
    run_tick(g, "tick");
    for (int round = 0; round < 2; round++) {
        step(g, (struct raft_event){.type = RAFT_EV_DURABLE, .seq = raft_seq_last(g->raft)});
        for (uint32_t i = 0; i < g->config.count; i++) {
            struct raft_msg m = {.type = round == 0 ? RAFT_MSG_PREVOTE_REPLY : RAFT_MSG_VOTE_REPLY,
                                 .from = g->config.member[i].node,
                                 .to = g->node,
                                 .incarnation = g->config.member[i].incarnation,
                                 .term = raft_term_now(g->raft) + (round == 0)};
            if (m.from != g->node)
                step(g, (struct raft_event){.type = RAFT_EV_MESSAGE, .msg = &m});
        }
    }
    g->quiet = false;
    golden_trace(g, "now %s term=%" PRIu64 " last=%" PRIu64 "\n",
                 golden_role_name(raft_role(g->raft)), raft_term_now(g->raft), raft_last(g->raft));
}

static void run_propose(struct golden *g, const char *line)
{
    const uint32_t count = (uint32_t)first_number(line);

    for (uint32_t i = 0; i < count && i < GOLDEN_ENTRIES_MAX; i++)
        g->entries[i] =
            (struct raft_entry){.bytes = (uint32_t)number_of(line, "bytes", GOLDEN_ENTRY_BYTES)};
    step(g, (struct raft_event){.type = RAFT_EV_PROPOSE, .entries = g->entries, .count = count});
}

/* False if the line is none of these. */
static bool snapshot_event(struct golden *g, const char *line, const char *verb,
                           struct raft_event *ev)
{
    place_of(line, "at", &ev->index, &ev->term);
    ev->peer = (raft_node)number_of(line, "peer", 0);
    if (strcmp(verb, "compact") == 0) {
        ev->type = RAFT_EV_COMPACT;
    } else if (strcmp(verb, "begun") == 0) {
        ev->type = RAFT_EV_SNAPSHOT_BEGUN;
    } else if (strcmp(verb, "ended") == 0) {
        ev->type = RAFT_EV_SNAPSHOT_ENDED;
        ev->ok = has_word(line, "ok");
    } else if (strcmp(verb, "install") == 0) {
        ev->type = RAFT_EV_INSTALL;
        ev->leader_term = number_of(line, "leader_term", ev->term);
        ev->config_index = number_of(line, "config_index", 1);
        if (value_of(line, "config") != NULL)
            members_of(&g->config, line, "config");
        ev->config = &g->config;
    } else {
        return false;
    }
    return true;
}

static void run_other(struct golden *g, const char *line, const char *verb)
{
    struct raft_event ev = {.type = RAFT_EV_TICK};

    if (strcmp(verb, "durable") == 0) {
        ev.type = RAFT_EV_DURABLE;
        ev.seq =
            has_word(line, "all") ? raft_seq_last(g->raft) : GOLDEN_SEQ_FIRST + first_number(line);
    } else if (strcmp(verb, "send") == 0) {
        ev.type = RAFT_EV_SEND;
        ev.peers = peers_of(g, line);
        ev.memory_first = number_of(line, "memory_first", 1);
    } else if (strcmp(verb, "read") == 0) {
        ev.type = RAFT_EV_READ;
        ev.number = first_number(line);
    } else if (strcmp(verb, "loaded") == 0) {
        ev.type = RAFT_EV_LOADED;
        ev.peer = (raft_node)number_of(line, "peer", 0);
        ev.first = number_of(line, "first", 0);
        ev.count = entries_of(g, line, "entries");
        ev.entries = g->entries;
    } else if (strcmp(verb, "alive") == 0) {
        ev.type = RAFT_EV_ALIVE;
        ev.peer = (raft_node)number_of(line, "from", 0);
        ev.term = number_of(line, "term", 0);
    } else if (strcmp(verb, "renew") == 0) {
        ev.type = RAFT_EV_RENEW;
    } else if (strcmp(verb, "boot") == 0) {
        ev.type = RAFT_EV_PEER_BOOT;
        ev.peer = (raft_node)first_number(line);
        ev.forced = has_word(line, "older");
    } else if (strcmp(verb, "bootstrap") == 0) {
        members_of(&g->config, line, "members");
        ev.type = RAFT_EV_BOOTSTRAP;
        ev.config = &g->config;
    } else if (strcmp(verb, "transfer") == 0) {
        ev.type = RAFT_EV_TRANSFER;
        ev.peer = (raft_node)first_number(line);
    } else if (strcmp(verb, "change") == 0) {
        members_of(&g->config, line, "members");
        if (value_of(line, "incarnation") != NULL)
            g->config.member[0].incarnation = number_of(line, "incarnation", 0);
        ev.type = RAFT_EV_CHANGE;
        ev.config = &g->config;
        ev.forced = has_word(line, "forced");
    } else if (!snapshot_event(g, line, verb, &ev)) {
        golden_fail("unknown line", line);
    }
    step(g, ev);
}

void golden_line(struct golden *g, const char *line)
{
    char verb[GOLDEN_LINE_BYTES_MAX] = {0};

    memcpy(verb, line, strcspn(line, " "));
    if (strcmp(verb, "node") == 0) {
        run_node(g, line);
        return;
    }
    if (g->raft == NULL)
        golden_fail("the first line must be a node", line);
    golden_trace(g, "> %s\n", line);
    if (strcmp(verb, "wait") == 0)
        g->now_ns += first_number(line) * GOLDEN_MS;
    else if (strcmp(verb, "keep") == 0)
        golden_trace(g, "keep from %" PRIu64 "\n", raft_keep_from(g->raft));
    else if (strcmp(verb, "tick") == 0)
        run_tick(g, line);
    else if (strcmp(verb, "recv") == 0)
        run_recv(g, line);
    else if (strcmp(verb, "lead") == 0)
        run_lead(g);
    else if (strcmp(verb, "propose") == 0)
        run_propose(g, line);
    else
        run_other(g, line, verb);
}
