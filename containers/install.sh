#!/bin/sh
# What Dockerfile and spectral-ssl.def run in their base image: git and a compiler from Debian, Python packages by hash.
set -eu
lock=$1

# git: provenance names the checkout's commit. gcc: torch.compile builds its kernels' launchers (engine.compile).
apt-get update
apt-get install --yes --no-install-recommends gcc git libc6-dev
rm -rf /var/lib/apt/lists/*
# A mounted checkout may belong to another user than the one in the container; git would refuse to read it.
git config --system --add safe.directory '*'

# Wheels run nothing when they are installed. connection-pool has none: its setup.py runs, with the lock's setuptools.
pip_install() {
    python -m pip install --no-cache-dir --disable-pip-version-check --root-user-action ignore --require-hashes \
        --only-binary=:all: --no-binary=connection-pool --no-build-isolation -r "$1"
}
sed -n '/^setuptools==/,/[^\]$/p' "$lock" | pip_install /dev/stdin
pip_install "$lock"
python -m pip check
