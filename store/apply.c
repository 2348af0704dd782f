/* store/apply.c: writes: put, and delete of a range of keys.
 *
 * The head, and all that is said of it, moves when the work is done, so all that a write changes has
 * one revision, and a delete of no key changes none. A put is one step; it either refuses before it has changed
 * anything, or does all. A delete takes out its keys one by one, always the first that remains.
 */
#include "store/store_internal.h"

static enum store_progress refuse(struct store *s, enum store_refusal refusal)
{
    ASSERT(refusal != STORE_NONE);
    s->work.outcome.refusal = refusal;
    return STORE_DONE;
}

static uint64_t charge_of(const struct store *s, uint32_t ref)
{
    if (ref == 0)
        return 0;
    const struct item *item = item_at(&s->items, ref);
    return item_charge(item->key_bytes, item->value_bytes);
}

/* Why a put can't be done; `old` is the key's item, or 0. */
static enum store_refusal put_refusal(const struct store *s, uint32_t old, uint64_t charge)
{
    const struct command *put = &s->work.command;
    const uint64_t before = charge_of(s, old);

    ASSERT(s->logical_bytes >= before);
    if (put->lease != 0)
        return STORE_LEASE_NOT_FOUND; /* nobody can have granted one yet */
    if ((put->flags & (COMMAND_IGNORE_VALUE | COMMAND_IGNORE_LEASE)) != 0 && old == 0)
        return STORE_KEY_NOT_FOUND;
    /* A quota that was lowered lets pass what does not grow. */
    if (charge > before && s->logical_bytes - before + charge > s->quota_bytes)
        return STORE_NO_SPACE;
    return STORE_NONE;
}

/* The key's next version; its text included. */
static uint32_t make_item(struct store *s, uint32_t old, uint32_t value_bytes)
{
    const struct command *put = &s->work.command;
    const bool same_value = (put->flags & COMMAND_IGNORE_VALUE) != 0;
    struct item_making making;
    const uint32_t ref = item_make(&s->items, put->key.length, value_bytes, &making);
    const struct item *before = old != 0 ? item_at(&s->items, old) : NULL;
    struct item *item = item_at(&s->items, ref);

    ASSERT(!same_value || before != NULL);
    item->mod_revision = s->revision + 1;
    item->create_revision = before != NULL ? before->create_revision : s->revision + 1;
    item->version = before != NULL ? before->version + 1 : 1;
    item->lease = put->lease;
    if ((put->flags & COMMAND_IGNORE_LEASE) != 0) {
        ASSERT(before != NULL); /* else the put was refused */
        item->lease = before->lease;
    }
    if (same_value) {
        item_make_same(&s->items, &making, old);
        return ref;
    }
    item_make_text(&s->items, &making, put->key.bytes, put->key.length);
    item_make_text(&s->items, &making, put->value.bytes, put->value.length);
    ASSERT(item_making_left(&making) == 0);
    return ref;
}

static bool emit_previous(const struct store *s, struct store_sink *sink, uint32_t old)
{
    const struct result_header header = {.count = 1, .items = 1};

    if (!result_fits(sink, sizeof header + result_item_bytes(s, old, true)))
        return false;
    (void)result_header(sink, &header);
    (void)result_item(s, sink, old, true);
    return true;
}

/* An item that was taken out of the tree. */
static void forget_item(struct store *s, uint32_t ref, bool kept)
{
    ASSERT(item_at(&s->items, ref)->older == 0); /* or its history would be lost */
    s->work.gone_bytes += charge_of(s, ref);
    s->work.gone_digest += item_hash(&s->items, ref);
    if (!kept)
        item_give(&s->items, ref);
}

static void move_head(struct store *s)
{
    ASSERT(s->logical_bytes >= s->work.gone_bytes);
    s->logical_bytes -= s->work.gone_bytes;
    s->digest -= s->work.gone_digest;
    s->work.gone_bytes = 0;
    s->work.gone_digest = 0;
    s->revision++;
}

enum store_progress apply_put(struct store *s, struct store_sink *sink)
{
    const struct command *put = &s->work.command;
    struct tree_path path;
    const uint32_t old = tree_find(&s->tree, put->key.bytes, put->key.length, &path);
    const bool same_value = (put->flags & COMMAND_IGNORE_VALUE) != 0;
    const uint32_t value_bytes =
        same_value && old != 0 ? item_at(&s->items, old)->value_bytes : put->value.length;
    const uint64_t charge = item_charge(put->key.length, value_bytes);
    const enum store_refusal refusal = put_refusal(s, old, charge);

    ASSERT(put->kind == COMMAND_PUT);
    if (refusal != STORE_NONE)
        return refuse(s, refusal);
    if (old != 0 && s->work.wanted && (put->flags & COMMAND_PREV_KV) != 0) {
        if (!emit_previous(s, sink, old))
            return STORE_SINK_FULL;
    }
    const uint32_t ref = make_item(s, old, value_bytes);
    s->logical_bytes += charge;
    s->digest += item_hash(&s->items, ref);
    if (old != 0) {
        const bool kept = pin_keep(s, old, ref);
        tree_replace(&s->tree, &path, ref);
        forget_item(s, old, kept);
    } else {
        tree_insert(&s->tree, &path, ref);
    }
    move_head(s);
    ASSERT(item_at(&s->items, ref)->mod_revision == s->revision);
    return STORE_DONE;
}

void apply_begin_delete(struct store *s)
{
    ASSERT(s->work.kind == WORK_DELETE);
    range_bounds(s);
    if ((s->work.command.flags & COMMAND_PREV_KV) != 0)
        s->work.items = s->work.count;
}

/* Takes out the first key that remains of the range, after writing it if somebody wants it. */
static bool delete_first(struct store *s, struct store_sink *sink, uint32_t *budget)
{
    struct work *work = &s->work;
    struct tree_path path;
    const uint32_t ref = tree_select(&s->tree, work->rank, &path);

    if (work->wanted && work->items > 0 && !result_item(s, sink, ref, true))
        return false;
    ASSERT(item_at(&s->items, ref)->mod_revision <= s->revision);
    work_spend(budget, item_text_bytes(item_at(&s->items, ref)));
    const bool kept = pin_keep(s, ref, tree_following(&s->tree, &path));
    tree_remove(&s->tree, &path);
    forget_item(s, ref, kept);
    work->emitted++;
    return true;
}

enum store_progress apply_delete(struct store *s, struct store_sink *sink, uint32_t budget)
{
    struct work *work = &s->work;

    ASSERT(work->emitted <= work->count);
    ASSERT(work->items == 0 || work->items == work->count);
    if (work->wanted && !work->header_written) {
        const struct result_header header = {.count = (int64_t)work->count, .items = work->items};
        if (!result_header(sink, &header))
            return STORE_SINK_FULL;
        work->header_written = true;
    }
    while (work->emitted < work->count) {
        if (budget == 0)
            return STORE_AGAIN;
        if (!delete_first(s, sink, &budget))
            return STORE_SINK_FULL;
    }
    if (work->count > 0)
        move_head(s);
    return STORE_DONE;
}
