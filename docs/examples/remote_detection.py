#!/usr/bin/env python3
"""Asks a detection server for the lane in pictures: docs/protocol.md in Python.

    build/bin/skylane detect --port 5556 --config board/sim/skylane.ini   # one terminal
    docs/examples/remote_detection.py road.jpg                            # another

Needs pyzmq (Debian: python3-zmq). Pictures are JPEG, PGM or PPM files. Several
are taken as frames of one camera, one after the other."""
import argparse
import os
import pathlib
import struct
import sys

import zmq

VERSION = 1
REQUEST = struct.Struct("<4sHHQQQQ4s5I6I")
REPLY = struct.Struct("<4sHHQQIIQQQQ")
LANE = struct.Struct("<5QI8f16f3I")
LINE = struct.Struct("<II3f4f48f")
STATES = ("lost", "one line", "two lines")
OK = 0


class Refused(Exception):
    """The server answered with a sentence instead of a lane."""


def keys(host):
    """Our own public and secret key, and the public one of the server there: docs/pairing.md."""
    user = "/etc" if os.getuid() == 0 else os.environ.get("XDG_CONFIG_HOME", pathlib.Path.home() / ".config")
    folder = pathlib.Path(os.environ.get("SKYLANE_KEYS", f"{user}/skylane/keys"))

    def lines(name):
        text = (folder / name).read_text(encoding="ascii") if (folder / name).exists() else ""
        return [line.encode().split() for line in text.splitlines() if line and line[0] != "#"]

    own, local = dict(lines("client.key")), dict(lines("vehicle.key"))
    paired = {name.decode(): key for key, name in lines("vehicles")}
    if not own or not paired.get(host, local.get(b"public")):
        raise Refused(f'no key for {host}: pair with it ("skylane pair")')
    return own[b"public"], own[b"secret"], paired.get(host, local.get(b"public"))


def unpack_line(body, offset):
    """One boundary of the lane."""
    numbers = LINE.unpack_from(body, offset)
    seen, count, confidence, x_min, x_max = numbers[:5]
    points = list(zip(numbers[9::2], numbers[10::2]))[:count]
    return {
        "seen": bool(seen),
        "confidence": confidence,
        "x_min_m": x_min,
        "x_max_m": x_max,
        "poly": numbers[5:9],
        "points_px": points,
    }


def unpack_lane(body):
    """The 608 bytes of a detection."""
    numbers = LANE.unpack_from(body)
    names = (
        "frame_id exposed_ns received_ns started_ns finished_ns state confidence "
        "lateral_offset_m heading_error_rad curvature_1pm curvature_rate_1pm2 "
        "lane_width_m lane_width_sd_m camera_pitch_rad"
    ).split()
    lane = dict(zip(names, numbers))
    lane["covariance"] = [numbers[14 + 4 * i : 18 + 4 * i] for i in range(4)]
    lane["frame_width_px"], lane["frame_height_px"] = numbers[30:32]
    lane["left"] = unpack_line(body, LANE.size)
    lane["right"] = unpack_line(body, LANE.size + LINE.size)
    return lane


class Detector:
    """A connection to the server. One question at a time; a lost answer costs
    its question alone, since a DEALER socket may ask again."""

    def __init__(self, url):
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.immediate = True  # no questions for a server that is not there
        self.socket.curve_publickey, self.socket.curve_secretkey, self.socket.curve_serverkey = keys(
            url[len("tcp://") : url.rindex(":")].strip("[]")
        )
        self.socket.connect(url)
        self.sequence = 0

    def detect(self, picture, encoding=b"FILE", size=(0, 0), frame_id=0, reset=False, timeout=2.0):
        """The lane in a picture's bytes: a file, or raw tight rows of `encoding`
        (b"GREY", b"NV12", b"YUYV", b"BGR3", b"BGR4") with size (width, height).
        TimeoutError; Refused with the server's sentence."""
        self.sequence += 1
        header = REQUEST.pack(
            b"SLDQ", VERSION, int(reset), self.sequence, frame_id, 0, 0,
            encoding, size[0], size[1], len(picture), 0, 0, *[0] * 6,
        )  # fmt: skip
        wait_ms = int(timeout * 1000)
        if not self.socket.poll(wait_ms, zmq.POLLOUT):
            raise TimeoutError("no server takes the question; is skylane detect --port running?")
        self.socket.send_multipart([header, picture])
        while self.socket.poll(wait_ms, zmq.POLLIN):
            reply = self.socket.recv()
            magic, version, status, sequence, _, size_bytes = REPLY.unpack_from(reply)[:6]
            if magic != b"SLDA" or version != VERSION:
                raise Refused("what answers does not speak this version of the protocol")
            if sequence != self.sequence:
                continue  # late: the answer to a question that was given up
            body = reply[REPLY.size : REPLY.size + size_bytes]
            if status != OK:
                raise Refused(body.decode("utf-8", "replace"))
            return unpack_lane(body)
        raise TimeoutError(f"no answer within {timeout} s")


def main():
    parser = argparse.ArgumentParser(description="Asks a detection server for the lane.")
    parser.add_argument("--url", default="tcp://localhost:5556")
    parser.add_argument("pictures", nargs="+")
    options = parser.parse_args()
    try:
        detector = Detector(options.url)
    except Refused as problem:
        sys.exit(str(problem))
    for number, path in enumerate(options.pictures, start=1):
        with open(path, "rb") as file:
            picture = file.read()
        try:
            lane = detector.detect(picture, frame_id=number, reset=number == 1)
        except (TimeoutError, Refused) as problem:
            sys.exit(f"{path}: {problem}")
        print(
            f"{path}: {STATES[lane['state']]}, {lane['confidence']:.0%} sure, "
            f"{lane['lateral_offset_m']:+.2f} m beside the middle, "
            f"turned {lane['heading_error_rad']:+.3f} rad, {lane['lane_width_m']:.2f} m wide"
        )


if __name__ == "__main__":
    main()
