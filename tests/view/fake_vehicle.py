#!/usr/bin/python3
"""A vehicle's side of docs/network.md, for tests of the viewer.

usage: fake_vehicle.py --pictures DIR --predictions FILE [--broadcast URL] [--actions URL]

Pictures come from "skylane sim --pictures", lanes from "skylane detect --predictions". Each frame
has its number below the picture, as 32 black and white squares, most significant first, so that a
test can read from the screen which frame it is.

Its clock is CLOCK_MONOTONIC and 12345 s. Each frame and each action is told on standard output as a
JSON line. Standard input takes commands, one a line:

  delay MS          frames are sent so long after their exposure (30)
  frames on|off     send none
  detections on|off
  refuse on|off     refuse to arm, with a sentence
  garbage N         send N messages that cannot be
  lease MS          demand permission to drive (0: none); it is only told, not enforced
  connected on|off  as if "skylane run" had ended
  alert LEVEL       raise one (warning, critical), or none
"""
import argparse
import json
import math
import os
import select
import struct
import sys
import time

import zmq

CLOCK_AHEAD_NS = 12345 * 10**9
RATE_HZ = 20
STATE_HZ = 20
BITS = 32
CAMERA_M = 1.5    # ahead of the rear axle, and
FOCAL_PX = 560    # as in board/sim/skylane.ini
SQUARE_PX = 16


def now_ns():
    return time.monotonic_ns() + CLOCK_AHEAD_NS


def secret_key():
    """The vehicle's, made if there is none; whoever knows its public half is let in."""
    folder = os.environ["SKYLANE_KEYS"]
    path = os.path.join(folder, "vehicle.key")
    if not os.path.exists(path):
        public, secret = zmq.curve_keypair()
        os.makedirs(folder, mode=0o700, exist_ok=True)
        with open(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "w", encoding="ascii") as file:
            file.write(f"public {public.decode()}\nsecret {secret.decode()}\n")
    with open(path, encoding="ascii") as file:
        return dict(line.split() for line in file if line[0] != "#")["secret"].encode()


class Picture:
    """A JPEG to which a row of squares can be added without decoding it: its scan becomes the first
    restart interval, after which predictors begin at 0, and the row the second."""

    def __init__(self, jpeg):
        self.quantum = 1
        self.codes = {}
        at, parts = 2, [b"\xff\xd8"]
        while True:
            marker, size = jpeg[at + 1], struct.unpack(">H", jpeg[at + 2:at + 4])[0]
            segment = bytearray(jpeg[at:at + 2 + size])
            if marker == 0xDB:
                self.read_quanta(segment[4:])
            elif marker == 0xC4:
                self.read_codes(segment[4:])
            elif marker == 0xC0:
                height, width = struct.unpack(">HH", segment[5:9])
                assert segment[9] == 3 and segment[11] == 0x22, "4:2:0 is expected"
                self.columns, rows = -(-width // 16), -(-height // 16)
                self.width, self.height = width, rows * 16 + SQUARE_PX
                struct.pack_into(">H", segment, 5, self.height)
                interval = self.columns * rows
            if marker == 0xDA:
                parts.append(b"\xff\xdd" + struct.pack(">HH", 4, interval))
            parts.append(bytes(segment))
            at += 2 + size
            if marker == 0xDA:
                break
        end = jpeg.rindex(b"\xff\xd9")
        self.head = b"".join(parts) + jpeg[at:end] + b"\xff\xd0"

    def read_quanta(self, body):
        while body:
            if body[0] & 15 == 0:
                self.quantum = body[1]
            body = body[65:]

    def read_codes(self, body):
        while body:
            kind, counts, code, at = body[0], body[1:17], 0, 17
            table = {}
            for length in range(1, 17):
                for _ in range(counts[length - 1]):
                    table[body[at]] = format(code, "0%db" % length)
                    code += 1
                    at += 1
                code <<= 1
            self.codes[kind] = table
            body = body[at:]

    def dc(self, difference):
        category = abs(difference).bit_length()
        bits = self.codes[0x00][category]
        if category:
            value = difference if difference > 0 else difference + (1 << category) - 1
            bits += format(value, "0%db" % category)
        return bits + self.codes[0x10][0]

    def numbered(self, number):
        white = round(1016 / self.quantum)
        grey = self.codes[0x01][0] + self.codes[0x11][0]
        same, bits, before = self.dc(0), [], 0
        for column in range(self.columns):
            bright = column < BITS and number >> (BITS - 1 - column) & 1
            level = white if bright else -white
            bits.append(self.dc(level - before) + 3 * same + 2 * grey)
            before = level
        bits = "".join(bits)
        bits += "1" * (-len(bits) % 8)
        row = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\x00")
        return self.head + row + b"\xff\xd9"


class Vehicle:
    def __init__(self, options):
        self.options = options
        context = zmq.Context()
        self.broadcast = context.socket(zmq.XPUB)
        self.broadcast.setsockopt(zmq.LINGER, 0)
        self.broadcast.setsockopt(zmq.SNDHWM, 8)
        secret = secret_key()
        self.broadcast.curve_server, self.broadcast.curve_secretkey = True, secret
        self.broadcast.bind(options.broadcast)
        self.actions = context.socket(zmq.SUB)
        self.actions.setsockopt(zmq.SUBSCRIBE, b"action")
        self.actions.curve_server, self.actions.curve_secretkey = True, secret
        self.actions.bind(options.actions)
        self.session = os.urandom(8).hex()
        self.seqs, self.answers, self.done = {}, [], {}
        self.last_seq, self.driver = 0, None
        self.mode, self.stop_reason, self.stop_text = "disarmed", "none", ""
        self.delay_ms, self.frames, self.detections = 30, True, True
        self.refuse, self.connected = False, True
        self.lease_ms, self.permitted_ns = 0, 0
        self.alert = "none"
        self.frame_id, self.waiting = 0, []
        self.started_ns = now_ns()
        self.stop_count = 0
        self.settings = {
            "control.speed_mps": [0.8, 0.8, 0.0, 2.0, "m/s", "speed on a straight lane"],
            "control.steering_gain": [1.0, 1.0, 0.1, 3.0, "", "how sharply it steers to the middle"],
            "limits.steering_rate_radps": [2.0, 2.0, 0.1, 8.0, "rad/s", "fastest steering"],
            "safety.lost_lane_ms": [400, 400, 50, 2000, "ms", "without a lane so long: safe stop"],
        }
        with open(options.predictions, encoding="utf-8") as lines:
            self.lanes = [json.loads(line) for line in lines]
        self.pictures = []
        for lane in self.lanes:
            name = os.path.join(options.pictures, os.path.basename(lane["raw_file"]))
            with open(name, "rb") as file:
                self.pictures.append(Picture(file.read()))

    def tell(self, **what):
        print(json.dumps(what), flush=True)

    def send(self, topic, meta, payload=b""):
        self.seqs[topic] = self.seqs.get(topic, 0) + 1
        meta.update(v=1, session=self.session, seq=self.seqs[topic], sent_ns=now_ns())
        self.broadcast.send_multipart([topic.encode(), json.dumps(meta).encode(), payload])

    # ---- what it sends ----

    def phase(self):
        return (now_ns() - self.started_ns) / 1e9

    def which(self, frame_id):
        return frame_id // 4 % len(self.pictures)

    def expose(self):
        self.frame_id += 1
        self.waiting.append((self.frame_id, now_ns()))

    def send_frames(self):
        while self.waiting and now_ns() >= self.waiting[0][1] + self.delay_ms * 10**6:
            frame_id, exposed_ns = self.waiting.pop(0)
            if not self.frames:
                continue
            picture = self.pictures[self.which(frame_id)]
            jpeg = picture.numbered(frame_id)
            if self.detections:
                self.send_detection(frame_id, exposed_ns, picture)
            self.send("frame", dict(
                frame_id=frame_id, exposed_ns=exposed_ns, published_ns=exposed_ns + 10**6,
                encoded_ns=now_ns(), format="jpeg", quality=92, width_px=picture.width,
                height_px=picture.height, source_width_px=picture.width,
                source_height_px=picture.height, rate_hz=RATE_HZ), jpeg)
            self.tell(event="frame", frame_id=frame_id, exposed_ns=exposed_ns - CLOCK_AHEAD_NS)

    def send_detection(self, frame_id, exposed_ns, picture):
        lane = self.lanes[self.which(frame_id)]

        widths = [right - left for left, right in zip(*lane["lanes"]) if left > -2 and right > -2]

        def line(xs):
            points = [[x, y] for x, y in zip(xs, lane["h_samples"]) if x > -2]
            return dict(seen=True, confidence=0.9, poly=[0, 0, 0, 0],
                        x_min_m=CAMERA_M + FOCAL_PX * lane["lane_width_m"] / max(widths),
                        x_max_m=CAMERA_M + FOCAL_PX * lane["lane_width_m"] / min(widths),
                        points_px=points[::-1])

        self.send("detection", dict(
            frame_id=frame_id, exposed_ns=exposed_ns, received_ns=exposed_ns + 10**6,
            started_ns=exposed_ns + 2 * 10**6, finished_ns=exposed_ns + 3 * 10**6,
            state=lane["state"], confidence=lane["confidence"],
            lateral_offset_m=self.offset_m(), heading_error_rad=lane["heading_error_rad"],
            curvature_1pm=lane["curvature_1pm"], curvature_rate_1pm2=0.0,
            lane_width_m=lane["lane_width_m"], lane_width_sd_m=0.02, camera_pitch_rad=0.1,
            covariance=[[0.01 * (i == j) for j in range(4)] for i in range(4)],
            frame_width_px=picture.width, frame_height_px=picture.height,
            left=line(lane["lanes"][0]), right=line(lane["lanes"][1])))

    def offset_m(self):
        return 0.12 * math.sin(0.7 * self.phase()) + 0.02 * math.sin(5 * self.phase())

    def stages(self):
        wave = 1 + 0.1 * math.sin(self.phase())
        base = dict(camera_to_detect=2200, detect=900, detect_to_control=300,
                    camera_to_actuator=4200, loop_lateness=40)
        return {name: dict(count=self.frame_id, p50_us=us * wave, p99_us=1.6 * us * wave,
                           p999_us=2 * us * wave, max_us=3 * us) for name, us in base.items()}

    def send_state(self, with_settings):
        moving = self.mode == "driving"
        speed = self.settings["control.speed_mps"][0] if moving else 0.0
        steering = -0.8 * self.offset_m() if moving else 0.0
        reason, text = self.stop_reason, self.stop_text
        lane = self.lanes[self.which(self.frame_id)]
        state = dict(
            vehicle="fake", connected=self.connected, published_ns=now_ns(),
            started_ns=self.started_ns, mode=self.mode, stop_reason=reason, stop_text=text,
            lane_state=lane["state"], confidence=lane["confidence"],
            lateral_offset_m=self.offset_m(), heading_error_rad=0.3 * self.offset_m(),
            curvature_1pm=lane["curvature_1pm"], steering_rad=steering, speed_command_mps=speed,
            speed_mps=speed * (1 + 0.03 * math.sin(3 * self.phase())),
            steering_measured_rad=0.95 * steering, detection_age_ms=4.0, frames=self.frame_id,
            frames_dropped=0, deadline_misses=0, page_faults=0, allocations=0,
            stop_count=self.stop_count, realtime=["fifo", "mlock"],
            stages=self.stages(), driver=self.driver, 
            lease=dict(demanded_ms=self.lease_ms,
                       left_ms=max(0, (self.permitted_ns - now_ns()) / 1e6)),
            answers=self.answers[-16:], insecure=True,
            sends=dict(frames_sensed=self.frame_id, frames_sent=self.seqs.get("frame", 0),
                       dropped=dict(rate=0, overrun=0, failed=0), rate_hz=RATE_HZ, quality=92,
                       subscribers=dict(frame=1, raw=0),
                       refused=dict(garbage=0, oversize=0, role=0, expired=0, replayed=0,
                                    unknown=0)))
        state["alerts"] = [] if self.alert == "none" else [dict(
            name="drops", level=self.alert, value=0.3, limit=0.1, unit="1/s",
            text="0.3 frames a second are dropped: free a core", since_ns=self.started_ns)]
        if with_settings:
            state["figures"] = dict(
                frame_access_seconds=dict(detector={"0.5": 0.0001, "0.9": 0.0002, "0.99": 0.0021}),
                stage_seconds={name: {"0.5": s["p50_us"] / 1e6, "0.99": s["p99_us"] / 1e6}
                               for name, s in self.stages().items()},
                process_cpu_ratio=dict(control=0.215, network=0.004),
                process_memory_bytes=dict(control=14e6, network=9e6),
                drops_total=dict(detector=3), nonsense={'x"} 1\n': 5}, bus_readers="many")
            state["settings"] = [
                dict(key=key, value=s[0], default=s[1], min=s[2], max=s[3], unit=s[4], help=s[5])
                for key, s in self.settings.items()]
        self.send("state", state)

    # ---- what it is asked ----

    def take(self, parts):
        meta = json.loads(parts[1])
        if meta["id"] in self.done:
            answer = self.done[meta["id"]]
        else:
            problem = self.obey(meta)
            if meta["name"] == "report":
                return
            answer = dict(id=meta["id"], client=meta["client"], name=meta["name"],
                          accepted=problem is None, reason=problem[0] if problem else "none",
                          text=problem[1] if problem else "", taken_ns=now_ns())
            if meta["name"] == "ping":
                answer["echo_ns"] = meta["args"]["client_ns"]
            else:
                self.tell(event="action", name=meta["name"], args=meta.get("args"),
                          accepted=problem is None)
            self.done[meta["id"]] = answer
            self.answers = (self.answers + [answer])[-16:]
        self.send_state(False)

    def obey(self, meta):
        name, args = meta["name"], meta.get("args", {})
        if name != "stop":
            if meta["session"] != self.session:
                return "session", "That was asked of an earlier session; ask again."
            if meta["seq"] <= self.last_seq:
                return "out_of_order", "That was asked before another action; ask again."
            age_ms = (now_ns() - meta["issued_ns"]) / 1e6
            if age_ms > meta["expires_ms"]:
                return "expired", "That came too late; ask again."
            if age_ms < -1000:
                return "from_the_future", "The clocks disagree; ask again."
            self.last_seq = meta["seq"]
        if name == "permit":
            self.permitted_ns = meta["issued_ns"] + meta["expires_ms"] * 10**6
        if name in ("ping", "report", "permit", "mark"):
            return None
        if name == "stop":
            self.mode = "safe_stop"
            self.stop_reason = "asked"
            self.stop_text = "Somebody asked for a stop; arm it to drive again."
            self.stop_count += 1
            return None
        if name == "set":
            if args.get("key") not in self.settings:
                return "bad_args", "There is no live setting of that name."
            setting = self.settings[args["key"]]
            if not setting[2] <= args["value"] <= setting[3]:
                return "bad_args", "%s must be from %g to %g." % (args["key"], setting[2], setting[3])
            setting[0] = args["value"]
            return None
        if name == "arm" and self.refuse:
            return "no_lane", "No lane is in sight: put the vehicle on the track, then arm it."
        if name == "resume" and self.mode != "paused":
            return "not_paused", "It is not paused: there is nothing to resume."
        modes = dict(arm="driving", resume="driving", pause="paused", disarm="disarmed",
                     respawn=self.mode, drive=self.mode, release=self.mode)
        if name not in modes:
            return "unknown_action", "There is no action of that name."
        self.mode = modes[name]
        self.driver = None if name == "release" else meta["client"]
        if name == "arm":
            self.stop_reason, self.stop_text = "none", ""
        return None

    def command(self, line):
        words = line.split()
        if not words:
            return
        if words[0] == "delay":
            self.delay_ms = int(words[1])
        elif words[0] == "lease":
            self.lease_ms = int(words[1])
        elif words[0] == "alert":
            self.alert = words[1]
        elif words[0] == "garbage":
            for _ in range(int(words[1])):
                self.broadcast.send_multipart([b"state", b'{"v":1,"session":"\xff', b""])
                self.broadcast.send_multipart([b"frame", b"{}"])
                self.broadcast.send_multipart([b"frame", b"[" * 5000, b"\xff\xd8\xff\xd9"])
        elif words[0] in ("frames", "detections", "refuse", "connected"):
            setattr(self, words[0], words[1] == "on")

    def run(self):
        poller = zmq.Poller()
        poller.register(self.actions, zmq.POLLIN)
        poller.register(self.broadcast, zmq.POLLIN)
        poller.register(sys.stdin.fileno(), zmq.POLLIN)
        self.tell(event="ready", session=self.session)
        begin, exposures, states = time.monotonic(), 0, 0
        while True:
            ready = dict(poller.poll(5))
            if self.broadcast in ready:
                self.broadcast.recv()
            while self.actions.poll(0):
                self.take(self.actions.recv_multipart())
            if sys.stdin.fileno() in ready and select.select([sys.stdin], [], [], 0)[0]:
                line = os.read(sys.stdin.fileno(), 4096).decode()
                if not line:
                    return
                for each in line.splitlines():
                    self.command(each)
            since = time.monotonic() - begin
            if since * RATE_HZ > exposures:
                exposures += 1
                self.expose()
            self.send_frames()
            if since * STATE_HZ > states:
                states += 1
                self.send_state(states % STATE_HZ == 1)
                if states % 10 == 1:
                    self.send("trace", dict(stages=self.stages()))
                if states % 100 == 1:
                    self.send("log", dict(at_ns=now_ns(), level="info", text="the lane is good"))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pictures", required=True)
    parser.add_argument("--predictions", required=True)
    parser.add_argument("--broadcast", default="tcp://127.0.0.1:5557")
    parser.add_argument("--actions", default="tcp://127.0.0.1:5558")
    Vehicle(parser.parse_args()).run()


if __name__ == "__main__":
    main()
