#!/usr/bin/env python3
"""The Python package against the real library.

usage: python_test.py ABI_TEST, with SKYLANE_LIB and PYTHONPATH set; ABI_TEST is
the program built from abi_test.c, which tells how C lays things out.
"""
import ctypes
import errno
import grp
import os
import random
import select
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import unittest.mock

try:
    import numpy as np
except ImportError:
    print("skipped: this Python has no numpy; install python3-numpy")
    sys.exit(77)

import skylane
from skylane import _bus, _library, images, records

ABI_TEST = None
LONG_S = 30  # what never takes so long, unless something is broken


def picture(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


class BusTest(unittest.TestCase):
    """Each test has a folder of buses for itself."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="sl-python-", dir="/dev/shm")
        self.addCleanup(folder.cleanup)
        os.environ["SKYLANE_BUS_DIR"] = folder.name

    def writer(self, shape=(6, 8), **options):
        channel = skylane.ImageChannel("eye", shape, create=True, **options)
        self.addCleanup(channel.close)
        return channel

    def reader(self, shape=None, **options):
        channel = skylane.ImageChannel("eye", shape, **options)
        self.addCleanup(channel.close)
        return channel

    def overrun(self, writer, other):
        """Overwrites the frame that some reader holds: of three slots, `other` holds
        one then, and the newest is never taken."""
        writer.write(picture((6, 8)))
        with other.read(timeout=LONG_S):
            for _ in range(2):
                writer.write(picture((6, 8)))

    def odd_frame(self, info, payload):
        """Publishes a frame that ImageChannel.write() would not make."""
        writer = _bus.Writer("eye", records.FrameInfo.TYPE, 4, len(payload))
        self.addCleanup(writer.close)

        def fill(loan):
            ctypes.memmove(loan.data, payload, len(payload))
            ctypes.memmove(loan.meta, ctypes.byref(info), ctypes.sizeof(info))

        writer.publish(fill, len(payload), 1)


class LayoutTest(unittest.TestCase):
    def setUp(self):
        told = subprocess.run([ABI_TEST, "--print"], check=True, capture_output=True, text=True)
        self.rows = {}
        for line in told.stdout.splitlines():
            name, first, second = line.rsplit(" ", 2)
            self.rows[name] = (int(first), int(second))

    def test_structures_are_those_of_c(self):
        structures = [
            kind
            for module in (records, _library)
            for kind in vars(module).values()
            if isinstance(kind, type) and getattr(kind, "C_NAME", "")
        ]
        named = {kind.C_NAME for kind in structures}
        in_c = {name.split()[1] for name in self.rows if name.startswith("struct ")}
        self.assertEqual(named, in_c)
        for kind in structures:
            self.assertEqual(ctypes.sizeof(kind), self.rows[f"struct {kind.C_NAME}"][0])
            mine = {
                f"{kind.C_NAME}.{field}": (getattr(kind, field).offset, getattr(kind, field).size)
                for field, _ in kind._fields_
            }
            theirs = {k: v for k, v in self.rows.items() if k.startswith(kind.C_NAME + ".")}
            self.assertEqual(mine, theirs)

    def test_values_are_those_of_c(self):
        for prefix, kind in (
            ("FORMAT", records.Format),
            ("LANE", records.LaneState),
            ("MODE", records.Mode),
            ("ACTION", records.Action),
        ):
            for member in kind:
                self.assertEqual(member.value, self.rows[f"SL_{prefix}_{member.name}"][0])
        for kind in vars(records).values():
            if isinstance(kind, type) and getattr(kind, "TYPE", 0):
                name = {"FrameInfo": "FRAME", "ActionRequest": "ACTION"}.get(
                    kind.__name__, kind.__name__.upper()
                )
                self.assertEqual(kind.TYPE, self.rows[f"SL_RECORD_{name}"][0])
        for word, value in _bus.ACCESS.items():
            self.assertEqual(value, self.rows[f"SL_BUS_ACCESS_{word.upper()}"][0])
        self.assertEqual(records.FRAME_PLANES_MAX, self.rows["SL_FRAME_PLANES_MAX"][0])
        self.assertEqual(records.LANE_POINTS_MAX, self.rows["SL_LANE_POINTS_MAX"][0])
        self.assertEqual(images.FRAME_SLOTS, self.rows["SL_BUS_FRAME_SLOTS"][0])


class ImageTest(BusTest):
    def test_every_format_arrives_as_it_was_written(self):
        for shape, format_, name in (
            ((6, 8), None, "GRAY8"),
            ((6, 8, 3), None, "BGR24"),
            ((6, 8, 4), None, "BGRA"),
            ((6, 8, 2), "YUYV", "YUYV"),
            ((9, 8), "NV12", "NV12"),
        ):
            with self.subTest(name), skylane.ImageChannel(
                "eye", shape, create=True, format=format_
            ) as writer, self.reader(shape) as reader:
                sent = picture(shape)
                writer.write(sent, timestamp=123, frame_id=7)
                with reader.read(timeout=LONG_S) as image:
                    np.testing.assert_array_equal(image, sent)
                    self.assertIsInstance(image, np.ndarray)
                    self.assertEqual(image.format, name)
                    self.assertEqual((image.timestamp, image.frame_id), (123, 7))
                    self.assertEqual((image.info.width_px, image.info.height_px), (8, 6))
                    self.assertLessEqual(image.published_ns, time.monotonic_ns())

    def test_planes(self):
        sent = picture((9, 8))
        self.writer((9, 8), format="NV12").write(sent)
        with self.reader().read(timeout=LONG_S) as image:
            np.testing.assert_array_equal(image.luma, sent[:6])
            np.testing.assert_array_equal(image.chroma, sent[6:].reshape(3, 4, 2))
            kept = image.copy()
        np.testing.assert_array_equal(kept.luma, sent[:6])
        np.testing.assert_array_equal(kept.chroma, sent[6:].reshape(3, 4, 2))

    def test_what_was_given_back_has_no_planes(self):
        for shape, format_, planes in (
            ((6, 8), "GRAY8", ("luma",)),
            ((6, 8, 2), "YUYV", ("luma",)),
            ((9, 8), "NV12", ("luma", "chroma")),
        ):
            with self.subTest(format_), skylane.ImageChannel(
                "eye", shape, create=True, format=format_
            ) as writer:
                writer.write(picture(shape))
                with self.reader().read(timeout=LONG_S) as image:
                    kept = image.copy()
                    sent = [getattr(image, plane).copy() for plane in planes]
                for plane, pixels in zip(planes, sent):
                    for gone in (image, image.copy()):
                        with self.assertRaisesRegex(ValueError, "copy it inside the with block"):
                            getattr(gone, plane)
                    np.testing.assert_array_equal(getattr(kept, plane), pixels)

    def test_luma_of_other_formats(self):
        for shape, format_, luma in (
            ((6, 8), None, np.s_[:]),
            ((6, 8, 2), "YUYV", np.s_[:, :, 0]),
        ):
            with skylane.ImageChannel("eye", shape, create=True, format=format_) as writer:
                sent = picture(shape)
                writer.write(sent)
                with self.reader().read(timeout=LONG_S) as image:
                    np.testing.assert_array_equal(image.luma, sent[luma])
                    with self.assertRaisesRegex(AttributeError, "no chroma plane"):
                        image.chroma
        self.writer((6, 8, 3)).write(picture((6, 8, 3)))
        with self.reader().read(timeout=LONG_S) as image:
            with self.assertRaisesRegex(AttributeError, "a BGR24 frame has no luma plane"):
                image.luma
            with self.assertRaisesRegex(AttributeError, "a part of a frame"):
                image[2:].luma

    def test_padded_rows(self):
        payload = picture(6 * 32).tobytes()
        info = records.FrameInfo(fourcc=records.Format.BGR24, width_px=8, height_px=6)
        info.size_bytes, info.plane_count = len(payload), 1
        info.planes[0].stride_bytes = 32
        self.odd_frame(info, payload)
        with self.reader((6, 8, 3)).read(timeout=LONG_S) as image:
            rows = np.frombuffer(payload, np.uint8).reshape(6, 32)
            np.testing.assert_array_equal(image, rows[:, :24].reshape(6, 8, 3))
            kept = image.copy()
        self.assertTrue(kept.flags.c_contiguous)

    def test_planes_that_lie_apart(self):
        payload = picture(10 + 6 * 16 + 20 + 3 * 12).tobytes()
        info = records.FrameInfo(fourcc=records.Format.NV12, width_px=8, height_px=6)
        info.size_bytes, info.plane_count = len(payload), 2
        info.planes[0].offset_bytes, info.planes[0].stride_bytes = 10, 16
        info.planes[1].offset_bytes, info.planes[1].stride_bytes = 126, 12
        self.odd_frame(info, payload)
        all_bytes = np.frombuffer(payload, np.uint8)
        luma = all_bytes[10:106].reshape(6, 16)[:, :8]
        chroma = all_bytes[126:162].reshape(3, 12)[:, :8].reshape(3, 4, 2)
        with self.reader().read(timeout=LONG_S) as image:
            np.testing.assert_array_equal(image, all_bytes)
            np.testing.assert_array_equal(image.luma, luma)
            np.testing.assert_array_equal(image.chroma, chroma)
            kept, view = image.copy(), image.luma
        np.testing.assert_array_equal(kept.luma, luma)
        np.testing.assert_array_equal(kept.chroma, chroma)
        self.assertEqual(view.size, 0)
        for gone in (image, image.copy()):
            for plane in ("luma", "chroma"):
                with self.assertRaisesRegex(ValueError, "copy it inside the with block"):
                    getattr(gone, plane)
        kept.info.planes[1].offset_bytes += 20  # its rows would leave the array
        with self.assertRaises((TypeError, ValueError)):
            kept.chroma

    def test_planes_of_different_strides(self):
        payload = picture(6 * 8 + 3 * 16).tobytes()
        info = records.FrameInfo(fourcc=records.Format.NV12, width_px=8, height_px=6)
        info.size_bytes, info.plane_count = len(payload), 2
        info.planes[0].stride_bytes = 8
        info.planes[1].offset_bytes, info.planes[1].stride_bytes = 48, 16
        self.odd_frame(info, payload)
        chroma = np.frombuffer(payload, np.uint8)[48:].reshape(3, 16)[:, :8].reshape(3, 4, 2)
        with self.reader().read(timeout=LONG_S) as image:
            self.assertEqual(image.shape, (len(payload),))
            np.testing.assert_array_equal(image.chroma, chroma)

    def test_mjpeg_is_a_row_of_bytes(self):
        info = records.FrameInfo(fourcc=records.Format.MJPEG, width_px=8, height_px=6)
        info.size_bytes, info.plane_count = 5, 1
        self.odd_frame(info, b"jpeg!")
        with self.reader().read(timeout=LONG_S) as image:
            self.assertEqual(image.tobytes(), b"jpeg!")
            self.assertEqual(image.format, "MJPEG")

    def test_a_frame_that_lies_about_itself_is_refused(self):
        info = records.FrameInfo(fourcc=records.Format.GRAY8, width_px=800, height_px=600)
        info.size_bytes, info.plane_count = 480000, 1
        info.planes[0].stride_bytes = 800
        self.odd_frame(info, bytes(100))
        reader = self.reader()
        with self.assertRaisesRegex(skylane.Mismatch, "claims 480000 bytes, but 100 are there"):
            with reader.read(timeout=LONG_S):
                self.fail("it was lent")
        with self.assertRaises(skylane.Timeout):  # and nothing is held any more
            reader.read(copy=True, timeout=0)

    def test_it_is_read_only(self):
        self.writer().write(picture((6, 8)))
        with self.reader().read(timeout=LONG_S) as image:
            for array in (image, image[2:], image.luma, np.asarray(image)):
                with self.assertRaises(ValueError):
                    array[0, 0] = 1
                with self.assertRaises(ValueError):
                    array.flags.writeable = True
            del array

    def test_after_the_block_it_is_empty(self):
        self.writer((9, 8), format="NV12").write(picture((9, 8)))
        with self.reader().read(timeout=LONG_S) as image:
            part, part_of_part, turned = image[2:], image[2:][::2], image.T
            luma, chroma = image.luma, image.chroma
            twice, kept = image * 2, image[2:4].copy()
        for array in (image, part, part_of_part, turned, luma, chroma):
            self.assertEqual(array.size, 0)
            with self.assertRaises(IndexError):
                array[0, 0]
        self.assertEqual(image.frame_id, 1)
        self.assertEqual((twice.shape, kept.shape), ((9, 8), (2, 8)))

    def test_after_an_exception_it_is_empty(self):
        self.writer().write(picture((6, 8)))
        reader = self.reader()
        with self.assertRaises(ZeroDivisionError):
            with reader.read(timeout=LONG_S) as image:
                raise ZeroDivisionError
        self.assertEqual(image.size, 0)
        with self.assertRaises(skylane.Timeout):
            reader.read(copy=True, timeout=0)

    def test_what_can_not_be_emptied_is_told(self):
        self.writer().write(picture((6, 8)))
        with self.assertRaisesRegex(BufferError, "outlives its with block"):
            with self.reader().read(timeout=LONG_S) as image:
                kept = np.asarray(image)[2:]
        del kept

    def test_a_copy_is_kept(self):
        writer, reader = self.writer(), self.reader()
        sent = picture((6, 8))
        writer.write(sent, timestamp=5)
        image = reader.read(copy=True, timeout=LONG_S)
        for seed in range(10):
            writer.write(picture((6, 8), seed))
        np.testing.assert_array_equal(image, sent)
        self.assertEqual((image.timestamp, image.frame_id, image.format), (5, 1, "GRAY8"))
        image[0, 0] = 1
        with reader.read(copy=True, timeout=LONG_S) as newest:
            self.assertEqual(newest.frame_id, 11)
        self.assertEqual(newest.shape, (6, 8))

    def test_newest_and_every(self):
        writer = self.writer(slots=8)
        newest, every = self.reader(), self.reader(every=True)
        for number in range(1, 6):
            writer.write(picture((6, 8)))
            if number == 1:
                for reader in (newest, every):
                    self.assertEqual(reader.read(copy=True, timeout=LONG_S).frame_id, 1)
        image = newest.read(copy=True, timeout=LONG_S)
        self.assertEqual((image.frame_id, image.missed), (5, 3))
        for number in range(2, 6):
            image = every.read(copy=True, timeout=LONG_S)
            self.assertEqual((image.frame_id, image.missed), (number, 0))

    def test_an_overrun_is_raised(self):
        writer, first, second = self.writer(slots=3), self.reader(), self.reader()
        writer.write(picture((6, 8)))
        with self.assertRaisesRegex(skylane.Overrun, "overwritten"):
            with first.read(timeout=LONG_S) as image:
                self.overrun(writer, second)
        self.assertEqual(image.size, 0)
        writer.write(picture((6, 8), 1))
        np.testing.assert_array_equal(
            first.read(copy=True, timeout=LONG_S), picture((6, 8), 1)
        )

    def test_an_exception_is_not_hidden_by_an_overrun(self):
        writer, first, second = self.writer(slots=3), self.reader(), self.reader()
        writer.write(picture((6, 8)))
        with self.assertRaises(ZeroDivisionError):
            with first.read(timeout=LONG_S):
                self.overrun(writer, second)
                raise ZeroDivisionError

    def test_an_overrun_of_what_tells_the_layout_is_no_mismatch(self):
        writer, first, second = self.writer(slots=3), self.reader(), self.reader()
        plain_string_at = ctypes.string_at
        writer.write(picture((6, 8)))

        def torn(_, size):
            ctypes.string_at = plain_string_at
            self.overrun(writer, second)
            return bytes(size)

        with unittest.mock.patch.object(ctypes, "string_at", torn):
            with self.assertRaises(skylane.Overrun):
                with first.read(timeout=LONG_S):
                    self.fail("it was lent")
        self.assertEqual(first.read(copy=True, timeout=LONG_S).frame_id, 4)

    def test_a_copy_is_whole_or_none(self):
        writer, reader, other = self.writer(slots=3), self.reader(), self.reader()
        plain_copy = skylane.Image.copy
        copies = []

        def disturbed_copy(image):
            copy = plain_copy(image)
            copies.append(copy)
            if len(copies) <= disturbances:
                disturb(np.full((6, 8), len(copies), np.uint8))
            return copy

        def disturb(sent):
            """Overruns the slot that `reader` holds: all but the newest are held."""
            writer.write(sent)
            with other.read(timeout=LONG_S):
                writer.write(sent)
                writer.write(sent)

        with unittest.mock.patch.object(skylane.Image, "copy", disturbed_copy):
            disturbances = 1
            writer.write(picture((6, 8)))
            image = reader.read(copy=True, timeout=LONG_S)
            self.assertEqual(len(copies), 2)
            self.assertTrue((image == 1).all())

            copies.clear()
            disturbances = images.COPY_TRIES
            writer.write(picture((6, 8)))
            with self.assertRaises(skylane.Overrun):
                reader.read(copy=True, timeout=LONG_S)
            self.assertEqual(len(copies), images.COPY_TRIES)

    def test_one_frame_at_a_time(self):
        self.writer().write(picture((6, 8)))
        reader = self.reader()
        with reader.read(timeout=LONG_S) as image:
            with self.assertRaisesRegex(skylane.BusError, "still held"):
                with reader.read(timeout=0):
                    self.fail("it was lent twice")
            with self.assertRaisesRegex(skylane.BusError, "still held"):
                reader.close()
            self.assertEqual(image.shape, (6, 8))

    def test_the_same_loan_twice(self):
        sent = picture((6, 8))
        self.writer().write(sent)
        reader = self.reader()
        loan = reader.read(timeout=LONG_S)
        with loan as image:
            with self.assertRaisesRegex(skylane.BusError, "still held"):
                with loan:
                    self.fail("it was lent twice")
            with self.assertRaisesRegex(skylane.BusError, "still held"):
                reader.close()
            np.testing.assert_array_equal(image, sent)
        self.assertEqual(image.size, 0)
        with self.assertRaises(skylane.Timeout):  # and nothing is held any more
            reader.read(copy=True, timeout=0)

    def test_without_with_there_is_no_image(self):
        self.writer().write(picture((6, 8)))
        with self.assertRaisesRegex(AttributeError, "with channel.read"):
            self.reader().read().mean()

    def test_another_shape_is_refused_in_words(self):
        self.writer((6, 8)).write(picture((6, 8)))
        with self.assertRaisesRegex(skylane.Mismatch, r"GRAY8 \(6, 8\), but \(5, 5\) is expected"):
            self.reader((5, 5)).read(copy=True, timeout=LONG_S)

    def test_a_restarted_writer_is_followed(self):
        reader = self.reader()
        for shape in ((6, 8), (600, 800, 3), (5, 5)):
            with skylane.ImageChannel("eye", shape, create=True) as writer:
                writer.write(picture(shape))
                with reader.read(timeout=LONG_S) as image:
                    np.testing.assert_array_equal(image, picture(shape))

    def test_a_killed_writer_takes_nothing_away(self):
        code = (
            "import numpy, time, skylane\n"
            "writer = skylane.ImageChannel('eye', (6, 8), create=True)\n"
            "writer.write(numpy.full((6, 8), 7, numpy.uint8))\n"
            "time.sleep(600)\n"
        )
        reader = self.reader()
        child = subprocess.Popen([sys.executable, "-c", code])
        try:
            with reader.read(timeout=LONG_S) as image:
                child.kill()
                child.wait()
                time.sleep(0.2)
                self.assertTrue((image == 7).all())
            self.assertEqual(image.size, 0)
        finally:
            child.kill()
            child.wait()
        with self.assertRaises(skylane.NoWriter):
            reader.read(copy=True, timeout=0.3)
        self.writer((5, 5)).write(picture((5, 5)))
        np.testing.assert_array_equal(reader.read(copy=True, timeout=LONG_S), picture((5, 5)))

    def test_mistakes_in_writing(self):
        writer = self.writer((6, 8))
        for call, kind, text in (
            (lambda: writer.write(picture((6, 9))), skylane.Mismatch, r"not of uint8 \(6, 9\)"),
            (lambda: writer.write(np.zeros((6, 8))), skylane.Mismatch, "not of float64"),
            (lambda: writer.write(picture((6, 8)), timestamp=1.5), TypeError, "of ns"),
            (lambda: writer.write(picture((6, 8)), frame_id=-1), ValueError, "from 0"),
            (lambda: writer.read(copy=True), skylane.BusError, "to write"),
            (lambda: writer.fileno(), skylane.BusError, "to write"),
            (lambda: self.reader().write(picture((6, 8))), skylane.BusError, "to read"),
            (lambda: self.reader().readers, skylane.BusError, "to read"),
            (lambda: self.reader(format="NV12"), ValueError, "the writer's to choose"),
            (lambda: self.reader(access="all"), ValueError, "the writer's to choose"),
        ):
            with self.assertRaisesRegex(kind, text):
                call()
        writer.write(picture((6, 8)))  # nothing of that stuck
        self.assertEqual(self.reader().read(copy=True, timeout=LONG_S).frame_id, 1)

    def test_pictures_that_do_not_exist(self):
        for shape, format_ in (
            (None, None),
            ((), None),
            ((6,), None),
            ((6, 8, 5), None),
            ((6, 8, 3, 1), None),
            ((0, 8), None),
            ((-6, 8), None),
            ((8193, 8), None),
            ((8, 1 << 40), None),
            ((8, 8), "NV12"),
            ((9, 7), "NV12"),
            ((6, 7, 2), "YUYV"),
            ((6, 8, 3), "BGRA"),
            ((6, 8), "RAINBOW"),
            ((6, 8), "MJPEG"),
        ):
            with self.subTest(shape=shape, format=format_), self.assertRaises(ValueError):
                skylane.ImageChannel("eye", shape, create=True, format=format_)


class WaitTest(BusTest):
    def test_nobody_writes(self):
        start = time.monotonic()
        with self.assertRaises(skylane.NoWriter) as caught:
            self.reader().read(copy=True, timeout=0.25)
        self.assertGreaterEqual(time.monotonic() - start, 0.25)
        self.assertIn("bus eye", str(caught.exception))
        self.assertEqual(caught.exception.code, errno.EPIPE)

    def test_nothing_new(self):
        self.writer()
        start = time.monotonic()
        with self.assertRaises(skylane.Timeout) as caught:
            self.reader().read(copy=True, timeout=0.25)
        self.assertGreaterEqual(time.monotonic() - start, 0.25)
        self.assertIsInstance(caught.exception, TimeoutError)

    def test_the_writer_leaves(self):
        reader = self.reader()
        with skylane.ImageChannel("eye", (6, 8), create=True) as writer:
            writer.write(picture((6, 8)))
            reader.read(copy=True, timeout=LONG_S)
        with self.assertRaises(skylane.NoWriter):
            reader.read(copy=True, timeout=0.2)

    def test_start_order_does_not_matter(self):
        reader, got = self.reader(), []
        thread = threading.Thread(target=lambda: got.append(reader.read(copy=True, timeout=None)))
        thread.start()
        time.sleep(0.3)
        self.writer().write(picture((6, 8)))
        thread.join(LONG_S)
        self.assertEqual(got[0].frame_id, 1)

    def test_a_wrong_timeout(self):
        for timeout in (-1, float("nan")):
            with self.assertRaises(ValueError):
                self.reader().read(timeout=timeout)

    def test_another_kind_of_record_is_refused_at_once(self):
        with skylane.DetectionWriter("eye") as writer:
            writer.publish(skylane.Detection())
            with self.assertRaisesRegex(skylane.Mismatch, "DET2"):
                self.reader().read(copy=True, timeout=None)

    def test_control_c_ends_a_wait(self):
        code = (
            "import skylane\n"
            "reader = skylane.ImageChannel('eye')\n"
            "print('waits', flush=True)\n"
            "try:\n"
            "    reader.read(copy=True, timeout=None)\n"
            "except KeyboardInterrupt:\n"
            "    print('interrupted')\n"
        )
        for writer in (None, self.writer()):
            child = subprocess.Popen(
                [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
            )
            self.assertEqual(child.stdout.readline(), "waits\n")
            time.sleep(0.2)
            child.send_signal(signal.SIGINT)
            self.assertEqual(child.communicate(timeout=LONG_S)[0], "interrupted\n")
            self.assertEqual(child.returncode, 0)
            del writer

    def test_control_c_leaves_nothing_held(self):
        writer, reader = self.writer(), self.reader()
        writer.write(picture((6, 8)))
        with unittest.mock.patch.object(
            images.Image, "__array_finalize__", side_effect=KeyboardInterrupt
        ), self.assertRaises(KeyboardInterrupt):
            with reader.read(timeout=LONG_S):
                self.fail("it was lent")
        writer.write(picture((6, 8), 1))
        np.testing.assert_array_equal(reader.read(copy=True, timeout=LONG_S), picture((6, 8), 1))

    def test_control_c_before_the_exit_leaves_nothing_held(self):
        def interrupted(_loan, *_):
            raise KeyboardInterrupt

        def leave(reader):
            with unittest.mock.patch.object(images._Loan, "__exit__", interrupted):
                with reader.read(timeout=LONG_S) as image:
                    left.append(image)

        left = []
        writer = self.writer()
        writer.write(picture((6, 8)))
        with self.assertRaises(KeyboardInterrupt):  # not hidden by another exception
            with self.reader() as reader:
                leave(reader)
        self.assertEqual(left[0].size, 0)

        reader = self.reader()
        with self.assertRaises(KeyboardInterrupt):
            leave(reader)
        with self.assertRaises(skylane.Timeout):
            reader.read(copy=True, timeout=0)
        self.assertEqual(left[1].size, 0)

    def test_control_c_while_closing_closes_once(self):
        for end in (self.writer()._writer, self.reader()._reader):
            plain_close, closed = end._close_function, []

            def close(handle, plain_close=plain_close, closed=closed):
                closed.append(handle)
                plain_close(handle)
                raise KeyboardInterrupt

            end._close_function = close
            with self.assertRaises(KeyboardInterrupt):
                end.close()
            end.close()
            end.__del__()
            self.assertEqual(len(closed), 1)

    @unittest.skipIf(
        sys.version_info < (3, 10), "this Python itself may lose a lock at an interrupt"
    )
    def test_an_interrupt_at_any_time(self):
        writer, reader = self.writer(), self.reader()
        answers, client = skylane.DetectionWriter(), skylane.DetectionClient()
        self.addCleanup(answers.close)
        self.addCleanup(client.close)
        sent, moments = picture((6, 8)), random.Random(1)
        came = False

        def interrupt(*_):
            nonlocal came
            came = True
            raise KeyboardInterrupt

        def work():
            writer.write(sent)
            with reader.read(timeout=LONG_S) as image:
                answer = skylane.Detection.of(image)
            answers.publish(answer)
            client.get_detection(timeout=LONG_S)

        def work_until_interrupted():
            while not came:
                work()

        self.addCleanup(signal.signal, signal.SIGALRM, signal.signal(signal.SIGALRM, interrupt))
        for _ in range(1000):
            came = False
            try:
                signal.setitimer(signal.ITIMER_REAL, moments.uniform(1e-6, 3e-4))
                work_until_interrupted()
            except KeyboardInterrupt:
                pass
            work()  # nothing is locked or held

    def test_one_thread_at_a_time(self):
        reader = self.reader()
        thread = threading.Thread(
            target=lambda: self.assertRaises(
                skylane.NoWriter, reader.read, copy=True, timeout=1.0
            )
        )
        thread.start()
        time.sleep(0.2)
        with self.assertRaisesRegex(RuntimeError, "another thread"):
            reader.read(copy=True, timeout=0)
        with self.assertRaisesRegex(RuntimeError, "another thread"):
            reader.close()
        thread.join(LONG_S)

    def test_closed_is_closed(self):
        reader = self.reader()
        reader.close()
        reader.close()
        with self.assertRaisesRegex(skylane.BusError, "was closed"):
            reader.read(copy=True, timeout=0)

    def test_after_fork_the_child_opens_its_own(self):
        writer, reader = self.writer(), self.reader()
        writer.write(picture((6, 8)))
        reader.read(copy=True, timeout=LONG_S)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                reader.read(copy=True, timeout=0)
            except skylane.BusError as failure:
                status = 0 if failure.code == errno.ECHILD and "fork" in str(failure) else 2
            finally:
                os._exit(status)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 0)
        writer.write(picture((6, 8)))
        self.assertEqual(reader.read(copy=True, timeout=LONG_S).frame_id, 2)

    def test_select(self):
        writer, reader = self.writer(), self.reader(pollable=True)
        poll = select.poll()
        poll.register(reader, select.POLLIN)
        for number in range(1, 4):
            writer.write(picture((6, 8)))
            got = None
            while got is None:
                self.assertTrue(poll.poll(LONG_S * 1000), f"frame {number} was not told")
                try:
                    got = reader.read(copy=True, timeout=0)
                except (skylane.Timeout, skylane.NoWriter):
                    pass
            self.assertEqual(got.frame_id, number)
            with self.assertRaises(skylane.Timeout):
                reader.read(copy=True, timeout=0)

    def test_fileno_must_be_asked_for(self):
        with self.assertRaisesRegex(skylane.BusError, "pollable=True"):
            self.reader().fileno()


class RecordTest(BusTest):
    def test_a_detection_there_and_back(self):
        client = skylane.DetectionClient()
        self.addCleanup(client.close)
        with skylane.DetectionWriter() as writer:
            sent = skylane.Detection(frame_id=3, exposed_ns=4, lateral_offset_m=0.25)
            sent.state = skylane.LaneState.TWO_LINES
            sent.left.poly[:] = (1, 2, 3, 4)
            writer.publish(sent)
            got = client.get_detection(timeout=LONG_S)
            self.assertGreater(got.finished_ns, 0)
            sent.finished_ns = got.finished_ns
            self.assertEqual(bytes(got), bytes(sent))
            self.assertEqual(list(got.left.poly), [1, 2, 3, 4])
            self.assertIn("lateral_offset_m=0.25", repr(got))
            with self.assertRaises(skylane.Timeout):
                client.get_detection(timeout=0)
            with self.assertRaisesRegex(skylane.Mismatch, "takes a Detection, not a State"):
                writer.publish(skylane.State())

    def test_a_detection_may_be_published_again(self):
        with skylane.DetectionWriter() as writer, skylane.DetectionClient() as client:
            answer, finished_ns = skylane.Detection(), [time.monotonic_ns()]
            for answer.frame_id in (1, 2):
                writer.publish(answer)
                got = client.get_detection(timeout=LONG_S)
                self.assertEqual(got.frame_id, answer.frame_id)
                finished_ns.append(got.finished_ns)
            finished_ns.append(time.monotonic_ns())
            self.assertEqual(finished_ns, sorted(set(finished_ns)))
            self.assertEqual(answer.finished_ns, 0)
            answer.finished_ns = 77
            writer.publish(answer)
            self.assertEqual(client.get_detection(timeout=LONG_S).finished_ns, 77)

    def test_an_answer_belongs_to_its_frame(self):
        self.writer((6, 8)).write(picture((6, 8)), timestamp=77, frame_id=9)
        with self.reader().read(timeout=LONG_S) as image:
            answer = skylane.Detection.of(image)
        self.assertEqual((answer.frame_id, answer.exposed_ns), (9, 77))
        self.assertEqual((answer.frame_width_px, answer.frame_height_px), (8, 6))
        self.assertGreater(answer.received_ns, 77)
        self.assertGreaterEqual(answer.started_ns, answer.received_ns)

    def test_newest_and_every(self):
        with skylane.RecordWriter(skylane.Odometry) as writer, skylane.RecordReader(
            skylane.Odometry
        ) as newest, skylane.RecordReader(skylane.Odometry, every=True) as every:
            for number in range(1, 6):
                writer.publish(skylane.Odometry(measured_ns=number))
                if number == 1:
                    newest.get(LONG_S)
                    every.get(LONG_S)
            self.assertEqual(newest.get(LONG_S).measured_ns, 5)
            self.assertEqual(newest.missed, 3)
            self.assertEqual([every.get(LONG_S).measured_ns for _ in range(4)], [2, 3, 4, 5])
            self.assertEqual(every.missed, 0)
            self.assertEqual(writer.readers, 2)

    def test_a_bus_has_one_writer(self):
        with skylane.DetectionWriter():
            with self.assertRaises(skylane.BusError) as caught:
                skylane.DetectionWriter()
        self.assertEqual(caught.exception.code, errno.EBUSY)
        self.assertIn(str(os.getpid()), str(caught.exception))

    def test_a_name_that_is_none(self):
        with self.assertRaisesRegex(skylane.BusError, "cannot be a bus's name"):
            skylane.DetectionClient("Hello, bus")


class AccessTest(BusTest):
    def door(self, name):
        return os.stat(os.path.join(os.environ["SKYLANE_BUS_DIR"], f"skylane.{name}.door"))

    def test_who_may_read(self):
        group = grp.getgrgid(os.getegid())
        for options, mode in (
            ({}, 0o600),
            ({"access": "owner"}, 0o600),
            ({"access": "group"}, 0o660),
            ({"access": "group", "group": group.gr_name}, 0o660),
            ({"access": "all"}, 0o666),
        ):
            with self.subTest(options), skylane.ImageChannel(
                "eye", (6, 8), create=True, **options
            ), skylane.RecordWriter(skylane.State, **options), skylane.DetectionWriter(**options):
                for name in ("eye", "vehicle_state", "detection_results"):
                    self.assertEqual(stat.S_IMODE(self.door(name).st_mode), mode)
                    self.assertEqual(self.door(name).st_gid, group.gr_gid)

    @unittest.skipIf(os.geteuid() != 0, "only root can give a bus to any group")
    def test_a_group_of_its_own(self):
        group = next(entry for entry in grp.getgrall() if entry.gr_gid != os.getegid())
        with skylane.DetectionWriter(access="group", group=group.gr_name):
            self.assertEqual(self.door("detection_results").st_gid, group.gr_gid)

    @unittest.skipIf(os.geteuid() != 0, "only root can write as another user")
    def test_whose_records_are_taken(self):
        os.chmod(os.environ["SKYLANE_BUS_DIR"], 0o1777)
        child = os.fork()
        if child == 0:
            os.setgid(65534)
            os.setuid(65534)
            with skylane.ImageChannel("eye", (6, 8), create=True, access="all") as eye:
                with skylane.RecordWriter(skylane.State, access="all") as state:
                    while True:
                        eye.write(picture((6, 8)))
                        state.publish(skylane.State())
                        time.sleep(0.01)
        try:
            self.reader(any_writer=True).read(copy=True, timeout=LONG_S)
            with skylane.RecordReader(skylane.State, any_writer=True) as state:
                state.get(LONG_S)
            with self.assertRaisesRegex(skylane.BusError, "user"):
                self.reader().read(copy=True, timeout=LONG_S)
            with self.assertRaisesRegex(skylane.BusError, "user"):
                with skylane.RecordReader(skylane.State) as state:
                    state.get(LONG_S)
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)

    def test_mistakes(self):
        for options, kind, text in (
            ({"access": "everybody"}, ValueError, '"owner", "group" or "all", not \'everybody\''),
            ({"access": 2}, ValueError, '"owner", "group" or "all", not 2'),
            ({"group": "root"}, ValueError, 'goes with access="group"'),
            ({"access": "all", "group": "root"}, ValueError, 'goes with access="group"'),
            (
                {"access": "group", "group": "no_such_group"},
                skylane.BusError,
                'there is no group "no_such_group"',
            ),
        ):
            for make in (
                lambda: skylane.ImageChannel("eye", (6, 8), create=True, **options),
                lambda: skylane.RecordWriter(skylane.State, **options),
                lambda: skylane.DetectionWriter(**options),
            ):
                with self.subTest(options), self.assertRaisesRegex(kind, text):
                    make()


class LibraryTest(unittest.TestCase):
    def test_a_missing_library_is_told(self):
        done = subprocess.run(
            [sys.executable, "-c", "import skylane"],
            env=dict(os.environ, SKYLANE_LIB="/nowhere/libskylane-bus.so.0"),
            stderr=subprocess.PIPE,
            text=True,
        )
        self.assertNotEqual(done.returncode, 0)
        self.assertRegex(done.stderr, "/nowhere/.*install skylane, build it .*SKYLANE_LIB")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    ABI_TEST = sys.argv.pop(1)
    unittest.main()
