"""What every case must leave true: stated errors only, in clean words, at a bounded cost, and no bug in the log."""

from __future__ import annotations

import logging
import re
import resource
import time
from collections.abc import Generator
from contextlib import contextmanager

from service_kit.errors import MAX_MESSAGE_CHARS, AnchorError, root_cause

# Of one case. The parsers take below 20 ms; a Python that imports, compiles a regular expression or collects garbage
# meanwhile takes longer.
MAX_CPU_S = 2.0
# How much one case may raise the peak of the process's memory.
MAX_MEMORY_KIB = 64 * 1024
_CODE = re.compile(r"[a-z][a-z0-9_-]*(\.[a-z0-9_]+)+")


class Violation(AssertionError):
    """A case broke a rule."""


def check_error(code: str, message: str) -> None:
    """Check an error as a client or an operator sees it."""
    if not _CODE.fullmatch(code) or code.endswith(".internal"):
        raise Violation(f"the error code is {code!r}: {message[:200]!r}")
    if len(message) > MAX_MESSAGE_CHARS:
        raise Violation(f"{code} has a message of {len(message)} characters")
    if not message.isprintable():
        raise Violation(f"{code} has control characters in its message: {message[:200]!r}")


@contextmanager
def stated_errors(*kinds: type[AnchorError]) -> Generator[None]:
    """Accept an `AnchorError` of one of `kinds` (any, if none are given) from the work within, after a check of it."""
    try:
        yield
    except Exception as error:
        cause = root_cause(error)
        if not isinstance(cause, kinds or AnchorError):
            raise
        check_error(cause.code, cause.message)


@contextmanager
def bounded_cost() -> Generator[None]:
    """Check the processor time of this thread, and the rise of this process's peak memory."""
    peak_kib, began_s = _peak_kib(), time.thread_time()
    yield
    spent_s, grown_kib = time.thread_time() - began_s, _peak_kib() - peak_kib
    if spent_s > MAX_CPU_S:
        raise Violation(f"it took {spent_s:.1f} s of processor time")
    if grown_kib > MAX_MEMORY_KIB:
        raise Violation(f"it took {grown_kib // 1024} MiB of memory")


def _peak_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


class _Errors(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        formatter = logging.Formatter()
        trace = formatter.formatException(record.exc_info) if record.exc_info else ""
        self.records.append(f"{record.getMessage()} {trace}"[-2_000:])


@contextmanager
def nothing_logged_as_error() -> Generator[None]:
    """Check that nothing within logs an error: input from outside gives an operator nothing to mend."""
    root, handler = logging.getLogger(), _Errors()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
    if handler.records:
        raise Violation(f"logged as an error: {handler.records[0]}")
