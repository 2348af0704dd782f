#include "sim/disk_harm.h"

#include "sim/disk_sim_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { FLIPS_MAX = 4, LEDGER_FIRST = 16 };

static struct harm *find(struct disk *d, uint32_t file, uint64_t offset)
{
    for (uint32_t i = 0; i < d->ledger.count; i++) {
        struct harm *h = &d->ledger.harm[i];
        if (h->file == file && h->offset == offset)
            return h;
    }
    return NULL;
}

static void drop(struct disk *d, struct harm *h)
{
    *h = d->ledger.harm[--d->ledger.count];
}

static void ledger_reserve(struct harm_ledger *l, uint32_t count)
{
    if (count <= l->capacity)
        return;
    l->capacity = l->capacity == 0 ? LEDGER_FIRST : l->capacity * 2;
    if (l->capacity < count)
        l->capacity = count;
    l->harm = realloc(l->harm, l->capacity * sizeof *l->harm);
    ASSERT(l->harm != NULL);
}

/* The entry of a sector; a new one holds what stands there as the truth. */
static struct harm *entry(struct disk *d, uint32_t file, uint64_t offset)
{
    struct harm *h = find(d, file, offset);

    ASSERT(offset % DISK_SECTOR == 0);
    ASSERT(offset + DISK_SECTOR <= file_of(d, file)->length);
    if (h != NULL)
        return h;
    ledger_reserve(&d->ledger, d->ledger.count + 1);
    h = &d->ledger.harm[d->ledger.count++];
    h->file = file;
    h->offset = offset;
    h->unreadable = false;
    memcpy(h->truth, file_of(d, file)->stable + offset, DISK_SECTOR);
    return h;
}

void disk_harm_assign(struct disk *to, const struct disk *from)
{
    ledger_reserve(&to->ledger, from->ledger.count);
    to->ledger.count = from->ledger.count;
    if (from->ledger.count > 0)
        memcpy(to->ledger.harm, from->ledger.harm, from->ledger.count * sizeof *to->ledger.harm);
}

void disk_harm_forget_file(struct disk *d, uint32_t file)
{
    for (uint32_t i = d->ledger.count; i > 0; i--)
        if (d->ledger.harm[i - 1].file == file)
            drop(d, &d->ledger.harm[i - 1]);
}

void disk_harm_landed(struct disk *d, uint32_t file, uint64_t offset, const uint8_t *bytes,
                      uint64_t length)
{
    for (uint32_t i = d->ledger.count; i > 0; i--) {
        struct harm *h = &d->ledger.harm[i - 1];
        if (h->file != file || offset >= h->offset + DISK_SECTOR || h->offset >= offset + length)
            continue;
        if (offset <= h->offset && h->offset + DISK_SECTOR <= offset + length) {
            drop(d, h);
            continue;
        }
        /* A torn write: some pieces of the sector are new, the others as they should have been. */
        ASSERT(offset >= h->offset);
        ASSERT(offset + length <= h->offset + DISK_SECTOR);
        memcpy(h->truth + (offset - h->offset), bytes, length);
    }
}

static bool concerns(const struct disk *d, uint32_t file)
{
    for (uint32_t i = 0; i < DISK_HARM_PREFIXES; i++) {
        const char *prefix = d->rates.prefix[i];
        if (prefix != NULL && strncmp(d->file[file].name, prefix, strlen(prefix)) == 0)
            return true;
    }
    return false;
}

static bool drawn(struct disk *d, uint32_t per_million)
{
    return per_million != 0 && prng_chance(&d->prng, per_million);
}

/* Any file that the rates concern; FILES_MAX if the first one tried is none. */
static uint32_t draw_file(struct disk *d)
{
    const uint32_t from = (uint32_t)prng_below(&d->prng, d->file_end);

    for (uint32_t i = 0; i < d->file_end; i++) {
        const uint32_t file = (from + i) % d->file_end;
        if (d->file[file].used && concerns(d, file))
            return file;
    }
    return FILES_MAX;
}

/* The bytes come to stand where they do not belong. */
static void land_astray(struct disk *d, const uint8_t *bytes, uint64_t length)
{
    const uint32_t file = draw_file(d);

    if (file == FILES_MAX)
        return;
    const uint64_t offset = prng_below(&d->prng, file_of(d, file)->length / DISK_SECTOR);
    for (uint64_t at = 0; at < length; at += DISK_SECTOR) {
        const uint64_t place = offset * DISK_SECTOR + at;
        if (place + DISK_SECTOR > file_of(d, file)->length)
            return;
        entry(d, file, place)->unreadable = false;
        memcpy(file_of(d, file)->stable + place, bytes + at, DISK_SECTOR);
    }
}

bool disk_harm_takes_write(struct disk *d, const struct pending *p)
{
    if (!concerns(d, p->file))
        return false;
    const bool lost = drawn(d, d->rates.lost);
    const bool astray = !lost && drawn(d, d->rates.misdirected);
    if (!lost && !astray)
        return false;
    const uint8_t *bytes = write_bytes(p);
    for (uint64_t at = 0; at < p->op.length; at += DISK_SECTOR)
        memcpy(entry(d, p->file, p->op.offset + at)->truth, bytes + at, DISK_SECTOR);
    if (astray)
        land_astray(d, bytes, p->op.length);
    return true;
}

static void flip(struct disk *d, uint8_t *sector)
{
    const uint64_t flips = prng_between(&d->prng, 1, FLIPS_MAX);

    for (uint64_t i = 0; i < flips; i++) {
        const uint64_t bit = prng_below(&d->prng, DISK_SECTOR * 8);
        sector[bit / 8] ^= (uint8_t)(1U << (bit % 8));
    }
}

/* What a sector may have held before: zeros, or what another file has at this place, for segments
 * are used again. */
static void make_stale(struct disk *d, uint64_t offset, uint8_t *sector)
{
    const uint32_t file = draw_file(d);

    memset(sector, 0, DISK_SECTOR);
    if (file != FILES_MAX && prng_chance(&d->prng, PER_MILLION / 2) &&
        offset + DISK_SECTOR <= file_of(d, file)->length)
        memcpy(sector, file_of(d, file)->stable + offset, DISK_SECTOR);
}

/* True: the read fails, for it touches a sector that can't be read. */
static bool meets_unreadable(const struct disk *d, uint32_t file, uint64_t offset, uint64_t length)
{
    for (uint32_t i = 0; i < d->ledger.count; i++) {
        const struct harm *h = &d->ledger.harm[i];
        if (h->unreadable && h->file == file && h->offset < offset + length &&
            offset < h->offset + DISK_SECTOR)
            return true;
    }
    return false;
}

int64_t disk_harm_read(struct disk *d, const struct pending *p, int64_t length, bool starting)
{
    if (length <= 0)
        return length;
    if (meets_unreadable(d, p->file, p->op.offset, (uint64_t)length))
        return -EIO;
    if (d->lie_at > 0 && --d->lie_at == 0) {
        memset(p->op.bytes, 0, (size_t)length);
        d->harmed_reads++;
        return length;
    }
    if (!concerns(d, p->file))
        return length;
    if (drawn(d, d->rates.read_error)) {
        d->harmed_reads++;
        return -EIO;
    }
    const bool flips = drawn(d, d->rates.read_flip);
    const bool stale = !flips && drawn(d, d->rates.read_stale);
    if (!flips && !stale)
        return length;
    const uint64_t at = prng_below(&d->prng, (uint64_t)length / DISK_SECTOR) * DISK_SECTOR;
    const uint64_t offset = p->op.offset + at;
    if (starting && offset >= d->file[p->file].vouched_end)
        return length;
    if (flips)
        flip(d, p->op.bytes + at);
    else
        make_stale(d, offset, p->op.bytes + at);
    d->harmed_reads++;
    return length;
}

void disk_harm_set_rates(struct disk *d, const struct disk_harm_rates *rates)
{
    d->rates = *rates;
}

void disk_harm_lie_once(struct disk *d, uint32_t nth)
{
    d->lie_at = nth;
}

bool disk_harm_sector(struct disk *d, const char *name, uint64_t offset, enum disk_harm harm)
{
    const uint32_t file = disk_sim_file_find(d, name);

    if (file == FILES_MAX || offset + DISK_SECTOR > d->file[file].length)
        return false;
    struct harm *h = entry(d, file, offset);
    uint8_t *sector = file_of(d, file)->stable + offset;
    if (harm == DISK_HARM_FLIP)
        flip(d, sector);
    else if (harm == DISK_HARM_ZERO)
        memset(sector, 0, DISK_SECTOR);
    else if (harm == DISK_HARM_UNREADABLE)
        h->unreadable = true;
    else
        make_stale(d, prng_below(&d->prng, d->file[file].length / DISK_SECTOR) * DISK_SECTOR,
                   sector);
    return true;
}

bool disk_harm_remove(struct disk *d, const char *name)
{
    const uint32_t file = disk_sim_file_find(d, name);

    if (file == FILES_MAX)
        return false;
    d->file[file].linked = false;
    d->file_missing = true;
    disk_sim_file_collect(d);
    return true;
}

bool disk_harm_missing(const struct disk *d)
{
    return d->file_missing;
}

void disk_harm_found(struct disk *d)
{
    d->file_missing = false;
}

void disk_harm_vouch(struct disk *d, const char *name, uint64_t end)
{
    const uint32_t file = disk_sim_file_find(d, name);

    ASSERT(file != FILES_MAX);
    d->file[file].vouched_end = end;
}

uint32_t disk_harm_settle(struct disk *d)
{
    uint32_t settled = 0;

    for (uint32_t i = d->ledger.count; i > 0; i--) {
        struct harm *h = &d->ledger.harm[i - 1];
        if (h->offset < d->file[h->file].vouched_end)
            continue;
        memcpy(file_of(d, h->file)->stable + h->offset, h->truth, DISK_SECTOR);
        drop(d, h);
        settled++;
    }
    return settled;
}

struct disk_harm_place disk_harm_place(const struct disk *d, uint32_t i)
{
    ASSERT(i < d->ledger.count);
    const struct harm *h = &d->ledger.harm[i];
    return (struct disk_harm_place){
        .name = d->file[h->file].name, .offset = h->offset, .unreadable = h->unreadable};
}

uint32_t disk_harm_count(const struct disk *d)
{
    return d->ledger.count;
}

uint64_t disk_harm_reads(const struct disk *d)
{
    return d->harmed_reads;
}
