#!/usr/bin/env bash
# Builds the Debian package of the current commit into build/deb and has lintian look at it.
# On Debian 12 libmicrohttpd comes from build/deps, where deploy/build-libmicrohttpd.sh puts it.
set -euo pipefail
cd "$(dirname "$0")/.."

version=$(cat VERSION)
source=build/deb/renewgate-$version
rm -rf build/deb
mkdir -p "$source/build"
git archive --format=tar HEAD | tar -x -C "$source"
mv "$source/deploy/debian" "$source/debian"
for file in service sysusers; do
    cp "$source/deploy/systemd/renewgate.$file" "$source/debian/"
done
unmet=()
if [ -d build/deps ]; then
    cp -a build/deps "$source/build/"
    unmet=(-d)
fi
{
    echo "renewgate ($version) unstable; urgency=medium"
    echo
    echo "  * See /usr/share/doc/renewgate/CHANGELOG.md."
    echo
    git log -1 --format=" -- The renewgate maintainers <maintainers@renewgate.example>  %aD"
} > "$source/debian/changelog"

export SOURCE_DATE_EPOCH
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
(cd "$source" && dpkg-buildpackage -us -uc -b "${unmet[@]}") > build/deb/log 2>&1 || {
    tail -n 40 build/deb/log >&2
    exit 1
}
lintian --allow-root --fail-on error,warning build/deb/*.changes
ls build/deb/*.deb
