#!/bin/sh
# setup.sh build|test: installs what building, or testing, needs on Debian 12, if it is not there.
# OFFLINE=1 never touches the network: it says what is missing and fails.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
cd "$here"

build_packages="gcc make pkg-config libc6-dev ca-certificates protobuf-c-compiler
    libmicrohttpd-dev libjansson-dev libsqlite3-dev libpci-dev libprotobuf-c-dev libyaml-dev
    libcurl4-openssl-dev libseccomp-dev libssl-dev libpng-dev libjpeg62-turbo-dev pci.ids curl"
test_packages="$build_packages clang clang-format-14 libclang-rt-14-dev python3 python3-venv bzip2
    procps sqlite3 umockdev groff-base systemd ocl-icd-libopencl1 pocl-opencl-icd"

missing() {
    for package in "$@"; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || echo "$package"
    done
}

install_packages() {
    need=$(missing "$@")
    [ -n "$need" ] || return 0
    # shellcheck disable=SC2086 # a list of words
    set -- $need
    if [ "${OFFLINE:-0}" = 1 ]; then
        echo "setup: OFFLINE=1 and these packages are missing: $*" >&2
        exit 1
    fi
    if ! command -v apt-get >/dev/null; then
        echo "setup: this is not a Debian system; install the equivalents of: $*" >&2
        exit 1
    fi
    as_root=
    if [ "$(id -u)" != 0 ]; then
        as_root=sudo
        command -v sudo >/dev/null || { echo "setup: run as root: apt-get install $*" >&2; exit 1; }
    fi
    echo "setup: installing $*"
    export DEBIAN_FRONTEND=noninteractive
    $as_root apt-get install -y -qq --no-install-recommends "$@" >/dev/null 2>&1 ||
        { $as_root apt-get update -qq && $as_root apt-get install -y -qq --no-install-recommends "$@" >/dev/null; }
}

# The tests' Python lives in .venv; it is made anew when tests/requirements.txt changes.
make_venv() {
    stamp=.venv/requirements.txt
    cmp -s tests/requirements.txt "$stamp" 2>/dev/null && return 0
    if [ "${OFFLINE:-0}" = 1 ]; then
        echo "setup: OFFLINE=1 and .venv does not hold what tests/requirements.txt names" >&2
        exit 1
    fi
    echo "setup: making .venv from tests/requirements.txt"
    rm -rf .venv
    /usr/bin/python3 -m venv .venv
    .venv/bin/pip install -q --disable-pip-version-check -r tests/requirements.txt
    cp tests/requirements.txt "$stamp"
}

case "${1:-}" in
build)
    # shellcheck disable=SC2086
    install_packages $build_packages
    ;;
test)
    # shellcheck disable=SC2086
    install_packages $test_packages
    make_venv
    ;;
*)
    echo "usage: tools/setup.sh build|test" >&2
    exit 2
    ;;
esac
