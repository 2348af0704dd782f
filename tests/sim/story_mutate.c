#include "tests/sim/story_mutate.h"

#include "base/assert.h"

#include <string.h>

static const struct history_call *call_of(const struct world *w, const struct story_step *step)
{
    return &w->story.call[step->call];
}

static bool is_write(const struct history_call *call)
{
    return call->kind == HISTORY_PUT || call->kind == HISTORY_DELETE;
}

static bool ended_ok(const struct story_step *step)
{
    return step->kind == STORY_END && step->answer.fate == HISTORY_OK;
}

/* The n-th OK end from a drawn place on, all around; NULL: there are no more. */
static struct story_step *next_end(struct world *w, uint32_t from, uint32_t *n)
{
    while (*n < w->story.step_count) {
        struct story_step *step = &w->story.step[(from + (*n)++) % w->story.step_count];
        if (ended_ok(step))
            return step;
    }
    return NULL;
}

typedef bool (*step_test)(const struct world *w, const struct story_step *step);

/* An OK end that passes the test; NULL: none does. */
static struct story_step *pick_end(struct world *w, step_test good)
{
    const uint32_t from = (uint32_t)prng_below(&w->prng, w->story.step_count);
    uint32_t n = 0;

    for (struct story_step *step; (step = next_end(w, from, &n)) != NULL;)
        if (good(w, step))
            return step;
    return NULL;
}

static bool any_read(const struct world *w, const struct story_step *step)
{
    return !is_write(call_of(w, step));
}

static bool linear_read(const struct world *w, const struct story_step *step)
{
    return call_of(w, step)->kind == HISTORY_READ;
}

static bool local_read(const struct world *w, const struct story_step *step)
{
    return call_of(w, step)->kind == HISTORY_READ_LOCAL;
}

static bool plain_put(const struct world *w, const struct story_step *step)
{
    return call_of(w, step)->kind == HISTORY_PUT && !call_of(w, step)->prev_kv;
}

static bool any_write(const struct world *w, const struct story_step *step)
{
    return is_write(call_of(w, step));
}

static bool shows_value(const struct world *w, const struct story_step *step)
{
    (void)w;
    return step->answer.item_count > 0 && step->item[0].value != 0;
}

static bool read_shows_value(const struct world *w, const struct story_step *step)
{
    return any_read(w, step) && shows_value(w, step);
}

static bool write_shows_value(const struct world *w, const struct story_step *step)
{
    return any_write(w, step) && shows_value(w, step);
}

static bool before(const struct world *w, const struct story_step *ended, uint32_t call)
{
    return ended - w->story.step < w->begin_at[call];
}

static struct history_item *draw_item(struct world *w, struct story_step *step)
{
    return &step->item[prng_below(&w->prng, step->answer.item_count)];
}

static bool answer_at(struct world *w, struct story_step *read, uint64_t index)
{
    ASSERT(any_read(w, read));
    memset(read->item, 0, sizeof read->item);
    world_answer(w, call_of(w, read), index, read);
    return true;
}

/* The newest index whose revision is below that of `index`; WORLD_INDEXES_MAX: none. */
static uint64_t index_below(const struct world *w, uint64_t index)
{
    for (uint64_t i = index; i > 0; i--)
        if (w->revision[i - 1] < w->revision[index])
            return i - 1;
    return WORLD_INDEXES_MAX;
}

/* Newest index of OK ends that pass the test and came before `call` began. */
static uint64_t newest_before(const struct world *w, uint32_t call, step_test good)
{
    uint64_t newest = 0;

    for (int32_t i = 0; i < w->begin_at[call]; i++) {
        const struct story_step *step = &w->story.step[i];
        if (ended_ok(step) && good(w, step) && step->answer.index > newest)
            newest = step->answer.index;
    }
    return newest;
}

/* ---- reads at another place -------------------------------------------------------------------- */

static bool read_below(struct world *w, step_test reader, step_test witness)
{
    struct story_step *read = pick_end(w, reader);

    if (read == NULL)
        return false;
    const uint64_t index = index_below(w, newest_before(w, read->call, witness));
    return index != WORLD_INDEXES_MAX && answer_at(w, read, index);
}

static bool stale_after_write(struct world *w)
{
    return read_below(w, linear_read, any_write);
}

static bool stale_after_read(struct world *w)
{
    return read_below(w, linear_read, linear_read);
}

static bool from_the_future(struct world *w)
{
    struct story_step *read = pick_end(w, any_read), *write = pick_end(w, plain_put);

    if (read == NULL || write == NULL || !before(w, read, write->call))
        return false;
    return answer_at(w, read, write->answer.index);
}

static bool local_goes_back(struct world *w)
{
    struct story_step *read = pick_end(w, local_read), *other = pick_end(w, any_read);

    if (read == NULL || other == NULL || !before(w, other, read->call) ||
        call_of(w, read)->node != call_of(w, other)->node)
        return false;
    const uint64_t index = index_below(w, other->answer.index);
    return index != WORLD_INDEXES_MAX && answer_at(w, read, index);
}

static bool not_local(const struct world *w, const struct story_step *step)
{
    return !local_read(w, step);
}

static uint64_t node_newest_before(const struct world *w, const struct story_step *read)
{
    uint64_t newest = 0;

    for (const struct story_step *step = w->story.step; step < read; step++) {
        if (!ended_ok(step) || !any_read(w, step) ||
            call_of(w, step)->node != call_of(w, read)->node)
            continue;
        newest = step->answer.index > newest ? step->answer.index : newest;
    }
    return newest;
}

/* No older than any call that had completed, nor than its node; but older than a local read of
 * another node. It must not be the last word of its node, which would be held against later ones. */
static bool stale_after_local(struct world *w)
{
    struct story_step *read = pick_end(w, linear_read);

    if (read == NULL)
        return false;
    const uint64_t index = index_below(w, newest_before(w, read->call, local_read));
    if (index == WORLD_INDEXES_MAX || index < newest_before(w, read->call, not_local) ||
        index < node_newest_before(w, read))
        return false;
    return answer_at(w, read, index);
}

/* ---- answers that show what is not so ---------------------------------------------------------- */

static bool phantom_value(struct world *w)
{
    struct story_step *read = pick_end(w, read_shows_value);

    if (read == NULL)
        return false;
    draw_item(w, read)->value += 1000000;
    return true;
}

static bool wrong_predecessor(struct world *w)
{
    struct story_step *write = pick_end(w, write_shows_value);

    if (write == NULL)
        return false;
    draw_item(w, write)->value += 1000000;
    return true;
}

/* The version of a key before the one that `item` shows; NULL: it had none. */
static const struct history_item *version_before(const struct world *w,
                                                 const struct history_item *item)
{
    for (uint64_t i = w->last; i > 0; i--) {
        const struct history_item *old = &w->state[i - 1][item->key];
        if (old->version != 0 && old->mod_revision < item->mod_revision)
            return old;
    }
    return NULL;
}

static bool lose_write_in(struct world *w, step_test good)
{
    struct story_step *step = pick_end(w, good);

    if (step == NULL)
        return false;
    struct history_item *item = draw_item(w, step);
    const struct history_item *old = version_before(w, item);
    if (old == NULL)
        return false;
    *item = *old;
    return true;
}

static bool lost_write(struct world *w)
{
    return lose_write_in(w, read_shows_value);
}

static bool lost_before_write(struct world *w)
{
    return lose_write_in(w, write_shows_value);
}

static bool missing_key(struct world *w)
{
    struct story_step *read = pick_end(w, read_shows_value);

    if (read == NULL)
        return false;
    read->answer.item_count--;
    read->answer.count--;
    return true;
}

static bool reads_one_key(const struct world *w, const struct story_step *step)
{
    const struct history_call *call = call_of(w, step);

    return any_read(w, step) && call->key_end == call->key_first + 1 && !call->keys_only &&
           step->answer.count == 0;
}

static bool deleted_key_returns(struct world *w)
{
    struct story_step *read = pick_end(w, reads_one_key);

    if (read == NULL)
        return false;
    const struct history_item probe = {.key = call_of(w, read)->key_first,
                                       .mod_revision = read->answer.revision};
    const struct history_item *old = version_before(w, &probe);
    if (old == NULL)
        return false;
    read->item[0] = *old;
    read->answer.item_count = 1;
    read->answer.count = 1;
    return true;
}

static bool moved_value(struct world *w)
{
    struct story_step *read = pick_end(w, read_shows_value);

    if (read == NULL || read->answer.item_count < 2)
        return false;
    const uint64_t value = read->item[0].value;
    read->item[0].value = read->item[1].value;
    read->item[1].value = value;
    return value != read->item[0].value;
}

static bool keys_out_of_order(struct world *w)
{
    struct story_step *read = pick_end(w, read_shows_value);

    if (read == NULL || read->answer.item_count < 2)
        return false;
    const struct history_item item = read->item[0];
    read->item[0] = read->item[1];
    read->item[1] = item;
    return true;
}

static bool wrong_version(struct world *w)
{
    struct story_step *read = pick_end(w, read_shows_value);

    if (read == NULL)
        return false;
    draw_item(w, read)->version++;
    return true;
}

static bool wrong_create(struct world *w)
{
    struct story_step *read = pick_end(w, read_shows_value);

    if (read == NULL)
        return false;
    draw_item(w, read)->create_revision--;
    return true;
}

static bool wrong_mod(struct world *w)
{
    struct story_step *read = pick_end(w, read_shows_value);

    if (read == NULL)
        return false;
    draw_item(w, read)->mod_revision--;
    return true;
}

static bool wrong_more(struct world *w)
{
    struct story_step *read = pick_end(w, any_read);

    if (read == NULL)
        return false;
    read->answer.more = !read->answer.more;
    return true;
}

static bool wrong_count(struct world *w)
{
    struct story_step *step = pick_end(w, any_read);

    if (step == NULL)
        return false;
    step->answer.count++;
    return true;
}

static bool deletes_some(const struct world *w, const struct story_step *step)
{
    return call_of(w, step)->kind == HISTORY_DELETE && step->answer.count > 0;
}

static bool delete_counts_wrong(struct world *w)
{
    struct story_step *step = pick_end(w, deletes_some);

    if (step == NULL)
        return false;
    step->answer.count++;
    return true;
}

/* ---- writes ------------------------------------------------------------------------------------ */

static bool one_revision_twice(struct world *w)
{
    struct story_step *a = pick_end(w, plain_put), *b = pick_end(w, plain_put);

    if (a == NULL || b == NULL || a == b)
        return false;
    b->answer.revision = a->answer.revision;
    return true;
}

static bool revision_goes_back(struct world *w)
{
    struct story_step *put = pick_end(w, plain_put);

    if (put == NULL || put->answer.revision <= STORY_REVISION_FIRST + 1)
        return false;
    put->answer.revision -= 2;
    return true;
}

/* The later began after the earlier had ended, and yet comes first. */
static bool order_against_time(struct world *w)
{
    struct story_step *a = pick_end(w, plain_put), *b = pick_end(w, plain_put);

    if (a == NULL || b == NULL || !before(w, a, b->call))
        return false;
    const struct history_answer answer = a->answer;
    a->answer = b->answer;
    b->answer = answer;
    return true;
}

/* A put whose value a read has shown. */
static bool seen_put(const struct world *w, const struct story_step *put)
{
    if (!plain_put(w, put))
        return false;
    for (uint32_t i = 0; i < w->story.step_count; i++) {
        const struct story_step *step = &w->story.step[i];
        for (uint32_t at = 0; ended_ok(step) && at < step->answer.item_count; at++)
            if (step->item[at].value == call_of(w, put)->value)
                return true;
    }
    return false;
}

static bool refused_and_applied(struct world *w)
{
    struct story_step *put = pick_end(w, seen_put);

    if (put == NULL)
        return false;
    put->answer = (struct history_answer){.fate = HISTORY_REFUSED};
    return true;
}

static uint32_t put_done(struct world *w, uint8_t key, uint64_t value, enum history_fate fate)
{
    const uint32_t call = world_begin(w, (struct history_call){.kind = HISTORY_PUT,
                                                               .key_first = key,
                                                               .key_end = (uint8_t)(key + 1),
                                                               .node = 1,
                                                               .boot = 1,
                                                               .value = value});
    world_commit(w, call);
    if (fate == HISTORY_OK)
        world_end(w, call, w->last);
    else
        story_add(&w->story, STORY_END, call)->answer.fate = (uint8_t)fate;
    return call;
}

static void read_done(struct world *w, uint8_t key)
{
    world_end(w,
              world_begin(w, (struct history_call){.kind = HISTORY_READ,
                                                   .key_first = key,
                                                   .key_end = (uint8_t)(key + 1),
                                                   .node = 2,
                                                   .boot = 1}),
              w->last);
}

static bool applied_again(struct world *w, enum history_fate fate)
{
    const uint8_t key = (uint8_t)prng_below(&w->prng, WORLD_KEYS);
    const uint32_t first = put_done(w, key, 5001, fate);

    read_done(w, key);
    put_done(w, key, 5002, HISTORY_OK);
    world_commit(w, first);
    read_done(w, key);
    return true;
}

static bool acknowledged_twice(struct world *w)
{
    return applied_again(w, HISTORY_OK);
}

static bool unknown_twice(struct world *w)
{
    return applied_again(w, HISTORY_UNKNOWN);
}

/* ---- the log alone ----------------------------------------------------------------------------- */

static void remove_step(struct world *w, int32_t at)
{
    w->story.step_count--;
    memmove(&w->story.step[at], &w->story.step[at + 1],
            (w->story.step_count - (uint32_t)at) * sizeof w->story.step[0]);
}

static int32_t commit_at(const struct world *w, uint32_t call)
{
    for (uint32_t i = 0; i < w->story.step_count; i++)
        if (w->story.step[i].kind == STORY_COMMIT && w->story.step[i].call == call)
            return (int32_t)i;
    return WORLD_NOWHERE;
}

static bool commit_missing(struct world *w)
{
    const struct story_step *write = pick_end(w, any_write);

    if (write == NULL)
        return false;
    remove_step(w, commit_at(w, write->call));
    return true;
}

static bool commits_swapped(struct world *w)
{
    const struct story_step *a = pick_end(w, any_write), *b = pick_end(w, any_write);

    if (a == NULL || b == NULL)
        return false;
    const int32_t at_a = commit_at(w, a->call), at_b = commit_at(w, b->call);
    if (at_a >= at_b || w->begin_at[b->call] > at_a)
        return false;
    w->story.step[at_a].call = b->call;
    w->story.step[at_b].call = a->call;
    return true;
}

static bool wrong_index(struct world *w)
{
    struct story_step *write = pick_end(w, any_write);

    if (write == NULL)
        return false;
    write->answer.index--;
    return true;
}

#define BOTH true, true

const struct mutation story_mutations[] = {
    {"read older than an ended write", stale_after_write, BOTH, true, NULL},
    {"read older than an ended read", stale_after_read, BOTH, true, NULL},
    {"read from the future", from_the_future, BOTH, true, NULL},
    {"local read goes back", local_goes_back, BOTH, true, NULL},
    {"read older than a local read had shown", stale_after_local, false, true, true,
     "the replay keeps local reads apart"},
    {"phantom value", phantom_value, BOTH, true, NULL},
    {"phantom predecessor", wrong_predecessor, BOTH, true, NULL},
    {"lost write", lost_write, BOTH, false, NULL},
    {"lost write before a write", lost_before_write, BOTH, false, NULL},
    {"missing key", missing_key, BOTH, false, NULL},
    {"deleted key comes back", deleted_key_returns, BOTH, false, NULL},
    {"values of two keys exchanged", moved_value, BOTH, false, NULL},
    {"keys out of order", keys_out_of_order, BOTH, true, NULL},
    {"wrong version", wrong_version, BOTH, false, NULL},
    {"wrong create revision", wrong_create, BOTH, false, NULL},
    {"wrong mod revision", wrong_mod, BOTH, false, NULL},
    {"wrong `more`", wrong_more, BOTH, true, NULL},
    {"read counts wrong", wrong_count, BOTH, true, NULL},
    {"delete counts wrong", delete_counts_wrong, BOTH, false, NULL},
    {"split brain: one revision twice", one_revision_twice, BOTH, true, NULL},
    {"revision goes back", revision_goes_back, BOTH, false, NULL},
    {"order of writes against time", order_against_time, BOTH, true, NULL},
    {"refused write takes effect", refused_and_applied, BOTH, true, NULL},
    {"acknowledged write takes effect twice", acknowledged_twice, BOTH, false, NULL},
    {"unknown write resurfaces twice", unknown_twice, BOTH, false, NULL},
    {"commit missing", commit_missing, true, false, true, "clients do not see the log"},
    {"commits swapped", commits_swapped, true, false, true, "clients do not see the log"},
    {"wrong index", wrong_index, true, false, true, "the revision is right"},
};
const uint32_t story_mutation_count = sizeof story_mutations / sizeof story_mutations[0];
