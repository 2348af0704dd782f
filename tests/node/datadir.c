/* Goal:   a data directory that is missing, a file, empty, foreign or in use is refused with a
 *         sentence that says what to do; init makes one only where nothing is, and so that it lasts.
 * Method: each case on a real directory below /tmp. flock() is by open file, so the second holder
 *         may be this process.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/datadir.h"

/* What fsync() was called for: linked in its place. */
static struct {
    uint32_t count;
    ino_t inode[16];
} flushed;

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
    struct stat s;

    assert_int_equal(fstat(fd, &s), 0);
    assert_true(flushed.count < sizeof flushed.inode / sizeof flushed.inode[0]);
    flushed.inode[flushed.count++] = s.st_ino;
    return __real_fsync(fd);
}

struct place {
    char root[64];
    char path[128];
    char error[1024];
};

static int make_place(void **state)
{
    struct place *p = calloc(1, sizeof *p);

    assert_non_null(p);
    snprintf(p->root, sizeof p->root, "/tmp/skiff-datadir-XXXXXX");
    assert_non_null(mkdtemp(p->root));
    snprintf(p->path, sizeof p->path, "%s/a/data", p->root);
    *state = p;
    return 0;
}

static void remove_in(const struct place *p, const char *name)
{
    char path[256];

    snprintf(path, sizeof path, "%s%s", p->root, name);
    if (remove(path) != 0)
        assert_true(errno == ENOENT || errno == ENOTDIR);
}

static int remove_place(void **state)
{
    static const char *const names[] = {
        "/a/data/LOCK", "/a/data/superblock", "/a/data/superblock.new", "/a/data/stray", "/a/data",
        "/a", ""};
    struct place *p = *state;

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        remove_in(p, names[i]);
    free(p);
    return 0;
}

static void make_file(const struct place *p, const char *name)
{
    char path[256];

    snprintf(path, sizeof path, "%s%s", p->root, name);
    const int fd = open(path, O_CREAT | O_WRONLY, 0644);
    assert_true(fd >= 0);
    close(fd);
}

static void missing_is_refused(void **state)
{
    struct place *p = *state;
    struct datadir d;

    assert_int_equal(datadir_open(&d, p->path, p->error, sizeof p->error), -ENOENT);
    assert_non_null(strstr(p->error, "does not exist"));
    assert_non_null(strstr(p->error, "skiff init"));
}

static void empty_is_refused(void **state)
{
    struct place *p = *state;
    struct datadir d;

    assert_int_equal(datadir_make_folders(p->path), 0);
    assert_int_equal(datadir_open(&d, p->path, p->error, sizeof p->error), -ENOENT);
    assert_non_null(strstr(p->error, "no superblock"));
    assert_non_null(strstr(p->error, "skiff init"));
}

static void file_is_refused(void **state)
{
    struct place *p = *state;
    struct datadir d;

    make_file(p, "/a");
    assert_int_equal(datadir_open(&d, p->path, p->error, sizeof p->error), -ENOTDIR);
    assert_non_null(strstr(p->error, "is a file"));
    assert_int_equal(datadir_create(&d, p->path, p->error, sizeof p->error), -ENOTDIR);
    assert_non_null(strstr(p->error, "is a file"));
}

static void second_holder_learns_the_first(void **state)
{
    struct place *p = *state;
    struct datadir first, second;
    char pid[32];

    assert_int_equal(datadir_create(&first, p->path, p->error, sizeof p->error), 0);
    make_file(p, "/a/data/superblock");
    assert_int_equal(datadir_open(&second, p->path, p->error, sizeof p->error), -EWOULDBLOCK);
    snprintf(pid, sizeof pid, "pid %ld;", (long)getpid());
    assert_non_null(strstr(p->error, pid));
    datadir_close(&first);
    assert_int_equal(datadir_open(&second, p->path, p->error, sizeof p->error), 0);
    datadir_close(&second);
}

static void init_makes_only_new_ones(void **state)
{
    struct place *p = *state;
    struct datadir d;

    assert_int_equal(datadir_make_folders(p->path), 0);
    make_file(p, "/a/data/stray");
    assert_int_equal(datadir_create(&d, p->path, p->error, sizeof p->error), -ENOTEMPTY);
    assert_non_null(strstr(p->error, "stray"));
    remove_in(p, "/a/data/stray");
    make_file(p, "/a/data/superblock");
    assert_int_equal(datadir_create(&d, p->path, p->error, sizeof p->error), -EEXIST);
    assert_non_null(strstr(p->error, "initialised already"));
    remove_in(p, "/a/data/superblock");
    make_file(p, "/a/data/superblock.new"); /* an init that did not end can be done again */
    assert_int_equal(datadir_create(&d, p->path, p->error, sizeof p->error), 0);
    datadir_close(&d);
}

static bool was_flushed(const char *path)
{
    struct stat s;
    bool found = false;

    assert_int_equal(stat(path, &s), 0);
    for (uint32_t i = 0; i < flushed.count; i++)
        found = found || flushed.inode[i] == s.st_ino;
    return found;
}

/* The names on the way to what the node will say is durable are so themselves. */
static void folders_outlive_a_power_cut(void **state)
{
    struct place *p = *state;
    struct datadir d;
    char parent[80];

    flushed.count = 0;
    assert_int_equal(datadir_create(&d, p->path, p->error, sizeof p->error), 0);
    datadir_close(&d);
    snprintf(parent, sizeof parent, "%s/a", p->root);
    assert_true(was_flushed(p->root));
    assert_true(was_flushed(parent));
    flushed.count = 0; /* one that another init had made, and may not have flushed */
    assert_int_equal(datadir_create(&d, p->path, p->error, sizeof p->error), 0);
    datadir_close(&d);
    assert_true(was_flushed(parent));
}

static void foreign_is_refused(void **state)
{
    struct place *p = *state;
    const struct datadir d = {.path = p->path};
    const struct superblock ours = {.cluster = 7, .node = 1};
    const struct superblock other_cluster = {.cluster = 8, .node = 1};
    const struct superblock other_node = {.cluster = 7, .node = 2};

    assert_int_equal(datadir_check_owner(&d, &ours, &ours, p->error, sizeof p->error), 0);
    assert_int_equal(datadir_check_owner(&d, &other_cluster, &ours, p->error, sizeof p->error),
                     -EXDEV);
    assert_non_null(strstr(p->error, "belongs to cluster 8, the configuration says cluster 7"));
    assert_int_equal(datadir_check_owner(&d, &other_node, &ours, p->error, sizeof p->error),
                     -EXDEV);
    assert_non_null(strstr(p->error, "belongs to node 2"));
}

int main(void)
{
#define PLACE_TEST(name) cmocka_unit_test_setup_teardown(name, make_place, remove_place)
    const struct CMUnitTest tests[] = {
        PLACE_TEST(missing_is_refused),       PLACE_TEST(empty_is_refused),
        PLACE_TEST(file_is_refused),          PLACE_TEST(second_holder_learns_the_first),
        PLACE_TEST(init_makes_only_new_ones), PLACE_TEST(folders_outlive_a_power_cut),
        PLACE_TEST(foreign_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
