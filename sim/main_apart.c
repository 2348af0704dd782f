#include "sim/main_apart.h"

#include "base/assert.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* The child's own; the parent reads it when the child is gone, so nothing is raced for. */
struct board {
    struct apart_outcome outcome;
    bool done;
};

static struct sim *running;
static struct board *running_board;

/* An assertion says on stderr what it is; how far the run had come is told here. */
static void on_death(int signal_number)
{
    running_board->outcome.events = sim_events(running);
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

static void note_plan(struct board *board, const struct plan *plan)
{
    board->outcome.on = plan->on;
    board->outcome.nodes = plan->nodes;
    board->outcome.clients = plan->clients;
}

static _Noreturn void run_child(const struct sim_config *config, struct board *board, int errors)
{
    const struct rlimit limit = {.rlim_cur = APART_CPU_SECONDS_MAX,
                                 .rlim_max = APART_CPU_SECONDS_MAX};
    const int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setrlimit(RLIMIT_CPU, &limit);
    dup2(nowhere, STDOUT_FILENO);
    dup2(errors, STDERR_FILENO);
    running = sim_new();
    running_board = board;
    signal(SIGABRT, on_death);
    signal(SIGSEGV, on_death);
    sim_begin(running, config);
    note_plan(board, sim_plan(running));
    if (!sim_run(running, config->events) || !sim_settle(running))
        snprintf(board->outcome.invariant, APART_TEXT_BYTES, "%s", sim_report(running)->invariant);
    board->outcome.events = sim_events(running);
    board->done = true;
    _exit(EXIT_SUCCESS); /* what is in the parent's stdio is not ours to write */
}

/* What the child died of: the first line it said, or the signal. */
static void tell_death(int status, int errors, char *text)
{
    const int death = WIFSIGNALED(status) ? WTERMSIG(status) : SIGABRT;

    if (death == SIGXCPU || death == SIGKILL)
        return; /* by the limit */
    if (death != SIGABRT) {
        snprintf(text, APART_TEXT_BYTES, "signal %d", death);
        return;
    }
    const ssize_t got = pread(errors, text, APART_TEXT_BYTES - 1, 0);
    text[got > 0 ? got : 0] = '\0';
    text[strcspn(text, "\n")] = '\0';
}

void apart_run(const struct sim_config *config, struct apart_outcome *outcome)
{
    const int errors = memfd_create("errors", MFD_CLOEXEC);
    struct board *board =
        mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int status = 0;

    ASSERT(errors >= 0);
    ASSERT(board != MAP_FAILED);
    const pid_t child = fork();
    ASSERT(child >= 0);
    if (child == 0)
        run_child(config, board, errors);
    const pid_t ended = waitpid(child, &status, 0);
    ASSERT(ended == child);
    *outcome = board->outcome;
    if (!board->done)
        tell_death(status, errors, outcome->invariant);
    munmap(board, sizeof *board);
    close(errors);
}
