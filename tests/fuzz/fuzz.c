#include "tests/fuzz/fuzz.h"

#include "base/prng.h"

enum { DRAWN_IN = 16, SEALED_IN = 2 };

size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t size, size_t size_max, unsigned seed)
{
    struct prng p;

    prng_seed(&p, seed);
    if (size <= 1 || prng_below(&p, DRAWN_IN) == 0) {
        size = fuzz_draw(prng_next(&p), bytes, size_max);
        if (size > 0 && prng_below(&p, 2) == 0)
            return size;
    }
    size = LLVMFuzzerMutate(bytes, size, size_max);
    if (prng_below(&p, SEALED_IN) == 0)
        fuzz_seal(bytes, size);
    return size;
}
