/* raftcore/on_append.c: AppendEntries at the receiver (Figure 2, receiver rules 1-5).
 *
 * Departures, each safe because it only ever trusts less:
 * - A prev below our log base is not compared: everything up to the base is committed, so it equals
 *   the leader's log (Leader Completeness), and only entries above it are looked at.
 * - The commit index rises to what this message verified, not to our last entry: what lies behind
 *   may be the rest of a deposed leader's log.
 * - A conflict with a committed entry convicts the sender, and so does one with an entry that it
 *   gave us in this term itself. Neither is ever touched.
 * - Entries that would outrun the window are not taken, and not acknowledged; they come again.
 */
#include "raftcore/raft_internal.h"

#include <stddef.h>

static const struct raft_entry *entry_at(const struct raft_msg *m, raft_index index)
{
    ASSERT(index > m->prev_index);
    ASSERT(index <= m->prev_index + m->count);
    return &m->entries[index - m->prev_index - 1];
}

/* Does the message deny an entry that is committed, or one that its own sender gave us? */
static bool denies_known(const struct raft *r, const struct raft_msg *m)
{
    const raft_index known = m->term == r->term ? raft_max(r->commit, r->verified) : r->commit;

    ASSERT(m->count <= RAFT_APPEND_ENTRIES_MAX);
    if (m->prev_index > known)
        return false; /* it speaks of nothing that we could know better */
    if (m->prev_index >= r->log.base && raft_log_term(&r->log, m->prev_index) != m->prev_term)
        return true;
    const raft_index first = raft_max(m->prev_index + 1, r->log.base);
    const raft_index last = raft_min(m->prev_index + m->count, known);
    for (raft_index i = first; i <= last; i++) { /* at most RAFT_APPEND_ENTRIES_MAX */
        if (entry_at(m, i)->term != raft_log_term(&r->log, i))
            return true;
    }
    return false;
}

/* Tells a gap (prev > last) from a conflict, and of a conflict its whole run: the leader can skip
 * all of that term's entries in one round trip (section 3.5). */
static void emit_refusal(struct raft *r, const struct raft_msg *m, struct raft_effects *fx)
{
    struct raft_msg *reply = raft_emit(r, RAFT_MSG_APPEND_REPLY, m->from, fx);

    ASSERT(r->log.last >= r->log.base);
    reply->reject = true;
    reply->prev_index = m->prev_index;
    reply->last = r->log.last;
    if (m->prev_index > r->log.base && m->prev_index <= r->log.last) {
        reply->hint_term = raft_log_term(&r->log, m->prev_index);
        reply->hint_index = raft_log_run_first(&r->log, m->prev_index);
    }
}

static void emit_accept(struct raft *r, const struct raft_msg *m, raft_index verified,
                        struct raft_effects *fx)
{
    struct raft_msg *reply = raft_emit(r, RAFT_MSG_APPEND_REPLY, m->from, fx);
    const raft_seq written = raft_log_seq(&r->log, raft_max(verified, r->log.base));
    const raft_seq hard = raft_hard_after(r);

    ASSERT(verified <= r->log.last);
    MARK_IF(written > hard && fx->append.first > fx->append.last, ACK_OF_EARLIER);
    reply->match = planted(PLANTED_MATCH_IS_LAST) ? r->log.last : verified;
    reply->last = r->log.last;
    /* The entry may have come with an earlier message that is not flushed yet: what counts is who
     * wrote it, not this step. And the term in which we acknowledge must be ours for good. */
    if (planted(PLANTED_ACK_OF_WRONG_STEP))
        raft_emit_after(r->seq_step, fx);
    else if (!planted(PLANTED_ACK_BEFORE_FLUSH))
        raft_emit_after(written > hard ? written : hard, fx);
}

/* The first entry of the message that our log does not have, or has of another term. */
static raft_index first_unknown(const struct raft *r, const struct raft_msg *m)
{
    const raft_index end = m->prev_index + m->count;
    raft_index index = raft_max(m->prev_index, r->log.base) + 1;

    if (planted(PLANTED_TRUNCATE_AT_DUPLICATE))
        return index;
    ASSERT(m->prev_index <= r->log.last);
    while (index <= end && index <= r->log.last &&
           raft_log_term(&r->log, index) == entry_at(m, index)->term)
        index++; /* at most RAFT_APPEND_ENTRIES_MAX */
    return index;
}

/* Room in the window, in the table of terms and in the stack of configurations, for entries
 * first .. end in the place of all that we have from `first` on. */
static bool has_room(const struct raft *r, const struct raft_msg *m, raft_index first)
{
    const raft_index end = m->prev_index + m->count;
    const raft_index durable = raft_min(r->log.durable, first - 1);
    raft_term term = raft_log_term(&r->log, first - 1);
    uint32_t runs = 0;
    uint32_t configs = 1; /* the committed one, and those that this message leaves uncommitted */

    ASSERT(first <= end);
    for (uint32_t i = 1; i < r->config_count; i++)
        configs += r->configs[i].index < first && r->configs[i].index > m->commit;
    for (raft_index i = first; i <= end; i++) { /* at most RAFT_APPEND_ENTRIES_MAX */
        const struct raft_entry *entry = entry_at(m, i);
        runs += entry->term != term;
        term = entry->term;
        configs += entry->config != NULL && i > m->commit;
    }
    return end - durable <= r->log.window && runs <= raft_log_run_room(&r->log, first - 1) &&
           configs <= RAFT_CONFIGS_MAX;
}

static void replace_from(struct raft *r, const struct raft_msg *m, raft_index first,
                         struct raft_effects *fx)
{
    const raft_index end = m->prev_index + m->count;
    const bool by_index = planted(PLANTED_LATE_COMPLETION_VOUCHES) && first <= r->log.last;
    const raft_seq seq = by_index ? raft_log_seq(&r->log, first) : raft_step_seq(r);

    ASSERT(first > r->commit);
    if (first <= r->log.last) {
        MARK(TRUNCATED);
        MARK_IF(first <= r->log.durable, TRUNCATED_DURABLE);
        raft_log_truncate(&r->log, first);
        raft_config_truncate(r, first);
    }
    for (raft_index i = first; i <= end; i++) {
        const struct raft_entry *entry = entry_at(m, i);
        raft_log_append(&r->log, entry->term, entry->bytes, seq);
        if (entry->config == NULL)
            continue;
        raft_commit_to(r, raft_min(m->commit, i - 1)); /* keeps the stack short */
        raft_config_append(r, i, entry->config);
    }
    ASSERT(r->log.last == end);
    raft_emit_append(r, first, 0, fx);
}

void raft_on_append(struct raft *r, const struct raft_msg *m, struct raft_effects *fx)
{
    ASSERT(m->count <= RAFT_APPEND_ENTRIES_MAX);
    if (m->term < r->term) { /* rule 1; our term in the reply deposes the sender */
        MARK(APPEND_STALE);
        emit_refusal(r, m, fx);
        return;
    }
    if (denies_known(r, m)) {
        if (!raft_convict_second_leader(r, m))
            raft_convict(r, m->from, fx);
        return;
    }
    if (!raft_follow(r, m, fx)) /* refused appends refresh the timer too */
        return;

    if (m->prev_index > r->log.last ||
        (m->prev_index >= r->log.base && !planted(PLANTED_PREV_UNCHECKED) &&
         raft_log_term(&r->log, m->prev_index) != m->prev_term)) { /* rule 2 */
        MARK_IF(m->prev_index > r->log.last, APPEND_GAP);
        MARK_IF(m->prev_index <= r->log.last, APPEND_CONFLICT);
        emit_refusal(r, m, fx);
        return;
    }
    /* Rules 3 and 4: truncate only at a real conflict. A late duplicate must not cut off what we
     * have acknowledged since. */
    const raft_index end = m->prev_index + m->count;
    const raft_index first = first_unknown(r, m);
    raft_index verified = end;
    MARK_IF(first > end && end < r->log.last, APPEND_DUPLICATE);
    MARK_IF(first > m->prev_index + 1 && first <= end, APPEND_OVERLAP);
    if (first <= end && has_room(r, m, first)) {
        replace_from(r, m, first, fx);
    } else if (first <= end) {
        verified = first - 1;
    }

    r->verified = raft_max(r->verified, verified);
    /* Rule 5, with "index of last new entry" taken at its word. */
    MARK_IF(m->commit > verified && verified < r->log.last, COMMIT_CAPPED);
    const raft_index known = planted(PLANTED_COMMIT_BEYOND_VERIFIED) ? r->log.last : verified;
    raft_commit_to(r, raft_min(m->commit, known));
    emit_accept(r, m, verified, fx);
}
