#!/usr/bin/env bash
# Prints the path of an nginx for the proxy tests; installs one with apt if there is none.
set -euo pipefail
source "$(dirname "$0")/apt.sh"

find_nginx() {
    local candidate
    # people's PATH often has no /usr/sbin
    for candidate in ${BASIN_NGINX:+"$BASIN_NGINX"} nginx /usr/sbin/nginx; do
        command -v "$candidate" && return
    done
    return 1
}

find_nginx && exit
if apt_install nginx; then
    # the package starts a web server on port 80, which nobody asked for
    as_root systemctl disable --now nginx >&2 2>/dev/null || true
    hash -r
    find_nginx && exit
fi
echo "error: the proxy tests need nginx: install it, or name one with BASIN_NGINX=/path/to/nginx" >&2
exit 1
