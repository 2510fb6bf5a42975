#!/usr/bin/env bash
# Installs the Debian packages of the lists given as arguments that are not there yet.
#   deploy/install-packages.sh deploy/packages.txt [deploy/packages-test.txt]
set -euo pipefail

wanted=()
for list in "$@"; do
    while read -r package; do
        case "$package" in '' | '#'*) continue ;; esac
        dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || wanted+=("$package")
    done <"$list"
    case "$list" in
    *packages-test.txt)
        command -v node >/dev/null || wanted+=(nodejs)
        command -v npm >/dev/null || wanted+=(npm)
        ;;
    esac
done
if [ "${#wanted[@]}" -eq 0 ]; then
    echo "      all packages are there"
    exit 0
fi

sudo=()
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "error: run this as root, or install sudo" >&2; exit 1; }
    sudo=(sudo)
fi
log=$(mktemp /tmp/chaperone-apt.XXXXXX)
policy=/usr/sbin/policy-rc.d
made_policy=no
finish() {
    if [ "$made_policy" = yes ]; then "${sudo[@]}" rm -f "$policy"; fi
}
trap finish EXIT

apt() {
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive LC_ALL=C apt-get -o Dpkg::Use-Pty=0 \
        -o Acquire::Retries=3 "$@" 2>&1 | tee -a "$log"
}

failed() {
    tail -n 20 "$log" >&2
    echo "error: $1; all that apt-get said is in $log" >&2
    exit 1
}

echo "      missing: ${wanted[*]}" | fold -s -w 96 | sed '2,$s/^/      /'
apt update >/dev/null || failed "the package lists could not be read"
# Debian would start a database server of its own with the package; we start ours.
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | "${sudo[@]}" tee "$policy" >/dev/null
    made_policy=yes
    "${sudo[@]}" chmod 755 "$policy"
fi
# Each package is fetched, unpacked and set up: three lines of apt-get.
apt install -y --no-install-recommends "${wanted[@]}" | awk '
    / newly installed,/ { for (i = 1; i < NF; i++) if ($(i + 1) == "newly") all = $i }
    /^Get:/ { said("fetched", ++fetched) }
    /^Unpacking / { said("unpacked", ++unpacked) }
    /^Setting up / { said("set up", ++ready) }
    function said(what, n) {
        if (all > 0 && (n == all || n % 50 == 0)) printf "      %s %d of %d packages\n", what, n, all
        fflush()
    }' || failed "the packages could not be installed"
rm -f "$log"
