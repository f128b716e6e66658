"""Tells a worker process that hangs from one that is slow, by the processor time that it uses.

A busy machine makes any deadline in real time too short for honest work, and one that is long enough leaves a hung
process for as long. A process that owes an answer and uses no processor time hangs; so does one that uses more than its
requests may take. Where the system does not tell the processor time of another process, real time decides.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

# A stalled process is found by as many checks in a row: after a pause of the whole machine, one proves nothing.
STALLED_CHECKS = 4
# With less processor time than this between two checks, a process did nothing.
_IDLE_S = 0.001


class WorkerWatch:
    """Watches the requests of one process; the times are in seconds.

    Without `stall_s`, a process hangs that sends nothing for `hang_s`. `now_s` is real time, `used_s` the processor
    time of the process, None where it is not known.
    """

    def __init__(
        self, hang_s: float, stall_s: float | None, now_s: Callable[[], float], used_s: Callable[[], float | None]
    ) -> None:
        self._hang_s, self._stall_s = hang_s, stall_s
        self._now_s, self._used_s = now_s, used_s
        # What each request without an answer may take, the oldest first.
        self._allowed_s: deque[float] = deque()
        self._quiet_since_s = 0.0
        self._used_at_quiet_s: float | None = None
        self._used_at_check_s = 0.0
        self._idle_checks = 0

    @property
    def check_s(self) -> float:
        """Time between two checks."""
        return (self._hang_s if self._stall_s is None else self._stall_s) / STALLED_CHECKS

    @property
    def unanswered(self) -> int:
        """Requests without an answer."""
        return len(self._allowed_s)

    def begin_request(self, allowed_s: float) -> None:
        """Expect an answer, which may take so much processor time."""
        if not self._allowed_s:
            self.hear_frame()
        self._allowed_s.append(allowed_s)

    def end_request(self) -> None:
        """Expect one answer less."""
        if self._allowed_s:
            self._allowed_s.popleft()

    def hear_frame(self) -> None:
        """Note that the process lives."""
        self._quiet_since_s = self._now_s()
        self._used_at_quiet_s = self._used_s()
        self._idle_checks = 0

    def find_hang(self) -> str:
        """Return why the process counts as hung; empty when it does not. To be called every `check_s`."""
        if not self._allowed_s:
            self._idle_checks = 0
            return ""
        used_s = self._used_s()
        if self._stall_s is None or used_s is None or self._used_at_quiet_s is None:
            quiet_s = self._now_s() - self._quiet_since_s
            return f"it sent nothing for {quiet_s:.1f} s" if quiet_s > self._hang_s else ""
        idle = used_s - max(self._used_at_check_s, self._used_at_quiet_s) < _IDLE_S
        self._idle_checks = self._idle_checks + 1 if idle else 0
        self._used_at_check_s = used_s
        if self._idle_checks >= STALLED_CHECKS:
            return f"it did nothing for {self._stall_s:.1f} s"
        spent_s, allowed_s = used_s - self._used_at_quiet_s, sum(self._allowed_s)
        return f"it computed for {spent_s:.1f} s, {allowed_s:.1f} s were allowed" if spent_s > allowed_s else ""


def processor_time_s(pid: int) -> float | None:
    """Return the processor time that a process has used; None where the system does not tell, or it is gone."""
    if sys.platform != "linux":
        return None
    with suppress(OSError):
        # The clock of a process, as `clock_getcpuclockid` of the C library makes it: the inverted id, and 2.
        return time.clock_gettime((~pid << 3) | 2)
    return None
