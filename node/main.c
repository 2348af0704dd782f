/* node/main.c: the program: its commands, and the order in which a node starts. */
#include "node/config.h"
#include "node/control.h"
#include "node/control_socket.h"
#include "node/disk_watch.h"
#include "node/exit_code.h"
#include "node/init.h"
#include "node/inspect.h"
#include "node/member.h"
#include "node/status.h"
#include "node/wiring.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "skiff: a replicated, durable metadata store that speaks etcd v3\n"
    "\n"
    "  skiff init --config FILE             make the node's data directory (once)\n"
    "  skiff run --config FILE              run the node; SIGINT and SIGTERM end it\n"
    "  skiff status [--dir DIR]             table of the nodes in DIR (default: run)\n"
    "  skiff status --config FILE [FILE...] table of these nodes\n"
    "  skiff status ... -o json             the same and more, as JSON\n"
    "  skiff member list --config FILE      who is a member, and how far each is\n"
    "  skiff member add NODE                a learner, promoted by itself when it has caught up;\n"
    "                                       --learner: not promoted; --priority N\n"
    "  skiff member replace OLD NEW         NEW is added, and takes the place of OLD then\n"
    "  skiff member promote|demote|remove NODE...   in one step; --force: even if too few are "
    "well\n"
    "  skiff member priority NODE N         the higher, the rather a leader\n"
    "  skiff transfer [NODE]                leadership to that node, or to the furthest\n"
    "  skiff snapshot                       all nodes make a snapshot now, and cut their logs\n"
    "                                       (member, transfer, snapshot: --config FILE, -o json)\n"
    "  skiff check --config FILE            say what is wrong in a configuration\n"
    "  skiff inspect wal DIR                what the log in a data directory contains: segments,\n"
    "                                       ranges, terms, damage with its place\n"
    "  skiff inspect superblock DIR         whose data directory it is\n"
    "  skiff inspect snap FILE              a snapshot file, each chunk of it\n"
    "  skiff inspect ... --verify           exit code 3 if anything is damaged\n"
    "  skiff inspect ... -o json            as JSON\n"
    "  skiff --help | --version\n"
    "\n"
    "Three nodes on this machine with one command: scripts/quickstart\n"
    "Exit codes: 0 fine, 1 command line, 2 configuration, 3 data directory, 4 can't start,\n"
    "5 a node does not answer, 6 not done, 7 not known if it was done, 70 and up: the node stopped "
    "for good (node/exit_code.h)\n";

struct arguments {
    const char *config;
    const char *folder;
    bool json;
    bool verify;
    bool learner;
    bool force;
    bool help;
    uint32_t priority;
    int rest; /* index of the first argument behind the options */
};

static int complain_usage(const char *what, const char *which)
{
    fprintf(stderr, "skiff: %s%s; see skiff --help\n", what, which);
    return EXIT_USAGE;
}

static bool parse_priority(const char *text, uint32_t *out)
{
    char *end;
    const unsigned long number = strtoul(text, &end, 10);

    *out = (uint32_t)number;
    return *text >= '0' && *text <= '9' && *end == '\0' && number <= UINT8_MAX;
}

/* The options behind the command; 0 or an exit code. */
static int parse(int argc, char **argv, struct arguments *out)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},   {"dir", required_argument, NULL, 'd'},
        {"output", required_argument, NULL, 'o'},   {"verify", no_argument, NULL, 'v'},
        {"learner", no_argument, NULL, 'l'},        {"force", no_argument, NULL, 'f'},
        {"priority", required_argument, NULL, 'p'}, {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int option;

    *out = (struct arguments){.folder = "run"};
    while ((option = getopt_long(argc, argv, "c:d:o:h", options, NULL)) != -1) {
        switch (option) {
        case 'c':
            out->config = optarg;
            break;
        case 'd':
            out->folder = optarg;
            break;
        case 'o':
            out->json = strcmp(optarg, "json") == 0;
            if (!out->json && strcmp(optarg, "table") != 0)
                return complain_usage("-o takes table or json, not ", optarg);
            break;
        case 'v':
            out->verify = true;
            break;
        case 'l':
            out->learner = true;
            break;
        case 'f':
            out->force = true;
            break;
        case 'p':
            if (!parse_priority(optarg, &out->priority))
                return complain_usage("--priority takes 0 to 255, not ", optarg);
            break;
        case 'h':
            out->help = true;
            break;
        default: /* getopt has said what it does not know */
            return complain_usage("that is no option of this command", "");
        }
    }
    out->rest = optind;
    return 0;
}

/* A command that needs one configuration: reads it. 0 or an exit code. */
static int load(const struct arguments *arguments, struct config **config)
{
    if (arguments->config == NULL)
        return complain_usage("which node? say --config FILE", "");
    return config_load(arguments->config, config, stderr) == 0 ? 0 : EXIT_CONFIG;
}

static int fail(int code, const char *error)
{
    fprintf(stderr, "skiff: %s\n", error);
    return code;
}

static int command_init(const struct config *config)
{
    char error[NODE_ERROR_BYTES] = "";
    const int code = init_data_directory(config, error, sizeof error);

    if (code != 0)
        return fail(code, error);
    printf("skiff: data directory %s made for node %u of cluster %llu\n", config->data,
           config->node, (unsigned long long)config->cluster);
    return EXIT_OK;
}

static int command_run(const struct config *config)
{
    char error[NODE_ERROR_BYTES] = "";
    struct node node;
    const int signal_fd = control_block_signals(); /* before any thread */

    if (signal_fd < 0)
        return fail(EXIT_START, "signals can't be taken by a file descriptor");
    int code = node_open(&node, config, NULL, error, sizeof error);
    if (code != 0)
        return fail(code, error);
    const int listen_fd = control_socket_listen(config->run, error, sizeof error);
    code = listen_fd < 0 ? EXIT_START : node_start(&node, error, sizeof error);
    if (code == 0)
        code = control_run(&node, signal_fd, listen_fd);
    else
        fail(code, error);
    if (listen_fd >= 0)
        close(listen_fd);
    node_close(&node);
    close(signal_fd);
    return code;
}

static int command_status(int argc, char **argv, const struct arguments *arguments)
{
    char *paths[STATUS_NODES_MAX];
    uint32_t count = 0;

    if (arguments->config == NULL)
        return status_print_folder(arguments->folder, arguments->json);
    if (argc - arguments->rest >= STATUS_NODES_MAX)
        return complain_usage("too many configurations", "");
    paths[count++] = (char *)(uintptr_t)arguments->config;
    for (int i = arguments->rest; i < argc; i++)
        paths[count++] = argv[i];
    return status_print(paths, count, arguments->json);
}

static int command_member(int argc, char **argv, const struct arguments *arguments,
                          int (*command)(const struct member_options *, char *const *, uint32_t))
{
    const struct member_options options = {
        .config = arguments->config,
        .json = arguments->json,
        .learner = arguments->learner,
        .force = arguments->force,
        .priority = arguments->priority,
    };

    if (arguments->config == NULL)
        return complain_usage("which node is to be asked? say --config FILE", "");
    return command(&options, argv + arguments->rest, (uint32_t)(argc - arguments->rest));
}

static int command_inspect(int argc, char **argv, const struct arguments *arguments)
{
    if (argc - arguments->rest != 2)
        return complain_usage("inspect takes what and where: inspect wal DIR, inspect superblock "
                              "DIR, or inspect snap FILE",
                              "");
    const char *what = argv[arguments->rest];
    const struct inspect_request request = {
        .path = argv[arguments->rest + 1],
        .json = arguments->json,
        .verify = arguments->verify,
    };
    if (strcmp(what, "wal") == 0)
        return inspect_log(&request);
    if (strcmp(what, "superblock") == 0)
        return inspect_superblock(&request);
    if (strcmp(what, "snap") == 0)
        return inspect_snapshot(&request);
    return complain_usage("inspect knows wal, superblock and snap, not ", what);
}

static int with_config(const struct arguments *arguments, int (*command)(const struct config *))
{
    struct config *config = NULL;
    int code = load(arguments, &config);

    if (code != 0)
        return code;
    code = command(config);
    config_free(config);
    return code;
}

static int command_check(const struct config *config)
{
    uint32_t joins = 0;

    for (uint32_t i = 0; i < config->members_count; i++)
        joins += config->members[i].joins != 0;
    printf("skiff: node %u of cluster %llu, %u members", config->node,
           (unsigned long long)config->cluster, config->members_count - joins);
    if (joins > 0)
        printf(", %u to join", joins);
    printf(": no mistakes\n");
    disk_watch_check(config, stderr);
    return EXIT_OK;
}

/* The command that takes one configuration and nothing else; NULL: there is none of that name. */
static int (*configured(const char *command))(const struct config *)
{
    if (strcmp(command, "init") == 0)
        return command_init;
    if (strcmp(command, "run") == 0)
        return command_run;
    if (strcmp(command, "check") == 0)
        return command_check;
    return NULL;
}

int main(int argc, char **argv)
{
    struct arguments arguments;
    const char *command = argc > 1 ? argv[1] : "";

    if (argc < 2) {
        fputs(usage, stderr);
        return EXIT_USAGE;
    }
    if (strcmp(command, "--version") == 0) {
        printf("skiff %s\n", SKIFF_VERSION);
        return EXIT_OK;
    }
    const int code = parse(argc - 1, argv + 1, &arguments);
    if (code != 0)
        return code;
    if (arguments.help || strcmp(command, "--help") == 0 || strcmp(command, "-h") == 0) {
        fputs(usage, stdout);
        return EXIT_OK;
    }
    if (strcmp(command, "status") == 0)
        return command_status(argc - 1, argv + 1, &arguments);
    if (strcmp(command, "member") == 0)
        return command_member(argc - 1, argv + 1, &arguments, member_command);
    if (strcmp(command, "transfer") == 0)
        return command_member(argc - 1, argv + 1, &arguments, member_transfer);
    if (strcmp(command, "snapshot") == 0)
        return command_member(argc - 1, argv + 1, &arguments, member_snapshot);
    if (strcmp(command, "inspect") == 0)
        return command_inspect(argc - 1, argv + 1, &arguments);
    int (*const with)(const struct config *) = configured(command);
    if (with == NULL)
        return complain_usage("unknown command ", command);
    if (arguments.rest < argc - 1)
        return complain_usage("a configuration is named by --config FILE; too many: ",
                              argv[1 + arguments.rest]);
    return with_config(&arguments, with);
}
