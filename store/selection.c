/* store/selection.c: the first `limit` items of an order that is not the order of keys.
 *
 * A heap with the last of them on top takes the walk's items one by one: O(log limit) each. Then
 * the tops, taken out one by one, fill the same memory from its end. The memory has room for every
 * key that there can be, so a sort without limit needs nothing more. Items that the order does not
 * tell apart stand in the order of their keys.
 */
#include "store/store_internal.h"

static int compare_numbers(int64_t a, int64_t b)
{
    return a < b ? -1 : a > b;
}

static int compare_by_target(const struct store *s, uint32_t a_ref, uint32_t b_ref)
{
    const struct item *a = item_at(&s->items, a_ref);
    const struct item *b = item_at(&s->items, b_ref);

    switch (s->work.command.sort_target) {
    case SORT_VERSION:
        return compare_numbers(a->version, b->version);
    case SORT_CREATE:
        return compare_numbers(a->create_revision, b->create_revision);
    case SORT_MOD:
        return compare_numbers(a->mod_revision, b->mod_revision);
    default:
        ASSERT(s->work.command.sort_target == SORT_VALUE);
        return item_compare_values(&s->items, a_ref, b_ref);
    }
}

/* Whether a comes before b in the result. An order without a direction ascends. */
static bool comes_before(const struct store *s, uint32_t a, uint32_t b)
{
    const int order = compare_by_target(s, a, b);

    if (order == 0)
        return item_compare_keys(&s->items, a, b) < 0;
    return s->work.command.sort_order == SORT_DESCEND ? order > 0 : order < 0;
}

static void sift_up(struct store *s, uint64_t at)
{
    uint32_t *item = s->selection.item;
    const uint32_t moving = item[at];

    ASSERT(at < s->selection.count);
    while (at > 0 && comes_before(s, item[(at - 1) / 2], moving)) {
        item[at] = item[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    item[at] = moving;
}

/* Puts `moving` into the heap of `count` whose top is free. */
static void sift_down(struct store *s, uint32_t moving, uint64_t count)
{
    uint32_t *item = s->selection.item;
    uint64_t at = 0;

    ASSERT(count > 0);
    while (2 * at + 1 < count) {
        uint64_t child = 2 * at + 1;
        if (child + 1 < count && comes_before(s, item[child], item[child + 1]))
            child++;
        if (!comes_before(s, moving, item[child]))
            break;
        item[at] = item[child];
        at = child;
    }
    item[at] = moving;
}

void selection_clear(struct selection *selection)
{
    selection->count = 0;
    selection->unsorted = 0;
}

void selection_offer(struct store *s, uint32_t item, uint64_t limit)
{
    struct selection *selection = &s->selection;

    ASSERT(item != 0);
    ASSERT(limit == 0 || selection->count <= limit);
    if (limit == 0 || selection->count < limit) {
        ASSERT(selection->count < s->tree.key_count);
        selection->item[selection->count] = item;
        selection->count++;
        sift_up(s, selection->count - 1);
        selection->unsorted = selection->count;
        return;
    }
    if (comes_before(s, item, selection->item[0]))
        sift_down(s, item, selection->count);
}

bool selection_arrange(struct store *s, uint32_t *budget)
{
    struct selection *selection = &s->selection;

    ASSERT(selection->unsorted <= selection->count);
    while (selection->unsorted > 1) {
        if (*budget == 0)
            return false;
        const uint64_t end = --selection->unsorted;
        const uint32_t displaced = selection->item[end];
        selection->item[end] = selection->item[0];
        sift_down(s, displaced, end);
        work_spend(budget, 0);
    }
    return true;
}
