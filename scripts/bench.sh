#!/bin/sh
# Runs benchmarks and the peers they are compared with, all on one core with one thread, and prints
# their ratios.
#
#     scripts/bench.sh [NAME...]      NAME is benchmarks/bench_NAME.c; default: all
#
# JSON lines are appended to build/bench/NAME.jsonl; the table shows the newest figures there. The
# scripts of the peers are in peers/ and their data in data/ of $GANNET_SHARED (default ../shared);
# without that folder only our own figures are taken. Their packages come from PyPI into a virtual
# environment per group, $GANNET_DEPS/peers-GROUP, made on first use. PEERS=all adds peers that are
# neither the fastest nor the most used, PEERS=none leaves all of them out.

set -eu
cd "$(dirname "$0")/.."

torch=2.11.0
deps=$(realpath -m "${GANNET_DEPS:-.deps}")
shared=$(realpath -m "${GANNET_SHARED:-../shared}")
results=$PWD/build/bench
core=$(taskset -cp $$ | sed 's/.*[ ,-]//') # the last of those we may use
export OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 NUMBA_NUM_THREADS=1 RAYON_NUM_THREADS=1
export TORCHINDUCTOR_CPP_WRAPPER=1 # the faster way to run a compiled update

say() { echo "bench: $*" >&2; }

# Benchmark, set, group, script and its arguments.
peers()
{
    cat <<'END'
cartpole  default  sb3         bench_cartpole_rlox.py
cartpole  default  sb3         bench_cartpole_sb3.py dqn
cartpole  all      tianshou    bench_cartpole_tianshou.py dqn
cartpole  all      torchrl     bench_cartpole_torchrl.py 10
env       default  gym         bench_env_gym.py
env       default  torchtrade  bench_env_torchtrade.py
replay    default  sb3         bench_replay_rlox.py f82 f82-per
replay    default  tianshou    bench_replay_tianshou.py f82 f82-one
replay    all      sb3         bench_replay_cpprb.py f82 f82-per f82-mmap
replay    all      torchrl     bench_replay_torchrl.py f82
update    default  torch       bench_update_torch.py --modes eager_fused,compile_full
END
}

# What a group installs; all but gym run on torch.
packages_of()
{
    case $1 in
    gym) echo gymnasium==1.4.0 gym-trading-env==0.3.5 gym-anytrading==2.0.0 ;;
    sb3) echo numpy==2.4.6 gymnasium==1.4.0 stable-baselines3==2.9.2 sb3-contrib==2.9.2 \
        rlox==1.2.0 cpprb==11.0.0 ;;
    tianshou) echo gymnasium==1.4.0 tianshou==2.0.1 ;;
    torch) echo numpy==2.4.6 ;;
    torchrl) echo gymnasium==1.4.0 torchrl==0.14.1 tensordict==0.14.3 ;;
    torchtrade) echo torchtrade==0.1.0 scikit-learn ;;
    esac
}

# --- environments of the peers ---

pip_install()
{
    "$environment/bin/python" -m pip install --quiet --disable-pip-version-check --retries 2 \
        "$@" >"$results/pip.log" 2>&1
}

# The Python module of torch links CUDA libraries, 3.5 GB that nobody calls on a CPU. Libraries of
# the same names whose functions do nothing satisfy the loader.
make_cuda_stubs()
{
    mkdir "$stubs"
    nm -D --undefined-only "$libtorch"/lib/libtorch_*.so |
        sed -nE 's/.* U ((cublas|cudnn|cuFile|cufft|curand|cusparse|nccl|nvshmem)\w*).*/\1/p' |
        sort -u | sed 's/.*/void &(void) {}/' >"$stubs/stubs.c"
    for name in libcublas.so.13 libcublasLt.so.13 libcudnn.so.9 libcufft.so.12 libcufile.so.0 \
        libcurand.so.10 libcusparse.so.12 libcusparseLt.so.0 libnccl.so.2 libnvshmem_host.so.3; do
        version=$name
        [ $name != libnvshmem_host.so.3 ] || version=NVSHMEM
        echo "$version { *; };" >"$stubs/version"
        cc -w -shared -fPIC "$stubs/stubs.c" -o "$stubs/$name" \
            -Wl,-soname,$name -Wl,--version-script="$stubs/version"
    done
}

# Makes the torch that Gannet is linked with importable, and pip believe that it is installed. A
# python3 of another version than the wheel's needs its own.
install_torch()
{
    libtorch=$(scripts/bootstrap.sh --paths | sed -n 's/^torch=//p')
    site=$(echo "$environment"/lib/python3*/site-packages)
    stubs=$environment/cuda-stubs
    pip_install typing_extensions sympy networkx jinja2 fsspec filelock setuptools || return 1
    make_cuda_stubs
    mkdir "$site/torch-$torch.dist-info"
    printf 'Metadata-Version: 2.1\nName: torch\nVersion: %s\n' $torch \
        >"$site/torch-$torch.dist-info/METADATA"
    cat >"$site/lent_torch.pth" <<END
import ctypes, glob; list(map(ctypes.CDLL, glob.glob("$stubs/lib*")))
${libtorch%/torch}
END
    ! "$environment/bin/python" -c 'import torch' 2>/dev/null || return 0
    say "installing torch==$torch into $environment"
    rm -r "$site/lent_torch.pth" "$site/torch-$torch.dist-info"
    pip_install "torch==$torch"
}

# Sets `environment` to the folder of a group, which is whole if it has the file `whole`.
make_environment()
{
    environment=$deps/peers-$1
    [ ! -e "$environment/whole" ] || return 0
    say "installing $(packages_of "$1") into $environment"
    rm -rf "$environment"
    python3 -m venv "$environment" || return 1
    [ "$1" = gym ] || install_torch || return 1
    # shellcheck disable=SC2046
    pip_install $(packages_of "$1") || return 1
    touch "$environment/whole"
}

# --- running ---

# run COMMAND...: its lines are shown and kept, also those of one that fails.
run()
{
    status=0
    taskset -c "$core" "$@" >"$results/lines" || status=$?
    tee -a "$results/$name.jsonl" <"$results/lines"
    return $status
}

run_ours()
{
    program=build/benchmarks/bench_$name
    case $name in
    cartpole | replay) run "$program" --folder "$results/scratch" ;;
    env) run "$program" ${market:+--data "$market"} ;;
    *) run "$program" ;;
    esac
}

run_peers()
{
    peers | while read -r benchmark set group script arguments; do
        [ "$benchmark" = "$name" ] || continue
        [ "$set" = default ] || [ "${PEERS:-default}" = all ] || continue
        if ! make_environment "$group"; then
            say "skipped $script: its packages cannot be installed; pip.log in $results says why"
            continue
        fi
        say "$script $arguments"
        # shellcheck disable=SC2086
        (cd "$shared/peers" && BENCH_SCRATCH=$results PYTHONDONTWRITEBYTECODE=1 \
            run "$environment/bin/python" "$script" $arguments </dev/null 2>"$results/peer.log") ||
            say "$script failed: $(tail -n 1 "$results/peer.log")"
    done
}

mkdir -p "$results"
market=$shared/data/btcusd-1h.csv
[ -e "$market" ] || market=
if [ ! -d "$shared/peers" ]; then
    say "no $shared/peers: only our own figures"
    PEERS=none
fi
[ $# -gt 0 ] || set -- cartpole env replay update
for name; do
    say "$name"
    run_ours
    [ "${PEERS:-default}" = none ] || run_peers
    scripts/bench_table.py "$results/$name.jsonl"
done
