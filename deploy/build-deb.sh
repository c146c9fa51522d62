#!/usr/bin/env bash
# Builds the Debian packages of the current commit into build/deb, the source package first and the
# binary one from that, and has lintian look at both.
# On Debian 12 libmicrohttpd comes from build/deps, where deploy/build-libmicrohttpd.sh puts it.
set -euo pipefail
cd "$(dirname "$0")/.."

version=$(cat VERSION)
source=build/deb/renewgate-$version
rm -rf build/deb
mkdir -p "$source"
git archive --format=tar HEAD | tar -x -C "$source"
mv "$source/deploy/debian" "$source/debian"
for file in service sysusers; do
    cp "$source/deploy/systemd/renewgate.$file" "$source/debian/"
done
{
    echo "renewgate ($version) unstable; urgency=medium"
    echo
    echo "  * See /usr/share/doc/renewgate/CHANGELOG.md."
    echo
    git log -1 --format=" -- The renewgate maintainers <maintainers@renewgate.example>  %aD"
} > "$source/debian/changelog"

export SOURCE_DATE_EPOCH
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)

quietly() {
    "$@" > build/deb/log 2>&1 || { tail -n 40 build/deb/log >&2; exit 1; }
}

# -d: what building needs is asked for where it is built.
quietly env -C "$source" dpkg-buildpackage -us -uc -S -d
rm -r "$source"
quietly env -C build/deb dpkg-source -x "renewgate_$version.dsc"
unmet=()
if [ -d build/deps ]; then
    mkdir "$source/build"
    cp -a build/deps "$source/build/"
    unmet=(-d)
fi
quietly env -C "$source" dpkg-buildpackage -us -uc -b "${unmet[@]}"
lintian --allow-root --fail-on error,warning build/deb/*.changes
ls build/deb/*.dsc build/deb/*.deb
