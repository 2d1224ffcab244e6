"""Replay buffers in memory, full of real frames: bytes a transition and sampling 256.

    peer_replay_frames.py --frames FILE [--transitions 100000] CASE

100,000 transitions between stacks of 4 frames 84x84, from a file of make_frames.py, with their
action, reward and end. CASE:

sb3         stable-baselines3 ReplayBuffer, which keeps both stacks
sb3-opt     ... with optimize_memory_usage: one stack, the next one is the following slot's
torchrl     TensorDictReplayBuffer on LazyMemmapStorage: both stacks, in files
cpprb       ReplayBuffer with stack_compress and next_of: each frame once
tianshou    ReplayBuffer with stack_num, save_only_last_obs and ignore_obs_next: each frame once

Bytes are the growth of the resident memory of the process (files apart), divided by the
transitions. sb3's arrays are filled directly, block by block: its add takes one step.

pip packages: stable-baselines3, or torchrl, or cpprb, or tianshou, with what they need; numpy
Environment:  BENCH_SCRATCH = folder for files (default: a temporary one here).
"""
import argparse
import os
import tempfile
import warnings
from importlib.metadata import version

import numpy as np

import peer_common as common

warnings.filterwarnings("ignore")
BATCH, BLOCK = 256, 500
SHAPE = (common.STACK, common.SIDE, common.SIDE)


def make_sb3(steps, n, optimized):
    import torch
    from gymnasium import spaces
    from stable_baselines3.common.buffers import ReplayBuffer

    torch.set_num_threads(1)
    buffer = ReplayBuffer(n, spaces.Box(0, 255, SHAPE, np.uint8), spaces.Discrete(9), device="cpu",
                          optimize_memory_usage=optimized,
                          handle_timeout_termination=not optimized)
    for at in range(0, n, BLOCK):
        block = slice(at, min(at + BLOCK, n))
        frame = steps.frame[block]
        buffer.observations[block, 0] = steps.stacks(frame)
        if not optimized:
            buffer.next_observations[block, 0] = steps.stacks(frame + 1)
        buffer.actions[block, 0, 0], buffer.rewards[block, 0] = frame % 9, 1
        buffer.dones[block, 0] = steps.done[block]
    buffer.full, buffer.pos = True, 0

    def sample():
        batch = buffer.sample(BATCH)
        return batch.observations.numpy(), batch.next_observations.numpy()

    return sample


def make_torchrl(steps, n, folder):
    import torch
    from tensordict import TensorDict
    from torchrl.data import LazyMemmapStorage, TensorDictReplayBuffer

    torch.set_num_threads(1)
    storage = LazyMemmapStorage(n, scratch_dir=folder)
    buffer = TensorDictReplayBuffer(storage=storage, batch_size=BATCH)
    for at in range(0, n, BLOCK):
        block = slice(at, min(at + BLOCK, n))
        frame, size = steps.frame[block], len(steps.frame[block])
        buffer.extend(TensorDict({
            "obs": torch.from_numpy(steps.stacks(frame)),
            "act": torch.from_numpy(frame % 9),
            "next": TensorDict({
                "obs": torch.from_numpy(steps.stacks(frame + 1)),
                "reward": torch.ones(size, 1),
                "done": torch.from_numpy(steps.done[block])[:, None]}, [size])}, [size]))

    def sample():
        batch = buffer.sample(BATCH)
        return batch["obs"].numpy(), batch["next", "obs"].numpy()

    return sample


def make_cpprb(steps, n):
    from cpprb import ReplayBuffer

    # It takes the frames of a stack in the last dimension.
    buffer = ReplayBuffer(n, {"obs": dict(shape=(common.SIDE, common.SIDE, common.STACK),
                                          dtype=np.uint8),
                              "act": dict(dtype=np.int64), "rew": {}, "done": dict(dtype=np.bool_)},
                          next_of="obs", stack_compress="obs")
    ends = np.append(np.flatnonzero(steps.done[:-1]) + 1, n)
    at = 0
    for end in ends:
        while at < end:
            block = slice(at, min(at + BLOCK, end))
            frame = steps.frame[block]
            buffer.add(obs=np.moveaxis(steps.stacks(frame), 1, -1),
                       next_obs=np.moveaxis(steps.stacks(frame + 1), 1, -1), act=frame % 9,
                       rew=np.ones(len(frame), np.float32), done=steps.done[block])
            at = block.stop
        buffer.on_episode_end()

    def sample():
        batch = buffer.sample(BATCH)
        return batch["obs"], batch["next_obs"]

    return sample


def make_tianshou(steps, n):
    import torch
    from tianshou.data import Batch, ReplayBuffer

    torch.set_num_threads(1)
    buffer = ReplayBuffer(n, stack_num=common.STACK, save_only_last_obs=True, ignore_obs_next=True)
    for i, (frame, done) in enumerate(zip(steps.frame.tolist(), steps.done.tolist())):
        last = steps.pixels[frame][None]  # of the stack, all that it looks at
        buffer.add(Batch(obs=last, act=frame % 9, rew=1.0, terminated=done, truncated=False,
                         obs_next=last))

    def sample():
        batch, _ = buffer.sample(BATCH)
        return batch.obs, batch.obs_next

    return sample


CASES = {
    "sb3": ("stable-baselines3", "stable-baselines3 ReplayBuffer",
            lambda steps, n, folder: make_sb3(steps, n, False)),
    "sb3-opt": ("stable-baselines3", "stable-baselines3 ReplayBuffer optimize_memory",
                lambda steps, n, folder: make_sb3(steps, n, True)),
    "torchrl": ("torchrl", "torchrl LazyMemmapStorage", make_torchrl),
    "cpprb": ("cpprb", "cpprb ReplayBuffer stack_compress next_of",
              lambda steps, n, folder: make_cpprb(steps, n)),
    "tianshou": ("tianshou", "tianshou ReplayBuffer stack_num save_only_last_obs ignore_obs_next",
                 lambda steps, n, folder: make_tianshou(steps, n)),
}


def main():
    parse = argparse.ArgumentParser()
    parse.add_argument("--frames", required=True)
    parse.add_argument("--transitions", type=int, default=100_000)
    parse.add_argument("case", choices=CASES)
    options = parse.parse_args()
    n = options.transitions
    steps = common.Transitions(options.frames, n)
    package, name, make = CASES[options.case]
    report = common.Report(name, version(package),
                           f"{common.stem(options.frames)} n={n}")

    scratch = os.environ.get("BENCH_SCRATCH", ".")
    with tempfile.TemporaryDirectory(dir=scratch) as folder:  # loads the package
        make(common.Transitions(options.frames, BLOCK), BLOCK, folder)
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        before, _ = common.resident_bytes()
        sample = make(steps, n, folder)
        anonymous, _ = common.resident_bytes()
        report("memory", "bytes/transition", (anonymous - before) / n)
        if os.listdir(folder):
            apparent, allocated = common.folder_bytes(folder)
            report("disk", "bytes/transition", apparent / n, allocated=allocated / n)
        observation, following = sample()
        assert observation.shape[0] == BATCH and observation[0].size == np.prod(SHAPE), \
            observation.shape
        assert following.shape == observation.shape
        report("sample(256)", "us", common.per_call_us(sample))


if __name__ == "__main__":
    main()
