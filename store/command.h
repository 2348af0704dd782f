/* store/command.h: what askers say to the store and what it answers, as bytes.
 *
 * A command travels inside a COMMAND record and is applied by every replica; a query is executed
 * by one store at one moment and never leaves its process. A result goes to the asker in pieces
 * (base/request.h): one struct result_header first, then items back to back, each complete in one
 * piece. All integers are little-endian; structs are the format, followed by the bytes they count;
 * everything is padded to 8 bytes. Command layouts are on disk: they change only with a new kind.
 *
 * Source     Semantics are those of the etcd v3 KV service; field names are its own.
 * Thread     Pure functions; no allocation.
 */
#ifndef STORE_COMMAND_H
#define STORE_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    COMMAND_FIXED_BYTES_MAX = 128,    /* of a command or query, without key, range end and value */
    COMMAND_ITEM_BYTES_MAX = 2 << 20, /* a result item: its struct, key and value */
    COMMAND_TEXT_BYTES_MAX = COMMAND_ITEM_BYTES_MAX - 40, /* a key and a value, or range end */
};

enum command_kind {
    COMMAND_PUT = 1,
    COMMAND_DELETE_RANGE = 2,
    QUERY_RANGE = 64,  /* queries are never in the log */
    QUERY_DIGEST = 65, /* no fields: the store's digest and counts, for tests and status */
};

enum command_flag {
    COMMAND_PREV_KV = 1 << 0,
    COMMAND_IGNORE_VALUE = 1 << 1,
    COMMAND_IGNORE_LEASE = 1 << 2,
    QUERY_KEYS_ONLY = 1 << 3,
    QUERY_COUNT_ONLY = 1 << 4,
};

enum query_sort_target { SORT_KEY, SORT_VERSION, SORT_CREATE, SORT_MOD, SORT_VALUE };
enum query_sort_order { SORT_NONE, SORT_ASCEND, SORT_DESCEND };

struct command_bytes {
    const uint8_t *bytes; /* may hold NUL; NULL with length 0 */
    uint32_t length;
};

/* One decoded command or query; the byte strings point into what was decoded. Fields that a kind
 * or a flag does not use are zero. A key has at least one byte. */
struct command {
    uint8_t kind;
    uint8_t flags;
    uint8_t sort_order;
    uint8_t sort_target;
    int64_t lease;
    int64_t limit;
    int64_t revision;
    int64_t min_mod, max_mod, min_create, max_create;
    struct command_bytes key;
    struct command_bytes range_end; /* empty: the one key; "\0": all keys >= key */
    struct command_bytes value;
};

/* Bytes that command_encode() will write, or 0 if it can't: key and value (or range end) together
 * longer than COMMAND_TEXT_BYTES_MAX, no key, a kind, flag or sort that there is not, a value with
 * COMMAND_IGNORE_VALUE or a lease with COMMAND_IGNORE_LEASE. */
uint32_t command_bytes(const struct command *command);
/* Writes it to `out`; returns its length. Decoding gives the same command, and there is no other
 * form of it. */
uint32_t command_encode(const struct command *command, uint8_t *out);
/* False: not a command (form only; nothing is read beyond `length`). */
bool command_decode(const uint8_t *bytes, uint32_t length, struct command *command);

/* Why the store refused a well-formed command or query; the face turns it into a gRPC error. */
#define STORE_REFUSAL_LIST(X)                                                                      \
    X(NONE)                                                                                        \
    X(KEY_NOT_FOUND)   /* ignore_value or ignore_lease on a missing key */                         \
    X(LEASE_NOT_FOUND) /* any lease: none can be granted yet */                                    \
    X(COMPACTED)       /* any revision before the head: no history is kept yet */                  \
    X(FUTURE_REVISION)                                                                             \
    X(NO_SPACE)  /* the quota is spent */                                                          \
    X(MALFORMED) /* the bytes are not a command this version knows */

enum store_refusal {
#define STORE_REFUSAL_ENUM(name) STORE_##name,
    STORE_REFUSAL_LIST(STORE_REFUSAL_ENUM)
#undef STORE_REFUSAL_ENUM
};

/* First thing of the result of a range, a delete, a digest query, and a put with COMMAND_PREV_KV
 * that found its key. Any other put, and whatever was refused, has no bytes. All fields are exact
 * when the first piece leaves: what they need is counted before. */
struct result_header {
    int64_t count;   /* range: keys in range at the revision, before limit and filters; delete: keys
                        deleted; put: 1; digest: keys */
    uint64_t digest; /* QUERY_DIGEST */
    uint64_t items;  /* that follow, over all pieces */
    uint8_t more;    /* range: the limit cut it */
    uint8_t padding[7];
};

/* Then each key: this, key bytes, value bytes, padding to 8. */
struct result_item {
    int64_t create_revision;
    int64_t mod_revision;
    int64_t version;
    int64_t lease;
    uint32_t key_bytes;
    uint32_t value_bytes;
};

#endif
