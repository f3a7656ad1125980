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

python -m pip install --no-cache-dir --disable-pip-version-check --root-user-action ignore --require-hashes -r "$lock"
python -m pip check
