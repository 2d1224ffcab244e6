"""The sum trees of TorchRL and cpprb, a million items: finding and setting 256 and 65,536 of them.

    peer_tree.py torchrl | cpprb

torchrl: the C++ tree alone, single precision as its buffers use it; the numbers to find are drawn
         beforehand. "stratified" are one in each 256th (or 65,536th) of the sum, so they ascend;
         "uniform" are independent, as TorchRL's sampler draws them. Setting is timed for the sum
         tree, and for it and the tree of minima that TorchRL keeps beside it.
cpprb:   its tree cannot be called from Python, so this is PrioritizedReplayBuffer of 1-byte
         transitions: drawing, importance weights and gathering the byte are included. Setting
         leaves a part of the work to the next sample, which only the two in turn show whole.

pip packages: torchrl==0.13.3 torch==2.11.0 (the newest whose extension loads with that torch; the
              tree is the same code in 0.14.1), or cpprb; numpy
"""
import sys
from importlib.metadata import version

import numpy as np

import peer_common as common

N, BATCHES = 1_000_000, (256, 65_536)


def rounds_of(batch):
    """How many different batches are gone through: a million items, more than a cache holds."""
    return 2**20 // batch


def in_turn(call, *arguments):
    """Calls with the next of each of the arguments."""
    turn = [0]

    def go():
        turn[0] = (turn[0] + 1) % len(arguments[0])
        return call(*(a[turn[0]] for a in arguments))

    return go


def torchrl():
    import torch
    from torchrl._torchrl import MinSegmentTreeFp32, SumSegmentTreeFp32

    torch.set_num_threads(1)
    report = common.Report("torchrl SumSegmentTreeFp32", version("torchrl"), "tree n=1000000")
    rng = np.random.default_rng(1)
    sums, minima = SumSegmentTreeFp32(N), MinSegmentTreeFp32(N)
    weight = rng.uniform(0.1, 1, N).astype(np.float32)
    sums[np.arange(N)] = weight
    minima[np.arange(N)] = weight
    assert abs(sums.query(0, N) / weight.sum(dtype=np.float64) - 1) < 1e-5

    def set_both(item, value):
        sums[item] = value
        minima[item] = value

    for batch in BATCHES:
        rounds = rounds_of(batch)
        unit = rng.random((rounds, batch))
        total = sums.query(0, N)
        uniform = (unit * total).astype(np.float32)
        stratified = ((np.arange(batch) + unit) / batch * total).astype(np.float32)
        for label, mass in ("uniform", uniform), ("stratified", stratified):
            expected = np.searchsorted(np.cumsum(sums[np.arange(N)], dtype=np.float64), mass[0])
            found = sums.scan_lower_bound(mass[0])
            assert abs(found - expected).max() < 100  # rounding of single precision
            report(f"find({batch}) {label}", "us",
                   common.per_call_us(in_turn(sums.scan_lower_bound, mass)))
        item = rng.integers(0, N, (rounds, batch))
        value = rng.uniform(0.1, 1, (rounds, batch)).astype(np.float32)
        report(f"set({batch})", "us", common.per_call_us(in_turn(sums.__setitem__, item, value)))
        report(f"set({batch}) sum and minimum", "us",
               common.per_call_us(in_turn(set_both, item, value)))
        tensors = torch.from_numpy(uniform), torch.from_numpy(item), torch.from_numpy(value)
        report(f"find({batch}) uniform, tensors", "us",
               common.per_call_us(in_turn(sums.scan_lower_bound, tensors[0])))
        report(f"set({batch}) tensors", "us",
               common.per_call_us(in_turn(sums.__setitem__, *tensors[1:])))


def cpprb():
    from cpprb import PrioritizedReplayBuffer

    report = common.Report("cpprb PrioritizedReplayBuffer, 1 byte", version("cpprb"),
                           "tree n=1000000")
    rng = np.random.default_rng(1)
    buffer = PrioritizedReplayBuffer(N, {"byte": {"dtype": np.uint8}})
    for _ in range(100):
        buffer.add(byte=np.zeros(N // 100, np.uint8),
                   priorities=rng.uniform(0.1, 1, N // 100).astype(np.float32))
    assert buffer.get_stored_size() == N
    for batch in BATCHES:
        rounds = rounds_of(batch)
        item = rng.integers(0, N, (rounds, batch)).astype(np.uint64)
        value = rng.uniform(0.1, 1, (rounds, batch)).astype(np.float32)
        report(f"sample({batch})", "us", common.per_call_us(lambda: buffer.sample(batch, beta=0.4)))
        report(f"set({batch})", "us",
               common.per_call_us(in_turn(buffer.update_priorities, item, value)))

        def cycle(value):
            buffer.update_priorities(buffer.sample(batch, beta=0.4)["indexes"], value)

        report(f"sample and set({batch})", "us", common.per_call_us(in_turn(cycle, value)))


if __name__ == "__main__":
    {"torchrl": torchrl, "cpprb": cpprb}[sys.argv[1]]()
