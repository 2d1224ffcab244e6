// Layer by layer: forward keeps tensors in the layer, backward reads them, writes the gradients of
// the layer's slices where they belong in the flat buffer, and returns the gradient of its input.
// Values are [rows, features] between layers.
//
// Only recurrent layers record gradients: LibTorch's explicit operations for them differ between
// devices, and its lstm and gru do not.

#include "shim/torch_internal.h"

extern "C" {
#include "shim/torch_network.h"
}

#include <cmath>
#include <memory>
#include <vector>

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>

using namespace torch_internal;
using at::Tensor;

namespace
{
// The flat buffers of a pass.
struct buffers {
    Tensor parameter, noise, gradient; // noise, gradient: undefined without
    Tensor fraction; // [rows * fractions, 1], double
    int64_t rows, fractions;
};

Tensor part(const Tensor &flat, int64_t offset, at::IntArrayRef shape)
{
    return flat.narrow(0, offset, c10::multiply_integers(shape)).view(shape);
}

class layer
{
  public:
    explicit layer(const torch_layer &spec_) : spec(spec_)
    {
    }
    virtual ~layer() = default;
    virtual Tensor forward(const buffers &b, const Tensor &x) = 0;
    // May overwrite g. The result is undefined where spec.lowest.
    virtual Tensor backward(const buffers &b, Tensor g) = 0;

    const torch_layer spec;

  protected:
    Tensor activate(const Tensor &y) const
    {
        return spec.relu ? at::relu(y) : y;
    }
    // From the gradient of activate(y), given its result.
    Tensor deactivate(const Tensor &g, const Tensor &y) const
    {
        return spec.relu ? at::threshold_backward(g, y, 0) : g;
    }
};

// --- dense

class dense : public layer
{
    Tensor x, weight, y;

    // Weight or bias, with noise.
    Tensor noisy(const buffers &b, int which, at::IntArrayRef shape) const
    {
        Tensor mean = part(b.parameter, spec.offset[which], shape);
        if (!spec.noisy || !b.noise.defined())
            return mean;
        return at::addcmul(mean, part(b.parameter, spec.offset[2 + which], shape),
                           part(b.noise, spec.offset[which], shape));
    }

    // The gradient of a deviation, from that of what it is added to.
    void write_deviation(const buffers &b, int which, at::IntArrayRef shape) const
    {
        if (!spec.noisy)
            return;
        Tensor to = part(b.gradient, spec.offset[2 + which], shape);
        if (b.noise.defined())
            at::mul_out(to, part(b.gradient, spec.offset[which], shape),
                        part(b.noise, spec.offset[which], shape));
        else
            to.zero_();
    }

  public:
    using layer::layer;

    Tensor forward(const buffers &b, const Tensor &x_) override
    {
        x = x_;
        weight = noisy(b, 0, { spec.inputs, spec.outputs });
        return y = activate(at::addmm(noisy(b, 1, { spec.outputs }), x, weight));
    }

    Tensor backward(const buffers &b, Tensor g) override
    {
        g = deactivate(g, y);
        Tensor to_weight = part(b.gradient, spec.offset[0], { spec.inputs, spec.outputs });
        Tensor to_bias = part(b.gradient, spec.offset[1], { spec.outputs });
        at::mm_out(to_weight, x.t(), g);
        at::sum_out(to_bias, g, 0);
        write_deviation(b, 0, { spec.inputs, spec.outputs });
        write_deviation(b, 1, { spec.outputs });
        return spec.lowest ? Tensor() : g.mm(weight.t());
    }
};

// --- implicit quantiles

class cosine : public layer
{
    Tensor x, angle, phi;

    Tensor by_row(const buffers &b, const Tensor &values) const
    {
        return values.view({ b.rows, b.fractions, spec.outputs });
    }

  public:
    using layer::layer;

    Tensor forward(const buffers &b, const Tensor &x_) override
    {
        x = x_.unsqueeze(1);
        Tensor k = at::arange(spec.cosines, b.fraction.options()) * M_PI;
        angle = at::cos(b.fraction * k).to(at::kFloat);
        phi =
            at::relu(at::addmm(part(b.parameter, spec.offset[1], { spec.outputs }), angle,
                               part(b.parameter, spec.offset[0], { spec.cosines, spec.outputs })));
        return (x * by_row(b, phi)).view({ -1, spec.outputs });
    }

    Tensor backward(const buffers &b, Tensor g) override
    {
        Tensor to_phi = (by_row(b, g) * x).view({ -1, spec.outputs });
        to_phi = at::threshold_backward(to_phi, phi, 0);
        Tensor to_weight = part(b.gradient, spec.offset[0], { spec.cosines, spec.outputs });
        Tensor to_bias = part(b.gradient, spec.offset[1], { spec.outputs });
        at::mm_out(to_weight, angle.t(), to_phi);
        at::sum_out(to_bias, to_phi, 0);
        return spec.lowest ? Tensor() : by_row(b, g * phi).sum(1);
    }
};

// --- layer norm

class layer_norm : public layer
{
    Tensor x, mean, scale, y;

  public:
    using layer::layer;

    Tensor forward(const buffers &b, const Tensor &x_) override
    {
        x = x_;
        std::tie(y, mean, scale) = at::native_layer_norm(
            x, { spec.outputs }, part(b.parameter, spec.offset[0], { spec.outputs }),
            part(b.parameter, spec.offset[1], { spec.outputs }), 1e-5);
        return y = activate(y);
    }

    Tensor backward(const buffers &b, Tensor g) override
    {
        auto [to_x, to_gain, to_shift] = at::native_layer_norm_backward(
            deactivate(g, y), x, { spec.outputs }, mean, scale,
            part(b.parameter, spec.offset[0], { spec.outputs }),
            part(b.parameter, spec.offset[1], { spec.outputs }), { true, true, true });
        part(b.gradient, spec.offset[0], { spec.outputs }).copy_(to_gain);
        part(b.gradient, spec.offset[1], { spec.outputs }).copy_(to_shift);
        return to_x;
    }
};

// --- encoders: pictures, and inputs behind them

class encoder : public layer
{
    int64_t pixels(const torch_picture &p) const
    {
        return p.channels * p.height * p.width;
    }

    Tensor cut(const Tensor &rows, const torch_picture &p, Tensor &ret_extra) const
    {
        int64_t size = pixels(p);
        ret_extra = rows.narrow(1, size, spec.extra);
        return rows.narrow(1, 0, size).reshape({ rows.size(0), p.channels, p.height, p.width });
    }

    Tensor join(const Tensor &picture, const Tensor &extra) const
    {
        Tensor features = picture.flatten(1);
        return spec.extra ? at::cat({ features, extra }, 1) : features;
    }

    Tensor y;

  protected:
    virtual Tensor see(const buffers &b, const Tensor &picture) = 0;
    virtual Tensor back(const buffers &b, const Tensor &g) = 0;

  public:
    using layer::layer;

    Tensor forward(const buffers &b, const Tensor &x) override
    {
        Tensor extra, picture = cut(x, spec.in, extra);
        y = activate(see(b, picture));
        return join(y, extra);
    }

    Tensor backward(const buffers &b, Tensor g) override
    {
        Tensor extra, to_y = cut(g, spec.out, extra);
        Tensor to_picture = back(b, deactivate(to_y, y));
        return to_picture.defined() ? join(to_picture, extra) : Tensor();
    }
};

class bars : public layer
{
  public:
    using layer::layer;

    Tensor forward(const buffers &, const Tensor &x) override
    {
        int64_t features = spec.in.channels, count = spec.in.width, size = features * count;
        Tensor window = x.narrow(1, 0, size).view({ x.size(0), count, features });
        return at::cat({ window.transpose(1, 2).flatten(1), x.narrow(1, size, x.size(1) - size) },
                       1);
    }

    Tensor backward(const buffers &, Tensor) override
    {
        return {};
    }
};

at::IntArrayRef pair(const int64_t (&values)[2])
{
    return { values, 2 };
}

// One convolution of a layer, whose weight and bias are slices `first` and first + 1.
class convolver
{
    const torch_layer &spec;
    int first;
    Tensor x, weight;

    at::SmallVector<int64_t, 4> shape() const
    {
        return { spec.out.channels, x.size(1), spec.kernel[0], spec.kernel[1] };
    }

  public:
    convolver(const torch_layer &spec_, int first_) : spec(spec_), first(first_)
    {
    }

    Tensor forward(const buffers &b, const Tensor &x_)
    {
        x = x_;
        weight = part(b.parameter, spec.offset[first], shape());
        Tensor bias = part(b.parameter, spec.offset[first + 1], { spec.out.channels });
        return at::convolution(x, weight, bias, pair(spec.step), pair(spec.border), { 1, 1 }, false,
                               { 0, 0 }, 1);
    }

    Tensor backward(const buffers &b, const Tensor &g, bool need_input)
    {
        auto [to_x, to_weight, to_bias] = at::convolution_backward(
            g, x, weight, at::IntArrayRef{ spec.out.channels }, pair(spec.step), pair(spec.border),
            { 1, 1 }, false, { 0, 0 }, 1, { need_input, true, true });
        part(b.gradient, spec.offset[first], shape()).copy_(to_weight);
        part(b.gradient, spec.offset[first + 1], { spec.out.channels }).copy_(to_bias);
        return to_x;
    }
};

class convolution : public encoder
{
    convolver inner{ spec, 0 };

    Tensor see(const buffers &b, const Tensor &picture) override
    {
        return inner.forward(b, picture);
    }

    Tensor back(const buffers &b, const Tensor &g) override
    {
        return inner.backward(b, g, !spec.lowest);
    }

  public:
    using encoder::encoder;
};

class residual : public encoder
{
    convolver first{ spec, 0 }, second{ spec, 2 };
    Tensor begin, middle;

    Tensor see(const buffers &b, const Tensor &picture) override
    {
        begin = at::relu(picture);
        middle = at::relu(first.forward(b, begin));
        return picture + second.forward(b, middle);
    }

    Tensor back(const buffers &b, const Tensor &g) override
    {
        Tensor to_middle = at::threshold_backward(second.backward(b, g, true), middle, 0);
        return g + at::threshold_backward(first.backward(b, to_middle, true), begin, 0);
    }

  public:
    using encoder::encoder;
};

class pooling : public encoder
{
    Tensor x, place;

    Tensor see(const buffers &, const Tensor &picture) override
    {
        Tensor y;
        x = picture;
        std::tie(y, place) =
            at::max_pool2d_with_indices(x, pair(spec.kernel), pair(spec.step), pair(spec.border));
        return y;
    }

    Tensor back(const buffers &, const Tensor &g) override
    {
        return at::max_pool2d_with_indices_backward(g, x, pair(spec.kernel), pair(spec.step),
                                                    pair(spec.border), { 1, 1 }, false, place);
    }

  public:
    using encoder::encoder;
};

// The last hidden state of a window. `spec.out` is not a picture: its channels are the features.
class recurrent : public encoder
{
    std::vector<Tensor> leaves; // the weights as LibTorch has them, [gates * width, inputs], biases
    Tensor hidden; // [rows, width], with the record of how it came about

    int64_t gates() const
    {
        return (spec.kind == TORCH_LSTM ? 4 : 3) * spec.out.channels;
    }

    at::SmallVector<int64_t, 2> shape(size_t i) const
    {
        if (i > 1)
            return { gates() };
        return { i == 0 ? spec.in.channels : spec.out.channels, gates() };
    }

    Tensor see(const buffers &b, const Tensor &picture) override
    {
        Tensor x = picture.squeeze(2).permute({ 2, 0, 1 }).contiguous(); // [bars, rows, features]
        Tensor zero = at::zeros({ 1, x.size(1), spec.out.channels }, x.options());
        leaves.clear();
        for (size_t i = 0; i < 4; i++) {
            Tensor own = part(b.parameter, spec.offset[i], shape(i));
            leaves.push_back((i < 2 ? own.t() : own).clone(at::MemoryFormat::Contiguous));
        }
        at::AutoGradMode record(true);
        for (Tensor &leaf : leaves)
            leaf.requires_grad_(true);
        if (spec.kind == TORCH_LSTM)
            hidden =
                std::get<1>(at::lstm(x, { zero, zero }, leaves, true, 1, 0, true, false, false));
        else
            hidden = std::get<1>(at::gru(x, zero, leaves, true, 1, 0, true, false, false));
        hidden = hidden.squeeze(0);
        return hidden.detach().view({ -1, spec.out.channels, 1, 1 });
    }

    Tensor back(const buffers &b, const Tensor &g) override
    {
        auto gradients = torch::autograd::grad({ hidden }, leaves, { g.flatten(1) }, true);
        for (size_t i = 0; i < 4; i++)
            part(b.gradient, spec.offset[i], shape(i))
                .copy_(i < 2 ? gradients[i].t() : gradients[i]);
        return {};
    }

  public:
    using encoder::encoder;
};

template <class Layer> std::unique_ptr<layer> make(const torch_layer &spec)
{
    return std::make_unique<Layer>(spec);
}

constexpr std::unique_ptr<layer> (*makers[])(const torch_layer &) = {
    /* TORCH_DENSE */ make<dense>,
    /* TORCH_COSINE */ make<cosine>,
    /* TORCH_LAYER_NORM */ make<layer_norm>,
    /* TORCH_BARS */ make<bars>,
    /* TORCH_CONVOLUTION */ make<convolution>,
    /* TORCH_POOLING */ make<pooling>,
    /* TORCH_RESIDUAL */ make<residual>,
    /* TORCH_LSTM */ make<recurrent>,
    /* TORCH_GRU */ make<recurrent>,
};

// No gradients are recorded, except where a layer asks for it.
template <class Work> gn_status quietly(const char *operation, Work &&work) noexcept
{
    return caught(operation, [&]() -> gn_status {
        silence handler;
        c10::WarningUtils::WarningHandlerGuard quiet(&handler);
        c10::AutoGradMode no_gradients(false);
        return work();
    });
}
} // namespace

struct torch_network {
    std::vector<std::unique_ptr<layer>> layers;
    torch_network_spec spec; // of its layers only the number
    c10::Device device;
    buffers last; // of the last forward; no rows before

    Tensor to_device(const Tensor &host) const
    {
        return host.to(device);
    }

    Tensor actions(const int32_t *action, int64_t n) const
    {
        Tensor host = at::from_blob(const_cast<int32_t *>(action), { n, 1, 1 }, at::kInt);
        return to_device(host).to(at::kLong);
    }

    // Outputs [rows, actions, width] from the last layer's.
    Tensor read_head(const Tensor &y) const
    {
        int64_t all = spec.actions + spec.dueling;
        Tensor q = spec.fractions ? y.view({ last.rows, last.fractions, all }).transpose(1, 2)
                                  : y.view({ last.rows, all, spec.width });
        if (!spec.dueling)
            return q;
        Tensor advantage = q.narrow(1, 1, spec.actions);
        return q.narrow(1, 0, 1) + advantage - advantage.mean(1, true);
    }

    // The gradient of the last layer's outputs, from that of chosen ones [n, width].
    Tensor write_head(const Tensor &action, const Tensor &grad) const
    {
        int64_t n = grad.size(0), width = grad.size(1);
        Tensor q = at::zeros({ n, spec.actions, width }, grad.options());
        q.scatter_(1, action.expand({ n, 1, width }), grad.unsqueeze(1));
        if (spec.dueling)
            q = at::cat({ grad.unsqueeze(1), q - q.mean(1, true) }, 1);
        if (spec.fractions)
            q = q.transpose(1, 2).contiguous();
        return q.view({ spec.fractions ? n * width : n, -1 });
    }
};

gn_status torch_network_create(torch_network **ret_network, const torch_network_spec *spec,
                               device on)
{
    return quietly("torch_network_create", [&]() -> gn_status {
        std::unique_ptr<torch_network> network(
            new torch_network{ {}, *spec, place(on), buffers() });
        for (size_t i = 0; i < spec->layers; i++)
            network->layers.push_back(makers[spec->layer[i].kind](spec->layer[i]));
        network->spec.layer = nullptr;
        *ret_network = network.release();
        return GN_OK;
    });
}

void torch_network_destroy(torch_network **network)
{
    delete *network;
    *network = nullptr;
}

gn_status torch_network_forward(torch_network *network, const torch_pass *pass,
                                const int32_t *action, float *ret_out)
{
    return quietly("torch_network_forward", [&]() -> gn_status {
        const torch_network_spec &spec = network->spec;
        buffers &b = network->last;
        b = buffers();
        b.parameter = pass->parameter->tensor;
        if (pass->noise)
            b.noise = pass->noise->tensor;
        b.rows = pass->n;
        b.fractions = pass->fractions;
        if (spec.fractions)
            b.fraction =
                network->to_device(on_host(pass->fraction, { pass->n * pass->fractions, 1 }))
                    .to(at::kDouble);
        Tensor y = network->to_device(on_host(pass->x, { pass->n, spec.inputs }));
        for (auto &each : network->layers)
            y = each->forward(b, y);
        Tensor q = network->read_head(y);
        if (action)
            q = q.gather(1, network->actions(action, pass->n).expand({ pass->n, 1, q.size(2) }));
        at::from_blob(ret_out, q.sizes(), at::kFloat).copy_(q);
        return GN_OK;
    });
}

gn_status torch_network_backward(torch_network *network, const int32_t *action, const float *grad,
                                 int64_t n, torch_tensor *ret_gradient)
{
    return quietly("torch_network_backward", [&]() -> gn_status {
        buffers &b = network->last;
        if (n == 0 || n != b.rows)
            return gn_fail(GN_ERR_ARG,
                           "torch_network_backward: %lld rows, the last forward had %lld",
                           static_cast<long long>(n), static_cast<long long>(b.rows));
        int64_t width = network->spec.fractions ? b.fractions : network->spec.width;
        Tensor g = network->write_head(network->actions(action, n),
                                       network->to_device(on_host(grad, { n, width })));
        b.gradient = ret_gradient->tensor;
        for (size_t i = network->layers.size(); i-- > 0;) {
            g = network->layers[i]->backward(b, g);
            if (network->layers[i]->spec.lowest)
                break;
        }
        return GN_OK;
    });
}
