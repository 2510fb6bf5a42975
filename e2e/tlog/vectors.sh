#!/bin/bash
# Test vectors for base/tlog by golang.org/x/mod/sumdb, and its word on ours:
#
#     bash e2e/tlog/vectors.sh write base/tlog/testdata
#     bash e2e/tlog/vectors.sh check base/tlog/testdata
#
# What ours.* are made with: bazel run //base/tlog:ours txt|note|proof. Needs Debian's golang-go and golang-golang-x-mod-dev; no network.
set -euo pipefail
[ $# -eq 2 ] || { sed -n '2,7p' "$0"; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
GO111MODULE=off GOPATH=/usr/share/gocode GOCACHE="$build/cache" \
    go build -o "$build/vectors" "$here/vectors.go"
"$build/vectors" "$1" "$2"
