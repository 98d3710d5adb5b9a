#!/usr/bin/env bash
# Prints the path of a Chromium for the browser tests; installs one with apt if there is none.
set -euo pipefail
source "$(dirname "$0")/apt.sh"

find_chromium() {
    local candidate
    for candidate in ${BASIN_CHROMIUM:+"$BASIN_CHROMIUM"} chromium chromium-browser google-chrome google-chrome-stable; do
        command -v "$candidate" && return
    done
    if [ -x "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome" ]; then
        echo "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
        return
    fi
    return 1
}

find_chromium && exit
apt_install chromium && hash -r && find_chromium && exit
echo "error: the browser tests need Chromium: install it, or name one with BASIN_CHROMIUM=/path/to/chromium" >&2
exit 1
