"""Records: detections, commands, states and so on."""
import ctypes
import errno
import time

from ._bus import Reader, Writer, deadline_after
from .errors import Mismatch
from .records import Detection

RECORD_SLOTS = 64


class RecordReader:
    """Reads the records of one bus. `record` is their class, from skylane.records;
    every: each of them, oldest first, instead of the newest; any_writer: also those
    of other users than this process's own and root.

    Belongs to one thread at a time, and to the process that opened it."""

    def __init__(self, record, name=None, *, every=False, pollable=False, any_writer=False):
        self.name = name or record.BUS
        self.missed = 0  # records between the last two that were got
        self._record = record
        self._reader = Reader(
            self.name,
            record.TYPE,
            ctypes.sizeof(record),
            every=every,
            pollable=pollable,
            any_writer=any_writer,
        )

    def get(self, timeout=1.0):
        """The next one that was not got yet: waits for it, at most `timeout`
        seconds (None: for ever), and then raises Timeout or NoWriter."""
        record = self._record()
        self.missed = self._reader.read(record, deadline_after(timeout))
        return record

    def fileno(self):
        """For select() and asyncio, as ImageChannel.fileno()."""
        return self._reader.fileno()

    def close(self):
        self._reader.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class RecordWriter:
    """The one writer of a bus of records. `record` is their class; access and
    group tell who may read, as for ImageChannel; take_over: see skylane/bus.h."""

    def __init__(self, record, name=None, *, take_over=False, access="owner", group=None):
        self.name = name or record.BUS
        self._record = record
        self._writer = Writer(
            self.name,
            record.TYPE,
            RECORD_SLOTS,
            ctypes.sizeof(record),
            take_over=take_over,
            access=access,
            group=group,
        )

    def publish(self, record, measured_ns=None):
        """Publishes a copy of the record; never waits for readers. `measured_ns`
        is when its content was measured, now by default."""
        if not isinstance(record, self._record):
            raise Mismatch(
                errno.EPROTO,
                f"bus {self.name} takes a {self._record.__name__}, not a {type(record).__name__}",
            )
        self._writer.write(record, time.monotonic_ns() if measured_ns is None else measured_ns)

    @property
    def readers(self):
        """How many read what this writes."""
        return self._writer.readers()

    def close(self):
        self._writer.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class DetectionClient(RecordReader):
    """Gets what a detector found."""

    def __init__(self, name=Detection.BUS, **options):
        super().__init__(Detection, name, **options)

    def get_detection(self, timeout=1.0):
        """The newest Detection that was not got yet; see RecordReader.get()."""
        return self.get(timeout)


class DetectionWriter(RecordWriter):
    """Tells what a detector found: takes the built-in detector's place when
    "skylane run" is started with --detector bus. Options as for RecordWriter."""

    def __init__(self, name=Detection.BUS, **options):
        super().__init__(Detection, name, **options)

    def publish(self, detection, measured_ns=None):
        """Publishes a copy, finished now if it does not say when."""
        if isinstance(detection, Detection):
            if detection.finished_ns == 0:
                # Not in the caller's own, which may be filled in and published again.
                detection = Detection.from_buffer_copy(detection)
                detection.finished_ns = time.monotonic_ns()
            if measured_ns is None:
                measured_ns = detection.exposed_ns
        super().publish(detection, measured_ns)
