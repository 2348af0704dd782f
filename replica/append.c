/* replica/append.c: records from the leader: checked, and named for the core.
 *
 * Every record is verified before the core hears of it: its own checksums, its place behind the
 * one before, and its chain to it where both are at hand.
 */
#include "replica/config_record.h"
#include "replica/replica_internal.h"

#include <string.h>

struct records_walk {
    raft_index index; /* expected next */
    raft_term term;   /* of the record before */
    uint32_t chain;   /* header checksum of the record before, if known */
    bool chain_known;
    uint32_t at;
    uint32_t count;
    uint32_t config_count;
    uint64_t quota_bytes;
};

/* Chained to the record before it in the message, and to our log where the two meet: a record that
 * we have must be the same bytes, and one that continues our log must continue its chain. */
static bool follows(const struct replica_raft *role, const struct records_walk *w,
                    const struct record_header *header)
{
    const struct record_header *mine = record_memory_at(&role->memory, header->index);
    const raft_index last = raft_last(role->raft);

    if (w->chain_known && header->chain != w->chain)
        return false;
    if (mine != NULL && mine->term == header->term && mine->header_crc != header->header_crc)
        return false;
    if (header->index != last + 1 || raft_term_at(role->raft, last, NULL) != w->term)
        return true; /* a gap or a conflict is the core's business */
    return header->chain == role->last_chain;
}

/* The next record of the body; false: it is bad. */
static bool walk_next(struct replica *r, struct records_walk *w, const uint8_t *bytes,
                      uint32_t length)
{
    struct replica_raft *role = &r->raft;
    struct record_header header; /* a copy: a frame's body is not aligned */

    if (record_check(bytes + w->at, length - w->at, r->options.cluster) != RECORD_OK)
        return false;
    memcpy(&header, bytes + w->at, sizeof header);
    if (header.index != w->index || !follows(&r->raft, w, &header))
        return false;
    const uint32_t whole = record_bytes(header.payload_bytes);
    if (whole > length - w->at)
        return false;
    struct raft_entry *entry = &role->entry[w->count];
    *entry = (struct raft_entry){.term = header.term, .bytes = whole};
    if (header.type == RECORD_CONFIG) {
        struct raft_config *config = &role->config[w->config_count];
        ASSERT(w->config_count < CONFIG_ENTRIES_MAX);
        if (!config_record_decode(bytes + w->at + sizeof header, header.payload_bytes, config,
                                  &w->quota_bytes))
            return false;
        entry->config = config;
        w->config_count++;
    }
    w->index++;
    w->term = header.term;
    w->chain = header.header_crc;
    w->chain_known = true;
    w->at += whole;
    w->count++;
    return true;
}

enum frame_verdict append_records(struct replica *r, const struct raft_msg *msg,
                                  const uint8_t *bytes, uint32_t length)
{
    struct replica_raft *role = &r->raft;
    struct records_walk w = {.index = msg->prev_index + 1, .term = msg->prev_term};
    const struct record_header *before = record_memory_at(&role->memory, msg->prev_index);

    if (before != NULL && before->term == msg->prev_term) {
        w.chain = before->header_crc;
        w.chain_known = true;
    }
    while (w.count < msg->count)
        if (!walk_next(r, &w, bytes, length))
            return FRAME_BAD_RECORD_VERDICT;
    if (w.at != length)
        return FRAME_MALFORMED_VERDICT;
    struct raft_msg whole = *msg;
    whole.entries = role->entry;
    whole.bytes = length;
    step_message(r, &whole, bytes);
    return FRAME_OK_VERDICT;
}

void append_on_frame(struct replica *r, const struct frame *f)
{
    admit_count(r, append_records(r, &f->raft, f->body, f->body_bytes));
}
