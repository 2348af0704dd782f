/* node/member.c: see member.h. */
#include "node/member.h"

#include "node/admin_text.h"
#include "node/config.h"
#include "node/control_socket.h"
#include "node/exit_code.h"

#include <errno.h>
#include <glob.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GRACE_MS = 1000 }; /* beyond the node's own time for a request */

static int complain(const char *text, const char *which)
{
    fprintf(stderr, "skiff: %s%s; see skiff --help\n", text, which);
    return EXIT_USAGE;
}

/* A number or a name of the file; 0: neither. */
static uint16_t node_of(const struct config *config, const char *word)
{
    char *end;
    const unsigned long number = strtoul(word, &end, 10);

    if (*word != '\0' && *end == '\0' && number <= UINT16_MAX)
        return (uint16_t)number;
    for (uint32_t i = 0; i < config->members_count; i++) {
        if (strcmp(config->members[i].name, word) == 0)
            return config->members[i].node;
    }
    return 0;
}

static const char *name_of(const struct config *config, uint16_t node)
{
    for (uint32_t i = 0; i < config->members_count; i++) {
        if (config->members[i].node == node)
            return config->members[i].name;
    }
    return "?";
}

/* --- asking ------------------------------------------------------------------------------------ */

/* The answer's text, or a sentence about why there is none; an exit code. */
static int ask_node(const struct config *config, const char *question, char *answer)
{
    const uint64_t wait_ms = config->timing.request_timeout_ms + GRACE_MS;
    const int result =
        control_socket_ask(config->run, question, wait_ms, answer, CONTROL_ANSWER_BYTES);

    if (result >= 0)
        return EXIT_OK;
    if (result == -ECONNREFUSED || result == -ENOENT)
        fprintf(stderr, "skiff: node %u (%s) is not running on this host; start it, or ask another\n",
                config->node, config_self(config)->name);
    else
        fprintf(stderr, "skiff: node %u (%s) does not answer: %s\n", config->node,
                config_self(config)->name, strerror(-result));
    return result == -EAGAIN ? EXIT_UNKNOWN : EXIT_NO_ANSWER;
}

/* The configuration of `node` among those in the folder of `path`; NULL: it is not there. */
static struct config *find_config(const char *path, const struct config *like, uint16_t node)
{
    char folder[PATH_MAX], pattern[PATH_MAX + 8];
    struct config *found = NULL;
    glob_t files;
    FILE *nobody = fopen("/dev/null", "w");

    if (nobody == NULL)
        return NULL;
    snprintf(folder, sizeof folder, "%s", path);
    snprintf(pattern, sizeof pattern, "%s/*.yaml", dirname(folder));
    if (glob(pattern, 0, NULL, &files) == 0) {
        for (size_t i = 0; i < files.gl_pathc && found == NULL; i++) {
            struct config *other;
            if (config_load(files.gl_pathv[i], &other, nobody) != 0)
                continue;
            if (other->node == node && other->cluster == like->cluster)
                found = other;
            else
                config_free(other);
        }
        globfree(&files);
    }
    fclose(nobody);
    return found;
}

/* Asks the node of `path`, and the leader that it names if that one is here. */
static int ask_leader(const char *path, const struct config *config, const char *question,
                      char *answer)
{
    unsigned leader = 0;
    int code = ask_node(config, question, answer);

    if (code != EXIT_OK || sscanf(answer, "not_leader %u", &leader) != 1)
        return code;
    if (leader == 0) {
        fprintf(stderr,
                "skiff: node %u knows no leader: nothing was changed; look at skiff status, and try "
                "again when there is one\n",
                config->node);
        return EXIT_REFUSED;
    }
    struct config *other = find_config(path, config, (uint16_t)leader);
    if (other == NULL) {
        fprintf(stderr,
                "skiff: node %u does not lead, nothing was changed; node %u (%s) leads: ask there\n",
                config->node, leader, name_of(config, (uint16_t)leader));
        return EXIT_REFUSED;
    }
    fprintf(stderr, "skiff: node %u does not lead; asking node %u (%s)\n", config->node, leader,
            config_self(other)->name);
    code = ask_node(other, question, answer);
    config_free(other);
    return code;
}

/* --- answers ----------------------------------------------------------------------------------- */

static int tell(const struct member_options *options, const char *answer, const char *done)
{
    const bool ok = strncmp(answer, "ok ", 3) == 0;
    const char *sentence = ok ? done : answer;

    if (strncmp(answer, "refused ", 8) == 0)
        sentence = answer + 8;
    else if (strcmp(answer, "unknown") == 0)
        sentence = "it may happen yet or not: look at skiff member list, or skiff status, before you ask "
                   "again";
    else if (strcmp(answer, "busy") == 0)
        sentence = "another request is being worked on, or the node is overloaded: nothing was "
                   "changed, try again";
    else if (strncmp(answer, "not_leader ", 11) == 0)
        sentence = "leadership has changed meanwhile and nothing was done: ask again";
    if (options->json)
        printf("{\"ok\":%s,\"message\":\"%s\"}\n", ok ? "true" : "false", sentence);
    else if (ok)
        printf("skiff: %s\n", sentence);
    else
        fprintf(stderr, "skiff: not done: %s\n", sentence);
    if (ok)
        return EXIT_OK;
    return strcmp(answer, "unknown") == 0 ? EXIT_UNKNOWN : EXIT_REFUSED;
}

static int ask_and_tell(const struct member_options *options, const struct config *config,
                        const struct admin_request *request, const char *done)
{
    char question[ADMIN_TEXT_BYTES];
    char *answer = malloc(CONTROL_ANSWER_BYTES);

    if (answer == NULL)
        return EXIT_START;
    admin_text_write(request, question);
    int code = ask_leader(options->config, config, question, answer);
    if (code == EXIT_OK)
        code = tell(options, answer, done);
    free(answer);
    return code;
}

static int list(const struct member_options *options, const struct config *config)
{
    char *answer = malloc(CONTROL_ANSWER_BYTES);

    if (answer == NULL)
        return EXIT_START;
    const int code = ask_node(config, options->json ? "members-json" : "members", answer);
    if (code == EXIT_OK)
        printf("%s%s", answer, options->json ? "\n" : "");
    free(answer);
    return code;
}

/* --- commands ---------------------------------------------------------------------------------- */

/* One command of `skiff member` that changes something: its words as edits. */
struct verb {
    const char *name;
    uint8_t kind; /* enum admin_edit_kind */
    uint32_t words_least, words_most; /* behind the name */
    const char *done;
};

static const struct verb verbs[] = {
    {"add", ADMIN_ADD, 1, 1, "added; a learner that keeps up is promoted by itself (skiff member list)"},
    {"replace", ADMIN_ADD, 2, 2, "added; it takes the place of the other when it has caught up"},
    {"promote", ADMIN_PROMOTE, 1, ADMIN_EDITS_MAX, "promoted"},
    {"demote", ADMIN_DEMOTE, 1, ADMIN_EDITS_MAX, "demoted"},
    {"remove", ADMIN_REMOVE, 1, ADMIN_EDITS_MAX, "removed; end its process, its node number is never used again"},
    {"priority", ADMIN_PRIORITY, 2, 2, "set"},
};

static const struct verb *verb_of(const char *name)
{
    for (uint32_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    return NULL;
}

/* The edits that words 1.. ask for; false: one is no node, or no priority. */
static bool fill_edits(const struct member_options *options, const struct config *config,
                       char *const *words, uint32_t count, struct admin_request *out)
{
    const struct verb *verb = verb_of(words[0]);
    const uint32_t nodes = verb->words_most == ADMIN_EDITS_MAX ? count - 1 : 1;

    *out = (struct admin_request){
        .kind = ADMIN_CHANGE, .forced = options->force, .edit_count = nodes};
    for (uint32_t i = 0; i < nodes; i++) {
        out->edit[i] = (struct admin_edit){
            .kind = verb->kind,
            .node = node_of(config, words[1 + i]),
            .priority = (uint8_t)options->priority,
        };
        if (out->edit[i].node == 0)
            return false;
    }
    if (verb->kind == ADMIN_ADD)
        out->edit[0].promote = !options->learner;
    if (verb->kind == ADMIN_ADD && count == 3) { /* replace OLD NEW */
        out->edit[0].replaces = out->edit[0].node;
        out->edit[0].node = node_of(config, words[2]);
        out->edit[0].promote = true;
        return out->edit[0].node != 0;
    }
    if (verb->kind == ADMIN_PRIORITY) {
        char *end;
        const unsigned long priority = strtoul(words[2], &end, 10);
        out->edit[0].priority = (uint8_t)priority;
        return *end == '\0' && priority <= UINT8_MAX;
    }
    return true;
}

static int change(const struct member_options *options, const struct config *config,
                  char *const *words, uint32_t count)
{
    const struct verb *verb = verb_of(words[0]);
    struct admin_request request;

    if (verb == NULL)
        return complain("member knows list, add, replace, promote, demote, remove and priority, not ",
                        words[0]);
    if (count - 1 < verb->words_least || count - 1 > verb->words_most)
        return complain("too few or too many words for skiff member ", words[0]);
    if (!fill_edits(options, config, words, count, &request))
        return complain("a member is named by its node number, or by its name in the configuration; "
                        "a priority is 0 to 255: ",
                        words[count - 1]);
    const bool learner = options->learner && strcmp(words[0], "add") == 0;
    return ask_and_tell(options, config, &request, learner ? "added as a learner" : verb->done);
}

int member_command(const struct member_options *options, char *const *words, uint32_t count)
{
    struct config *config;

    if (count == 0)
        return complain("member takes list, add, replace, promote, demote, remove or priority", "");
    if (config_load(options->config, &config, stderr) != 0)
        return EXIT_CONFIG;
    const int code = strcmp(words[0], "list") == 0 ? list(options, config)
                                                   : change(options, config, words, count);
    config_free(config);
    return code;
}

int member_transfer(const struct member_options *options, char *const *words, uint32_t count)
{
    struct admin_request request = {.kind = ADMIN_TRANSFER};
    struct config *config;
    int code;

    if (count > 1)
        return complain("transfer takes one node at most", "");
    if (config_load(options->config, &config, stderr) != 0)
        return EXIT_CONFIG;
    request.target = count == 1 ? node_of(config, words[0]) : 0;
    if (count == 1 && request.target == 0)
        code = complain("no such node: ", words[0]);
    else
        code = ask_and_tell(options, config, &request, "leadership is handed over");
    config_free(config);
    return code;
}

int member_snapshot(const struct member_options *options, char *const *words, uint32_t count)
{
    const struct admin_request request = {.kind = ADMIN_SNAPSHOT};
    struct config *config;

    (void)words;
    if (count > 0)
        return complain("snapshot takes no words", "");
    if (config_load(options->config, &config, stderr) != 0)
        return EXIT_CONFIG;
    const int code = ask_and_tell(options, config, &request,
                                  "all nodes make a snapshot now; skiff status shows it");
    config_free(config);
    return code;
}
