#!/usr/bin/env bash
# Installs from Debian what is needed to build the gate ("build", the default) or to test it as
# well ("test"). For root on Debian 12 or 13; does nothing where everything is there.
set -euo pipefail

packages=(build-essential ca-certificates dpkg-dev pkg-config libcurl4-openssl-dev
    libgnutls28-dev libjansson-dev libssl-dev python3 curl)
if [ "${1:-build}" = test ]; then
    packages+=(clang clang-format cppcheck libcmocka-dev prometheus python3-pytest)
fi
# On Debian 13 the packaged libmicrohttpd will do; see build-libmicrohttpd.sh.
if [ "$(. /etc/os-release && echo "$VERSION_ID")" -ge 13 ]; then
    packages+=(libmicrohttpd-dev)
fi

missing=()
for package in "${packages[@]}"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
        missing+=("$package")
done
if [ "${#missing[@]}" -eq 0 ]; then
    exit 0
fi

echo "installing ${missing[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
{
    apt-get update
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"
} > "$log" 2>&1 || { tail -n 40 "$log" >&2; exit 1; }
