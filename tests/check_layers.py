#!/usr/bin/env python3
"""Every #include "FOLDER/..." follows the arrows of docs/architecture.md, *_internal.h and headers
whose head says "Internal to FOLDER/" stay inside their folder, and only shim/ is C++ or sees
LibTorch, Arrow and CUDA. A .cu elsewhere is kernels beside their C twin, NAME.cu by NAME.c, and keeps
the same rules. Tests and benchmarks may include anything."""

import pathlib
import re
import sys

MAY_INCLUDE = {
    "base": set(),
    "shim": {"base"},
    "market": {"base", "shim"},
    "envs": {"base", "shim", "market"},
    "replay": {"base", "shim"},
    "nn": {"base", "shim"},
    "rl": {"base", "shim", "market", "envs", "replay", "nn"},
    "report": {"base", "market"},
    "cli": {"base", "shim", "market", "envs", "replay", "nn", "rl", "report"},
    "examples": {"base", "market", "envs", "replay", "nn", "rl", "report"},
}
UNCHECKED = {"tests", "benchmarks"}
SHIM_ONLY = ("torch/", "ATen/", "c10/", "arrow/", "parquet/", "cuda")
INCLUDE = re.compile(r'\s*#\s*include\s+(["<])([^">]+)[">]')


def says_internal(target):
    header = pathlib.Path(target)
    return header.exists() and "// Internal to " in header.read_text().split("#ifndef")[0]


def reason_against(folder, quote, target):
    """Why a file of `folder` must not include `target`, or None."""
    if quote == "<":
        if folder != "shim" and target.startswith(SHIM_ONLY):
            return "only shim/ sees this library"
        return None
    owner = target.split("/")[0]
    if owner not in MAY_INCLUDE[folder] | {folder}:
        return f"{folder}/ may not include {owner}/"
    if owner != folder and (target.endswith("_internal.h") or says_internal(target)):
        return f"internal to {owner}/"
    return None


def findings(path):
    folder = path.parts[0]
    if folder not in MAY_INCLUDE:
        yield f"{path}: {folder}/ is not a layer"
        return
    if path.suffix == ".cpp" and folder != "shim":
        yield f"{path}: only shim/ is C++"
    if path.suffix == ".cu" and not path.with_suffix(".c").exists():
        yield f"{path}: kernels without a C twin"
    for number, line in enumerate(path.read_text().splitlines(), 1):
        match = INCLUDE.match(line)
        why = match and reason_against(folder, *match.groups())
        if why:
            yield f"{path}:{number}: {match[2]}: {why}"


bad = 0
for folder in sorted(pathlib.Path(".").iterdir()):
    if not folder.is_dir() or folder.name in UNCHECKED or folder.name.startswith((".", "build")):
        continue
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".c", ".h", ".cpp", ".cu"):
            for finding in findings(path):
                print(finding)
                bad = 1
sys.exit(bad)
