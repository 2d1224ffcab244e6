extern "C" {
#include "tests/support/autograd_oracle.h"
#include "nn/layer.h"
}

#include <cmath>
#include <cstring>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
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

// A network being run: parameters as one leaf, values row by row.
struct run {
    const nn_layout *layout;
    at::Tensor flat, noise; // noise: undefined without
    nn_fractions fractions;
    int64_t rows;
    at::Tensor y; // [rows, features]

    at::Tensor parameter(uint32_t index) const
    {
        return part(flat, index);
    }

    at::Tensor part(const at::Tensor &buffer, uint32_t index) const
    {
        const nn_slice &slice = layout->slice[index];
        std::vector<int64_t> shape(slice.shape, slice.shape + slice.rank);
        return buffer
            .narrow(0, static_cast<int64_t>(slice.offset),
                    static_cast<int64_t>(nn_slice_size(&slice)))
            .view(shape);
    }

    // Weight or bias of a dense layer.
    at::Tensor noisy(const nn_layer &layer, uint32_t which) const
    {
        at::Tensor mean = parameter(layer.slice + which);
        if (!layer.noisy || !noise.defined())
            return mean;
        return mean + parameter(layer.slice + 2 + which) * part(noise, layer.slice + which);
    }
};

void run_dense(run &r, const nn_layer &layer)
{
    r.y = at::matmul(r.y, r.noisy(layer, 0)) + r.noisy(layer, 1);
}

void run_cosine(run &r, const nn_layer &layer)
{
    int64_t count = static_cast<int64_t>(r.fractions.count);
    at::Tensor fraction = doubles(r.fractions.value, { r.rows * count, 1 });
    at::Tensor angle = at::arange(layer.cosines, at::kDouble) * M_PI;
    at::Tensor phi = at::relu(at::matmul(at::cos(fraction * angle), r.parameter(layer.slice)) +
                              r.parameter(layer.slice + 1));
    r.y = r.y.repeat_interleave(count, 0) * phi;
}

void run_layer_norm(run &r, const nn_layer &layer)
{
    r.y = at::layer_norm(r.y, { layer.outputs }, r.parameter(layer.slice),
                         r.parameter(layer.slice + 1), 1e-5);
}

// Inputs behind a window, to be put behind what comes of it; x becomes the picture.
at::Tensor take_picture(at::Tensor &x, const nn_layer &layer)
{
    int64_t size = x.size(1) - layer.extra;
    at::Tensor extra = x.narrow(1, size, layer.extra);
    x = x.narrow(1, 0, size)
            .reshape({ x.size(0), layer.in.channels, layer.in.height, layer.in.width });
    return extra;
}

void run_transpose(run &r, const nn_layer &layer)
{
    int64_t channels = layer.in.channels, bars = layer.in.width;
    if (!layer.channels_last)
        return;
    at::Tensor window = r.y.narrow(1, 0, channels * bars).view({ r.rows, bars, channels });
    at::Tensor extra = r.y.narrow(1, channels * bars, r.y.size(1) - channels * bars);
    r.y = at::cat({ window.transpose(1, 2).flatten(1), extra }, 1);
}

at::Tensor convolve(const run &r, const at::Tensor &x, const nn_layer &layer, uint32_t slice)
{
    at::Tensor weight = r.parameter(slice).view(
        { layer.out.channels, layer.in.channels, layer.kernel[0], layer.kernel[1] });
    return at::conv2d(x, weight, r.parameter(slice + 1), { layer.step[0], layer.step[1] },
                      at::IntArrayRef{ layer.border[0], layer.border[1] });
}

void run_convolution(run &r, const nn_layer &layer)
{
    at::Tensor extra = take_picture(r.y, layer);
    r.y = at::cat({ convolve(r, r.y, layer, layer.slice).flatten(1), extra }, 1);
}

void run_pooling(run &r, const nn_layer &layer)
{
    take_picture(r.y, layer);
    r.y = at::max_pool2d(r.y, { layer.kernel[0], layer.kernel[1] },
                         { layer.step[0], layer.step[1] }, { layer.border[0], layer.border[1] })
              .flatten(1);
}

void run_residual(run &r, const nn_layer &layer)
{
    take_picture(r.y, layer);
    at::Tensor middle = at::relu(convolve(r, at::relu(r.y), layer, layer.slice));
    r.y = (r.y + convolve(r, middle, layer, layer.slice + 2)).flatten(1);
}

// Cell by cell, with the cells of LibTorch.
void run_recurrent(run &r, const nn_layer &layer)
{
    at::Tensor extra = take_picture(r.y, layer);
    at::Tensor hidden = at::zeros({ r.rows, layer.outputs - layer.extra }, at::kDouble);
    at::Tensor cell = hidden, weight[4];
    for (uint32_t i = 0; i < 4; i++)
        weight[i] = i < 2 ? r.parameter(layer.slice + i).t() : r.parameter(layer.slice + i);
    for (int64_t t = 0; t < layer.in.width; t++) {
        at::Tensor x = r.y.select(3, t).squeeze(2);
        if (layer.kind == &nn_lstm)
            std::tie(hidden, cell) =
                at::lstm_cell(x, { hidden, cell }, weight[0], weight[1], weight[2], weight[3]);
        else
            hidden = at::gru_cell(x, hidden, weight[0], weight[1], weight[2], weight[3]);
    }
    r.y = at::cat({ hidden, extra }, 1);
}

const struct {
    const nn_layer_class *kind;
    void (*apply)(run &, const nn_layer &);
} layer_oracles[] = {
    { &nn_dense, run_dense },         { &nn_wide_head, run_dense },
    { &nn_cosine, run_cosine },       { &nn_layer_norm, run_layer_norm },
    { &nn_transpose, run_transpose }, { &nn_convolution, run_convolution },
    { &nn_pooling, run_pooling },     { &nn_residual, run_residual },
    { &nn_lstm, run_recurrent },      { &nn_gru, run_recurrent },
};

void run_layer(run &r, const nn_layer &layer)
{
    for (const auto &oracle : layer_oracles)
        if (oracle.kind == layer.kind)
            oracle.apply(r, layer);
    int64_t features = r.y.size(1) - layer.extra; // what lies behind them is passed on
    if (layer.relu)
        r.y = at::cat(
            { at::relu(r.y.narrow(1, 0, features)), r.y.narrow(1, features, layer.extra) }, 1);
}

// From the head's outputs to [rows, actions, width].
void run_head(run &r)
{
    const nn_spec &spec = r.layout->spec;
    int64_t actions = spec.actions, all = actions + spec.dueling;
    if (spec.cosines)
        r.y = r.y.view({ r.rows, -1, all }).transpose(1, 2);
    else
        r.y = r.y.view({ r.rows, all, spec.width });
    if (spec.dueling) {
        at::Tensor advantage = r.y.narrow(1, 1, actions);
        r.y = r.y.narrow(1, 0, 1) + advantage - advantage.mean(1, true);
    }
}
} // namespace

void oracle_network(const nn_layout *layout, const double *parameter, const float *noise,
                    const float *x, nn_fractions fractions, const int32_t *action,
                    const float *grad, size_t n, double *ret_out, double *ret_gradient)
{
    int64_t rows = static_cast<int64_t>(n), size = static_cast<int64_t>(layout->size);
    at::set_num_threads(1); // more would wait for each other most of the time
    at::Tensor flat = at::from_blob(const_cast<double *>(parameter), { size }, at::kDouble).clone();
    run r{ layout,
           flat.requires_grad_(true),
           noise ? doubles(noise, { size }) : at::Tensor(),
           fractions,
           rows,
           doubles(x, { rows, layout->spec.inputs }) };
    for (uint32_t i = 0; i < layout->layer_count; i++)
        run_layer(r, layout->layer[i]);
    run_head(r);
    copy_out(r.y, ret_out);
    int64_t width = r.y.size(2);
    at::Tensor index = at::from_blob(const_cast<int32_t *>(action), { rows, 1, 1 }, at::kInt);
    at::Tensor chosen = r.y.gather(1, index.to(at::kLong).expand({ rows, 1, width })).squeeze(1);
    at::Tensor total = (chosen * doubles(grad, { rows, width })).sum();
    copy_out(torch::autograd::grad({ total }, { r.flat })[0], ret_gradient);
}

double oracle_huber_loss(const float *q, const float *target, const float *weight, size_t n,
                         double delta, double *ret_grad_q)
{
    int64_t rows = static_cast<int64_t>(n);
    at::Tensor values = doubles(q, { rows }).requires_grad_(true);
    at::Tensor goal = doubles(target, { rows });
    at::Tensor each = std::isinf(delta) ? (values - goal).square() / 2
                                        : at::huber_loss(values, goal, at::Reduction::None, delta);
    at::Tensor loss = (each * doubles(weight, { rows })).mean();
    copy_out(torch::autograd::grad({ loss }, { values })[0], ret_grad_q);
    return loss.item<double>();
}

// Heads: chosen outputs x [n, width] and targets [n, target_width] in, losses and errors [n] out.
namespace
{
struct head_result {
    at::Tensor loss, error;
};

at::Tensor atoms_of(const nn_head *head)
{
    return at::linspace(head->config.v_min, head->config.v_max, head->config.atoms, at::kDouble);
}

head_result scalar_loss(const nn_head *head, const at::Tensor &x, const at::Tensor &target)
{
    double delta = head->config.huber_delta;
    at::Tensor each = std::isinf(delta) ? (x - target).square() / 2
                                        : at::huber_loss(x, target, at::Reduction::None, delta);
    return { each.squeeze(1), (x - target).abs().squeeze(1) };
}

head_result categorical_loss(const nn_head *, const at::Tensor &x, const at::Tensor &target)
{
    at::Tensor log_p = at::log_softmax(x, 1);
    at::Tensor loss = -(target * log_p).sum(1);
    return { loss, at::xlogy(target, target).sum(1) + loss };
}

head_result two_hot_loss(const nn_head *head, const at::Tensor &x, const at::Tensor &target)
{
    at::Tensor atoms = atoms_of(head);
    double gap = (head->config.v_max - head->config.v_min) / double(head->config.atoms - 1);
    at::Tensor hot = at::clamp_min(1 - (target - atoms.unsqueeze(0)).abs() / gap, 0);
    at::Tensor mean = (at::softmax(x, 1) * atoms).sum(1);
    return { -(hot * at::log_softmax(x, 1)).sum(1), (mean - target.squeeze(1)).abs() };
}

head_result quantile_loss(const nn_head *head, const at::Tensor &x, const at::Tensor &target,
                          const at::Tensor &fraction)
{
    double kappa = head->config.kappa;
    at::Tensor u = target.unsqueeze(2) - x.unsqueeze(1); // [n, targets, quantiles]
    at::Tensor size =
        kappa == 0 ? u.abs()
                   : at::where(u.abs() <= kappa, u.square() / 2, kappa * (u.abs() - kappa / 2));
    at::Tensor share = (fraction.unsqueeze(1) - (u < 0).to(at::kDouble)).abs();
    return { (share * size).sum(2).mean(1), u.abs().mean({ 1, 2 }) };
}

// E|X - Y| of two mixtures, each [n, components] of weights, means, deviations.
using mixture = std::vector<at::Tensor>;
at::Tensor mean_distance(const mixture &x, const mixture &y)
{
    at::Tensor m = x[1].unsqueeze(2) - y[1].unsqueeze(1);
    at::Tensor s = (x[2].square().unsqueeze(2) + y[2].square().unsqueeze(1)).sqrt();
    s = at::clamp_min(s, 1e-20);
    at::Tensor z = m / s;
    at::Tensor each =
        s * std::sqrt(2 / M_PI) * (-z.square() / 2).exp() + m * at::erf(z / std::sqrt(2.0));
    return (x[0].unsqueeze(2) * y[0].unsqueeze(1) * each).sum({ 1, 2 });
}

head_result mixture_loss(const nn_head *, const at::Tensor &out, const at::Tensor &target)
{
    mixture x = out.chunk(3, 1), y = target.chunk(3, 1);
    x[0] = at::softmax(x[0], 1);
    x[2] = at::softplus(x[2]) + 1e-6;
    at::Tensor loss = mean_distance(x, y) - mean_distance(x, x) / 2 - mean_distance(y, y) / 2;
    return { loss, loss };
}
} // namespace

double oracle_head_loss(const nn_head *head, const nn_head_batch *batch, double *ret_error,
                        double *ret_grad)
{
    int64_t n = static_cast<int64_t>(batch->n), width = static_cast<int64_t>(batch->width);
    at::Tensor x = doubles(batch->out, { n, width }).requires_grad_(true);
    at::Tensor target = doubles(batch->target, { n, static_cast<int64_t>(batch->target_width) });
    at::Tensor fraction = (at::arange(width, at::kDouble) + 0.5).unsqueeze(0) / double(width);
    if (batch->fraction)
        fraction = doubles(batch->fraction, { n, width });
    head_result result;
    switch (head->config.kind) {
    case NN_HEAD_SCALAR:
        result = scalar_loss(head, x, target);
        break;
    case NN_HEAD_CATEGORICAL:
        result = categorical_loss(head, x, target);
        break;
    case NN_HEAD_TWO_HOT:
        result = two_hot_loss(head, x, target);
        break;
    case NN_HEAD_GAUSSIAN_MIXTURE:
        result = mixture_loss(head, x, target);
        break;
    default:
        result = quantile_loss(head, x, target, fraction);
    }
    at::Tensor loss = (result.loss * doubles(batch->weight, { n })).mean();
    copy_out(result.error, ret_error);
    copy_out(torch::autograd::grad({ loss }, { x })[0], ret_grad);
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
