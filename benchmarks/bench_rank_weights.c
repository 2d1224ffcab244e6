// Rank weights on one core: changing a priority (remove, add), one weight, and the weights of a
// million items at once.
//
//     bench_rank_weights [--seconds S]

#include <math.h>

#include "base/random.h"
#include "benchmarks/bench.h"
#include "replay/rank_weights.h"

enum { ITEMS = 1000000 };

int main(int count, char **argument)
{
    double budget_s = bench_seconds(count, argument);
    static float priority[ITEMS], next[ITEMS];
    static double weight[ITEMS];
    gn_random random = gn_random_stream(1, GN_RANDOM_TEST, 0);
    rank_weights *ranks;
    bench_need(rank_weights_create(&ranks));
    for (size_t i = 0; i < ITEMS; i++) { // |TD errors| of normal size
        priority[i] = fabsf((float)gn_random_normal(&random));
        next[i] = fabsf((float)gn_random_normal(&random));
        rank_weights_add(ranks, priority[i]);
    }

    bench change = bench_begin("replay.rank_weights.update.1M", "ns", budget_s);
    while (bench_next(&change)) {
        for (size_t i = 0; i < ITEMS; i++) {
            rank_weights_remove(ranks, priority[i]);
            rank_weights_add(ranks, next[i]);
            float kept = priority[i];
            priority[i] = next[i];
            next[i] = kept;
        }
        bench_sample(&change, bench_elapsed(&change) * 1e9 / ITEMS);
    }
    bench_report(&change);

    bench one = bench_begin("replay.rank_weights.weight.1M", "ns", budget_s);
    while (bench_next(&one)) {
        for (size_t i = 0; i < ITEMS; i++)
            weight[i] = rank_weights_weight(ranks, priority[i], 0.7);
        bench_sample(&one, bench_elapsed(&one) * 1e9 / ITEMS);
    }
    bench_report(&one);

    bench all = bench_begin("replay.rank_weights.all.1M", "ms", budget_s);
    while (bench_next(&all)) {
        for (int round = 0; round < 5; round++)
            rank_weights_all(ranks, priority, ITEMS, 0.7, weight);
        bench_sample(&all, bench_elapsed(&all) * 1e3 / 5);
    }
    bench_report(&all);
    rank_weights_destroy(&ranks);
    return 0;
}
