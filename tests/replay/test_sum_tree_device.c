// The sum tree of a device with its threads emulated in every order: forward, reverse and shuffled.

#include "replay/sum_tree_cuda.h"

#include "base/mem.h"
#include "tests/replay/device_emulation.h"
#include "tests/support/sum_tree_twins.h"

// Each body in each order.
#define IN_EVERY_ORDER(name, ...) \
    static void name(void **state) \
    { \
        (void)state; \
        for (emulation_order order = FORWARD; order < EMULATION_ORDERS; order++) { \
            emulation_begin(order); \
            __VA_ARGS__; \
        } \
    }

IN_EVERY_ORDER(agrees_after_random_operations, twins_agree_after_random_operations(&emulation))
IN_EVERY_ORDER(takes_over_all_weights, twins_take_over_all_weights(&emulation))
IN_EVERY_ORDER(weighs_as_the_buffer_does, twins_weigh_as_the_buffer_does(&emulation, 0))
IN_EVERY_ORDER(tells_of_bad_pairs_once, twins_tell_of_bad_pairs_once(&emulation))
IN_EVERY_ORDER(tells_of_a_find_without_weight, twins_tell_of_a_find_without_weight(&emulation))
IN_EVERY_ORDER(agrees_through_a_graph, twins_agree_through_a_graph(&emulation))

// Of a million items: 7 levels. 256 pairs are one launch; of 5000 only the small levels join.
static void allocates_nothing_and_launches_little(void **state)
{
    (void)state;
    static twins t;
    emulation_begin(FORWARD);
    twins_create(&t, &emulation, 1000000);
    twins_draw_pairs(&t);
    t.here.weighing = (sum_tree_weighing){ 0.5, 0, 1 };
    twins_send(&t);
    uint64_t allocations = gn_mem_allocations(), launches = emulation_launches;
    twins_set_device(&t, 256);
    assert_int_equal(emulation_launches - launches, 1);
    twins_find_device(&t, 256);
    assert_int_equal(emulation_launches - launches, 2);
    expect_ok(sum_tree_cuda_weigh(t.device, t.there->found_weight, 256, &t.there->weighing,
                                  SUM_TREE_LEAST_OF_BATCH, t.there->importance, t.stream));
    assert_int_equal(emulation_launches - launches, 3);
    // Claim, write, and levels of 125000, 15625, 1954 nodes; those of 245, 31 and 4 together.
    twins_set_device(&t, TWIN_BATCH);
    assert_int_equal(emulation_launches - launches, 3 + 6);
    twins_set_device(&t, 0);
    twins_find_device(&t, 0);
    assert_int_equal(emulation_launches - launches, 9);
    assert_int_equal(gn_mem_allocations(), allocations);
    twins_destroy(&t);
}

static const void *find_nothing(const char *symbol)
{
    (void)symbol;
    return NULL;
}

static void reports_what_the_runtime_reports(void **state)
{
    (void)state;
    static twins t;
    sum_tree_cuda *tree;
    emulation_begin(FORWARD);
    expect_fails(GN_ERR_ARG, "1 to 2^40", sum_tree_cuda_create(&tree, &emulation, 0));
    cuda_runtime bare = emulation;
    bare.find = find_nothing;
    expect_fails(GN_ERR_UNSUPPORTED, "no kernels", sum_tree_cuda_create(&tree, &bare, 1));
    twins_create(&t, &emulation, 100);
    emulation_error = EMULATION_MEMORY;
    expect_fails(GN_ERR_BACKEND, "cuda: memory of a sum tree: out of memory",
                 sum_tree_cuda_create(&tree, &emulation, 100));
    emulation_error = EMULATION_OTHER;
    expect_fails(GN_ERR_BACKEND, "cuda: launch of a sum tree's kernel: error of the emulation",
                 sum_tree_cuda_set(t.device, t.there->item, t.there->weight, 1, t.stream));
    expect_fails(GN_ERR_BACKEND, "cuda: ", sum_tree_cuda_check(t.device, t.stream));
    emulation_error = 0;
    twins_destroy(&t);
}

static void failed_allocations_leak_nothing(void **state)
{
    (void)state;
    emulation_begin(FORWARD);
    uint64_t live = gn_mem_live();
    sum_tree_cuda *tree;
    for (uint64_t n = 1;; n++) {
        gn_mem_fail_at(n);
        gn_status status = sum_tree_cuda_create(&tree, &emulation, 1000);
        gn_mem_fail_at(0);
        if (status == GN_OK)
            break;
        assert_int_equal(gn_mem_live(), live);
    }
    sum_tree_cuda_destroy(&tree);
    sum_tree_cuda_destroy(&tree);
    assert_int_equal(gn_mem_live(), live);
}

TEST_MAIN(agrees_after_random_operations, takes_over_all_weights, weighs_as_the_buffer_does,
          tells_of_bad_pairs_once, tells_of_a_find_without_weight, agrees_through_a_graph,
          allocates_nothing_and_launches_little, reports_what_the_runtime_reports,
          failed_allocations_leak_nothing)
