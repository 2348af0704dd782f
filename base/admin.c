#include "base/admin.h"

#include "base/assert.h"

const char *admin_refusal_text(enum admin_refusal refusal)
{
    static const char *const text[] = {
#define ADMIN_REFUSAL_TEXT(name, words) [ADMIN_REFUSAL_##name] = words,
        ADMIN_REFUSAL_LIST(ADMIN_REFUSAL_TEXT)
#undef ADMIN_REFUSAL_TEXT
    };
    ASSERT(refusal < ADMIN_REFUSAL_COUNT);
    return text[refusal];
}
