#!/bin/sh
# The service file, as systemd reads it: with the program of this build in the place of
# the installed one.
#
# usage: service_test.sh SERVICE_FILE PROGRAM
set -eu

command -v systemd-analyze >/dev/null || {
    echo "skipped: there is no systemd-analyze" >&2
    exit 77
}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
sed "s|/usr/bin/skylane |$2 |" "$1" >"$dir/skylane.service"
grep -q "^ExecStart=$2 run" "$dir/skylane.service"
# It warns on standard error and may still succeed; nothing is to be warned of.
said=$(systemd-analyze verify --man=no "$dir/skylane.service" 2>&1) || {
    echo "$said" >&2
    exit 1
}
if printf '%s\n' "$said" | grep skylane; then
    exit 1
fi
