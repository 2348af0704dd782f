/* Goal:   the history checker accepts what a linearizable store answers and rejects everything
 *         else, by the right name: a checker that sees nothing passes every campaign.
 * Method: tiny histories told by hand. One that is right for each kind of call; then each of the
 *         others differs from a right one in just the thing that its name says. */
#include "sim/check_history.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { CALLS_MAX = 8, REVISION_FIRST = 1 };

struct story {
    struct check_history *h;
    struct check_report report;
    struct history_call call[CALLS_MAX];
    uint32_t call_count;
};

static int open_story(void **state)
{
    static struct story story;

    memset(&story, 0, sizeof story);
    story.h = check_history_create();
    check_history_reset(story.h, REVISION_FIRST, &story.report);
    *state = &story;
    return 0;
}

static int close_story(void **state)
{
    struct story *s = *state;

    check_history_destroy(s->h);
    return 0;
}

static struct history_call *begin(struct story *s, struct history_call call)
{
    struct history_call *begun = &s->call[s->call_count++];

    assert_true(s->call_count <= CALLS_MAX);
    *begun = call;
    begun->node = call.node != 0 ? call.node : 1;
    begun->boot = 1;
    check_history_begin(s->h, begun);
    return begun;
}

static struct history_call *put(struct story *s, uint8_t key, uint64_t value)
{
    return begin(s, (struct history_call){.kind = HISTORY_PUT,
                                          .key_first = key,
                                          .key_end = (uint8_t)(key + 1),
                                          .value = value});
}

static struct history_call *get(struct story *s, uint8_t key)
{
    return begin(s, (struct history_call){
                        .kind = HISTORY_READ, .key_first = key, .key_end = (uint8_t)(key + 1)});
}

static void commit(struct story *s, struct history_call *call)
{
    check_history_commit(s->h, call);
}

static void answer(struct story *s, struct history_call *call, struct history_answer a)
{
    if (a.fate == HISTORY_OPEN)
        a.fate = HISTORY_OK;
    check_history_end(s->h, call, &a);
}

/* A put that is committed at the next index and acknowledged as it should be. */
static void put_done(struct story *s, uint8_t key, uint64_t value, int64_t revision)
{
    struct history_call *call = put(s, key, value);

    commit(s, call);
    answer(s, call, (struct history_answer){.index = call->index, .revision = revision});
    assert_null(s->report.invariant);
}

static void accepted(const struct story *s)
{
    if (s->report.invariant != NULL)
        fail_msg("%s: %s", s->report.invariant, s->report.detail);
}

static void rejected(const struct story *s, const char *invariant)
{
    assert_non_null(s->report.invariant);
    assert_string_equal(s->report.invariant, invariant);
}

static const struct history_item first_item = {
    .key = 3, .create_revision = 2, .mod_revision = 2, .version = 1, .value = 77};

/* ---- right ones ------------------------------------------------------------------------------ */

static void read_sees_write(void **state)
{
    struct story *s = *state;

    put_done(s, 3, 77, 2);
    struct history_call *read = get(s, 3);
    answer(s, read,
           (struct history_answer){
               .index = 1, .revision = 2, .count = 1, .item_count = 1, .items = &first_item});
    accepted(s);
}

static void concurrent_read_may_miss_write(void **state)
{
    struct story *s = *state;
    struct history_call *write = put(s, 3, 77);
    struct history_call *read = get(s, 3);

    commit(s, write);
    answer(s, write, (struct history_answer){.index = 1, .revision = 2});
    answer(s, read, (struct history_answer){.index = 0, .revision = 1});
    accepted(s);
}

static void unknown_write_may_appear(void **state)
{
    struct story *s = *state;
    struct history_call *write = put(s, 3, 77);

    answer(s, write, (struct history_answer){.fate = HISTORY_UNKNOWN});
    commit(s, write);
    struct history_call *read = get(s, 3);
    answer(s, read,
           (struct history_answer){
               .index = 1, .revision = 2, .count = 1, .item_count = 1, .items = &first_item});
    accepted(s);
}

static void delete_and_create_again(void **state)
{
    struct story *s = *state;
    const struct history_item again = {
        .key = 3, .create_revision = 4, .mod_revision = 4, .version = 1, .value = 79};

    put_done(s, 3, 77, 2);
    struct history_call *cut =
        begin(s, (struct history_call){.kind = HISTORY_DELETE, .key_end = HISTORY_KEYS});
    commit(s, cut);
    answer(s, cut, (struct history_answer){.index = 2, .revision = 3, .count = 1});
    put_done(s, 3, 79, 4);
    struct history_call *read = get(s, 3);
    answer(s, read,
           (struct history_answer){
               .index = 3, .revision = 4, .count = 1, .item_count = 1, .items = &again});
    accepted(s);
}

static void delete_of_nothing_makes_no_revision(void **state)
{
    struct story *s = *state;
    struct history_call *cut =
        begin(s, (struct history_call){.kind = HISTORY_DELETE, .key_end = HISTORY_KEYS});

    commit(s, cut);
    answer(s, cut, (struct history_answer){.index = 1, .revision = 1});
    put_done(s, 3, 77, 2);
    accepted(s);
}

static void local_read_may_be_old(void **state)
{
    struct story *s = *state;

    put_done(s, 3, 77, 2);
    struct history_call *read =
        begin(s, (struct history_call){.kind = HISTORY_READ_LOCAL, .key_first = 3, .key_end = 4});
    answer(s, read, (struct history_answer){.index = 0, .revision = 1});
    accepted(s);
}

/* ---- reads that are wrong -------------------------------------------------------------------- */

static void read_is_stale(void **state)
{
    struct story *s = *state;

    put_done(s, 3, 77, 2);
    answer(s, get(s, 3), (struct history_answer){.index = 0, .revision = 1});
    rejected(s, "linearizable");
}

static void read_is_older_than_a_read(void **state)
{
    struct story *s = *state;
    struct history_call *write = put(s, 3, 77);

    commit(s, write); /* not acknowledged yet, but seen: */
    answer(s, get(s, 3),
           (struct history_answer){
               .index = 1, .revision = 2, .count = 1, .item_count = 1, .items = &first_item});
    assert_null(s->report.invariant);
    answer(s, get(s, 3), (struct history_answer){.index = 0, .revision = 1});
    rejected(s, "linearizable");
}

static void read_from_the_future(void **state)
{
    struct story *s = *state;

    put(s, 3, 77); /* never committed */
    answer(s, get(s, 3),
           (struct history_answer){
               .index = 1, .revision = 2, .count = 1, .item_count = 1, .items = &first_item});
    rejected(s, "linearizable");
}

static void read_lies_about_revision(void **state)
{
    struct story *s = *state;

    put_done(s, 3, 77, 2);
    answer(s, get(s, 3),
           (struct history_answer){
               .index = 1, .revision = 3, .count = 1, .item_count = 1, .items = &first_item});
    rejected(s, "linearizable");
}

static void read_misses_a_key(void **state)
{
    struct story *s = *state;

    put_done(s, 3, 77, 2);
    answer(s, get(s, 3), (struct history_answer){.index = 1, .revision = 2});
    rejected(s, "linearizable");
}

static void read_counts_wrong(void **state)
{
    struct story *s = *state;

    put_done(s, 3, 77, 2);
    answer(s, get(s, 3),
           (struct history_answer){
               .index = 1, .revision = 2, .count = 2, .item_count = 1, .items = &first_item});
    rejected(s, "linearizable");
}

static void read_shows_a_deleted_key(void **state)
{
    struct story *s = *state;

    put_done(s, 3, 77, 2);
    struct history_call *cut =
        begin(s, (struct history_call){.kind = HISTORY_DELETE, .key_first = 3, .key_end = 4});
    commit(s, cut);
    answer(s, cut, (struct history_answer){.index = 2, .revision = 3, .count = 1});
    answer(s, get(s, 3),
           (struct history_answer){
               .index = 2, .revision = 3, .count = 1, .item_count = 1, .items = &first_item});
    rejected(s, "linearizable");
}

/* A read of key 3 after two puts; `item` is what it shows instead of the second. */
static void read_item(struct story *s, struct history_item item)
{
    put_done(s, 3, 77, 2);
    put_done(s, 3, 78, 3);
    answer(s, get(s, 3),
           (struct history_answer){
               .index = 2, .revision = 3, .count = 1, .item_count = 1, .items = &item});
}

static const struct history_item second_item = {
    .key = 3, .create_revision = 2, .mod_revision = 3, .version = 2, .value = 78};

static void read_item_as_it_is(void **state)
{
    read_item(*state, second_item);
    accepted(*state);
}

static void read_shows_an_old_value(void **state)
{
    struct history_item item = second_item;

    item.value = 77;
    read_item(*state, item);
    rejected(*state, "linearizable");
}

static void read_shows_another_key(void **state)
{
    struct history_item item = second_item;

    item.key = 4;
    read_item(*state, item);
    rejected(*state, "linearizable");
}

static void read_has_a_wrong_mod_revision(void **state)
{
    struct history_item item = second_item;

    item.mod_revision = 2;
    read_item(*state, item);
    rejected(*state, "linearizable");
}

static void read_has_a_wrong_create_revision(void **state)
{
    struct history_item item = second_item;

    item.create_revision = 3;
    read_item(*state, item);
    rejected(*state, "linearizable");
}

static void read_has_a_wrong_version(void **state)
{
    struct history_item item = second_item;

    item.version = 1;
    read_item(*state, item);
    rejected(*state, "linearizable");
}

static void limited_read_hides_that_there_is_more(void **state)
{
    struct story *s = *state;

    put_done(s, 3, 77, 2);
    put_done(s, 4, 78, 3);
    struct history_call *read =
        begin(s, (struct history_call){.kind = HISTORY_READ, .key_end = HISTORY_KEYS, .limit = 1});
    answer(s, read,
           (struct history_answer){
               .index = 2, .revision = 3, .count = 2, .item_count = 1, .items = &first_item});
    rejected(s, "linearizable");
}

static void keys_only_shows_a_value(void **state)
{
    struct story *s = *state;

    put_done(s, 3, 77, 2);
    struct history_call *read =
        begin(s, (struct history_call){
                     .kind = HISTORY_READ, .key_first = 3, .key_end = 4, .keys_only = true});
    answer(s, read,
           (struct history_answer){
               .index = 1, .revision = 2, .count = 1, .item_count = 1, .items = &first_item});
    rejected(s, "linearizable");
}

static void local_read_goes_back(void **state)
{
    struct story *s = *state;
    const struct history_call local = {.kind = HISTORY_READ_LOCAL, .key_first = 3, .key_end = 4};

    put_done(s, 3, 77, 2);
    answer(s, begin(s, local),
           (struct history_answer){
               .index = 1, .revision = 2, .count = 1, .item_count = 1, .items = &first_item});
    assert_null(s->report.invariant);
    answer(s, begin(s, local), (struct history_answer){.index = 0, .revision = 1});
    rejected(s, "linearizable");
}

/* ---- writes that are wrong ------------------------------------------------------------------- */

static void acknowledged_write_is_lost(void **state)
{
    struct story *s = *state;
    struct history_call *lost = put(s, 3, 77);

    commit(s, NULL); /* another entry took its place */
    answer(s, lost, (struct history_answer){.index = 1, .revision = 2});
    rejected(s, "linearizable"); /* its revision was never made */
}

static void acknowledged_write_is_elsewhere(void **state)
{
    struct story *s = *state;
    struct history_call *write = put(s, 3, 77);

    put_done(s, 4, 78, 2);
    commit(s, write);
    answer(s, write, (struct history_answer){.index = 1, .revision = 2});
    rejected(s, "acknowledged-kept");
}

static void write_lies_about_revision(void **state)
{
    struct story *s = *state;
    struct history_call *write = put(s, 3, 77);

    commit(s, write);
    answer(s, write, (struct history_answer){.index = 1, .revision = 1});
    rejected(s, "linearizable");
}

static void write_is_older_than_a_completed_one(void **state)
{
    struct story *s = *state;
    struct history_call ghost = {.kind = HISTORY_PUT, .key_first = 5, .key_end = 6, .value = 80};

    check_history_begin(s->h, &ghost);
    commit(s, &ghost);
    put_done(s, 3, 77, 3);
    /* The same write, told to have begun only now. */
    ghost.floor = 2;
    answer(s, &ghost, (struct history_answer){.index = 1, .revision = 2});
    rejected(s, "linearizable");
}

static void delete_counts_wrong(void **state)
{
    struct story *s = *state;

    put_done(s, 3, 77, 2);
    struct history_call *cut =
        begin(s, (struct history_call){.kind = HISTORY_DELETE, .key_end = HISTORY_KEYS});
    commit(s, cut);
    answer(s, cut, (struct history_answer){.index = 2, .revision = 3, .count = 2});
    rejected(s, "linearizable");
}

static void put_returns_a_wrong_previous_value(void **state)
{
    struct story *s = *state;
    struct history_item old = first_item;

    put_done(s, 3, 77, 2);
    struct history_call *write = begin(
        s, (struct history_call){
               .kind = HISTORY_PUT, .key_first = 3, .key_end = 4, .prev_kv = true, .value = 78});
    commit(s, write);
    old.value = 78;
    answer(s, write,
           (struct history_answer){.index = 2, .revision = 3, .item_count = 1, .items = &old});
    rejected(s, "linearizable");
}

/* ---- fates ----------------------------------------------------------------------------------- */

static void request_is_applied_twice(void **state)
{
    struct story *s = *state;
    struct history_call *write = put(s, 3, 77);

    commit(s, write);
    commit(s, write);
    rejected(s, "exact-fate");
}

static void refused_request_is_applied_later(void **state)
{
    struct story *s = *state;
    struct history_call *write = put(s, 3, 77);

    answer(s, write, (struct history_answer){.fate = HISTORY_REFUSED});
    assert_null(s->report.invariant);
    commit(s, write);
    rejected(s, "exact-fate");
}

static void applied_request_is_refused(void **state)
{
    struct story *s = *state;
    struct history_call *write = put(s, 3, 77);

    commit(s, write);
    answer(s, write, (struct history_answer){.fate = HISTORY_REFUSED});
    rejected(s, "exact-fate");
}

static void request_is_answered_twice(void **state)
{
    struct story *s = *state;
    struct history_call *write = put(s, 3, 77);

    commit(s, write);
    answer(s, write, (struct history_answer){.index = 1, .revision = 2});
    answer(s, write, (struct history_answer){.index = 1, .revision = 2});
    rejected(s, "exact-fate");
}

static void read_stands_in_the_log(void **state)
{
    struct story *s = *state;

    commit(s, get(s, 3));
    rejected(s, "exact-fate");
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, open_story, close_story)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(read_sees_write),
        STORY(concurrent_read_may_miss_write),
        STORY(unknown_write_may_appear),
        STORY(delete_and_create_again),
        STORY(delete_of_nothing_makes_no_revision),
        STORY(local_read_may_be_old),
        STORY(read_item_as_it_is),
        STORY(read_is_stale),
        STORY(read_is_older_than_a_read),
        STORY(read_from_the_future),
        STORY(read_lies_about_revision),
        STORY(read_misses_a_key),
        STORY(read_counts_wrong),
        STORY(read_shows_a_deleted_key),
        STORY(read_shows_an_old_value),
        STORY(read_shows_another_key),
        STORY(read_has_a_wrong_mod_revision),
        STORY(read_has_a_wrong_create_revision),
        STORY(read_has_a_wrong_version),
        STORY(limited_read_hides_that_there_is_more),
        STORY(keys_only_shows_a_value),
        STORY(local_read_goes_back),
        STORY(acknowledged_write_is_lost),
        STORY(acknowledged_write_is_elsewhere),
        STORY(write_lies_about_revision),
        STORY(write_is_older_than_a_completed_one),
        STORY(delete_counts_wrong),
        STORY(put_returns_a_wrong_previous_value),
        STORY(request_is_applied_twice),
        STORY(refused_request_is_applied_later),
        STORY(applied_request_is_refused),
        STORY(request_is_answered_twice),
        STORY(read_stands_in_the_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
