#!/usr/bin/env bash
# tools.sh FOLDER: builds each tool of tools.txt as FOLDER/name-version unless it is there. Needs Go; one run at a time.
set -euo pipefail
target=$1
mkdir -p "$target"
command -v go > /dev/null || { echo "no Go on this machine: the tests that need helm and kubeconform will be skipped"; exit 0; }
exec 9> "$target/.lock"
flock 9
# a plain build of helm takes the cluster for Kubernetes 1.20
helm3="-X helm.sh/helm/v3/internal/version.version=v3.22.0"
for package in lint/rules chartutil; do
  helm3+=" -X helm.sh/helm/v3/pkg/$package.k8sVersionMajor=1 -X helm.sh/helm/v3/pkg/$package.k8sVersionMinor=37"
done
grep -v '^#' "$(dirname "$0")/tools.txt" | while read -r name package version; do
  binary="$target/$name-$version"
  [ -x "$binary" ] && continue
  echo "building $name $version"
  flags="-s -w"
  [ "$name" = helm ] && flags+=" $helm3"
  temporary=$(mktemp -d "$target/build.XXXX")
  GOFLAGS='' CGO_ENABLED=0 GOBIN=$temporary go install -trimpath -ldflags "$flags" "$package@$version"
  mv "$temporary"/* "$binary"
  rmdir "$temporary"
done
