"""What the peer_*.py scripts share: their report lines, their timing, and files of frames.

Needs numpy only. A line is {peer, version, workload, metric, unit, median, min, max}, as the
peers' other scripts print it.
"""
import json
import os
import statistics
import time

import numpy as np

SIDE, FRAME_BYTES = 84, 84 * 84
ROW_BYTES = 1 + FRAME_BYTES  # as make_frames.py writes them
STACK = 4


def rounded(x):
    return float(f"{x:.5g}") if abs(x) < 1e6 else int(x)


class Report:
    def __init__(self, peer, version, workload):
        self.base = dict(peer=peer, version=version, workload=workload)

    def __call__(self, metric, unit, values, **extra):
        if not isinstance(values, (list, tuple)):
            values = [values]
        figures = dict(median=rounded(statistics.median(values)), min=rounded(min(values)),
                       max=rounded(max(values)))
        print(json.dumps({**self.base, "metric": metric, "unit": unit, **figures, **extra}),
              flush=True)


def per_call_us(call, seconds=0.4, repeats=7):
    """Microseconds a call takes: `repeats` samples of about `seconds` each, after a warm-up."""
    start, n = time.perf_counter(), 0
    while n < 1 or time.perf_counter() - start < 0.15:
        call()
        n += 1
    calls = max(1, int(seconds * n / (time.perf_counter() - start)))
    samples = []
    for _ in range(repeats):
        start = time.perf_counter()
        for _ in range(calls):
            call()
        samples.append((time.perf_counter() - start) / calls * 1e6)
    return samples


def resident_bytes():
    """(anonymous, file-backed and shared) resident bytes of this process."""
    kib = dict.fromkeys(("RssAnon", "RssFile", "RssShmem"), 0)
    with open("/proc/self/status", encoding="ascii") as status:
        for line in status:
            key, _, value = line.partition(":")
            if key in kib:
                kib[key] = int(value.split()[0])
    return kib["RssAnon"] * 1024, (kib["RssFile"] + kib["RssShmem"]) * 1024


def folder_bytes(path):
    """(apparent, allocated) bytes of the files below `path`."""
    apparent = allocated = 0
    for folder, _, files in os.walk(path):
        for file in files:
            found = os.stat(os.path.join(folder, file))
            apparent, allocated = apparent + found.st_size, allocated + found.st_blocks * 512
    return apparent, allocated


def stem(path):
    return os.path.splitext(os.path.basename(path))[0]


def load_frames(path):
    """A file of make_frames.py: (first [n] bool, whether an episode starts there; pixels
    [n, 84, 84] uint8, mapped: not resident until read)."""
    rows = np.memmap(path, np.uint8, "r").reshape(-1, ROW_BYTES)
    return rows[:, 0] != 0, rows[:, 1:].reshape(-1, SIDE, SIDE)


class Transitions:
    """Transitions between stacks of 4 frames, from a file of frames; a file that is too short is
    gone through again. A stack at the start of an episode repeats the first frame.

        frame [n]: number of the last frame of the observation; that of the next one is 1 more
        done [n]: whether the next observation is the last of its episode
    """

    def __init__(self, path, n):
        first, self.pixels = load_frames(path)
        self.start = np.maximum.accumulate(np.where(first, np.arange(len(first)), 0))
        leaves = np.append(first[1:], True)  # nothing follows this frame in its episode
        self.frame = np.resize(np.flatnonzero(~leaves), n)
        self.done = leaves[self.frame + 1]

    def stacks(self, frame):
        """Stacks [len(frame), 4, 84, 84] that end at these frames."""
        back = np.asarray(frame)[:, None] - np.arange(STACK - 1, -1, -1)
        return self.pixels[np.maximum(back, self.start[frame][:, None])]
