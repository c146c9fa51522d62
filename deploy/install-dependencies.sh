#!/usr/bin/env bash
# Installs from Debian what is needed to build the gate ("build", the default), and its Debian package
# ("deb"), to test it ("test"), or to measure it ("bench"). For root on Debian 12 or 13; says nothing
# and is quick where all is there.
set -euo pipefail

packages=(build-essential ca-certificates curl debian-archive-keyring dpkg-dev libcurl4-openssl-dev
    libgnutls28-dev libhiredis-dev libjansson-dev libssl-dev libwslay-dev pkg-config python3 scdoc)
package_tools=(debhelper git lintian)
case ${1:-build} in
build) ;;
deb) packages+=("${package_tools[@]}") ;;
# redis-tools has the server too, and unlike redis-server starts none.
test) packages+=("${package_tools[@]}" cadaver clang clang-format-19 cppcheck jq libclang-rt-dev
    libcmocka-dev openssl prometheus python3-pytest python3-pytest-xdist python3-venv
    python3-websocket python3-websockets redis-tools) ;;
bench) packages+=(gnuplot-nox haproxy nginx) ;;
*)
    echo "usage: $0 [build|deb|test|bench]" >&2
    exit 2
    ;;
esac
# Debian 13's libmicrohttpd will do; for Debian 12 there is build-libmicrohttpd.sh.
# shellcheck source=/dev/null
if [ "$(. /etc/os-release && echo "${VERSION_ID:-0}")" -ge 13 ]; then
    packages+=(libmicrohttpd-dev)
fi

missing=()
for package in "${packages[@]}"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
        missing+=("$package")
done
[ "${#missing[@]}" -gt 0 ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
    echo "only root can install: ${missing[*]}" >&2
    exit 1
fi

export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT

quietly() {
    "$@" > "$log" 2>&1 || { tail -n 40 "$log" >&2; exit 1; }
}

# What the gate is tested with and measured beside must not start as the machine's own, neither now
# nor when it boots.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' > "$policy"
    chmod 755 "$policy"
    trap 'rm -f "$log" "$policy"' EXIT
fi

echo "reading Debian's package lists"
quietly apt-get -q update
echo "installing ${missing[*]}"
quietly apt-get -q install -y --no-install-recommends "${missing[@]}"
for package in "${missing[@]}"; do
    case $package in
    haproxy | nginx | prometheus) ! command -v systemctl > /dev/null || quietly systemctl disable "$package" ;;
    esac
done
