/* persist/open.c: the log's memory, laid out once; a start. */
#include "persist/wal_internal.h"

#include <string.h>

static void check_options(const struct wal_options *o)
{
    ASSERT(o->cluster != 0);
    ASSERT(o->incarnation != 0);
    ASSERT(o->boot > 0);
    ASSERT(o->node > 0);
    ASSERT(o->batch_bytes >= WAL_BATCH_BYTES_MIN);
    ASSERT(o->batch_bytes <= WAL_BATCH_BYTES_MAX);
    ASSERT(o->batch_bytes % DISK_SECTOR == 0);
    ASSERT(o->segment_bytes >= wal_segment_bytes_min(o));
    ASSERT(o->segment_bytes % DISK_SECTOR == 0);
    ASSERT(o->buffer_count >= 2);
    ASSERT(o->buffer_count <= WAL_BUFFERS_MAX);
    ASSERT(o->flights >= 1);
    ASSERT(o->segments_ahead >= 1);
    ASSERT(o->segments_ahead <= WAL_AHEAD_MAX);
    ASSERT(o->spares_max <= WAL_SPARES_MAX);
    ASSERT(o->zeros_bytes >= DISK_SECTOR);
    ASSERT(o->zeros_bytes % DISK_SECTOR == 0);
    ASSERT(o->zeros_bytes <= SHARE_BYTES_MAX);
}

/* The wal's memory, in this order; each part begins on a sector. */
struct layout {
    size_t buffers, window, headers, sector, zeros, names, run_first, run_term, config, end;
};

static struct layout layout_of(const struct wal_options *o)
{
    struct layout l;

    l.buffers = disk_align_up(sizeof(struct wal));
    l.window = l.buffers + (size_t)o->buffer_count * o->batch_bytes;
    l.headers = l.window + WAL_BATCH_BYTES_MAX;
    l.sector = l.headers + SEGMENT_DATA_OFFSET;
    l.zeros = l.sector + DISK_SECTOR;
    l.names = l.zeros + o->zeros_bytes;
    l.run_first = l.names + disk_align_up((WAL_SEGMENTS_MAX + 1) * (size_t)DISK_NAME_BYTES);
    l.run_term = l.run_first + disk_align_up(RAFT_TERM_RUNS_MAX * sizeof(raft_index));
    l.config = l.run_term + disk_align_up(RAFT_TERM_RUNS_MAX * sizeof(raft_term));
    l.end = l.config + disk_align_up(WAL_CONFIGS_MAX * SEGMENT_CONFIG_BYTES_MAX);
    return l;
}

size_t wal_bytes(const struct wal_options *options)
{
    check_options(options);
    return layout_of(options).end;
}

struct wal *wal_init(void *memory, struct disk *disk, const struct wal_options *options)
{
    struct wal *w = memory;
    uint8_t *const bytes = memory;

    check_options(options);
    ASSERT((uintptr_t)memory % DISK_SECTOR == 0);
    const struct layout l = layout_of(options);
    memset(w, 0, sizeof *w);
    w->disk = disk;
    w->options = *options;
    for (uint32_t i = 0; i < options->buffer_count; i++)
        w->buffer[i].bytes = bytes + l.buffers + (size_t)i * options->batch_bytes;
    w->reader.window = (struct wal_window){.memory = bytes + l.window, .size = WAL_BATCH_BYTES_MAX};
    w->reader.left.segment = UINT32_MAX;
    w->prepare.headers = bytes + l.headers;
    w->prepare.zeros = bytes + l.zeros;
    memset(w->prepare.zeros, 0, options->zeros_bytes);
    share_init(&w->share, options->share_percent);
    w->base.sector = bytes + l.sector;
    w->slot_taken[0] = true; /* the superblock's */
    w->slot_taken[WAL_SLOT_SNAPSHOT] = true;
    w->slot_taken[WAL_SLOT_SNAPSHOT + 1] = true;
    w->names = (char(*)[DISK_NAME_BYTES])(bytes + l.names);
    w->view.run_first = (raft_index *)(bytes + l.run_first);
    w->view.run_term = (raft_term *)(bytes + l.run_term);
    w->config_payload = bytes + l.config;
    return w;
}

static void lend_memory(struct wal *w)
{
    static_assert(WAL_BUFFERS_MAX + 1 <= DISK_LENT_MAX, "the buffers and the reader's window");

    for (uint32_t i = 0; i < w->options.buffer_count; i++)
        disk_lend(w->disk, w->buffer[i].bytes, w->options.batch_bytes);
    disk_lend(w->disk, w->reader.window.memory, w->options.batch_bytes);
}

int wal_open(struct wal **out, void *memory, struct disk *disk, const struct wal_options *options,
             struct wal_recovered *recovered)
{
    struct wal *w = wal_init(memory, disk, options);

    const int result = wal_recover(w, recovered);
    if (result == 0)
        lend_memory(w);
    *out = result == 0 ? w : NULL;
    return result;
}
