#!/usr/bin/env bash
# The folders are floors of one house, in the order of the table in docs/design.md: a file includes
# from its own folder and from those below. No folder has more than 25 names (a .c file and its
# header share one), and no two names include one another, on whatever way; the files behind a
# *_parts.h count as one for that. Of a hold, each phase's own struct is touched by its file alone.
set -euo pipefail
cd "$(dirname "$0")/.."

report=$(mktemp)
trap 'rm -f "$report"' EXIT

# shellcheck disable=SC2046 # no name has a blank
awk '
    function floor_of(path,    i) {
        for (i = 1; i <= floors; i++)
            if (index(path, prefix[i]) == 1)
                return i
        print path ": docs/design.md has no such folder in \"The house\""
        exit
    }
    function allowed(at,    i, list) {
        for (i = at; i <= floors; i++)
            list = list " " floor[i]
        return list
    }
    function stem(path) {
        sub(/\.[ch]$/, "", path)
        return path
    }
    FILENAME == "docs/design.md" {
        if (match($0, /^\| `(proxy|jmap|policy)[^`]*`/)) {
            floor[++floors] = substr($0, 4, RLENGTH - 4)
            prefix[floors] = floor[floors]
            sub(/\*$/, "", prefix[floors])
        }
        next
    }
    FNR == 1 {
        at = floor_of(FILENAME)
        if (!(stem(FILENAME) in group))
            group[stem(FILENAME)] = stem(FILENAME)
        folder = FILENAME
        sub(/\/[^\/]*$/, "", folder)
        if (!seen[stem(FILENAME)]++ && ++names[folder] == 26)
            print folder "/: more than 25 names in one folder"
    }
    match($0, /hold->(flights|leases|lookup|late|collapse)\./) {
        own = "jmap/create/hold_" substr($0, RSTART + 6, RLENGTH - 7)
        if (stem(FILENAME) != own)
            print FILENAME ":" FNR ": what is " own ".c alone to touch"
    }
    match($0, /^#include "[^"]+"/) {
        to = substr($0, 11, RLENGTH - 11)
        if (to ~ /^tests\//)
            print FILENAME ":" FNR ": what is tested includes no test"
        else if (floor_of(to) < at)
            print FILENAME ":" FNR ": " to " is above; allowed are" allowed(at)
        edges[++count] = stem(FILENAME) " " stem(to)
        if (to ~ /_parts\.h$/)
            group[stem(FILENAME)] = group[stem(to)] = stem(to)
    }
    END {
        for (i = 1; i <= count; i++) {
            split(edges[i], ends)
            if (ends[1] != ends[2] && group[ends[1]] != group[ends[2]])
                print "edge", group[ends[1]], ends[2] in group ? group[ends[2]] : ends[2]
        }
    }
' docs/design.md $(find proxy jmap policy -name '*.[ch]' | sort) > "$report"

{ sed -n "s/^edge //p" "$report" | tsort 2>&1 > /dev/null || true; } |
    sed 's/^tsort: -: input contains a loop:/these include one another:/; s/^tsort: //' >> "$report"
! grep -v '^edge ' "$report"
