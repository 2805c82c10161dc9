#!/bin/sh
# wget, which asks for a connection to be kept and gives up at the first error.
set -eu
call() { wget --quiet --tries=1 --timeout=50 --output-document=/dev/null "$@"; }
call "$1/plain"
call --header='Content-Type: application/octet-stream' --post-file="$2" "$1/upload"
call --post-data=x=1 "$1/throttled"
