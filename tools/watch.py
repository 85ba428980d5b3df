#!/usr/bin/env python3
"""Watches a vehicle and asks it for something: docs/network.md in fifteen lines (python3-zmq).

usage: tools/watch.py [ACTION [KEY=VALUE ...]]     e.g. tools/watch.py mark text=kerb
"""
import json, os, pathlib, sys, time, uuid, zmq

home = "/etc/skylane/keys" if os.getuid() == 0 else "~/.config/skylane/keys"
folder = pathlib.Path(os.environ.get("SKYLANE_KEYS", home)).expanduser()
own, vehicle = (dict(line.encode().split() for line in (folder / f"{who}.key").open() if line[0] != "#")
                for who in ("client", "vehicle"))
watch, ask = (zmq.Context.instance().socket(kind) for kind in (zmq.SUB, zmq.PUB))
for socket, port in (watch, 5557), (ask, 5558):
    socket.curve_publickey, socket.curve_secretkey = own[b"public"], own[b"secret"]
    socket.curve_serverkey = vehicle[b"public"]
    socket.connect(f"tcp://127.0.0.1:{port}")
watch.subscribe("")
wanted = {"v": 1, "id": uuid.uuid4().hex, "client": "watch.py", "seq": time.time_ns() // 1000,
          "name": "".join(sys.argv[1:2]), "expires_ms": 2000, "args": dict(a.split("=", 1) for a in sys.argv[2:])}
while True:
    topic, said, payload = (part if i != 1 else json.loads(part) for i, part in enumerate(watch.recv_multipart()))
    print(topic.decode(), said.get("frame_id", said.get("mode", "")), len(payload), "bytes")
    for answer in (a for a in said.get("answers", []) if a["id"] == wanted["id"]):
        sys.exit(f"{answer['name']}: {answer['text']}")
    if wanted["name"] and topic == b"state":
        message = {**wanted, "session": said["session"], "issued_ns": said["sent_ns"]}
        ask.send_multipart([b"action", json.dumps(message).encode(), b""])
