/* node/status.c: see status.h. */
#include "node/status.h"

#include "node/config.h"
#include "node/control_socket.h"
#include "node/exit_code.h"
#include "node/report.h"

#include <errno.h>
#include <glob.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FIELD_BYTES = 128 };

static const char *const column_name[REPORT_COLUMNS] = {
    "NODE", "ROLE", "TERM", "COMMIT", "APPLIED", "DURABLE", "REVISION", "CLIENT ADDRESS", "LINKS"};
/* Numbers stand to the right. */
static const bool column_right[REPORT_COLUMNS] = {false, false, true,  true, true,
                                                  true,  true,  false, false};
enum { COLUMN_ROLE = 1 };

struct status_row {
    bool answers;
    uint32_t field_count;
    char field[REPORT_COLUMNS][FIELD_BYTES];
};

struct status_table {
    uint32_t row_count;
    struct status_row row[STATUS_NODES_MAX];
};

/* Asks one node; `answer` is what it said, or why it said nothing. True: it answered. */
static bool ask(const char *config_path, const char *question, char *answer, char name[FIELD_BYTES])
{
    struct config *config;

    snprintf(name, FIELD_BYTES, "%s", config_path);
    if (config_load(config_path, &config, stderr) != 0) {
        snprintf(answer, CONTROL_ANSWER_BYTES, "its configuration has mistakes, see above");
        return false;
    }
    snprintf(name, FIELD_BYTES, "%s", config_self(config)->name);
    const int result = control_socket_ask(config->run, question, CONTROL_WAIT_MS, answer,
                                          CONTROL_ANSWER_BYTES);
    if (result == -EAGAIN)
        snprintf(answer, CONTROL_ANSWER_BYTES,
                 "does not answer within %d ms: is it stopped, or is the machine overloaded?",
                 CONTROL_WAIT_MS);
    else if (result == -ECONNREFUSED || result == -ENOENT)
        snprintf(answer, CONTROL_ANSWER_BYTES, "does not answer: it is not running; skiff run --config %s starts it",
                 config_path);
    else if (result < 0)
        snprintf(answer, CONTROL_ANSWER_BYTES, "does not answer: %s", strerror(-result));
    config_free(config);
    return result >= 0;
}

static void fill_row(struct status_row *row, const char *answer)
{
    const char *rest = answer;

    for (uint32_t i = 0; i < REPORT_COLUMNS; i++) {
        const size_t length = strcspn(rest, "\t\n");
        snprintf(row->field[i], FIELD_BYTES, "%.*s", (int)length, rest);
        row->field_count++;
        if (rest[length] != '\t')
            return;
        rest += length + 1;
    }
}

/* The last field of a row has width 0 and nothing behind it. */
static void print_field(const char *text, int width, bool right)
{
    printf("%*s%s", right ? width : -width, text, width != 0 ? "  " : "");
}

/* Green for the leader, red for who does not answer; only on a terminal. */
static const char *row_colour(const struct status_row *row)
{
    if (!isatty(STDOUT_FILENO) || getenv("NO_COLOR") != NULL)
        return NULL;
    if (!row->answers)
        return "\033[31m";
    return strcmp(row->field[COLUMN_ROLE], "leader") == 0 ? "\033[1;32m" : NULL;
}

static void print_row(const struct status_row *row, const int *width)
{
    const char *colour = row_colour(row);

    if (colour != NULL)
        printf("%s", colour);
    for (uint32_t i = 0; i < row->field_count; i++) {
        const bool last = i + 1 == row->field_count;
        print_field(row->field[i], last ? 0 : width[i], column_right[i]);
    }
    printf("%s\n", colour != NULL ? "\033[0m" : "");
}

static void print_table(const struct status_table *table)
{
    int width[REPORT_COLUMNS];

    for (uint32_t i = 0; i < REPORT_COLUMNS; i++) {
        width[i] = (int)strlen(column_name[i]);
        for (uint32_t r = 0; r < table->row_count; r++) {
            const struct status_row *row = &table->row[r];
            const int length = (int)strlen(row->field[i]);
            /* The sentence of a node that does not answer spans the columns. */
            if ((row->answers || i == 0) && length > width[i])
                width[i] = length;
        }
    }
    for (uint32_t i = 0; i < REPORT_COLUMNS; i++)
        print_field(column_name[i], i + 1 < REPORT_COLUMNS ? width[i] : 0, column_right[i]);
    printf("\n");
    for (uint32_t r = 0; r < table->row_count; r++)
        print_row(&table->row[r], width);
}

static int print_as_table(char *const *config_paths, uint32_t count)
{
    struct status_table *table = calloc(1, sizeof *table);
    char *answer = malloc(CONTROL_ANSWER_BYTES);
    int result = EXIT_OK;

    if (table == NULL || answer == NULL) {
        result = EXIT_START;
        goto out;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct status_row *row = &table->row[table->row_count++];
        row->answers = ask(config_paths[i], "row", answer, row->field[0]);
        if (row->answers) {
            fill_row(row, answer);
            continue;
        }
        snprintf(row->field[1], FIELD_BYTES, "%.*s", FIELD_BYTES - 1, answer);
        row->field_count = 2;
        result = EXIT_NO_ANSWER;
    }
    print_table(table);
out:
    free(answer);
    free(table);
    return result;
}

static void print_json_string(const char *text)
{
    putchar('"');
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            putchar('\\');
        if ((unsigned char)*text < ' ')
            printf("\\u%04x", (unsigned char)*text);
        else
            putchar(*text);
    }
    putchar('"');
}

static void print_json_error(const char *name, const char *error)
{
    printf("{\"name\":");
    print_json_string(name);
    printf(",\"error\":");
    print_json_string(error);
    printf("}");
}

static int print_as_json(char *const *config_paths, uint32_t count)
{
    char name[FIELD_BYTES];
    char *answer = malloc(CONTROL_ANSWER_BYTES);
    int result = EXIT_OK;

    if (answer == NULL)
        return EXIT_START;
    printf("[");
    for (uint32_t i = 0; i < count; i++) {
        const bool answers = ask(config_paths[i], "json", answer, name);
        printf("%s\n", i > 0 ? "," : "");
        if (answers)
            printf("%s", answer);
        else
            print_json_error(name, answer);
        result = answers ? result : EXIT_NO_ANSWER;
    }
    printf("\n]\n");
    free(answer);
    return result;
}

int status_print(char *const *config_paths, uint32_t count, bool json)
{
    if (count > STATUS_NODES_MAX) {
        fprintf(stderr, "skiff: %u configurations; at most %d are asked at once\n", count,
                STATUS_NODES_MAX);
        return EXIT_USAGE;
    }
    return json ? print_as_json(config_paths, count) : print_as_table(config_paths, count);
}

int status_print_folder(const char *folder, bool json)
{
    char pattern[4096];
    glob_t found;

    snprintf(pattern, sizeof pattern, "%s/node*.yaml", folder);
    if (glob(pattern, 0, NULL, &found) != 0) {
        fprintf(
            stderr,
            "skiff: no node lies in %s (looked for %s); start three with scripts/quickstart, or "
            "name configurations: skiff status --config FILE...\n",
            folder, pattern);
        return EXIT_USAGE;
    }
    const int result = status_print(found.gl_pathv, (uint32_t)found.gl_pathc, json);
    globfree(&found);
    return result;
}
