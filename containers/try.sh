#!/bin/bash
# Builds Dockerfile and runs the smoke tier in the image, without a daemon or a registry: a Debian made here, with
# Debian's Python, stands in for the base image. As root, on Debian; 20 minutes, 25 GB in $TMPDIR, removed at the end.
#   apt-get install buildah debootstrap && containers/try.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

error() { echo "error: $*" >&2; exit 1; }
step() { echo "== $1"; }

for program in buildah debootstrap; do
    command -v "$program" > /dev/null || error "$program is missing: apt-get install buildah debootstrap"
done
[ "$(id -u)" = 0 ] || error "found user $(id -un), expected root, who may make root folders and enter them"

work=$(mktemp --directory)
container=
# shellcheck disable=SC2317  # called by trap
clean() {
    if [ -n "$container" ]; then buildah rm "$container" > /dev/null || true; fi
    rm -rf "$work"
}
trap clean EXIT
printf '[storage]\ndriver = "vfs"\ngraphroot = "%s"\nrunroot = "%s"\n' "$work/images" "$work/run" > "$work/storage.conf"
export CONTAINERS_STORAGE_CONF=$work/storage.conf BUILDAH_ISOLATION=chroot

step "the checkout's last commit"
git clone --quiet . "$work/checkout"
cd "$work/checkout"
mkdir --parents results figures .snakemake
chown 1000:1000 results figures .snakemake

step "stand-in for the base image"
root=$work/base
debootstrap --variant=minbase --include=ca-certificates,python3,python3-venv bookworm "$root" > "$work/log" \
    || { cat "$work/log"; error "debootstrap failed"; }
# `python` and `pip` in /usr/local/bin, as in the base image.
chroot "$root" python3 -m venv /usr/local
# For a host that reaches package indices through a mirror or with a certificate of its own.
for file in /etc/pip.conf /etc/ssl/certs/ca-certificates.crt; do
    if [ -e "$file" ]; then cp "$file" "$root$file"; fi
done
container=$(buildah from scratch)
buildah copy --quiet "$container" "$root" / > /dev/null
buildah config --env PATH=/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin "$container"
buildah commit --quiet --rm "$container" localhost/stand-in > /dev/null
container=
rm -rf "$root"

step "build"
base=$(sed --quiet 's/^FROM //p' containers/Dockerfile)
buildah build --quiet --build-context "$base=container-image://localhost/stand-in" \
    --file containers/Dockerfile --tag localhost/spectral-ssl .
container=$(buildah from localhost/spectral-ssl)

# The user is the image's, and of the checkout only three folders may be written to.
inside() {
    buildah run --volume "$PWD:/checkout:ro" --volume "$PWD/results:/checkout/results" \
        --volume "$PWD/figures:/checkout/figures" --volume "$PWD/.snakemake:/checkout/.snakemake" "$container" -- "$@"
}
section() { awk -v name="%$1" '/^%/ { on = $1 == name; next } on' containers/spectral-ssl.def; }

step "the Apptainer recipe's test in its environment"
inside sh -euc "$(section environment; section test)"

step "smoke tier"
inside python -m snakemake --cores 2 --quiet all --config tier=smoke
inside python -m snakemake --cores 2 --config tier=smoke 2>&1 | grep "Nothing to be done" \
    || error "a second smoke run found something to do"

step "results name the commit and the image's packages"
torch=$(sed --quiet 's/^torch==\([^ ]*\) .*/\1/p' requirements.lock)
file=$(find results/smoke/runs -name provenance.json -print -quit)
grep --quiet "\"commit\": \"$(git rev-parse HEAD)\"" "$file" || error "$file does not name the commit"
grep --quiet "\"torch\": \"$torch" "$file" || error "$file does not name torch $torch"
echo "== all passed"
