#include "raftcore/log.h"

#include "base/assert.h"

#include <stddef.h>
#include <string.h>

static struct raft_log_slot *slot_of(const struct raft_log *log, raft_index index)
{
    ASSERT(index >= log->sized_first);
    ASSERT(index <= log->last);
    return &log->slot[index & (log->window - 1)];
}

void raft_log_recover(struct raft_log *log, const struct raft_recovered *recovered)
{
    ASSERT(recovered->run_count <= RAFT_TERM_RUNS_MAX);
    ASSERT(recovered->base <= recovered->last);
    ASSERT(recovered->last <= RAFT_WORD_MAX);
    ASSERT((log->window & (log->window - 1)) == 0);
    ASSERT(log->window > 0);

    log->base = recovered->base;
    log->base_term = recovered->base_term;
    log->base_seq = 0;
    log->last = recovered->last;
    log->durable = recovered->last;
    log->sized_first = recovered->last + 1;
    log->run_count = recovered->run_count;
    if (recovered->run_count > 0)
        memcpy(log->run, recovered->runs, recovered->run_count * sizeof *log->run);
    ASSERT(raft_log_is_sound(log));
}

/* The run that holds `index`, which lies above the base. */
static uint32_t run_of(const struct raft_log *log, raft_index index)
{
    ASSERT(index > log->base);
    ASSERT(index <= log->last);

    if (index >= log->run[log->run_count - 1].first)
        return log->run_count - 1;
    uint32_t low = 0; /* run[low].first <= index < run[high].first; halves each time */
    uint32_t high = log->run_count - 1;
    while (high - low > 1) {
        const uint32_t middle = low + (high - low) / 2;
        if (log->run[middle].first <= index)
            low = middle;
        else
            high = middle;
    }
    ASSERT(log->run[low].first <= index);
    return low;
}

raft_term raft_log_term(const struct raft_log *log, raft_index index)
{
    ASSERT(log->base <= log->last);
    if (index > log->last || index < log->base)
        return 0;
    if (index == log->base)
        return log->base_term;
    return log->run[run_of(log, index)].term;
}

raft_index raft_log_run_first(const struct raft_log *log, raft_index index)
{
    const raft_index first = log->run[run_of(log, index)].first;

    ASSERT(first <= index);
    return first;
}

static raft_index run_end(const struct raft_log *log, uint32_t run)
{
    ASSERT(run < log->run_count);
    return run + 1 < log->run_count ? log->run[run + 1].first - 1 : log->last;
}

raft_index raft_log_run_last(const struct raft_log *log, raft_index index)
{
    const raft_index last = run_end(log, run_of(log, index));

    ASSERT(last >= index);
    return last;
}

raft_index raft_log_back_up(const struct raft_log *log, raft_index index, raft_term term)
{
    ASSERT(index <= log->last);
    if (index <= log->base || log->run[0].term > term)
        return log->base;
    uint32_t low = 0; /* run[low].term <= term; run[high].term > term or lies behind `index` */
    uint32_t high = run_of(log, index) + 1;
    while (high - low > 1) {
        const uint32_t middle = low + (high - low) / 2;
        if (log->run[middle].term <= term)
            low = middle;
        else
            high = middle;
    }
    const raft_index end = run_end(log, low);
    const raft_index found = end < index ? end : index;
    ASSERT(raft_log_term(log, found) <= term);
    return found;
}

uint32_t raft_log_room(const struct raft_log *log)
{
    ASSERT(log->last - log->durable <= log->window);
    return log->window - (uint32_t)(log->last - log->durable);
}

uint32_t raft_log_run_room(const struct raft_log *log, raft_index after)
{
    ASSERT(after >= log->base);
    ASSERT(after <= log->last);
    const uint32_t kept = after == log->base ? 0 : run_of(log, after) + 1;
    return RAFT_TERM_RUNS_MAX - kept;
}

void raft_log_truncate(struct raft_log *log, raft_index first)
{
    ASSERT(first > log->base);
    ASSERT(first <= log->last);

    while (log->run_count > 0 && log->run[log->run_count - 1].first >= first)
        log->run_count--;
    log->last = first - 1;
    if (log->durable > log->last)
        log->durable = log->last;
    /* Slots of the entries cut off had displaced older ones, so the window does not grow back. */
    if (log->sized_first > first)
        log->sized_first = first;
    ASSERT_SLOW(raft_log_is_sound(log));
}

void raft_log_append(struct raft_log *log, raft_term term, uint32_t bytes, raft_seq seq)
{
    ASSERT(log->last - log->durable < log->window);
    ASSERT(term >= raft_log_term(log, log->last));

    log->last++;
    if (log->run_count == 0 || log->run[log->run_count - 1].term != term) {
        ASSERT(log->run_count < RAFT_TERM_RUNS_MAX);
        log->run[log->run_count++] = (struct raft_run){.first = log->last, .term = term};
    }
    if (log->last - log->sized_first >= log->window)
        log->sized_first = log->last - log->window + 1;
    *slot_of(log, log->last) = (struct raft_log_slot){.seq = seq, .bytes = bytes};
}

void raft_log_compact(struct raft_log *log, raft_index index)
{
    ASSERT(index <= log->durable);
    if (index <= log->base)
        return;
    const uint32_t run = run_of(log, index);
    const uint32_t gone = index == run_end(log, run) ? run + 1 : run;

    log->base_term = log->run[run].term;
    log->base = index;
    log->run_count -= gone;
    memmove(log->run, log->run + gone, log->run_count * sizeof *log->run);
    if (log->run_count > 0)
        log->run[0].first = index + 1;
    if (log->sized_first <= index)
        log->sized_first = index + 1;
    ASSERT_SLOW(raft_log_is_sound(log));
}

bool raft_log_install(struct raft_log *log, raft_index index, raft_term term, raft_seq seq)
{
    ASSERT(index > log->base);
    ASSERT(term > 0);
    const bool kept = raft_log_term(log, index) == term;

    if (kept) {
        if (log->durable < index)
            log->durable = index;
        raft_log_compact(log, index);
    } else {
        log->base = index;
        log->base_term = term;
        log->last = index;
        log->durable = index;
        log->sized_first = index + 1;
        log->run_count = 0;
    }
    log->base_seq = seq;
    ASSERT_SLOW(raft_log_is_sound(log));
    return kept;
}

uint32_t raft_log_entry_bytes(const struct raft_log *log, raft_index index)
{
    const uint32_t bytes = slot_of(log, index)->bytes;

    ASSERT(bytes > 0);
    return bytes;
}

raft_seq raft_log_seq(const struct raft_log *log, raft_index index)
{
    ASSERT(index <= log->last);
    return index <= log->durable ? log->base_seq : slot_of(log, index)->seq;
}

void raft_log_flushed(struct raft_log *log, raft_seq seq)
{
    raft_index low = log->durable; /* flushed; everything above `high` is not */
    raft_index high = log->last;

    if (log->base_seq <= seq)
        log->base_seq = 0;
    if (low < high && slot_of(log, high)->seq <= seq)
        low = high; /* the usual case: persist has caught up */
    while (low < high) {
        const raft_index middle = low + (high - low + 1) / 2;
        if (slot_of(log, middle)->seq <= seq)
            low = middle;
        else
            high = middle - 1;
    }
    ASSERT(low >= log->durable);
    ASSERT(low == log->last || slot_of(log, low + 1)->seq > seq);
    log->durable = low;
}

bool raft_log_is_sound(const struct raft_log *log)
{
    if (log->base > log->durable || log->durable > log->last)
        return false;
    if (log->last - log->durable > log->window || log->run_count > RAFT_TERM_RUNS_MAX)
        return false;
    if ((log->run_count == 0) != (log->last == log->base))
        return false;
    for (uint32_t i = 0; i < log->run_count; i++) {
        const raft_index before = i == 0 ? log->base : log->run[i - 1].first;
        const raft_term term_before = i == 0 ? 0 : log->run[i - 1].term;
        if (log->run[i].first <= before || log->run[i].first > log->last)
            return false;
        if (log->run[i].term <= term_before || log->run[i].term < log->base_term)
            return false;
    }
    return log->run_count == 0 || log->run[0].first == log->base + 1;
}
