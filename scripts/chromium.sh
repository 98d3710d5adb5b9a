#!/usr/bin/env bash
# Prints the path of a Chromium for the browser tests; installs one with apt if there is none.
set -euo pipefail

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
if command -v apt-get >/dev/null; then
    sudo=()
    [ "$(id -u)" = 0 ] || sudo=(sudo)
    if [ "$(id -u)" = 0 ] || command -v sudo >/dev/null; then
        echo "No Chromium found; installing one with apt-get (needed by the browser tests) ..." >&2
        {
            "${sudo[@]}" apt-get update -qq || true
            "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium
        } >&2
        hash -r
        find_chromium && exit
    fi
fi
echo "error: the browser tests need Chromium: install it, or name one with BASIN_CHROMIUM=/path/to/chromium" >&2
exit 1
