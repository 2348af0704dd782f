/* Goal:   messages come out of a stream the same however its DATA is cut; the grammars of gRPC's
 *         headers are taken exactly; errors have etcd's codes and texts.
 * Method: three messages in one stream, cut at every pair of places; tables of good and bad texts.
 */
#include "api/errors.h"
#include "api/grpc.h"
#include "base/request.h"
#include "store/command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

struct taken {
    uint32_t messages;
    uint32_t bytes_used;
    uint8_t bytes[64];
};

static void feed(struct grpc_framer *f, struct taken *t, const uint8_t *bytes, size_t length)
{
    struct grpc_input input = {.at = bytes, .left = length};
    enum grpc_event event;

    while ((event = grpc_framer_next(f, &input)) != GRPC_EVENT_NONE) {
        if (event == GRPC_EVENT_MESSAGE) {
            t->messages++;
            continue;
        }
        memcpy(t->bytes + t->bytes_used, input.piece, input.piece_bytes);
        t->bytes_used += input.piece_bytes;
    }
    assert_int_equal(input.left, 0);
}

static void framing(void **state)
{
    static const uint8_t stream[] = {0, 0, 0, 0, 3, 'a', 'b', 'c', 0,   0,
                                     0, 0, 0, 0, 0, 0,   0,   2,   'd', 'e'};

    (void)state;
    for (size_t first = 0; first <= sizeof stream; first++) {
        for (size_t second = first; second <= sizeof stream; second++) {
            struct grpc_framer f = {0};
            struct taken t = {0};
            assert_true(grpc_framer_idle(&f));
            feed(&f, &t, stream, first);
            feed(&f, &t, stream + first, second - first);
            assert_int_equal(grpc_framer_idle(&f),
                             second == 0 || second == 8 || second == 13 || second == sizeof stream);
            feed(&f, &t, stream + second, sizeof stream - second);
            assert_int_equal(t.messages, 3);
            assert_int_equal(t.bytes_used, 5);
            assert_memory_equal(t.bytes, "abcde", 5);
            assert_true(grpc_framer_idle(&f));
        }
    }
}

static void prefix(void **state)
{
    struct grpc_framer f = {0};
    uint8_t bytes[GRPC_PREFIX_BYTES];
    struct grpc_input input = {.at = bytes, .left = sizeof bytes};

    (void)state;
    grpc_prefix_write(bytes, 0x01020304);
    bytes[0] = 1;
    assert_int_equal(grpc_framer_next(&f, &input), GRPC_EVENT_MESSAGE);
    assert_int_equal(grpc_framer_length(&f), 0x01020304);
    assert_true(grpc_framer_compressed(&f));
    assert_false(grpc_framer_idle(&f));
}

static bool timeout(const char *text, uint64_t *ns)
{
    return grpc_timeout_parse((const uint8_t *)text, strlen(text), ns);
}

static void timeouts(void **state)
{
    static const struct {
        const char *text;
        uint64_t ns;
    } good[] = {{"4998965u", 4998965000},
                {"1n", 1},
                {"20m", 20000000},
                {"3S", 3000000000},
                {"2M", 120000000000},
                {"1H", 3600000000000},
                {"00000000S", 0},
                {"99999999H", UINT64_MAX},
                {"99999999M", 5999999940000000000}};
    static const char *const bad[] = {"", "S", "1", "1s", "-1S", "123456789S", "1 S", "1SS", "S1"};
    uint64_t ns;

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(timeout(good[i].text, &ns));
        assert_true(ns == good[i].ns);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(timeout(bad[i], &ns));
}

static bool content_type(const char *text)
{
    return grpc_content_type_good((const uint8_t *)text, strlen(text));
}

static void content_types(void **state)
{
    (void)state;
    assert_true(content_type("application/grpc"));
    assert_true(content_type("application/grpc+proto"));
    assert_true(content_type("application/grpc;charset=utf-8"));
    assert_false(content_type("application/grpc-web"));
    assert_false(content_type("application/json"));
    assert_false(content_type("application/gr"));
    assert_false(content_type(""));
}

static void encoded_texts(void **state)
{
    char out[32];

    (void)state;
    assert_int_equal(grpc_text_encode("a b~", out, sizeof out), 4);
    assert_memory_equal(out, "a b~", 4);
    assert_int_equal(grpc_text_encode("100%\n\xc3\xa9", out, sizeof out), 15);
    assert_memory_equal(out, "100%25%0A%C3%A9", 15);
    assert_int_equal(grpc_text_encode("ab%", out, 4), 2); /* never half an escape */
}

static void missing(const char *path, const char *expected)
{
    char text[160];

    assert_int_equal(grpc_method_find((const uint8_t *)path, strlen(path)), GRPC_METHOD_NONE);
    grpc_method_missing(path, text, sizeof text);
    assert_string_equal(text, expected);
}

static void methods(void **state)
{
    static const char put[] = "/etcdserverpb.KV/Put";

    (void)state;
    assert_int_equal(grpc_method_find((const uint8_t *)put, sizeof put - 1), GRPC_KV_PUT);
    missing("/etcdserverpb.KV/Txn", "unknown method Txn for service etcdserverpb.KV");
    missing("/etcdserverpb.KV/", "unknown method  for service etcdserverpb.KV");
    missing("/etcdserverpb.Lease/LeaseGrant", "unknown service etcdserverpb.Lease");
    missing("/etcdserverpb.K/Put", "unknown service etcdserverpb.K");
    missing("/health", "malformed method name: \"/health\"");
    missing("", "malformed method name: \"\"");
    missing("*", "malformed method name: \"*\"");
}

static void answered(uint8_t status, uint8_t refusal, uint32_t code, const char *text)
{
    const enum api_error error = error_of_answer(status, refusal);

    assert_int_equal(error_code(error), code);
    assert_string_equal(error_text(error), text);
}

static void errors(void **state)
{
    (void)state;
    answered(ANSWER_OK, STORE_NONE, 0, "");
    answered(ANSWER_TIMED_OUT, 0, 14, "etcdserver: request timed out");
    answered(ANSWER_UNKNOWN, 0, 14,
             "etcdserver: request timed out, possibly due to previous leader failure");
    answered(ANSWER_BUSY, 0, 8, "etcdserver: too many requests");
    answered(ANSWER_NO_ROOM, 0, 8, "etcdserver: mvcc: database space exceeded");
    answered(ANSWER_OK, STORE_NO_SPACE, 8, "etcdserver: mvcc: database space exceeded");
    answered(ANSWER_OK, STORE_KEY_NOT_FOUND, 3, "etcdserver: key not found");
    answered(ANSWER_OK, STORE_LEASE_NOT_FOUND, 5, "etcdserver: requested lease not found");
    answered(ANSWER_OK, STORE_COMPACTED, 11,
             "etcdserver: mvcc: required revision has been compacted");
    answered(ANSWER_OK, STORE_FUTURE_REVISION, 11,
             "etcdserver: mvcc: required revision is a future revision");
    assert_int_equal(error_code(API_ERROR_KEY_NOT_PROVIDED), 3);
    assert_string_equal(error_text(API_ERROR_KEY_NOT_PROVIDED), "etcdserver: key is not provided");
    assert_int_equal(error_code(API_ERROR_REQUEST_TOO_LARGE), 3);
    assert_int_equal(error_code(API_ERROR_DEADLINE_EXCEEDED), 4);
    assert_string_equal(error_text(API_ERROR_DEADLINE_EXCEEDED), "context deadline exceeded");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(framing),       cmocka_unit_test(prefix),
        cmocka_unit_test(timeouts),      cmocka_unit_test(content_types),
        cmocka_unit_test(encoded_texts), cmocka_unit_test(methods),
        cmocka_unit_test(errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
