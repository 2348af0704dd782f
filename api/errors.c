/* api/errors.c: the table of errors, and how the replica's answers map to it. */
#include "api/errors.h"

#include "base/assert.h"
#include "base/request.h"
#include "store/command.h"

#include <stdbool.h>

static const struct {
    enum grpc_code code;
    const char *text;
} errors[] = {
#define API_ERROR_ROW(name, code_name, text_of) [API_ERROR_##name] = {GRPC_##code_name, text_of},
    API_ERROR_LIST(API_ERROR_ROW)
#undef API_ERROR_ROW
};

static enum api_error error_of_refusal(uint8_t refusal);

enum grpc_code error_code(enum api_error error)
{
    ASSERT(error < sizeof errors / sizeof errors[0]);
    return errors[error].code;
}

const char *error_text(enum api_error error)
{
    ASSERT(error < sizeof errors / sizeof errors[0]);
    return errors[error].text;
}

enum api_error error_of_answer(uint8_t status, uint8_t refusal)
{
    switch ((enum answer_status)status) {
    case ANSWER_OK:
        return error_of_refusal(refusal);
    case ANSWER_TIMED_OUT:
        return API_ERROR_TIMED_OUT;
    case ANSWER_UNKNOWN:
        return API_ERROR_TIMED_OUT_LEADER_FAILED;
    case ANSWER_BUSY:
        return API_ERROR_TOO_MANY_REQUESTS;
    case ANSWER_NO_ROOM:
        return API_ERROR_NO_SPACE;
    case ANSWER_CORRUPT:
        return API_ERROR_CORRUPT;
    case ANSWER_BAD:
        return API_ERROR_REFUSED_AS_MALFORMED;
    case ANSWER_NOT_LEADER:
    case ANSWER_REFUSED:
        break; /* of requests that api does not make */
    }
    ASSERT(false); /* an answer status that base/request.h does not list */
    return API_ERROR_REFUSED_AS_MALFORMED;
}

static enum api_error error_of_refusal(uint8_t refusal)
{
    switch ((enum store_refusal)refusal) {
    case STORE_NONE:
        return API_ERROR_NONE;
    case STORE_KEY_NOT_FOUND:
        return API_ERROR_KEY_NOT_FOUND;
    case STORE_LEASE_NOT_FOUND:
        return API_ERROR_LEASE_NOT_FOUND;
    case STORE_COMPACTED:
        return API_ERROR_COMPACTED;
    case STORE_FUTURE_REVISION:
        return API_ERROR_FUTURE_REVISION;
    case STORE_NO_SPACE:
        return API_ERROR_NO_SPACE;
    case STORE_MALFORMED:
        return API_ERROR_REFUSED_AS_MALFORMED;
    }
    ASSERT(false); /* a refusal that store/command.h does not list */
    return API_ERROR_REFUSED_AS_MALFORMED;
}
