#!/usr/bin/env python3
"""PyTorch beside bench_encoder: the same encoders, forward and backward, on one thread.

    PYTHON benchmarks/peer_encoder.py      # a Python that can import torch

Prints the lines of peer_common.py. As there, pictures need no gradient; the gradient of the outputs
is given.
"""
import sys

import torch
from torch import nn
from torch.nn import functional

from peer_common import Report, per_call_us


class Block(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x):
        return x + self.second(functional.relu(self.first(functional.relu(x))))


class Recurrent(nn.Module):
    """Rows are windows of bars with account features behind them."""

    def __init__(self, kind, window, features, width):
        super().__init__()
        self.window, self.features = window, features
        self.layer = kind(features, width, batch_first=True)

    def forward(self, x):
        bars = self.window * self.features
        steps, _ = self.layer(x[:, :bars].view(-1, self.window, self.features))
        return torch.cat([steps[:, -1], x[:, bars:]], 1)


class Bars(nn.Module):
    def __init__(self, window, features, channels, kernel, stride):
        super().__init__()
        self.window, self.features = window, features
        widths = [features, *channels]
        self.layers = nn.Sequential(*(layer for i in range(len(channels)) for layer in (
            nn.Conv1d(widths[i], widths[i + 1], kernel, stride), nn.ReLU())))

    def forward(self, x):
        bars = self.window * self.features
        rows = x[:, :bars].view(-1, self.window, self.features).transpose(1, 2)
        return torch.cat([self.layers(rows).flatten(1), x[:, bars:]], 1)


def impala():
    layers, below = [], 4
    for channels in (16, 32, 32):
        layers += [nn.Conv2d(below, channels, 3, padding=1), nn.MaxPool2d(3, 2, 1),
                   Block(channels), Block(channels)]
        below = channels
    return nn.Sequential(*layers, nn.ReLU(), nn.Flatten())


def nature():
    return nn.Sequential(nn.Conv2d(4, 32, 8, 4), nn.ReLU(), nn.Conv2d(32, 64, 4, 2), nn.ReLU(),
                         nn.Conv2d(64, 64, 3), nn.ReLU(), nn.Flatten())


PICTURE, WINDOW, FEATURES, ACCOUNT = (4, 84, 84), 64, 14, 3
BARS = (WINDOW * FEATURES + ACCOUNT,)
CASES = {
    "nature": (nature, PICTURE, (1, 32, 64)),
    "impala": (impala, PICTURE, (1, 32)),
    "conv1d": (lambda: Bars(WINDOW, FEATURES, (32, 32), 5, 2), BARS, (1, 128)),
    "lstm": (lambda: Recurrent(nn.LSTM, WINDOW, FEATURES, 64), BARS, (1, 128)),
    "gru": (lambda: Recurrent(nn.GRU, WINDOW, FEATURES, 64), BARS, (1, 128)),
}


def main(chosen):
    torch.set_num_threads(1)
    torch.manual_seed(1)
    for name in chosen or CASES:
        make, shape, batches = CASES[name]
        network = make()
        for rows in batches:
            x = torch.rand(rows, *shape)
            grad = torch.rand_like(network(x))

            def forward():
                with torch.no_grad():
                    network(x)

            def both():
                network.zero_grad()
                network(x).backward(grad)

            report = Report("torch", torch.__version__, f"{name}.{rows}")
            report("forward", "us", per_call_us(forward))
            if rows > 1:
                report("forward and backward", "us", per_call_us(both))


main(sys.argv[1:])
