#!/usr/bin/env bash
# deploy/container/rootfs.sh PROGRAM FOLDER: puts into FOLDER what the gate needs to run and nothing
# else, as the whole content of an image: the program without its symbols, the libraries that it is
# linked with and their licences, whom it trusts, and a list of the Debian packages of all that.
set -euo pipefail
program=$1
root=$2

install -D -m 755 "$program" "$root/usr/sbin/renewgate"
strip "$root/usr/sbin/renewgate"
install -D -m 644 /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
mkdir -p "$root/etc" "$root/proc"
echo 'renewgate:x:10088:10088::/:/usr/sbin/nologin' > "$root/etc/passwd"
echo 'renewgate:x:10088:' > "$root/etc/group"
echo 'hosts: files dns' > "$root/etc/nsswitch.conf"

# Debian 12 and 13 differ in which of its names a library is known by.
package_of() {
    local real
    real=$(readlink -f "$1")
    for name in "$1" "$real" "${real#/usr}" "/usr$1"; do
        dpkg-query -S "$name" 2> /dev/null | grep -v "^diversion" && return
    done
    echo "no package has $1" >&2
    return 1
}

list=$root/usr/share/doc/renewgate/packages
install -D -m 644 /dev/null "$list"
# The loader stands in the list without an arrow.
ldd "$program" | sed -nE 's/^.*(=> |\t)(\/[^ ]+) .*/\2/p' | while read -r library; do
    install -D -m 755 "$(readlink -f "$library")" "$root$library"
    package=$(package_of "$library" | cut -d: -f1)
    dpkg-query -W -f '${Package} ${Version}\n' "$package"
done >> "$list"
dpkg-query -W -f '${Package} ${Version}\n' ca-certificates >> "$list"
sort -u -o "$list" "$list"
cut -d' ' -f1 "$list" | while read -r package; do
    install -D -m 644 "/usr/share/doc/$package/copyright" "$root/usr/share/doc/$package/copyright"
done
# What is part of the program is no package that is installed.
part=$("$program" --version | sed -nE 's/^  (libmicrohttpd .*), part of this binary$/\1/p')
if [ -n "$part" ]; then
    echo "$part" >> "$list"
    install -D -m 644 "$(dirname "$0")/../../build/deps/share/doc/libmicrohttpd/copyright" \
        "$root/usr/share/doc/libmicrohttpd/copyright"
fi
du -sh --apparent-size "$root"
