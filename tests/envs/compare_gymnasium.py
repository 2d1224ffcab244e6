#!/usr/bin/env python3
"""CartPole, acrobot and mountain car beside Gymnasium (pip install gymnasium==1.4.0), step by step.

    ninja -C build tests/classic_steps
    tests/envs/compare_gymnasium.py build/tests/classic_steps [EPISODES]
    tests/envs/compare_gymnasium.py --golden tests/golden

The first steps both from the same random states by the same actions and compares every state,
observation, reward and end of whole trajectories; exits with 1 where a bit differs. The second writes
the trajectories of tests/envs/test_acrobot.c and test_mountain_car.c (those of test_cartpole.c are by
tests/golden/make_cartpole.py):

    start STATE...
    step ACTION REWARD TERMINATED STATE... OBSERVATION...

with all numbers in hexadecimal. numpy takes sines, cosines and squares (pow) of doubles from libm and
so do we, so equal bits need the same libm: glibc from 2.28 on, on a processor with FMA.
"""
import pathlib
import subprocess
import sys

import gymnasium
import numpy as np


def balance(t, state):
    """Pushes to where the pole falls."""
    return int(state[2] + 0.5 * state[3] > 0)


def pump(t, state):
    """Pushes where the joint, or the car, moves to already: adds energy until it gets there."""
    return 2 if state[-1] > 0 else 0


PROBLEMS = {
    # Gymnasium's name, the largest size of each state a random start has, and a policy
    # that does what is wanted.
    "cartpole": ("CartPole-v1", (2.4, 3.0, 0.2, 3.0), balance),
    "acrobot": ("Acrobot-v1", (3.14, 3.14, 12.5, 28.2), pump),
    "mountain-car": ("MountainCar-v0", (0.6, 0.07), pump),
}

POLICIES = {
    "left": lambda t, state: 0,
    "rest": lambda t, state: 1,
    "right": lambda t, state: 2,
    "turns": lambda t, state: t // 3 % 3,
    "pump": pump,
}

# Start, policy, most steps.
GOLDEN = {
    "acrobot": [
        ((0.01, -0.02, 0.03, -0.04), "pump", 150),
        ((-0.1, 0.1, 0.1, -0.1), "turns", 120),
        ((3.0, -3.0, 12.0, 28.0), "right", 25),
        ((-1.5, 2.5, -12.0, -28.0), "left", 25),
        ((0.05, 0.0, 0.0, 0.0), "rest", 20),
        # Here x * x for numpy's x**2 would end in another bit.
        ((1.2865235066535101, -0.9196822965999787, -10.18574157920726, 14.214964513643025),
         "right", 20),
    ],
    "mountain-car": [
        ((-0.5, 0.0), "pump", 200),
        ((-1.1, -0.05), "left", 30),
        ((-0.6, 0.0), "turns", 60),
        ((0.4, 0.06), "rest", 10),
        ((0.45, 0.07), "right", 10),
    ],
}


def hexes(numbers):
    """Shortest hexadecimal text of each."""
    texts = []
    for number in numbers:
        mantissa, exponent = float(number).hex().split("p")
        mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
        texts.append(mantissa + ("0" if mantissa.endswith("x") else "") + "p" + exponent)
    return " ".join(texts)


def trajectory(env, start, policy, steps):
    """Lines of one episode of Gymnasium."""
    env.reset()
    env.state = np.array(start, dtype=np.float64)
    yield f"start {hexes(start)}"
    for t in range(steps):
        action = policy(t, env.state)
        observation, reward, terminated, _, _ = env.step(action)
        yield (f"step {action} {reward:g} {int(terminated)} {hexes(env.state)} "
               f"{hexes(observation)}")
        if terminated:
            return


def write_golden(folder):
    for name, episodes in GOLDEN.items():
        env = gymnasium.make(PROBLEMS[name][0]).unwrapped
        lines = [f"# {PROBLEMS[name][0]} of Gymnasium {gymnasium.__version__}, "
                 "by tests/envs/compare_gymnasium.py"]
        for start, policy, steps in episodes:
            lines += trajectory(env, start, POLICIES[policy], steps)
        path = folder / (name.replace("-", "_") + ".txt")
        path.write_text("\n".join(lines) + "\n")


def numbers_of(line):
    return [float.fromhex(word) for word in line.split()[1:]]


def compare(program, episodes):
    """The number of problems that differ."""
    bad = 0
    for name, (theirs, size, policy) in PROBLEMS.items():
        env = gymnasium.make(theirs).unwrapped
        rng = np.random.default_rng(1)
        lines = []
        for episode in range(episodes):
            start = rng.uniform(-np.array(size), size)
            if episode % 2:
                start *= 0.03  # close to rest: long episodes
            if episode // 2 % 2:
                lines += trajectory(env, start, policy, 500)
            else:
                actions = int(env.action_space.n)
                lines += trajectory(env, start, lambda t, state: int(rng.integers(actions)), 500)
        ours = subprocess.run([program, name], input="\n".join(lines) + "\n", text=True,
                              stdout=subprocess.PIPE, check=True).stdout.splitlines()
        assert len(ours) == len(lines)
        different = [i for i, (a, b) in enumerate(zip(lines, ours))
                     if numbers_of(a) != numbers_of(b)]
        print(f"{name}: {episodes} episodes, {len(lines) - episodes} steps, "
              f"{len(different)} differ")
        if different:
            i = different[0]
            print(f"  the first, line {i + 1}:\n  {lines[i]}\n  {ours[i]}")
            bad += 1
    return bad


if sys.argv[1] == "--golden":
    write_golden(pathlib.Path(sys.argv[2]))
else:
    sys.exit(compare(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 200) > 0)
