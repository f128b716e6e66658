"""The audio clock: milliseconds since the session's first microphone sample."""

from __future__ import annotations

from collections.abc import Callable


class AudioClock:
    """Maps the position of the microphone to the loop's clock.

    While the microphone sends, its samples advance the clock; while it does not, the loop's clock advances it from the
    last sample, so that an end-of-turn wait ends even when no audio follows.
    """

    def __init__(self, loop_time: Callable[[], float]) -> None:
        self._loop_time = loop_time
        self._position_ms = 0
        self._arrived_s = loop_time()

    def advance(self, position_ms: int) -> None:
        """Record that all audio up to `position_ms` has arrived now."""
        self._position_ms = position_ms
        self._arrived_s = self._loop_time()

    @property
    def now_ms(self) -> int:
        """The current time on the audio clock."""
        return self._position_ms + round((self._loop_time() - self._arrived_s) * 1000)

    def loop_s(self, at_ms: int) -> float:
        """Convert `at_ms` to seconds on the loop's clock, assuming that audio arrives in real time."""
        return self._arrived_s + (at_ms - self._position_ms) / 1000
