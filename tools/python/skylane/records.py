"""The records that travel on buses, exactly as rt/records.h and rt/frame.h lay
them out; those say what each field means. SI units, radians, nanoseconds of
CLOCK_MONOTONIC, which is time.monotonic_ns(). Positive is left."""
import ctypes
import enum
import time

_u16 = ctypes.c_uint16
_u32 = ctypes.c_uint32
_u64 = ctypes.c_uint64
_f32 = ctypes.c_float

FRAME_PLANES_MAX = 3
LANE_POINTS_MAX = 24


def _fourcc(text):
    return int.from_bytes(text.encode("ascii"), "little")


class Format(enum.IntEnum):
    """How a picture's bytes are laid out."""

    GRAY8 = _fourcc("GREY")
    NV12 = _fourcc("NV12")
    YUYV = _fourcc("YUYV")
    BGR24 = _fourcc("BGR3")
    BGRA = _fourcc("BGR4")
    MJPEG = _fourcc("MJPG")


class LaneState(enum.IntEnum):
    LOST = 0
    ONE_LINE = 1
    TWO_LINES = 2


class Mode(enum.IntEnum):
    """What the vehicle is doing: State.mode."""

    DISARMED = 0
    ARMED = 1
    DRIVING = 2
    PAUSED = 3
    SAFE_STOP = 4


class Action(enum.IntEnum):
    ARM = 1
    DISARM = 2
    PAUSE = 3
    RESUME = 4
    STOP = 5
    RESPAWN = 6
    SET = 7


class Record(ctypes.Structure):
    """What all records have: their name in C, the bus that usually carries
    them, and that bus's type code."""

    C_NAME = ""
    BUS = ""
    TYPE = 0

    def __repr__(self):
        fields = []
        for name, _ in self._fields_:
            value = getattr(self, name)
            if not isinstance(value, (ctypes.Array, ctypes.Structure)):
                fields.append(f"{name}={value}")
        return f"{type(self).__name__}({', '.join(fields)})"


class Plane(ctypes.Structure):
    _fields_ = [("offset_bytes", _u32), ("stride_bytes", _u32)]


class FrameInfo(Record):
    C_NAME = "sl_frame_info"
    BUS = "camera_feed"
    TYPE = _fourcc("FRM1")
    _fields_ = [
        ("frame_id", _u64),
        ("exposed_ns", _u64),
        ("received_ns", _u64),
        ("dropped", _u64),
        ("fourcc", _u32),
        ("width_px", _u32),
        ("height_px", _u32),
        ("size_bytes", _u32),
        ("plane_count", _u32),
        ("planes", Plane * FRAME_PLANES_MAX),
        ("reserved", _u32 * 3),
    ]


class LaneLine(Record):
    C_NAME = "sl_lane_line"
    _fields_ = [
        ("seen", _u32),
        ("point_count", _u32),
        ("confidence", _f32),
        ("x_min_m", _f32),
        ("x_max_m", _f32),
        ("poly", _f32 * 4),
        ("points_px", _f32 * 2 * LANE_POINTS_MAX),
    ]


class Detection(Record):
    C_NAME = "sl_detection"
    BUS = "detection_results"
    TYPE = _fourcc("DET2")
    _fields_ = [
        ("frame_id", _u64),
        ("exposed_ns", _u64),
        ("received_ns", _u64),
        ("started_ns", _u64),
        ("finished_ns", _u64),
        ("state", _u32),
        ("confidence", _f32),
        ("lateral_offset_m", _f32),
        ("heading_error_rad", _f32),
        ("curvature_1pm", _f32),
        ("curvature_rate_1pm2", _f32),
        ("lane_width_m", _f32),
        ("lane_width_sd_m", _f32),
        ("camera_pitch_rad", _f32),
        ("covariance", _f32 * 4 * 4),
        ("frame_width_px", _u32),
        ("frame_height_px", _u32),
        ("reserved", _u32),
        ("left", LaneLine),
        ("right", LaneLine),
    ]

    @classmethod
    def of(cls, image):
        """An empty detection (lost) that belongs to this frame and begins now."""
        info = image.info
        return cls(
            frame_id=info.frame_id,
            exposed_ns=info.exposed_ns,
            received_ns=info.received_ns,
            started_ns=time.monotonic_ns(),
            frame_width_px=info.width_px,
            frame_height_px=info.height_px,
        )


class Command(Record):
    C_NAME = "sl_command"
    BUS = "vehicle_command"
    TYPE = _fourcc("CMD1")
    _fields_ = [
        ("seq", _u64),
        ("frame_id", _u64),
        ("exposed_ns", _u64),
        ("received_ns", _u64),
        ("issued_ns", _u64),
        ("expires_ns", _u64),
        ("steering_rad", _f32),
        ("speed_mps", _f32),
        ("mode", _u32),
        ("reserved", _u32),
    ]


class StageStats(Record):
    C_NAME = "sl_stage_stats"
    _fields_ = [
        ("count", _u64),
        ("p50_us", _f32),
        ("p90_us", _f32),
        ("p99_us", _f32),
        ("p999_us", _f32),
        ("max_us", _f32),
        ("reserved", _u32),
    ]


class State(Record):
    C_NAME = "sl_state"
    BUS = "vehicle_state"
    TYPE = _fourcc("STA2")
    _fields_ = [
        ("published_ns", _u64),
        ("started_ns", _u64),
        ("frames", _u64),
        ("frames_dropped", _u64),
        ("deadline_misses", _u64),
        ("page_faults", _u64),
        ("allocations", _u64),
        ("stop_count", _u64),
        ("mode", _u32),
        ("stop_reason", _u32),
        ("action_id", _u64),
        ("action_reason", _u32),
        ("lane_state", _u32),
        ("confidence", _f32),
        ("lateral_offset_m", _f32),
        ("heading_error_rad", _f32),
        ("curvature_1pm", _f32),
        ("steering_rad", _f32),
        ("speed_command_mps", _f32),
        ("speed_mps", _f32),
        ("detection_age_ms", _f32),
        ("realtime", _u32),
        ("battery_mv", _u16),
        ("conditions", _u16),
        ("stages", StageStats * 5),
    ]


class Odometry(Record):
    C_NAME = "sl_odometry"
    BUS = "vehicle_odometry"
    TYPE = _fourcc("ODO1")
    _fields_ = [
        ("measured_ns", _u64),
        ("speed_mps", _f32),
        ("steering_rad", _f32),
        ("yaw_rate_radps", _f32),
        ("valid", _u32),
    ]


class Truth(Record):
    C_NAME = "sl_truth"
    BUS = "ground_truth"
    TYPE = _fourcc("TRU1")
    _fields_ = [
        ("frame_id", _u64),
        ("exposed_ns", _u64),
        ("x_m", _f32),
        ("y_m", _f32),
        ("yaw_rad", _f32),
        ("speed_mps", _f32),
        ("steering_rad", _f32),
        ("lateral_offset_m", _f32),
        ("heading_error_rad", _f32),
        ("curvature_1pm", _f32),
        ("lane_width_m", _f32),
        ("progress_m", _f32),
        ("laps", _u32),
        ("departures", _u32),
        ("markings", _u32),
        ("reserved", _u32),
    ]


class Log(Record):
    C_NAME = "sl_log_line"
    BUS = "vehicle_log"
    TYPE = _fourcc("LOG1")
    _fields_ = [("at_ns", _u64), ("level", _u32), ("reserved", _u32), ("text", ctypes.c_char * 496)]


class Permit(Record):
    C_NAME = "sl_permit"
    BUS = "driving_permit"
    TYPE = _fourcc("PER1")
    _fields_ = [("issued_ns", _u64), ("expires_ns", _u64)]


class Camera(Record):
    C_NAME = "sl_camera_status"
    BUS = "camera_status"
    TYPE = _fourcc("CAM1")
    _fields_ = [
        ("published_ns", _u64),
        ("started_ns", _u64),
        ("trouble_ns", _u64),
        ("frames", _u64),
        ("dropped_sensor", _u64),
        ("dropped_no_area", _u64),
        ("dropped_late", _u64),
        ("dropped_corrupt", _u64),
        ("troubles", _u64),
        ("restarts", _u64),
        ("recovery_last_ns", _u64),
        ("recovery_max_ns", _u64),
        ("trouble", _u32),
        ("rate_hz", _f32),
        ("transfer", ctypes.c_char * 40),
        ("problem", ctypes.c_char * 120),
    ]


class Output(Record):
    C_NAME = "sl_output_status"
    BUS = "output_status"
    TYPE = _fourcc("OUT1")
    _fields_ = [
        ("published_ns", _u64),
        ("restarts", _u64),
        ("writes", _u64),
        ("errors", _u64),
        ("recovered", _u64),
        ("reopened", _u64),
        ("lease_ends", _u64),
        ("write_last_ns", _u64),
        ("write_max_ns", _u64),
        ("state", _u32),
        ("code", ctypes.c_int32),
        ("steering_us", _f32),
        ("throttle_us", _f32),
        ("speed_mps", _f32),
        ("battery_mv", _u32),
        ("problem", ctypes.c_char * 120),
    ]


class ActionRequest(Record):
    C_NAME = "sl_action"
    BUS = "vehicle_action"
    TYPE = _fourcc("ACT2")
    _fields_ = [
        ("id", _u64),
        ("issued_ns", _u64),
        ("expires_ns", _u64),
        ("kind", _u32),
        ("reserved", _u32),
        ("setting", ctypes.c_char * 96),
    ]
