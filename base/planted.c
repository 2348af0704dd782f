#include "base/planted.h"

#include <stddef.h>
#include <string.h>

enum planted_bug planted_chosen;

static const char *const planted_text[PLANTED_COUNT] = {
    [PLANTED_NONE] = "none",
#define PLANTED_TEXT(name, text) [PLANTED_##name] = text,
    PLANTED_BUG_LIST(PLANTED_TEXT)
#undef PLANTED_TEXT
};

bool planted_choose(const char *name)
{
    for (size_t i = 0; i < PLANTED_COUNT; i++) {
        if (strcmp(name, planted_text[i]) == 0) {
            planted_chosen = (enum planted_bug)i;
            return true;
        }
    }
    return false;
}

const char *planted_name(enum planted_bug bug)
{
    return planted_text[bug];
}
