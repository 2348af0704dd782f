/* Goal:   a snapshot is read back as it was written or not at all: the rows of docs/recovery.md about
 *         the file that the manifest names, damage to any of its sectors, repair, and what happens to
 *         one that does not come to its end. Crashes are tests/crash's.
 * Method: snapshots of the fixture's log on the simulated disk, whose content follows from their
 *         index; files are damaged, cut and exchanged by hand between two starts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "persist/snapshot_inspect.h"
#include "tests/persist/fixture.h"

enum { OLDER = 4, INDEX = 9, ENTRIES = 12, NAMES_MAX = 16, TURN_NS = 50 * 1000 };

static void take_snapshot(struct fixture *f, raft_index index)
{
    fixture_set_base(f, index, false);
    fixture_idle(f);
    assert_int_equal(snapshot_current(f->snapshots)->index, index);
}

/* A log on a snapshot; the one before it was there too. */
static struct fixture *fixture_with_snapshot(uint64_t seed)
{
    struct fixture *f = fixture_new(seed);

    f->with_snapshots = true;
    assert_int_equal(fixture_open(f), 0);
    for (uint32_t i = 0; i < ENTRIES; i++)
        fixture_extend(f, 1, 300);
    take_snapshot(f, OLDER);
    take_snapshot(f, INDEX);
    return f;
}

static uint8_t *file_of(struct fixture *f, raft_index index, uint64_t *length)
{
    char name[DISK_NAME_BYTES];

    snapshot_name(name, index);
    return disk_sim_bytes(f->disk, name, length);
}

static int64_t count_files(struct fixture *f)
{
    char names[NAMES_MAX][DISK_NAME_BYTES];

    return disk_list(f->disk, SNAPSHOT_NAME_PREFIX, names, NAMES_MAX);
}

/* The next start; what is found of the snapshot is in f->snapshots_found, whatever it is. */
static int start(struct fixture *f)
{
    disk_sim_power_cut(f->disk);
    const int opened = fixture_try_open(f);
    assert_true(opened == 0 || opened == -1); /* -1: the snapshot is not as it should be */
    return f->snapshots_result;
}

static enum snapshot_condition condition_after_start(struct fixture *f)
{
    assert_int_equal(start(f), 0);
    return f->snapshots_found.condition;
}

static void log_stands_on_its_snapshot(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct fixture *f = fixture_with_snapshot(seed);
        f->options.sync_by_fsync = seed % 2 == 1;
        uint64_t length;
        assert_int_equal(count_files(f), 1);
        assert_null(file_of(f, OLDER, &length));
        for (uint32_t life = 0; life < 3; life++) {
            assert_int_equal(condition_after_start(f), SNAPSHOT_WHOLE);
            assert_int_equal(f->snapshots_found.lost_copies, 0);
            assert_int_equal(fixture_snapshot_read(f), 0);
        }
        assert_int_equal(snapshot_counters(f->snapshots)->chunks_damaged, 1); /* on purpose */
        fixture_delete(f);
    }
}

/* Another node, whose log has only seen the snapshot's last entry at a peer. */
static void files_of_all_nodes_are_the_same(void **state)
{
    (void)state;
    struct fixture *a = fixture_with_snapshot(3);
    struct fixture *b = fixture_new(4);
    struct fixture_state *known = &b->state[1];
    uint64_t length, other_length;

    b->with_snapshots = true;
    b->options.node = FIXTURE_NODE + 1;
    b->options.incarnation = 0x9999;
    b->options.boot = 7;
    assert_int_equal(fixture_open(b), 0);
    known->entry[INDEX].term = fixture_now(a)->entry[INDEX].term;
    known->entry[INDEX].chain = fixture_now(a)->entry[INDEX].chain;
    while (fixture_snapshot_make(b, INDEX, known) != 0)
        fixture_turn(b, 3 * TURN_NS);
    const uint8_t *ours = file_of(a, INDEX, &length);
    const uint8_t *theirs = file_of(b, INDEX, &other_length);
    assert_int_equal(length, other_length);
    assert_memory_equal(ours, theirs, length);
    fixture_delete(a);
    fixture_delete(b);
}

enum harm { HARM_FLIP, HARM_ZERO, HARM_SWAP, HARM_OLDER, HARM_KINDS };

static void damage(uint8_t *bytes, uint64_t at, enum harm harm, const uint8_t *older)
{
    uint8_t *const sector = bytes + at;
    /* No other sector is like that of the first chunk. */
    uint8_t *const other = at == SNAPSHOT_DATA_OFFSET ? bytes : bytes + SNAPSHOT_DATA_OFFSET;
    uint8_t keep[DISK_SECTOR];

    if (harm == HARM_FLIP) {
        sector[hash_u64(at, 1) % DISK_SECTOR] ^= (uint8_t)(1u << at / DISK_SECTOR % 8);
    } else if (harm == HARM_ZERO) {
        memset(sector, 0, DISK_SECTOR);
    } else if (harm == HARM_SWAP) {
        memcpy(keep, sector, DISK_SECTOR);
        memcpy(sector, other, DISK_SECTOR);
        memcpy(other, keep, DISK_SECTOR);
    } else {
        memcpy(sector, older, DISK_SECTOR);
    }
}

/* True: somebody is told that something is not as it should be. Nothing wrong may be served. */
static bool is_noticed(struct fixture *f)
{
    const bool at_start = condition_after_start(f) != SNAPSHOT_WHOLE;
    const int read = fixture_snapshot_read(f);

    assert_int_not_equal(read, -EILSEQ);
    assert_true(!at_start || read == -EBADMSG);
    return at_start || read == -EBADMSG || f->snapshots_found.lost_copies > 0;
}

static void every_damaged_sector_is_noticed(void **state)
{
    (void)state;
    uint32_t tried = 0;

    for (uint64_t seed = 0; seed < 3; seed++) {
        struct fixture *f = fixture_with_snapshot(seed);
        struct fixture *before = fixture_new(seed);
        before->with_snapshots = true;
        assert_int_equal(fixture_open(before), 0);
        for (uint32_t i = 0; i < ENTRIES; i++)
            fixture_extend(before, 1, 300);
        take_snapshot(before, OLDER);
        uint64_t length, older_length;
        (void)file_of(f, INDEX, &length);
        const uint8_t *older = file_of(before, OLDER, &older_length);
        for (uint64_t at = 0; at < length * HARM_KINDS; at += DISK_SECTOR, tried++) {
            struct fixture *t = fixture_twin(f);
            const uint64_t sector = at % length;
            damage(file_of(t, INDEX, &length), sector, (enum harm)(at / length),
                   older + sector % older_length);
            if (!is_noticed(t))
                fail_msg("seed %u, harm %u, sector %u", (unsigned)seed, (unsigned)(at / length),
                         (unsigned)(sector / DISK_SECTOR));
            fixture_delete(t);
        }
        fixture_delete(before);
        fixture_delete(f);
    }
    print_message("%u damaged sectors\n", tried);
    assert_true(tried > 100);
}

/* skiff inspect says where. */
static void inspect_names_the_place(void **state)
{
    (void)state;
    struct fixture *f = fixture_with_snapshot(2);
    void *memory = aligned_alloc(DISK_SECTOR, snapshot_inspect_bytes());
    char name[DISK_NAME_BYTES];
    uint64_t length;

    snapshot_name(name, INDEX);
    assert_non_null(file_of(f, INDEX, &length));
    for (uint64_t at = 0; at <= length; at += DISK_SECTOR) {
        struct fixture *t = fixture_twin(f);
        disk_sim_power_cut(t->disk);
        if (at < length)
            damage(file_of(t, INDEX, &length), at, HARM_FLIP, NULL);
        struct snapshot_inspect *i;
        assert_int_equal(snapshot_inspect_open(&i, memory, t->disk, name), 0);
        while (snapshot_inspect_poll(i))
            continue;
        const struct snapshot_report *r = snapshot_inspect_report(i);
        assert_int_equal(snapshot_is_sound(r), at == length);
        assert_int_equal(r->fault_count, at == length ? 0 : 1);
        assert_true(r->digest_fits);
        if (at < length)
            assert_in_range(at, r->fault[0].offset, r->fault[0].offset + r->fault[0].span - 1);
        fixture_delete(t);
    }
    free(memory);
    fixture_delete(f);
}

static void forge_header(struct fixture *f, void (*change)(struct snapshot_header *))
{
    struct snapshot_header h;
    uint64_t length;
    uint8_t *const bytes = file_of(f, INDEX, &length);

    memcpy(&h, bytes, sizeof h);
    change(&h);
    snapshot_seal(&h);
    for (uint32_t copy = 0; copy < SNAPSHOT_COPIES; copy++)
        snapshot_encode(bytes + (size_t)copy * DISK_SECTOR, &h);
}

static void other_cluster(struct snapshot_header *h)
{
    h->cluster++;
}

static void other_term(struct snapshot_header *h)
{
    h->digest++;
}

static void longer(struct snapshot_header *h)
{
    h->bytes += DISK_SECTOR;
}

static void header_of_another_file(void **state)
{
    (void)state;
    static const struct {
        void (*change)(struct snapshot_header *);
        int result;
        enum snapshot_condition condition;
        const char *says;
    } cases[] = {
        {other_cluster, -EXDEV, 0, "belongs to cluster 78"},
        {other_term, 0, SNAPSHOT_DAMAGED, "is not the snapshot that the log names"},
        {longer, 0, SNAPSHOT_DAMAGED, "is not the snapshot that the log names"},
    };
    struct fixture *f = fixture_with_snapshot(5);

    for (uint32_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture *t = fixture_twin(f);
        forge_header(t, cases[i].change);
        assert_int_equal(start(t), cases[i].result);
        if (cases[i].result == 0)
            assert_int_equal(t->snapshots_found.condition, cases[i].condition);
        if (strstr(t->snapshots_found.sentence, cases[i].says) == NULL)
            fail_msg("%u: %s", i, t->snapshots_found.sentence);
        fixture_delete(t);
    }
    fixture_delete(f);
}

/* One copy is enough to say so. */
static void other_version_is_refused_by_its_number(void **state)
{
    (void)state;
    struct fixture *f = fixture_with_snapshot(5);
    uint64_t length;
    uint8_t *const bytes = file_of(f, INDEX, &length);
    struct snapshot_header h;

    memcpy(&h, bytes, sizeof h);
    h.version = 9;
    h.header_crc = crc32c(0, &h, offsetof(struct snapshot_header, header_crc));
    memcpy(bytes + DISK_SECTOR, &h, sizeof h);
    memset(bytes, 0, DISK_SECTOR);
    assert_int_equal(start(f), -EPROTO);
    assert_non_null(strstr(f->snapshots_found.sentence, "format version 9, this is version 1"));
    fixture_delete(f);
}

/* By a hand that renames and cuts as an operator could. */
static void missing_or_cut_file_is_told(void **state)
{
    (void)state;
    struct fixture *f = fixture_with_snapshot(6);
    struct disk_op op = {.kind = DISK_OP_RENAME, .length = 3 * DISK_SECTOR};
    struct disk_op gone = {.kind = DISK_OP_REMOVE, .slot = 1};
    uint64_t length;

    assert_non_null(file_of(f, INDEX, &length));
    assert_true(length > 3 * DISK_SECTOR);
    snapshot_name(op.name, INDEX);
    snapshot_name(op.from, INDEX);
    snapshot_name(gone.name, INDEX);
    disk_sim_power_cut(f->disk);
    assert_int_equal(disk_submit(f->disk, &op), 0);
    assert_int_equal(disk_wait(f->disk).result, 0);
    assert_int_equal(condition_after_start(f), SNAPSHOT_DAMAGED);
    assert_non_null(strstr(f->snapshots_found.sentence, "bytes, its header says"));
    assert_null(snapshot_current(f->snapshots));

    disk_sim_power_cut(f->disk);
    assert_int_equal(disk_submit(f->disk, &gone), 0);
    assert_int_equal(disk_wait(f->disk).result, 0);
    assert_int_equal(condition_after_start(f), SNAPSHOT_MISSING);
    assert_int_equal(fixture_snapshot_read(f), -EBADMSG);
    fixture_delete(f);
}

static void leftovers_are_removed(void **state)
{
    (void)state;
    static const char *const names[] = {"snap-0000000000000003", "snap-00000000000000ff",
                                        "snap-of-mine"};
    struct fixture *f = fixture_with_snapshot(7);

    disk_sim_power_cut(f->disk);
    for (uint32_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct disk_op op = {.kind = DISK_OP_CREATE, .slot = 1, .length = DISK_SECTOR};
        strncpy(op.name, names[i], DISK_NAME_BYTES - 1);
        assert_int_equal(disk_submit(f->disk, &op), 0);
        assert_int_equal(disk_wait(f->disk).result, DISK_SECTOR);
    }
    assert_int_equal(condition_after_start(f), SNAPSHOT_WHOLE);
    assert_int_equal(f->snapshots_found.removed, 2);
    assert_int_equal(count_files(f), 2); /* a name that we do not give is nobody's business */
    fixture_delete(f);
}

static struct snapshot_start start_again(const struct fixture *f)
{
    static const uint8_t config[16] = {1, 2, 3}; /* as the fixture has it */
    const struct fixture_state *now = fixture_now(f);

    return (struct snapshot_start){
        .index = INDEX,
        .term = now->entry[INDEX].term,
        .chain = now->entry[INDEX].chain,
        .config_index = INDEX / 2,
        .config = config,
        .config_bytes = sizeof config,
        .room = now->snapshot_bytes,
        .digest_known = true,
        .digest = now->snapshot_digest,
    };
}

/* Content in chunks, to the end, which has its digest: a false table is not believed, and each chunk is offered with
 * a wrong byte first. */
static void hand_over_all(struct fixture *f)
{
    uint8_t content[FIXTURE_SNAPSHOT_BYTES];
    const uint32_t total = fixture_snapshot_content(INDEX, content);

    content[total - 1] ^= 1;
    assert_int_equal(fixture_snapshot_expect(f, content, total), -EINVAL);
    content[total - 1] ^= 1;
    assert_int_equal(fixture_snapshot_expect(f, content, total), 0);
    for (uint32_t at = 0; at < total;) {
        const uint32_t rest = total - at;
        const uint32_t length = rest < FIXTURE_CHUNK_BYTES ? rest : FIXTURE_CHUNK_BYTES;
        content[at + length / 2] ^= 0x10;
        const int wrong = snapshot_append(f->snapshots, content + at, length);
        assert_true(wrong == -EINVAL || wrong == -EAGAIN);
        content[at + length / 2] ^= 0x10;
        const int taken = snapshot_append(f->snapshots, content + at, length);
        assert_true(taken == 0 || taken == -EAGAIN);
        at += taken == 0 ? length : 0;
        fixture_turn(f, TURN_NS);
    }
    assert_int_equal(snapshot_end(f->snapshots), 0);
    while (snapshot_stage(f->snapshots) != SNAPSHOT_IDLE)
        fixture_turn(f, TURN_NS);
}

static void pass_retry(struct fixture *f)
{
    const uint64_t due = f->now_ns + SNAPSHOT_RETRY_NS;

    while (f->now_ns < due)
        fixture_turn(f, 10 * 1000 * 1000);
}

static void lost_file_is_written_anew(void **state)
{
    (void)state;
    struct fixture *f = fixture_with_snapshot(8);
    uint64_t length;
    uint8_t *const bytes = file_of(f, INDEX, &length);

    memset(bytes, 0xee, 2 * DISK_SECTOR);
    assert_int_equal(condition_after_start(f), SNAPSHOT_DAMAGED);
    const struct snapshot_start again = start_again(f);
    assert_int_equal(snapshot_begin(f->snapshots, &again), 0);
    hand_over_all(f);
    assert_true(snapshot_counters(f->snapshots)->chunks_refused > 1);
    assert_int_equal(snapshot_condition(f->snapshots), SNAPSHOT_WHOLE);
    assert_int_equal(fixture_snapshot_read(f), 0);
    assert_int_equal(condition_after_start(f), SNAPSHOT_WHOLE);
    fixture_delete(f);
}

/* A snapshot of the whole log with so many full chunks; the log stands on it. */
static void take_large(struct fixture *f, uint32_t chunks)
{
    static const uint8_t content[FIXTURE_CHUNK_BYTES] = {1};
    const struct fixture_state *now = fixture_now(f);
    const raft_index index = now->last;
    const struct snapshot_start start = {
        .index = index,
        .term = now->term,
        .chain = now->entry[index].chain,
        .room = (uint64_t)chunks * FIXTURE_CHUNK_BYTES,
    };

    assert_int_equal(snapshot_begin(f->snapshots, &start), 0);
    for (uint32_t taken = 0; taken < chunks; fixture_turn(f, TURN_NS))
        taken += snapshot_append(f->snapshots, content, sizeof content) == 0;
    assert_int_equal(snapshot_end(f->snapshots), 0);
    while (snapshot_ready(f->snapshots) == NULL)
        fixture_turn(f, TURN_NS);
    const struct snapshot_header *h = snapshot_ready(f->snapshots);
    const struct wal_base base = {
        .index = index,
        .term = now->term,
        .chain = now->entry[index].chain,
        .snapshot_index = index,
        .snapshot_bytes = h->bytes,
        .snapshot_digest = h->digest,
    };
    const struct wal_step step = {
        .seq = ++f->seq, .term = now->term, .vote = now->vote, .first = 1, .commit = index};
    assert_int_equal(wal_set_base(f->wal, &step, &base, false), 0);
    while (snapshot_current(f->snapshots) == NULL)
        fixture_turn(f, TURN_NS);
}

/* Its checksums have no place in the memory that is lent for fewer, larger chunks. */
static void smaller_chunks_than_configured(void **state)
{
    (void)state;
    const uint32_t chunks = 3 * SNAPSHOT_ROW_CHUNKS;
    struct snapshots_options options = {
        .bytes_max = (uint64_t)chunks * FIXTURE_CHUNK_BYTES,
        .chunk_bytes = FIXTURE_CHUNK_BYTES,
        .write_bytes = 16 * FIXTURE_CHUNK_BYTES,
    };
    struct snapshots_found found;
    struct fixture *f = fixture_new(16);

    assert_int_equal(fixture_open(f), 0);
    fixture_extend(f, 3, 300);
    fixture_settle(f);
    void *memory = aligned_alloc(DISK_SECTOR, snapshots_bytes(&options));
    assert_int_equal(snapshots_open(&f->snapshots, memory, f->wal, &options, &found), 0);
    take_large(f, chunks);
    free(memory);
    disk_sim_power_cut(f->disk);
    assert_int_equal(fixture_try_open(f), -1); /* the model does not know of this base */
    options.chunk_bytes = options.write_bytes;
    memory = aligned_alloc(DISK_SECTOR, snapshots_bytes(&options));
    assert_int_equal(snapshots_open(&f->snapshots, memory, f->wal, &options, &found), -EFBIG);
    assert_non_null(strstr(found.sentence, "in chunks of 4096: more than is now configured"));
    free(memory);
    f->snapshots = NULL;
    fixture_delete(f);
}

static int mend(struct fixture *f, uint32_t chunk, const uint8_t *content, uint32_t length)
{
    const int taken = snapshot_repair(f->snapshots, chunk, content, length);

    while (taken == 0 && snapshot_repair_result(f->snapshots) == 1)
        fixture_turn(f, TURN_NS);
    return taken != 0 ? taken : snapshot_repair_result(f->snapshots);
}

static void damaged_chunk_is_put_right(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 4; seed++) {
        struct fixture *f = fixture_with_snapshot(seed);
        f->options.sync_by_fsync = seed % 2 == 1;
        uint8_t content[FIXTURE_SNAPSHOT_BYTES];
        const uint32_t total = fixture_snapshot_content(INDEX, content);
        uint64_t length;
        assert_true(total > FIXTURE_CHUNK_BYTES);
        memset(file_of(f, INDEX, &length) + SNAPSHOT_DATA_OFFSET, 0xee, 700);
        assert_int_equal(condition_after_start(f), SNAPSHOT_WHOLE);
        uint8_t served[FIXTURE_CHUNK_BYTES];
        struct snapshot_read read = {.index = INDEX, .content = served};
        assert_int_equal(snapshot_read_begin(f->snapshots, &read), 0);
        assert_int_equal(snapshot_read_begin(f->snapshots, &read), -EAGAIN);
        while (!snapshot_read_poll(f->snapshots, &read))
            fixture_turn(f, TURN_NS);
        assert_int_equal(read.result, -EBADMSG);
        assert_int_equal(read.offset, SNAPSHOT_DATA_OFFSET);
        assert_int_equal(read.span, FIXTURE_CHUNK_BYTES);
        assert_int_equal(mend(f, 0, content + 1, FIXTURE_CHUNK_BYTES), -EINVAL);
        assert_int_equal(mend(f, 0, content, FIXTURE_CHUNK_BYTES - 1), -EINVAL);
        assert_int_equal(mend(f, 99, content, FIXTURE_CHUNK_BYTES), -ENOENT);
        assert_int_equal(fixture_snapshot_read(f), -EBADMSG);
        assert_int_equal(mend(f, 0, content, FIXTURE_CHUNK_BYTES), 0);
        assert_int_equal(fixture_snapshot_read(f), 0);
        assert_int_equal(snapshot_counters(f->snapshots)->chunks_repaired, 1);
        assert_int_equal(condition_after_start(f), SNAPSHOT_WHOLE);
        assert_int_equal(fixture_snapshot_read(f), 0);
        fixture_delete(f);
    }
}

static void full_disk_drops_it_and_one_comes_later(void **state)
{
    (void)state;
    static const struct disk_sim_fault faults[] = {
        {.kind = DISK_OP_CREATE, .nth = 1, .result = -ENOSPC, .prefix = SNAPSHOT_NAME_PREFIX},
        {.kind = DISK_OP_WRITE, .nth = 2, .result = -ENOSPC, .prefix = SNAPSHOT_NAME_PREFIX},
        {.kind = DISK_OP_SYNC, .nth = 1, .result = -ENOSPC, .prefix = SNAPSHOT_NAME_PREFIX},
        {.kind = DISK_OP_RENAME, .nth = 1, .result = -EDQUOT, .prefix = SNAPSHOT_NAME_PREFIX},
    };

    for (uint32_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        struct fixture *f = fixture_with_snapshot(9);
        struct fixture_state *next = &f->state[f->state_count];
        *next = *fixture_now(f);
        disk_sim_fail(f->disk, &faults[i]);
        int made = -EAGAIN;
        while (made == -EAGAIN) {
            made = fixture_snapshot_make(f, INDEX + 1, next);
            fixture_turn(f, TURN_NS);
        }
        assert_int_equal(made, -ECANCELED);
        assert_int_equal(snapshot_failure(f->snapshots), faults[i].result);
        assert_int_equal(wal_failed(f->wal), 0);
        assert_int_equal(count_files(f), 1);
        assert_int_equal(fixture_snapshot_read(f), 0);
        pass_retry(f);
        take_snapshot(f, INDEX + 1);
        assert_int_equal(condition_after_start(f), SNAPSHOT_WHOLE);
        fixture_delete(f);
    }
}

/* Given up at any moment; nothing of it stays, and the current one is as it was. */
static void abandoned_one_leaves_nothing(void **state)
{
    (void)state;
    for (uint32_t turns = 0; turns < 60; turns++) {
        struct fixture *f = fixture_with_snapshot(10);
        struct fixture_state *next = &f->state[f->state_count];
        *next = *fixture_now(f);
        for (uint32_t i = 0; i < turns; i++) {
            (void)fixture_snapshot_make(f, INDEX + 2, next);
            fixture_turn(f, TURN_NS);
        }
        snapshot_abandon(f->snapshots);
        while (snapshot_stage(f->snapshots) != SNAPSHOT_IDLE)
            fixture_turn(f, TURN_NS);
        assert_int_equal(count_files(f), 1);
        assert_int_equal(fixture_snapshot_read(f), 0);
        take_snapshot(f, INDEX + 2); /* at once: nothing has failed */
        fixture_delete(f);
    }
}

/* A write, a flush, a file or a name that fails for another reason than room: the log lies on that disk. */
static void broken_disk_stops_the_log(void **state)
{
    (void)state;
    static const enum disk_op_kind kinds[] = {DISK_OP_CREATE, DISK_OP_WRITE, DISK_OP_SYNC,
                                              DISK_OP_RENAME};
    static const int64_t results[] = {-EIO, -ECANCELED, DISK_SIM_SHORT};

    for (uint32_t i = 0; i < 12; i++) {
        struct fixture *f = fixture_with_snapshot(12);
        struct fixture_state *next = &f->state[f->state_count];
        *next = *fixture_now(f);
        disk_sim_fail(f->disk, &(struct disk_sim_fault){.kind = kinds[i / 3],
                                                        .nth = 1,
                                                        .result = results[i % 3],
                                                        .prefix = SNAPSHOT_NAME_PREFIX});
        int made = -EAGAIN;
        while (made == -EAGAIN) {
            made = fixture_snapshot_make(f, INDEX + 1, next);
            fixture_turn(f, TURN_NS);
        }
        assert_int_equal(made, -EIO);
        assert_int_not_equal(wal_failed(f->wal), 0);
        assert_int_equal(snapshots_poll(f->snapshots, f->now_ns), 0);
        assert_int_equal(condition_after_start(f), SNAPSHOT_WHOLE);
        assert_int_equal(count_files(f), 1);
        fixture_delete(f);
    }
}

/* More than the room is not taken; more than the options allow is not begun. */
static void room_is_kept(void **state)
{
    (void)state;
    struct fixture *f = fixture_with_snapshot(11);
    struct snapshot_start big = start_again(f);
    uint8_t chunk[FIXTURE_CHUNK_BYTES] = {0};

    big.index = INDEX + 1;
    big.digest_known = false;
    big.room = FIXTURE_SNAPSHOT_BYTES + 1;
    assert_int_equal(snapshot_begin(f->snapshots, &big), -EFBIG);
    big.room = FIXTURE_CHUNK_BYTES + 1;
    assert_int_equal(snapshot_begin(f->snapshots, &big), 0);
    assert_int_equal(snapshot_begin(f->snapshots, &big), -EAGAIN);
    assert_int_equal(snapshot_append(f->snapshots, chunk, FIXTURE_CHUNK_BYTES), 0);
    assert_int_equal(snapshot_append(f->snapshots, chunk, 2), -EFBIG);
    assert_int_equal(snapshot_append(f->snapshots, chunk, 1), -ECANCELED);
    assert_int_equal(snapshot_end(f->snapshots), -ECANCELED);
    fixture_delete(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(log_stands_on_its_snapshot),
        cmocka_unit_test(files_of_all_nodes_are_the_same),
        cmocka_unit_test(every_damaged_sector_is_noticed),
        cmocka_unit_test(inspect_names_the_place),
        cmocka_unit_test(header_of_another_file),
        cmocka_unit_test(other_version_is_refused_by_its_number),
        cmocka_unit_test(missing_or_cut_file_is_told),
        cmocka_unit_test(leftovers_are_removed),
        cmocka_unit_test(lost_file_is_written_anew),
        cmocka_unit_test(smaller_chunks_than_configured),
        cmocka_unit_test(damaged_chunk_is_put_right),
        cmocka_unit_test(full_disk_drops_it_and_one_comes_later),
        cmocka_unit_test(broken_disk_stops_the_log),
        cmocka_unit_test(abandoned_one_leaves_nothing),
        cmocka_unit_test(room_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
