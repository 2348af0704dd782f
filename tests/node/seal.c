/* Goal:   whoever allocates under a sealed role stops the process with a line that names the role;
 *         everybody else allocates as usual, through the same functions.
 * Method: each way to allocate in a child of its own, whose end and last words are looked at.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "node/seal.h"

enum { WAYS = 5 };

/* Not inlined, so that no compiler removes an allocation that nobody uses. */
static __attribute__((noinline)) void *allocate(uint32_t way, void *old)
{
    void *out = NULL;

    switch (way) {
    case 0:
        return malloc(10);
    case 1:
        return calloc(2, 10);
    case 2:
        return realloc(old, 100000);
    case 3:
        return posix_memalign(&out, 64, 10) == 0 ? out : NULL;
    default:
        return aligned_alloc(64, 64);
    }
}

/* The child's exit status; what it wrote to stderr in `said`. */
static int in_child(uint32_t way, bool sealed, char *said, size_t said_bytes)
{
    int pipe_fd[2], status;

    assert_int_equal(pipe(pipe_fd), 0);
    const pid_t child = fork();
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        dup2(pipe_fd[1], STDERR_FILENO);
        void *old = malloc(1);
        if (sealed)
            seal_begin("raft");
        void *memory = allocate(way, old);
        seal_end();
        _exit(memory == NULL);
    }
    close(pipe_fd[1]);
    const ssize_t got = read(pipe_fd[0], said, said_bytes - 1);
    said[got > 0 ? got : 0] = '\0';
    close(pipe_fd[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void sealed_allocation_stops(void **state)
{
    char said[256];

    (void)state;
    for (uint32_t way = 0; way < WAYS; way++) {
        const int status = in_child(way, true, said, sizeof said);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGABRT);
        assert_non_null(strstr(said, "under the sealed role raft"));
    }
}

static void others_allocate(void **state)
{
    char said[256];

    (void)state;
    for (uint32_t way = 0; way < WAYS; way++) {
        const int status = in_child(way, false, said, sizeof said);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
        assert_string_equal(said, "");
    }
}

static void nothing_is_something(void **state)
{
    (void)state;
    void *memory = malloc(0);
    assert_non_null(memory);
    free(memory);
    free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sealed_allocation_stops),
        cmocka_unit_test(others_allocate),
        cmocka_unit_test(nothing_is_something),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
