#!/usr/bin/env python3
"""Does it learn? Trains over several seeds and judges the outcome (make test-long).

    scripts/test_learning.py GANNET

A recipe passes a seed where the mean return of its last training episodes reaches the return asked
for; the demo, where the agent ends above every baseline on bars it never saw. Prints a line a seed;
fails where fewer seeds pass than asked for.
"""
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SEEDS = range(1, 6)
PASSES = 4  # of the seeds
WINDOW = 100  # episodes
RECIPES = [("examples/cartpole-cleanrl.ini", 450)]  # and the return to reach


def last_returns(run):
    with open(run / "metrics.jsonl") as lines:
        events = map(json.loads, lines)
        return [event["return"] for event in events if event["type"] == "episode"][-WINDOW:]


def train_recipe(gannet, recipe, wanted, seed, folder):
    """Whether the seed passes, and what it reached."""
    subprocess.run([gannet, "train", "--config", ROOT / recipe, "--seed", str(seed),
                    "--out", folder / "run"], check=True, stderr=subprocess.DEVNULL)
    returns = last_returns(folder / "run")
    mean = sum(returns) / len(returns)
    return mean >= wanted, f"return {mean:.1f}, wanted {wanted}"


def train_demo(gannet, seed, folder):
    """Whether the seed passes, and the total returns."""
    subprocess.run([ROOT / "scripts/demo.sh", str(seed), folder], check=True,
                   env={**os.environ, "GANNET": gannet},
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    result = json.loads(subprocess.check_output(
        [gannet, "eval", folder / "run", "--split", "test", "--json"]))
    agent = result["agent"]["total_return"]
    best, name = max((figures["total_return"], name)
                     for name, figures in result["baselines"].items())
    return agent > best, f"agent {agent:+.1%}, best baseline {best:+.1%} ({name})"


def judge(what, train):
    """Whether enough seeds pass; train(seed, folder) tells of one."""
    passed = 0
    for seed in SEEDS:
        with tempfile.TemporaryDirectory() as folder:
            begin = time.monotonic()
            good, outcome = train(seed, Path(folder))
            seconds = time.monotonic() - begin
        passed += good
        print(f"{what} seed {seed}: {outcome}, {seconds:.1f} s", flush=True)
    enough = passed >= PASSES
    print(f"{what}: {'passed' if enough else 'FAILED'}, {passed} of {len(SEEDS)} seeds "
          f"(wanted {PASSES})", flush=True)
    return enough


def main():
    gannet = str(Path(sys.argv[1]).resolve())
    results = [judge("demo", lambda seed, folder: train_demo(gannet, seed, folder))]
    for recipe, wanted in RECIPES:
        results.append(judge(recipe, lambda seed, folder: train_recipe(gannet, recipe, wanted,
                                                                       seed, folder)))
    return not all(results)


sys.exit(main())
