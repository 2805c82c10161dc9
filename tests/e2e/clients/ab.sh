#!/bin/sh
# ab -k: HTTP/1.0 with Connection: keep-alive, and no opinion on anything else. It reports failures, and exits well all the same.
set -eu
call() {
  told=$(ab -q -k -s 50 "$@")
  echo "$told" | grep -q '^Failed requests: *0$' && ! echo "$told" | grep -q '^Non-2xx' || { echo "$told"; exit 1; }
}
call -n 4 -c 2 "$1/plain"
call -n 1 -p "$2" -T application/octet-stream "$1/upload"
printf x=1 >"$2.form"
call -n 1 -p "$2.form" -T application/x-www-form-urlencoded "$1/throttled"
