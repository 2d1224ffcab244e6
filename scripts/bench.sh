#!/bin/sh
# Runs benchmarks and the peers they are compared with, all on one core with one thread, and prints
# their ratios.
#
#     scripts/bench.sh [NAME...]      NAME is benchmarks/bench_NAME.c or replay_memory; default: all
#                                     that have peers
#
# JSON lines are appended to build/bench/NAME.jsonl; the table shows the newest figures there. The
# scripts of the peers are benchmarks/peer_*.py, and others in peers/ of $GANNET_SHARED (default
# ../shared), with data in data/; what is not there is left out. Their packages come from PyPI into
# a virtual environment per group, $GANNET_DEPS/peers-GROUP, made on first use. PEERS=all adds peers
# that are neither the fastest nor the most used, PEERS=none leaves all of them out.
#
# CleanRL is on no package index: set CLEANRL to a checkout of it, else it is left out.
#
# Frames of games come from a random player (benchmarks/make_frames.py) and stay in
# build/bench/frames-GAME.bin; PEERS=none uses those that are there.

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

# Benchmark, set, group, script and its arguments. Frames are made where needed.
peers()
{
    cat <<'END'
cartpole  default  sb3         bench_cartpole_rlox.py
cartpole  default  sb3         bench_cartpole_sb3.py dqn
cartpole  default  cleanrl     peer_cartpole_cleanrl.py dqn
cartpole  default  cleanrl     peer_cartpole_cleanrl.py c51
cartpole  all      tianshou    bench_cartpole_tianshou.py dqn
cartpole  all      torchrl     bench_cartpole_torchrl.py 10
encoder   default  torch       peer_encoder.py
env       default  gym         bench_env_gym.py
env       default  torchtrade  bench_env_torchtrade.py
replay    default  sb3         bench_replay_rlox.py f82 f82-per
replay    default  tianshou    bench_replay_tianshou.py f82 f82-one
replay    all      sb3         bench_replay_cpprb.py f82 f82-per f82-mmap
replay    all      torchrl     bench_replay_torchrl.py f82
replay_tree    default  torchrl-tree  peer_tree.py torchrl
replay_tree    all      sb3           peer_tree.py cpprb
replay_disk    default  h5py          peer_replay_h5py.py --frames frames-MsPacman.bin
replay_disk    default  h5py          peer_replay_h5py.py --frames frames-Pong.bin
replay_disk    default  h5py          peer_replay_h5py.py --frames frames-Breakout.bin
replay_memory  default  sb3           peer_replay_frames.py --frames frames-MsPacman.bin sb3
replay_memory  default  sb3           peer_replay_frames.py --frames frames-MsPacman.bin sb3-opt
replay_memory  default  sb3           peer_replay_frames.py --frames frames-MsPacman.bin cpprb
replay_memory  all      tianshou      peer_replay_frames.py --frames frames-MsPacman.bin tianshou
replay_memory  all      torchrl       peer_replay_frames.py --frames frames-MsPacman.bin torchrl
replay_commit  default  sb3           bench_replay_sb3.py f82-save
replay_commit  default  torchrl       bench_replay_torchrl.py f82-save
update    default  torch       bench_update_torch.py --modes eager_fused,compile_full
END
}

# What a group installs; all but ale, gym and h5py run on torch. The extension of torchrl 0.13.3 is
# the newest that loads with our torch, and its tree is that of 0.14.1.
packages_of()
{
    case $1 in
    ale) echo numpy==2.4.6 ale-py==0.12.1 ;;
    cleanrl) echo numpy==1.26.4 gymnasium==0.29.1 tyro==0.9.24 tensorboard==2.20.0 ;;
    gym) echo gymnasium==1.4.0 gym-trading-env==0.3.5 gym-anytrading==2.0.0 ;;
    h5py) echo numpy==2.4.6 h5py==3.16.0 ;;
    sb3) echo numpy==2.4.6 gymnasium==1.4.0 stable-baselines3==2.9.2 sb3-contrib==2.9.2 \
        rlox==1.2.0 cpprb==11.0.0 ;;
    tianshou) echo gymnasium==1.4.0 tianshou==2.0.1 ;;
    torch) echo numpy==2.4.6 ;;
    torchrl) echo gymnasium==1.4.0 torchrl==0.14.1 tensordict==0.14.3 ;;
    torchrl-tree) echo torchrl==0.13.3 tensordict==0.13.0 ;;
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
    for library in libcublas.so.13 libcublasLt.so.13 libcudnn.so.9 libcufft.so.12 libcufile.so.0 \
        libcurand.so.10 libcusparse.so.12 libcusparseLt.so.0 libnccl.so.2 libnvshmem_host.so.3; do
        version=$library
        [ $library != libnvshmem_host.so.3 ] || version=NVSHMEM
        echo "$version { *; };" >"$stubs/version"
        cc -w -shared -fPIC "$stubs/stubs.c" -o "$stubs/$library" \
            -Wl,-soname,$library -Wl,--version-script="$stubs/version"
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
    case $1 in
    ale | gym | h5py) ;;
    *) install_torch || return 1 ;;
    esac
    # shellcheck disable=SC2046
    pip_install $(packages_of "$1") || return 1
    touch "$environment/whole"
}

# --- running ---

# run COMMAND...: its JSON lines are shown and kept, also those of one that fails. Some packages log
# to standard output.
run()
{
    status=0
    taskset -c "$core" "$@" >"$results/lines" || status=$?
    grep '^{' "$results/lines" | tee -a "$results/$name.jsonl"
    return $status
}

# Makes sure that the frames of a game, results/frames-GAME.bin, are there; more of the one that has
# to fill a replay buffer.
make_frames()
{
    frames=$results/frames-$1.bin
    [ ! -e "$frames" ] || return 0
    [ "${PEERS:-default}" != none ] && make_environment ale || return 1
    count=20000
    [ "$1" != MsPacman ] || count=100000
    say "making $count frames of $1"
    "$environment/bin/python" benchmarks/make_frames.py --game "$1" --frames $count --out "$frames"
}

# run_frames INPUT OPTION...: INPUT is a game, or what the program makes itself.
run_frames()
{
    input=$1
    shift
    case $input in
    catch | chart | noise) frames=$input ;;
    *) make_frames "$input" || { say "no frames of $input"; return 0; } ;;
    esac
    run "$program" --folder "$results/scratch" --frames "$frames" "$@"
}

run_ours()
{
    program=build/benchmarks/bench_$name
    [ "$name" != replay_memory ] || program=build/benchmarks/bench_replay_disk
    if [ ! -e "$program" ]; then
        say "no $program: only the peers' figures"
        return 0
    fi
    case $name in
    cartpole | replay | replay_commit) run "$program" --folder "$results/scratch" ;;
    env) run "$program" ${market:+--data "$market"} ;;
    replay_disk) # 10 GB of each
        for input in MsPacman Pong Breakout catch chart; do
            run_frames $input
        done
        run_frames noise --codec none
        ;;
    replay_memory) # 100,000 frames, as the peers hold
        for input in MsPacman catch chart; do
            run_frames $input --name memory --gigabytes 0.7056
        done
        ;;
    *) run "$program" ;;
    esac
}

# Ours run where the frames are, those of the shared folder in their own.
run_peers()
{
    peers | while read -r benchmark set group script arguments; do
        [ "$benchmark" = "$name" ] || continue
        [ "$set" = default ] || [ "${PEERS:-default}" = all ] || continue
        case $script in
        peer_*) path=$PWD/benchmarks/$script folder=$results ;;
        *) path=$shared/peers/$script folder=$shared/peers ;;
        esac
        if [ ! -e "$path" ]; then
            say "no $path: left out"
            continue
        fi
        if [ "$group" = cleanrl ] && [ -z "${CLEANRL:-}" ]; then
            say "no checkout of CleanRL in CLEANRL: left out"
            continue
        fi
        case $arguments in
        *frames-*)
            game=${arguments#*frames-}
            if ! make_frames "${game%%.bin*}"; then
                say "skipped $script: no frames; pip.log in $results says why"
                continue
            fi
            ;;
        esac
        if ! make_environment "$group"; then
            say "skipped $script: its packages cannot be installed; pip.log in $results says why"
            continue
        fi
        say "$script $arguments"
        # shellcheck disable=SC2086
        (cd "$folder" && BENCH_SCRATCH=$results PYTHONDONTWRITEBYTECODE=1 \
            run "$environment/bin/python" "$path" $arguments </dev/null 2>"$results/peer.log") ||
            say "$script failed: $(tail -n 1 "$results/peer.log")"
    done
}

mkdir -p "$results"
market=$shared/data/btcusd-1h.csv
[ -e "$market" ] || market=
all="cartpole encoder env replay replay_tree replay_disk replay_memory replay_commit update"
others=
for file in benchmarks/bench_*.c; do
    name=${file#benchmarks/bench_} name=${name%.c}
    case " $all " in *" $name "*) ;; *) others="$others $name" ;; esac
done
for name; do
    case " $all$others " in
    *" $name "*) ;;
    *)
        say "there is no benchmark $name; there are $all and, without peers,$others"
        exit 2
        ;;
    esac
done
# shellcheck disable=SC2086
[ $# -gt 0 ] || set -- $all
for name; do
    say "$name"
    run_ours
    [ "${PEERS:-default}" = none ] || run_peers
    [ ! -e "$results/$name.jsonl" ] || scripts/bench_table.py "$results/$name.jsonl"
done
