#!/usr/bin/env bash
# A program that tests need, from its Debian package, unpacked into the cache and not installed.
#   debian.sh PACKAGE PROGRAM [NAMES]    NAMES: libraries to bring along (a pattern), which few machines have
set -euo pipefail
package=$1 program=$2 names=${3:-}
tools="${XDG_CACHE_HOME:-$HOME/.cache}/content-moderation/tools"
if command -v "$program" >/dev/null || [ -d "$tools/$package" ]; then exit 0; fi
if ! { command -v apt-get && command -v dpkg-deb; } >/dev/null; then
  echo "no apt-get here and no $program on PATH: tests that need it will be skipped"
  exit 0
fi
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
fetch() {
  local wanted=("$package")
  if [ -n "$names" ]; then
    mapfile -t -O 1 wanted < <(apt-cache depends --recurse --important "$package" | grep -E "^lib($names)" | sort -u)
  fi
  apt-get download -q -o APT::Sandbox::User=root "${wanted[@]}" >/dev/null 2>&1
}
fetch || { apt-get update -qq >/dev/null 2>&1 || true; fetch; } ||
  { echo "Debian's package $package cannot be fetched: tests that need it will be skipped"; exit 0; }
for file in *.deb; do dpkg-deb -x "$file" unpacked; done
mkdir -p "$tools"
mv -T unpacked "$tools/$package" 2>/dev/null || [ -d "$tools/$package" ] # another run was faster
