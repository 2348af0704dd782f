/* dataplane/bell.c: see bell.h. */
#include "dataplane/bell.h"

#include "base/assert.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PAGE_BYTES = 4096,
    DRAIN_BYTES = 64,
    DRAIN_READS_MAX = 64, /* more than that and the FIFO rings again: level-triggered */
};

static_assert(sizeof(struct bell_word) <= PAGE_BYTES, "the word fits its page");

struct bell_paths {
    char page[BELL_PATH_BYTES_MAX];
    char fifo[BELL_PATH_BYTES_MAX];
};

static int paths_of(struct bell_paths *paths, const char *directory, const char *name);
static int open_page(struct bell *b, const char *path, bool owner);
static int fail(int result, char *error, size_t error_bytes, const char *what);

void bell_name_of_node(uint16_t node, char name[BELL_NAME_BYTES_MAX])
{
    const int length = snprintf(name, BELL_NAME_BYTES_MAX, "node-%u", (unsigned)node);
    ASSERT(length > 0);
    ASSERT(length < BELL_NAME_BYTES_MAX);
}

int bell_create(struct bell *b, const char *directory, const char *name, char *error,
                size_t error_bytes)
{
    struct bell_paths paths;
    struct bell made = {.fifo = -1, .page = -1};
    int result = paths_of(&paths, directory, name);

    if (result < 0)
        return fail(result, error, error_bytes, directory);
    if (mkfifo(paths.fifo, 0600) != 0 && errno != EEXIST)
        return fail(-errno, error, error_bytes, paths.fifo);
    made.fifo = open(paths.fifo, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (made.fifo < 0)
        return fail(-errno, error, error_bytes, paths.fifo);
    result = open_page(&made, paths.page, true);
    if (result < 0) {
        close(made.fifo);
        return fail(result, error, error_bytes, paths.page);
    }
    bell_word_reset(made.word);
    *b = made;
    return 0;
}

int bell_find(struct bell *b, const char *directory, const char *name, char *error,
              size_t error_bytes)
{
    struct bell_paths paths;
    struct bell found = {.fifo = -1, .page = -1};
    int result = paths_of(&paths, directory, name);

    if (result < 0)
        return fail(result, error, error_bytes, directory);
    found.fifo = open(paths.fifo, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (found.fifo < 0)
        return fail(-errno, error, error_bytes, paths.fifo);
    result = open_page(&found, paths.page, false);
    if (result < 0) {
        close(found.fifo);
        return fail(result, error, error_bytes, paths.page);
    }
    *b = found;
    return 0;
}

bool bell_is_current(const struct bell *b, const char *directory, const char *name)
{
    struct bell_paths paths;
    struct stat now;

    return paths_of(&paths, directory, name) == 0 && stat(paths.page, &now) == 0 &&
           now.st_ino == b->file;
}

void bell_close(struct bell *b)
{
    ASSERT(b->word != NULL);
    munmap(b->word, PAGE_BYTES);
    close(b->fifo);
    if (b->page >= 0)
        close(b->page);
    *b = (struct bell){.fifo = -1, .page = -1};
}

void bell_wake(const struct bell *b)
{
    const uint8_t ring = 1;
    /* EAGAIN: it is full, so it has rung. Nothing else can fail on a FIFO that we hold open for
     * reading too. */
    const ssize_t written = write(b->fifo, &ring, sizeof ring);
    (void)written;
}

void bell_sleep_end(struct bell *b, bool rung)
{
    uint8_t rings[DRAIN_BYTES];

    bell_word_sleep_end(b->word);
    for (uint32_t i = 0; rung && i < DRAIN_READS_MAX; i++)
        if (read(b->fifo, rings, sizeof rings) < (ssize_t)sizeof rings)
            return;
}

static int paths_of(struct bell_paths *paths, const char *directory, const char *name)
{
    ASSERT(strlen(name) < BELL_NAME_BYTES_MAX);
    const int page = snprintf(paths->page, sizeof paths->page, "%s/%s.bell", directory, name);
    const int fifo = snprintf(paths->fifo, sizeof paths->fifo, "%s/%s.fifo", directory, name);

    return page < BELL_PATH_BYTES_MAX && fifo < BELL_PATH_BYTES_MAX ? 0 : -ENAMETOOLONG;
}

/* The page only ever grows to its one size: a shorter file under a mapping would be a SIGBUS in
 * every process that has it. */
static int map_page(struct bell *b, int file, bool owner)
{
    struct stat now;

    if (owner && flock(file, LOCK_EX | LOCK_NB) != 0)
        return errno == EWOULDBLOCK ? -EBUSY : -errno;
    if (owner && ftruncate(file, PAGE_BYTES) != 0)
        return -errno;
    if (fstat(file, &now) != 0)
        return -errno;
    if (now.st_size < PAGE_BYTES)
        return -ENOENT; /* its owner is just making it */
    void *const page =
        mmap(NULL, PAGE_BYTES, owner ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, file, 0);
    if (page == MAP_FAILED)
        return -errno;
    b->word = page;
    b->file = now.st_ino;
    return 0;
}

static int open_page(struct bell *b, const char *path, bool owner)
{
    const int file = open(path, (owner ? O_RDWR | O_CREAT : O_RDONLY) | O_CLOEXEC, 0600);
    if (file < 0)
        return -errno;
    const int result = map_page(b, file, owner);

    if (result == 0 && owner)
        b->page = file;
    else
        close(file);
    return result;
}

static int fail(int result, char *error, size_t error_bytes, const char *what)
{
    ASSERT(result < 0);
    (void)snprintf(error, error_bytes, "bell %s: %s", what,
                   result == -EBUSY ? "in use by another process" : strerror(-result));
    return result;
}
