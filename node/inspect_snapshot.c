/* node/inspect_snapshot.c: `skiff inspect snap FILE`. The reading is persist/snapshot_inspect.c's. */
#include "node/inspect.h"

#include "node/exit_code.h"
#include "persist/disk_uring.h"
#include "persist/snapshot_inspect.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { ERROR_BYTES = 512, PATH_BYTES = 4096, PROGRESS_NS = 200 * 1000 * 1000 };

/* The folder of the file, and its name there; NULL: the path is too long. */
static const char *split(const char *path, char folder[PATH_BYTES])
{
    const char *const slash = strrchr(path, '/');
    const size_t length = slash == NULL ? 1 : slash == path ? 1 : (size_t)(slash - path);

    if (length >= PATH_BYTES)
        return NULL;
    memcpy(folder, slash == NULL ? "." : path, length);
    folder[length] = '\0';
    return slash == NULL ? path : slash + 1;
}

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void read_all(struct snapshot_inspect *i)
{
    const struct snapshot_report *r = snapshot_inspect_report(i);
    const bool shown = isatty(STDERR_FILENO) == 1;
    uint64_t shown_ns = now_ns();
    bool wrote = false;

    while (snapshot_inspect_poll(i)) {
        if (!shown || now_ns() - shown_ns < PROGRESS_NS)
            continue;
        shown_ns = now_ns();
        fprintf(stderr, "\r%u of %u chunks read", r->chunks_read, r->chunk_count);
        wrote = true;
    }
    if (wrote)
        fprintf(stderr, "\r\033[K");
}

static const char *kind_text(const struct snapshot_fault *f)
{
    switch (f->kind) {
    case SNAPSHOT_FAULT_HEADER:
        return "header";
    case SNAPSHOT_FAULT_ROW:
        return "row";
    case SNAPSHOT_FAULT_CHUNK:
        return "chunk";
    }
    return "?";
}

static const char *problem(const struct snapshot_report *r)
{
    if (r->verdict == SNAPSHOT_BAD)
        return "it has no whole header";
    if (r->verdict == SNAPSHOT_OTHER_VERSION)
        return "written by another version";
    if (r->file_bytes != r->file_bytes_expected)
        return "another length than its header says";
    if (!r->digest_fits)
        return "its chunks are not those of its digest";
    return r->fault_count > 0 ? "damaged" : "none";
}

static uint32_t faults_kept(const struct snapshot_report *r)
{
    return r->fault_count < SNAPSHOT_FAULTS_MAX ? r->fault_count : SNAPSHOT_FAULTS_MAX;
}

static void print_text(const struct snapshot_report *r)
{
    const struct snapshot_header *h = &r->header;

    if (r->verdict == SNAPSHOT_OTHER_VERSION)
        printf("version        %u, this is %u\n", h->version, SNAPSHOT_VERSION);
    if (r->verdict == SNAPSHOT_OK) {
        printf("snapshot       of entry %" PRIu64 " of term %" PRIu64 ", header checksum %08x\n",
               h->index, h->term, h->chain);
        printf("cluster        %" PRIu64 "\n", h->cluster);
        printf("configuration  of entry %" PRIu64 ", %u bytes\n", h->config_index, h->config_bytes);
        printf("content        %" PRIu64 " bytes in %u chunks of %u, digest %016" PRIx64 "\n",
               h->bytes, r->chunk_count, h->chunk_bytes, h->digest);
        printf("file           %" PRIu64 " bytes, %" PRIu64 " expected\n", r->file_bytes,
               r->file_bytes_expected);
        printf("chunks         %u whole, %u damaged\n", r->chunk_count - r->chunks_bad,
               r->chunks_bad);
    }
    for (uint32_t i = 0; i < faults_kept(r); i++) {
        const struct snapshot_fault *f = &r->fault[i];
        printf("damaged: %s %u", kind_text(f), f->number);
        if (f->kind == SNAPSHOT_FAULT_ROW)
            printf(" of the table, copy %u", f->copy);
        printf(", offset %" PRIu64 ", %" PRIu64 " bytes%s\n", f->offset, f->span,
               f->result == -EBADMSG ? "" : ": can't be read");
    }
    if (r->fault_count > faults_kept(r))
        printf("and %u more\n", r->fault_count - faults_kept(r));
    printf("problem        %s\n", problem(r));
}

static void print_json(const struct snapshot_report *r)
{
    const struct snapshot_header *h = &r->header;

    printf("{\"problem\":\"%s\",\"version\":%u,\"cluster\":%" PRIu64 ",\"index\":%" PRIu64
           ",\"term\":%" PRIu64 ",\"chain\":\"%08x\",\"config_index\":%" PRIu64,
           problem(r), h->version, h->cluster, h->index, h->term, h->chain, h->config_index);
    printf(",\"bytes\":%" PRIu64 ",\"chunk_bytes\":%u,\"digest\":\"%016" PRIx64
           "\",\"digest_fits\":%s,\"file_bytes\":%" PRIu64 ",\"file_bytes_expected\":%" PRIu64,
           h->bytes, h->chunk_bytes, h->digest, r->digest_fits ? "true" : "false", r->file_bytes,
           r->file_bytes_expected);
    printf(",\"chunks\":%u,\"chunks_damaged\":%u,\"fault_count\":%u,\"faults\":[", r->chunk_count,
           r->chunks_bad, r->fault_count);
    for (uint32_t i = 0; i < faults_kept(r); i++) {
        const struct snapshot_fault *f = &r->fault[i];
        printf("%s{\"kind\":\"%s\",\"number\":%u,\"copy\":%u,\"offset\":%" PRIu64
               ",\"bytes\":%" PRIu64 ",\"readable\":%s}",
               i == 0 ? "" : ",", kind_text(f), f->number, f->copy, f->offset, f->span,
               f->result == -EBADMSG ? "true" : "false");
    }
    printf("]}\n");
}

static int inspect_file(struct disk *disk, const char *name, const struct inspect_request *request)
{
    void *memory = aligned_alloc(DISK_SECTOR, snapshot_inspect_bytes());
    struct snapshot_inspect *i;

    if (memory == NULL) {
        fprintf(stderr, "skiff: out of memory\n");
        return EXIT_START;
    }
    const int result = snapshot_inspect_open(&i, memory, disk, name);
    if (result != 0) {
        fprintf(stderr, "skiff: %s can't be opened: %s\n", request->path, strerror(-result));
        free(memory);
        return EXIT_DATA;
    }
    read_all(i);
    const struct snapshot_report *r = snapshot_inspect_report(i);
    if (request->json)
        print_json(r);
    else
        print_text(r);
    const bool sound = snapshot_is_sound(r);
    free(memory);
    return request->verify && !sound ? EXIT_DATA : EXIT_OK;
}

static bool is_directory(const char *path)
{
    struct stat s;
    return stat(path, &s) == 0 && S_ISDIR(s.st_mode);
}

int inspect_snapshot(const struct inspect_request *request)
{
    const struct disk_uring_options options = {.buffered = true, .read_only = true};
    char folder[PATH_BYTES];
    char error[ERROR_BYTES] = "";
    struct disk *disk;
    const char *const name = split(request->path, folder);

    if (is_directory(request->path)) {
        fprintf(stderr, "skiff: %s is a directory; name a snapshot in it: %s/snap-...\n", request->path,
                request->path);
        return EXIT_DATA;
    }
    if (name == NULL || disk_uring_open(folder, &options, &disk, error, sizeof error) != 0) {
        fprintf(stderr, "skiff: %s\n", name == NULL ? "the path is too long" : error);
        return EXIT_DATA;
    }
    const int code = inspect_file(disk, name, request);
    disk_uring_close(disk);
    return code;
}
