#include "tests/persist/fixture.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/record.h"
#include "persist/batch.h"
#include "persist/segment.h"
#include "sim/disk_harm.h"

enum { READ_BYTES = FIXTURE_BATCH_BYTES, CONFIG_BYTES = 16 };

/* Of a state only what it has entries for: the whole table is megabytes. */
static void copy_state(struct fixture_state *to, const struct fixture_state *from)
{
    memcpy(to, from,
           offsetof(struct fixture_state, entry) +
               (size_t)(from->last + 1) * sizeof from->entry[0]);
}

struct fixture *fixture_new(uint64_t seed)
{
    struct fixture *f = calloc(1, sizeof *f);
    const struct disk_sim_options disk = {
        .seed = seed,
        .latency_ns_min = 20 * 1000,
        .latency_ns_max = 200 * 1000,
        .create_ns_min = 100 * 1000,
        .create_ns_max = 1000 * 1000,
    };

    ASSERT(f != NULL);
    prng_seed(&f->prng, hash_u64(seed, 1));
    f->disk = disk_sim_new(&disk);
    f->options = (struct wal_options){
        .cluster = FIXTURE_CLUSTER,
        .incarnation = 0x1234,
        .segment_bytes = 16 * DISK_SECTOR,
        .batch_bytes = FIXTURE_BATCH_BYTES,
        .node = FIXTURE_NODE,
        .buffer_count = 4,
        .flights = 2,
        .segments_ahead = 1,
        .spares_max = 4,
        .zeros_bytes = 2 * DISK_SECTOR,
        .zeros_batch_bytes = FIXTURE_BATCH_BYTES / 2,
        .share_percent = SHARE_PERCENT_DEFAULT,
    };
    f->records = aligned_alloc(DISK_SECTOR, FIXTURE_BATCH_BYTES);
    f->now_ns = 1;
    f->state_count = 1; /* the empty log */
    ASSERT(f->disk != NULL);
    ASSERT(f->records != NULL);
    return f;
}

/* The base moves in the second life, half way. */
static struct fixture *live(uint64_t seed, bool moves_base)
{
    struct fixture *f = fixture_new(seed);

    for (uint32_t life = 0; life < 3; life++) {
        const int opened = fixture_open(f);
        ASSERT(opened == 0);
        for (uint32_t i = 0; i < 16; i++) {
            fixture_append_random(f);
            fixture_turn(f, 100 * 1000);
        }
        if (life == 1 && moves_base)
            fixture_set_base(f, fixture_now(f)->last / 2, false);
        if (life == 2)
            fixture_idle(f);
        else
            fixture_settle(f);
        disk_sim_power_cut(f->disk);
    }
    return f;
}

struct fixture *fixture_lives(uint64_t seed)
{
    return live(seed, false);
}

struct fixture *fixture_lives_cut(uint64_t seed)
{
    return live(seed, true);
}

void fixture_assign(struct fixture *to, const struct fixture *from, uint64_t seed)
{
    const struct fixture own = {.disk = to->disk,
                                .memory = to->memory,
                                .memory_bytes = to->memory_bytes,
                                .snapshot_memory = to->snapshot_memory,
                                .records = to->records};

    memcpy(to, from, offsetof(struct fixture, state));
    to->disk = own.disk;
    to->memory = own.memory;
    to->memory_bytes = own.memory_bytes;
    to->snapshot_memory = own.snapshot_memory;
    to->records = own.records;
    to->wal = NULL;
    to->snapshots = NULL;
    prng_seed(&to->prng, seed);
    disk_sim_assign(to->disk, from->disk, seed);
    for (uint32_t i = 0; i < from->state_count; i++)
        copy_state(&to->state[i], &from->state[i]);
}

struct fixture *fixture_twin(const struct fixture *f)
{
    struct fixture *t = fixture_new(1);

    fixture_assign(t, f, 1);
    return t;
}

uint64_t fixture_hash(struct fixture *f)
{
    static char names[DISK_FILES_MAX][DISK_NAME_BYTES];
    const uint32_t count = (uint32_t)disk_list(f->disk, SEGMENT_NAME_PREFIX, names, DISK_FILES_MAX);
    uint64_t hash = 0;

    for (uint32_t i = 0; i < count; i++) {
        uint64_t length;
        const uint8_t *bytes = disk_sim_bytes(f->disk, names[i], &length);
        hash = hash_u64(hash, crc32c(crc32c(0, names[i], strlen(names[i])), bytes, length));
    }
    return hash;
}

void fixture_delete(struct fixture *f)
{
    free(f->memory);
    free(f->snapshot_memory);
    free(f->records);
    disk_sim_delete(f->disk);
    free(f);
}

const struct fixture_state *fixture_now(const struct fixture *f)
{
    return &f->state[f->state_count - 1];
}

/* All configurations of an index have this payload, so that a snapshot can bring them too. */
static void config_payload(uint8_t payload[CONFIG_BYTES], raft_index index)
{
    memset(payload, (int)(index % 251), CONFIG_BYTES);
}

/* Those above the commit index and the newest at or below it, and nothing else. */
static bool configs_match(const struct fixture_state *s, const struct wal_recovered *found)
{
    uint32_t left = found->config_count;

    for (raft_index index = s->last; index > 0; index--) {
        if (!s->entry[index].config)
            continue;
        if (left == 0 || found->config[left - 1].index != index)
            return false;
        left--;
        if (found->config[left].payload_bytes != CONFIG_BYTES ||
            crc32c(0, found->config[left].payload, CONFIG_BYTES) != s->entry[index].config_crc)
            return false;
        if (index <= s->commit)
            break;
    }
    return left == 0;
}

static bool base_matches(const struct fixture_state *s, const struct wal_base *found)
{
    if (s->base != found->index || s->snapshot != found->snapshot_index)
        return false;
    if (s->base > 0 &&
        (s->entry[s->base].chain != found->chain || s->entry[s->base].term != found->term))
        return false;
    return s->snapshot == 0 || (s->snapshot_digest == found->snapshot_digest &&
                                s->snapshot_bytes == found->snapshot_bytes);
}

static bool state_matches(const struct fixture_state *s, const struct wal_recovered *found)
{
    if (s->last != found->last || s->term != found->term || s->vote != found->vote)
        return false;
    if (s->commit != found->commit || !configs_match(s, found) || !base_matches(s, &found->base))
        return false;
    return s->last == 0 || (s->entry[s->last].chain == found->last_chain &&
                            s->entry[s->last].term == found->last_term);
}

/* Every record of the log, read back one term run at a time. */
static bool records_match(struct fixture *f, const struct fixture_state *s)
{
    const struct wal_recovered *found = &f->recovered;
    raft_index index = s->base + 1;

    for (uint32_t run = 0; run < found->run_count; run++) {
        const raft_index end = run + 1 < found->run_count ? found->run_first[run + 1] : s->last + 1;
        while (index < end) {
            struct wal_read read = {.first = index, .last = end - 1, .term = found->run_term[run]};
            read.bytes = f->records;
            read.size = READ_BYTES;
            if (wal_read_begin(f->wal, &read) != 0)
                return false;
            while (!wal_read_poll(f->wal))
                fixture_turn(f, 1000 * 1000);
            if (read.result != 0 || read.count == 0)
                return false;
            for (uint32_t at = 0; at < read.length; index++) {
                const struct record_header *record = record_at(read.bytes + at);
                if (record->index != index || record->header_crc != s->entry[index].chain)
                    return false;
                at += record_bytes(record->payload_bytes);
            }
        }
    }
    return index == s->last + 1;
}

static void take_memory(struct fixture *f)
{
    const size_t bytes = wal_bytes(&f->options);

    if (bytes > f->memory_bytes) {
        free(f->memory);
        f->memory = aligned_alloc(DISK_SECTOR, bytes);
        f->memory_bytes = bytes;
    }
    ASSERT(f->memory != NULL);
}

int fixture_try_open(struct fixture *f)
{
    f->options.boot++;
    f->seq = (raft_seq)f->options.boot << RAFT_SEQ_COUNTER_BITS;
    take_memory(f);
    const int result = wal_open(&f->wal, f->memory, f->disk, &f->options, &f->recovered);
    snprintf(f->error, sizeof f->error, "%s", f->recovered.refusal);
    f->snapshots = NULL;
    if (result == 0 && f->with_snapshots)
        fixture_snapshot_open(f);
    const bool died = disk_sim_is_dead(f->disk);
    disk_sim_fail_all_after(f->disk, 0); /* was meant for the opening, as were the others */
    disk_sim_die_at(f->disk, 0);
    disk_harm_lie_once(f->disk, 0);
    if (result != 0 || died)
        return result != 0 ? result : -EIO;

    if (f->recovered.hole_count > 0)
        return FIXTURE_HOLES;
    uint32_t match = f->state_count;
    while (match > f->durable && !state_matches(&f->state[match - 1], &f->recovered))
        match--;
    if (match == f->durable) {
        const struct fixture_state *s = &f->state[f->durable];
        snprintf(f->error, sizeof f->error,
                 "recovered base %llu last %llu term %llu vote %u commit %llu, %u configurations; "
                 "durable was "
                 "base %llu last %llu term %llu vote %u commit %llu",
                 (unsigned long long)f->recovered.base.index, (unsigned long long)f->recovered.last,
                 (unsigned long long)f->recovered.term, f->recovered.vote,
                 (unsigned long long)f->recovered.commit, f->recovered.config_count,
                 (unsigned long long)s->base, (unsigned long long)s->last,
                 (unsigned long long)s->term, s->vote, (unsigned long long)s->commit);
        return -1;
    }
    f->state_count = match;
    f->durable = match - 1; /* recovery reports what is durable */
    if (f->lost == FIXTURE_LOST_ANY)
        f->lost = fixture_now(f)->snapshot;
    else if (f->lost != fixture_now(f)->snapshot)
        f->lost = 0; /* another one took its place */
    if (f->with_snapshots && !fixture_snapshot_check(f))
        return -1;
    /* With a fault to come the reading would meet it. */
    if (!disk_sim_faulty(f->disk) && !records_match(f, fixture_now(f))) {
        snprintf(f->error, sizeof f->error, "records read back differ");
        return -1;
    }
    return 0;
}

int fixture_open(struct fixture *f)
{
    const int result = fixture_try_open(f);

    if (result == -1)
        fprintf(stderr, "%s\n", f->error);
    ASSERT(result != -1);
    return result;
}

/* Before another configuration is appended: one that is not committed may stand below it, as if two
 * leaders had been at it, and not more. */
static void commit_configs(struct fixture_state *s)
{
    uint32_t open = 0;

    for (raft_index index = s->last; index > s->commit; index--) {
        open += s->entry[index].config;
        if (open > 1)
            s->commit = index;
    }
}

/* The record of an index, behind what stands at `bytes` already; its length. */
static uint32_t read_record(struct fixture *f, raft_index index, uint8_t *bytes)
{
    struct wal_read read = {
        .first = index,
        .last = index,
        .term = fixture_now(f)->entry[index].term,
        .bytes = f->records,
        .size = READ_BYTES,
    };
    const int begun = wal_read_begin(f->wal, &read);

    ASSERT(begun == 0);
    while (!wal_read_poll(f->wal))
        fixture_turn(f, 1000 * 1000);
    ASSERT(read.result == 0);
    ASSERT(read.count == 1);
    memcpy(bytes, read.bytes, read.length);
    return read.length;
}

/* Up to three records that fit the top of the hole, as one step. */
static void fill_top(struct fixture *f, struct fixture *intact, struct wal_hole *hole)
{
    static uint8_t bytes[FIXTURE_BATCH_BYTES];
    const bool meets = fixture_now(intact)->entry[hole->below].chain == hole->below_chain;
    const raft_index end = meets && hole->next > hole->below ? hole->below : hole->floor;
    const raft_index most = hole->next - end < 3 ? hole->next - end : 3;
    struct wal_step step = {
        .kind = WAL_STEP_FILL,
        .first = hole->next + 1 - prng_between(&f->prng, 1, most),
        .last = hole->next,
        .bytes = bytes,
    };

    for (raft_index index = step.first; index <= step.last; index++)
        step.length += read_record(intact, index, bytes + step.length);
    if (step.length > wal_step_bytes_max(&f->options)) {
        step.first = step.last;
        step.length = read_record(intact, step.last, bytes);
    }
    int result = wal_append(f->wal, &step);
    while (result == -EAGAIN || result == -ENOSPC) {
        fixture_turn(f, 1000 * 1000);
        result = wal_append(f->wal, &step);
    }
    ASSERT(result == 0);
    hole->next = step.first - 1;
    hole->chain = record_at(bytes)->chain;
}

void fixture_repair(struct fixture *f, struct fixture *intact, uint32_t steps_max)
{
    const struct wal_recovered *found = &f->recovered;
    uint32_t steps = 0;

    for (uint32_t i = 0; i < found->hole_count; i++) {
        struct wal_hole hole = found->hole[i];
        for (; steps < steps_max && !wal_hole_is_closed(&hole); steps++)
            fill_top(f, intact, &hole);
    }
    while (wal_repairs_durable(f->wal) < steps)
        fixture_turn(f, 1000 * 1000);
    fixture_idle(f);
}

static raft_index config_up_to(const struct fixture_state *s, raft_index index)
{
    while (index > 0 && !s->entry[index].config)
        index--;
    return index;
}

static uint32_t encode(struct fixture *f, const struct fixture_step *step,
                       struct fixture_state *next)
{
    uint32_t length = 0;
    uint8_t payload[FIXTURE_BATCH_BYTES];

    ASSERT(step->first > next->commit);
    next->last = step->first - 1;
    if (step->config)
        commit_configs(next);
    for (uint32_t i = 0; i < step->count; i++) {
        const bool config = step->config && i == 0;
        struct record_spec spec = {
            .type = config ? RECORD_CONFIG : RECORD_COMMAND,
            .cluster = FIXTURE_CLUSTER,
            .index = step->first + i,
            .term = step->term,
            .chain = next->entry[next->last].chain,
            .payload = payload,
            .payload_bytes =
                config ? CONFIG_BYTES : (uint32_t)prng_below(&f->prng, step->payload + 1),
        };
        memset(payload, (int)prng_below(&f->prng, 256), spec.payload_bytes);
        if (config)
            config_payload(payload, spec.index);
        next->last = spec.index;
        ASSERT(next->last < FIXTURE_ENTRIES_MAX);
        next->entry[next->last].term = step->term;
        next->entry[next->last].config = config;
        next->entry[next->last].chain = record_encode(&spec, f->records + length);
        next->entry[next->last].config_crc = config ? crc32c(0, payload, CONFIG_BYTES) : 0;
        length += record_bytes(spec.payload_bytes);
    }
    return length;
}

/* The model after the base has moved. A snapshot from elsewhere brings a history of its own. */
static void move_base(const struct fixture_step *step, struct fixture_state *next)
{
    if (step->cut) {
        for (raft_index i = next->last + 1; i <= step->base; i++)
            next->entry[i].config = false;
        next->entry[step->base].term = step->base_term;
        next->entry[step->base].chain = (uint32_t)hash_u64(step->base, step->base_term);
        next->last = step->base;
    }
    next->base = step->base;
    next->snapshot = step->snapshot;
    if (next->commit < step->snapshot)
        next->commit = step->snapshot;
}

static int set_base(struct fixture *f, const struct wal_step *step,
                    const struct fixture_step *drawn, struct fixture_state *next)
{
    next->snapshot_bytes = 1000 + next->snapshot;
    next->snapshot_digest = hash_u64(next->snapshot, 77);
    const int made = f->with_snapshots ? fixture_snapshot_make(f, next->snapshot, next) : 0;
    if (made != 0)
        return made;
    uint8_t config[CONFIG_BYTES];
    const raft_index config_index = config_up_to(next, next->base);
    const struct wal_base base = {
        .index = next->base,
        .term = next->entry[next->base].term,
        .chain = next->entry[next->base].chain,
        .snapshot_index = next->snapshot,
        .snapshot_bytes = next->snapshot_bytes,
        .snapshot_digest = next->snapshot_digest,
        .config_index = config_index,
        .config = config,
        .config_bytes = config_index > 0 ? CONFIG_BYTES : 0,
    };

    config_payload(config, config_index);
    const int result = wal_set_base(f->wal, step, &base, drawn->cut);
    f->making = result == 0 ? 0 : f->making;
    return result;
}

int fixture_append(struct fixture *f, const struct fixture_step *step)
{
    ASSERT(f->state_count < FIXTURE_STATES_MAX);
    struct fixture_state *next = &f->state[f->state_count];
    copy_state(next, fixture_now(f));
    const uint32_t length = step->count > 0 ? encode(f, step, next) : 0;

    if (step->snapshot > 0)
        move_base(step, next);
    if (next->commit < step->commit)
        next->commit = step->commit;
    next->seq = f->seq + 1;
    next->term = step->term;
    next->vote = step->vote;
    const struct wal_step s = {
        .seq = next->seq,
        .term = step->term,
        .vote = step->vote,
        .vote_incarnation = step->vote != 0 ? 0x1234 : 0,
        .commit = next->commit,
        .first = step->count > 0 ? step->first : 1,
        .last = step->count > 0 ? next->last : 0,
        .bytes = f->records,
        .length = length,
    };
    const int result = step->snapshot > 0 ? set_base(f, &s, step, next) : wal_append(f->wal, &s);
    if (result != 0)
        return result;
    memset(f->records, 0xee, FIXTURE_BATCH_BYTES); /* copied: ours again */
    f->seq++;
    f->state_count++;
    return 0;
}

void fixture_append_wait(struct fixture *f, const struct fixture_step *step)
{
    int result = fixture_append(f, step);

    while (result == -EAGAIN || result == -ENOSPC) {
        fixture_turn(f, 1000 * 1000);
        result = fixture_append(f, step);
    }
    ASSERT(result == 0 || wal_failed(f->wal) != 0);
}

void fixture_extend(struct fixture *f, uint32_t count, uint32_t payload)
{
    const struct fixture_state *now = fixture_now(f);
    const struct fixture_step step = {
        .first = now->last + 1,
        .count = count,
        .payload = payload,
        .term = now->term > 0 ? now->term : 1,
        .vote = now->vote,
    };
    fixture_append_wait(f, &step);
}

void fixture_set_base(struct fixture *f, raft_index base, bool cut)
{
    const struct fixture_state *now = fixture_now(f);
    const struct fixture_step step = {
        .base = base,
        .snapshot = base,
        .cut = cut,
        .base_term = now->term,
        .term = now->term,
        .vote = now->vote,
    };

    fixture_append_wait(f, &step);
}

/* A base among what is in the log; or, for an install, mostly behind its end. */
static void draw_base(struct fixture *f, const struct fixture_mix *mix, bool installs,
                      struct fixture_step *step)
{
    const struct fixture_state *now = fixture_now(f);
    const raft_index most = mix->commits > 0 ? now->commit : now->last;

    step->count = 0;
    if (installs) {
        step->base = now->last + prng_below(&f->prng, mix->jump_max);
        step->base = step->base > now->snapshot ? step->base : now->snapshot + 1;
        step->snapshot = step->base;
        step->cut = true;
        if (prng_chance(&f->prng, 500000)) {
            step->term = now->term + 1;
            step->vote = 0;
        }
        step->base_term = step->term;
    } else if (mix->stays > 0 && prng_below(&f->prng, 16) < mix->stays) {
        step->base = now->base;
        if (most > now->snapshot)
            step->snapshot = prng_between(&f->prng, now->snapshot + 1, most);
    } else if (most > now->base) {
        step->base = prng_between(&f->prng, now->base + 1, most);
        const raft_index least = step->base > now->snapshot ? step->base : now->snapshot;
        step->snapshot = prng_between(&f->prng, least, most);
    }
}

struct fixture_step fixture_draw(struct fixture *f, const struct fixture_mix *mix)
{
    const struct fixture_state *now = fixture_now(f);
    const uint64_t kind = prng_below(&f->prng, 16);
    struct fixture_step step = {
        .first = now->last + 1,
        .count = (uint32_t)prng_between(&f->prng, 1, mix->count_max),
        .payload = (uint32_t)prng_below(&f->prng, mix->payload_max),
        .term = now->term > 0 ? now->term : 1,
        .vote = now->vote,
    };

    if (kind < mix->votes) {
        step.count = 0;
        step.term = now->term + 1;
        step.vote = (raft_node)prng_between(&f->prng, 1, 5);
    } else if (kind < mix->votes + mix->replaces) {
        step.term = now->term + 1;
        step.vote = 0;
        const raft_index tail = now->last - now->commit; /* what is committed is never replaced */
        step.first =
            now->last + 1 - prng_below(&f->prng, tail < mix->tail_max ? tail + 1 : mix->tail_max);
    } else if (kind < mix->votes + mix->replaces + mix->configs) {
        step.config = true;
    } else if (kind < mix->votes + mix->replaces + mix->configs + mix->bases + mix->installs) {
        draw_base(f, mix, kind >= mix->votes + mix->replaces + mix->configs + mix->bases, &step);
    } else if (prng_below(&f->prng, 16) < mix->commits) {
        step.commit = prng_between(&f->prng, now->commit, now->last);
    }
    return step;
}

void fixture_append_random(struct fixture *f)
{
    static const struct fixture_mix mix = {.count_max = 8,
                                           .payload_max = 1200,
                                           .votes = 1,
                                           .replaces = 1,
                                           .configs = 1,
                                           .tail_max = 6};
    const struct fixture_step step = fixture_draw(f, &mix);

    fixture_append_wait(f, &step);
}

void fixture_advance(struct fixture *f, uint64_t step_ns)
{
    const uint64_t due = disk_sim_next_ns(f->disk);

    f->now_ns += step_ns;
    if (due < f->now_ns)
        f->now_ns = due;
    disk_sim_advance(f->disk, f->now_ns);
}

void fixture_poll(struct fixture *f)
{
    (void)wal_poll(f->wal, f->now_ns);
    if (f->snapshots != NULL)
        (void)snapshots_poll(f->snapshots, f->now_ns);
    const raft_seq durable = wal_durable(f->wal);
    while (f->durable + 1 < f->state_count && f->state[f->durable + 1].seq <= durable)
        f->durable++;
}

void fixture_turn(struct fixture *f, uint64_t step_ns)
{
    fixture_advance(f, step_ns);
    fixture_poll(f);
}

void fixture_settle(struct fixture *f)
{
    while (wal_failed(f->wal) == 0 && (f->durable + 1 < f->state_count || !wal_has_room(f->wal)))
        fixture_turn(f, 100 * 1000);
}

void fixture_idle(struct fixture *f)
{
    fixture_settle(f);
    for (uint32_t i = 0; i < 100; i++)
        fixture_turn(f, 100 * 1000);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

void fixture_segment_name(struct fixture *f, uint32_t back, char name[DISK_NAME_BYTES])
{
    static char names[DISK_FILES_MAX][DISK_NAME_BYTES];
    const uint32_t count = (uint32_t)disk_list(f->disk, SEGMENT_NAME_PREFIX, names, DISK_FILES_MAX);

    ASSERT(count > back);
    qsort(names, count, DISK_NAME_BYTES, by_name);
    memcpy(name, names[count - 1 - back], DISK_NAME_BYTES);
}

uint8_t *fixture_batch(struct fixture *f, raft_index last)
{
    struct batch_header h;
    char name[DISK_NAME_BYTES];
    uint64_t length;
    uint64_t at = SEGMENT_DATA_OFFSET;

    segment_name(name, 1);
    uint8_t *const bytes = disk_sim_bytes(f->disk, name, &length);
    ASSERT(bytes != NULL);
    for (memcpy(&h, bytes + at, sizeof h); h.last_index != last; memcpy(&h, bytes + at, sizeof h)) {
        ASSERT(h.magic == BATCH_MAGIC);
        at += batch_bytes(h.record_bytes);
        ASSERT(at < length);
    }
    return bytes + at;
}
