// Philox4x32-10 streams. A block's counter is (number of the block, purpose, index), its key the
// seed: the stream's name and the position are the whole input of the generator.

#include "base/random.h"

#include <assert.h>
#include <math.h>
#include <string.h>

// Salmon et al. 2011, section 4.3: ten rounds of two 32 x 32 bit products, each round with a key
// that grows by a Weyl sequence (golden ratio, sqrt(3) - 1).
void gn_random_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t ret_block[4])
{
    enum { ROUNDS = 10 };
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0;
        uint64_t p1 = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
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

double gn_random_unit(gn_random *random)
{
    return (double)(gn_random_u64(random) >> 11) * 0x1p-53;
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
