"""One end of a bus: what images.py and channels.py have in common."""
import ctypes
import errno
import math
import os
import sys
import threading
import time

from ._library import Error, Loan, ReaderConfig, View, WriterConfig, lib
from .errors import BusError, error

# Signals (Ctrl-C) are looked at between calls into the library, so that no
# call may wait longer than this.
SLICE_NS = 100_000_000

ACCESS = {"owner": 0, "group": 1, "all": 2}  # enum sl_bus_access
WRITERS_OWN, WRITERS_ANY = 0, 1  # enum sl_bus_writers

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

    is_lent = False

    def __init__(self, name, close_function):
        self.name = name
        self._close_function = close_function
        self._handle = ctypes.c_void_p()
        self._lock = threading.Lock()

    def failure(self, code):
        return error(-code, _SENTENCES[code].format(self.name))

    def _turn(self):
        """A lock to hold while the library works on the handle. It is given itself,
        since no interrupt comes between its being taken and the with block; in a
        context manager written in Python one may, and leave it locked for good."""
        if self._lock.locked():
            raise RuntimeError(
                f"bus {self.name} is in use by another thread; open one for each thread"
            )
        return self._lock

    def _live(self):
        if not self._handle:
            raise self.failure(errno.EBADF)
        return self._handle

    def _open(self, function, config):
        err = Error()
        code = function(ctypes.byref(self._handle), ctypes.byref(config), ctypes.byref(err))
        if code != 0:
            raise error(code, str(err))

    def close(self):
        with self._turn():
            if self.is_lent:
                raise self.failure(errno.EBUSY)
            # Forgotten first: an interrupt during the call comes when it is done,
            # and must not lead to closing it again.
            handle, self._handle = self._handle, None
            if handle:
                self._close_function(handle)

    def __del__(self):
        if getattr(self, "_handle", None):
            self._close_function(self._handle)


class Reader(_End):
    def __init__(self, name, record_type, min_bytes, *, every, pollable, any_writer):
        super().__init__(name, lib.sl_bus_reader_close)
        self.view = View()  # what is lent
        self._holder = None  # to whom, the last time
        self._acquire = lib.sl_bus_acquire_next if every else lib.sl_bus_acquire_newest
        self._read = lib.sl_bus_read_next if every else lib.sl_bus_read_newest
        self._open(
            lib.sl_bus_reader_open,
            ReaderConfig(
                name=name.encode(),
                type=record_type,
                min_bytes=min_bytes,
                pollable=pollable,
                writers=WRITERS_ANY if any_writer else WRITERS_OWN,
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

    @property
    def is_lent(self):
        # Set and cleared by the library itself, hence right at any interrupt.
        return bool(self.view.data)

    def is_lent_to(self, holder):
        return self.is_lent and self._holder is holder

    def acquire(self, holder, deadline_ns):
        """Fills .view, for the holder; holder.end() will be called before that is
        given back. When this raises, it may still have been lent, just before an
        interrupt: then is_lent_to(holder)."""
        if self.is_lent and self._holder.is_abandoned():
            # An interrupt ended the with block just before __exit__() began.
            self.release(self._holder)
        with self._turn():
            handle = self._live()
            if self.is_lent:
                raise self.failure(errno.EBUSY)
            self._holder = holder
            self._until(
                handle, deadline_ns, lambda: self._acquire(handle, ctypes.byref(self.view))
            )

    def release(self, holder):
        """True if it was still lent to the holder, and what was read was whole."""
        holder.end()
        with self._turn():
            return (
                self.is_lent_to(holder)
                and lib.sl_bus_release(self._live(), ctypes.byref(self.view)) == 0
            )

    def read(self, record, deadline_ns):
        """Copies a whole record out. Returns how many were missed before it."""
        view = View()
        with self._turn():
            handle = self._live()
            self._until(
                handle,
                deadline_ns,
                lambda: self._read(
                    handle, ctypes.byref(record), ctypes.sizeof(record), ctypes.byref(view)
                ),
            )
        return view.missed

    def fileno(self):
        with self._turn():
            fd = lib.sl_bus_reader_fd(self._live())
        if fd < 0:
            raise BusError(-fd, f"bus {self.name} was not opened with pollable=True")
        return fd

    def close(self):
        # As in acquire(). While an exception is on its way, it still keeps the with
        # block's remains alive, and nothing shall hide it.
        if self.is_lent and (self._holder.is_abandoned() or sys.exc_info()[0] is not None):
            self.release(self._holder)
        super().close()


class Writer(_End):
    def __init__(
        self,
        name,
        record_type,
        slot_count,
        slot_bytes,
        *,
        huge_pages=False,
        take_over=False,
        access="owner",
        group=None,
    ):
        super().__init__(name, lib.sl_bus_writer_close)
        if access not in ACCESS:
            raise ValueError(f'access is "owner", "group" or "all", not {access!r}')
        if group is not None and access != "group":
            raise ValueError(f'group={group!r} goes with access="group", not with "{access}"')
        self._open(
            lib.sl_bus_writer_open,
            WriterConfig(
                name=name.encode(),
                type=record_type,
                slot_count=slot_count,
                slot_bytes=slot_bytes,
                huge_pages=huge_pages,
                take_over=take_over,
                access=ACCESS[access],
                group=None if group is None else group.encode(),
            ),
        )

    def publish(self, fill, size, measured_ns):
        """Lends fill(loan) a slot, and publishes it."""
        loan = Loan()
        reference = ctypes.byref(loan)
        with self._turn():
            handle = self._live()
            try:
                lib.sl_bus_loan(handle, reference)
                fill(loan)
            except BaseException:
                lib.sl_bus_cancel(handle, reference)
                raise
            lib.sl_bus_publish(handle, reference, size, measured_ns)

    def write(self, record, measured_ns):
        with self._turn():
            lib.sl_bus_write(
                self._live(), ctypes.byref(record), ctypes.sizeof(record), measured_ns
            )

    def readers(self):
        with self._turn():
            return lib.sl_bus_writer_readers(self._live())
