#!/usr/bin/env python3
"""Counts the test functions in a log of `meson test`: prints PASSED FAILED SKIPPED, and on stderr
what was skipped and why. A log that is missing is one failure.

A program announces its functions as `1..N` and reports each as a line of TAP; before a SKIP it
prints the reason. A program that ends badly fails by the functions it reported as failed or never
reached, at least by one."""

import json
import pathlib
import re
import sys

REPORT = re.compile(r"(.*)\n(not )?ok \d+ (# SKIP )?(?:- )?(.*)")
PLAN = re.compile(r"^1\.\.(\d+)$", re.MULTILINE)


def count(program):
    output = program.get("stdout", "")
    reports = REPORT.findall(output)
    planned = sum(map(int, PLAN.findall(output))) or 1
    failed = sum(1 for _, bad, skip, _ in reports if bad and not skip)
    skipped = sum(1 for _, _, skip, _ in reports if skip)
    for reason, _, skip, name in reports:
        if skip:
            print(f"skipped: {program['name']}: {name} ({reason})", file=sys.stderr)
    if program["result"] != "OK":
        failed = max(1, failed + planned - len(reports))
    return planned - failed - skipped, failed, skipped


log = pathlib.Path(sys.argv[1])
if log.exists():
    print(*map(sum, zip((0, 0, 0), *(count(json.loads(line)) for line in log.open()))))
else:
    print(0, 1, 0)
