"""How far a download of many parts is, how fast it goes, and when it will be done."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

# Speed is that of the last so many seconds.
_WINDOW_S = 10.0
# At most so many marks in the window; beyond, the oldest go, and the window is shorter.
_MARKS = 256


@dataclass(frozen=True, slots=True)
class PullProgress:
    """How far a download is; `eta_s` is None while nobody can tell."""

    completed_bytes: int
    total_bytes: int
    bytes_per_s: float
    eta_s: float | None

    def __str__(self) -> str:
        share = 100 * self.completed_bytes / self.total_bytes if self.total_bytes else 0
        left = "" if self.eta_s is None else f", {self.eta_s / 60:.0f} min left"
        return f"{share:.0f} % pulled at {self.bytes_per_s / 1e6:.1f} MB/s{left}"


class PullProgressMeter:
    """Adds up what is told of the parts of one download. Reads no clock."""

    def __init__(self) -> None:
        self._parts: dict[str, tuple[int, int]] = {}
        self._marks: deque[tuple[float, int]] = deque(maxlen=_MARKS)

    def update(self, part: str, completed_bytes: int, total_bytes: int, now_s: float) -> PullProgress:
        """`part` is that far. A part is all there when it is first heard of so: that is no speed."""
        known = part in self._parts
        self._parts[part] = (completed_bytes, total_bytes)
        completed = sum(done for done, _ in self._parts.values())
        total = sum(size for _, size in self._parts.values())
        if not known:
            # What a broken pull had left behind must not count as fetched just now.
            self._marks.clear()
        self._marks.append((now_s, completed))
        while self._marks[0][0] < now_s - _WINDOW_S:
            self._marks.popleft()
        began_s, began_bytes = self._marks[0]
        elapsed_s = now_s - began_s
        speed = max(0.0, (completed - began_bytes) / elapsed_s) if elapsed_s > 0 else 0.0
        return PullProgress(completed, total, speed, (total - completed) / speed if speed > 0 else None)
