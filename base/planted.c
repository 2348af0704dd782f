#include "base/planted.h"

#include <stddef.h>
#include <string.h>

enum planted_bug planted_chosen;

static const struct {
    const char *name;
    const char *undoes;
    enum planted_tool tool;
} planted_bug[PLANTED_COUNT] = {[PLANTED_NONE] = {"none", "nothing", PLANTED_SIM},
#define PLANTED_ROW(bug, text, by, rule) [PLANTED_##bug] = {text, rule, PLANTED_##by},
                                PLANTED_BUG_LIST(PLANTED_ROW)
#undef PLANTED_ROW
};

bool planted_choose(const char *name)
{
    for (size_t i = 0; i < PLANTED_COUNT; i++) {
        if (strcmp(name, planted_bug[i].name) == 0) {
            planted_chosen = (enum planted_bug)i;
            return true;
        }
    }
    return false;
}

const char *planted_name(enum planted_bug bug)
{
    return planted_bug[bug].name;
}

const char *planted_undoes(enum planted_bug bug)
{
    return planted_bug[bug].undoes;
}

enum planted_tool planted_tool(enum planted_bug bug)
{
    return planted_bug[bug].tool;
}
