/* base/members_view.c: see members_view.h. */
#include "base/members_view.h"

#include "base/assert.h"

enum {
    REPLACES_SHIFT = 16,
    PRIORITY_SHIFT = 32,
    FLAGS_SHIFT = 40,
    FLAG_VOTER = 1,
    FLAG_VOTER_OLD = 2,
    FLAG_LEAVES = 4,
    FLAG_PROMOTE = 8,
    TRIES_MAX = 1000, /* the writer is done in less than a microsecond, unless it lost its CPU */
};

static uint64_t pack(const struct view_member *m)
{
    const uint64_t flags = (m->voter ? FLAG_VOTER : 0) | (m->voter_old ? FLAG_VOTER_OLD : 0) |
                           (m->leaves ? FLAG_LEAVES : 0) | (m->promote ? FLAG_PROMOTE : 0);

    return flags << FLAGS_SHIFT | (uint64_t)m->priority << PRIORITY_SHIFT |
           (uint64_t)m->replaces << REPLACES_SHIFT | m->node;
}

static void unpack(uint64_t who, struct view_member *m)
{
    const uint64_t flags = who >> FLAGS_SHIFT;

    m->node = (uint16_t)who;
    m->replaces = (uint16_t)(who >> REPLACES_SHIFT);
    m->priority = (uint8_t)(who >> PRIORITY_SHIFT);
    m->voter = (flags & FLAG_VOTER) != 0;
    m->voter_old = (flags & FLAG_VOTER_OLD) != 0;
    m->leaves = (flags & FLAG_LEAVES) != 0;
    m->promote = (flags & FLAG_PROMOTE) != 0;
}

void members_view_write(struct members_view *view, const struct view_member *members,
                        uint32_t count)
{
    const uint64_t version = published_get(&view->version);

    ASSERT(count <= MEMBERS_VIEW_MAX);
    ASSERT(version % 2 == 0);
    published_set(&view->version, version + 1);
    published_set(&view->count, count);
    for (uint32_t i = 0; i < count; i++) {
        published_set(&view->member[i].who, pack(&members[i]));
        published_set(&view->member[i].incarnation, members[i].incarnation);
        published_set(&view->member[i].match, members[i].match);
    }
    published_set(&view->version, version + 2);
}

uint32_t members_view_read(const struct members_view *view,
                           struct view_member members[MEMBERS_VIEW_MAX])
{
    for (uint32_t tries = 0; tries < TRIES_MAX; tries++) {
        const uint64_t version = published_get(&view->version);
        const uint32_t count = (uint32_t)published_get(&view->count);
        for (uint32_t i = 0; i < count; i++) {
            unpack(published_get(&view->member[i].who), &members[i]);
            members[i].incarnation = published_get(&view->member[i].incarnation);
            members[i].match = published_get(&view->member[i].match);
        }
        if (version % 2 == 0 && published_get(&view->version) == version)
            return count;
    }
    return 0;
}
