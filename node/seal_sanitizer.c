/* node/seal_sanitizer.c: the seal under a sanitizer, which brings its own heap and calls this hook. */
#include "node/seal.h"

void __sanitizer_malloc_hook(const void *memory, size_t bytes);
void __sanitizer_malloc_hook(const void *memory, size_t bytes)
{
    (void)memory;
    seal_check(bytes);
}
