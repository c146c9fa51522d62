#!/usr/bin/env bash
# build-libmicrohttpd.sh [--own]: puts libmicrohttpd 1.0.1 or later into build/deps, where the Makefile
# looks for it. With --own also where Debian's package would do, for what the patch saves.
#
# Debian 13 has it as a package. Debian 12 has 0.9.75, which is not fit to stand in front of a
# server (it takes a request with two framings, and damages folded header lines), so there Debian
# 13's newest source package, its security updates included, is fetched from the mirrors that this
# machine uses already, checked by Debian's own keys, and built. It is linked into the gate, so a new
# one takes effect when the gate is built again:
#
#   rm -r build/deps && deploy/build-libmicrohttpd.sh && make
# shellcheck disable=SC2016 # $(REPO_URI) is for apt, ${pcfiledir} for pkg-config
set -euo pipefail
cd "$(dirname "$0")/.."

deps=$PWD/build/deps
# What the gate does not use. Cookies would be copied.
options="--disable-cookie"
patch=$PWD/deploy/libmicrohttpd.patch
made="$options, patched: $(sha256sum < "$patch")"
stamp=$deps/libmicrohttpd.version # written last: there only when everything else is

if [ "${1:-}" != --own ] && pkg-config --exists 'libmicrohttpd >= 1.0.1'; then
    echo "libmicrohttpd $(pkg-config --modversion libmicrohttpd) is installed"
    exit 0
fi
if [ -s "$stamp" ] && [ "$(cat "$deps/options" 2>/dev/null)" = "$made" ]; then
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
debian_mirror() { # <codename of the archive>
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' \
        "Codename: $1" 'Component: main' | sed -n 1p
}
mirror=$(debian_mirror "$codename")
if [ -z "$mirror" ]; then # the lists may never have been read
    quietly apt-get -q update
    mirror=$(debian_mirror "$codename")
fi
if [ -z "$mirror" ]; then
    echo "apt knows no mirror of $codename/main: see /etc/apt/sources.list.d" >&2
    exit 1
fi
security=$(debian_mirror "$codename-security")
[ -n "$security" ] ||
    echo "apt knows no mirror of $codename-security: libmicrohttpd comes without security updates" >&2

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
signed="[signed-by=$keyrings/debian-archive-keyring.gpg]"
{
    echo "deb-src $signed $mirror trixie main"
    echo "deb-src $signed $mirror trixie-updates main"
    [ -z "$security" ] || echo "deb-src $signed $security trixie-security main"
} > "$work/sources.list"
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
# A security update does not wait for the patch to be brought up to date.
version=$(dpkg-parsechangelog -S Version)
if patch --dry-run -sp1 < "$patch" > /dev/null; then
    patch -sp1 < "$patch"
    version="$version with libmicrohttpd.patch"
else
    echo "deploy/libmicrohttpd.patch does not fit any more: built without it" >&2
fi
quietly ./configure --prefix="$deps" --disable-shared --enable-static --with-pic --disable-doc \
    --disable-examples --disable-tools --enable-https=yes "$options"
quietly make -j"$(nproc)" install
# The tree may be moved or copied.
sed -i 's|^prefix=.*|prefix=${pcfiledir}/../..|' "$deps/lib/pkgconfig/libmicrohttpd.pc"
install -D -m 644 debian/copyright "$deps/share/doc/libmicrohttpd/copyright"
printf '%s' "$made" > "$deps/options"
echo "$version" > "$stamp"
echo "libmicrohttpd $(cat "$stamp") is in build/deps"
