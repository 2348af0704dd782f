#include "sim/fibre.h"

#include "base/assert.h"
#include "base/moment.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

enum { STACK_BYTES = 256 << 10, GUARD_BYTES = 4 << 10 }; /* sanitizers make frames larger */

struct fibre {
    ucontext_t own, caller;
    void (*work)(void *context);
    void *context;
    uint8_t *stack;
    uint32_t moments;
    bool left; /* in the middle of its work */
};

static struct fibre *running; /* NULL: none is */

static void at_moment(void)
{
    struct fibre *f = running;

    ASSERT(f != NULL);
    if (f->moments == FIBRE_TO_ITS_END)
        return;
    if (f->moments > 0) {
        f->moments--;
        return;
    }
    f->left = true;
    swapcontext(&f->own, &f->caller);
}

static void trunk(void)
{
    struct fibre *f = running;

    f->work(f->context);
    f->left = false;
    swapcontext(&f->own, &f->caller); /* and never comes back */
}

struct fibre *fibre_new(void)
{
    struct fibre *f = calloc(1, sizeof *f);

    ASSERT(f != NULL);
    f->stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    ASSERT(f->stack != MAP_FAILED);
    const int failed = mprotect(f->stack, GUARD_BYTES, PROT_NONE);
    ASSERT(failed == 0);
    return f;
}

void fibre_delete(struct fibre *f)
{
    if (f == NULL)
        return;
    munmap(f->stack, STACK_BYTES);
    free(f);
}

static bool enter(struct fibre *f, uint32_t moments)
{
    ASSERT(running == NULL);
    f->moments = moments;
    running = f;
    moment_hook = at_moment;
    swapcontext(&f->caller, &f->own);
    moment_hook = NULL;
    running = NULL;
    return !f->left;
}

bool fibre_begin(struct fibre *f, void (*work)(void *context), void *context, uint32_t moments)
{
    ASSERT(!f->left);
    f->work = work;
    f->context = context;
    const int failed = getcontext(&f->own);
    ASSERT(failed == 0);
    f->own.uc_stack.ss_sp = f->stack;
    f->own.uc_stack.ss_size = STACK_BYTES;
    f->own.uc_link = NULL;
    makecontext(&f->own, trunk, 0);
    return enter(f, moments);
}

bool fibre_go_on(struct fibre *f, uint32_t moments)
{
    ASSERT(f->left);
    return enter(f, moments);
}

void fibre_drop(struct fibre *f)
{
    ASSERT(running == NULL);
    f->left = false;
}

bool fibre_is_left(const struct fibre *f)
{
    return f->left;
}

uint32_t fibre_moments_left(const struct fibre *f)
{
    return f->moments;
}

void fibre_pin(bool pinned)
{
    if (running != NULL)
        moment_hook = pinned ? NULL : at_moment;
}
