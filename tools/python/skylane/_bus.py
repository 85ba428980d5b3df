"""One end of a bus: what images.py and channels.py have in common."""
import contextlib
import ctypes
import errno
import math
import os
import threading
import time

from ._library import Error, Loan, ReaderConfig, View, WriterConfig, lib
from .errors import BusError, error

# Signals (Ctrl-C) are looked at between calls into the library, so that no
# call may wait longer than this.
SLICE_NS = 100_000_000

_SENTENCES = {
    errno.EBADF: "bus {} was closed",
    errno.ETIMEDOUT: "nothing new came on bus {} in time",
    errno.EBUSY: "a record of bus {} is still held; leave its with block first",
    errno.ECHILD: "bus {} was opened before fork(); open it anew in this process",
    errno.EOVERFLOW: "the writer of bus {} was too fast: what was read was overwritten "
    "meanwhile; discard what was computed from it",
}


def deadline_after(timeout):
    """A timeout in seconds as a time; None: never."""
    if timeout is None or timeout == math.inf:
        return None
    if not timeout >= 0:
        raise ValueError(f"a timeout is 0 or more seconds, or None, not {timeout}")
    return time.monotonic_ns() + int(timeout * 1e9)


class _End:
    """A handle of the library, used by one thread at a time, closed once."""

    holder = None  # who holds a record that is lent

    def __init__(self, name, close_function):
        self.name = name
        self._close_function = close_function
        self._handle = ctypes.c_void_p()
        self._lock = threading.Lock()

    def failure(self, code):
        return error(-code, _SENTENCES[code].format(self.name))

    @contextlib.contextmanager
    def mine(self):
        """For as long as the library works on the handle."""
        if not self._lock.acquire(blocking=False):
            raise RuntimeError(
                f"bus {self.name} is in use by another thread; open one for each thread"
            )
        try:
            if not self._handle:
                raise self.failure(errno.EBADF)
            yield self._handle
        finally:
            self._lock.release()

    def _open(self, function, config):
        err = Error()
        code = function(ctypes.byref(self._handle), ctypes.byref(config), ctypes.byref(err))
        if code != 0:
            raise error(code, str(err))

    def close(self):
        if self._handle:
            with self.mine() as handle:
                if self.holder is not None:
                    raise self.failure(errno.EBUSY)
                self._close_function(handle)
                self._handle = ctypes.c_void_p()

    def __del__(self):
        if getattr(self, "_handle", None):
            self._close_function(self._handle)


class Reader(_End):
    def __init__(self, name, record_type, min_bytes, every, pollable):
        super().__init__(name, lib.sl_bus_reader_close)
        self.view = View()
        self._acquire = lib.sl_bus_acquire_next if every else lib.sl_bus_acquire_newest
        self._read = lib.sl_bus_read_next if every else lib.sl_bus_read_newest
        self._open(
            lib.sl_bus_reader_open,
            ReaderConfig(
                name=name.encode(), type=record_type, min_bytes=min_bytes, pollable=pollable
            ),
        )

    def _failure(self, handle, code):
        if -code in _SENTENCES:
            return self.failure(-code)
        text = (lib.sl_bus_reader_problem(handle) or b"").decode("utf-8", "replace")
        return error(code, text or f"bus {self.name}: {os.strerror(-code)}")

    def _until(self, handle, deadline_ns, take):
        """Calls take() until it is 0, waits in between, or raises. Takes first:
        that is what arms fileno() anew."""
        while True:
            code = take()
            if code == 0:
                return
            end_ns = time.monotonic_ns() + SLICE_NS
            last = deadline_ns is not None and end_ns >= deadline_ns
            if code in (-errno.EAGAIN, -errno.EPIPE):
                code = lib.sl_bus_wait(handle, deadline_ns if last else end_ns)
            if code != 0 and (last or code not in (-errno.ETIMEDOUT, -errno.EPIPE)):
                raise self._failure(handle, code)

    def acquire(self, holder, deadline_ns):
        """Fills .view. Whatever this raises: who finds itself to be .holder then
        has to release(), since an interrupt may come just after the lending."""
        with self.mine() as handle:
            if self.holder is not None:
                raise self.failure(errno.EBUSY)
            self.holder = holder
            self._until(
                handle, deadline_ns, lambda: self._acquire(handle, ctypes.byref(self.view))
            )

    def release(self):
        """True if what was read was whole."""
        with self.mine() as handle:
            code = lib.sl_bus_release(handle, ctypes.byref(self.view))
            self.holder = None
            return code == 0

    def read(self, record, deadline_ns):
        """Copies a whole record out."""
        with self.mine() as handle:
            self._until(
                handle,
                deadline_ns,
                lambda: self._read(
                    handle, ctypes.byref(record), ctypes.sizeof(record), ctypes.byref(self.view)
                ),
            )

    def fileno(self):
        with self.mine() as handle:
            fd = lib.sl_bus_reader_fd(handle)
        if fd < 0:
            raise BusError(-fd, f"bus {self.name} was not opened with pollable=True")
        return fd


class Writer(_End):
    def __init__(self, name, record_type, slot_count, slot_bytes, huge_pages, take_over):
        super().__init__(name, lib.sl_bus_writer_close)
        self._open(
            lib.sl_bus_writer_open,
            WriterConfig(
                name=name.encode(),
                type=record_type,
                slot_count=slot_count,
                slot_bytes=slot_bytes,
                huge_pages=huge_pages,
                take_over=take_over,
            ),
        )

    def publish(self, fill, size, measured_ns):
        """Lends fill(loan) a slot, and publishes it."""
        with self.mine() as handle:
            loan = Loan()
            lib.sl_bus_loan(handle, ctypes.byref(loan))
            try:
                fill(loan)
            except BaseException:
                lib.sl_bus_cancel(handle, ctypes.byref(loan))
                raise
            lib.sl_bus_publish(handle, ctypes.byref(loan), size, measured_ns)

    def write(self, record, measured_ns):
        with self.mine() as handle:
            lib.sl_bus_write(handle, ctypes.byref(record), ctypes.sizeof(record), measured_ns)

    def readers(self):
        with self.mine() as handle:
            return lib.sl_bus_writer_readers(handle)
