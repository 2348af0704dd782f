/* sim/replay.c: what is committed, applied once more by a store that belongs to no node.
 *
 * Its digest is what every node's store must have at that index. At a snapshot point the content is written
 * from the model of check_history.h, by the table of docs/formats.md: no code of store/snapshot.h has a part
 * in it.
 */
#include "base/assert.h"
#include "base/crc64.h"
#include "replica/config_record.h"
#include "sim/model.h"
#include "sim/sim_internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { CONTENT_MAGIC = 0x43534b53, CONTENT_VERSION = 1 };

/* "Store content" of docs/formats.md. */
struct content_header {
    uint32_t magic;
    uint16_t version, reserved;
    uint64_t index, revision, quota_bytes, logical_bytes, key_count, digest, crc;
} __attribute__((packed));

struct content_item {
    uint64_t mod_revision, create_revision, version, lease;
    uint32_t key_bytes, value_bytes;
} __attribute__((packed));

static_assert(sizeof(struct content_header) == 64, "as in the table");
static_assert(sizeof(struct content_item) == 40, "as in the table");

struct replay {
    struct store *store;
    void *memory;
    size_t memory_bytes;
    uint8_t *content;
    uint64_t content_bytes;
};

struct replay *replay_create(void)
{
    struct replay *r = calloc(1, sizeof *r);

    ASSERT(r != NULL);
    return r;
}

static void let_go(struct replay *r)
{
    if (r->memory != NULL)
        munmap(r->memory, r->memory_bytes);
    free(r->content);
}

void replay_destroy(struct replay *r)
{
    let_go(r);
    free(r);
}

void replay_reset(struct replay *r, uint64_t quota_bytes)
{
    const struct store_options options = {.quota_bytes = quota_bytes, .pin_bytes = quota_bytes};

    if (r->memory_bytes < store_bytes(&options)) {
        let_go(r);
        r->memory_bytes = store_bytes(&options);
        r->memory = mmap(NULL, r->memory_bytes, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        ASSERT(r->memory != MAP_FAILED);
        r->content_bytes = sizeof(struct content_header) + quota_bytes;
        r->content = malloc(r->content_bytes);
        ASSERT(r->content != NULL);
    }
    r->store = store_init(r->memory, r->memory_bytes, &options);
}

static void apply(struct replay *r, raft_index index, const struct history_call *call)
{
    uint8_t bytes[SIM_COMMAND_BYTES_MAX];
    const uint32_t length = call_encode(call, bytes);

    store_begin_apply(r->store, index, bytes, length, false);
    while (store_work(r->store, NULL, UINT32_MAX) != STORE_DONE)
        ;
}

/* All keys at the model's last index; the end of what was written. */
static uint8_t *write_items(const struct model *m, uint8_t *at, struct content_header *h)
{
    const int64_t head = model_revision(m, m->last);

    h->revision = (uint64_t)head;
    for (uint8_t k = 0; k < HISTORY_KEYS; k++) {
        const struct model_version *v = model_at(m, k, head);
        if (v == NULL)
            continue;
        struct content_item item = {
            .mod_revision = (uint64_t)v->mod_revision,
            .create_revision = (uint64_t)v->create_revision,
            .version = (uint64_t)v->version,
            .key_bytes = CALL_KEY_BYTES,
            .value_bytes = call_value_bytes(v->value),
        };
        memcpy(at, &item, sizeof item);
        call_key_write(k, at + sizeof item);
        call_value_write(v->value, at + sizeof item + CALL_KEY_BYTES);
        at += sizeof item + CALL_KEY_BYTES + item.value_bytes;
        h->key_count++;
        h->logical_bytes += STORE_KEY_CHARGE_BYTES + CALL_KEY_BYTES + item.value_bytes;
    }
    return at;
}

static void make_point(struct sim *s, raft_index index, const struct check_entry *entry)
{
    struct replay *r = s->replay;
    struct content_header h = {
        .magic = CONTENT_MAGIC,
        .version = CONTENT_VERSION,
        .index = index,
        .quota_bytes = s->plan.options.quota_bytes,
        .digest = store_digest(r->store),
    };
    const uint8_t *end = write_items(check_history_model(s->history), r->content + sizeof h, &h);

    ASSERT(end <= r->content + r->content_bytes);
    h.crc = crc64(0, &h, offsetof(struct content_header, crc));
    memcpy(r->content, &h, sizeof h);
    check_snapshot_point(s->snapshot, index, entry, r->content, (uint64_t)(end - r->content));
    sim_happen(s, SIM_SNAPSHOT_POINT);
}

static void take_config(struct sim *s, raft_index index)
{
    const uint64_t quota_bytes = s->plan.options.quota_bytes;
    uint8_t payload[CONFIG_PAYLOAD_BYTES_MAX];
    const uint32_t length =
        config_record_encode(check_members_committed(s->members), quota_bytes, payload);

    check_snapshot_config(s->snapshot, index, payload, length);
    store_set_quota(s->replay->store, quota_bytes);
}

void replay_entry(struct sim *s, raft_index index, const struct check_entry *entry,
                  const struct history_call *call)
{
    struct replay *r = s->replay;

    if (entry->type == RECORD_CONFIG)
        take_config(s, index);
    if (call != NULL)
        apply(r, index, call);
    else
        store_skip(r->store, index);
    check_log_digest(s->log, 0, index, store_digest(r->store));
    if (entry->type == RECORD_SNAPSHOT)
        make_point(s, index, entry);
}
