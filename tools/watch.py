#!/usr/bin/env python3
"""Watches a vehicle and asks it for something: docs/network.md in a few lines (python3-zmq).

usage: tools/watch.py [ACTION [KEY=VALUE ...]]     e.g. tools/watch.py mark text=kerb
"""
import json, sys, time, uuid, zmq

watch, ask = zmq.Context.instance().socket(zmq.SUB), zmq.Context.instance().socket(zmq.PUB)
watch.connect("tcp://127.0.0.1:5557")
watch.subscribe("")
ask.connect("tcp://127.0.0.1:5558")
wanted = {"v": 1, "id": uuid.uuid4().hex, "client": "watch.py", "seq": time.time_ns() // 1000,
          "name": sys.argv[1] if len(sys.argv) > 1 else None, "expires_ms": 2000,
          "args": dict(a.split("=", 1) for a in sys.argv[2:])}
while True:
    topic, metadata, payload = watch.recv_multipart()
    said = json.loads(metadata)
    print(topic.decode(), said.get("frame_id", said.get("mode", "")), len(payload), "bytes")
    for answer in said.get("answers", []):
        if answer["id"] == wanted["id"]:
            sys.exit(f"{answer['name']}: {answer['text']}")
    if wanted["name"] and topic == b"state" and "session" in said:
        wanted.update(session=said["session"], issued_ns=said["sent_ns"])
        ask.send_multipart([b"action", json.dumps(wanted).encode(), b""])
