#!/usr/bin/env bash
# prometheus and promtool for the tests: Debian's package, unpacked into the cache and not installed.
set -euo pipefail
tools="${XDG_CACHE_HOME:-$HOME/.cache}/content-moderation/tools"
if { command -v prometheus && command -v promtool; } >/dev/null || [ -x "$tools/prometheus/usr/bin/promtool" ]; then exit 0; fi
if ! { command -v apt-get && command -v dpkg-deb; } >/dev/null; then
  echo "no apt-get here and no prometheus on PATH: tests of alerts and dashboards will be skipped"
  exit 0
fi
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
fetch() { apt-get download -q -o APT::Sandbox::User=root prometheus >/dev/null 2>&1; }
fetch || { apt-get update -qq >/dev/null 2>&1 || true; fetch; } ||
  { echo "Debian's package prometheus cannot be fetched: tests of alerts and dashboards will be skipped"; exit 0; }
mkdir -p "$tools"
dpkg-deb -x prometheus_*.deb unpacked
rm -rf "$tools/prometheus"
mv unpacked "$tools/prometheus"
