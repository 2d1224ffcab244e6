// Counter-based random streams (Philox4x32-10). A stream is named by (seed, purpose, index); its
// n-th word is a pure function of that name and n, so streams never interfere and a position is
// all that has to be saved. There is no global generator.
//
// Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.

#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

#include "base/blob.h"

// What a stream is for; part of its name. Append only: the numbers are part of every result.
typedef enum gn_random_purpose {
    GN_RANDOM_ENV = 1, // index = environment
    GN_RANDOM_EXPLORE, // index = environment
    GN_RANDOM_SAMPLE, // replay sampling
    GN_RANDOM_INIT, // network initialisation
    GN_RANDOM_EVAL, // evaluation episodes while training
    GN_RANDOM_MARKET, // generated market
    GN_RANDOM_BASELINE,
    GN_RANDOM_TEST,
    GN_RANDOM_FRACTION, // quantile fractions; index 0: sampled steps, 1: what followed them
    GN_RANDOM_NOISE, // of noisy layers; index 0: online, 1: target, 2: acting
    GN_RANDOM_BOOTSTRAP, // resampling of results
    GN_RANDOM_FINAL // evaluation episodes of a trained agent
} gn_random_purpose;

// Plain state; `position` (32-bit words consumed) is the only part that changes.
typedef struct gn_random {
    uint64_t seed;
    uint32_t purpose, index;
    uint64_t position;
    uint32_t block[4]; // the four words that hold `position`, valid where position % 4 != 0
} gn_random;

gn_random gn_random_stream(uint64_t seed, gn_random_purpose purpose, uint32_t index);

// Moves to word `position` of the stream.
void gn_random_seek(gn_random *random, uint64_t position);

// The position as a section of a blob; load keeps the stream's name.
void gn_random_save(const gn_random *random, const char *section, gn_blob *out);
void gn_random_load(gn_random *random, const char *section, gn_blob *in);

uint32_t gn_random_u32(gn_random *random);
uint64_t gn_random_u64(gn_random *random);

// The next n words, several times as fast as one by one.  Shape: ret_word: [n].
void gn_random_words(gn_random *random, uint32_t *ret_word, size_t n);

// Uniform integer in [0, bound); unbiased (Lemire's rejection). bound must be above 0.
uint32_t gn_random_below(gn_random *random, uint32_t bound);

// Uniform in [0, 1): 53 random bits.
double gn_random_unit(gn_random *random);

// The next n of them, likewise.  Shape: ret_unit: [n].
void gn_random_units(gn_random *random, double *ret_unit, size_t n);

// Uniform in [low, high).
double gn_random_uniform(gn_random *random, double low, double high);

// Standard normal by Box-Muller; consumes four words, keeps nothing back.
double gn_random_normal(gn_random *random);

// One Philox4x32-10 block, for tests against the published vectors.
void gn_random_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t ret_block[4]);

#endif
