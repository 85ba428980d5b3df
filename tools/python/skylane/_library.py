"""libskylane-bus.so.0: where it is, and how its functions are called. The
structures mirror skylane/bus.h; tests/binding holds them to it."""
import ctypes
import os
import pathlib

from .records import FrameInfo

SONAME = "libskylane-bus.so.0"


class Error(ctypes.Structure):
    C_NAME = "sl_error"
    _fields_ = [("text", ctypes.c_char * 512)]

    def __str__(self):
        return self.text.decode("utf-8", "replace")


class WriterConfig(ctypes.Structure):
    C_NAME = "sl_bus_writer_config"
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("type", ctypes.c_uint32),
        ("slot_count", ctypes.c_uint32),
        ("slot_bytes", ctypes.c_size_t),
        ("take_over", ctypes.c_bool),
        ("huge_pages", ctypes.c_bool),
        ("dmabufs", ctypes.c_bool),
        ("access", ctypes.c_uint32),
        ("group", ctypes.c_char_p),
        ("reserved", ctypes.c_uint64 * 4),
    ]


class Loan(ctypes.Structure):
    C_NAME = "sl_bus_loan"
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("capacity", ctypes.c_size_t),
        ("meta", ctypes.c_void_p),
        ("slot", ctypes.c_uint32),
    ]


class ReaderConfig(ctypes.Structure):
    C_NAME = "sl_bus_reader_config"
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("type", ctypes.c_uint32),
        ("min_bytes", ctypes.c_size_t),
        ("realtime", ctypes.c_bool),
        ("pollable", ctypes.c_bool),
        ("spin_us", ctypes.c_uint32),
        ("writers", ctypes.c_uint32),
        ("reserved", ctypes.c_uint64 * 4),
    ]


class View(ctypes.Structure):
    C_NAME = "sl_bus_view"
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("meta", ctypes.c_void_p),
        ("size", ctypes.c_size_t),
        ("seq", ctypes.c_uint64),
        ("measured_ns", ctypes.c_uint64),
        ("published_ns", ctypes.c_uint64),
        ("missed", ctypes.c_uint64),
        ("slot", ctypes.c_uint32),
    ]


_HANDLE = ctypes.c_void_p
_FUNCTIONS = {
    # name: (result, arguments)
    "sl_bus_writer_open": (
        ctypes.c_int,
        [ctypes.POINTER(_HANDLE), ctypes.POINTER(WriterConfig), ctypes.POINTER(Error)],
    ),
    "sl_bus_writer_close": (None, [_HANDLE]),
    "sl_bus_writer_readers": (ctypes.c_uint32, [_HANDLE]),
    "sl_bus_loan": (None, [_HANDLE, ctypes.POINTER(Loan)]),
    "sl_bus_publish": (
        None,
        [_HANDLE, ctypes.POINTER(Loan), ctypes.c_size_t, ctypes.c_uint64],
    ),
    "sl_bus_cancel": (None, [_HANDLE, ctypes.POINTER(Loan)]),
    "sl_bus_write": (None, [_HANDLE, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint64]),
    "sl_bus_reader_open": (
        ctypes.c_int,
        [ctypes.POINTER(_HANDLE), ctypes.POINTER(ReaderConfig), ctypes.POINTER(Error)],
    ),
    "sl_bus_reader_close": (None, [_HANDLE]),
    "sl_bus_reader_fd": (ctypes.c_int, [_HANDLE]),
    "sl_bus_reader_problem": (ctypes.c_char_p, [_HANDLE]),
    "sl_bus_wait": (ctypes.c_int, [_HANDLE, ctypes.c_uint64]),
    "sl_bus_acquire_newest": (ctypes.c_int, [_HANDLE, ctypes.POINTER(View)]),
    "sl_bus_acquire_next": (ctypes.c_int, [_HANDLE, ctypes.POINTER(View)]),
    "sl_bus_release": (ctypes.c_int, [_HANDLE, ctypes.POINTER(View)]),
    "sl_bus_read_newest": (
        ctypes.c_int,
        [_HANDLE, ctypes.c_void_p, ctypes.c_size_t, ctypes.POINTER(View)],
    ),
    "sl_bus_read_next": (
        ctypes.c_int,
        [_HANDLE, ctypes.c_void_p, ctypes.c_size_t, ctypes.POINTER(View)],
    ),
    "sl_frame_layout": (
        ctypes.c_int,
        [ctypes.POINTER(FrameInfo), ctypes.c_uint32, ctypes.c_uint32, ctypes.c_uint32],
    ),
    "sl_frame_check": (
        ctypes.c_int,
        [ctypes.POINTER(FrameInfo), ctypes.c_size_t, ctypes.POINTER(Error)],
    ),
}


def _candidates():
    """Where the library may be, likeliest first."""
    chosen = os.environ.get("SKYLANE_LIB")
    if chosen:
        return [chosen]
    package = pathlib.Path(__file__).resolve().parent
    found = []
    # PREFIX/lib/python3/dist-packages/skylane belongs to PREFIX/lib...
    if package.parents[1].name.startswith("python"):
        prefix = package.parents[3]
        found += [prefix / "lib" / SONAME, *sorted(prefix.glob(f"lib/*/{SONAME}"))]
        found += [prefix / "lib64" / SONAME]
    # ... and SOURCE/tools/python/skylane to SOURCE/build.
    source = package.parents[2]
    if (source / "rt" / "bus.h").exists():
        found += [source / "build" / "rt" / "api" / SONAME]
    return [str(path) for path in found if path.exists()] + [SONAME]


def _load():
    reasons = []
    for path in _candidates():
        try:
            library = ctypes.CDLL(path)
            for name, (result, arguments) in _FUNCTIONS.items():
                function = getattr(library, name)
                function.restype = result
                function.argtypes = arguments
            return library
        except (OSError, AttributeError) as failure:
            reasons.append(str(failure))
    raise ImportError(
        f"skylane needs {SONAME}, which cannot be loaded ({'; '.join(reasons)}); install "
        "skylane, build it (tools/build), or set SKYLANE_LIB to the library's path"
    )


lib = _load()
