/* node/inspect.c: see inspect.h. The reading is persist/inspect.c's. */
#include "node/inspect.h"

#include "node/exit_code.h"
#include "persist/disk_uring.h"
#include "persist/inspect.h"
#include "persist/superblock.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

enum { ERROR_BYTES = 512, PROGRESS_NS = 200 * 1000 * 1000 };

/* An open directory and what is in its superblock. */
struct place {
    struct disk *disk;
    uint8_t *sector;
    struct superblock superblock;
    int superblock_result;
};

/* A node that runs in it makes the end of the log a moment's; the reader should know. */
static void warn_if_in_use(const char *directory)
{
    char path[4096];
    const int length = snprintf(path, sizeof path, "%s/LOCK", directory);
    const int fd = length < (int)sizeof path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

    if (fd < 0)
        return;
    if (flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        fprintf(stderr, "skiff: a node runs in %s: what it writes meanwhile may look torn\n",
                directory);
    close(fd);
}

static int place_open(struct place *p, const char *directory)
{
    const struct disk_uring_options options = {.buffered = true, .read_only = true};
    char error[ERROR_BYTES] = "";

    warn_if_in_use(directory);
    p->sector = aligned_alloc(DISK_SECTOR, DISK_SECTOR);
    if (p->sector == NULL) {
        fprintf(stderr, "skiff: out of memory\n");
        return EXIT_START;
    }
    const int result = disk_uring_open(directory, &options, &p->disk, error, sizeof error);
    if (result != 0) {
        fprintf(stderr, "skiff: %s%s\n", error,
                result == -ENOTDIR ? "; name the data directory that it lies in" : "");
        free(p->sector);
        return EXIT_DATA;
    }
    memset(p->sector, 0, DISK_SECTOR);
    p->superblock_result = superblock_read(p->disk, p->sector, &p->superblock);
    return EXIT_OK;
}

static void place_close(struct place *p)
{
    disk_uring_close(p->disk);
    free(p->sector);
}

static void print_copy(const struct superblock_copy *copy, uint32_t number, bool json)
{
    const struct superblock *s = &copy->content;

    if (json) {
        printf("%s{\"copy\":%u,\"state\":\"%s\"", number == 0 ? "" : ",", number,
               superblock_state_text(copy->state));
        if (copy->state == SUPERBLOCK_VALID || copy->state == SUPERBLOCK_OTHER_VERSION)
            printf(",\"version\":%u,\"generation\":%" PRIu64 ",\"boot\":%u", s->version,
                   s->generation, s->boot);
        printf("}");
        return;
    }
    printf("copy %u         %s", number, superblock_state_text(copy->state));
    if (copy->state == SUPERBLOCK_VALID || copy->state == SUPERBLOCK_OTHER_VERSION)
        printf(", version %u, generation %" PRIu64 ", boot %u", s->version, s->generation, s->boot);
    printf("\n");
}

int inspect_superblock(const struct inspect_request *request)
{
    struct superblock_copy copy[SUPERBLOCK_COPIES] = {0};
    struct place p = {0};
    bool damaged = false;

    const int code = place_open(&p, request->path);
    if (code != EXIT_OK)
        return code;
    const struct superblock *s = &p.superblock;
    if (p.superblock_result != -ENODATA)
        superblock_look(p.disk, p.sector, copy);
    if (request->json)
        printf("{\"result\":%d,\"problem\":\"%s\",\"cluster\":%" PRIu64 ",\"node\":%u,"
               "\"incarnation\":\"%016" PRIx64 "\",\"boot\":%u,\"copies\":[",
               p.superblock_result, superblock_problem(p.superblock_result), s->cluster, s->node,
               s->incarnation, s->boot);
    else if (p.superblock_result == 0)
        printf("cluster        %" PRIu64 "\nnode           %u\nincarnation    %016" PRIx64
               "\nboot           %u\n",
               s->cluster, s->node, s->incarnation, s->boot);
    else
        printf("problem        %s\n", superblock_problem(p.superblock_result));
    for (uint32_t i = 0; i < SUPERBLOCK_COPIES; i++) {
        print_copy(&copy[i], i, request->json);
        damaged = damaged || copy[i].state != SUPERBLOCK_VALID;
    }
    printf(request->json ? "]}\n" : "");
    const bool bad = p.superblock_result != 0 || damaged;
    place_close(&p);
    return request->verify && bad ? EXIT_DATA : EXIT_OK;
}

static const char *role_text(const struct inspect_segment *s)
{
    if (s->verdict == SEGMENT_OTHER_VERSION)
        return "version";
    if (s->verdict == SEGMENT_FOREIGN)
        return "foreign";
    if (s->role == INSPECT_UNFINISHED)
        return "unfinished";
    if (s->role == INSPECT_DEAD)
        return "dead";
    return s->batch_count == 0 ? "prepared" : "live";
}

static const char *kind_text(const struct inspect_segment *s)
{
    if (s->verdict == SEGMENT_BAD)
        return "-";
    return s->header.kind == SEGMENT_RECOVERY ? "recovery" : "roll";
}

static void print_segments(const struct inspect_report *report)
{
    printf("%-20s %-10s %-8s %5s %12s %12s %9s %9s %12s %12s %6s %6s\n", "SEGMENT", "STATE", "KIND",
           "BOOT", "BYTES", "USED", "BATCHES", "RECORDS", "FIRST", "LAST", "TERM", "TO");
    for (uint32_t i = 0; i < report->segment_count; i++) {
        const struct inspect_segment *s = &report->segment[i];
        printf("%-20s %-10s %-8s %5u %12" PRIu64 " %12" PRIu64 " %9" PRIu64 " %9" PRIu64
               " %12" PRIu64 " %12" PRIu64 " %6" PRIu64 " %6" PRIu64 "\n",
               s->name, role_text(s), kind_text(s), s->header.boot, s->file_bytes, s->end,
               s->batch_count, s->record_count, s->first_index, s->last_index, s->first_term,
               s->last_term);
    }
}

static uint32_t faults_kept(const struct inspect_report *report)
{
    return report->fault_count < INSPECT_FAULTS_MAX ? report->fault_count : INSPECT_FAULTS_MAX;
}

static void print_faults(const struct inspect_report *report)
{
    for (uint32_t i = 0; i < faults_kept(report); i++) {
        const struct inspect_fault *f = &report->fault[i];
        printf("%s: wal-%016" PRIx64 " offset %" PRIu64 ": batch %" PRIu64,
               f->kind == INSPECT_DAMAGED ? "damaged" : "torn", f->generation, f->offset,
               f->first_number);
        if (f->last_number != f->first_number)
            printf(" to %" PRIu64, f->last_number);
        if (f->first_index != 0)
            printf(", entries %" PRIu64 " to %" PRIu64, f->first_index, f->last_index);
        printf(f->header_valid ? " (its header is whole)\n" : "\n");
    }
    if (report->fault_count > faults_kept(report))
        printf("and %u more\n", report->fault_count - faults_kept(report));
}

/* A start gets along with one; the next damage there would be one too many. */
static bool has_lost_copy(const struct inspect_segment *s)
{
    return s->role == INSPECT_LIVE && s->batch_count > 0 && s->header_copies < SEGMENT_COPIES;
}

static uint32_t lost_copies(const struct inspect_report *report)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < report->segment_count; i++)
        count += has_lost_copy(&report->segment[i]);
    return count;
}

static void print_headers(const struct inspect_report *report)
{
    for (uint32_t i = 0; i < report->segment_count; i++) {
        if (has_lost_copy(&report->segment[i]))
            printf("damaged: %s: one copy of its header\n", report->segment[i].name);
    }
}

static void print_text(const struct inspect_report *report)
{
    const struct wal_recovered *start = &report->start;

    print_segments(report);
    printf("durable mark   batch %" PRIu64 "\n", report->mark_number);
    print_headers(report);
    print_faults(report);
    if (report->start_result != 0) {
        printf("a start        refuses: %s\n", start->refusal);
        return;
    }
    if (start->base.index != 0)
        printf("log base       entry %" PRIu64 " of term %" PRIu64 ", snapshot at %" PRIu64 "\n",
               start->base.index, start->base.term, start->base.snapshot_index);
    printf("a start        finds last entry %" PRIu64 " of term %" PRIu64 ", commit %" PRIu64
           ", term %" PRIu64 ", vote %u",
           start->last, start->last_term, start->commit, start->term, start->vote);
    if (start->torn_batches != 0)
        printf("; %u torn batches are cut", start->torn_batches);
    printf("\n");
}

/* The sentences are ours, but names of files in them are the disk's. */
static void print_json_string(const char *text)
{
    putchar('"');
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '"' || *c == '\\')
            printf("\\%c", *c);
        else if ((unsigned char)*c < 0x20)
            printf("\\u%04x", (unsigned)*c);
        else
            putchar(*c);
    }
    putchar('"');
}

static void print_json_segment(const struct inspect_segment *s)
{
    printf("{\"name\":\"%s\",\"state\":\"%s\",\"kind\":\"%s\",\"boot\":%u,\"header_copies\":%u"
           ",\"bytes\":%" PRIu64 ",\"used\":%" PRIu64 ",\"batches\":%" PRIu64
           ",\"records\":%" PRIu64 ",\"first_batch\":%" PRIu64 ",\"last_batch\":%" PRIu64
           ",\"first_index\":%" PRIu64 ",\"last_index\":%" PRIu64 ",\"first_term\":%" PRIu64
           ",\"last_term\":%" PRIu64 ",\"continues\":\"%016" PRIx64 "\"}",
           s->name, role_text(s), kind_text(s), s->header.boot, s->header_copies, s->file_bytes,
           s->end, s->batch_count, s->record_count, s->first_number, s->last_number, s->first_index,
           s->last_index, s->first_term, s->last_term, s->header.continues_generation);
}

static void print_json_fault(const struct inspect_fault *f)
{
    printf("{\"kind\":\"%s\",\"segment\":\"wal-%016" PRIx64 "\",\"offset\":%" PRIu64
           ",\"first_batch\":%" PRIu64 ",\"last_batch\":%" PRIu64 ",\"first_index\":%" PRIu64
           ",\"last_index\":%" PRIu64 ",\"header_valid\":%s}",
           f->kind == INSPECT_DAMAGED ? "damaged" : "torn", f->generation, f->offset,
           f->first_number, f->last_number, f->first_index, f->last_index,
           f->header_valid ? "true" : "false");
}

static void print_json(const struct inspect_report *report)
{
    const struct wal_recovered *start = &report->start;

    printf("{\"segments\":[");
    for (uint32_t i = 0; i < report->segment_count; i++) {
        printf(i == 0 ? "" : ",");
        print_json_segment(&report->segment[i]);
    }
    printf("],\"faults\":[");
    for (uint32_t i = 0; i < faults_kept(report); i++) {
        printf(i == 0 ? "" : ",");
        print_json_fault(&report->fault[i]);
    }
    printf("],\"fault_count\":%u,\"damaged_count\":%u,\"mark\":%" PRIu64
           ",\"start\":{\"result\":%d,\"refusal\":",
           report->fault_count, report->damaged_count, report->mark_number, report->start_result);
    print_json_string(start->refusal);
    printf(",\"base\":%" PRIu64 ",\"base_term\":%" PRIu64 ",\"snapshot\":%" PRIu64,
           start->base.index, start->base.term, start->base.snapshot_index);
    printf(",\"last\":%" PRIu64 ",\"last_term\":%" PRIu64 ",\"commit\":%" PRIu64
           ",\"term\":%" PRIu64 ",\"vote\":%u,\"torn_batches\":%u}}\n",
           start->last, start->last_term, start->commit, start->term, start->vote,
           start->torn_batches);
}

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void read_all(struct inspect *i)
{
    const struct inspect_report *report = inspect_report(i);
    const bool shown = isatty(STDERR_FILENO) == 1;
    uint64_t shown_ns = now_ns();
    bool wrote = false;

    while (inspect_poll(i)) {
        if (!shown || now_ns() - shown_ns < PROGRESS_NS)
            continue;
        shown_ns = now_ns();
        fprintf(stderr, "\r%" PRIu64 " of %" PRIu64 " MiB read", report->bytes_read >> 20,
                report->bytes_total >> 20);
        wrote = true;
    }
    if (wrote)
        fprintf(stderr, "\r\033[K");
}

/* Reads and prints; the owner is who the superblock says. */
static int inspect_files(const struct place *p, const struct inspect_request *request)
{
    const struct segment_owner owner = {p->superblock.cluster, p->superblock.incarnation,
                                        p->superblock.node};
    const size_t bytes = (inspect_bytes() + DISK_SECTOR - 1) & ~(size_t)(DISK_SECTOR - 1);
    void *memory = aligned_alloc(DISK_SECTOR, bytes);
    struct inspect *i;

    if (memory == NULL) {
        fprintf(stderr, "skiff: out of memory: %zu MiB are needed\n", bytes >> 20);
        return EXIT_START;
    }
    const int result = inspect_open(&i, memory, p->disk, &owner);
    const struct inspect_report *report = inspect_report(i);
    if (result != 0) {
        fprintf(stderr, "skiff: the log in %s can't be read: %s\n", request->path,
                report->start.refusal[0] != '\0' ? report->start.refusal : strerror(-result));
        free(memory);
        return EXIT_DATA;
    }
    read_all(i);
    if (request->json)
        print_json(report);
    else
        print_text(report);
    const bool bad =
        report->damaged_count != 0 || report->start_result != 0 || lost_copies(report) != 0;
    free(memory);
    return request->verify && bad ? EXIT_DATA : EXIT_OK;
}

int inspect_log(const struct inspect_request *request)
{
    struct place p = {0};
    int code = place_open(&p, request->path);

    if (code != EXIT_OK)
        return code;
    if (p.superblock_result != 0) {
        fprintf(stderr,
                "skiff: whose log is in %s is not known, its superblock can't be read: %s\n",
                request->path, superblock_problem(p.superblock_result));
        code = EXIT_DATA;
    } else {
        code = inspect_files(&p, request);
    }
    place_close(&p);
    return code;
}
