// The sum tree on a real device against that on the host. Without library, driver or device every
// test says SKIP and why.

#include "replay/sum_tree_cuda.h"

#include "tests/support/need_device.h"
#include "tests/support/sum_tree_twins.h"

// powf of CUDA is within 4 ulp, that of the C library within 1 (CUDA C++ Programming Guide,
// mathematical functions).
static const double POWF_TOLERANCE = 5 * 0x1p-23;

#define ON_A_DEVICE(name, ...) \
    static void name(void **state) \
    { \
        (void)state; \
        const cuda_runtime *cuda = need_device(); \
        __VA_ARGS__; \
    }

ON_A_DEVICE(agrees_after_random_operations, twins_agree_after_random_operations(cuda))
ON_A_DEVICE(takes_over_all_weights, twins_take_over_all_weights(cuda))
ON_A_DEVICE(weighs_as_the_buffer_does, twins_weigh_as_the_buffer_does(cuda, POWF_TOLERANCE))
ON_A_DEVICE(tells_of_bad_pairs_once, twins_tell_of_bad_pairs_once(cuda))
ON_A_DEVICE(tells_of_a_find_without_weight, twins_tell_of_a_find_without_weight(cuda))
ON_A_DEVICE(agrees_through_a_graph, twins_agree_through_a_graph(cuda))

TEST_MAIN(agrees_after_random_operations, takes_over_all_weights, weighs_as_the_buffer_does,
          tells_of_bad_pairs_once, tells_of_a_find_without_weight, agrees_through_a_graph)
