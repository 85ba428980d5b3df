"""Attach to the buses of skylane: frames as numpy arrays without a copy, records
as plain values. docs/bus_api.md begins with examples.

    with ImageChannel("camera_feed") as camera, DetectionWriter() as answers:
        while True:
            with camera.read(timeout=None) as image:
                lane = Detection.of(image)
                find_the_lane(image.luma, lane)
            answers.publish(lane)
"""
from .channels import DetectionClient, DetectionWriter, RecordReader, RecordWriter
from .errors import BusError, Mismatch, NoWriter, Overrun, Timeout
from .images import Image, ImageChannel
from .records import (
    Action,
    ActionRequest,
    Command,
    Detection,
    Format,
    FrameInfo,
    LaneLine,
    LaneState,
    Log,
    Mode,
    Odometry,
    Permit,
    Camera,
    Output,
    StageStats,
    State,
    Truth,
)

__all__ = [
    "Action",
    "ActionRequest",
    "BusError",
    "Command",
    "Detection",
    "DetectionClient",
    "DetectionWriter",
    "Format",
    "FrameInfo",
    "Image",
    "ImageChannel",
    "LaneLine",
    "LaneState",
    "Log",
    "Mismatch",
    "Mode",
    "NoWriter",
    "Odometry",
    "Overrun",
    "Permit",
    "Camera",
    "Output",
    "RecordReader",
    "RecordWriter",
    "StageStats",
    "State",
    "Timeout",
    "Truth",
]
