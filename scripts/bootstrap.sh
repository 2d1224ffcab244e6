#!/bin/sh
# Finds what the build needs and installs what is missing. Says what it does, and nothing when
# nothing is to do; uses the network only to install.
#
#     scripts/bootstrap.sh            make everything ready to build
#     scripts/bootstrap.sh --checks   and to test: other compilers and the formatter
#     scripts/bootstrap.sh --paths    print where LibTorch and Arrow are (read by shim/meson.build)
#
# System packages come from apt. LibTorch is $LIBTORCH, else our copy, else a torch of the right
# version that python3 can import, else pip installs our copy. Arrow is our copy, else what
# pkg-config knows, else the pyarrow wheel, which carries headers and libraries. Our copies stand in
# $GANNET_DEPS (default .deps; several checkouts may share it), a folder each, whole if it exists.

set -eu
cd "$(dirname "$0")/.."

mode=${1:-}
torch="torch-2.11.0"
pyarrow="pyarrow-26.0.1"
deps=$(realpath -m "${GANNET_DEPS:-.deps}")

say() { echo "bootstrap: $*" >&2; }
die() { say "$*"; exit 1; }

# --- finding ---

has_nvidia_driver() { nvidia-smi >/dev/null 2>&1; }

# The folder of the torch package that python3 would import, found without importing it.
importable_torch()
{
    python3 - "${torch#torch-}" <<'END' 2>/dev/null
import importlib.util, pathlib, sys
folder = pathlib.Path(importlib.util.find_spec("torch").submodule_search_locations[0])
version = {}
exec((folder / "version.py").read_text(), version)
sys.exit(version["__version__"].split("+")[0] != sys.argv[1] or print(folder))
END
}

# Sets torch_dir, or fails.
find_torch()
{
    if [ -n "${LIBTORCH:-}" ]; then
        torch_dir=$(realpath "$LIBTORCH")
        return
    fi
    for torch_dir in "$deps/$torch-cuda/torch" "$deps/$torch-cpu/torch"; do
        [ ! -d "$torch_dir" ] || return 0
    done
    torch_dir=$(importable_torch) && [ -e "$torch_dir/lib/libtorch_cpu.so" ]
}

# Sets arrow_include, arrow_library and parquet_library, or fails.
find_arrow()
{
    if [ -d "$deps/$pyarrow" ]; then
        arrow_include=$deps/$pyarrow/pyarrow/include
        arrow_library=$(echo "$deps/$pyarrow"/pyarrow/libarrow.so.*)
        parquet_library=$(echo "$deps/$pyarrow"/pyarrow/libparquet.so.*)
    else
        pkg-config --exists 'arrow >= 20' 'parquet >= 20' 2>/dev/null || return 1
        arrow_include=$(pkg-config --variable=includedir arrow)
        arrow_library=$(pkg-config --variable=libdir arrow)/libarrow.so
        parquet_library=$(pkg-config --variable=libdir parquet)/libparquet.so
    fi
}

# Prints the apt packages that are missing.
missing_packages()
{
    while read -r package check; do
        eval "$check" >/dev/null 2>&1 </dev/null || printf ' %s' "$package"
    done <<'END'
g++             command -v c++
meson           command -v meson
ninja-build     command -v ninja
pkg-config      command -v pkg-config
clang           [ "$mode" != --checks ] || command -v clang
clang-format    [ "$mode" != --checks ] || command -v clang-format
python3-pip     find_torch && find_arrow || python3 -m pip --version
liblmdb-dev     pkg-config --exists lmdb
libzstd-dev     pkg-config --exists libzstd
libcmocka-dev   pkg-config --exists cmocka
libinih-dev     pkg-config --exists inih
libjansson-dev  pkg-config --exists jansson
libxxhash-dev   pkg-config --exists libxxhash
END
}

# --- installing ---

install_packages()
{
    command -v apt-get >/dev/null || die "no apt-get here; please install:$1"
    as_root=
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || die "neither root nor sudo; please install:$1"
        as_root=sudo
    fi
    say "installing system packages:$1"
    # apt-get fails where another holds its locks. Checkouts that are set up side by side take turns.
    turn="flock --close /var/lib/dpkg"
    $turn $as_root apt-get update -qq >&2
    # shellcheck disable=SC2086
    $turn $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y \
        --no-install-recommends -o DPkg::Lock::Timeout=600 $1 >&2
}

# pip_install FOLDER WHAT...: whole or not at all. We use no Python code of the wheels, so any
# python3 may fetch those of one fixed version.
pip_install()
{
    folder=$deps/$1
    say "installing $1 into $deps with pip"
    shift
    rm -rf "$folder.partial"
    mkdir -p "$folder.partial/tmp"
    TMPDIR=$folder.partial/tmp PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet \
        --disable-pip-version-check --only-binary :all: --python-version 3.11 \
        --target "$folder.partial" "$@" >&2 || die "pip failed: $*"
    rm -rf "$folder.partial/tmp"
    mv "$folder.partial" "$folder"
}

install_torch()
{
    if has_nvidia_driver; then
        pip_install "$torch-cuda" "torch==${torch#torch-}"
    else # what the CPU part of LibTorch needs, a quarter of the whole
        pip_install "$torch-cpu" --no-deps "torch==${torch#torch-}" \
            nvidia-cuda-runtime==13.0.96 nvidia-cuda-cupti==13.0.85
    fi
}

install_missing()
{
    packages=$(missing_packages)
    [ -z "$packages" ] || install_packages "$packages"
    find_torch || install_torch
    find_arrow || pip_install "$pyarrow" --no-deps "pyarrow==${pyarrow#pyarrow-}"
}

if [ -n "${LIBTORCH:-}" ] && [ ! -e "$LIBTORCH/lib/libtorch_cpu.so" ]; then
    die "LIBTORCH=$LIBTORCH has no lib/libtorch_cpu.so"
fi
if [ "$mode" = --paths ]; then
    if ! find_torch || ! find_arrow; then
        die "LibTorch or Arrow is missing: run scripts/bootstrap.sh"
    fi
    printf '%s=%s\n' torch "$torch_dir" arrow_include "$arrow_include" \
        arrow_library "$arrow_library" parquet_library "$parquet_library"
elif [ -n "$(missing_packages)" ] || ! find_torch || ! find_arrow; then
    mkdir -p "$deps"
    exec 9>"$deps/lock"
    if ! flock --nonblock 9; then
        say "waiting for another run of this script"
        flock 9
    fi
    install_missing # looks again: the other run may have done it
fi
