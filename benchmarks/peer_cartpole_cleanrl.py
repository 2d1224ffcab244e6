#!/usr/bin/env python3
"""CleanRL beside bench_cartpole: its own dqn.py or c51.py, unchanged, on one thread.

    PYTHON benchmarks/peer_cartpole_cleanrl.py dqn|c51 [--steps N]

Needs a checkout of CleanRL, which is not on PyPI, in $CLEANRL, and its packages. The script runs
with the options it has, but from the first step on with its final epsilon, as bench_cartpole does.
From the steps where it learns on it prints a line every 100 steps; steps/s are those of samples of
1,000 steps, the first 2,000 left out.
"""
import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from peer_common import Report

LINE, STARTS, WARM_UP, SAMPLE = 100, 10000, 2000, 1000  # steps


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("algorithm", choices=("dqn", "c51"))
    arguments.add_argument("--steps", type=int, default=10000, help="that are timed")
    given = arguments.parse_args()
    if "CLEANRL" not in os.environ:
        sys.exit("set CLEANRL to a checkout of CleanRL")
    checkout = Path(os.environ["CLEANRL"]).resolve()
    script = checkout / "cleanrl" / f"{given.algorithm}.py"
    commit = subprocess.check_output(["git", "-C", checkout, "log", "-1", "--format=%h"], text=True)
    with tempfile.TemporaryDirectory() as folder:
        run = subprocess.Popen(
            [sys.executable, "-u", script, "--start-e", "0.05", "--no-cuda",
             "--total-timesteps", str(STARTS + WARM_UP + given.steps)],
            stdout=subprocess.PIPE, text=True, cwd=folder,
            env={**os.environ, "PYTHONPATH": str(checkout)})
        times = [time.perf_counter() for line in run.stdout if re.match(r"SPS: \d+", line)]
    if run.returncode or run.wait():
        sys.exit(f"{script}: exit status {run.returncode}")
    times = times[WARM_UP // LINE::SAMPLE // LINE]
    rates = [SAMPLE / (end - begin) for begin, end in zip(times, times[1:])]
    Report("cleanrl", commit.strip(), given.algorithm)("train", "steps/s", rates)


main()
