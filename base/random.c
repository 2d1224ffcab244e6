// Philox4x32-10 streams. A block's counter is (number of the block, purpose, index), its key the
// seed: the stream's name and the position are the whole input of the generator.

#include "base/random.h"

#include <assert.h>
#include <math.h>
#include <string.h>

// Salmon et al. 2011, section 4.3: ten rounds of two 32 x 32 bit products, each round with a key
// that grows by a Weyl sequence (golden ratio, sqrt(3) - 1).
enum { ROUNDS = 10 };
static const uint32_t FACTOR_0 = 0xD2511F53, FACTOR_1 = 0xCD9E8D57;
static const uint32_t KEY_STEP_0 = 0x9E3779B9, KEY_STEP_1 = 0xBB67AE85;

void gn_random_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t ret_block[4])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t p0 = (uint64_t)FACTOR_0 * c0;
        uint64_t p1 = (uint64_t)FACTOR_1 * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += KEY_STEP_0;
        k1 += KEY_STEP_1;
    }
    ret_block[0] = c0;
    ret_block[1] = c1;
    ret_block[2] = c2;
    ret_block[3] = c3;
}

static void load_block(gn_random *random)
{
    uint64_t number = random->position / 4;
    const uint32_t counter[4] = { (uint32_t)number, (uint32_t)(number >> 32), random->purpose,
                                  random->index };
    const uint32_t key[2] = { (uint32_t)random->seed, (uint32_t)(random->seed >> 32) };
    gn_random_philox(counter, key, random->block);
}

gn_random gn_random_stream(uint64_t seed, gn_random_purpose purpose, uint32_t index)
{
    return (gn_random){ .seed = seed, .purpose = purpose, .index = index };
}

void gn_random_seek(gn_random *random, uint64_t position)
{
    random->position = position;
    if (position % 4 != 0)
        load_block(random);
}

void gn_random_save(const gn_random *random, const char *section, gn_blob *out)
{
    gn_blob_write(out, section, &random->position, sizeof random->position);
}

void gn_random_load(gn_random *random, const char *section, gn_blob *in)
{
    uint64_t position = 0;
    gn_blob_read(in, section, &position, sizeof position);
    gn_random_seek(random, position);
}

uint32_t gn_random_u32(gn_random *random)
{
    if (random->position % 4 == 0)
        load_block(random);
    return random->block[random->position++ % 4];
}

uint64_t gn_random_u64(gn_random *random)
{
    uint64_t low = gn_random_u32(random);
    return low | (uint64_t)gn_random_u32(random) << 32;
}

// The high half of word * bound is the result. Words whose low half falls below 2^32 mod bound
// would make some results likelier and are drawn again.
// Source: Lemire, "Fast random integer generation in an interval", TOMACS 2019.
uint32_t gn_random_below(gn_random *random, uint32_t bound)
{
    assert(bound > 0);
    uint64_t product = (uint64_t)gn_random_u32(random) * bound;
    if ((uint32_t)product < bound) {
        uint32_t excess = -bound % bound;
        while ((uint32_t)product < excess)
            product = (uint64_t)gn_random_u32(random) * bound;
    }
    return (uint32_t)(product >> 32);
}

static double unit_of(uint64_t bits)
{
    return (double)(bits >> 11) * 0x1p-53;
}

double gn_random_unit(gn_random *random)
{
    return unit_of(gn_random_u64(random));
}

// Blocks side by side, each step of the rounds for all of them: the compiler makes vectors of it.
// It does not of a round that gn_random_philox shares, by pointer or by value: half as fast.
enum { LANES = 16 };
typedef uint32_t lanes[LANES];

static void round_of_lanes(lanes c[4], const uint32_t k[2])
{
    for (int i = 0; i < LANES; i++) {
        uint64_t p0 = (uint64_t)FACTOR_0 * c[0][i];
        uint64_t p1 = (uint64_t)FACTOR_1 * c[2][i];
        c[0][i] = (uint32_t)(p1 >> 32) ^ c[1][i] ^ k[0];
        c[1][i] = (uint32_t)p1;
        c[2][i] = (uint32_t)(p0 >> 32) ^ c[3][i] ^ k[1];
        c[3][i] = (uint32_t)p0;
    }
}

// The words of the next LANES blocks.
static void next_lanes(gn_random *random, uint32_t ret_word[4 * LANES])
{
    lanes c[4];
    uint32_t k[] = { (uint32_t)random->seed, (uint32_t)(random->seed >> 32) };
    for (int i = 0; i < LANES; i++) {
        uint64_t number = (random->position + 4 * (uint64_t)i) / 4; // wraps as positions do
        c[0][i] = (uint32_t)number;
        c[1][i] = (uint32_t)(number >> 32);
        c[2][i] = random->purpose;
        c[3][i] = random->index;
    }
    for (int round = 0; round < ROUNDS; round++) {
        round_of_lanes(c, k);
        k[0] += KEY_STEP_0;
        k[1] += KEY_STEP_1;
    }
    for (int i = 0; i < LANES; i++)
        for (int word = 0; word < 4; word++)
            ret_word[4 * i + word] = c[word][i];
    random->position += 4 * LANES;
}

void gn_random_words(gn_random *random, uint32_t *ret_word, size_t n)
{
    size_t i = 0;
    while (i < n) {
        if (random->position % 4 == 0 && n - i >= 4 * LANES) {
            next_lanes(random, ret_word + i);
            i += 4 * LANES;
        } else {
            ret_word[i++] = gn_random_u32(random);
        }
    }
}

void gn_random_units(gn_random *random, double *ret_unit, size_t n)
{
    enum { SOME = 2 * LANES };
    for (size_t first = 0; first < n; first += SOME) {
        uint32_t word[2 * SOME];
        size_t some = n - first < SOME ? n - first : SOME;
        gn_random_words(random, word, 2 * some);
        for (size_t i = 0; i < some; i++)
            ret_unit[first + i] = unit_of(word[2 * i] | (uint64_t)word[2 * i + 1] << 32);
    }
}

double gn_random_uniform(gn_random *random, double low, double high)
{
    assert(low < high);
    double value = low + (high - low) * gn_random_unit(random);
    return value < high ? value : nextafter(high, low); // the sum may round up to `high`
}

double gn_random_normal(gn_random *random)
{
    const double two_pi = 6.283185307179586;
    double radius = sqrt(-2 * log(1 - gn_random_unit(random))); // 1 - u: never log(0)
    return radius * cos(two_pi * gn_random_unit(random));
}
