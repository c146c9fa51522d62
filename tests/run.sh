#!/usr/bin/env bash
# Everything that must hold, on a fresh Debian 12 or 13 as root: installs, builds with both
# compilers, tests. Closes with one line of counts; exit status 1 when anything failed.
set -uo pipefail
cd "$(dirname "$0")/.."

passed=0
failed=0
jobs=-j$(nproc)

step() {
    echo "== $1"
    shift
    if "$@"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED: $*"
    fi
}

build() {
    make --no-print-directory --silent "$jobs" BUILD="$1" programs unit-tests
}

unit_tests() {
    local log test status=0
    log=$(mktemp)
    for test in tests/unit/test_*.c; do
        test=build/asan/unit/$(basename "$test" .c)
        "$test" > "$log" 2>&1 || { cat "$log"; status=1; failed=$((failed + 1)); }
        passed=$((passed + $(grep -c '\[       OK \]' "$log")))
    done
    rm -f "$log"
    return $status
}

black_box_tests() {
    local report status
    report=$(mktemp)
    RENEWGATE_BUILD=$1 /usr/bin/python3 -m pytest -q -p no:cacheprovider --junitxml="$report" \
        -m "$2" tests/blackbox
    status=$?
    if [ -s "$report" ]; then
        read -r all bad < <(/usr/bin/python3 - "$report" <<'PY'
import sys
import xml.etree.ElementTree as tree
suites = list(tree.parse(sys.argv[1]).iter("testsuite"))
count = lambda name: sum(int(suite.get(name, 0)) for suite in suites)
bad = count("failures") + count("errors")
print(count("tests") - count("skipped"), bad)
PY
        )
        passed=$((passed + all - bad))
        failed=$((failed + bad))
    fi
    rm -f "$report"
    [ "$status" -eq 0 ] || [ "$status" -eq 5 ] # 5: no test was collected
}

has_black_box_tests() {
    compgen -G 'tests/blackbox/test_*.py' > /dev/null
}

if ! deploy/install-dependencies.sh test || ! deploy/build-libmicrohttpd.sh; then
    echo "0 passed, 1 failed"
    exit 1
fi
step "format" make --silent format-check
step "static analysis" make --silent analyse
step "build with gcc" build release
step "build with clang" build clang
step "build for AddressSanitizer" build asan
step "unit tests" unit_tests
if has_black_box_tests; then
    step "black-box tests" black_box_tests build/asan "not workers"
    step "build for ThreadSanitizer" build tsan
    step "black-box tests of several workers" black_box_tests build/tsan workers
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
