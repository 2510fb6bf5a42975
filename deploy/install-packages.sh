#!/usr/bin/env bash
# Installs Debian packages that are not there yet, from the lists given as arguments.
#   deploy/install-packages.sh deploy/packages.txt [deploy/packages-test.txt]
set -euo pipefail

wanted=()
for list in "$@"; do
    while read -r package; do
        case "$package" in '' | '#'*) continue ;; esac
        dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || wanted+=("$package")
    done <"$list"
done
for list in "$@"; do
    case "$list" in
    *packages-test.txt)
        command -v node >/dev/null || wanted+=(nodejs)
        command -v npm >/dev/null || wanted+=(npm)
        ;;
    esac
done
[ "${#wanted[@]}" -eq 0 ] && exit 0

sudo=()
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "install-packages: run this as root, or install sudo" >&2; exit 1; }
    sudo=(sudo)
fi
echo "Installing ${#wanted[@]} Debian packages: ${wanted[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
"${sudo[@]}" apt-get update -qq
# Debian would start a database server of its own with the package; we start ours.
if [ ! -e /usr/sbin/policy-rc.d ]; then
    printf '#!/bin/sh\nexit 101\n' | "${sudo[@]}" tee /usr/sbin/policy-rc.d >/dev/null
    "${sudo[@]}" chmod 755 /usr/sbin/policy-rc.d
    trap '"${sudo[@]}" rm -f /usr/sbin/policy-rc.d' EXIT
fi
"${sudo[@]}" apt-get install -y -qq --no-install-recommends "${wanted[@]}" >/tmp/chaperone-apt.$$ 2>&1 || {
    tail -n 20 /tmp/chaperone-apt.$$ >&2
    exit 1
}
rm -f /tmp/chaperone-apt.$$
