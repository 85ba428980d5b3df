#!/bin/sh
# Installs into a folder of its own and drives from there.
#
# usage: install_test.sh BUILD_DIR
set -eu

work=$(mktemp -d)
buses=$(mktemp -d /dev/shm/sl-install-XXXXXX)
trap 'rm -rf "$work" "$buses"' EXIT
cmake --install "$1" --prefix "$work/prefix" >/dev/null
for program in skylane skylane-run skylane-sim skylane-detect skylane-config skylane-action skylane-bus skylane-net \
    skylane-calibrate skylane-pair skylane-camera skylane-actuator; do
    "$work/prefix/bin/$program" --version
    "$work/prefix/bin/$program" --help >/dev/null
done
cd "$work"
SKYLANE_BUS_DIR=$buses prefix/bin/skylane sim --drive --lockstep --seconds 1.5 --headless \
    --track prefix/share/skylane/tracks/oval.ini \
    --config prefix/share/skylane/board/sim/skylane.ini --json report.json
grep -q '"mode":	"driving"' report.json
