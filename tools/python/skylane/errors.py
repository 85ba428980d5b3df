"""What can go wrong on a bus. Each carries the library's sentence, and its
errno as .code."""
import errno


class BusError(Exception):
    """Something about a bus failed; the text says what, and what to do."""

    def __init__(self, code, text):
        super().__init__(text)
        self.code = code


class NoWriter(BusError):
    """Nobody writes this bus: not yet, or not any more. It may come back."""


class Mismatch(BusError):
    """What is on the bus, or was given to be put there, is not what was expected."""


class Timeout(BusError, TimeoutError):
    """The writer lives, but nothing new came in time."""


class Overrun(BusError):
    """The writer had to reuse the memory while it was read: what was read may
    be torn. Discard what was computed from it, and take the next."""


_KINDS = {
    errno.EPIPE: NoWriter,
    errno.EPROTO: Mismatch,
    errno.ETIMEDOUT: Timeout,
    errno.EOVERFLOW: Overrun,
}


def error(code, text):
    """The exception for a negative errno of the library."""
    return _KINDS.get(-code, BusError)(-code, text)
