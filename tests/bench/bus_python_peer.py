#!/usr/bin/env python3
"""The hand-over of "skylane bus bench" as one would write it in Python:
multiprocessing.shared_memory, a lock, a copy in and a copy out with numpy.

The reader polls the frame's number, which is the fastest way that there is.
Timed is from just before the writer takes the lock until the reader has a copy
of its own. Prints the same JSON as "skylane bus bench --json - --samples".
"""
import argparse
import json
import math
import multiprocessing
import os
import sys
import time
from multiprocessing import shared_memory

try:
    import numpy as np
except ImportError:
    sys.exit("not installed: apt-get install python3-numpy")

SIZES = {"800x600": 800 * 600 * 3, "1920x1080": 1920 * 1080 * 3}

# Words of the control block, each on a cache line of its own.
NUMBER, STAMP, CONFIRMED, JOINED = 0, 8, 16, 24
WORDS = 32


def words_of(block, count):
    return np.ndarray((count,), dtype=np.uint64, buffer=block.buf)


def reader(setup, frame_name, control_name, lock, results):
    os.sched_setaffinity(0, {setup["reader_core"]})
    frame_block = shared_memory.SharedMemory(name=frame_name)
    control_block = shared_memory.SharedMemory(name=control_name)
    picture = np.ndarray((setup["frame_bytes"],), dtype=np.uint8, buffer=frame_block.buf)
    control = words_of(control_block, WORDS)
    mine = np.zeros_like(picture)
    last_number = setup["warmup"] + setup["frames"]
    samples, received, last, cpu_s = [], 0, 0, 0.0
    control[JOINED] = 1
    while last < last_number:
        if control[NUMBER] == last:
            continue
        with lock:
            np.copyto(mine, picture)
            number, stamp = int(control[NUMBER]), int(control[STAMP])
        now = time.monotonic_ns()
        if last <= setup["warmup"] < number:
            cpu_s = time.process_time()
        last = number
        if number > setup["warmup"]:
            samples.append(now - stamp)
            received += 1
        control[CONFIRMED] = number
    results.put((samples, received, time.process_time() - cpu_s))
    del picture, control
    frame_block.close()
    control_block.close()


def writer(setup, picture, control, lock):
    """Returns wall time and processor time of the counted frames."""
    mine = np.zeros_like(picture)
    period_ns = int(1e9 / setup["fps"]) if setup["fps"] else 0
    due = time.monotonic_ns() + period_ns
    wall = cpu = 0
    for number in range(1, setup["warmup"] + setup["frames"] + 1):
        if number == setup["warmup"] + 1:
            wall, cpu = time.monotonic_ns(), time.process_time()
        if period_ns:
            time.sleep(max(0, due - time.monotonic_ns()) * 1e-9)
            due += period_ns
        mine.fill(number & 0xFF)
        stamp = time.monotonic_ns()
        with lock:
            np.copyto(picture, mine)
            control[STAMP] = stamp
            control[NUMBER] = number
        if not period_ns:
            while control[CONFIRMED] != number:
                pass
    return (time.monotonic_ns() - wall) * 1e-9, time.process_time() - cpu


def summary(samples):
    samples = sorted(samples)

    def quantile(q):
        return samples[max(0, math.ceil(q * len(samples)) - 1)]

    return {"count": len(samples), "p50_ns": quantile(0.5), "p99_ns": quantile(0.99),
            "p999_ns": quantile(0.999), "max_ns": samples[-1], "samples_ns": samples}


def measure(section, case, setup):
    context = multiprocessing.get_context("fork")
    lock, results = context.Lock(), context.SimpleQueue()
    frame_block = shared_memory.SharedMemory(create=True, size=setup["frame_bytes"])
    control_block = shared_memory.SharedMemory(create=True, size=WORDS * 8)
    picture = np.ndarray((setup["frame_bytes"],), dtype=np.uint8, buffer=frame_block.buf)
    control = words_of(control_block, WORDS)
    control[:] = 0
    child = context.Process(target=reader, daemon=True, args=(
        setup, frame_block.name, control_block.name, lock, results))
    try:
        child.start()
        while control[JOINED] == 0 and child.is_alive():
            time.sleep(0.01)
        wall_s, cpu_s = writer(setup, picture, control, lock)
        samples, received, reader_cpu_s = results.get()
        child.join()
    finally:
        child.kill()
        del picture, control
        for block in (frame_block, control_block):
            block.close()
            block.unlink()
    run = {"section": section, "case": case, "transport": "Python shared_memory"}
    run.update({key: setup[key] for key in ("frame_bytes", "frames", "fps")})
    run.update({"readers": 1, "received": received, "missed": setup["frames"] - received,
                "rate_fps": setup["frames"] / wall_s, "writer_cpu": cpu_s / wall_s,
                "readers_cpu": reader_cpu_s / wall_s, "broker_cpu": 0,
                "handover": summary(samples)})
    return run


def main():
    parser = argparse.ArgumentParser(
        description="Python's shared memory, measured as \"skylane bus bench\" measures the bus.",
        epilog="example: bus_python_peer.py --only handover")
    parser.add_argument("--only", default="handover,paced", metavar="LIST",
                        help="of handover, paced (both)")
    parser.add_argument("--quick", action="store_true", help="a tenth of the frames")
    options = parser.parse_args()
    sections = options.only.split(",")
    if not set(sections) <= {"handover", "paced"}:
        parser.error("--only: the sections are handover and paced")
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        sys.exit("bus_python_peer.py: this needs two cores")
    os.sched_setaffinity(0, {cores[0]})
    runs = []
    for section in sections:
        for size, frame_bytes in SIZES.items():
            frames = (300 if section == "handover" else 240) // (10 if options.quick else 1)
            setup = {"frame_bytes": frame_bytes, "frames": frames, "warmup": frames // 10,
                     "fps": 0 if section == "handover" else 60, "reader_core": cores[1]}
            case = size + " drawn" + ("" if section == "handover" else ", 60 fps")
            runs.append(measure(section, case, setup))
    json.dump({"runs": runs}, sys.stdout)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
