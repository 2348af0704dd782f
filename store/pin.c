/* store/pin.c: a state that is held on to: what of it is kept aside, and how that is given back. */
#include "base/crc64.h"
#include "base/planted.h"
#include "store/store_internal.h"

uint64_t store_snapshot_bytes_max(const struct store_options *options)
{
    ASSERT(options->quota_bytes <= STORE_QUOTA_BYTES_MAX);
    return sizeof(struct content_header) + options->quota_bytes;
}

bool store_pin(struct store *s)
{
    struct pin *pin = &s->pin;
    const struct tree kept = pin->kept;

    ASSERT(s->work.kind == WORK_IDLE);
    ASSERT(s->applied > 0);
    if (pin->state != PIN_FREE)
        return false;
    ASSERT(kept.key_count == 0);
    *pin = (struct pin){.state = PIN_PINNED, .kept = kept};
    pin->header = (struct content_header){
        .magic = CONTENT_MAGIC,
        .version = CONTENT_VERSION,
        .index = s->applied,
        .revision = s->revision,
        .quota_bytes = s->quota_bytes,
        .logical_bytes = s->logical_bytes,
        .key_count = s->tree.key_count,
        .digest = s->digest,
    };
    pin->header.crc = crc64(0, &pin->header, offsetof(struct content_header, crc));
    if (s->tree.key_count > 0)
        pin->next = tree_cursor_item(&s->tree, tree_cursor_at(&s->tree, 0));
    pin->fixed.header = pin->header;
    pin->fixed_bytes = sizeof pin->header;
    return true;
}

uint64_t store_pinned(const struct store *s)
{
    return s->pin.state == PIN_PINNED ? s->pin.header.index : 0;
}

uint64_t store_pinned_bytes(const struct store *s)
{
    const struct content_header *header = &s->pin.header;
    const uint64_t text_bytes = header->logical_bytes - header->key_count * STORE_KEY_CHARGE_BYTES;

    ASSERT(s->pin.state == PIN_PINNED);
    return sizeof *header + header->key_count * sizeof(struct content_item) + text_bytes;
}

uint64_t store_kept_bytes(const struct store *s)
{
    return s->pin.kept_bytes;
}

static void begin_release(struct pin *pin)
{
    ASSERT(pin->state == PIN_PINNED);
    ASSERT(pin->released_count == 0);
    pin->state = PIN_RELEASING;
    if (pin->kept.key_count > 0)
        pin->release = tree_cursor_at(&pin->kept, 0);
}

/* The emission has not got it yet, and it is not newer than the pin. */
static bool is_needed(const struct store *s, uint32_t item)
{
    const struct pin *pin = &s->pin;

    ASSERT(pin->state == PIN_PINNED);
    ASSERT(item != 0);
    if (pin->next == 0 || item_at(&s->items, item)->mod_revision > pin->header.revision)
        return false;
    return item == pin->next || item_compare_keys(&s->items, item, pin->next) > 0;
}

bool pin_keep(struct store *s, uint32_t item, uint32_t next)
{
    struct pin *pin = &s->pin;

    if (pin->state != PIN_PINNED)
        return false;
    const bool needed = is_needed(s, item);
    if (item == pin->next)
        pin->next = next;
    if (!needed || planted(PLANTED_KEPT_NOT_KEPT))
        return false;

    const struct item *fields = item_at(&s->items, item);
    const uint64_t charge = item_charge(fields->key_bytes, fields->value_bytes);
    if (pin->kept_bytes + charge > s->options.pin_bytes) {
        begin_release(pin);
        return false;
    }
    struct tree_path path;
    const uint32_t same = tree_find_item(&pin->kept, item, &path);
    ASSERT(same == 0); /* a key has one version that is not newer than the pin */
    tree_insert(&pin->kept, &path, item);
    pin->kept_bytes += charge;
    return true;
}

/* Nothing is put into the tree of what is kept any more, so it stays as it is until all of its items
 * are given back, and is forgotten as a whole then. */
bool store_unpin(struct store *s, uint32_t budget)
{
    struct pin *pin = &s->pin;

    ASSERT(budget > 0);
    if (pin->state == PIN_FREE)
        return true;
    if (pin->state == PIN_PINNED)
        begin_release(pin);
    while (pin->released_count < pin->kept.key_count) {
        if (budget == 0)
            return false;
        const uint32_t ref = tree_cursor_item(&pin->kept, pin->release);
        const struct item *item = item_at(&s->items, ref);
        const uint64_t charge = item_charge(item->key_bytes, item->value_bytes);
        (void)tree_cursor_next(&pin->kept, &pin->release);
        work_spend(&budget, item_text_bytes(item));
        ASSERT(pin->kept_bytes >= charge);
        pin->kept_bytes -= charge;
        item_give(&s->items, ref);
        pin->released_count++;
    }
    ASSERT(pin->kept_bytes == 0);
    pin_drop(s);
    return true;
}

void pin_drop(struct store *s)
{
    struct pin *pin = &s->pin;

    tree_clear(&pin->kept);
    pin->kept_bytes = 0;
    pin->state = PIN_FREE;
    ASSERT(pin->kept.key_count == 0);
}

/* What the emission has not got yet must be all that is missing. */
static void verify_pinned(const struct store *s)
{
    const struct pin *pin = &s->pin;
    uint64_t left = pin->kept.key_count;
    struct tree_path path;

    tree_verify(&pin->kept);
    ASSERT(pin->kept_bytes <= s->options.pin_bytes);
    ASSERT(!store_emitted(s) || pin->emitted_count == pin->header.key_count);
    if (pin->next == 0) {
        ASSERT(pin->emitted_count + left == pin->header.key_count);
        return;
    }
    const uint32_t found = tree_find_item(&s->tree, pin->next, &path);
    ASSERT(found == pin->next);
    for (uint64_t rank = tree_rank(&s->tree, &path); rank < s->tree.key_count; rank++) {
        const uint32_t ref = tree_cursor_item(&s->tree, tree_cursor_at(&s->tree, rank));
        left += item_at(&s->items, ref)->mod_revision <= pin->header.revision;
    }
    ASSERT(pin->emitted_count + left == pin->header.key_count);
}

void pin_verify(const struct store *s, struct item_blocks *blocks)
{
    const struct pin *pin = &s->pin;
    uint64_t charge = 0;

    if (pin->state == PIN_PINNED)
        verify_pinned(s);
    ASSERT(pin->state != PIN_FREE || pin->kept.key_count == 0);
    for (uint64_t rank = pin->released_count; rank < pin->kept.key_count; rank++) {
        const uint32_t ref = tree_cursor_item(&pin->kept, tree_cursor_at(&pin->kept, rank));
        const struct item *item = item_at(&s->items, ref);
        ASSERT(item->mod_revision <= pin->header.revision);
        charge += item_charge(item->key_bytes, item->value_bytes);
        item_count_blocks(item, blocks);
    }
    ASSERT(charge == pin->kept_bytes);
}
