#include "sim/linear_state.h"

#include "base/assert.h"
#include "base/prng.h"

#include <string.h>

static const struct linear_key absent = {0};
static const struct linear_key any = {
    .mod = LINEAR_ANY, .create = LINEAR_ANY, .version = LINEAR_ANY};

static bool is_absent(const struct linear_key *k)
{
    return k->version == 0;
}

static bool is_any(const struct linear_key *k)
{
    return k->mod == LINEAR_ANY;
}

static uint64_t key_hash(uint8_t key, const struct linear_key *k)
{
    const uint64_t when = hash_u64((uint64_t)k->mod, (uint64_t)k->create);
    return hash_u64(hash_u64(when, key), hash_u64((uint64_t)k->version, k->value));
}

static void set_key(struct linear_state *s, uint8_t key, struct linear_key k)
{
    s->hash ^= key_hash(key, &s->key[key]) ^ key_hash(key, &k);
    s->key[key] = k;
}

void linear_state_reset(struct linear_state *s, int64_t revision)
{
    *s = (struct linear_state){.revision = revision};
    for (uint8_t k = 0; k < HISTORY_KEYS; k++)
        s->hash ^= key_hash(k, &s->key[k]);
}

void linear_state_forget(struct linear_state *s, uint8_t key_first, uint8_t key_end)
{
    for (uint8_t k = key_first; k < key_end; k++)
        set_key(s, k, any);
}

bool linear_state_equal(const struct linear_state *a, const struct linear_state *b)
{
    return a->hash == b->hash && a->revision == b->revision &&
           memcmp(a->key, b->key, sizeof a->key) == 0;
}

bool linear_made_revision(const struct history_call *call, const struct history_answer *answer)
{
    return call->kind == HISTORY_PUT || (call->kind == HISTORY_DELETE && answer->count > 0);
}

static bool agree(int64_t *known, int64_t shown)
{
    if (*known == LINEAR_ANY)
        *known = shown;
    return *known == shown;
}

/* The key is as `item` shows it, as far as anything is known of it. */
static bool narrow(struct linear_state *s, const struct history_item *item, bool keys_only)
{
    struct linear_key k = s->key[item->key];

    if (is_absent(&k) || item->version < 1 || item->create_revision > item->mod_revision ||
        item->mod_revision > s->revision || keys_only != (item->value == 0))
        return false;
    if (!agree(&k.mod, item->mod_revision) || !agree(&k.create, item->create_revision) ||
        !agree(&k.version, item->version))
        return false;
    if (k.value == 0)
        k.value = item->value;
    if (!keys_only && k.value != item->value)
        return false;
    set_key(s, item->key, k);
    return true;
}

struct extent {
    int64_t sure;  /* keys of the range that exist */
    int64_t maybe; /* of which nothing is known */
};

/* The items are the first keys of the range that exist, at most `limit` of them. */
static bool match_items(struct linear_state *s, const struct history_call *call,
                        const struct history_answer *answer, struct extent *extent)
{
    uint32_t at = 0;

    *extent = (struct extent){0};
    for (uint8_t k = call->key_first; k < call->key_end; k++) {
        const bool full = call->limit != 0 && at == call->limit;
        if (!full && at < answer->item_count && answer->items[at].key == k) {
            if (!narrow(s, &answer->items[at++], call->keys_only))
                return false;
            extent->sure++;
        } else if (is_any(&s->key[k])) {
            extent->maybe += full ? 1 : 0;
            if (!full)
                set_key(s, k, absent); /* it would have been shown */
        } else if (!is_absent(&s->key[k])) {
            extent->sure++;
            if (!full)
                return false;
        }
    }
    return at == answer->item_count;
}

static struct extent extent_of(const struct linear_state *s, const struct history_call *call)
{
    struct extent extent = {0};

    for (uint8_t k = call->key_first; k < call->key_end; k++) {
        if (is_any(&s->key[k]))
            extent.maybe++;
        else if (!is_absent(&s->key[k]))
            extent.sure++;
    }
    return extent;
}

static bool may_count(const struct extent *extent, int64_t count)
{
    return count >= extent->sure && count <= extent->sure + extent->maybe;
}

bool linear_state_read(struct linear_state *s, const struct history_call *call,
                       const struct history_answer *answer)
{
    const bool cut = call->limit != 0 && answer->count > call->limit;
    struct extent extent;

    ASSERT(answer->revision == s->revision);
    if (answer->more != cut || answer->item_count != (cut ? call->limit : answer->count))
        return false;
    return match_items(s, call, answer, &extent) && may_count(&extent, answer->count);
}

static void put(struct linear_state *s, const struct history_call *call)
{
    struct linear_key k = s->key[call->key_first];

    if (is_absent(&k))
        k.create = s->revision;
    if (k.version != LINEAR_ANY)
        k.version++;
    k.mod = s->revision;
    k.value = call->value;
    set_key(s, call->key_first, k);
}

static void delete_range(struct linear_state *s, const struct history_call *call)
{
    for (uint8_t k = call->key_first; k < call->key_end; k++)
        if (!is_absent(&s->key[k]))
            set_key(s, k, absent);
}

static void take_effect(struct linear_state *s, const struct history_call *call)
{
    s->revision++;
    if (call->kind == HISTORY_PUT)
        put(s, call);
    else
        delete_range(s, call);
}

bool linear_state_write(struct linear_state *s, const struct history_call *call,
                        const struct history_answer *answer)
{
    const bool made = linear_made_revision(call, answer);
    struct extent extent = extent_of(s, call);

    ASSERT(answer->revision == s->revision + (made ? 1 : 0));
    if (call->kind == HISTORY_DELETE && !may_count(&extent, answer->count))
        return false;
    if (!call->prev_kv && answer->item_count != 0)
        return false;
    if (call->prev_kv && !match_items(s, call, answer, &extent))
        return false;
    if (call->kind == HISTORY_DELETE && call->prev_kv && extent.sure != answer->count)
        return false;
    if (made)
        take_effect(s, call);
    else
        delete_range(s, call); /* what may have been there was not */
    return true;
}

bool linear_state_guess(struct linear_state *s, const struct history_call *call)
{
    const struct extent extent = extent_of(s, call);

    if (call->kind == HISTORY_DELETE && extent.sure + extent.maybe == 0)
        return false;
    take_effect(s, call);
    return true;
}
