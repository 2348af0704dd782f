/* api/kv.c: etcdserverpb.KV: Range, Put and DeleteRange.
 *
 * A request's message becomes a command or query of the store in one step, checked as etcd checks
 * it and with its texts. A result's items are written straight into the response.
 *
 *   RangeRequest        1 key, 2 range_end, 3 limit, 4 revision, 5 sort_order, 6 sort_target,
 *                       7 serializable, 8 keys_only, 9 count_only, 10 min_mod_revision,
 *                       11 max_mod_revision, 12 min_create_revision, 13 max_create_revision
 *   RangeResponse       1 header, 2 kvs, 3 more, 4 count
 *   PutRequest          1 key, 2 value, 3 lease, 4 prev_kv, 5 ignore_value, 6 ignore_lease
 *   PutResponse         1 header, 2 prev_kv
 *   DeleteRangeRequest  1 key, 2 range_end, 3 prev_kv
 *   DeleteRangeResponse 1 header, 2 deleted, 3 prev_kvs
 *   KeyValue            1 key, 2 create_revision, 3 mod_revision, 4 version, 5 value, 6 lease
 */
#include "api/api_internal.h"
#include "api/protobuf.h"
#include "api/services_internal.h"
#include "base/assert.h"
#include "store/command.h"

#include <string.h>

enum { ITEM_HEADS_BYTES_MAX = 8 * PROTO_VARINT_BYTES_MAX, ITEM_ALIGN = 8 };

/* Where the three responses differ. */
enum {
    RANGE_KVS = 2,
    RANGE_MORE = 3,
    RANGE_COUNT = 4,
    PUT_PREV_KV = 2,
    DELETE_DELETED = 2,
    DELETE_PREV_KVS = 3,
};

static bool decode_range(struct proto_reader *r, struct command *command, bool *serializable);
static bool decode_put(struct proto_reader *r, struct command *command);
static bool decode_delete(struct proto_reader *r, struct command *command);
static enum api_error check_range(struct command *command);
static enum api_error check_put(const struct command *command);
static bool take_text(const struct proto_field *field, struct command_bytes *text);
static bool take_enum(const struct proto_field *field, uint8_t *value);
static bool take_flag(const struct proto_field *field, struct command *command, uint8_t flag);
static void put_items(struct call *call, const uint8_t *at, const uint8_t *end);
static void put_item(struct call *call, const struct result_item *item, const uint8_t *text);
static void put_end(struct call *call);
static uint32_t item_field(const struct call *call);

enum api_error kv_begin(struct call *call, const uint8_t *message, uint32_t length)
{
    struct command command = {0};
    struct proto_reader reader;
    enum request_kind kind = REQUEST_PROPOSE;
    bool serializable = false, good;
    enum api_error error = API_ERROR_NONE;

    proto_read(&reader, message, length);
    if (call->method == GRPC_KV_PUT)
        good = decode_put(&reader, &command);
    else if (call->method == GRPC_KV_DELETE_RANGE)
        good = decode_delete(&reader, &command);
    else
        good = decode_range(&reader, &command, &serializable);
    if (!good)
        return API_ERROR_MALFORMED_MESSAGE;
    if (command.key.length == 0)
        return API_ERROR_KEY_NOT_PROVIDED;

    if (command.kind == QUERY_RANGE) {
        kind = serializable ? REQUEST_READ_LOCAL : REQUEST_READ;
        error = check_range(&command);
    } else if (command.kind == COMMAND_PUT) {
        error = check_put(&command);
    }
    if (error != API_ERROR_NONE)
        return error;
    const uint32_t bytes = command_bytes(&command);
    if (length > CALL_COMMAND_BYTES_MAX || bytes == 0)
        return API_ERROR_REQUEST_TOO_LARGE;
    uint8_t *room = call_request_room(call, bytes);
    if (room == NULL)
        return API_ERROR_TOO_MANY_REQUESTS;
    const uint32_t written = command_encode(&command, room);
    ASSERT(written == bytes);
    call_begin(call, kind);
    return API_ERROR_NONE;
}

void kv_answer(struct call *call, const struct answer *answer)
{
    const enum api_error error = error_of_answer(answer->status, answer->refusal);
    const uint8_t *at = answer->bytes;

    if (error != API_ERROR_NONE) {
        ASSERT(!answer->more);
        call_fail(call, error);
        return;
    }
    if (!call->reply_begun) {
        call->reply_begun = true;
        service_reply_begin(call, answer->revision);
        if (answer->length > 0) {
            struct result_header header;
            ASSERT(answer->length >= sizeof header);
            memcpy(&header, at, sizeof header);
            at += sizeof header;
            call->result_count = header.count;
            call->result_more = header.more != 0;
        }
    }
    if (answer->length > 0)
        put_items(call, at, answer->bytes + answer->length);
    if (answer->more)
        return;
    put_end(call);
    call_reply(call);
}

static bool decode_range(struct proto_reader *r, struct command *command, bool *serializable)
{
    struct proto_field f;
    bool good = true;

    command->kind = QUERY_RANGE;
    while (good && proto_next(r, &f)) {
        switch (f.number) {
        case 1:
            good = take_text(&f, &command->key);
            break;
        case 2:
            good = take_text(&f, &command->range_end);
            break;
        case 3:
            good = proto_take_int64(&f, &command->limit);
            break;
        case 4:
            good = proto_take_int64(&f, &command->revision);
            break;
        case 5:
            good = take_enum(&f, &command->sort_order);
            break;
        case 6:
            good = take_enum(&f, &command->sort_target);
            break;
        case 7:
            good = proto_take_bool(&f, serializable);
            break;
        case 8:
            good = take_flag(&f, command, QUERY_KEYS_ONLY);
            break;
        case 9:
            good = take_flag(&f, command, QUERY_COUNT_ONLY);
            break;
        case 10:
            good = proto_take_int64(&f, &command->min_mod);
            break;
        case 11:
            good = proto_take_int64(&f, &command->max_mod);
            break;
        case 12:
            good = proto_take_int64(&f, &command->min_create);
            break;
        case 13:
            good = proto_take_int64(&f, &command->max_create);
            break;
        default:
            break; /* of a newer client */
        }
    }
    return good && !r->bad;
}

static bool decode_put(struct proto_reader *r, struct command *command)
{
    struct proto_field f;
    bool good = true;

    command->kind = COMMAND_PUT;
    while (good && proto_next(r, &f)) {
        switch (f.number) {
        case 1:
            good = take_text(&f, &command->key);
            break;
        case 2:
            good = take_text(&f, &command->value);
            break;
        case 3:
            good = proto_take_int64(&f, &command->lease);
            break;
        case 4:
            good = take_flag(&f, command, COMMAND_PREV_KV);
            break;
        case 5:
            good = take_flag(&f, command, COMMAND_IGNORE_VALUE);
            break;
        case 6:
            good = take_flag(&f, command, COMMAND_IGNORE_LEASE);
            break;
        default:
            break;
        }
    }
    return good && !r->bad;
}

static bool decode_delete(struct proto_reader *r, struct command *command)
{
    struct proto_field f;
    bool good = true;

    command->kind = COMMAND_DELETE_RANGE;
    while (good && proto_next(r, &f)) {
        switch (f.number) {
        case 1:
            good = take_text(&f, &command->key);
            break;
        case 2:
            good = take_text(&f, &command->range_end);
            break;
        case 3:
            good = take_flag(&f, command, COMMAND_PREV_KV);
            break;
        default:
            break;
        }
    }
    return good && !r->bad;
}

static enum api_error check_range(struct command *command)
{
    if (command->sort_order > SORT_DESCEND || command->sort_target > SORT_VALUE)
        return API_ERROR_INVALID_SORT_OPTION;
    /* A target without an order means ascending: etcd's rule, kept out of the store. */
    if (command->sort_order == SORT_NONE && command->sort_target != SORT_KEY)
        command->sort_order = SORT_ASCEND;
    return API_ERROR_NONE;
}

static enum api_error check_put(const struct command *command)
{
    if ((command->flags & COMMAND_IGNORE_VALUE) != 0 && command->value.length != 0)
        return API_ERROR_VALUE_PROVIDED;
    if ((command->flags & COMMAND_IGNORE_LEASE) != 0 && command->lease != 0)
        return API_ERROR_LEASE_PROVIDED;
    return API_ERROR_NONE;
}

static bool take_text(const struct proto_field *field, struct command_bytes *text)
{
    return proto_take_bytes(field, &text->bytes, &text->length);
}

/* What no enumeration has becomes the largest number, for the check to refuse. */
static bool take_enum(const struct proto_field *field, uint8_t *value)
{
    *value = field->value < UINT8_MAX ? (uint8_t)field->value : UINT8_MAX;
    return field->wire == PROTO_VARINT;
}

static bool take_flag(const struct proto_field *field, struct command *command, uint8_t flag)
{
    bool set;

    if (!proto_take_bool(field, &set))
        return false;
    command->flags = (uint8_t)(set ? command->flags | flag : command->flags & ~flag);
    return true;
}

/* The items are our own store's: whole, and padded, or there is a bug. */
static void put_items(struct call *call, const uint8_t *at, const uint8_t *end)
{
    while (at < end) {
        struct result_item item;
        ASSERT((size_t)(end - at) >= sizeof item);
        memcpy(&item, at, sizeof item);
        at += sizeof item;
        const uint64_t text = (uint64_t)item.key_bytes + item.value_bytes;
        const uint64_t padded = (text + ITEM_ALIGN - 1) & ~(uint64_t)(ITEM_ALIGN - 1);
        ASSERT((uint64_t)(end - at) >= padded);
        put_item(call, &item, at);
        at += padded;
    }
}

static void put_item(struct call *call, const struct result_item *item, const uint8_t *text)
{
    struct heap_account *account = &call->connection->account;
    uint8_t heads[ITEM_HEADS_BYTES_MAX];
    struct proto_writer w = {.bytes = heads, .size = sizeof heads};
    const uint32_t length = proto_string_bytes(1, item->key_bytes) +
                            proto_uint_bytes(2, (uint64_t)item->create_revision) +
                            proto_uint_bytes(3, (uint64_t)item->mod_revision) +
                            proto_uint_bytes(4, (uint64_t)item->version) +
                            proto_string_bytes(5, item->value_bytes) +
                            proto_uint_bytes(6, (uint64_t)item->lease);

    proto_put_head(&w, item_field(call), length);
    proto_put_head(&w, 1, item->key_bytes);
    reply_append(&call->reply, account, heads, w.used);
    reply_append(&call->reply, account, text, item->key_bytes);
    w.used = 0;
    proto_put_uint(&w, 2, (uint64_t)item->create_revision);
    proto_put_uint(&w, 3, (uint64_t)item->mod_revision);
    proto_put_uint(&w, 4, (uint64_t)item->version);
    if (item->value_bytes > 0)
        proto_put_head(&w, 5, item->value_bytes);
    reply_append(&call->reply, account, heads, w.used);
    reply_append(&call->reply, account, text + item->key_bytes, item->value_bytes);
    w.used = 0;
    proto_put_uint(&w, 6, (uint64_t)item->lease);
    reply_append(&call->reply, account, heads, w.used);
    ASSERT(!w.full);
}

static void put_end(struct call *call)
{
    uint8_t bytes[ITEM_HEADS_BYTES_MAX];
    struct proto_writer w = {.bytes = bytes, .size = sizeof bytes};

    if (call->method == GRPC_KV_RANGE) {
        proto_put_uint(&w, RANGE_MORE, call->result_more);
        proto_put_uint(&w, RANGE_COUNT, (uint64_t)call->result_count);
    } else if (call->method == GRPC_KV_DELETE_RANGE) {
        proto_put_uint(&w, DELETE_DELETED, (uint64_t)call->result_count);
    }
    ASSERT(!w.full);
    reply_append(&call->reply, &call->connection->account, bytes, w.used);
}

static uint32_t item_field(const struct call *call)
{
    switch ((enum grpc_method)call->method) {
    case GRPC_KV_PUT:
        return PUT_PREV_KV;
    case GRPC_KV_DELETE_RANGE:
        return DELETE_PREV_KVS;
    default:
        ASSERT(call->method == GRPC_KV_RANGE);
        return RANGE_KVS;
    }
}
