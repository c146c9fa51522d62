#!/usr/bin/env bash
# Puts libmicrohttpd 1.0.1 or later into build/deps, where the Makefile looks for it.
#
# Debian 13 has it as a package. Debian 12 has 0.9.75, which is not fit to stand in front of a
# server (it reads a second Content-Length and a folded header line as harmless), so there Debian
# 13's source package is fetched from the mirror that this machine uses already, checked by
# Debian's own keys, and built.
set -euo pipefail
cd "$(dirname "$0")/.."

deps=$PWD/build/deps

if pkg-config --exists 'libmicrohttpd >= 1.0.1'; then
    echo "libmicrohttpd $(pkg-config --modversion libmicrohttpd) is installed"
    exit 0
fi
if PKG_CONFIG_PATH=$deps/lib/pkgconfig pkg-config --exists 'libmicrohttpd >= 1.0.1'; then
    echo "libmicrohttpd is in build/deps"
    exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
sources=$(find /etc/apt -name '*.sources' -o -name '*.list')
# shellcheck disable=SC2086 # one file a word
mirror=$(sed -nE 's/^(URIs:|deb(-src)?) +(\[[^]]*\] +)?([a-z+]+:[^ ]+).*/\4/p' $sources |
    grep -v security | sed -n 1p)
mkdir -p "$work/state/lists/partial" "$work/cache/archives/partial"
echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" \
    > "$work/sources.list"
# apt drops to its own user for downloads, which cannot enter a private folder.
apt_options=(-q -o "Dir::State=$work/state" -o "Dir::Cache=$work/cache"
    -o "Dir::Etc::SourceList=$work/sources.list" -o Dir::Etc::SourceParts=- -o APT::Sandbox::User=root)

echo "fetching libmicrohttpd's source from Debian 13"
apt-get "${apt_options[@]}" update > "$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
(cd "$work" && apt-get "${apt_options[@]}" source libmicrohttpd > log 2>&1) ||
    { cat "$work/log" >&2; exit 1; }

echo "building libmicrohttpd into build/deps"
cd "$work"/libmicrohttpd-*/
{
    ./configure --prefix="$deps" --disable-shared --enable-static --with-pic --disable-doc \
        --disable-examples --disable-tools --enable-https=yes
    make -j"$(nproc)" install
} > "$work/log" 2>&1 || { tail -n 40 "$work/log" >&2; exit 1; }
