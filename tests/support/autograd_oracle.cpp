extern "C" {
#include "tests/support/autograd_oracle.h"
}

#include <cmath>
#include <cstring>
#include <vector>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/nn/utils/clip_grad.h>
#include <torch/optim/adam.h>
#include <torch/optim/adamw.h>

namespace
{
at::Tensor doubles(const float *data, at::IntArrayRef shape)
{
    return at::from_blob(const_cast<float *>(data), shape, at::kFloat).to(at::kDouble);
}

void copy_out(const at::Tensor &tensor, double *ret_out)
{
    at::Tensor dense = tensor.detach().contiguous();
    std::memcpy(ret_out, dense.data_ptr<double>(), static_cast<size_t>(dense.numel()) * 8);
}
} // namespace

void oracle_network(const nn_layout *layout, const float *parameter, const float *x,
                    const float *grad_q, size_t n, double *ret_q, double *ret_gradient)
{
    const nn_spec &spec = layout->spec;
    int64_t rows = static_cast<int64_t>(n), actions = spec.actions;
    at::Tensor flat = doubles(parameter, { static_cast<int64_t>(layout->size) });
    flat.requires_grad_(true);
    at::Tensor y = doubles(x, { rows, spec.inputs });
    for (uint32_t i = 0; i < layout->slice_count; i += 2) {
        const nn_slice &weight = layout->slice[i], &bias = layout->slice[i + 1];
        int64_t inputs = weight.shape[0], outputs = weight.shape[1];
        at::Tensor w = flat.narrow(0, static_cast<int64_t>(weight.offset), inputs * outputs);
        at::Tensor b = flat.narrow(0, static_cast<int64_t>(bias.offset), outputs);
        y = at::matmul(y, w.view({ inputs, outputs })) + b;
        if (i + 2 < layout->slice_count)
            y = at::relu(y);
    }
    if (spec.dueling) {
        at::Tensor advantage = y.narrow(1, 1, actions);
        y = y.narrow(1, 0, 1) + advantage - advantage.mean(1, true);
    }
    copy_out(y, ret_q);
    at::Tensor total = (y * doubles(grad_q, { rows, actions })).sum();
    copy_out(torch::autograd::grad({ total }, { flat })[0], ret_gradient);
}

double oracle_huber_loss(const float *q, const int32_t *action, const float *target,
                         const float *weight, size_t n, size_t actions, double delta,
                         double *ret_grad_q)
{
    int64_t rows = static_cast<int64_t>(n);
    at::Tensor values = doubles(q, { rows, static_cast<int64_t>(actions) });
    values.requires_grad_(true);
    at::Tensor index = at::from_blob(const_cast<int32_t *>(action), { rows, 1 }, at::kInt);
    at::Tensor chosen = values.gather(1, index.to(at::kLong)).squeeze(1);
    at::Tensor goal = doubles(target, { rows });
    at::Tensor each = std::isinf(delta) ? (chosen - goal).square() / 2
                                        : at::huber_loss(chosen, goal, at::Reduction::None, delta);
    at::Tensor loss = (each * doubles(weight, { rows })).mean();
    copy_out(torch::autograd::grad({ loss }, { values })[0], ret_grad_q);
    return loss.item<double>();
}

namespace
{
template <class Optimizer, class Options>
void run(double *parameter, const float *gradient, size_t size, size_t steps,
         const torch_adam_config *config, double max_norm)
{
    int64_t count = static_cast<int64_t>(size);
    at::Tensor weights = at::from_blob(parameter, { count }, at::kDouble).clone();
    weights.requires_grad_(true);
    Optimizer optimizer({ weights }, Options(config->learning_rate)
                                         .betas({ config->beta1, config->beta2 })
                                         .eps(config->epsilon)
                                         .weight_decay(config->weight_decay));
    for (size_t i = 0; i < steps; i++) {
        weights.mutable_grad() = doubles(gradient + i * size, { count });
        if (max_norm > 0)
            torch::nn::utils::clip_grad_norm_({ weights }, max_norm);
        optimizer.step();
    }
    copy_out(weights, parameter);
}
} // namespace

void oracle_adam(double *parameter, const float *gradient, size_t size, size_t steps,
                 const torch_adam_config *config, double max_norm)
{
    if (config->decoupled)
        run<torch::optim::AdamW, torch::optim::AdamWOptions>(parameter, gradient, size, steps,
                                                             config, max_norm);
    else
        run<torch::optim::Adam, torch::optim::AdamOptions>(parameter, gradient, size, steps, config,
                                                           max_norm);
}
