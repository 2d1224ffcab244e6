#!/usr/bin/env python3
"""Does it learn? Trains recipes over several seeds and judges the returns (make test-long).

    scripts/test_learning.py GANNET

Prints a line a seed: the mean return of its last 100 training episodes and the run time. Fails
where fewer seeds than asked for reach the return asked for.
"""
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Recipe, seeds, return to reach, seeds that must reach it.
CASES = [("examples/cartpole-cleanrl.ini", 5, 450, 4)]
WINDOW = 100  # episodes


def last_returns(run):
    with open(run / "metrics.jsonl") as lines:
        events = map(json.loads, lines)
        return [event["return"] for event in events if event["type"] == "episode"][-WINDOW:]


def train(gannet, recipe, seed, folder):
    """Mean return of the last episodes, and seconds."""
    run = Path(folder) / f"{Path(recipe).stem}-{seed}"
    begin = time.monotonic()
    subprocess.run([gannet, "train", "--config", ROOT / recipe, "--seed", str(seed), "--out", run],
                   check=True, stderr=subprocess.DEVNULL)
    returns = last_returns(run)
    return sum(returns) / len(returns), time.monotonic() - begin


def main():
    gannet = sys.argv[1]
    failed = False
    for recipe, seeds, wanted, least in CASES:
        reached = 0
        for seed in range(1, seeds + 1):
            with tempfile.TemporaryDirectory() as folder:
                mean, seconds = train(gannet, recipe, seed, folder)
            reached += mean >= wanted
            print(f"{recipe} seed {seed}: {mean:.1f} in {seconds:.1f} s", flush=True)
        verdict = "passed" if reached >= least else "FAILED"
        failed |= reached < least
        print(f"{recipe}: {verdict}, {reached} of {seeds} seeds reach {wanted} (wanted {least})")
    return failed


sys.exit(main())
