"""Progress, speed and remaining time of a download of several parts."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

# The speed is the average over this window.
_WINDOW_S = 10.0
# Maximum number of samples in the window; beyond it, the oldest are dropped and the window gets shorter.
_MAX_SAMPLES = 256


@dataclass(frozen=True, slots=True)
class PullProgress:
    """Progress of a download; `eta_s` is None while the speed is unknown or zero."""

    completed_bytes: int
    total_bytes: int
    bytes_per_s: float
    eta_s: float | None

    def __str__(self) -> str:
        share = 100 * self.completed_bytes / self.total_bytes if self.total_bytes else 0
        left = "" if self.eta_s is None else f", {self.eta_s / 60:.0f} min left"
        return f"{share:.0f} % pulled at {self.bytes_per_s / 1e6:.1f} MB/s{left}"


class PullProgressMeter:
    """Sums up the progress of the parts of one download. Reads no clock."""

    def __init__(self) -> None:
        self._parts: dict[str, tuple[int, int]] = {}
        self._samples: deque[tuple[float, int]] = deque(maxlen=_MAX_SAMPLES)

    def update(self, part: str, completed_bytes: int, total_bytes: int, now_s: float) -> PullProgress:
        """Record the progress of one part. Bytes that a new part starts with do not count towards the speed."""
        known = part in self._parts
        self._parts[part] = (completed_bytes, total_bytes)
        completed = sum(done for done, _ in self._parts.values())
        total = sum(size for _, size in self._parts.values())
        if not known:
            # Bytes left over from an interrupted pull must not count as downloaded just now.
            self._samples.clear()
        self._samples.append((now_s, completed))
        while self._samples[0][0] < now_s - _WINDOW_S:
            self._samples.popleft()
        first_s, first_bytes = self._samples[0]
        elapsed_s = now_s - first_s
        speed = max(0.0, (completed - first_bytes) / elapsed_s) if elapsed_s > 0 else 0.0
        return PullProgress(completed, total, speed, (total - completed) / speed if speed > 0 else None)
