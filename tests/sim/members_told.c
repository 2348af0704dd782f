/* Goal:   the checker of configurations rejects every history that breaks a rule of joint consensus,
 *         by the right name, and accepts what looks odd but is allowed.
 * Method: short histories told by hand, a line a fact:
 *
 *   sent 2@1: 1 2 3                      a record of that configuration left a node
 *   node 1 leads 1 commit 1 log 112 has 2: 1 2 3
 *                                        who it is, the term it leads (0: it does not), the terms of
 *                                        its entries one digit each (- : no entry), and what is in
 *                                        force by which index
 *   committed 2@1
 *   decided log 112 from 0 by: 1 2       a vote or a commit counts with just these nodes
 *   campaigns log 112 from 0 node: 3     it asks for votes
 *   endures lost: 3                      what may be in force can do without these
 *
 * A configuration is its members: 3 votes, (3) learns, (3+) is to be promoted, 4=3 takes the place of
 * 3, -3 leaves; behind a slash stand the voters of the old half. */
#include "sim/check_members.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOG_MAX = 16, LINE_MAX = 128 };

/* What a false answer is called; what check_fail() names is the invariant itself. */
#define NO_QUORUM "no quorum decided"
#define NO_VOTER "who campaigns never was a voter"
#define NO_ENDURANCE "too many are lost"

struct story {
    const char *title;
    const char *broken; /* NULL: it must be accepted */
    const char *text;
};

static const struct story stories[] = {
    /* ---- what is in force, and where ------------------------------------------------------------ */
    {"all have what bootstrap agreed on", NULL,
     "node 1 leads 0 commit 0 log - has 0: 1 2 3\n"
     "node 2 leads 0 commit 0 log - has 0: 1 2 3\n"
     "node 1 leads 1 commit 0 log 1 has 0: 1 2 3\n"},
    {"bootstrap agreed on two things", "one-configuration",
     "node 1 leads 0 commit 0 log - has 0: 1 2 3\n"
     "node 2 leads 0 commit 0 log - has 0: 1 2 4\n"},
    {"a node knows of no beginning yet", NULL,
     "node 1 leads 0 commit 0 log - has 0: 1 2 3\n"
     "node 2 leads 0 commit 0 log - has 0:\n"},
    {"a node forgets what its log says", "one-configuration",
     "sent 1@1: 1 2 3\n"
     "node 2 leads 0 commit 0 log 1 has 0:\n"},
    {"two configurations at one place", "one-configuration",
     "sent 1@1: 1 2 3\n"
     "sent 1@1: 1 2\n"},
    {"the same one is sent again", NULL,
     "sent 1@1: 1 2 3\n"
     "sent 1@1: 1 2 3\n"},
    {"rivals of two terms at one index", NULL,
     "sent 1@1: 1 2 3\n"
     "sent 2@1: 1 2 3 (4)\n"
     "sent 2@2: 1 2 3 (5)\n"
     "node 1 leads 0 commit 1 log 11 has 2: 1 2 3 (4)\n"
     "node 2 leads 0 commit 1 log 12 has 2: 1 2 3 (5)\n"},
    {"a learner is told as a voter", "one-configuration",
     "sent 1@1: 1 2 (3)\n"
     "node 2 leads 0 commit 0 log 1 has 1: 1 2 3\n"},
    {"what is to become of a learner differs", "one-configuration",
     "sent 1@1: 1 2 (3+)\n"
     "node 2 leads 0 commit 0 log 1 has 1: 1 2 (3)\n"},
    {"whose place a voter takes differs", "one-configuration",
     "sent 1@1: 1 2 4=3\n"
     "node 2 leads 0 commit 0 log 1 has 1: 1 2 4\n"},
    {"the old half differs", "one-configuration",
     "sent 1@1: 1 2 3 -4 / 1 2 4\n"
     "node 2 leads 0 commit 0 log 1 has 1: 1 2 3 -4 / 1 3 4\n"},
    {"in force before it is in the log", "one-configuration",
     "sent 1@1: 1 2 3\n"
     "sent 2@1: 1 2 3 (4)\n"
     "node 2 leads 0 commit 1 log 1 has 2: 1 2 3 (4)\n"},
    {"in force only once it is committed", "one-configuration",
     "sent 1@1: 1 2 3\n"
     "sent 2@1: 1 2 3 (4)\n"
     "node 2 leads 0 commit 1 log 11 has 1: 1 2 3\n"},
    {"in force as soon as it is appended", NULL,
     "sent 1@1: 1 2 3\n"
     "sent 2@1: 1 2 3 (4)\n"
     "node 2 leads 0 commit 1 log 11 has 2: 1 2 3 (4)\n"},
    {"undone when it is truncated", NULL,
     "sent 1@1: 1 2 3\n"
     "sent 2@1: 1 2 3 (4)\n"
     "node 2 leads 0 commit 1 log 11 has 2: 1 2 3 (4)\n"
     "node 2 leads 0 commit 1 log 122 has 1: 1 2 3\n"},
    {"in force although it was truncated", "one-configuration",
     "sent 1@1: 1 2 3\n"
     "sent 2@1: 1 2 3 (4)\n"
     "node 2 leads 0 commit 1 log 11 has 2: 1 2 3 (4)\n"
     "node 2 leads 0 commit 1 log 122 has 2: 1 2 3 (4)\n"},
    {"undone further than it was truncated", "one-configuration",
     "sent 1@1: 1 2 3\n"
     "sent 2@1: 1 2 3 (4)\n"
     "sent 3@1: 1 2 3 (4) (5)\n"
     "node 2 leads 0 commit 2 log 112 has 1: 1 2 3\n"},
    {"a start forgets the newest one", "one-configuration",
     "sent 1@1: 1 2 3\n"
     "node 1 leads 1 commit 1 log 11 has 2: 1 2 3 (4)\n"
     "node 1 leads 0 commit 1 log 11 has 1: 1 2 3\n"},
    {"committed, and nobody ever had it", "one-configuration",
     "sent 1@1: 1 2 3\n"
     "committed 2@1\n"},
    {"committed in another term than it was sent", "one-configuration",
     "sent 1@1: 1 2 3\n"
     "committed 1@2\n"},
    /* ---- one change at a time ------------------------------------------------------------------- */
    {"the next change waits for the last", NULL,
     "node 1 leads 1 commit 0 log 1 has 1: 1 2 3\n"
     "committed 1@1\n"
     "node 1 leads 1 commit 1 log 11 has 2: 1 2 3 (4)\n"
     "committed 2@1\n"
     "node 1 leads 1 commit 2 log 111 has 3: 1 2 3 (4) (5)\n"},
    {"two changes at a time", "one-change-at-a-time",
     "node 1 leads 1 commit 0 log 1 has 1: 1 2 3\n"
     "committed 1@1\n"
     "node 1 leads 1 commit 1 log 11 has 2: 1 2 3 (4)\n"
     "node 1 leads 1 commit 1 log 111 has 3: 1 2 3 (4) (5)\n"},
    {"a joint one is left before it is committed", "one-change-at-a-time",
     "node 1 leads 1 commit 0 log 1 has 1: 1 2 3\n"
     "committed 1@1\n"
     "node 1 leads 1 commit 1 log 11 has 2: 1 2 4 -3 / 1 2 3\n"
     "node 1 leads 1 commit 1 log 111 has 3: 1 2 4\n"},
    {"a new leader begins one on top of its predecessor's", "one-change-at-a-time",
     "node 1 leads 1 commit 0 log 1 has 1: 1 2 3\n"
     "committed 1@1\n"
     "node 1 leads 1 commit 1 log 11 has 2: 1 2 3 (4)\n"
     "node 2 leads 2 commit 1 log 112 has 2: 1 2 3 (4)\n"
     "node 2 leads 2 commit 1 log 1122 has 4: 1 2 3 (4) (5)\n"},
    {"a new leader leaves the joint one that it finds", NULL,
     "node 1 leads 1 commit 0 log 1 has 1: 1 2 3\n"
     "committed 1@1\n"
     "node 1 leads 1 commit 1 log 11 has 2: 1 2 4 -3 / 1 2 3\n"
     "node 2 leads 2 commit 1 log 112 has 2: 1 2 4 -3 / 1 2 3\n"
     "committed 2@1\n"
     "node 2 leads 2 commit 3 log 1122 has 4: 1 2 4\n"},
    /* ---- quorums overlap ------------------------------------------------------------------------ */
    {"one voter more overlaps", NULL,
     "node 1 leads 1 commit 0 log 1 has 1: 1 2 3\n"
     "node 1 leads 1 commit 1 log 11 has 2: 1 2 3 4\n"},
    {"two voters are exchanged in one step", "quorums-overlap",
     "node 1 leads 1 commit 0 log 1 has 1: 1 2 3\n"
     "node 1 leads 1 commit 1 log 11 has 2: 1 4 5\n"},
    {"two voters more in one step", "quorums-overlap",
     "node 1 leads 1 commit 0 log 1 has 1: 1 2 3\n"
     "node 1 leads 1 commit 1 log 11 has 2: 1 2 3 4 5\n"},
    {"the voters are replaced by others altogether", "quorums-overlap",
     "node 1 leads 1 commit 0 log 1 has 1: 1\n"
     "node 1 leads 1 commit 1 log 11 has 2: 2\n"},
    {"a joint one takes a wrong old half", "quorums-overlap",
     "node 1 leads 1 commit 0 log 1 has 1: 1 2 3\n"
     "node 1 leads 1 commit 1 log 11 has 2: 4 5 6 / 4 5 6\n"},
    {"a joint one ends with another new half", "quorums-overlap",
     "node 1 leads 1 commit 0 log 1 has 1: 1 2 3\n"
     "committed 1@1\n"
     "node 1 leads 1 commit 1 log 11 has 2: 1 4 5 / 1 2 3\n"
     "committed 2@1\n"
     "node 1 leads 1 commit 2 log 111 has 3: 6 7 8\n"},
    {"all voters are exchanged by way of a joint one", NULL,
     "node 1 leads 1 commit 0 log 1 has 1: 1 2 3\n"
     "committed 1@1\n"
     "node 1 leads 1 commit 1 log 11 has 2: 4 5 6 -1 -2 -3 / 1 2 3\n"
     "committed 2@1\n"
     "node 1 leads 1 commit 2 log 111 has 3: 4 5 6\n"},
    /* ---- who decides ---------------------------------------------------------------------------- */
    {"a majority decides", NULL,
     "sent 1@1: 1 2 3\n"
     "decided log 1 from 1 by: 1 3\n"},
    {"half is no majority", NO_QUORUM,
     "sent 1@1: 1 2 3 4\n"
     "decided log 1 from 1 by: 1 4\n"},
    {"learners do not count", NO_QUORUM,
     "sent 1@1: 1 2 3 (4) (5)\n"
     "decided log 1 from 1 by: 1 4 5\n"},
    {"strangers do not count", NO_QUORUM,
     "sent 1@1: 1 2 3\n"
     "decided log 1 from 1 by: 1 6 7\n"},
    {"a joint one needs its new half", NO_QUORUM,
     "sent 1@1: 1 4 5 -2 -3 / 1 2 3\n"
     "decided log 1 from 1 by: 1 2 3\n"},
    {"a joint one needs its old half", NO_QUORUM,
     "sent 1@1: 1 4 5 -2 -3 / 1 2 3\n"
     "decided log 1 from 1 by: 1 4 5\n"},
    {"a joint one by both halves", NULL,
     "sent 1@1: 1 4 5 -2 -3 / 1 2 3\n"
     "decided log 1 from 1 by: 1 2 5\n"},
    {"by the one that was in force when the turn began", NULL,
     "sent 1@1: 1 2 3\n"
     "sent 2@1: 1 2 3 4 5 / 1 2 3\n"
     "decided log 11 from 1 by: 1 2\n"},
    {"by one that was over long before", NO_QUORUM,
     "sent 1@1: 1 2 3\n"
     "sent 2@1: 1 2 3 4 5 / 1 2 3\n"
     "decided log 11 from 2 by: 1 2\n"},
    {"by one that the decider's log has not", NO_QUORUM,
     "sent 1@1: 1 2 3\n"
     "sent 2@1: 1\n"
     "decided log 12 from 1 by: 1\n"},
    {"a learner campaigns", NO_VOTER,
     "sent 1@1: 1 2 (3)\n"
     "campaigns log 1 from 0 node: 3\n"},
    {"a voter that is about to leave campaigns", NULL,
     "sent 1@1: 1 2 3\n"
     "sent 2@1: 1 2 -3 / 1 2 3\n"
     "campaigns log 11 from 0 node: 3\n"},
    {"a voter of a log that it has no more campaigns", NO_VOTER,
     "sent 1@1: 1 2\n"
     "sent 2@1: 1 2 3\n"
     "campaigns log 12 from 0 node: 3\n"},
    /* ---- what may be lost ----------------------------------------------------------------------- */
    {"one of three may be lost", NULL,
     "sent 1@1: 1 2 3\n"
     "endures lost: 3\n"},
    {"two of three may not", NO_ENDURANCE,
     "sent 1@1: 1 2 3\n"
     "endures lost: 2 3\n"},
    {"one of two may not", NO_ENDURANCE,
     "sent 1@1: 1 2 3\n"
     "committed 1@1\n"
     "sent 2@1: 1 2 -3 / 1 2 3\n"
     "endures lost: 2\n"},
    {"what is over no longer counts", NULL,
     "sent 1@1: 1 2\n"
     "sent 2@1: 1 2 3\n"
     "committed 1@1\n"
     "committed 2@1\n"
     "endures lost: 2\n"},
    {"a lost learner is promoted", NO_ENDURANCE,
     "sent 1@1: 1 2 3 (4+)\n"
     "endures lost: 3 4\n"},
};

/* ---- reading ---------------------------------------------------------------------------------- */

static void unreadable(const char *title, const char *line)
{
    printf("%s: can't read: %s\n", title, line);
    exit(EXIT_FAILURE);
}

/* The member of that number, a new one at the end. */
static struct raft_member *member_of(struct raft_config *config, raft_node node)
{
    for (uint32_t i = 0; i < config->count; i++)
        if (config->member[i].node == node)
            return &config->member[i];
    config->member[config->count] = (struct raft_member){.node = node, .incarnation = node};
    return &config->member[config->count++];
}

static bool read_member(const char *word, struct raft_config *config)
{
    unsigned node = 0, replaced = 0;
    const bool learns = word[0] == '(';
    const bool leaves = word[0] == '-';

    const int found = sscanf(word + (learns || leaves), "%u=%u", &node, &replaced);
    if (found < 1 || node == 0 || config->count == RAFT_MEMBERS_MAX)
        return false;
    struct raft_member *m = member_of(config, (raft_node)node);
    if (config->joint) {
        m->voter_old = true;
        return true;
    }
    m->voter = !learns && !leaves;
    m->leaves = leaves;
    m->promote = strchr(word, '+') != NULL;
    m->replaces = (raft_node)replaced;
    return true;
}

static bool read_config(char *text, struct raft_config *config)
{
    char *rest = NULL;

    *config = (struct raft_config){0};
    for (char *word = strtok_r(text, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
        if (strcmp(word, "/") == 0)
            config->joint = true;
        else if (!read_member(word, config))
            return false;
    }
    return true;
}

static uint32_t read_set(char *text)
{
    struct raft_config config;
    uint32_t set = 0;

    if (!read_config(text, &config))
        return 0;
    for (uint32_t i = 0; i < config.count; i++)
        set |= 1U << (config.member[i].node - 1);
    return set;
}

static raft_term digit_at(const void *log, raft_index index)
{
    return (raft_term)(((const char *)log)[index - 1] - '0');
}

static struct check_view view_of(const char *digits)
{
    const bool none = strcmp(digits, "-") == 0;
    return (struct check_view){
        .term_at = digit_at, .log = digits, .last = none ? 0 : strlen(digits)};
}

/* ---- telling ---------------------------------------------------------------------------------- */

/* NULL: nothing is wrong so far. */
static const char *tell_line(struct check_members *c, const char *title, char *line)
{
    char log[LOG_MAX], *text = strchr(line, ':');
    struct raft_config config = {0};
    uint64_t index, term, commit;
    unsigned node;

    if (sscanf(line, "committed %" SCNu64 "@%" SCNu64, &index, &term) == 2) {
        check_members_commit(c, index, term);
        return NULL;
    }
    if (text == NULL)
        unreadable(title, line);
    *text++ = '\0';
    if (sscanf(line, "decided log %15s from %" SCNu64, log, &index) == 2) {
        const struct check_view view = view_of(log);
        return check_members_decides(c, &view, index, read_set(text)) ? NULL : NO_QUORUM;
    }
    if (sscanf(line, "campaigns log %15s from %" SCNu64, log, &index) == 2) {
        const struct check_view view = view_of(log);
        return check_members_votes(c, &view, index, (raft_node)atoi(text)) ? NULL : NO_VOTER;
    }
    if (strcmp(line, "endures lost") == 0)
        return check_members_endure(c, read_set(text)) ? NULL : NO_ENDURANCE;
    if (!read_config(text, &config))
        unreadable(title, text);
    if (sscanf(line, "sent %" SCNu64 "@%" SCNu64, &index, &term) == 2) {
        check_members_record(c, index, term, &config);
        return NULL;
    }
    if (sscanf(line, "node %u leads %" SCNu64 " commit %" SCNu64 " log %15s has %" SCNu64, &node,
               &term, &commit, log, &index) != 5)
        unreadable(title, line);
    const struct check_view view = view_of(log);
    const struct check_member_state state = {.node = (raft_node)node,
                                             .term = term,
                                             .commit = commit,
                                             .index = index,
                                             .config = &config};
    check_members_in_force(c, &state, &view);
    return NULL;
}

/* What is broken first, and it must be the last line that breaks it. */
static const char *tell(struct check_members *c, const struct story *story, bool *early)
{
    struct check_report report = {0};
    const char *broken = NULL, *at = story->text;
    char line[LINE_MAX];

    check_members_reset(c, &report);
    while (*at != '\0' && broken == NULL) {
        const size_t length = strcspn(at, "\n");
        if (length >= sizeof line)
            unreadable(story->title, at);
        memcpy(line, at, length);
        line[length] = '\0';
        at += length + (at[length] == '\n');
        broken = tell_line(c, story->title, line);
        if (report.invariant != NULL)
            broken = report.invariant;
    }
    *early = *at != '\0';
    return broken;
}

int main(void)
{
    struct check_members *c = check_members_create();
    uint32_t count[2] = {0}, wrong = 0;

    for (size_t i = 0; i < sizeof stories / sizeof stories[0]; i++) {
        const struct story *story = &stories[i];
        bool early;
        const char *broken = tell(c, story, &early);
        const bool same = story->broken == NULL || broken == NULL
                              ? broken == story->broken
                              : strcmp(broken, story->broken) == 0;
        count[story->broken != NULL]++;
        if (same && !early)
            continue;
        printf("%s: %s, expected %s%s\n", story->title, broken != NULL ? broken : "accepted",
               story->broken != NULL ? story->broken : "accepted", early ? ", too early" : "");
        wrong++;
    }
    check_members_destroy(c);
    printf("%u histories to reject, %u to accept, %u judged wrongly\n", count[1], count[0], wrong);
    return wrong == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
