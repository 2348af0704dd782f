/* sim/check_log.h: Raft's own promises over all nodes, boots and terms of a run.
 *
 *   election safety      at most one node is seen leading a term, ever
 *   log matching         one record stands at an (index, term), wherever it is sent from
 *   state machine safety one (term, record) is committed at an index, whoever commits it
 *   leader completeness  who leads a later term has what was committed before
 *   digests              stores that have applied as far have the same content
 */
#ifndef SIM_CHECK_LOG_H
#define SIM_CHECK_LOG_H

#include "base/record.h"
#include "raftcore/raft_types.h"
#include "sim/check.h"

struct check_log;

/* A committed entry. */
struct check_entry {
    raft_term term;
    raft_term committer_term; /* term of the node that was first seen to have committed it */
    uint64_t digest;          /* of a store that has applied up to here, if one was seen */
    struct record_origin origin;
    uint32_t header_crc;
    uint8_t type; /* enum record_type */
    bool has_digest;
};

/* A log as somebody holds it. Where a snapshot stands for its entries it has those that were committed:
 * check_log_term_at(). */
struct check_view {
    raft_term (*term_at)(const void *log, raft_index index); /* 0: not there */
    const void *log;
    raft_index last;
};

struct check_log *check_log_create(void);
void check_log_destroy(struct check_log *c);
void check_log_reset(struct check_log *c, struct check_report *report);

/* `node` leads or speaks as the leader of `term`. True the first time in `fresh`. */
bool check_log_leads(struct check_log *c, raft_node node, raft_term term, bool *fresh);
/* The log of who begins to lead `term`. */
bool check_log_complete(struct check_log *c, raft_node node, raft_term term,
                        const struct check_view *log);
/* Who led all the time has raised its commit index: by counting, so to an entry of its own term. */
bool check_log_counted(struct check_log *c, raft_node node, raft_term term, raft_index commit,
                       const struct check_view *log);
/* A record that leaves a node, its header checked. */
bool check_log_record(struct check_log *c, const struct record_header *header);
/* `node`, in `node_term`, holds `index` of `term` for committed; in ascending order a boot. */
bool check_log_committed(struct check_log *c, raft_node node, raft_term node_term, raft_index index,
                         raft_term term);
bool check_log_digest(struct check_log *c, raft_node node, raft_index applied, uint64_t digest);

raft_term check_log_term(const struct check_log *c); /* newest that was led; 0: none */
raft_index check_log_last(const struct check_log *c); /* committed by anybody, ever */
raft_term check_log_term_at(const struct check_log *c, raft_index index); /* 0: none is committed */
const struct check_entry *check_log_entry(const struct check_log *c, raft_index index);

#endif
