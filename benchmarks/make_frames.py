#!/usr/bin/env python3
"""Writes frames of an Atari game played at random, as agents see them.

    make_frames.py --game MsPacman --frames 20000 --seed 1 --out FILE

FILE is rows of 7057 bytes: 1 if an episode starts there, else 0; then the 84 x 84 grey pixels, row
by row. The games are inside the package (ale-py 0.9 or newer), which like numpy comes from PyPI.

The usual preprocessing (Machado et al. 2018, section 5, without sticky actions): an action lasts 4
frames of the emulator; what is seen is the larger of the last two grey screens at each pixel,
scaled to 84 x 84 with each pixel the mean of the area it covers (what OpenCV calls INTER_AREA),
rounded to the nearest. An episode is a whole game and starts with 0 to 30 random no-ops. Actions
are uniform over those that the game knows. The same arguments and package give the same bytes.
"""
import argparse
import os
import re

import numpy as np
from ale_py import ALEInterface, LoggerMode, roms

SIDE, SKIP, MAX_NOOPS = 84, 4, 30


def area_matrix(size):
    """[84, size] float32: the share of each old pixel in each new one; rows sum to 1."""
    edge = np.arange(SIDE + 1) * (size / SIDE)
    old = np.arange(size)
    covered = np.minimum(edge[1:, None], old + 1) - np.maximum(edge[:-1, None], old)
    return (np.maximum(covered, 0) * (SIDE / size)).astype(np.float32)


class Game:
    def __init__(self, name, seed):
        ALEInterface.setLoggerMode(LoggerMode.Error)
        self.ale = ALEInterface()
        self.ale.setInt("random_seed", seed)
        self.ale.setFloat("repeat_action_probability", 0.0)
        self.ale.loadROM(roms.get_rom_path(re.sub("(?<!^)(?=[A-Z])", "_", name).lower()))
        self.actions = self.ale.getMinimalActionSet()
        height, width = self.ale.getScreenDims()
        self.screens = np.zeros((2, height, width), np.uint8)
        self.rows, self.columns = area_matrix(height), area_matrix(width).T
        self.random = np.random.default_rng(seed)

    def seen(self):
        larger = self.screens.max(axis=0).astype(np.float32)
        return np.rint(self.rows @ larger @ self.columns).astype(np.uint8)

    def reset(self):
        self.ale.reset_game()
        for _ in range(self.random.integers(MAX_NOOPS + 1)):
            self.ale.act(0)
            if self.ale.game_over():
                self.ale.reset_game()
        self.screens[:] = 0
        self.ale.getScreenGrayscale(self.screens[0])
        return self.seen()

    def step(self):
        action = self.actions[self.random.integers(len(self.actions))]
        for i in range(SKIP):
            self.ale.act(action)
            if i >= SKIP - 2:
                self.ale.getScreenGrayscale(self.screens[i - (SKIP - 2)])
        return self.seen()


def main():
    parse = argparse.ArgumentParser(description="Writes frames of an Atari game played at random.")
    parse.add_argument("--game", required=True, help="MsPacman, Pong, Breakout, ...")
    parse.add_argument("--frames", type=int, required=True)
    parse.add_argument("--seed", type=int, default=1)
    parse.add_argument("--out", required=True)
    options = parse.parse_args()

    game = Game(options.game, options.seed)
    starts = True
    with open(options.out + ".partial", "wb") as out:
        for _ in range(options.frames):
            pixels = game.reset() if starts else game.step()
            out.write(bytes([starts]) + pixels.tobytes())
            starts = game.ale.game_over()
    os.replace(options.out + ".partial", options.out)


if __name__ == "__main__":
    main()
