#!/usr/bin/env bash
# Prints the path of an nginx for the proxy tests; installs one with apt if there is none.
set -euo pipefail

find_nginx() {
    local candidate
    # people's PATH often has no /usr/sbin
    for candidate in ${BASIN_NGINX:+"$BASIN_NGINX"} nginx /usr/sbin/nginx; do
        command -v "$candidate" && return
    done
    return 1
}

find_nginx && exit
if command -v apt-get >/dev/null; then
    sudo=()
    [ "$(id -u)" = 0 ] || sudo=(sudo)
    if [ "$(id -u)" = 0 ] || command -v sudo >/dev/null; then
        echo "No nginx found; installing one with apt-get (needed by the proxy tests) ..." >&2
        {
            "${sudo[@]}" apt-get update -qq || true
            "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nginx
            # the package starts a web server on port 80, which nobody asked for
            "${sudo[@]}" systemctl disable --now nginx 2>/dev/null || true
        } >&2
        hash -r
        find_nginx && exit
    fi
fi
echo "error: the proxy tests need nginx: install it, or name one with BASIN_NGINX=/path/to/nginx" >&2
exit 1
