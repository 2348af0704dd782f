/* Goal:   both history checkers accept what a linearizable store answers and reject everything else,
 *         by the right name: a checker that sees nothing passes every campaign.
 * Method: tiny histories told by hand, in the files that this is given (tests/sim/histories; what
 *         their lines mean is in story_text.h). One that is right for each kind of call; each of the
 *         others differs from a right one in just the thing that its name says. Where one checker
 *         rejects what the other accepts, the history says why. */
#include "tests/sim/story_text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct tally {
    uint32_t histories, rejected, wrong;
};

static bool same_verdict(const struct story_expected *e, const struct story_verdict *v)
{
    const char *replay = v->replay != NULL ? v->replay : "accepts";

    return strcmp(replay, e->replay) == 0 && (v->search != NULL) == e->search_rejects;
}

static bool explained(const struct story_expected *e)
{
    const bool replay_rejects = strcmp(e->replay, "accepts") != 0;

    return (replay_rejects != e->search_rejects) == (e->because[0] != '\0');
}

static void judge(const struct story *s, const struct story_expected *e, struct tally *t)
{
    struct story_verdict v;

    story_tell(s, &v);
    t->histories++;
    t->rejected += strcmp(e->replay, "accepts") != 0 || e->search_rejects;
    if (same_verdict(e, &v) && explained(e) && v.given_up == 0)
        return;
    t->wrong++;
    printf("%s: replay %s, search %s; it says replay %s: %s, search %s: %s%s\n", s->name, e->replay,
           e->search_rejects ? "rejects" : "accepts", v.replay != NULL ? v.replay : "accepts",
           v.replay_detail, v.search != NULL ? v.search : "accepts", v.search_detail,
           explained(e) ? "" : "; `because` must stand where the two differ, and only there");
}

/* False: it can't be read. */
static bool judge_file(const char *path, struct tally *t)
{
    static struct story story;
    struct story_expected expected;
    uint32_t line = 0;
    int result;
    FILE *file = fopen(path, "r");

    if (file == NULL) {
        printf("%s: %s\n", path, strerror(errno));
        return false;
    }
    while ((result = story_text_next(file, &story, &expected, &line)) > 0)
        judge(&story, &expected, t);
    fclose(file);
    if (result < 0)
        printf("%s:%u: not a line of a history\n", path, line);
    return result == 0;
}

int main(int argc, char **argv)
{
    struct tally tally = {0};
    bool read = argc > 1;

    for (int i = 1; i < argc; i++)
        read = judge_file(argv[i], &tally) && read;
    printf("%u histories, %u to be rejected by one checker at least, %u judged wrongly\n",
           tally.histories, tally.rejected, tally.wrong);
    return read && tally.histories > 0 && tally.wrong == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
