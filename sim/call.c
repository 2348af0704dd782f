/* sim/call.c: how a call becomes a command or query, and the bytes of an answer become items.
 *
 * Each put names its value: the name holds the value's length, and the bytes follow from the name,
 * so that a value that is read tells who wrote it and that it is whole.
 */
#include "base/assert.h"
#include "sim/sim_internal.h"

#include <string.h>

enum { VALUE_LENGTH_BITS = 16 };

void call_key_write(uint8_t key, uint8_t *text)
{
    text[0] = 'k';
    text[1] = (uint8_t)('0' + key / 10);
    text[2] = (uint8_t)('0' + key % 10);
}

/* False: not a key of ours. */
static bool key_number(const uint8_t *text, uint32_t length, uint8_t *key)
{
    if (length != CALL_KEY_BYTES || text[0] != 'k')
        return false;
    *key = (uint8_t)((text[1] - '0') * 10 + (text[2] - '0'));
    return *key < HISTORY_KEYS;
}

uint64_t call_value(struct sim *s, uint32_t bytes)
{
    ASSERT(bytes >= SIM_VALUE_BYTES_MIN);
    ASSERT(bytes <= PLAN_VALUE_BYTES_MAX);
    return (s->call_count + 1) << VALUE_LENGTH_BITS | bytes;
}

uint32_t call_value_bytes(uint64_t value)
{
    return (uint32_t)(value & ((1U << VALUE_LENGTH_BITS) - 1));
}

/* The eight bytes at 8 * `word`. */
static uint64_t value_word(uint64_t value, uint32_t word)
{
    return value ^ UINT64_C(0x0101010101010101) * (word & 0xff);
}

void call_value_write(uint64_t value, uint8_t *out)
{
    const uint32_t length = call_value_bytes(value);

    for (uint32_t at = 0; at < length; at += 8) {
        const uint64_t word = value_word(value, at / 8);
        memcpy(out + at, &word, length - at < 8 ? length - at : 8);
    }
}

/* The name of a value that was read; 0: these bytes are no value of ours. */
static uint64_t value_read(const uint8_t *bytes, uint32_t length)
{
    uint64_t value;

    if (length < SIM_VALUE_BYTES_MIN)
        return 0;
    memcpy(&value, bytes, sizeof value);
    if (call_value_bytes(value) != length)
        return 0;
    for (uint32_t at = 0; at < length; at += 8) {
        const uint64_t word = value_word(value, at / 8);
        if (memcmp(bytes + at, &word, length - at < 8 ? length - at : 8) != 0)
            return 0;
    }
    return value;
}

uint32_t call_encode(const struct history_call *call, uint8_t *out)
{
    static const uint8_t kinds[] = {
        [HISTORY_PUT] = COMMAND_PUT,
        [HISTORY_DELETE] = COMMAND_DELETE_RANGE,
        [HISTORY_READ] = QUERY_RANGE,
        [HISTORY_READ_LOCAL] = QUERY_RANGE,
    };
    uint8_t key[CALL_KEY_BYTES], end[CALL_KEY_BYTES], value[PLAN_VALUE_BYTES_MAX];
    struct command command = {
        .kind = kinds[call->kind],
        .flags = (uint8_t)((call->prev_kv ? COMMAND_PREV_KV : 0) |
                           (call->keys_only ? QUERY_KEYS_ONLY : 0)),
        .limit = call->limit,
        .key = {.bytes = key, .length = CALL_KEY_BYTES},
    };

    call_key_write(call->key_first, key);
    call_key_write(call->key_end, end);
    if (call->key_end != call->key_first + 1)
        command.range_end = (struct command_bytes){.bytes = end, .length = CALL_KEY_BYTES};
    if (call->kind == HISTORY_PUT) {
        call_value_write(call->value, value);
        command.value = (struct command_bytes){.bytes = value, .length = call_value_bytes(call->value)};
    }
    ASSERT(command_bytes(&command) > 0);
    ASSERT(command_bytes(&command) <= SIM_COMMAND_BYTES_MAX);
    return command_encode(&command, out);
}

static bool parse_item(struct sim *s, struct sim_slot *slot, const struct result_item *item,
                       const uint8_t *bytes)
{
    const bool keys_only = s->call[slot->call - 1].keys_only;
    struct history_item *out = &slot->item[slot->item_count];
    uint8_t key;

    if (slot->item_count == HISTORY_KEYS || !key_number(bytes, item->key_bytes, &key))
        return check_fail(&s->report, "value-intact", "an answer has a key that nobody wrote");
    *out = (struct history_item){
        .key = key,
        .create_revision = item->create_revision,
        .mod_revision = item->mod_revision,
        .version = item->version,
        .value = value_read(bytes + item->key_bytes, item->value_bytes),
    };
    if (out->value == 0 && (!keys_only || item->value_bytes != 0))
        return check_fail(&s->report, "value-intact", "an answer has a value that nobody wrote");
    slot->item_count++;
    return true;
}

bool call_parse_piece(struct sim *s, struct sim_slot *slot, const struct answer *answer)
{
    uint32_t at = 0;

    if (!slot->header_seen && answer->length >= sizeof(struct result_header)) {
        struct result_header header;
        memcpy(&header, answer->bytes, sizeof header);
        slot->header_seen = true;
        slot->count = header.count;
        slot->more = header.more != 0;
        at = sizeof header;
    }
    while (at < answer->length) {
        struct result_item item;
        if (answer->length - at < sizeof item)
            return check_fail(&s->report, "value-intact", "an item is cut off");
        memcpy(&item, answer->bytes + at, sizeof item);
        at += (uint32_t)sizeof item;
        const uint64_t length = ((uint64_t)item.key_bytes + item.value_bytes + 7) & ~7ULL;
        if (answer->length - at < length)
            return check_fail(&s->report, "value-intact", "an item's bytes are cut off");
        if (!parse_item(s, slot, &item, answer->bytes + at))
            return false;
        at += (uint32_t)length;
    }
    return true;
}
