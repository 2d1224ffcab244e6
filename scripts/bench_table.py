#!/usr/bin/env python3
"""Prints our figures of a benchmark, and beside them those of the peers that do the same work.

    scripts/bench_table.py build/bench/NAME.jsonl

Of repeated figures the newest counts. The ratio says how many times faster we are.
"""
import json
import re
import sys

# Regular expressions: our name; then peer, workload and metric of the same work, where {} stands
# for the group in our name.
SAME_WORK = [
    (r"train\.cartpole\.replay_.*", r".*", r"CartPole-v1 1 env.*", r"env_steps_per_s"),
    (r"train\.cartpole\.replay_.*", r"cleanrl", r"dqn", r"train"),
    (r"train\.cartpole\.c51", r"cleanrl", r"c51", r"train"),
    (r"env\.trading\.observe\.n1", r"gym-trading-env", r".*windows=64.*unwrapped.*", r".*"),
    (r"env\.trading\.observe\.n1", r"gym-anytrading", r".*window 64.*unwrapped.*", r".*"),
    (r"env\.trading\.observe\.n1", r"torchtrade", r".* scalar,.*step loop", r".*"),
    (r"env\.trading\.observe\.n(64|1024)", r"torchtrade", r"\w+ {} envs.*step loop", r".*"),
    (r"replay\.sample\.uniform\..*n1", r"\S+ (?!Prioritized).*", r"f82", r"sample\(256\)"),
    (r"replay\.sample_and_update\..*n1", r".*", r"f82", r"sample\+update_priorities\(256\)"),
    (r"replay\.add\.ram\.uniform", r"\S+ (Vector)?ReplayBuffer", r"f82", r"add_one"),
    (r"replay\.add\.ram\.prioritized", r"\S+ Prioritized.*", r"f82", r"add_one"),
    (r"replay\..*tree\.find\.1M\.b(\d+)", r"torchrl Sum.*", r"tree.*", r"find\({}\) stratified"),
    (r"replay\..*tree\.set\.1M\.b(\d+)", r"torchrl Sum.*", r"tree.*", r"set\({}\) sum and minimum"),
    (r"replay\..*tree\.find\.1M\.b(\d+)", r"torchrl Sum.*", r"tree.*", r"find\({}\) uniform"),
    (r"replay\.disk\.(\w+)\..*\.sample\.warm\..*", r"h5py.*", r"frames-{} .*", r"sample.*"),
    (r"replay\.disk\.(\w+)\..*\.bytes\.disk", r"h5py.*", r"frames-{} .*", r"disk"),
    (r"replay\.memory\..*\.sample\.warm\..*", r".*", r"frames-MsPacman .*", r"sample\(256\)"),
    (r"replay\.memory\..*\.bytes\..*", r".*", r"frames-MsPacman .*", r"memory|disk"),
    (r"replay\.commit\..*\.until_durable", r".*", r"f82", r"(save|dump).*(buffer|s)"),
    (r"update\.([abcd])", r"pytorch", r"{}: .*", r"update.*"),
    (r"act\.([abcd])", r"pytorch", r"{}: .*", r"act.*"),
    (r"(\w+\.\d+)\.(forward|forward and backward)", r"torch", r"{}", r"{1}"),
    (r"(\w+\.1)\.act", r"torch", r"{}", r"forward"),
]


def newest(path):
    """Our figures {name: figure} and the peers' {(peer, workload, metric): figure}."""
    ours, peers = {}, {}
    for line in open(path, encoding="utf-8"):
        figure = json.loads(line)
        if "name" in figure:
            ours[figure["name"]] = figure
        elif "median" in figure:
            peers[figure["peer"], figure["workload"], figure["metric"]] = figure
    return ours, peers


def does_same_work(name, peer):
    for pattern, *of_peer in SAME_WORK:
        match = re.fullmatch(pattern, name)
        if match and all(
            re.fullmatch(p.format(*match.groups()), text) for p, text in zip(of_peer, peer)
        ):
            return True
    return False


def number(value):
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def main(path):
    ours, peers = newest(path)
    print(f"{'':72}{'median':>12} {'unit':8}{'ratio':>8}")
    for name, figure in ours.items():
        print(f"{name:72}{number(figure['median']):>12} {figure['unit']:8}")
        for peer, other in peers.items():
            if not does_same_work(name, peer):
                continue
            ratio = other["median"] / figure["median"]
            if figure["unit"].endswith("/s"):
                ratio = 1 / ratio
            label = f"    {peer[0]} {other['version']}, {peer[2]}"
            print(f"{label:72}{number(other['median']):>12} {figure['unit']:8}{ratio:7.1f}x")


if __name__ == "__main__":
    main(sys.argv[1])
