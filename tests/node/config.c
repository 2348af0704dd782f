/* Goal:   every mistake in a configuration is reported with its line, what is wrong and what is
 *         allowed; the examples in config/ have none; defaults are filled in.
 * Method: a valid file is varied in one place after the other, and the complaint compared. The
 *         folder of the examples comes as argument.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "node/config.h"

enum { TEXT_BYTES = 8192 };

static const char *examples;

static const char valid[] = "cluster: 7\n"                                         /* 1 */
                            "node: 1\n"                                            /* 2 */
                            "data: data\n"                                         /* 3 */
                            "run: run\n"                                           /* 4 */
                            "links: /tmp/links\n"                                  /* 5 */
                            "members:\n"                                           /* 6 */
                            "  - {node: 3, name: n3, client: '127.0.0.1:32379'}\n" /* 7 */
                            "  - {node: 1, name: n1, client: '127.0.0.1:12379'}\n" /* 8 */
                            "lcores:\n"                                            /* 9 */
                            "  - roles: [rx, api, raft, persist, store, tx]\n"     /* 10 */
                            "port: {kind: memif}\n"                                /* 11 */
                            "timing:\n"                                            /* 12 */
                            "  heartbeat_ms: 20\n";                                /* 13 */

/* `valid` with the first `from` replaced by `to`. */
static void vary(char *out, const char *from, const char *to)
{
    const char *at = strstr(valid, from);

    assert_non_null(at);
    snprintf(out, TEXT_BYTES, "%.*s%s%s", (int)(at - valid), valid, to, at + strlen(from));
}

/* The complaints about `text`, without the file's name. */
static int load_text(const char *text, struct config **config, char *complaints)
{
    char path[] = "/tmp/skiff-config-XXXXXX";
    char *said = NULL;
    size_t bytes = 0;
    const int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    FILE *out = open_memstream(&said, &bytes);
    const int count = config_load(path, config, out);
    fclose(out);
    unlink(path);
    complaints[0] = '\0';
    for (const char *line = said; *line != '\0'; line = strchr(line, '\n') + 1) {
        assert_memory_equal(line, path, strlen(path));
        const size_t used = strlen(complaints);
        snprintf(complaints + used, TEXT_BYTES - used, "%.*s",
                 (int)(strchr(line, '\n') + 1 - line - (int)strlen(path)), line + strlen(path));
    }
    free(said);
    return count;
}

static void expect(const char *from, const char *to, const char *complaint)
{
    char text[TEXT_BYTES], said[TEXT_BYTES];
    struct config *config = NULL;

    vary(text, from, to);
    const int count = load_text(text, &config, said);
    if (count == 0)
        config_free(config);
    if (count != 1 || strstr(said, complaint) == NULL)
        print_error("expected 1 complaint with:\n%s\ngot %d:\n%s\n", complaint, count, said);
    assert_int_equal(count, 1);
    assert_non_null(strstr(said, complaint));
}

static void valid_file_gets_defaults(void **state)
{
    char said[TEXT_BYTES];
    struct config *config = NULL;

    (void)state;
    assert_int_equal(load_text(valid, &config, said), 0);
    assert_string_equal(said, "");
    assert_int_equal(config->timing.heartbeat_ms, 20);
    assert_int_equal(config->timing.election_min_ms, 100);
    assert_int_equal(config->log.segment_mib, 64);
    assert_int_equal(config->idle, CONFIG_IDLE_ADAPTIVE);
    assert_int_equal(config->members[0].node, 1);   /* sorted */
    assert_string_equal(config->data, "/tmp/data"); /* from the file's folder */
    assert_string_equal(config->links, "/tmp/links");
    assert_string_equal(config_self(config)->client, "127.0.0.1:12379");
    assert_null(config->lcores[0].cpu);
    assert_int_equal(config->members[1].joins, 0);
    assert_int_equal(config->members[1].priority, 0);
    assert_int_equal(config->timing.promote_ms, 1000);
    assert_int_equal(config->snapshot.log_mib, 256);
    assert_int_equal(config->snapshot.entries, 4000000);
    assert_int_equal(config->store.pin_mib, 0);
    config_free(config);
}

/* What may be 0 is so when it was said, though it has a default. */
static void nought_is_not_left_out(void **state)
{
    char text[TEXT_BYTES], said[TEXT_BYTES];
    struct config *config = NULL;

    (void)state;
    vary(text, "timing:\n",
         "log: {registered_kib: 0}\nsnapshot: {log_mib: 0, entries: 0, trailing_mib: 0}\ntiming:\n");
    assert_int_equal(load_text(text, &config, said), 0);
    assert_int_equal(config->log.registered_kib, 0);
    assert_int_equal(config->log.segment_spares, 16);
    assert_int_equal(config->snapshot.log_mib, 0);
    assert_int_equal(config->snapshot.entries, 0);
    assert_int_equal(config->snapshot.age_s, 3600);
    assert_int_equal(config->snapshot.trailing_mib, 0);
    config_free(config);
}

static void form_has_lines(void **state)
{
    (void)state;
    expect("heartbeat_ms", "heartbeat",
           ":13: unknown key \"heartbeat\" in timing; allowed here: "
           "heartbeat_ms, election_min_ms");
    expect("node: 1\n", "node: 1\nnode: 1\n",
           ":3: key \"node\" stands here a second time; the "
           "first is on line 2");
    expect("cluster: 7\n", "", ":1: key \"cluster\" is missing");
    expect("name: n3, ", "", ":7: key \"name\" is missing in members[]");
    expect("[rx,", "[rc,",
           ":10: lcores[].roles[] is \"rc\"; allowed: rx, api, raft, persist, "
           "store, tx");
    expect("memif", "memfi", ":11: port.kind is \"memfi\"; allowed: memif");
    expect("{kind: memif}", "memif", ":11: port must be keys with values");
    expect("- roles: [", "- roles: rx #", ":10: lcores[].roles must be a list");
    expect("data: data", "data: [a]", ":3: data must be a single value");
    expect("lcores:\n  - roles: [rx, api, raft, persist, store, tx]", "lcores: []",
           ":9: lcores has 0 entries; allowed are 1 to 16");
}

static void numbers_have_bounds(void **state)
{
    (void)state;
    expect("cluster: 7", "cluster: 0", ":1: cluster is \"0\"; allowed is a whole number from 1 to");
    expect("cluster: 7", "cluster: -7", ":1: cluster is \"-7\"; allowed");
    expect("cluster: 7", "cluster: 7x", ":1: cluster is \"7x\"; allowed");
    expect("cluster: 7", "cluster: ''", ":1: cluster is \"\"; allowed");
    expect("node: 1", "node: 65536",
           ":2: node is \"65536\"; allowed is a whole number from 1 to "
           "65535");
    expect("node: 3", "node: 99999999999999999999", ":7: members[].node is");
    expect("heartbeat_ms: 20", "heartbeat_ms: 0",
           ":13: timing.heartbeat_ms is \"0\"; allowed is a "
           "whole number from 1 to 10000");
    expect("timing:\n  heartbeat_ms: 20", "limits: {ring_tx: 1000}",
           ":12: limits.ring_tx is \"1000\"; allowed is a whole number from 2 to 65536 that is a "
           "power of two");
}

static void meaning_has_lines(void **state)
{
    (void)state;
    expect("node: 3", "node: 1", ":8: node 1 stands in members twice");
    expect("name: n3", "name: n1", ":8: the name \"n1\" stands in members twice");
    expect("name: n3", "name: 'n\"3'", ":7: members[].name is \"n\"3\"; allowed in it are letters");
    expect("32379", "12379", ":8: the client address 127.0.0.1:12379 stands in members twice");
    expect("127.0.0.1:32379", "localhost:32379", ":7: members[].client is \"localhost:32379\"");
    expect("127.0.0.1:32379", "127.0.0.1", ":7: members[].client is \"127.0.0.1\"");
    expect("node: 1\n", "node: 2\n", ":2: node is 2, but members has no entry");
    expect("client: '127.0.0.1:32379'", "client: '127.0.0.1:32379', joins: yes",
           ":7: members[].joins is \"yes\"");
    expect("client: '127.0.0.1:32379'", "client: '127.0.0.1:32379', priority: 256",
           ":7: members[].priority is \"256\"; allowed is");
    expect("'}\n  - {node: 1, name: n1, client: '127.0.0.1:12379'",
           "', joins: true}\n  - {node: 1, name: n1, client: '127.0.0.1:12379', joins: true",
           "0 members are there from the start");
    expect(", tx]", "]", "no lcore has the role tx");
    expect(", tx]", ", tx, rx]", "allowed are 1 to 6");
    expect(", store, tx]", ", store]\n  - roles: [tx, rx]", ":11: role rx stands in lcores twice");
    expect("- roles: [rx,", "- cpu: 3\n    roles: [rx]\n  - cpu: 3\n    roles: [",
           ":12: CPU 3 has two lcores");
    expect("heartbeat_ms: 20", "heartbeat_ms: 50", "election_min_ms is 100; allowed is at least");
    expect("heartbeat_ms: 20", "election_max_ms: 90",
           ":13: election_max_ms is 90; allowed is more");
    expect("timing:\n", "limits: {credit_frames: 512, ring_data: 256}\ntiming:\n",
           ":12: the peers may have 512 data frames under way");
    expect("timing:\n", "snapshot: {needed_mib: 63}\ntiming:\n",
           ":12: needed_mib is 63; allowed is at least trailing_mib, 64");
    expect("timing:\n", "snapshot:\n  needed_mib: 32400\n  log_mib: 400\ntiming:\n",
           "log_mib and needed_mib are 32800 MiB together; allowed are 32640");
    expect("timing:\n", "store: {quota_mib: 64, pin_mib: 65}\ntiming:\n",
           ":12: pin_mib is 65; allowed is at most quota_mib, 64");
    expect("run: run", "run: data", ":3: the data directory is also named");
    expect("/tmp/links", "'/tmp/a b'", ":5: the path of links is \"/tmp/a b\"; allowed in it are");
    expect("/tmp/links",
           "/tmp/0123456789012345678901234567890123456789012345678901234567890123456789"
           "0123456789",
           ":5: the path of links");
}

static void no_yaml_and_no_file(void **state)
{
    char said[TEXT_BYTES];
    struct config *config = NULL;

    (void)state;
    expect("  - {node: 1", "  - {node: 1]", ":8: this is not YAML");
    assert_int_equal(load_text("", &config, said), 1);
    assert_non_null(strstr(said, ":1: the file is empty"));
    FILE *nowhere = fopen("/dev/null", "w");
    assert_int_equal(config_load("/nonexistent/x.yaml", &config, nowhere), 1);
    assert_int_equal(config_load("/tmp", &config, nowhere), 1);
    fclose(nowhere);
}

/* A cut or a changed byte anywhere ends in complaints or in a configuration, never in anything else. */
static void any_damage_is_survived(void **state)
{
    char text[TEXT_BYTES], said[TEXT_BYTES * 4];
    static const char put[] = "{[:-'9\n#x";

    (void)state;
    for (size_t i = 0; i < sizeof valid; i++) {
        for (size_t j = 0; j < sizeof put; j++) {
            struct config *config = NULL;
            memcpy(text, valid, sizeof valid);
            text[i] = put[j]; /* the last is the end of the text */
            if (load_text(text, &config, said) == 0)
                config_free(config);
        }
    }
}

static void every_mistake_is_reported(void **state)
{
    char said[TEXT_BYTES];
    struct config *config = NULL;

    (void)state;
    assert_int_equal(load_text("cluster: x\nnode: y\nbogus: 1\n", &config, said), 3 + 6);
    assert_non_null(strstr(said, ":1: cluster is \"x\""));
    assert_non_null(strstr(said, ":2: node is \"y\""));
    assert_non_null(strstr(said, ":3: unknown key \"bogus\""));
    assert_non_null(strstr(said, "key \"members\" is missing"));
}

static void examples_have_no_mistakes(void **state)
{
    char pattern[4096];
    glob_t found;

    (void)state;
    snprintf(pattern, sizeof pattern, "%s/*.yaml", examples);
    assert_int_equal(glob(pattern, 0, NULL, &found), 0);
    assert_true(found.gl_pathc >= 4);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        struct config *config = NULL;
        assert_int_equal(config_load(found.gl_pathv[i], &config, stderr), 0);
        config_free(config);
    }
    globfree(&found);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(valid_file_gets_defaults),  cmocka_unit_test(nought_is_not_left_out),
        cmocka_unit_test(form_has_lines),
        cmocka_unit_test(numbers_have_bounds),       cmocka_unit_test(meaning_has_lines),
        cmocka_unit_test(no_yaml_and_no_file),       cmocka_unit_test(any_damage_is_survived),
        cmocka_unit_test(every_mistake_is_reported), cmocka_unit_test(examples_have_no_mistakes),
    };

    examples = argc > 1 ? argv[1] : "config";
    return cmocka_run_group_tests(tests, NULL, NULL);
}
