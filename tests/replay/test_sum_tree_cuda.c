// The sum tree on a real device against that on the host. Without library, driver or device every
// test says SKIP and why.

#include "replay/sum_tree_cuda.h"

#include "tests/support/sum_tree_twins.h"

// powf of CUDA is within 4 ulp, that of the C library within 1 (CUDA C++ Programming Guide,
// mathematical functions).
static const double POWF_TOLERANCE = 5 * 0x1p-23;

static const cuda_runtime *open_or_skip(void)
{
    const cuda_runtime *cuda = NULL;
    gn_status status = cuda_open(&cuda, NULL, 0);
    if (status != GN_OK) {
        assert_int_equal(status, GN_ERR_UNSUPPORTED);
        print_message("SKIP: %s\n", gn_error_text());
        skip();
    }
    return cuda;
}

#define ON_A_DEVICE(name, ...) \
    static void name(void **state) \
    { \
        (void)state; \
        const cuda_runtime *cuda = open_or_skip(); \
        __VA_ARGS__; \
    }

ON_A_DEVICE(agrees_after_random_operations, twins_agree_after_random_operations(cuda))
ON_A_DEVICE(goes_up_to_the_device_and_back, twins_go_up_and_back(cuda))
ON_A_DEVICE(weighs_as_the_buffer_does, twins_weigh_as_the_buffer_does(cuda, POWF_TOLERANCE))
ON_A_DEVICE(tells_of_bad_pairs_once, twins_tell_of_bad_pairs_once(cuda))
ON_A_DEVICE(tells_of_a_find_without_weight, twins_tell_of_a_find_without_weight(cuda))
ON_A_DEVICE(agrees_through_a_graph, twins_agree_through_a_graph(cuda))

TEST_MAIN(agrees_after_random_operations, goes_up_to_the_device_and_back, weighs_as_the_buffer_does,
          tells_of_bad_pairs_once, tells_of_a_find_without_weight, agrees_through_a_graph)
