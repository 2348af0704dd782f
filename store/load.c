/* store/load.c: the content of a snapshot becomes the state, item by item.
 *
 *   HEADER --> ITEM --> TEXT --> ITEM --> TEXT --> ...
 *
 * Each step takes what there is of its bytes, and goes on with the next piece. Whatever is not as
 * docs/formats.md says is refused where it is seen, so that no number is relied on before it was
 * looked at; and the header's charge bounds the memory of all that follows.
 */
#include "base/crc64.h"
#include "store/store_internal.h"

#include <string.h>

/* The bytes at hand. */
struct intake {
    const uint8_t *bytes;
    uint32_t left;
    uint32_t budget;
};

static uint32_t min_u32(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

void store_load_begin(struct store *s, uint64_t index)
{
    ASSERT(s->work.kind == WORK_IDLE || s->work.kind == WORK_LOAD);
    ASSERT(index > 0);
    s->work = (struct work){.kind = WORK_LOAD};
    s->load = (struct load){.index = index};
    slab_clear(&s->items.small);
    slab_clear(&s->items.large);
    tree_clear(&s->tree);
    pin_drop(s);
}

enum store_load_verdict store_load_verdict(const struct store *s)
{
    ASSERT(s->work.kind == WORK_LOAD);
    return s->load.verdict;
}

/* True: all `length` fixed bytes are there. */
static bool take_fixed(struct load *load, struct intake *in, uint32_t length)
{
    const uint32_t taken = min_u32(length - load->fixed_used, in->left);

    ASSERT(load->fixed_used < length);
    ASSERT(length <= sizeof load->fixed);
    memcpy(load->fixed.bytes + load->fixed_used, in->bytes, taken);
    load->fixed_used += taken;
    in->bytes += taken;
    in->left -= taken;
    if (load->fixed_used < length)
        return false;
    load->fixed_used = 0;
    return true;
}

static enum store_load_verdict judge_header(const struct store *s, const struct content_header *h)
{
    const uint64_t room = s->options.quota_bytes;

    if (h->magic != CONTENT_MAGIC || h->version != CONTENT_VERSION || h->reserved != 0 ||
        h->crc != crc64(0, h, offsetof(struct content_header, crc)))
        return STORE_LOAD_MALFORMED;
    if (h->index != s->load.index || h->revision < 1 || (uint64_t)h->revision > h->index + 1)
        return STORE_LOAD_MALFORMED;
    if (h->key_count > store_quota_keys(h->logical_bytes))
        return STORE_LOAD_MALFORMED;
    if (h->quota_bytes > room || h->logical_bytes > room)
        return STORE_LOAD_NO_ROOM;
    return STORE_LOAD_GOOD;
}

static enum store_load_verdict load_header(struct store *s, struct intake *in)
{
    struct load *load = &s->load;

    if (!take_fixed(load, in, sizeof load->header))
        return STORE_LOAD_GOOD;
    load->header = load->fixed.header;
    load->step = LOAD_ITEM;
    return judge_header(s, &load->header);
}

/* But for the order of keys, which is seen when the text is there. */
static bool item_is_sound(const struct store *s, const struct content_item *item)
{
    const struct content_header *header = &s->load.header;
    const uint64_t text_bytes = (uint64_t)item->key_bytes + item->value_bytes;

    ASSERT(s->load.logical_bytes <= header->logical_bytes);
    if (item->create_revision < 2 || item->create_revision > item->mod_revision ||
        item->mod_revision > header->revision)
        return false;
    if (item->version < 1 || item->version > item->mod_revision - item->create_revision + 1)
        return false;
    return item->lease == 0 && item->key_bytes > 0 && text_bytes <= COMMAND_TEXT_BYTES_MAX &&
           text_bytes + STORE_KEY_CHARGE_BYTES <= header->logical_bytes - s->load.logical_bytes;
}

static enum store_load_verdict load_item(struct store *s, struct intake *in)
{
    struct load *load = &s->load;
    const struct content_item *fields = &load->fixed.item;

    if (s->tree.key_count == load->header.key_count)
        return STORE_LOAD_MALFORMED; /* something follows */
    if (!take_fixed(load, in, sizeof *fields))
        return STORE_LOAD_GOOD;
    if (!item_is_sound(s, fields))
        return STORE_LOAD_MALFORMED;
    load->item = item_make(&s->items, fields->key_bytes, fields->value_bytes, &load->making);
    struct item *item = item_at(&s->items, load->item);
    item->mod_revision = fields->mod_revision;
    item->create_revision = fields->create_revision;
    item->version = fields->version;
    item->lease = fields->lease;
    load->hashing = item_hash_begin(item);
    load->step = LOAD_TEXT;
    return STORE_LOAD_GOOD;
}

static enum store_load_verdict finish_item(struct store *s)
{
    struct load *load = &s->load;
    const struct item *item = item_at(&s->items, load->item);
    struct tree_path path;

    if (load->previous != 0 && item_compare_keys(&s->items, load->previous, load->item) >= 0)
        return STORE_LOAD_MALFORMED;
    tree_find_end(&s->tree, &path);
    tree_insert(&s->tree, &path, load->item);
    load->logical_bytes += item_charge(item->key_bytes, item->value_bytes);
    load->digest += item_hash_end(&load->hashing);
    load->previous = load->item;
    load->item = 0;
    load->step = LOAD_ITEM;
    return STORE_LOAD_GOOD;
}

static enum store_load_verdict load_text(struct store *s, struct intake *in)
{
    struct load *load = &s->load;
    const uint64_t affordable = (uint64_t)in->budget * WORK_KEY_BYTES;
    uint32_t text = min_u32(item_making_left(&load->making), in->left);

    ASSERT(item_making_left(&load->making) > 0);
    text = text < affordable ? text : (uint32_t)affordable;
    item_make_text(&s->items, &load->making, in->bytes, text);
    item_hash_text(&load->hashing, in->bytes, text);
    in->bytes += text;
    in->left -= text;
    work_spend(&in->budget, text);
    return item_making_left(&load->making) > 0 ? STORE_LOAD_GOOD : finish_item(s);
}

static enum store_load_verdict load_step(struct store *s, struct intake *in)
{
    switch (s->load.step) {
    case LOAD_HEADER:
        return load_header(s, in);
    case LOAD_ITEM:
        return load_item(s, in);
    default:
        ASSERT(s->load.step == LOAD_TEXT);
        return load_text(s, in);
    }
}

uint32_t store_load(struct store *s, const uint8_t *bytes, uint32_t length, uint32_t budget)
{
    struct load *load = &s->load;
    struct intake in = {.bytes = bytes, .left = length, .budget = budget};

    ASSERT(s->work.kind == WORK_LOAD);
    ASSERT(load->verdict == STORE_LOAD_GOOD);
    ASSERT(length > 0);
    ASSERT(budget > 0);
    while (load->verdict == STORE_LOAD_GOOD && in.budget > 0 && in.left > 0)
        load->verdict = load_step(s, &in);
    return length - in.left;
}

/* Behind an item, the last one; and all is what the header has promised. */
static bool is_complete(const struct store *s)
{
    const struct load *load = &s->load;
    const struct content_header *header = &load->header;

    return load->step == LOAD_ITEM && s->tree.key_count == header->key_count &&
           load->logical_bytes == header->logical_bytes && load->digest == header->digest;
}

enum store_load_verdict store_load_end(struct store *s)
{
    struct load *load = &s->load;

    ASSERT(s->work.kind == WORK_LOAD);
    if (load->verdict == STORE_LOAD_GOOD && !is_complete(s))
        load->verdict = STORE_LOAD_MALFORMED;
    if (load->verdict != STORE_LOAD_GOOD)
        return load->verdict;
    s->logical_bytes = load->logical_bytes;
    s->digest = load->digest;
    s->quota_bytes = load->header.quota_bytes;
    s->revision = load->header.revision;
    s->applied = load->header.index;
    s->work.kind = WORK_IDLE;
    return STORE_LOAD_GOOD;
}
