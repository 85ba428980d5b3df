"""Frames as numpy arrays."""
import ctypes
import errno
import operator
import time
import weakref

try:
    import numpy as np
except ImportError as missing:
    raise ImportError(
        "skylane needs numpy, which this Python does not have; install python3-numpy, and take "
        "the python3 that it belongs to"
    ) from missing

from ._bus import Reader, Writer, deadline_after
from ._library import Error, lib
from .errors import BusError, Mismatch, Overrun, error
from .records import Format, FrameInfo

FRAME_SLOTS = 4
COPY_TRIES = 3


class Image(np.ndarray):
    """A frame as an array of uint8, and what is known about it.

    GRAY8 is (height, width), BGR24 (height, width, 3), BGRA (height, width, 4),
    YUYV (height, width, 2), NV12 (height * 3 / 2, width), luma first, which is
    what OpenCV converts; NV12 whose planes lie apart and MJPEG are plain rows of
    bytes. luma and chroma are views of the planes; once the image was given back,
    they are a ValueError.

    frame_id      counts the frames that the sensor took, from 1
    timestamp     when it was exposed, ns of time.monotonic_ns()
    published_ns  when it was published
    missed        records between the last one read and this one
    format        "NV12", "GRAY8" and so on
    info          the FrameInfo

    Slices and results are arrays without these; copies made by copy() keep
    them."""

    info = None
    frame_id = timestamp = published_ns = missed = format = None
    _views = None  # of a lent frame: all arrays made from it, this one too

    def __array_finalize__(self, parent):
        views = getattr(parent, "_views", None)
        if views is not None:
            views.add(self)

    def _describe(self, other):
        for name in ("info", "frame_id", "timestamp", "published_ns", "missed", "format"):
            setattr(self, name, getattr(other, name))

    def copy(self, order="C"):
        """An array of its own, which may be written and kept."""
        new = np.array(self, order=order, subok=False).view(Image)
        new._describe(self)
        return new

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def _check_whole(self):
        """Before the layout that .info tells is taken for that of this array."""
        if self.shape != _layout(self.info)[1]:
            raise ValueError("the image was given back; copy it inside the with block")

    def _plane(self, index, shape, pixel_bytes):
        """One plane of a frame that is a row of bytes."""
        plane = self.info.planes[index]
        strides = (plane.stride_bytes, pixel_bytes, 1)[: len(shape)]
        # Unlike as_strided(), this checks that the plane lies inside.
        view = np.ndarray.__new__(Image, shape, np.uint8, self, plane.offset_bytes, strides)
        view.__array_finalize__(self)
        return view

    @property
    def luma(self):
        """The brightness of each pixel, (height, width), of GRAY8, NV12 and YUYV."""
        if self.format not in ("GRAY8", "YUYV", "NV12"):
            raise AttributeError(f"{self._kind()} has no luma plane; convert it")
        self._check_whole()
        if self.format == "GRAY8":
            return self
        if self.format == "YUYV":
            return self[:, :, 0]
        height, width = self.info.height_px, self.info.width_px
        return self[:height] if self.ndim == 2 else self._plane(0, (height, width), 1)

    @property
    def chroma(self):
        """NV12's colour, (height / 2, width / 2, 2)."""
        if self.format != "NV12":
            raise AttributeError(f"{self._kind()} has no chroma plane")
        self._check_whole()
        height, width = self.info.height_px // 2, self.info.width_px // 2
        if self.ndim == 2:
            return self[self.info.height_px :].reshape(height, width, 2)
        return self._plane(1, (height, width, 2), 2)

    def _kind(self):
        return f"a {self.format} frame" if self.format else "a part of a frame"


class _Memory:
    """A stretch of memory that numpy makes an array of."""

    def __init__(self, owner, address, shape, strides, read_only):
        self.owner = owner  # whose memory it is: lives as long as arrays of it do
        self.__array_interface__ = {
            "version": 3,
            "typestr": "|u1",
            "data": (address, read_only),
            "shape": shape,
            "strides": strides,
        }


def _layout(info):
    """Offset, shape and strides of the array that shows this frame."""
    height, width = info.height_px, info.width_px
    offset, stride = info.planes[0].offset_bytes, info.planes[0].stride_bytes
    if info.fourcc == Format.GRAY8:
        return offset, (height, width), (stride, 1)
    if info.fourcc == Format.YUYV:
        return offset, (height, width, 2), (stride, 2, 1)
    if info.fourcc == Format.BGR24:
        return offset, (height, width, 3), (stride, 3, 1)
    if info.fourcc == Format.BGRA:
        return offset, (height, width, 4), (stride, 4, 1)
    if info.fourcc == Format.NV12:
        chroma = info.planes[1]
        if chroma.offset_bytes == offset + height * stride and chroma.stride_bytes == stride:
            return offset, (height * 3 // 2, width), (stride, 1)
        return 0, (info.size_bytes,), (1,)
    return offset, (info.size_bytes - offset,), (1,)  # MJPEG


class _Views:
    """All arrays that were made from one lent frame."""

    def __init__(self, loan):
        self._loan = weakref.ref(loan)  # its with block keeps it alive
        self._references = []  # weak ones
        self._memory = None
        self._begin = self._end = 0  # where the whole frame's array lies

    def begin(self, memory):
        """The first array, of the whole frame."""
        array = np.asarray(memory)
        self._memory = weakref.ref(memory)
        self._begin = array.__array_interface__["data"][0]
        self._end = self._begin + array.shape[0] * array.strides[0]
        image = array.view(Image)
        self.add(image)
        return image

    def add(self, array):
        array._views = self
        self._references.append(weakref.ref(array))

    def end(self):
        """Empties them all. Once more, if an interrupt ended the last try."""
        for reference in self._references:
            array = reference()
            if array is None:
                continue
            # What was computed from the frame is elsewhere, and stays.
            if self._begin <= array.__array_interface__["data"][0] < self._end:
                # Unpickling into an array gives it other memory: here, none.
                np.ndarray.__setstate__(array, (1, (0,), array.dtype, False, b""))
            array._views = None
        self._references.clear()

    def is_outlived(self):
        """True if there are arrays that could not be emptied."""
        return self._memory() is not None

    def is_abandoned(self):
        return self._loan() is None


class _Loan:
    """A frame that the bus lent us, as a context manager."""

    def __init__(self, reader, expected_shape, deadline_ns):
        self._reader = reader
        self._expected_shape = expected_shape
        self._deadline_ns = deadline_ns
        self._views = None

    def __enter__(self):
        reader, views = self._reader, _Views(self)
        try:
            reader.acquire(views, self._deadline_ns)
            self._views = views
            return self._show(reader, views)
        except BaseException as failure:  # also Ctrl-C: nothing may stay lent
            if reader.is_lent_to(views):
                whole = reader.release(views)
                if isinstance(failure, Mismatch) and not whole:
                    raise reader.failure(errno.EOVERFLOW) from failure
            raise

    def _show(self, reader, views):
        view = reader.view
        info = FrameInfo.from_buffer_copy(ctypes.string_at(view.meta, ctypes.sizeof(FrameInfo)))
        err = Error()
        code = lib.sl_frame_check(ctypes.byref(info), view.size, ctypes.byref(err))
        if code != 0:
            raise error(code, f"bus {reader.name}: {err}")
        offset, shape, strides = _layout(info)
        expected = self._expected_shape
        if expected is not None and expected != shape:
            raise Mismatch(
                errno.EPROTO,
                f"frames on bus {reader.name} are {Format(info.fourcc).name} {shape}, but "
                f"{expected} is expected; take shape=None to accept any",
            )
        image = views.begin(_Memory(reader, view.data + offset, shape, strides, read_only=True))
        image.info = info
        image.frame_id = info.frame_id
        image.timestamp = info.exposed_ns
        image.published_ns = view.published_ns
        image.missed = view.missed
        image.format = Format(info.fourcc).name
        return image

    def __exit__(self, kind, failure, trace):
        views = self._views
        whole = self._reader.release(views)
        if kind is not None:
            return  # nothing that was computed comes out of the block
        if not whole:
            raise self._reader.failure(errno.EOVERFLOW)
        if views.is_outlived():
            raise BufferError(
                "an array made from the frame by np.asarray() or view() outlives its with block, "
                "where the memory belongs to the writer again; copy what is to be kept"
            )

    def __getattr__(self, name):
        raise AttributeError(
            f"a frame is lent by \"with channel.read() as image:\"; there is no {name} before"
        )


class ImageChannel:
    """One end of a bus of frames: a reader, or with create=True its writer.

    shape   of the arrays, see Image; None: a reader takes what comes
    format  a writer's: by default GRAY8, BGR24 or BGRA, as the shape says;
            "NV12" and "YUYV" must be named
    every   a reader gets every frame, oldest first, instead of the newest
    pollable  fileno() will be used, with select() or asyncio
    any_writer  a reader also takes frames of other users than its own and root
    slots, huge_pages, take_over  a writer's, see skylane/bus.h
    access, group  a writer's: who may read. "owner": its user, and root; "group":
            also the members of that group, by default the process's own; "all"

    Belongs to one thread at a time, and to the process that opened it."""

    def __init__(
        self,
        name,
        shape=None,
        create=False,
        *,
        format=None,
        every=False,
        pollable=False,
        any_writer=False,
        slots=FRAME_SLOTS,
        huge_pages=False,
        take_over=False,
        access="owner",
        group=None,
    ):
        self.name = name
        self.shape = None if shape is None else tuple(int(side) for side in shape)
        self._reader = self._writer = None
        if not create:
            if format is not None:
                raise ValueError("the format is the writer's to choose; a reader takes what comes")
            if access != "owner" or group is not None:
                raise ValueError("who may read is the writer's to choose: access and group are its")
            self._reader = Reader(
                name, FrameInfo.TYPE, 1, every=every, pollable=pollable, any_writer=any_writer
            )
            return
        self._template = _template(self.shape, format)
        self._next_id = 1
        self._writer = Writer(
            name,
            FrameInfo.TYPE,
            slots,
            self._template.size_bytes,
            huge_pages=huge_pages,
            take_over=take_over,
            access=access,
            group=group,
        )

    def read(self, copy=False, timeout=1.0):
        """The newest frame that was not read yet: waits for it, at most `timeout`
        seconds (None: for ever), and then raises Timeout or NoWriter.

            with channel.read() as image:
                ...

        lends the writer's memory, read-only. After the block the image and its
        slices are empty. Leaving it raises Overrun if the writer had to reuse the
        memory meanwhile: nothing computed in the block is then to be trusted.

        With copy=True the image is a copy, whole, and the caller's to keep; the
        with block is then not needed."""
        reader = self._reading()
        deadline_ns = deadline_after(timeout)
        if not copy:
            return _Loan(reader, self.shape, deadline_ns)
        for tries_left in reversed(range(COPY_TRIES)):
            try:
                with _Loan(reader, self.shape, deadline_ns) as image:
                    kept = image.copy()
                return kept
            except Overrun:
                if tries_left == 0:
                    raise

    def write(self, image, timestamp=None, frame_id=None):
        """Publishes a copy of the image, of this channel's shape. `timestamp` is
        when it was exposed, in ns of time.monotonic_ns(), now by default;
        `frame_id` is the last one's plus 1 by default. Never waits for readers."""
        writer = self._writing()
        image = np.asarray(image)
        if image.shape != self.shape or image.dtype != np.uint8:
            raise Mismatch(
                errno.EPROTO,
                f"bus {self.name} takes images of uint8 {self.shape}, not of {image.dtype} "
                f"{image.shape}",
            )
        exposed_ns = time.monotonic_ns() if timestamp is None else _whole(timestamp, "timestamp")
        number = self._next_id if frame_id is None else _whole(frame_id, "frame_id")

        def fill(loan):
            memory = _Memory(self, loan.data, self.shape, None, read_only=False)
            np.copyto(np.asarray(memory), image)
            info = self._template
            info.frame_id = number
            info.exposed_ns = exposed_ns
            info.received_ns = time.monotonic_ns()
            ctypes.memmove(loan.meta, ctypes.byref(info), ctypes.sizeof(info))

        writer.publish(fill, self._template.size_bytes, exposed_ns)
        self._next_id = number + 1

    @property
    def readers(self):
        """How many read what this writes."""
        return self._writing().readers()

    def fileno(self):
        """For select() and asyncio: readable when there may be something new;
        then read with timeout=0 until that raises. See sl_bus_reader_fd()."""
        return self._reading().fileno()

    def _reading(self):
        if self._reader is None:
            raise BusError(errno.EBADF, f"bus {self.name} was opened to write, not to read")
        return self._reader

    def _writing(self):
        if self._writer is None:
            raise BusError(errno.EBADF, f"bus {self.name} was opened to read; create=True writes")
        return self._writer

    def close(self):
        (self._reader or self._writer).close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def _whole(value, name):
    """A count or a time in ns; a float would be seconds by mistake."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(
            f"{name} is a whole number"
            f"{' of ns, as of time.monotonic_ns()' if name == 'timestamp' else ''}, not {value!r}"
        ) from None
    if not 0 <= number < 1 << 64:
        raise ValueError(f"{name} is from 0 to 2^64 - 1, not {number}")
    return number


def _template(shape, format):
    """What all frames of a writer have in common."""
    if shape is None:
        raise ValueError("a writer needs the shape of its images")
    if format is None:
        if len(shape) == 2:
            format = "GRAY8"
        else:
            format = {3: "BGR24", 4: "BGRA"}.get(shape[-1], "?") if len(shape) == 3 else "?"
    sides = {"GRAY8": (), "NV12": (), "YUYV": (2,), "BGR24": (3,), "BGRA": (4,)}.get(format)
    info = FrameInfo()
    if sides is not None and shape[2:] == sides and len(shape) >= 2:
        height, width = shape[:2]
        if format == "NV12":
            height = height * 2 // 3 if height % 3 == 0 else 0
        if (
            min(height, width) > 0
            and max(height, width) < 1 << 31
            and lib.sl_frame_layout(ctypes.byref(info), Format[format], width, height) == 0
        ):
            return info
    raise ValueError(
        f"there is no {'' if format == '?' else format + ' '}picture of shape {shape}: GRAY8 is "
        "(height, width), NV12 (height * 3 / 2, width), YUYV (height, width, 2), BGR24 (height, "
        "width, 3), BGRA (height, width, 4), sides up to 8192 and even where chroma is halved"
    )
