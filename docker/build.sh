#!/usr/bin/env bash
# build.sh DOCKERFILE TAG: builds an image with buildah, podman or docker, from the folder above this script.
# A machine that reaches no image registry gets a stand-in for the Python base (python-base.sh); one whose pip needs a
# certificate authority of its own passes it to the build as a secret, which no layer keeps.
set -euo pipefail
file=${1:?Dockerfile} tag=${2:?tag of the image}
cd "$(dirname "$0")/.."
tool=$(command -v buildah || command -v podman || command -v docker) || { echo "none of buildah, podman, docker is installed" >&2; exit 1; }
# the docker format keeps HEALTHCHECK, which OCI's image format has no field for
[[ $tool == *docker ]] && options=() || options=(--format docker --layers)

base=$(sed -n 's/^ARG PYTHON_IMAGE=//p' "$file")
if [[ $base && $tool != *docker ]]; then
  if ! podman image exists "localhost/$base" && ! podman pull --quiet "docker.io/library/$base" > /dev/null 2>&1; then
    echo "no registry with $base: making a stand-in from Debian's packages (1.5 min)"
    docker/python-base.sh "localhost/$base"
  fi
fi
authority=${PIP_CERT:-$(python3 -m pip config get global.cert 2> /dev/null || true)}
if [[ $authority ]]; then
  secrets=$(mktemp -d)
  trap 'rm -rf "$secrets"' EXIT
  printf '[global]\ncert = /run/secrets/ca.crt\n' > "$secrets/pip.conf"
  options+=(--network host --secret "id=pip,src=$secrets/pip.conf" --secret "id=ca,src=$authority")
fi
revision=$(git rev-parse HEAD 2> /dev/null || echo unknown)
version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
"$tool" build "${options[@]}" --build-arg "REVISION=$revision" --build-arg "VERSION=$version" -f "$file" -t "$tag" .
