/* store/range.c: reads: which keys a range has, which of them the reader wants, in which order. */
#include "store/store_internal.h"

static bool is_single_nul(struct command_bytes bytes)
{
    return bytes.length == 1 && bytes.bytes[0] == 0;
}

/* How many keys stand in front of the end of the range, or of all that follows. */
static uint64_t rank_of_end(const struct store *s, struct command_bytes end)
{
    struct tree_path path;

    if (is_single_nul(end))
        return s->tree.key_count;
    ASSERT(end.length > 0);
    (void)tree_find(&s->tree, end.bytes, end.length, &path);
    return tree_rank(&s->tree, &path);
}

void range_bounds(struct store *s)
{
    struct work *work = &s->work;
    const struct command_bytes key = work->command.key;
    const struct command_bytes end = work->command.range_end;
    struct tree_path path;
    const uint32_t found = tree_find(&s->tree, key.bytes, key.length, &path);

    work->rank = tree_rank(&s->tree, &path);
    work->first = tree_cursor_of(&s->tree, &path);
    ASSERT(found == 0 || tree_cursor_item(&s->tree, work->first) == found);
    if (end.length == 0) {
        work->count = found != 0;
        return;
    }
    const uint64_t after = rank_of_end(s, end);
    work->count = after > work->rank ? after - work->rank : 0; /* an end before the key */
}

static bool has_filters(const struct command *query)
{
    return query->min_mod != 0 || query->max_mod != 0 || query->min_create != 0 ||
           query->max_create != 0;
}

/* A filter of 0 is none. */
static bool passes(const struct command *query, const struct item *item)
{
    return item->mod_revision >= query->min_mod && item->create_revision >= query->min_create &&
           (query->max_mod == 0 || item->mod_revision <= query->max_mod) &&
           (query->max_create == 0 || item->create_revision <= query->max_create);
}

static bool sorts_by_key(const struct command *query)
{
    return query->sort_target == SORT_KEY;
}

static bool backwards(const struct command *query)
{
    return sorts_by_key(query) && query->sort_order == SORT_DESCEND;
}

static uint64_t limit_of(const struct command *query)
{
    return query->limit > 0 ? (uint64_t)query->limit : 0;
}

/* At the first key of the range, in the order of the walk. */
static void rewind_walk(struct store *s)
{
    struct work *work = &s->work;

    ASSERT(work->count > 0);
    work->visited = 0;
    work->cursor = work->first;
    if (backwards(&work->command) && work->count > 1)
        work->cursor = tree_cursor_at(&s->tree, work->rank + work->count - 1);
}

static void step_walk(struct store *s)
{
    struct work *work = &s->work;

    ASSERT_SLOW(work->visited < work->count);
    work->visited++;
    if (backwards(&work->command))
        (void)tree_cursor_previous(&s->tree, &work->cursor);
    else
        (void)tree_cursor_next(&s->tree, &work->cursor);
}

static enum range_phase first_phase(const struct work *work)
{
    if (work->count == 0 || (work->command.flags & QUERY_COUNT_ONLY) != 0)
        return RANGE_HEADER;
    if (!sorts_by_key(&work->command))
        return RANGE_SELECT;
    return has_filters(&work->command) ? RANGE_MEASURE : RANGE_HEADER;
}

static enum store_refusal revision_refusal(const struct store *s)
{
    if (s->work.command.revision > s->revision)
        return STORE_FUTURE_REVISION;
    /* No version but the newest is kept, so whatever is older is as good as compacted. */
    if (s->work.command.revision > 0 && s->work.command.revision < s->revision)
        return STORE_COMPACTED;
    return STORE_NONE;
}

void range_begin(struct store *s)
{
    struct work *work = &s->work;

    ASSERT(work->kind == WORK_RANGE);
    work->outcome.refusal = revision_refusal(s);
    if (work->outcome.refusal != STORE_NONE) {
        work->kind = WORK_REFUSED;
        return;
    }
    range_bounds(s);
    work->phase = first_phase(work);
    work->matched = work->count;
    if (work->phase == RANGE_HEADER)
        return;
    work->matched = 0;
    selection_clear(&s->selection);
    rewind_walk(s);
}

/* Counts what passes, until one more than the limit has: then the limit cuts. */
static bool measure(struct store *s, uint32_t *budget)
{
    struct work *work = &s->work;
    const uint64_t limit = limit_of(&work->command);

    ASSERT(work->phase == RANGE_MEASURE);
    while (work->visited < work->count && (limit == 0 || work->matched <= limit)) {
        if (*budget == 0)
            return false;
        const uint32_t ref = tree_cursor_item(&s->tree, work->cursor);
        work->matched += passes(&work->command, item_at(&s->items, ref));
        work_spend(budget, 0);
        step_walk(s);
    }
    return true;
}

static bool gather(struct store *s, uint32_t *budget)
{
    struct work *work = &s->work;

    ASSERT(work->phase == RANGE_SELECT);
    while (work->visited < work->count) {
        if (*budget == 0)
            return false;
        const uint32_t ref = tree_cursor_item(&s->tree, work->cursor);
        if (passes(&work->command, item_at(&s->items, ref))) {
            work->matched++;
            selection_offer(s, ref, limit_of(&work->command));
        }
        work_spend(budget, 0);
        step_walk(s);
    }
    return true;
}

static bool write_header(struct store *s, struct store_sink *sink)
{
    struct work *work = &s->work;
    const uint64_t limit = limit_of(&work->command);
    const bool count_only = (work->command.flags & QUERY_COUNT_ONLY) != 0;
    const bool cut = limit > 0 && work->matched > limit;

    ASSERT(work->phase == RANGE_HEADER);
    ASSERT(work->matched <= work->count);
    if (!count_only)
        work->items = cut ? limit : work->matched;
    const struct result_header header = {
        .count = (int64_t)work->count,
        .items = work->items,
        .more = cut && !count_only,
    };
    if (!result_header(sink, &header))
        return false;
    if (work->items > 0 && sorts_by_key(&work->command))
        rewind_walk(s);
    return true;
}

/* The next item of the result, or 0 if the one at hand does not pass. */
static uint32_t candidate(const struct store *s)
{
    const struct work *work = &s->work;

    if (!sorts_by_key(&work->command)) {
        ASSERT(work->emitted < s->selection.count);
        return s->selection.item[work->emitted];
    }
    const uint32_t ref = tree_cursor_item(&s->tree, work->cursor);
    return passes(&work->command, item_at(&s->items, ref)) ? ref : 0;
}

static enum store_progress emit(struct store *s, struct store_sink *sink, uint32_t budget)
{
    struct work *work = &s->work;
    const bool with_value = (work->command.flags & QUERY_KEYS_ONLY) == 0;

    ASSERT(work->phase == RANGE_EMIT);
    while (work->emitted < work->items) {
        if (budget == 0)
            return STORE_AGAIN;
        const uint32_t ref = candidate(s);
        if (ref != 0 && !result_item(s, sink, ref, with_value))
            return STORE_SINK_FULL;
        work->emitted += ref != 0;
        work_spend(&budget, ref != 0 && with_value ? item_text_bytes(item_at(&s->items, ref)) : 0);
        if (sorts_by_key(&work->command))
            step_walk(s);
    }
    return STORE_DONE;
}

enum store_progress range_work(struct store *s, struct store_sink *sink, uint32_t budget)
{
    struct work *work = &s->work;

    ASSERT(work->kind == WORK_RANGE);
    ASSERT(work->outcome.refusal == STORE_NONE);
    if (work->phase == RANGE_MEASURE) {
        if (!measure(s, &budget))
            return STORE_AGAIN;
        work->phase = RANGE_HEADER;
    }
    if (work->phase == RANGE_SELECT) {
        if (!gather(s, &budget))
            return STORE_AGAIN;
        work->phase = RANGE_ARRANGE;
    }
    if (work->phase == RANGE_ARRANGE) {
        if (!selection_arrange(s, &budget))
            return STORE_AGAIN;
        work->phase = RANGE_HEADER;
    }
    if (work->phase == RANGE_HEADER) {
        if (!write_header(s, sink))
            return STORE_SINK_FULL;
        work->phase = RANGE_EMIT;
    }
    return emit(s, sink, budget);
}
