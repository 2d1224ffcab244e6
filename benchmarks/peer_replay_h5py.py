"""h5py with gzip, as replay buffers on disk are often written: bytes, adding, sampling.

    peer_replay_h5py.py --frames FILE [--cache-mib 64]

The frames of FILE (see make_frames.py) go into a dataset [frames, 84, 84] uint8, gzip level 4 (the
default), in chunks of 100 frames or of 1. A sample is 256 times 5 consecutive frames of an episode
at random (a stack of 4 and the next one), read in the order in which they lie in the file, into an
array that is there. The chunk cache of HDF5 may hold --cache-mib and has as many slots as its
manual asks for. The file stays in the page cache of the system: no reading of a disk is timed.

pip packages: h5py numpy
Environment:  BENCH_SCRATCH = folder for the file (default: a temporary one here).
"""
import argparse
import os
import tempfile
import time
from importlib.metadata import version

import h5py
import numpy as np

import peer_common as common

BATCH, SPAN, BLOCK = 256, common.STACK + 1, 100


def sampler(dataset, first):
    """A function that samples once, spans of frames within one episode."""
    crosses = np.zeros(len(first), bool)
    for k in range(1, SPAN):
        crosses[:-k] |= first[k:]
    valid = np.flatnonzero(~crosses[: len(first) - SPAN + 1])
    rng = np.random.default_rng(1)
    batch = np.empty((BATCH, SPAN, common.SIDE, common.SIDE), np.uint8)

    def sample():
        for i, at in enumerate(np.sort(rng.choice(valid, BATCH)).tolist()):
            dataset.read_direct(batch[i], np.s_[at : at + SPAN])

    return sample


def measure(path, options, chunk_frames, first, pixels):
    n = len(pixels)
    report = common.Report(f"h5py gzip, chunks of {chunk_frames}", version("h5py"),
                           f"{common.stem(options.frames)} n={n}")
    cached = max(1, options.cache_mib * 2**20 // (chunk_frames * common.FRAME_BYTES))
    slots = 100 * cached + 1  # "about 100 times the chunks that fit"
    with h5py.File(path, "w", rdcc_nbytes=options.cache_mib * 2**20, rdcc_nslots=slots) as file:
        dataset = file.create_dataset("frames", pixels.shape, np.uint8, compression="gzip",
                                      chunks=(chunk_frames, common.SIDE, common.SIDE))
        rates = []
        for fifth in np.array_split(np.arange(n), 5):
            lo, hi = int(fifth[0]), int(fifth[-1]) + 1
            start = time.perf_counter()
            for at in range(lo, hi, BLOCK):
                dataset[at : min(at + BLOCK, hi)] = pixels[at : min(at + BLOCK, hi)]
            file.flush()
            rates.append((hi - lo) / (time.perf_counter() - start))
    report("add", "transitions/s", rates, block=BLOCK)
    report("disk", "bytes/transition", os.path.getsize(path) / n)

    for cache_mib in (options.cache_mib, 1):
        with h5py.File(path, "r", rdcc_nbytes=cache_mib * 2**20, rdcc_nslots=slots) as file:
            assert (file["frames"][n // 2 : n // 2 + SPAN] == pixels[n // 2 : n // 2 + SPAN]).all()
            sample = sampler(file["frames"], first)
            for _ in range(3):  # fills the cache
                sample()
            anonymous, _ = common.resident_bytes()
            report(f"sample(256), cache of {cache_mib} MiB", "us", common.per_call_us(sample, 1),
                   cache_mib=cache_mib, process_resident_bytes=anonymous)


def main():
    parse = argparse.ArgumentParser()
    parse.add_argument("--frames", required=True)
    parse.add_argument("--cache-mib", type=int, default=64)
    options = parse.parse_args()
    first, pixels = common.load_frames(options.frames)
    scratch = os.environ.get("BENCH_SCRATCH", ".")
    for chunk_frames in (100, 1):
        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            measure(os.path.join(folder, "frames.h5"), options, chunk_frames, first, pixels)


if __name__ == "__main__":
    main()
