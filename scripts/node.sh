#!/usr/bin/env bash
# Prints the path of a node for the tests of the live modules; installs one with apt if there is none.
set -euo pipefail
source "$(dirname "$0")/apt.sh"

find_node() {
    local candidate
    for candidate in ${BASIN_NODE:+"$BASIN_NODE"} node nodejs; do
        command -v "$candidate" && return
    done
    return 1
}

find_node && exit
apt_install nodejs && hash -r && find_node && exit
echo "error: the tests of the live modules need node 18.20 or newer: install it, or name one with BASIN_NODE=/path/to/node" >&2
exit 1
