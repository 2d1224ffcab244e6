#!/usr/bin/env python3
"""The trajectories of tests/envs/test_cartpole.c, from Gymnasium (pip install gymnasium==1.4.0).

Action t of a policy is a function of the state, or of t, that C repeats without a generator. Prints
{{policy, steps, fell}, start state, final state} for each episode: one wrong step changes all that
follow. A balanced pole multiplies a rounding error by 10 every 13 steps, so only the same operations
in the same order, without fused multiply-adds, meet these numbers.
"""
import gymnasium
import numpy as np

STEPS = 500
STARTS = [
    (0.01, -0.02, 0.03, 0.04),
    (-0.05, 0.05, -0.05, 0.05),
    (0.0, 0.0, 0.0, 0.0),
    (0.049, 0.01, -0.02, -0.03),
]
POLICIES = [
    ("PUSH_RIGHT", lambda t, state: 1),
    ("ALTERNATE", lambda t, state: t % 2),
    ("BALANCE", lambda t, state: int(state[2] + 0.5 * state[3] > 0)),
    ("DRIFT", lambda t, state: int(state[2] + 0.5 * state[3] > 0.02)),
]


def main():
    env = gymnasium.make("CartPole-v1").unwrapped
    for name, policy in POLICIES:
        for start in STARTS:
            env.reset()
            env.state = np.array(start, dtype=np.float64)
            steps, fell = 0, False
            while not fell and steps < STEPS:
                _, reward, fell, _, _ = env.step(policy(steps, env.state))
                assert reward == 1.0
                steps += 1
            numbers = ["{ %s }" % ", ".join(repr(float(x)) for x in s) for s in (start, env.state)]
            print("    { { %s, %d, %d },\n      %s,\n      %s }," % (name, steps, fell, *numbers))


main()
