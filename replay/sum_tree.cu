// The kernels of the sum tree: threads run the steps of replay/sum_tree_device.h. Compiled without
// fused multiply-add, which would change the last bit of a draw.

#include "replay/sum_tree_device.h"

namespace
{

// A thread of a find holds two nodes' worth of doubles: small blocks spread them over the device.
constexpr unsigned GRID_BLOCK = 128;
constexpr unsigned WARP = 32;

struct step_list {
    int n;
    sum_tree_step step[SUM_TREE_STEPS_MAX];
};

__global__ void __launch_bounds__(GRID_BLOCK)
    run_step(const sum_tree_view tree, const sum_tree_batch batch, const sum_tree_step step)
{
    uint64_t i = blockIdx.x * static_cast<uint64_t>(GRID_BLOCK) + threadIdx.x;
    if (i < step.threads)
        sum_tree_step_run(&tree, &batch, &step, i);
}

// All steps by one block, which can wait for itself: cheaper than a launch a step.
__global__ void __launch_bounds__(SUM_TREE_BLOCK)
    run_steps(const sum_tree_view tree, const sum_tree_batch batch, const step_list list)
{
    for (int s = 0; s < list.n; s++) {
        if (threadIdx.x < list.step[s].threads)
            sum_tree_step_run(&tree, &batch, &list.step[s], threadIdx.x);
        __syncthreads();
    }
}

int launch(const sum_tree_view *tree, const sum_tree_batch *batch, const sum_tree_step *step,
           int steps, void *stream)
{
    cudaStream_t on = static_cast<cudaStream_t>(stream);
    if (steps == 1) {
        uint64_t blocks = (step->threads + GRID_BLOCK - 1) / GRID_BLOCK;
        if (blocks > INT32_MAX)
            return cudaErrorInvalidConfiguration;
        run_step<<<static_cast<unsigned>(blocks), GRID_BLOCK, 0, on>>>(*tree, *batch, *step);
        return cudaGetLastError();
    }
    step_list list = {};
    list.n = steps;
    uint64_t threads = 1;
    for (int s = 0; s < steps; s++) {
        list.step[s] = step[s];
        threads = step[s].threads > threads ? step[s].threads : threads;
    }
    unsigned whole_warps = (static_cast<unsigned>(threads) + WARP - 1) / WARP * WARP;
    run_steps<<<1, whole_warps, 0, on>>>(*tree, *batch, list);
    return cudaGetLastError();
}

} // namespace

extern "C" __attribute__((visibility("default")))
const sum_tree_kernels gannet_sum_tree_kernels = { launch };
