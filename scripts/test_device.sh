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

say "Catch on the device, beside the CPU through the same layers: 20,000 steps"
for device in cuda torch; do
    begin=$(date +%s.%N)
    build/gannet train --config examples/catch-pixels.ini --device $device --steps 20000 \
        --out "$folder/$device" >&2 || failed=1
    echo "$begin $(date +%s.%N)" |
        awk -v d=$device '{ printf "{\"name\":\"catch.20000_steps.%s\",\"unit\":\"s\",\"median\":%.1f}\n", d, $2 - $1 }'
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
