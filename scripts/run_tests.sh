#!/bin/sh
# Everything that must hold before a change goes in. The last line is
# `N passed, N failed, N skipped`: the test functions of all suites, and one for each check.
#
#     build/        gcc, release                             all tests
#     build-asan/   gcc, address and undefined sanitizers    all tests
#     build-tsan/   gcc, thread sanitizer                    tests tagged 'threads'
#     build-clang/  clang                                    compiled only
#
# The last two link the C++ that build/ compiled.

set -u
cd "$(dirname "$0")/.." || exit
exec </dev/null # where it is closed, the first file that a program opens would take its place
passed=0 failed=0 skipped=0

# report NAME PASSED FAILED SKIPPED: prints a line and adds to the sum.
report()
{
    printf '%-22s %d passed, %d failed, %d skipped\n' "$1" "$2" "$3" "$4"
    passed=$((passed + $2)) failed=$((failed + $3)) skipped=$((skipped + $4))
}

# quiet COMMAND...: shows what the command prints only where it fails.
quiet()
{
    output=$("$@" 2>&1) || { printf '%s\n' "$output"; return 1; }
}

# check NAME COMMAND...
check()
{
    name=$1
    shift
    if quiet "$@"; then report "$name" 1 0 0; else report "$name" 0 1 0; fi
}

# suite NAME FOLDER OPTION...: the tests of a build folder, built as far as they need it.
suite()
{
    name=$1 log=$2/meson-logs/testlog.json
    shift
    rm -f "$log"
    quiet meson test -C "$@" --no-suite long --quiet --print-errorlogs
    # shellcheck disable=SC2046
    report "$name" $(tests/count_results.py "$log")
}

configured()
{
    [ -e "$1/build.ninja" ] || meson setup "$@"
}

compiled()
{
    configured "$@" && ninja -C "$1"
}

compiled_by_clang()
{
    export CC=clang CXX=clang++
    compiled "$@"
}

options_documented()
{
    build/gannet options --markdown | diff -u docs/options.md -
}

# Programs of the replay buffer alone stay small: LibTorch is 100 MB of memory in each.
replay_without_torch()
{
    ! ldd build/examples/replay_disk | grep libtorch
}

scripts/bootstrap.sh --checks || exit

check "build: release" compiled build
suite "tests: release" build

check "build: sanitizers" compiled build-asan --buildtype=debugoptimized \
    -Db_sanitize=address,undefined
suite "tests: sanitizers" build-asan --timeout-multiplier 4

check "set-up: threads" configured build-tsan --buildtype=debugoptimized -Db_sanitize=thread \
    -Dcxx_from="$PWD/build"
suite "tests: threads" build-tsan --suite threads --timeout-multiplier 4

check "build: clang" compiled_by_clang build-clang -Dcxx_from="$PWD/build"

check "layers" tests/check_layers.py
check "headers" tests/check_headers.sh
check "format" tests/check_format.sh
check "docs/options.md" options_documented
check "replay without LibTorch" replay_without_torch

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
