#!/bin/sh
# Generates a market in which a signal exists, trains an agent on it, and measures the agent beside
# the baselines on bars it never saw. The seed is that of the market and of the training; GANNET
# names another command than that of build/.
#
#     scripts/demo.sh [SEED [FOLDER]]

set -eu
cd "$(dirname "$0")/.."
seed=${1:-1}
folder=${2:-runs/demo}
gannet=${GANNET:-build/gannet}

rm -rf "$folder"
mkdir -p "$folder"
"$gannet" data generate --to "$folder/market.csv" --generate.seed "$seed"
"$gannet" train --config examples/demo.ini --data "$folder/market.csv" --seed "$seed" \
    --out "$folder/run"
echo
"$gannet" eval "$folder/run" --split test
echo
echo "market       $folder/market.csv"
echo "options      $folder/run/run.ini"
echo "metrics      $folder/run/metrics.jsonl"
echo "best weights $folder/run/best/"
echo "checkpoints  $folder/run/checkpoints/"
echo "replay       $folder/run/replay/"
