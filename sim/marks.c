#include "sim/marks.h"

#include <inttypes.h>
#include <stdio.h>

void marks_take(struct marks *m, uint64_t seed)
{
    for (uint32_t i = 0; i < MARK_COUNT; i++) {
        if (mark_count[i] == m->seen[i])
            continue;
        if (m->seeds[i] == 0)
            m->first_seed[i] = seed;
        m->seeds[i]++;
        m->seen[i] = mark_count[i];
    }
}

static uint32_t reached(const struct marks *m)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < MARK_COUNT; i++)
        count += m->seeds[i] > 0;
    return count;
}

static void print_table(const struct marks *m)
{
    printf("%12s %8s %10s\n", "reached", "in seeds", "first seed");
    for (uint32_t i = 0; i < MARK_COUNT; i++)
        printf("%12" PRIu64 " %8" PRIu64 " %10" PRIu64 "  %s: %s\n", m->seen[i], m->seeds[i],
               m->first_seed[i], mark_name((enum mark)i), mark_text((enum mark)i));
}

void marks_print(const struct marks *m, bool table)
{
    if (table)
        print_table(m);
    printf("marks: %u of %d reached\n", reached(m), MARK_COUNT);
    for (uint32_t i = 0; i < MARK_COUNT; i++)
        if (m->seeds[i] == 0)
            printf("never reached: %s: %s\n", mark_name((enum mark)i), mark_text((enum mark)i));
}

bool marks_suffice(const struct marks *m, uint64_t percent)
{
    return reached(m) * UINT64_C(100) >= percent * MARK_COUNT;
}
