/* replica/record_memory.c: see record_memory.h. */
#include "replica/record_memory.h"

#include "base/assert.h"
#include "base/mark.h"
#include "base/planted.h"

enum { RETIRE_SHARE = 8 }; /* a retirement frees this part of the memory */

void record_memory_init(struct record_memory *m, raft_index next)
{
    ASSERT((m->size & (m->size - 1)) == 0);
    ASSERT(next > 0);
    m->head = 0;
    m->tail = 0;
    m->first = next;
    m->last = next - 1;
    m->retiring = false;
}

/* Where `length` bytes begin that must not cross the end of the memory. */
static uint64_t begin_of(const struct record_memory *m, uint64_t length)
{
    const uint64_t offset = m->tail & (m->size - 1);
    return offset + length > m->size ? m->tail + (m->size - offset) : m->tail;
}

static bool fits(const struct record_memory *m, uint64_t length, uint32_t count)
{
    if (begin_of(m, length) + length - m->head > m->size)
        return false;
    return m->last + count - m->first < m->table_mask + 1ull;
}

static void release(struct record_memory *m)
{
    for (uint32_t i = 0; i < RECORD_READERS; i++)
        if (published_get(m->reader[i].done) < m->retire_mark[i] &&
            !planted(PLANTED_MEMORY_REUSED_EARLY))
            return;
    m->head = m->retire_upto;
    m->retiring = false;
}

/* Drops the oldest durable entries from the table, about an eighth of the memory or of the table. */
static void retire(struct record_memory *m, raft_index durable)
{
    const uint64_t upto = m->head + m->size / RETIRE_SHARE;
    const uint64_t entries_max = (m->table_mask + 1ull) / RETIRE_SHARE + 1;
    uint64_t dropped = 0;
    uint64_t free_below = m->tail;

    while (m->first <= m->last) {
        const uint64_t position = m->table[m->first & m->table_mask];
        const bool enough = position >= upto || dropped >= entries_max;
        if (enough || m->first > durable) {
            free_below = position;
            break;
        }
        m->first++;
        dropped++;
    }
    if (free_below == m->head && dropped == 0)
        return; /* all that is left must stay */
    m->retiring = true;
    m->retire_upto = free_below;
    for (uint32_t i = 0; i < RECORD_READERS; i++)
        m->retire_mark[i] = m->reader[i].given;
}

bool record_memory_room(struct record_memory *m, uint64_t length, uint32_t count,
                        raft_index durable)
{
    ASSERT(length <= m->size / 2);
    ASSERT(count <= m->table_mask);
    /* Begin before it is urgent, so that readers have time to get past the marks. */
    const uint64_t entries = m->last + 1 - m->first;
    if (!m->retiring && (m->tail - m->head > m->size - m->size / 4 ||
                         entries > m->table_mask - m->table_mask / 4))
        retire(m, durable);
    if (m->retiring)
        release(m);
    /* Each round frees a share or ends. */
    for (uint32_t round = 0; round < 2 * RETIRE_SHARE; round++) {
        if (fits(m, length, count))
            return true;
        if (!m->retiring)
            retire(m, durable);
        if (m->retiring)
            release(m);
        if (m->retiring) {
            MARK(MEMORY_FULL);
            return false; /* a reader is still behind */
        }
    }
    return false;
}

uint8_t *record_memory_take(struct record_memory *m, uint64_t length)
{
    const uint64_t begin = begin_of(m, length);

    ASSERT(length % RECORD_ALIGN == 0);
    ASSERT(begin + length - m->head <= m->size);
    MARK_IF(begin != m->tail, MEMORY_WRAPPED);
    m->tail = begin + length;
    return m->bytes + (begin & (m->size - 1));
}

void record_memory_truncate(struct record_memory *m, raft_index index)
{
    ASSERT(index > 0);
    if (index > m->last)
        return;
    m->last = index - 1;
    if (m->first > index)
        m->first = index;
}

void record_memory_begin_at(struct record_memory *m, raft_index next)
{
    ASSERT(next > 0);
    m->first = next; /* the bytes are released like those of retired records: by the readers' marks */
    m->last = next - 1;
}

void record_memory_add(struct record_memory *m, const uint8_t *bytes)
{
    const uint64_t offset = (uint64_t)(bytes - m->bytes);
    const uint64_t behind = (m->tail - offset) & (m->size - 1);
    /* The whole memory behind means a record that fills it, which room() has refused. */
    const uint64_t position = m->tail - (behind == 0 ? m->size : behind);

    ASSERT(m->last + 1 - m->first <= m->table_mask);
    ASSERT(record_at(bytes)->index == m->last + 1);
    m->last++;
    m->table[m->last & m->table_mask] = position;
}

const struct record_header *record_memory_at(const struct record_memory *m, raft_index index)
{
    if (index < m->first || index > m->last)
        return NULL;
    const struct record_header *header =
        record_at(m->bytes + (m->table[index & m->table_mask] & (m->size - 1)));
    ASSERT(header->index == index);
    return header;
}
