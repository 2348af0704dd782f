/* Goal:   every behaviour of the core that has a rule is written down as a script and its full
 *         trace, so that a change of behaviour is a diff that somebody must read.
 * Method: a file holds script lines, `----`, and the trace. Each line is one event to one core; the
 *         trace repeats it behind `>` and lists every effect and every change of state. The file
 *         passes if the trace is the same to the byte. --write puts the new trace in the file.
 *
 * Script lines (names and numbers as in raft.h; times in ms; seqs count from 1):
 *   node N [members=1,2,3] [term=] [vote=] [commit=] [base=I@T] [log=(I@T ...)] [lease] [fresh] [faulty]
 *          [append_max=] [inflight=] [inflight_bytes=] [window=] [lag=] [promote=MS]
 *          [config_index=] [config_next=]   the latter stands in the last entry of the log
 *   recv from=N TYPE term=T ...        fields as send lines of the trace show them
 *   tick [MS] | wait MS                time passes (tick alone: until the next is due)
 *   durable SEQ|all | propose COUNT [bytes=] | send [to=2,3] [memory_first=] | read NUMBER
 *   loaded peer=N first=I entries=(...) | renew | boot N [older] | bootstrap members=1,2,3
 *   compact at=I | begun peer=N at=I | ended peer=N at=I [ok]     the transfer of a snapshot
 *   keep                               shows raft_keep_from()
 *   install at=I@T [leader_term=] [config=] [config_index=]
 *   transfer N (0: to the best) | change members=1,2,4 [forced] [incarnation= of the first]
 *   lead                               time out and win with everybody's vote, without a trace
 * Script and trace write a member as its node id, then nothing (voter), l (learner), a (learner that
 * is promoted by itself), and in a joint configuration b (votes in both halves), o (in the old one,
 * then leaves), d (in the old one, then a learner), x (learner that leaves); then :PRIORITY, /REPLACES.
 * The clock of a node starts an election_min after its start, unless it is `fresh`.
 * An entry is I@T, then xBYTES if not 100 bytes, then * if it is the CONFIG entry of config=1,2,3.
 */
#include "tests/raftcore/golden.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

_Noreturn void golden_fail(const char *what, const char *line)
{
    fprintf(stderr, "golden: %s: %s\n", what, line);
    exit(2);
}

/* Runs the script part; returns its length, the separator included. */
static size_t run_script(struct golden *g, const char *text)
{
    const char *at = text;

    while (*at != '\0') {
        char line[GOLDEN_LINE_BYTES_MAX] = {0};
        const size_t bytes = strcspn(at, "\n");
        if (bytes >= sizeof line)
            golden_fail("line too long", at);
        memcpy(line, at, bytes);
        at += bytes + (at[bytes] == '\n');
        if (strcmp(line, "----") == 0)
            return (size_t)(at - text);
        if (bytes > 0 && line[0] != '#')
            golden_line(g, line);
    }
    golden_fail("no ---- line", text);
    return 0;
}

static void show_difference(const char *path, const char *expected, const char *actual)
{
    uint32_t line = 1;
    size_t start = 0;

    for (size_t i = 0; expected[i] == actual[i] && expected[i] != '\0'; i++) {
        if (expected[i] == '\n') {
            line++;
            start = i + 1;
        }
    }
    fprintf(stderr, "%s: trace line %" PRIu32 "\n  expected: %.*s\n  actual:   %.*s\n", path, line,
            (int)strcspn(expected + start, "\n"), expected + start,
            (int)strcspn(actual + start, "\n"), actual + start);
}

static bool run_file(const char *path, bool rewrite)
{
    static char text[GOLDEN_TEXT_BYTES_MAX];
    static struct golden g;
    FILE *file = fopen(path, rewrite ? "r+" : "r");

    if (file == NULL)
        golden_fail("cannot open", path);
    memset(&g, 0, sizeof g);
    g.now_ns = 1000ull * GOLDEN_MS;
    const size_t bytes = fread(text, 1, sizeof text - 1, file);
    text[bytes] = '\0';
    const size_t script_bytes = run_script(&g, text);
    const bool same = strcmp(text + script_bytes, g.text) == 0;
    if (!same && !rewrite)
        show_difference(path, text + script_bytes, g.text);
    if (!same && rewrite) {
        rewind(file);
        fwrite(text, 1, script_bytes, file);
        fwrite(g.text, 1, g.text_bytes, file);
        fflush(file);
        if (ftruncate(fileno(file), (off_t)(script_bytes + g.text_bytes)) != 0)
            golden_fail("cannot truncate", path);
    }
    fclose(file);
    free(g.memory);
    return same || rewrite;
}

int main(int argc, char **argv)
{
    const bool rewrite = argc > 1 && strcmp(argv[1], "--write") == 0;
    int failed = 0;

    if (argc < 2 + rewrite) {
        fprintf(stderr, "usage: %s [--write] FILE...\n", argv[0]);
        return 2;
    }
    for (int i = 1 + rewrite; i < argc; i++)
        failed += !run_file(argv[i], rewrite);
    return failed == 0 ? 0 : 1;
}
