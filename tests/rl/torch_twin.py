#!/usr/bin/env python3
"""One update of every head with its options in plain PyTorch: targets, loss, priorities, gradients.

    test_torch_twin --export FOLDER                      batches, weights and what Gannet finds
    torch_twin.py FOLDER                                 compares: largest relative differences
    torch_twin.py FOLDER --golden torch_twin.json        writes the golden values of the test

Written from the papers (named below), not from the C code, in double precision, with autograd for
all gradients. Weights and batches are float32. Needs PyTorch and nothing else.
"""
import argparse
import json
import math
import struct
import sys
from pathlib import Path

import torch
import torch.nn.functional as F

TOLERANCE = 1e-5
torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)


def real(value):
    """Numbers that were float32."""
    return torch.tensor(value, dtype=torch.float32).double()


def read_safetensors(path):
    data = path.read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    arrays = {}
    for name, entry in json.loads(data[8:8 + length]).items():
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        flat = torch.frombuffer(bytearray(data[begin:end]), dtype=torch.float32)
        arrays[name] = flat.reshape(entry["shape"]).double()
    return arrays


# --- value rescaling: Pohlen et al. 2018, arXiv:1805.11593, proposition A.2


class Rescale:
    def __init__(self, epsilon):
        self.epsilon = epsilon

    def h(self, x):
        e = self.epsilon
        return x.sign() * ((x.abs() + 1).sqrt() - 1) + e * x if e else x

    def inverse(self, x):
        e = self.epsilon
        if not e:
            return x
        root = (1 + 4 * e * (x.abs() + 1 + e)).sqrt()
        return x.sign() * (((root - 1) / (2 * e)) ** 2 - 1)

    def slope(self, x):
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            return torch.autograd.grad(self.h(x).sum(), x)[0]


# --- networks


class Network:
    """ReLU layers and a head. Noise: Fortunato et al. 2018, arXiv:1706.10295, section 3b; dueling:
    Wang et al. 2016, arXiv:1511.06581, equation 9; quantile fractions: Dabney et al. 2018,
    arXiv:1806.06923, equation 4, before the last hidden layer, or the head if there is but one."""

    def __init__(self, options, arrays, noise, actions):
        self.arrays, self.noise, self.actions = arrays, noise, actions
        self.dueling = options["agent"]["dueling"]
        self.layers = sum(name.startswith("layer") and name.endswith(".weight") for name in arrays)

    def linear(self, name, x):
        weight, bias = self.arrays[name + ".weight"], self.arrays[name + ".bias"]
        if self.noise:
            e_in, e_out = (torch.tensor(self.noise[name][side]) for side in ("inputs", "outputs"))
            f_in, f_out = (e.sign() * e.abs().sqrt() for e in (e_in, e_out))
            weight = weight + self.arrays[name + ".weight_deviation"] * torch.outer(f_in, f_out)
            bias = bias + self.arrays[name + ".bias_deviation"] * f_out
        return x @ weight + bias

    def hidden(self, index, x):
        name = f"layer{index}"
        x = self.linear(name, x)
        if name + ".gain" in self.arrays:
            gain, shift = self.arrays[name + ".gain"], self.arrays[name + ".shift"]
            x = F.layer_norm(x, gain.shape, gain, shift, eps=1e-5)
        return F.relu(x)

    def at_fractions(self, x, fractions):
        weight, bias = self.arrays["fraction.weight"], self.arrays["fraction.bias"]
        cosines = torch.cos(math.pi * torch.arange(len(weight)) * fractions[..., None])
        return x[:, None, :] * F.relu(cosines @ weight + bias)

    def __call__(self, x, fractions=None):
        """Outputs [rows, actions, width]; with fractions [rows, width] one for each of them."""
        before = self.layers - 1 if self.layers > 1 else self.layers
        for index in range(self.layers):
            if fractions is not None and index == before:
                x = self.at_fractions(x, fractions)
            x = self.hidden(index, x)
        if fractions is not None and before == self.layers:
            x = self.at_fractions(x, fractions)
        x = self.linear("head", x)
        if fractions is not None:
            x = x.transpose(1, 2)
        else:
            x = x.reshape(len(x), self.actions + self.dueling, -1)
        if self.dueling:
            value, advantage = x[:, :1], x[:, 1:]
            x = value + advantage - advantage.mean(1, keepdim=True)
        return x


# --- heads
#
# mean: expected return of outputs [.., width].
# target: what the outputs are to become; following: outputs [B, A, width] of what followed, policy
#     and bonus [B, A], reward and discount [B].
# loss: of each row, and what its priority is made of; out: [B, width].


class Scalar:
    """Mnih et al. 2015; Huber loss."""

    def __init__(self, options, rescale):
        self.delta, self.rescale = float(options["huber_delta"]), rescale

    def mean(self, out):
        return self.rescale.inverse(out[..., 0])

    def target(self, following, policy, bonus, reward, discount):
        value = (policy * (self.mean(following) + bonus)).sum(1)
        return self.rescale.h(reward + discount * value)

    def loss(self, out, target, fractions):
        out = out[:, 0]
        if math.isinf(self.delta):
            loss = (out - target) ** 2 / 2
        else:
            loss = F.huber_loss(out, target, reduction="none", delta=self.delta)
        return loss, (out - target).abs()


class Atoms:
    def __init__(self, options, rescale):
        self.rescale = rescale
        self.low, self.high = float(options["v_min"]), float(options["v_max"])
        self.atoms = torch.linspace(self.low, self.high, int(options["atoms"]))

    def project(self, position):
        """Masses at atoms of one at each position: triangles around the atoms."""
        gap = self.atoms[1] - self.atoms[0]
        position = position.clamp(self.low, self.high)
        return (1 - (position[..., None] - self.atoms).abs() / gap).clamp(min=0)


class Categorical(Atoms):
    """C51: Bellemare, Dabney & Munos 2017, arXiv:1707.06887."""

    def mean(self, out):
        return F.softmax(out, -1) @ self.rescale.inverse(self.atoms)

    def target(self, following, policy, bonus, reward, discount):
        following = F.softmax(following, -1) * policy[..., None]
        returns = self.rescale.inverse(self.atoms) + bonus[..., None]
        returns = reward[:, None, None] + discount[:, None, None] * returns
        places = self.project(self.rescale.h(returns))
        return torch.einsum("baj,baji->bi", following, places)

    def loss(self, out, target, fractions):
        log_p = F.log_softmax(out, -1)
        divergence = (torch.xlogy(target, target) - target * log_p).sum(-1)
        return -(target * log_p).sum(-1), divergence


class TwoHot(Atoms):
    """Schrittwieser et al. 2020, arXiv:1911.08265, appendix F: the mean, as two atoms."""

    def mean(self, out):
        return self.rescale.inverse(F.softmax(out, -1) @ self.atoms)

    def target(self, following, policy, bonus, reward, discount):
        value = (policy * (self.mean(following) + bonus)).sum(1)
        return self.rescale.h(reward + discount * value).clamp(self.low, self.high)

    def loss(self, out, target, fractions):
        cross_entropy = -(self.project(target) * F.log_softmax(out, -1)).sum(-1)
        return cross_entropy, (F.softmax(out, -1) @ self.atoms - target).abs()


class Quantile:
    """QR-DQN: Dabney et al. 2018, arXiv:1710.10044, equation 10. With drawn fractions IQN: Dabney
    et al. 2018, arXiv:1806.06923, equation 3, whose kappa does not divide here. Several actions:
    Vieillard et al. 2020, arXiv:2007.14430, appendix."""

    def __init__(self, options, rescale):
        self.kappa, self.rescale = float(options["kappa"]), rescale

    def mean(self, out):
        return self.rescale.inverse(out).mean(-1)

    def target(self, following, policy, bonus, reward, discount):
        values = self.rescale.inverse(following) + bonus[..., None]
        values = (policy[..., None] * values).sum(1)
        return self.rescale.h(reward[:, None] + discount[:, None] * values)

    def loss(self, out, target, fractions):
        count = out.shape[-1]
        if fractions is None:
            fractions = real([(k + 0.5) / count for k in range(count)]).expand(out.shape)
        difference = target[:, None, :] - out[:, :, None]
        size = difference.abs()
        if self.kappa:
            zero = torch.zeros_like(difference)
            height = F.huber_loss(difference, zero, reduction="none", delta=self.kappa)
        else:
            height = size
        share = (fractions[:, :, None] - (difference < 0).double()).abs()
        return (share * height).mean(2).sum(1), size.mean((1, 2))


class Mixture:
    """Normal components, as in Choi, Lee & Oh 2019; the loss is the energy distance of Szekely &
    Rizzo 2013 by the mean of a folded normal distribution. Rescaling is of first order."""

    def __init__(self, options, rescale):
        self.rescale = rescale
        self.integral_difference = 0.0

    @staticmethod
    def parts(out):
        logits, means, raw = out.chunk(3, -1)
        return F.softmax(logits, -1), means, F.softplus(raw) + 1e-6

    def mean(self, out):
        weight, mean, _ = self.parts(out)
        return (weight * self.rescale.inverse(mean)).sum(-1)

    def target(self, following, policy, bonus, reward, discount):
        """[B, 3, components]: weights, means, deviations of those that have weight."""
        weight, mean, deviation = self.parts(following)
        mean = self.rescale.inverse(mean)
        deviation = deviation / self.rescale.slope(mean)
        mean = reward[:, None, None] + discount[:, None, None] * (mean + bonus[..., None])
        deviation = discount[:, None, None] * deviation * self.rescale.slope(mean)
        weight = policy[..., None] * weight
        parts = torch.stack([weight, self.rescale.h(mean), deviation], 1).flatten(2)
        return torch.stack([row[:, row[0] > 0] for row in parts])

    @staticmethod
    def expected_distance(x, y):
        """E|X - Y| of mixtures (weights, means, deviations), each [B, components]."""
        m = x[1][:, :, None] - y[1][:, None, :]
        s = (x[2][:, :, None] ** 2 + y[2][:, None, :] ** 2).clamp(min=1e-80).sqrt()
        z = m / s
        folded = s * math.sqrt(2 / math.pi) * torch.exp(-z * z / 2) + m * torch.erf(z / 2 ** 0.5)
        return (x[0][:, :, None] * y[0][:, None, :] * folded).sum((1, 2))

    @staticmethod
    def distribution_function(x, at):
        """P(X <= at), at: [points]; x: weights, means, deviations [components]."""
        z = (at[:, None] - x[1]) / x[2]
        return (x[0] * torch.special.ndtr(z)).sum(1)

    def integral(self, x, y, points=24):
        """Integral of the squared difference of the distribution functions, by Gauss and Legendre
        between places around all means."""
        x, y = (torch.stack([part.detach() for part in z]) for z in (x, y))
        both = torch.cat([x, y], 1)
        steps = torch.cat([torch.linspace(-12, 12, 25), torch.linspace(-1, 1, 9)])
        edges = (both[1][:, None] + both[2][:, None] * steps).flatten().unique()
        node, weight = legendre(points)
        middle, half = (edges[1:] + edges[:-1]) / 2, (edges[1:] - edges[:-1]) / 2
        at = (middle[:, None] + half[:, None] * node).flatten()
        gap = self.distribution_function(x, at) - self.distribution_function(y, at)
        return ((gap ** 2).reshape(len(half), -1) * weight * half[:, None]).sum().item()

    def loss(self, out, target, fractions):
        x, y = self.parts(out), target.unbind(1)
        distance = (self.expected_distance(x, y) - self.expected_distance(x, x) / 2
                    - self.expected_distance(y, y) / 2)
        integrals = torch.tensor([self.integral([part[i] for part in x], [part[i] for part in y])
                                  for i in range(len(out))])
        self.integral_difference = relative(distance.detach(), integrals)
        return distance, distance


def legendre(points):
    """Nodes and weights on [-1, 1]: eigenvalues of Jacobi's matrix (Golub & Welsch 1969)."""
    k = torch.arange(1, points)
    beside = k / (4.0 * k * k - 1).sqrt()
    node, vector = torch.linalg.eigh(torch.diag(beside, 1) + torch.diag(beside, -1))
    return node, 2 * vector[0] ** 2


HEADS = {
    "scalar": Scalar,
    "categorical": Categorical,
    "two-hot": TwoHot,
    "quantile": Quantile,
    "implicit-quantile": Quantile,
    "gaussian-mixture": Mixture,
}


# --- the update


def policy_of(values, temperature):
    """Greedy, or Munchausen's softmax, and its log times the temperature."""
    if temperature is None:
        return F.one_hot(values.argmax(1), values.shape[1]).double(), torch.zeros_like(values)
    scaled = values / temperature
    return F.softmax(scaled, 1), temperature * F.log_softmax(scaled, 1)


def update(case, folder):
    """What the case is to find. n-step returns are in the batch, as reward and discount. Double
    learning: van Hasselt et al. 2016, arXiv:1509.06461; Munchausen: Vieillard et al. 2020,
    arXiv:2007.14430, equation 2."""
    options, name = case["options"], case["name"]
    agent = options["agent"]
    here, following = real(case["observation"]), real(case["next_observation"])
    reward, discount, weight = (real(case[key]) for key in ("reward", "discount", "weight"))
    action, rows = torch.tensor(case["action"]), torch.arange(len(here))
    fractions = {key: real(value) for key, value in case["fractions"].items() if key != "set"}
    head = HEADS[options["head"]["kind"]](options["head"], Rescale(float(agent["rescale"])))
    temperature = float(agent["munchausen_temperature"]) if agent["munchausen"] else None
    arrays = {which: read_safetensors(folder / f"{name}.{which}.safetensors")
              for which in ("online", "target")}
    online, target = (Network(options, arrays[which], case[which + "_noise"], case["actions"])
                      for which in ("online", "target"))

    with torch.no_grad():
        next_out = target(following, fractions.get("next"))
        chooser = online if agent["double_q"] else target
        values = head.mean(chooser(following, fractions.get("even")))
        policy, log_policy = policy_of(values, temperature)
        if agent["munchausen"]:
            old = head.mean(target(here, fractions.get("target_here")))
            chosen = policy_of(old, temperature)[1][rows, action]
            clipped = chosen.clamp(float(agent["munchausen_clip"]), 0)
            reward = reward + float(agent["munchausen_alpha"]) * clipped
        goal = head.target(next_out, policy, -log_policy, reward, discount)

    for array in arrays["online"].values():
        array.requires_grad_()
    out = online(here, fractions.get("here"))[rows, action]
    losses, error = head.loss(out, goal, fractions.get("here"))
    loss = (weight * losses).mean()
    loss.backward()
    gradient = {key: array.grad for key, array in arrays["online"].items()}
    norm = torch.cat([array.flatten() for array in gradient.values()]).norm()
    return {
        "loss": loss.item(),
        "mean_q": head.mean(out).mean().item(),
        "gradient_norm": norm.item(),
        "target": goal.flatten(),
        "error": error.detach(),
        "gradient": gradient,
        "integral": getattr(head, "integral_difference", None),
    }


# --- comparison


def relative(found, expected, floor=1e-30):
    """Of numbers, or of arrays by their Euclidean norms."""
    found, expected = torch.as_tensor(found), torch.as_tensor(expected)
    if found.shape != expected.shape or not found.isfinite().all():
        return math.inf
    return (found - expected).norm().item() / max(expected.norm().item(), floor)


def compare(case, folder, expected):
    """The columns of the table. Values of the rows cancel in mean_q: hence its floor."""
    found, floors = case["found"], {"mean_q": 0.1}
    gradient = read_safetensors(folder / f"{case['name']}.gradient.safetensors")
    slices = {key: relative(gradient[key], array) for key, array in expected["gradient"].items()}
    learner = [relative(found["learner_" + key], expected[key], floors.get(key, 1e-30))
               for key in ("loss", "mean_q", "gradient_norm")]
    return {
        "target": relative(real(found["target"]).flatten(), expected["target"]),
        "loss": relative(found["loss"], expected["loss"]),
        "mean_q": relative(found["mean_q"], expected["mean_q"], floors["mean_q"]),
        "error": relative(real(found["error"]), expected["error"]),
        "gradient": max(slices.values()),
        "learner": max(learner),
        "integral": expected["integral"],
    }


def short(value):
    return float(f"{value:.9g}")


def golden_array(array):
    """Size, norm and up to eight of the numbers, evenly spread."""
    flat = array.flatten()
    count = min(8, len(flat))
    some = [short(flat[i * len(flat) // count].item()) for i in range(count)]
    return {"size": len(flat), "norm": short(flat.norm().item()), "some": some}


def golden_case(expected):
    golden = {key: short(expected[key]) for key in ("loss", "mean_q", "gradient_norm")}
    golden.update({key: golden_array(expected[key]) for key in ("target", "error")})
    golden["gradient"] = {key: golden_array(array) for key, array in expected["gradient"].items()}
    return golden


def write_golden(path, cases):
    lines = [f"{json.dumps(name)}: {json.dumps(golden_case(expected))}"
             for name, expected in cases.items()]
    text = ('{"made by": "tests/rl/torch_twin.py, PyTorch %s",\n"cases": {\n%s\n}}\n'
            % (torch.__version__.split("+")[0], ",\n".join(lines)))
    path.write_text(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="of test_torch_twin --export")
    parser.add_argument("--golden", type=Path, help="file to write instead of comparing")
    arguments = parser.parse_args()

    cases = {}
    for path in sorted(arguments.folder.glob("*.json")):
        case = json.loads(path.read_text())
        cases[case["name"]] = case
    if not cases:
        sys.exit(f"{arguments.folder}: no cases")
    expected = {name: update(case, arguments.folder) for name, case in cases.items()}
    if arguments.golden:
        write_golden(arguments.golden, expected)
        return

    worst = 0.0
    for i, (name, case) in enumerate(cases.items()):
        row = compare(case, arguments.folder, expected[name])
        largest = max(value for value in row.values() if value is not None)
        worst = max(worst, largest)
        if i == 0:
            print(f"{'case':36}" + "".join(f"{key:>10}" for key in row))
        cells = ("" if value is None else f"{value:.1e}" for value in row.values())
        mark = "  <--" if largest > TOLERANCE else ""
        print(f"{name:36}" + "".join(f"{cell:>10}" for cell in cells) + mark)
    print(f"{len(cases)} cases, largest relative difference {worst:.1e}, allowed {TOLERANCE:g}")
    sys.exit(worst > TOLERANCE)


main()
