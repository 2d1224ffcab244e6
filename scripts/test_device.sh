#!/bin/sh
# What only a CUDA device can show, in one go (about 5 minutes): the tests that are skipped without
# one, a run on the device beside the same on the CPU, and figures of both.
#
#     scripts/test_device.sh [SECONDS]     a benchmark case's budget; default 1
#
# Builds nothing: run `make` first. Prints JSON lines of figures on stdout, all else on stderr; ends
# with 1 where a test fails, 2 where there is no device.

set -eu
cd "$(dirname "$0")/.."
seconds=${1:-1}
folder=$(mktemp -d "${TMPDIR:-/tmp}/gannet-device-XXXXXX")
trap 'rm -rf "$folder"' EXIT INT TERM
failed=0

say() { echo "device: $*" >&2; }

if [ -z "$(build/benchmarks/bench_sum_tree_cuda --seconds 0.01)" ]; then
    say "no CUDA device"
    exit 2
fi
for test in cuda sum_tree_cuda buffer_device replay_device torch_net device; do
    say "test_$test"
    GANNET_COMMAND=$PWD/build/gannet "build/tests/test_$test" >&2 || failed=1
done

say "Catch on the device, and a part of it on the CPU through the same layers"
for run in "cuda 20000" "torch 2000"; do
    device=${run% *} steps=${run#* } begin=$(date +%s.%N)
    if build/gannet train --config examples/catch-pixels.ini --device "$device" --steps "$steps" \
        --out "$folder/$device" >&2; then
        echo "$device $steps $begin $(date +%s.%N)" | awk '{
            printf "{\"name\":\"catch.%s\",\"unit\":\"steps/s\",\"median\":%.1f}\n",
                $1, $2 / ($4 - $3) }'
    else
        failed=1
    fi
done

build/benchmarks/bench_sum_tree_cuda --seconds "$seconds"
for device in cuda cpu; do
    build/benchmarks/bench_encoder --device $device --seconds "$seconds"
    for batch in 256 4096 65536; do
        build/gannet replay bench --input floats --replay.prioritized true \
            --replay.capacity 1M --replay.device $device --batch $batch --seconds "$seconds" --json
    done
done
exit $failed
