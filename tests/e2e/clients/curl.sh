#!/bin/sh
# curl, as its arguments behind the first two say: --http1.0, --http1.1, --http2-prior-knowledge.
set -eu
base=$1 file=$2
shift 2
call() { curl --silent --show-error --max-time 50 --output /dev/null --fail "$@"; }
call "$@" "$base/plain"
call "$@" --header 'Content-Type: application/octet-stream' --data-binary "@$file" "$base/upload"
call "$@" --data x=1 "$base/throttled"
