#include "base/mark.h"

#include "base/assert.h"

uint64_t mark_count[MARK_COUNT];

const char *mark_name(enum mark mark)
{
    static const char *const name[MARK_COUNT] = {
#define MARK_NAME(word, sentence) [MARK_##word] = #word,
        MARK_LIST(MARK_NAME)
#undef MARK_NAME
    };
    ASSERT(mark < MARK_COUNT);
    return name[mark];
}

const char *mark_text(enum mark mark)
{
    static const char *const text[MARK_COUNT] = {
#define MARK_TEXT(word, sentence) [MARK_##word] = sentence,
        MARK_LIST(MARK_TEXT)
#undef MARK_TEXT
    };
    ASSERT(mark < MARK_COUNT);
    return text[mark];
}
