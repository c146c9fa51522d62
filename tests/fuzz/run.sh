#!/usr/bin/env bash
# run.sh <target> <seconds>: fuzzes one target. What breaks it is left in build/fuzz.
set -euo pipefail
cd "$(dirname "$0")/../.."

target=$1
corpus=build/fuzz/corpus/$target
/usr/bin/python3 tests/fuzz/seeds.py "$target" "$corpus"
log=build/fuzz/$target.log
if ! build/fuzz/fuzz-"$target" -max_total_time="$2" -timeout=10 -rss_limit_mb=1024 -verbosity=1 \
    -artifact_prefix="build/fuzz/$target-" "$corpus" > "$log" 2>&1; then
    tail -n 60 "$log"
    echo "FAILED: fuzzing $target"
    exit 1
fi
echo "$target: $(sed -nE 's/^Done ([0-9]+) runs.*/\1 runs/p' "$log")"
