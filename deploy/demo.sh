#!/usr/bin/env bash
# The demo, from nothing: on a fresh Debian 12 or 13, as root, installs what is needed, builds, and
# plays the story that deploy/demo.py tells. Everything that runs listens on the loopback only.
set -euo pipefail
cd "$(dirname "$0")/.."

log=$(mktemp)
trap 'rm -f "$log"' EXIT

deploy/install-dependencies.sh build
deploy/build-libmicrohttpd.sh

echo "building renewgate and the stand-in for the mail server"
make --no-print-directory -j"$(nproc)" BUILD=release > "$log" 2>&1 || {
    tail -n 40 "$log" >&2
    echo "demo: the build failed" >&2
    exit 1
}

rm -f "$log"
exec python3 deploy/demo.py
