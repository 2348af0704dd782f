/* Goal:   every request of an operator survives its line of text, and nothing else is taken for one.
 * Method: round trips over all kinds of edits, the largest request included; then lines that differ
 *         from a valid one in one place. */
#include "node/admin_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void survives(const struct admin_request *request)
{
    char text[ADMIN_TEXT_BYTES];
    struct admin_request back;

    admin_text_write(request, text);
    assert_true(admin_text_read(text, &back));
    assert_int_equal(back.kind, request->kind);
    assert_int_equal(back.target, request->target);
    assert_int_equal(back.forced, request->forced);
    assert_int_equal(back.edit_count, request->edit_count);
    for (uint32_t i = 0; i < request->edit_count; i++) {
        assert_int_equal(back.edit[i].kind, request->edit[i].kind);
        assert_int_equal(back.edit[i].node, request->edit[i].node);
        assert_int_equal(back.edit[i].replaces, request->edit[i].replaces);
        assert_int_equal(back.edit[i].priority, request->edit[i].priority);
        assert_int_equal(back.edit[i].promote, request->edit[i].promote);
        assert_int_equal(back.edit[i].incarnation, 0);
    }
}

static void requests_survive(void **state)
{
    struct admin_request change = {.kind = ADMIN_CHANGE, .forced = true};

    (void)state;
    survives(&(struct admin_request){.kind = ADMIN_TRANSFER});
    survives(&(struct admin_request){.kind = ADMIN_TRANSFER, .target = UINT16_MAX});
    survives(&(struct admin_request){.kind = ADMIN_SNAPSHOT});
    while (change.edit_count < ADMIN_EDITS_MAX) {
        change.edit[change.edit_count] = (struct admin_edit){
            .kind = (uint8_t)(change.edit_count % (ADMIN_PRIORITY + 1)),
            .node = (uint16_t)(UINT16_MAX - change.edit_count),
            .replaces = UINT16_MAX,
            .priority = UINT8_MAX,
            .promote = change.edit_count % 2 == 0,
        };
        change.edit_count++;
        survives(&change);
    }
}

static void nothing_else_is_a_request(void **state)
{
    static const char *const lines[] = {
        "",
        "row",
        "transfer",
        "transfer ",
        "snapshot ",
        "snapshots",
        "transfer x",
        "transfer -1",
        "transfer 65536",
        "transfer 1 ",
        "transfer 99999999999999999999999",
        "change",
        "change 0",
        "change 2 0:4:0:0:1",
        "change 0 ",
        "change 0 5:4:0:0:1",
        "change 0 0:65536:0:0:1",
        "change 0 0:4:0:256:1",
        "change 0 0:4:0:0:2",
        "change 0 0:4:0:0",
        "change 0 0:4:0:0:",
        "change 0 0:4:0:0:1x",
        "change 0 0:4:0:0:1 ",
        "change 0 0:4:0:0:1  1:4:0:0:0",
    };
    static const char edit[] = " 1:1:0:0:0";
    char text[ADMIN_TEXT_BYTES] = "change 0";
    struct admin_request request;

    (void)state;
    assert_true(admin_text_read("change 0 0:4:0:0:1", &request));
    for (uint32_t i = 0; i < sizeof lines / sizeof *lines; i++)
        assert_false(admin_text_read(lines[i], &request));
    for (uint32_t i = 1; i <= ADMIN_EDITS_MAX + 1; i++) {
        memcpy(text + strlen(text), edit, sizeof edit);
        assert_int_equal(admin_text_read(text, &request), i <= ADMIN_EDITS_MAX);
    }
}

static void answer_is(struct answer answer, const char *text)
{
    char out[ADMIN_TEXT_BYTES];

    admin_text_write_answer(&answer, out);
    assert_string_equal(out, text);
}

static void answers_have_words(void **state)
{
    (void)state;
    answer_is((struct answer){.status = ANSWER_OK, .index = 7}, "ok 7");
    answer_is((struct answer){.status = ANSWER_NOT_LEADER, .leader = 3}, "not_leader 3");
    answer_is((struct answer){.status = ANSWER_UNKNOWN}, "unknown");
    answer_is((struct answer){.status = ANSWER_BUSY}, "busy");
    answer_is((struct answer){.status = ANSWER_BAD}, "bad");
    answer_is((struct answer){.status = ANSWER_REFUSED, .refusal = ADMIN_REFUSAL_NO_MEMBER},
              "refused the node is no member");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_survive),
        cmocka_unit_test(nothing_else_is_a_request),
        cmocka_unit_test(answers_have_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
