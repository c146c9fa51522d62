#!/usr/bin/env bash
# Puts the clients of tests/blackbox/test_clients.py that are no Debian packages into build/clients:
# a Python environment always, and a package for Node.js where npm is there. Quick where all is there.
set -euo pipefail
cd "$(dirname "$0")/../.."

wanted=tests/clients/requirements.txt
clients=build/clients
node_package=jmap-jam@0.13.1

if ! cmp -s "$wanted" "$clients/requirements.txt"; then
    rm -rf "$clients"
    /usr/bin/python3 -m venv "$clients"
    "$clients/bin/pip" install --quiet --disable-pip-version-check --no-deps -r "$wanted"
    cp "$wanted" "$clients/requirements.txt" # last: there only when everything else is
fi
if command -v npm > /dev/null && [ ! -e "$clients/node_modules/jmap-jam" ]; then
    npm install --silent --no-audit --no-fund --prefix "$clients" "$node_package"
fi
