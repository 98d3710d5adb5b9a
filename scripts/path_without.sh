#!/usr/bin/env bash
# Prints PATH with some programs hidden.   scripts/path_without.sh FOLDER NAME...
# Each folder of PATH that holds one of them is replaced by one in FOLDER, of links to all else in it.
set -euo pipefail

folder=$(realpath "$1")
shift
shown=()
IFS=: read -ra places <<<"$PATH"
for place in "${places[@]}"; do
    links=$folder/${#shown[@]}
    for name in "$@"; do
        if [ ! -e "$links" ] && [ -e "$place/$name" ]; then
            mkdir "$links"
            ln -s "$(realpath "$place")"/* "$links"
        fi
        rm -f "$links/$name"
    done
    [ -e "$links" ] || links=$place
    shown+=("$links")
done
(IFS=: && echo "${shown[*]}")
