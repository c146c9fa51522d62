#!/usr/bin/env bash
# Everything that must hold, on a fresh Debian 12 or 13 as root: installs, builds with both
# compilers, checks, tests. The last line counts tests; a build or check that fails counts as one.
set -uo pipefail
cd "$(dirname "$0")/.." || exit

passed=0
failed=0
skipped=0
log=$(mktemp)
report=$(mktemp)
trap 'rm -f "$log" "$report"' EXIT

finish() {
    echo "$passed passed, $failed failed, $skipped skipped"
    [ "$failed" -eq 0 ]
    exit
}

# count <exit status> <passed> <failed>: a run that fails without naming a test counts as one.
count() {
    passed=$((passed + $2))
    failed=$((failed + $3))
    if [ "$1" -ne 0 ] && [ "$3" -eq 0 ]; then
        failed=$((failed + 1))
    fi
}

# step <name> <command>...: shows what the command says only if it fails.
step() {
    echo "== $1"
    "${@:2}" > "$log" 2>&1 && return
    cat "$log"
    echo "FAILED: $1"
    failed=$((failed + 1))
    return 1
}

# Machines without PyPI skip the tests of what is only there, and say so; in CI nobody would notice.
clients() {
    if [ -n "${CI:-}" ]; then
        step "clients of the tests" tests/clients/install.sh
        return
    fi
    echo "== clients of the tests"
    tests/clients/install.sh || echo "SKIPPED: the tests of what is missing"
}

build() {
    step "build: $1" make --no-print-directory -j"$(nproc)" BUILD="$1" programs unit-tests
}

# As many at a time as there are processors; what each says goes into a file, whose last line is its
# exit status.
unit_tests() {
    local source said status good bad logs
    echo "== unit tests"
    logs=$(mktemp -d)
    # shellcheck disable=SC2016 # for the inner shell
    find tests/unit -name 'test_*.c' | sort | xargs -P "$(nproc)" -I {} bash -c '
        program=build/asan/${1#tests/}
        log=$2/${1//\//-}
        "${program%.c}" > "$log" 2>&1
        printf "\n%s\n" $? >> "$log"' - {} "$logs"
    for source in $(find tests/unit -name 'test_*.c' | sort); do
        said=$logs/${source//\//-}
        status=$(tail -n 1 "$said")
        good=$(sed -nE 's/^\[  PASSED  \] ([0-9]+) test.*/\1/p' "$said" | paste -sd+)
        bad=$(sed -nE 's/^\[  FAILED  \] ([0-9]+) test.*/\1/p' "$said" | paste -sd+)
        count "$status" "$((${good:-0}))" "$((${bad:-0}))"
        if [ "$status" -ne 0 ]; then
            cat "$said"
            echo "FAILED: $source (exit status $status)"
        fi
    done
    rm -r "$logs"
}

# black_box_tests <build> <markers> <how many at a time>
black_box_tests() {
    local status good bad passed_over
    compgen -G 'tests/blackbox/test_*.py' > /dev/null || return 0
    echo "== black-box tests: $1, $2"
    : > "$report"
    # Debian's own Python, which has Debian's pytest.
    RENEWGATE_BUILD=build/$1 /usr/bin/python3 -m pytest -q -rs -p no:cacheprovider \
        -n "$3" --junitxml="$report" -m "$2" tests/blackbox
    status=$?
    if [ "$status" -eq 5 ]; then # no test has these markers
        return
    fi
    read -r good bad passed_over < <(/usr/bin/python3 - "$report" <<'PY'
import sys
from xml.etree import ElementTree

try:
    cases = list(ElementTree.parse(sys.argv[1]).iter("testcase"))
except ElementTree.ParseError:  # pytest did not come to an end
    cases = []
bad = [c for c in cases if c.find("failure") is not None or c.find("error") is not None]
skipped = [c for c in cases if c not in bad and c.find("skipped") is not None]
print(len(cases) - len(bad) - len(skipped), len(bad), len(skipped))
PY
    )
    count "$status" "$good" "$bad"
    skipped=$((skipped + passed_over))
}

if ! deploy/install-dependencies.sh test || ! deploy/build-libmicrohttpd.sh; then
    count 1 0 0
    finish
fi
step "format" make --silent format-check
step "includes run downwards" tests/includes.sh
step "static analysis" make --silent analyse
clients
build release
build clang
if build asan; then
    unit_tests
    # Most of them wait more than they compute.
    black_box_tests asan "not workers" "$(($(nproc) + 1))"
    step "fuzzing with a hostile server, the short form" \
        make --no-print-directory fuzz-server CASES=40
    step "fuzzing with memory that runs out, the short form" \
        make --no-print-directory fuzz-memory CASES=40 ONE_IN=60
fi
if step "build: fuzz" make --no-print-directory -j"$(nproc)" BUILD=fuzz fuzz-programs; then
    step "fuzzing, the short form" make --no-print-directory fuzz RUNS=4000
fi
step "soak, the short form" env RENEWGATE_BUILD=build/release \
    /usr/bin/python3 tests/bench/soak.py --minutes 0.25
if build tsan; then
    black_box_tests tsan workers 1
fi
finish
