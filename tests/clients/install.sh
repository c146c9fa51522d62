#!/usr/bin/env bash
# Puts the clients of tests/blackbox/test_clients.py that are no Debian packages into build/clients:
# a Python environment always, and a package for Node.js where npm is there. Quick where all is there.
# Where PyPI gives out nothing there is no environment after it, and one line says why.
set -euo pipefail
cd "$(dirname "$0")/../.."

log=$(mktemp)
trap 'rm -f "$log"' EXIT
wanted=tests/clients/requirements.txt
clients=build/clients
node_package=jmap-jam@0.13.1

if ! cmp -s "$wanted" "$clients/requirements.txt"; then
    rm -rf "$clients"
    /usr/bin/python3 -m venv "$clients"
    if ! "$clients/bin/pip" install --quiet --disable-pip-version-check --no-deps -r "$wanted" \
        2> "$log"; then
        rm -rf "$clients"
        echo "not to be had from PyPI: $(grep -m 1 -i error "$log" || tail -n 1 "$log")" >&2
        exit 1
    fi
    cp "$wanted" "$clients/requirements.txt" # last: there only when everything else is
fi
if command -v npm > /dev/null && [ ! -e "$clients/node_modules/jmap-jam" ]; then
    npm install --silent --no-audit --no-fund --prefix "$clients" "$node_package"
fi
