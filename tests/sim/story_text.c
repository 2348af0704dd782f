#include "tests/sim/story_text.h"

#include "base/assert.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_BYTES = 400, WORDS_MAX = 40, LETTERS = 26 };

struct reader {
    struct story *story;
    struct story_expected *expected;
    uint32_t call[LETTERS]; /* by its name; STORY_CALLS_MAX: none of that name */
    uint64_t index;         /* last committed */
    char *word[WORDS_MAX];
    uint32_t word_count;
};

static bool cut_words(struct reader *r, char *line)
{
    char *rest = NULL;

    r->word_count = 0;
    for (char *w = strtok_r(line, " \n", &rest); w != NULL; w = strtok_r(NULL, " \n", &rest)) {
        if (r->word_count == WORDS_MAX)
            return false;
        r->word[r->word_count++] = w;
    }
    return r->word_count > 0;
}

static bool is(const struct reader *r, uint32_t word, const char *text)
{
    return word < r->word_count && strcmp(r->word[word], text) == 0;
}

/* The number behind a word; the words in between are looked at by others. */
static uint64_t number_behind(const struct reader *r, const char *name, uint64_t otherwise)
{
    for (uint32_t i = 2; i + 1 < r->word_count; i++)
        if (is(r, i, name))
            return strtoull(r->word[i + 1], NULL, 10);
    return otherwise;
}

static bool has(const struct reader *r, const char *name)
{
    for (uint32_t i = 2; i < r->word_count; i++)
        if (is(r, i, name))
            return true;
    return false;
}

/* The slot of the letter that names a call; NULL: no such name. */
static uint32_t *named(struct reader *r, const char *name)
{
    if (name[0] < 'a' || name[0] > 'z' || name[1] != '\0')
        return NULL;
    return &r->call[name[0] - 'a'];
}

static int read_begin(struct reader *r, uint32_t *name)
{
    static const char *const kinds[] = {"put", "del", "get", "local"};
    struct story *s = r->story;
    struct history_call c = {.prev_kv = has(r, "prev"), .keys_only = has(r, "keys")};
    unsigned first = 0, end = 0;

    while (!is(r, 1, kinds[c.kind]))
        if (++c.kind == sizeof kinds / sizeof kinds[0])
            return -EINVAL;
    if (r->word_count < 3 || s->call_count == STORY_CALLS_MAX)
        return -EINVAL;
    const int fields = c.kind == HISTORY_PUT ? sscanf(r->word[2], "%u=%" SCNu64, &first, &c.value)
                                             : sscanf(r->word[2], "%u-%u", &first, &end);
    if (fields < 1 || (c.kind == HISTORY_PUT && fields != 2))
        return -EINVAL;
    c.key_first = (uint8_t)first;
    c.key_end = (uint8_t)(end != 0 ? end : first + 1);
    c.node = (uint16_t)number_behind(r, "node", 1);
    c.boot = (uint32_t)number_behind(r, "boot", 1);
    c.limit = (uint32_t)number_behind(r, "limit", 0);
    if (c.key_end <= c.key_first || c.key_end > HISTORY_KEYS || c.node >= HISTORY_NODES_MAX)
        return -EINVAL;
    *name = s->call_count;
    s->call[s->call_count++] = c;
    story_add(s, STORY_BEGIN, *name);
    return 0;
}

static bool read_item(const char *word, struct history_item *item)
{
    unsigned key;
    uint64_t value = 0;
    int64_t create, mod, version;

    if (sscanf(word, "%u=%" SCNu64 "/%" SCNd64 ".%" SCNd64 ".%" SCNd64, &key, &value, &create, &mod,
               &version) != 5 &&
        sscanf(word, "%u/%" SCNd64 ".%" SCNd64 ".%" SCNd64, &key, &create, &mod, &version) != 4)
        return false;
    *item = (struct history_item){.key = (uint8_t)key,
                                  .value = value,
                                  .create_revision = create,
                                  .mod_revision = mod,
                                  .version = version};
    return true;
}

static int read_ok(struct reader *r, uint32_t call)
{
    struct story_step *step = story_add(r->story, STORY_END, call);
    struct history_answer *a = &step->answer;

    a->fate = HISTORY_OK;
    if (r->word_count < 3 ||
        sscanf(r->word[2], "%" SCNu64 "@%" SCNd64, &a->index, &a->revision) != 2)
        return -EINVAL;
    for (uint32_t i = 3; i < r->word_count; i++) {
        if (strchr(r->word[i], '/') == NULL)
            continue;
        if (a->item_count == HISTORY_KEYS || !read_item(r->word[i], &step->item[a->item_count++]))
            return -EINVAL;
    }
    a->count = (int64_t)number_behind(r, "count", a->item_count);
    a->more = has(r, "more");
    return 0;
}

static int read_commit(struct reader *r)
{
    if (r->word_count != 2)
        return -EINVAL;
    const uint32_t *name = named(r, r->word[1]);

    if (name == NULL && !is(r, 1, "-"))
        return -EINVAL;
    story_add(r->story, STORY_COMMIT, name != NULL ? *name : STORY_CALLS_MAX);
    r->index++;
    return 0;
}

/* `do C put K=V REVISION` */
static int read_do(struct reader *r)
{
    if (r->word_count != 5 || !is(r, 2, "put"))
        return -EINVAL;
    const int64_t revision = strtoll(r->word[4], NULL, 10);
    uint32_t *name = named(r, r->word[1]);

    r->word_count--;
    memmove(&r->word[0], &r->word[1], r->word_count * sizeof r->word[0]);
    if (name == NULL || read_begin(r, name) != 0)
        return -EINVAL;
    story_add(r->story, STORY_COMMIT, *name);
    struct story_step *end = story_add(r->story, STORY_END, *name);
    end->answer =
        (struct history_answer){.fate = HISTORY_OK, .index = ++r->index, .revision = revision};
    return 0;
}

static int read_step(struct reader *r)
{
    if (is(r, 0, "commit"))
        return read_commit(r);
    if (is(r, 0, "do"))
        return read_do(r);
    uint32_t *name = named(r, r->word[0]);
    if (name == NULL || r->word_count < 2)
        return -EINVAL;
    if (is(r, 1, "ok"))
        return *name != STORY_CALLS_MAX ? read_ok(r, *name) : -EINVAL;
    if (!is(r, 1, "unknown") && !is(r, 1, "refused") && !is(r, 1, "passed"))
        return read_begin(r, name);
    if (*name == STORY_CALLS_MAX)
        return -EINVAL;
    story_add(r->story, STORY_END, *name)->answer.fate = is(r, 1, "unknown")   ? HISTORY_UNKNOWN
                                                         : is(r, 1, "refused") ? HISTORY_REFUSED
                                                                               : HISTORY_PASSED;
    return 0;
}

/* `text` is what follows the first word, to the end of its line. */
static void copy_rest(char *out, size_t bytes, const char *text)
{
    snprintf(out, bytes, "%.*s", (int)strcspn(text, "\n"), text);
}

static int read_line(struct reader *r, char *line)
{
    if (strncmp(line, "because ", 8) == 0) {
        copy_rest(r->expected->because, STORY_WHY_BYTES, line + 8);
        return 0;
    }
    if (strncmp(line, "replay ", 7) == 0) {
        copy_rest(r->expected->replay, STORY_NAME_BYTES, line + 7);
        return 0;
    }
    if (!cut_words(r, line))
        return -EINVAL;
    if (!is(r, 0, "search"))
        return read_step(r);
    r->expected->search_rejects = is(r, 1, "rejects");
    return r->expected->search_rejects || is(r, 1, "accepts") ? 0 : -EINVAL;
}

/* A history ends where the next begins: that line is given back to the file. */
static bool begins_next(FILE *file, const char *line, const struct story *s)
{
    if (strncmp(line, "history ", 8) != 0 || s->name[0] == '\0')
        return false;
    return fseek(file, -(long)strlen(line), SEEK_CUR) == 0;
}

int story_text_next(FILE *file, struct story *s, struct story_expected *expected, uint32_t *line)
{
    struct reader r = {.story = s, .expected = expected};
    char text[LINE_BYTES];

    memset(s, 0, sizeof *s);
    memset(expected, 0, sizeof *expected);
    for (uint32_t i = 0; i < LETTERS; i++)
        r.call[i] = STORY_CALLS_MAX;
    while (fgets(text, sizeof text, file) != NULL) {
        if (begins_next(file, text, s))
            return 1;
        ++*line;
        if (text[0] == '#' || text[0] == '\n')
            continue;
        if (strncmp(text, "history ", 8) == 0)
            copy_rest(s->name, STORY_NAME_BYTES, text + 8);
        else if (s->name[0] == '\0' || read_line(&r, text) != 0)
            return -EINVAL;
    }
    return s->name[0] != '\0' ? 1 : 0;
}
