#!/usr/bin/env bash
# Browser tests of skylane view: view_test.sh BIN_DIR WORK_DIR [SCREENSHOT_DIR]
# and of a whole simulated vehicle:  view_test.sh BIN_DIR WORK_DIR --drive
#
# 77 (skipped) if node, chromium, pyzmq or playwright-core (npm) are not to be had.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
bin=$1 work=$2 screenshots=${3:-}

skip() {
    echo "skipped: $1"
    exit 77
}

command -v node >/dev/null || skip "node is not installed"
chromium=$(command -v chromium || command -v chromium-browser) || skip "chromium is not installed"
/usr/bin/python3 -c 'import zmq' 2>/dev/null || skip "python3-zmq is not installed"
mkdir -p "$work"
export SKYLANE_KEYS=$work/keys
if ! [ -d "$work/node_modules/playwright-core" ]; then
    command -v npm >/dev/null || skip "npm is not installed"
    cp "$here/package.json" "$here/package-lock.json" "$work/"
    (cd "$work" && timeout 120 npm ci --no-audit --no-fund >npm.log 2>&1) ||
        skip "npm cannot get playwright-core (see $work/npm.log)"
fi

if [ "$screenshots" = --drive ]; then
    SKYLANE_BUS_DIR=$(mktemp -d /dev/shm/sl-view-XXXXXX)
    export SKYLANE_BUS_DIR
    status=0
    node "$here/drive_test.mjs" "$bin" "$work" "$chromium" || status=$?
    rm -rf "$SKYLANE_BUS_DIR"
    exit $status
fi

# Pictures and the lanes in them: what the simulator paints and the detector finds.
rm -rf "$work/pictures"
"$bin/skylane-sim" --pictures "$work/pictures" --count 12 --track city >/dev/null
"$bin/skylane-detect" --images "$work/pictures" --calibration "$here/../../board/sim/skylane.ini" \
    --predictions "$work/lanes.jsonl" >/dev/null
exec node "$here/view_test.mjs" "$bin/skylane-view" "$work/pictures" "$work/lanes.jsonl" "$work" \
    "$chromium" ${screenshots:+"$screenshots"}
