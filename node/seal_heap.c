/* node/seal_heap.c: malloc() and its kin of the whole process: the seal, then jemalloc.
 *
 * Defined in the executable they stand before those of every shared library. jemalloc is called by
 * its own names (mallocx() and so on), which nothing else defines; it takes no size 0.
 */
#include "node/seal.h"

#include <errno.h>
#include <jemalloc/jemalloc.h>
#include <stdint.h>
#include <stdlib.h>

static size_t at_least_one(size_t bytes)
{
    return bytes == 0 ? 1 : bytes;
}

static void *allocate(size_t bytes, int flags)
{
    seal_check(bytes);
    void *memory = mallocx(at_least_one(bytes), flags);
    if (memory == NULL)
        errno = ENOMEM;
    return memory;
}

void *malloc(size_t bytes)
{
    return allocate(bytes, 0);
}

void *calloc(size_t count, size_t bytes)
{
    size_t total;

    if (__builtin_mul_overflow(count, bytes, &total)) {
        errno = ENOMEM;
        return NULL;
    }
    return allocate(total, MALLOCX_ZERO);
}

void *realloc(void *memory, size_t bytes)
{
    if (memory == NULL)
        return allocate(bytes, 0);
    seal_check(bytes);
    void *moved = rallocx(memory, at_least_one(bytes), 0);
    if (moved == NULL)
        errno = ENOMEM;
    return moved;
}

void free(void *memory)
{
    if (memory != NULL)
        dallocx(memory, 0);
}

int posix_memalign(void **out, size_t alignment, size_t bytes)
{
    if (alignment < sizeof(void *) || (alignment & (alignment - 1)) != 0)
        return EINVAL;
    void *memory = allocate(bytes, MALLOCX_ALIGN(alignment));
    if (memory == NULL)
        return ENOMEM;
    *out = memory;
    return 0;
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
    void *memory = NULL;
    const int result =
        posix_memalign(&memory, alignment < sizeof(void *) ? sizeof(void *) : alignment, bytes);

    if (result != 0)
        errno = result;
    return memory;
}

void *memalign(size_t alignment, size_t bytes);
void *memalign(size_t alignment, size_t bytes)
{
    return aligned_alloc(alignment, bytes);
}

size_t malloc_usable_size(void *memory)
{
    return memory == NULL ? 0 : sallocx(memory, 0);
}
