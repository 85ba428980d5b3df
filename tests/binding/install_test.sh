#!/bin/sh
# Installs into a folder of its own, and attaches to the simulator with what
# is there: the header in every standard it promises, the examples in C and C++
# through pkg-config, and the Python package.
#
# usage: install_test.sh BUILD_DIR PYTHON
set -eu

python=$2
here=$(cd "$(dirname "$0")" && pwd)
examples=$(cd "$here/../../docs/examples" && pwd)
work=$(mktemp -d)
SKYLANE_BUS_DIR=$(mktemp -d /dev/shm/sl-binding-XXXXXX)
export SKYLANE_BUS_DIR
trap 'rm -rf "$work" "$SKYLANE_BUS_DIR"' EXIT

say() {
    echo "install_test: $*"
}

fail() {
    echo "install_test: $*" >&2
    exit 1
}

# Moved after it was installed: nothing in it may know where it was.
cmake --install "$1" --prefix "$work/first" >/dev/null
mv "$work/first" "$work/prefix"
cd "$work"
pc=$(find prefix -name skylane-bus.pc)
PKG_CONFIG_PATH=$(cd "$(dirname "$pc")" && pwd)
export PKG_CONFIG_PATH
cflags=$(pkg-config --cflags skylane-bus)
libs=$(pkg-config --libs skylane-bus)
LD_LIBRARY_PATH=$(pkg-config --variable=libdir skylane-bus)
export LD_LIBRARY_PATH

printf '#include <skylane/bus.h>\n#include <skylane/bus.h>\n' >header.c
cp header.c header.cpp
strict="-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wundef -Werror"
for std in c99 c11 c17; do
    # shellcheck disable=SC2086 # options, to be split
    cc -std=$std $strict -Wstrict-prototypes $cflags -fsyntax-only header.c
    # shellcheck disable=SC2086
    for name in read_camera write_detections; do
        cc -std=$std $strict $cflags "$examples/$name.c" $libs -o $name
    done
done
for std in c++11 c++14 c++17 c++20; do
    # shellcheck disable=SC2086
    c++ -std=$std $strict -Wold-style-cast $cflags -fsyntax-only header.cpp
    # shellcheck disable=SC2086
    c++ -std=$std $strict -Wold-style-cast $cflags "$examples/attach.cpp" $libs -o attach
done
say "the header and the examples compile"

prefix/bin/skylane sim --track oval --headless --seconds 4 --rate 30 >sim.out &
sim=$!
timeout 60 ./write_detections >writer.out &
writer=$!
timeout 60 ./read_camera >camera.out 2>camera.err &
camera=$!
timeout 60 ./attach >lanes.out 2>lanes.err &
lanes=$!
PYTHONPATH=$work/prefix/lib/python3/dist-packages timeout 60 "$python" - >python.out 2>python.err <<'END' &
import sys

try:
    import numpy  # noqa: F401
except ImportError:
    print("skipped: no numpy")
    sys.exit(0)
import skylane

with skylane.ImageChannel("camera_feed") as camera:
    with camera.read(timeout=10) as image:
        print(image.format, image.luma.shape, image.frame_id)
END
reader=$!
for pid in $sim $writer $camera $lanes $reader; do
    wait "$pid" || fail "process $pid failed: $(cat ./*.err)"
done

frames=$(grep -c '^frame [1-9][0-9]*  800 x 600 px  720000 bytes  [0-9]* us old$' camera.out) ||
    fail "read_camera saw no frame: $(cat camera.out camera.err)"
[ "$frames" -ge 10 ] || fail "read_camera saw only $frames frames"
answers=$(grep -c '^frame [1-9][0-9]*  state 0  offset +0.000 m  missed 0$' lanes.out) ||
    fail "attach saw no detection: $(cat lanes.out lanes.err)"
[ "$answers" -ge 10 ] || fail "attach saw only $answers detections"
grep -q '^NV12 (600, 800) [1-9]' python.out || grep -q skipped python.out ||
    fail "Python saw no frame: $(cat python.out)"
say "read_camera saw $frames frames, attach $answers detections, Python: $(cat python.out)"
