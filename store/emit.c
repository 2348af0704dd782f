/* store/emit.c: the pinned state as bytes: what is still in the tree and what is kept, as one, in the
 * order of keys.
 */
#include "base/planted.h"
#include "store/store_internal.h"

#include <string.h>

/* One call: no tree changes behind its back, so the place in the tree is found once. */
struct emission {
    struct store *s;
    struct tree_cursor cursor; /* at pin.next, if there is one */
    uint8_t *out;
    uint32_t room;
    uint32_t budget;
};

static uint32_t min_u32(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static struct emission begin(struct store *s, uint8_t *out, uint32_t room, uint32_t budget)
{
    struct emission e = {.s = s, .out = out, .room = room, .budget = budget};
    struct tree_path path;

    if (s->pin.next == 0)
        return e;
    const uint32_t found = tree_find_item(&s->tree, s->pin.next, &path);
    ASSERT(found == s->pin.next);
    e.cursor = tree_cursor_of(&s->tree, &path);
    return e;
}

static void step_tree(struct emission *e)
{
    struct pin *pin = &e->s->pin;

    ASSERT(pin->next != 0);
    const bool is_there = tree_cursor_next(&e->s->tree, &e->cursor);
    pin->next = is_there ? tree_cursor_item(&e->s->tree, e->cursor) : 0;
}

/* Passes over what is newer than the pin. False: the budget is spent. */
static bool skip_newer(struct emission *e)
{
    const struct pin *pin = &e->s->pin;

    while (pin->next != 0 && !planted(PLANTED_EMISSION_NEWER) &&
           item_at(&e->s->items, pin->next)->mod_revision > pin->header.revision) {
        if (e->budget == 0)
            return false;
        work_spend(&e->budget, 0);
        step_tree(e);
    }
    return true;
}

/* Takes up the item that is to be emitted next. False: the budget is spent. */
static bool choose(struct emission *e)
{
    struct store *s = e->s;
    struct pin *pin = &s->pin;
    uint32_t kept = 0;

    ASSERT(pin->fixed_bytes == 0);
    if (!skip_newer(e))
        return false;
    if (pin->kept.key_count > 0)
        kept = tree_cursor_item(&pin->kept, tree_cursor_at(&pin->kept, 0));
    ASSERT(pin->next != 0 || kept != 0); /* the content is longer than what was emitted */
    const bool from_tree =
        kept == 0 || (pin->next != 0 && item_compare_keys(&s->items, pin->next, kept) < 0);
    pin->item = from_tree ? pin->next : kept;
    const struct item *item = item_at(&s->items, pin->item);
    pin->fixed.item = (struct content_item){
        .mod_revision = item->mod_revision,
        .create_revision = item->create_revision,
        .version = item->version,
        .lease = item->lease,
        .key_bytes = item->key_bytes,
        .value_bytes = item->value_bytes,
    };
    pin->fixed_bytes = sizeof pin->fixed.item;
    pin->fixed_used = 0;
    pin->text = item_text(&s->items, pin->item);
    return true;
}

/* The item is out. It may have left the tree since it was taken up. */
static void finish(struct emission *e)
{
    struct store *s = e->s;
    struct pin *pin = &s->pin;
    struct tree_path path;

    pin->fixed_bytes = 0;
    if (pin->item == 0)
        return; /* it was the header */
    pin->emitted_count++;
    if (pin->item == pin->next) {
        step_tree(e);
    } else {
        const uint32_t first = tree_select(&pin->kept, 0, &path);
        const struct item *item = item_at(&s->items, first);
        ASSERT(first == pin->item);
        tree_remove(&pin->kept, &path);
        pin->kept_bytes -= item_charge(item->key_bytes, item->value_bytes);
        item_give(&s->items, first);
    }
    pin->item = 0;
}

/* Copies what fits of the item, or header, at hand. */
static void copy(struct emission *e)
{
    struct pin *pin = &e->s->pin;
    const uint32_t fixed = min_u32(pin->fixed_bytes - pin->fixed_used, e->room);

    memcpy(e->out, pin->fixed.bytes + pin->fixed_used, fixed);
    pin->fixed_used += fixed;
    e->out += fixed;
    e->room -= fixed;
    if (pin->fixed_used < pin->fixed_bytes)
        return;

    const uint64_t affordable = (uint64_t)e->budget * WORK_KEY_BYTES;
    uint32_t text = min_u32(item_text_left(&pin->text), e->room);
    text = text < affordable ? text : (uint32_t)affordable;
    item_read_on(&e->s->items, &pin->text, e->out, text);
    e->out += text;
    e->room -= text;
    work_spend(&e->budget, text);
    if (item_text_left(&pin->text) == 0)
        finish(e);
}

uint32_t store_emit(struct store *s, uint8_t *out, uint32_t size, uint32_t budget)
{
    struct pin *pin = &s->pin;
    const uint64_t left = store_pinned_bytes(s) - pin->emitted_bytes;
    const uint32_t room = left < size ? (uint32_t)left : size;
    struct emission e = begin(s, out, room, budget);

    ASSERT(size > 0);
    ASSERT(budget > 0);
    while (e.room > 0 && e.budget > 0 && (pin->fixed_bytes > 0 || choose(&e)))
        copy(&e);
    pin->emitted_bytes += room - e.room;
    ASSERT(!store_emitted(s) || pin->emitted_count == pin->header.key_count);
    return room - e.room;
}

bool store_emitted(const struct store *s)
{
    return s->pin.emitted_bytes == store_pinned_bytes(s);
}
