#!/usr/bin/env bash
# Puts libmicrohttpd 1.0.1 or later into build/deps, where the Makefile looks for it.
#
# Debian 13 has it as a package. Debian 12 has 0.9.75, which is not fit to stand in front of a
# server (it takes a request with two framings, and damages folded header lines), so there Debian
# 13's source package is fetched from the mirror that this machine uses already, checked by
# Debian's own keys, and built.
# shellcheck disable=SC2016 # $(REPO_URI) is for apt, ${pcfiledir} for pkg-config
set -euo pipefail
cd "$(dirname "$0")/.."

deps=$PWD/build/deps
stamp=$deps/libmicrohttpd.version # written last: there only when everything else is

if pkg-config --exists 'libmicrohttpd >= 1.0.1'; then
    echo "libmicrohttpd $(pkg-config --modversion libmicrohttpd) is installed"
    exit 0
fi
if [ -s "$stamp" ]; then
    echo "libmicrohttpd $(cat "$stamp") is in build/deps"
    exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

quietly() {
    "$@" > "$work/log" 2>&1 || { tail -n 40 "$work/log" >&2; exit 1; }
}

# apt itself reads its sources, whichever of the two formats they are in; what the archive says of
# itself tells Debian's mirror from others' repositories.
# shellcheck source=/dev/null
codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
debian_mirror() {
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' \
        "Codename: $codename" 'Component: main' | sed -n 1p
}
mirror=$(debian_mirror)
if [ -z "$mirror" ]; then # the lists may never have been read
    quietly apt-get -q update
    mirror=$(debian_mirror)
fi
if [ -z "$mirror" ]; then
    echo "apt knows no mirror of $codename/main: see /etc/apt/sources.list.d" >&2
    exit 1
fi

# Point releases of Debian 12 from May 2025 on know Debian 13's keys.
keyrings=/usr/share/keyrings
if [ ! -e $keyrings/debian-archive-trixie-stable.gpg ]; then
    echo "bringing Debian's keys up to date"
    quietly apt-get -q update
    quietly env DEBIAN_FRONTEND=noninteractive \
        apt-get -q install -y --no-install-recommends debian-archive-keyring
fi

# Nothing of this touches the machine's own apt: lists, cache and sources are private. apt would
# drop to a user of its own for downloads, who cannot enter a private folder.
mkdir -p "$work"/{state/lists,cache/archives}/partial
echo "deb-src [signed-by=$keyrings/debian-archive-keyring.gpg] $mirror trixie main" \
    > "$work/sources.list"
private_apt=(apt-get -q -o "Dir::State=$work/state" -o "Dir::Cache=$work/cache"
    -o "Dir::Etc::SourceList=$work/sources.list" -o Dir::Etc::SourceParts=-
    -o Acquire::Languages=none -o APT::Sandbox::User=root)

echo "fetching the source of Debian 13's libmicrohttpd"
# Without the error mode a failed update is only a warning.
quietly "${private_apt[@]}" -o APT::Update::Error-Mode=any update
cd "$work"
quietly "${private_apt[@]}" source libmicrohttpd

echo "building libmicrohttpd into build/deps"
cd "$work"/libmicrohttpd-*/
quietly ./configure --prefix="$deps" --disable-shared --enable-static --with-pic --disable-doc \
    --disable-examples --disable-tools --enable-https=yes
quietly make -j"$(nproc)" install
# The tree may be moved or copied.
sed -i 's|^prefix=.*|prefix=${pcfiledir}/../..|' "$deps/lib/pkgconfig/libmicrohttpd.pc"
sed -n 's/^Version: //p' "$deps/lib/pkgconfig/libmicrohttpd.pc" > "$stamp"
