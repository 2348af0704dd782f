/* tests/fuzz/fuzz.h: what a fuzz target brings, beside the function that libFuzzer calls.
 *
 * Everything on disk and on the wire has a checksum, so what is mutated blindly is refused before anything
 * of it is read. So a target draws inputs that are valid, with its encoders, for mutations to begin
 * with, and puts the checksums right in half of the mutations. There is no corpus of files: what
 * is drawn follows from a number, and libFuzzer keeps what it finds for as long as it runs.
 *
 * A target asserts: what decodes is encoded as the same bytes, and what is refused changes nothing.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* A valid input; its size, at most `size_max`, or 0 if it does not fit. */
size_t fuzz_draw(uint64_t number, uint8_t *out, size_t size_max);
/* The checksums of whatever this is. */
void fuzz_seal(uint8_t *bytes, size_t size);

/* libFuzzer's. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t size, size_t size_max, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *bytes, size_t size, size_t size_max);

#endif
