// Splits: what belongs to whom, and that nothing belongs to two.

#include "market/splits.h"

#include "tests/support/check.h"

static market_range range_of(const market_split_config *config, market_split split, uint64_t warmup,
                             uint64_t count)
{
    market_range range;
    expect_ok(market_split_range(&range, config, split, warmup, count, 1));
    return range;
}

static void cuts_by_shares_with_the_embargo_after_each_cut(void **state)
{
    (void)state;
    const market_split_config config = { .train = 0.7, .validation = 0.2, .embargo = 10 };
    market_range train = range_of(&config, MARKET_TRAIN, 100, 1100);
    market_range validation = range_of(&config, MARKET_VALIDATION, 100, 1100);
    market_range test = range_of(&config, MARKET_TEST, 100, 1100);
    market_range all = range_of(&config, MARKET_ALL, 100, 1100);
    assert_int_equal(train.first, 100);
    assert_int_equal(train.end, 800);
    assert_int_equal(validation.first, 810);
    assert_int_equal(validation.end, 1000);
    assert_int_equal(test.first, 1010);
    assert_int_equal(test.end, 1100);
    assert_int_equal(all.first, 100);
    assert_int_equal(all.end, 1100);
}

static void splits_never_overlap(void **state)
{
    (void)state;
    test_rng rng = test_rng_seed(1);
    for (int round = 0; round < 10000; round++) {
        market_split_config config = { .train = test_rng_unit(&rng),
                                       .embargo = (int64_t)test_rng_below(&rng, 50) };
        config.validation = (1 - config.train) * test_rng_unit(&rng);
        uint64_t warmup = test_rng_below(&rng, 100), count = test_rng_below(&rng, 2000);
        uint64_t free_from = warmup;
        for (int split = MARKET_TRAIN; split <= MARKET_TEST; split++) {
            market_range range;
            expect_ok(market_split_range(&range, &config, (market_split)split, warmup, count, 0));
            assert_true(range.first <= range.end);
            if (range.first == range.end)
                continue;
            assert_true(range.first >= free_from && range.end <= count);
            free_from = range.end + (uint64_t)config.embargo;
        }
    }
}

static void says_which_split_is_too_short(void **state)
{
    (void)state;
    market_split_config config = { .train = 0.7, .validation = 0.15, .embargo = 64 };
    market_range range = { 1, 2 };
    expect_fails(GN_ERR_CONFIG, "split validation has 86 bars of the 100 needed",
                 market_split_range(&range, &config, MARKET_VALIDATION, 256, 1256, 100));
    expect_fails(GN_ERR_CONFIG, "split all has 0 bars of the 1 needed (200 bars, 200 of them",
                 market_split_range(&range, &config, MARKET_ALL, 256, 200, 1));
    config.validation = 0;
    expect_fails(GN_ERR_CONFIG, "split validation has 0 bars",
                 market_split_range(&range, &config, MARKET_VALIDATION, 256, 5000, 1));
    config = (market_split_config){ .train = 0.8, .validation = 0.3 };
    expect_fails(GN_ERR_CONFIG, "split.train 0.8 + split.validation 0.3 is above 1",
                 market_split_range(&range, &config, MARKET_TRAIN, 0, 100, 1));
    assert_true(range.first == 1 && range.end == 2);
}

TEST_MAIN(cuts_by_shares_with_the_embargo_after_each_cut, splits_never_overlap,
          says_which_split_is_too_short)
