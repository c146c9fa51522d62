#!/usr/bin/env bash
# run.sh <target> <seconds>: fuzzes one target, from what was found the last time and at random.
# run.sh <target> <runs> repeatable: the same inputs each time with the same build, from the seeds
# alone, so that whoever runs it sees what others saw. What breaks a target is left in build/fuzz.
set -euo pipefail
cd "$(dirname "$0")/../.."

target=$1
log=build/fuzz/$target.log
options=(-timeout=10 -rss_limit_mb=1024 -verbosity=1 -artifact_prefix="build/fuzz/$target-")
still=()
if [ "${3:-}" = repeatable ]; then
    corpus=$(mktemp -d)
    trap 'rm -r "$corpus"' EXIT
    options+=(-seed=1 -runs="$2")
    # libFuzzer's choices hang on addresses, too. A container may forbid that they be fixed.
    if setarch -R true 2> /dev/null; then
        still=(setarch -R)
    fi
else
    corpus=build/fuzz/corpus/$target
    options+=(-max_total_time="$2")
fi
/usr/bin/python3 tests/fuzz/seeds.py "$target" "$corpus"
if ! "${still[@]}" build/fuzz/fuzz-"$target" "${options[@]}" "$corpus" > "$log" 2>&1; then
    tail -n 60 "$log"
    echo "FAILED: fuzzing $target"
    exit 1
fi
echo "$target: $(sed -nE 's/^Done ([0-9]+) runs.*/\1 runs/p' "$log")"
