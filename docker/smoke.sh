#!/usr/bin/env bash
# smoke.sh [URL]: asks a running server about the sample pictures over REST and compares the decisions. Any deployment:
# a container, a pod behind a port-forward, `make run`. Needs curl and the moderation command.
set -euo pipefail
url=${1:-http://127.0.0.1:8000}
model=$url/v2/models/content-moderation-ensemble
samples=$(mktemp -d)
trap 'rm -rf "$samples"' EXIT
moderation samples "$samples" > /dev/null
curl --fail --silent --show-error --retry 60 --retry-delay 2 --retry-all-errors --max-time 5 "$model/ready"
wrong=0
for expected in notice.jpg=allow scam.webp=review threat.jpg=block; do
  name=${expected%=*}
  decision=$(printf '{"IMAGE_B64": "%s"}' "$(base64 -w0 "$samples/$name")" \
    | curl --fail --silent --show-error --max-time 30 -d @- "$model/generate" \
    | sed -n 's/.*"DECISION":"\([a-z]*\)".*/\1/p')
  echo "$name: $decision"
  [[ $decision == "${expected#*=}" ]] || { echo "  expected ${expected#*=}"; wrong=1; }
done
exit "$wrong"
